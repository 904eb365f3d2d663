"""An engine of your own, with four parts to fill in: where `...` stands, something is missing.

    python examples/exercises/check.py

says "right" to each part that is, and what is wrong with the others. Take them in order, one after each of the lessons
that they name. One way to write them is in answer.py: look there last.
"""

from itertools import count

import numpy as np

clock = count()


class Tensor:
    """An array that remembers what it was made from, and a rule for the way back to each input."""

    def __init__(self, value, inputs=(), rules=()):
        self.value, self.inputs, self.rules = np.asarray(value, float), inputs, rules
        self.grad, self.made = np.zeros_like(self.value), next(clock)

    def __add__(self, other):
        return add(self, other)

    def __mul__(self, other):
        return mul(self, other)

    def __matmul__(self, other):
        return matmul(self, other)

    def backward(self):
        """Add to the grad of every leaf the slope of this result by it."""
        arrived = {self: np.ones_like(self.value)}
        for tensor in history(self):
            # Part 2, after lesson 2. All that comes back to this tensor has arrived: take it out of `arrived`. If the
            # tensor is a leaf, made from nothing, add it to tensor.grad. Else each of its inputs gets what its rule
            # gives, rule(g, tensor.value, *values of the inputs), added to what has arrived at that input before.
            ...


def history(result):
    """The result and everything that it was made from, the latest first."""
    found, waiting = {result}, [result]
    while waiting:
        new = set(waiting.pop().inputs) - found
        found |= new
        waiting += new
    return sorted(found, key=lambda tensor: tensor.made, reverse=True)


def primitive(forward, *rules):
    """An operation: how it computes, and for each input the rule of the way back, (g, out, *inputs)."""

    def operation(*inputs):
        tensors = tuple(x if isinstance(x, Tensor) else Tensor(x) for x in inputs)
        return Tensor(forward(*[x.value for x in tensors]), tensors, rules)

    return operation


add = primitive(np.add, lambda g, out, a, b: g, lambda g, out, a, b: g)
# Part 1, after lesson 1. g came back to the product a * b, whose value is out. What goes on to a, and what to b?
mul = primitive(np.multiply, lambda g, out, a, b: ..., lambda g, out, a, b: ...)
matmul = primitive(np.matmul, lambda g, out, z, W: W @ g, lambda g, out, z, W: np.outer(z, g))
tanh = primitive(np.tanh, lambda g, out, a: g * (1 - out * out))
sigmoid = primitive(lambda a: 1 / (1 + np.exp(-a)), lambda g, out, a: g * out * (1 - out))
concat = primitive(lambda *a: np.concatenate(a), lambda g, out, a, b: g[: len(a)], lambda g, out, a, b: g[len(a) :])
total = primitive(np.sum, lambda g, out, a: g * np.ones_like(a))


def gate(h, x, W, b):
    """A number between 0 and 1 for each unit, which reads h and x joined."""
    # Part 3, after lesson 4. concat joins, @ is the matrix product, and sigmoid makes a share of any number.
    return ...


def cell(x, h, c, p):
    """One step of an LSTM: the new h and c. p holds W_f, b_f, W_i, b_i, W_g, b_g, W_o, b_o."""
    # Part 4, after lesson 5. Three gates, a candidate g, the new c, and what is shown of it, h. Give both: return h, c.
    return ...

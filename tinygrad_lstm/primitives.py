"""The derivative table: every primitive, its forward in NumPy, and one VJP rule for each input.

A rule `(g, out, *inputs, **params)` turns `g`, the cotangent of the output, into the cotangent of
one input. It may ignore broadcasting and mixed dtypes: `autodiff` undoes both in one place.

Rules are written with array operators and the primitives themselves, so the same line has two
readings: given ndarrays it computes numbers, given Tensors it records a graph that can be
differentiated again. This module knows only NumPy; a type that wants to be recorded says so with
a `__primitive__` method.
"""

# mypy: disable-error-code="has-type"
# A rule may name a primitive that stands further down the table.

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import accumulate, pairwise
from typing import Any

import numpy as np

from . import forwards
from .arguments import check_array

Rule = Callable[..., Any]
Every = Callable[..., list[Any]]

_ndarray = np.ndarray

TABLE: dict[str, Primitive] = {}


@dataclass(eq=False, repr=False, slots=True)
class Primitive:
    """One line of the derivative table: a forward, and a rule for the cotangent of each input.

    `rules[k]` is the rule of input k; `None` marks an input without a derivative, such as the
    condition of `where`. A primitive of any number of inputs has instead one rule `every` that
    gives the cotangents of all of them, as a list.

    `words` say what the cotangent of each input is made of, inputs parted by ";" and the last for all that follow:
    "× {1}" is the cotangent times input 1, `{out}` the output. `takes` says which shapes fit, where that is not NumPy's
    broadcasting.

    `total`, if any, is a number of axes and a function: a shorter way to the sum of the last rule's values over many
    uses of one array of so many axes as last input, with broadcasting not undone. It takes the cotangents and the first
    inputs of all uses, matrices. `add_to(total, g, **params)`, if any, adds the value of the only rule to an array in
    place, so that T slices of one array cost T slices, not T arrays. `elementwise`: every element of the output is made
    from the same elements of the inputs, as by NumPy's ufuncs. `bends`: a nonlinearity, as networks call it. `moves`:
    every element of the output is one of the inputs', elsewhere.
    """

    name: str
    symbol: str
    forward: Callable[..., Any]
    rules: tuple[Rule | None, ...]
    words: str = ""
    takes: str = ""
    every: Every | None = None
    total: tuple[int, Callable[[list[Any], list[Any]], Any]] | None = None
    add_to: Callable[..., None] | None = None
    elementwise: bool = False
    bends: bool = False
    moves: bool = False
    arity: int | None = field(init=False)

    def __post_init__(self) -> None:
        self.elementwise = self.elementwise or (isinstance(self.forward, np.ufunc) and self.forward.signature is None)
        self.arity = len(self.rules) if self.every is None else None

    def __call__(self, *inputs: Any, **params: Any) -> Any:
        """Run on arrays, or hand over to the first input that records itself.

        Raises TypeError for a wrong number of inputs (NumPy would take one too many as the array to write to).
        """
        if len(inputs) != self.arity and self.arity is not None:
            raise TypeError(f"{self.name} takes {self.arity} inputs, got {len(inputs)}")
        for x in inputs:
            if type(x) is not _ndarray:
                if hasattr(x, "__primitive__"):
                    return x.__primitive__(self, inputs, params)
                check_array(x)
        # An empty ** makes the call of a NumPy function slower by half.
        return self.forward(*inputs, **params) if params else self.forward(*inputs)

    def __repr__(self) -> str:
        return f"<primitive {self.name}>"

    def __reduce__(self) -> str:
        """For `copy` and `pickle`: one line of the table is the same everywhere, found by its name."""
        return self.name


def primitive(name: str, symbol: str, forward: Callable[..., Any], *rules: Rule | None, **more: Any) -> Primitive:
    """Write one line into the derivative table. `more` is what `Primitive` takes beside rules."""
    TABLE[name] = Primitive(name, symbol, forward, rules, **more)
    return TABLE[name]


# ── what several rules share ───────────────────────────────────────────────────────────────────


def keep_axes(g: Any, x: Any, axis: tuple[int, ...]) -> Any:
    """Give a reduced array its reduced axes back, as axes of length 1."""
    return g.reshape(tuple(1 if k in axis else n for k, n in enumerate(x.shape)))


def _swap(x: Any) -> Any:
    """A matrix (or a stack of them) transposed."""
    return x.T if x.ndim == 2 else transpose(x, axes=(*range(x.ndim - 2), x.ndim - 1, x.ndim - 2))


def _lift(g: Any, a: Any, b: Any) -> tuple[Any, Any, Any]:
    """The operands of a matmul with vectors as the matrices NumPy takes them for: a row, a column."""
    if a.ndim == 1:
        a, g = a[None, :], g[..., None] if b.ndim == 1 else g[..., None, :]
    if b.ndim == 1:
        b, g = b[:, None], g[..., None]
    return g, a, b


def _matmul_left(g: Any, out: Any, a: Any, b: Any) -> Any:
    if a.ndim == 2 == b.ndim:
        return matmul(g, b.T)
    g, _, b = _lift(g, a, b)
    return matmul(g, _swap(b))  # g bᵀ; a vector's row axis is summed away like a broadcast one


def _matmul_right(g: Any, out: Any, a: Any, b: Any) -> Any:
    if a.ndim == 2 == b.ndim:
        return matmul(a.T, g)
    g, a, _ = _lift(g, a, b)
    left = matmul(_swap(a), g)  # aᵀ g
    return left[..., 0] if b.ndim == 1 else left


def _base(a: Any, b: Any) -> Any:
    """The base of b a ** (b - 1): 1 where b is 0 and 1 / a beyond every float, so that 0 stays 0."""
    tiny = np.finfo(a.dtype).tiny
    return where((b == 0) * (a < tiny) * (a > -tiny), 1, a)


def _chosen_share(g: Any, out: Any, x: Any, axis: tuple[int, ...], keepdims: bool) -> Any:
    """The cotangent of a maximum or minimum goes to the element that is it; equals share it evenly, and so do NaNs."""
    chosen = (x == keep_axes(out, x, axis)) | (x != x)
    return keep_axes(g, x, axis) * (chosen / chosen.sum(axis, keepdims=True))


def _unless_below(g: Any, a: Any, b: Any) -> Any:
    """g but where a is below b; half of it where they are equal."""
    return where(a < b, 0, where(a == b, g / 2, g))


def _concat_parts(g: Any, out: Any, *xs: Any, axis: int) -> list[Any]:
    ends = [0, *accumulate(x.shape[axis] for x in xs)]
    before = (slice(None),) * axis
    return [g[(*before, slice(start, end))] for start, end in pairwise(ends)]


def _stack_parts(g: Any, out: Any, *xs: Any, axis: int) -> list[Any]:
    before = (slice(None),) * axis
    return [g[(*before, k)] for k in range(len(xs))]


SPREAD = "each axis must be equal or 1, counted from the right"

# fmt: off
# ── the table: name, symbol, forward, then the cotangent of each input, as a rule and in words ──

# elementwise, two inputs
add = primitive("add", "+", np.add,
    lambda g, out, a, b: g,
    lambda g, out, a, b: g,
    words="× 1", total=(1, lambda gs, xs: np.concatenate(gs)))  # of a bias
sub = primitive("sub", "−", np.subtract,
    lambda g, out, a, b: g,
    lambda g, out, a, b: -g, words="× 1; × −1")
mul = primitive("mul", "×", np.multiply,
    lambda g, out, a, b: g * b,
    lambda g, out, a, b: g * a, words="× {1}; × {0}")
div = primitive("div", "÷", np.divide,
    lambda g, out, a, b: g / b,
    lambda g, out, a, b: -g * out / b, words="÷ {1}; × −{0} ÷ {1}²")
pow = primitive("pow", "^", np.power,
    lambda g, out, a, b: g * b * _base(a, b) ** (b - 1),
    lambda g, out, a, b: g * out * log(where(a == 0, 1, a)), words="× {1}·{0}^({1} − 1); × {0}^{1}·log {0}")
where = primitive("where", "where", np.where,
    None,
    lambda g, out, yes, a, b: where(yes, g, 0),
    lambda g, out, yes, a, b: where(yes, 0, g), words="; where true; where false", elementwise=True)
maximum = primitive("maximum", "max", np.maximum,
    lambda g, out, a, b: _unless_below(g, a, b),
    lambda g, out, a, b: _unless_below(g, b, a), words="where {0} is larger; where {1} is larger")
minimum = primitive("minimum", "min", np.minimum,
    lambda g, out, a, b: _unless_below(g, b, a),
    lambda g, out, a, b: _unless_below(g, a, b), words="where {0} is smaller; where {1} is smaller")
clip_between = primitive("clip", "clip", lambda x, low, high: np.minimum(np.maximum(x, low), high),
    lambda g, out, x, low, high: where((low <= x) & (x <= high), g, 0),
    lambda g, out, x, low, high: where((x < low) & (low <= high), g, 0),
    lambda g, out, x, low, high: where((x > high) | (low > high), g, 0),
    words="between {1} and {2}; where {0} is below; where {0} is above", elementwise=True)

# elementwise, one input
neg = primitive("neg", "−", np.negative, lambda g, out, x: -g, words="× −1")
abs = primitive("abs", "| |", np.absolute, lambda g, out, x: where(x < 0, -g, where(x > 0, g, 0)),
    words="× sign of {0}")
exp     = primitive("exp", "exp", np.exp,       lambda g, out, x: g * out,           words="× {out}", bends=True)
log     = primitive("log", "log", np.log,       lambda g, out, x: g / x,             words="÷ {0}", bends=True)
expm1   = primitive("expm1", "expm1", np.expm1, lambda g, out, x: g * exp(x),        words="× exp {0}", bends=True)
log1p   = primitive("log1p", "log1p", np.log1p, lambda g, out, x: g / (1 + x),       words="÷ (1 + {0})", bends=True)
sin     = primitive("sin", "sin", np.sin,       lambda g, out, x: g * cos(x),        words="× cos {0}", bends=True)
cos     = primitive("cos", "cos", np.cos,       lambda g, out, x: -g * sin(x),       words="× −sin {0}", bends=True)
tanh    = primitive("tanh", "tanh", np.tanh,    lambda g, out, x: g - g * out * out, words="× (1 − {out}²)", bends=True)
sigmoid = primitive("sigmoid", "σ", forwards.sigmoid,
    lambda g, out, x: g * (out - out * out), words="× {out}(1 − {out})", elementwise=True, bends=True)
relu = primitive("relu", "relu", lambda x: np.maximum(x, 0),
    lambda g, out, x: g * (out > 0), words="where above 0", elementwise=True, bends=True)
softplus = primitive("softplus", "softplus", lambda x: np.logaddexp(x, 0),
    lambda g, out, x: g * sigmoid(x), words="× σ({0})", elementwise=True, bends=True)
as_dtype = primitive("cast", "cast", lambda x, dtype: x.astype(dtype),
    lambda g, out, x, dtype: g, words="as it was", moves=True)

# along an axis
softmax = primitive("softmax", "softmax", forwards.softmax,
    lambda g, out, x, axis: out * (g - sum_over(g * out, axis=axis, keepdims=True)),
    words="× (diag p − p pᵀ)", bends=True)
log_softmax = primitive("log_softmax", "log softmax", forwards.log_softmax,
    lambda g, out, x, axis: g - exp(out) * sum_over(g, axis=axis, keepdims=True),
    words="less p × its sum", bends=True)

# matrices
matmul = primitive("matmul", "@", forwards.matmul, _matmul_left, _matmul_right,
    total=(2, lambda gs, xs: np.concatenate(xs).T.dot(np.concatenate(gs))),  # of a weight: one product for all uses
    words="@ {1}ᵀ; {0}ᵀ @", takes="the last axis of the first must be as long as the last but one of the second "
    "(the only one of a vector)")
transpose = primitive("transpose", "ᵀ", lambda x, axes: x.transpose(axes),
    lambda g, out, x, axes: transpose(g, axes=tuple(int(k) for k in np.argsort(axes))),
    words="as it was", takes="name every axis once", moves=True)

# reductions and their opposites
sum_over = primitive("sum", "Σ", forwards.wide(lambda x, axis, keepdims: x.sum(axis=axis, keepdims=keepdims)),
    lambda g, out, x, axis, keepdims: broadcast_to(keep_axes(g, x, axis), shape=x.shape), words="repeated")
max_over = primitive("max", "max", lambda x, axis, keepdims: x.max(axis=axis, keepdims=keepdims),
    _chosen_share, words="to the largest")
min_over = primitive("min", "min", lambda x, axis, keepdims: x.min(axis=axis, keepdims=keepdims),
    _chosen_share, words="to the smallest")
sum_to = primitive("sum_to", "Σ", forwards.sum_to,
    lambda g, out, x, shape: broadcast_to(g, shape=x.shape), words="repeated")
broadcast_to = primitive("broadcast_to", "broadcast", lambda x, shape: np.broadcast_to(x, shape),
    lambda g, out, x, shape: g, words="summed", takes=SPREAD)

# shape and selection
reshape = primitive("reshape", "reshape", lambda x, shape: x.reshape(shape),
    lambda g, out, x, shape: g.reshape(x.shape), moves=True,
    words="as it was", takes="the number of elements must stay the same, and one length may be -1")
getitem = primitive("getitem", "[ ]", lambda x, index: x[index],
    lambda g, out, x, index: put(g, index=index, shape=x.shape), add_to=forwards.add_at, moves=True,
    words="put back", takes="check the index against the shape; it is made of whole numbers, slices and booleans")
put = primitive("put", "put", forwards.put,
    lambda g, out, x, index, shape: getitem(g, index=index), words="taken out")
concat_along = primitive("concat", "cat", lambda *xs, axis: np.concatenate(xs, axis),
    every=_concat_parts, words="its part", takes="all axes but the one joined must be equal", moves=True)
stack_along = primitive("stack", "stack", lambda *xs, axis: np.stack(xs, axis),
    every=_stack_parts, words="its part", takes="all shapes must be equal", moves=True)

"""A recorded step as values and the ways between them, read with the table's own rules.

A rule of the derivative table has three readings. On arrays it computes, on Tensors it records; on the `Value`s of this
module it gives the local derivative as an expression. Nothing here knows an LSTM from a GRU.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Container, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from numpy.lib.mixins import NDArrayOperatorsMixin

from .. import primitives as p
from ..primitives import Primitive
from ..tensor import Tensor
from .cell import Cell
from .recording import NotCompiled, Recording, written_number

Array = npt.NDArray[Any]
Form = dict["Value", "Value"]  # a cotangent: what arrives, and the coefficient it is multiplied by


def _comparison(ufunc: np.ufunc) -> Primitive:
    """Not a line of the derivative table: what a rule asks of its inputs has no derivative."""

    def compare(a: Any, b: Any) -> Any:
        return ufunc(a, b).astype(np.result_type(a, b))  # numbers: of truth values NumPy has another +, and no -

    return Primitive(ufunc.__name__, ufunc.__name__, compare, (None, None))


_BY_UFUNC = {op.forward: op for op in p.TABLE.values()}
_BY_UFUNC |= {np.bitwise_and: p.mul, np.bitwise_or: p.maximum}  # of comparisons: 0 or 1 here
for _ufunc in (np.greater, np.less, np.greater_equal, np.less_equal, np.equal, np.not_equal):
    _BY_UFUNC[_ufunc] = _comparison(_ufunc)


@dataclass(eq=False, repr=False)
class Value(NDArrayOperatorsMixin):
    """A value of one step: an operation on others, or a leaf, whose `op` is "x", "state", "fixed", "number" or
    "arriving" (a cotangent). What is `fixed` is the same in every step; what of it an operation takes has a `tensor`.
    An affine value is the sum of its `products`, pieces side by side @ weight, each piece in one of them, and `biases`.
    """

    step: RecordedStep
    op: Any
    inputs: tuple[Value, ...] = ()
    name: str | None = None
    width: int = 1
    number: float | None = None
    tensor: Tensor | None = None
    products: Sequence[tuple[tuple[Value, ...], Value]] = ()
    biases: Sequence[Value] = ()

    def __post_init__(self) -> None:
        self.dtype = self.step.dtype  # rules may ask for it
        # Whether it is fixed, and what it is computed from needs a gradient.
        self.trained = self.tensor is not None and self.tensor.requires_grad
        self.fixed: bool = self.op in ("fixed", "number") or (bool(self.inputs) and all(v.fixed for v in self.inputs))

    @property
    def parts(self) -> Iterator[tuple[Value, Value, slice]]:
        """Every piece of an affine value with the weight, and its rows, that it meets."""
        for pieces, weight in self.products:
            yield from ((q, weight, rows) for q, rows in rows_of(pieces).items())

    def __primitive__(self, primitive: Primitive, inputs: tuple[Any, ...], params: dict[str, Any]) -> Value:
        return self.step.make(primitive, *inputs)  # rules of elementwise operations give no parameters

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any) -> Value:
        """What operators do, and NumPy's own functions."""
        return self.step.make(_BY_UFUNC[ufunc], *inputs) if ufunc in _BY_UFUNC else NotImplemented

    __hash__ = object.__hash__  # the same as `is`: == is an operation, which makes no sense of `in` for a list


class Group:
    """Affine values of the same pieces, its sites: one matrix product of all their weights with [*pieces, 1].

    `at` gives the rows of each piece in that operand, which is of `height`; the last of them meets the biases, if any.
    """

    def __init__(self, number: int, sites: list[Value]) -> None:
        self.number, self.sites, self.pieces = number, sites, sites[0].inputs
        self.at = rows_of(self.pieces)
        self.rows, self.width = sum(q.width for q in self.pieces), sum(n.width for n in sites)
        self.height = self.rows + any(n.biases for n in sites)

    def rows_of(self, pieces: tuple[Value, ...]) -> slice:
        """The rows of pieces that stand side by side in a product."""
        return slice(self.at[pieces[0]].start, self.at[pieces[-1]].stop)


def rows_of(values: Iterable[Value]) -> dict[Value, slice]:
    """Rows for values that stand one below another."""
    found, start = {}, 0
    for v in values:
        found[v] = slice(start, start := start + v.width)
    return found


class RecordedStep:
    """A recording as values, and its backward pass: derived from the table, nothing typed.

    `order` holds values and groups in the order they are computed. `seeds` are what arrives at the states after the
    step. `body` is the step back, in order: a value, what arrives at it, and how: its form, or the group it comes back
    through. It ends with the states before the step. `collected` are the forms of what x and fixed vectors receive
    beside products.
    """

    def __init__(self, cell: Cell, recording: Recording) -> None:
        self.recording, self.dtype = recording, recording.x.dtype
        self.names: dict[Tensor, str] = {
            parameter: name for name, parameter in cell.named_parameters()
        }  # with its path: update.W
        self.known: dict[Any, Value] = {}
        self.values: dict[Tensor, Value] = {}
        self.uses = Counter(t for op in recording.ops for t in op.inputs) + Counter(recording.after)
        for t, op in ((recording.x, "x"), *((s, "state") for s in recording.before)):
            self.values[t] = Value(self, op, name=t.name, width=t.shape[-1])
        self.x, *self.before = self.values.values()
        self.fixed = [self._fixed(t) for t in recording.fixed]
        self.values |= zip(recording.fixed, self.fixed, strict=True)
        for t in recording.ops:
            value = self.values[t] = self._value(t)
            value.name = value.name or t.name
        self.after = [self.values[t] for t in recording.after]
        if any(v.fixed or v.op == "concat" for v in self.after):
            raise NotCompiled("a state after the step that is always 0, or joined of parts")
        self.named = {
            k: self.values[t] for k, t in recording.named.items() if isinstance(t, Tensor) and t in self.values
        }
        self.arrays: dict[Value, Array] = {v: t._array for t, v in self.values.items()}
        self._plan()

    # ── from Tensors to values ─────────────────────────────────────────────────────────────────

    def number(self, x: float) -> Value:
        return self.known.setdefault(x, Value(self, "number", number=x))

    def _fixed(self, t: Tensor) -> Value:
        """What does not depend on x or a state, as it was computed from parameters."""
        if (number := written_number(t)) is not None:
            return self.number(number)
        if t not in self.known:
            name, width = self.names.get(t, t.name), t.shape[-1] if t.ndim else 1
            self.known[t] = Value(
                self, t.primitive or "fixed", tuple(map(self._fixed, t.inputs)), name, width, tensor=t
            )
        return self.known[t]

    def _value(self, t: Tensor) -> Value:
        primitive, inputs = t.primitive, tuple(self.values[i] for i in t.inputs)
        assert primitive is not None
        if primitive is p.concat_along and t.params["axis"] == t.ndim - 1:
            if any(v.fixed or v.op == "concat" for v in inputs) or len({*inputs}) < len(inputs):
                raise NotCompiled("concat of a constant, or of values joined twice")
            return Value(self, "concat", inputs)
        if primitive is p.matmul and inputs[1].fixed and t.inputs[1].ndim == 2:
            pieces = inputs[0].inputs if inputs[0].op == "concat" else inputs[:1]
            return self._affine([(pieces, inputs[1])], [], t.shape[-1])
        if not primitive.elementwise or t.params:
            raise NotCompiled(f"{primitive.name} of values that change from step to step")
        for v, i in zip(inputs, t.inputs, strict=True):
            by_sequence = v.fixed and v.number is None and i.size not in (1, *i.shape[-1:])
            if v.op == "concat" or by_sequence:
                raise NotCompiled(f"{primitive.name} of {v.name or 'a value'} of shape {i.shape} in a step")
            if not v.fixed and v.width != t.shape[-1]:
                raise NotCompiled(f"{primitive.name} that repeats {v.name or 'a value'} of width {v.width}")
        sums = [v for v, i in zip(inputs, t.inputs, strict=True) if v.op == "affine" and self.uses[i] == 1]
        fixed = [v for v in inputs if v.fixed]
        pieces = tuple(q for v in sums for q in v.inputs)
        if primitive is p.add and len(sums) + len(fixed) == 2 and sums and len({*pieces}) == len(pieces):
            biases = [*(b for v in sums for b in v.biases), *fixed]
            return self._affine([product for v in sums for product in v.products], biases, t.shape[-1])
        return self.make(primitive, *inputs)

    def _affine(self, products: list[tuple[tuple[Value, ...], Value]], biases: list[Value], width: int) -> Value:
        pieces = tuple(q for side_by_side, _ in products for q in side_by_side)
        return Value(self, "affine", pieces, width=width, products=products, biases=biases)

    # ── algebra ────────────────────────────────────────────────────────────────────────────────

    def make(self, primitive: Primitive, *inputs: Any) -> Value:
        """An operation on values and numbers, the simplest that is equal to it; the same one for the same inputs."""
        values = tuple(v if isinstance(v, Value) else self.number(float(v)) for v in inputs)
        if all(v.number is not None for v in values):
            return self.number(float(primitive.forward(*(np.float64(v.number) for v in values))))
        if (simple := _simplified(self, primitive, *values)) is not None:
            return simple
        key = primitive, *map(id, values)  # what is known keeps its inputs, so that no id is used again
        if key not in self.known:
            self.known[key] = Value(self, primitive, values, width=max(v.width for v in values))
        return self.known[key]

    def local(self, value: Value, slot: int) -> Value:
        """The derivative of an elementwise operation by one of its inputs."""
        rule = value.op.rules[slot]
        if rule is None:
            return self.number(0)
        try:
            return rule(self.number(1), value, *value.inputs)  # type: ignore[no-any-return]
        except (TypeError, AttributeError, ValueError) as error:
            raise NotCompiled(f"the rule of {value.op.name} is not made of elementwise operations: {error}") from error

    def derivatives(self, of: Value, through: Sequence[Any]) -> dict[Value, Value]:
        """The derivative of a value by each that others, in order, are computed from: along the ways through these."""
        found = {of: self.number(1)}
        for value in reversed(through):
            if value in found:
                coefficient = found.pop(value)
                for slot, v in enumerate(value.inputs):
                    term = self.make(p.mul, coefficient, self.local(value, slot))
                    found[v] = self.make(p.add, found[v], term) if v in found else term
        return found

    def parameters_of(self, value: Value) -> list[str]:
        """The names of the parameters that something fixed is, or was computed from."""
        found = [value] if value.fixed else []
        for v in found:  # grows as inputs are found
            found += [i for i in dict.fromkeys(v.inputs) if all(i is not seen for seen in found)]
        return [v.name or "W" for v in found if v.trained and not v.inputs]

    def array(self, value: Value) -> Array:
        """The numbers of a value in the recorded step."""
        if value not in self.arrays:
            number = value.number
            found = value.op.forward(*map(self.array, value.inputs)) if number is None else number
            self.arrays[value] = np.asarray(found)
        return self.arrays[value]

    # ── the way back ───────────────────────────────────────────────────────────────────────────

    def _plan(self) -> None:
        self.consumers: dict[Value, list[Value]] = defaultdict(list)
        needed = self.made_of(self.after)
        order = self.made_of(v for v in self.values.values() if v in needed)
        for value in order:
            for i in value.inputs:
                self.consumers[i].append(value)
        self.computed = [v for v in order if v.inputs]  # in the order of the recording
        sites: dict[tuple[Value, ...], list[Value]] = defaultdict(list)
        for value in self.computed:
            if value.op == "affine":
                sites[value.inputs].append(value)
        self.groups = [Group(k, found) for k, found in enumerate(sites.values())]
        self.group_of = {n: g for g in self.groups for n in g.sites}
        firsts = {g.sites[0]: g for g in self.groups}
        self.order: list[Any] = [firsts.get(v, v) for v in self.computed if v in firsts or v.op != "affine"]
        self.seeds = [Value(self, "arriving", name=f"d{s.name}", width=s.width) for s in self.before]
        self.body: list[tuple[Value, Value, Form | Group]] = []
        self._pull_back()

    def made_of(self, roots: Iterable[Value], without: Container[Value] = ()) -> dict[Value, None]:
        """Roots and all they are computed from, inputs first; not what is fixed, nor what is in `without`."""
        order: dict[Value, None] = {}
        stack = [(v, False) for v in reversed([*roots])]
        while stack:
            value, ready = stack.pop()
            if ready:
                order[value] = None
            elif value not in order and not value.fixed and value not in without:
                stack += [(value, True), *((i, False) for i in reversed(value.inputs))]
        return order

    def _pull_back(self) -> None:
        one = self.number(1)
        forms: dict[Value, Form] = defaultdict(dict)

        def give(value: Value, form: Form, local: Value) -> None:
            for base, coefficient in form.items():
                term, before = self.make(p.mul, coefficient, local), forms[value].get(base)
                forms[value][base] = term if before is None else self.make(p.add, before, term)

        def arriving(value: Value, how: Form | Group) -> Form:
            base = Value(self, "arriving", width=value.width)
            self.body.append((value, base, how))
            return {base: one}

        for value, seed in zip(self.after, self.seeds, strict=True):
            give(value, {seed: one}, one)
        for value in reversed(self.order):
            if isinstance(value, Group):
                for site in value.sites:
                    arriving(site, forms.pop(site, {}))
                for piece in value.pieces:
                    if piece is not self.x:
                        give(piece, arriving(piece, value), one)
            else:
                form = forms.pop(value, {})
                if len(form) > 1:
                    form = arriving(value, form)
                for slot, v in enumerate(value.inputs):
                    if not v.fixed or v.trained:
                        give(v, form, self.local(value, slot))
        for state in self.before:
            arriving(state, forms.pop(state, {}))
        self.collected = {v: form for v, form in forms.items() if v is self.x or v.trained}
        self.forms = [how for *_, how in self.body if isinstance(how, dict)] + [*self.collected.values()]


def _simplified(step: RecordedStep, op: Primitive, a: Value, b: Value | None = None, *_: Value) -> Value | None:
    """The same with less, or None: enough for what rules of the table give for a cotangent of 1."""
    if b is None:
        return a.inputs[0] if op is p.neg and a.op is p.neg else None
    if op is p.mul:
        for one, other in ((a, b), (b, a)):
            if one.number == 1 or other.number == 0:
                return other
            if one.number == -1:
                return -other  # type: ignore[no-any-return]
            if one.op is p.neg:
                return -step.make(p.mul, one.inputs[0], other)  # type: ignore[no-any-return]
    if op is p.add:
        if a.number == 0 or b.number == 0:
            return b if a.number == 0 else a
        if b.op is p.neg or a.op is p.neg:
            return step.make(p.sub, a, b.inputs[0]) if b.op is p.neg else step.make(p.sub, b, a.inputs[0])
    if op in (p.div, p.pow) and b.number == 1:
        return a
    return None

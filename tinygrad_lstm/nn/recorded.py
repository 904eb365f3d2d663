"""A recorded step as values and the ways between them, read with the table's own rules.

A rule of the derivative table has three readings. On arrays it computes, on Tensors it records; on the `Value`s of this
module it gives the local derivative as an expression. Nothing here knows an LSTM from a GRU.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from .. import primitives as p
from ..primitives import Primitive
from ..tensor import Tensor
from .recording import NotCompiled, Recording, written_number

Array = npt.NDArray[Any]
Form = dict["Value", "Value"]  # a cotangent: what arrives, and the coefficient it is multiplied by


class Value:
    """A value of one step: an operation on others, or a leaf, whose `op` is "x", "state", "fixed", "number" or
    "arriving" (a cotangent). What is `fixed` is the same in every step. `parts` and `biases` are those of an affine
    value, the sum of piece @ weight[rows] and of vectors.
    """

    def __init__(self, step: RecordedStep, op: Any, inputs: tuple[Value, ...] = (), **what: Any) -> None:
        self.step, self.op, self.inputs = step, op, inputs
        self.name: str | None = what.get("name")
        self.width: int = what.get("width", 1)
        self.number: float | None = what.get("number")
        self.tensor: Tensor | None = what.get("tensor")
        self.parts: list[tuple[Value, Value, slice]] = what.get("parts", [])
        self.biases: list[Value] = what.get("biases", [])
        self.fixed: bool = op in ("fixed", "number") or (bool(inputs) and all(v.fixed for v in inputs))

    @property
    def dtype(self) -> np.dtype[Any]:
        """Rules may ask for it."""
        return self.step.dtype

    @property
    def trained(self) -> bool:
        """Whether it is fixed, and what it is computed from needs a gradient."""
        return self.tensor is not None and self.tensor.requires_grad

    def __primitive__(self, primitive: Primitive, inputs: tuple[Any, ...], params: dict[str, Any]) -> Value:
        if params:
            raise NotCompiled(f"the derivative of a step needs {primitive.name}")
        return self.step.make(primitive, *inputs)

    def __repr__(self) -> str:
        return f"<{self.name or self.op}>"


def _operator(primitive: Primitive, swapped: bool = False) -> Callable[..., Value]:
    if swapped:
        return lambda a, b: a.step.make(primitive, b, a)
    return lambda a, *b: a.step.make(primitive, a, *b)


for _name, _primitive in {"add": p.add, "sub": p.sub, "mul": p.mul, "truediv": p.div, "pow": p.pow}.items():
    setattr(Value, f"__{_name}__", _operator(_primitive))
    setattr(Value, f"__r{_name}__", _operator(_primitive, swapped=True))
for _name, _primitive in {"neg": p.neg, "and": p.mul, "or": p.maximum}.items():  # & and | of comparisons: 0 or 1 here
    setattr(Value, f"__{_name}__", _operator(_primitive))


def _comparison(ufunc: np.ufunc) -> Primitive:
    """Not a line of the derivative table: what a rule asks of its inputs has no derivative."""

    def compare(a: Any, b: Any) -> Any:
        return ufunc(a, b).astype(np.result_type(a, b))  # numbers: of truth values NumPy has another +, and no -

    return Primitive(ufunc.__name__, ufunc.__name__, compare, (None, None))


for _name, _ufunc in {"gt": np.greater, "lt": np.less, "ge": np.greater_equal, "le": np.less_equal,
                      "eq": np.equal, "ne": np.not_equal}.items():  # fmt: skip
    setattr(Value, f"__{_name}__", _operator(_comparison(_ufunc)))


class Group:
    """Affine values of the same pieces, its sites: one matrix product of all their weights with [*pieces, 1].

    `at` gives the rows of a piece, `columns` those of a site in the result, `blocks` which rows of which weight meet
    which rows of the operand. A program adds where it keeps them.
    """

    operand: Any
    cotangent: Any
    halved: slice
    result: str
    activated: str
    sigmoids: str

    def __init__(self, number: int, pieces: tuple[Value, ...]) -> None:
        self.number, self.pieces = number, pieces
        self.sites: list[Value] = []
        self.at = _slices(pieces)
        self.rows = sum(q.width for q in pieces)

    def pack(self, sites: list[Value]) -> None:
        """Put the sites side by side in this order."""
        self.sites = sites
        self.columns = _slices(sites)
        self.width = sum(n.width for n in sites)
        self.blocks = {n: _blocks(n, self.at) for n in sites}
        self.overlaps = any(len(n.parts) > len(self.pieces) for n in sites)  # as in h @ U + h @ V

    @property
    def height(self) -> int:
        """The rows of the operand: those of the pieces, and one of ones where there is a bias."""
        return self.rows + any(n.biases for n in self.sites)


def _blocks(site: Value, at: dict[Value, slice]) -> list[tuple[Value, slice, slice]]:
    """Which rows of which weight meet which rows of the operand, in as few blocks as there can be."""
    found: list[tuple[Value, slice, slice]] = []
    for q, w, rows in site.parts:
        here = at[q]
        if found and found[-1][0] is w and found[-1][1].stop == rows.start and found[-1][2].stop == here.start:
            _, before, above = found.pop()
            rows, here = slice(before.start, rows.stop), slice(above.start, here.stop)
        found.append((w, rows, here))
    return found


def _slices(values: Iterable[Value]) -> dict[Value, slice]:
    """Rows for values that stand one below another."""
    found, start = {}, 0
    for v in values:
        found[v] = slice(start, start := start + v.width)
    return found


class RecordedStep:
    """A recording as values, and its backward pass: derived from the table, nothing typed.

    `order` holds values and groups in the order they are computed. `body` is the step back, in order: ("sum", target,
    form), ("product", group, piece, what arrives at the piece), ("next", k, form of the cotangent of state k).
    `d_x` and `d_fixed` are the forms of what x and fixed vectors receive beside products.
    """

    def __init__(self, recording: Recording, names: dict[Tensor, str] | None = None) -> None:
        self.recording, self.dtype = recording, recording.x.dtype
        self.names = names = names or {}
        self.known: dict[Any, Value] = {}
        self.origins: dict[Tensor, Value] = {}
        self.arrays: dict[Value, Array] = {}
        self.values: dict[Tensor, Value] = {}
        self.uses = Counter(t for op in recording.ops for t in op.inputs) + Counter(recording.after)
        for t, op in ((recording.x, "x"), *((s, "state") for s in recording.before)):
            self.values[t] = Value(self, op, name=t.name, width=t.shape[-1])
        self.x, *self.before = self.values.values()
        self.fixed = [Value(self, "fixed", name=names.get(t, t.name), width=t.shape[-1] if t.ndim else 1, tensor=t)
                      for t in recording.fixed]  # fmt: skip
        place = dict(zip(recording.fixed, self.fixed, strict=True))
        for t in recording.fixed:
            number = written_number(t)
            self.values[t] = place[t] if number is None else self.number(number)
        for t in recording.ops:
            value = self.values[t] = self._value(t)
            if value.name is None and t.name is not None:
                value.name = t.name
        self.after = [self.values[t] for t in recording.after]
        if any(v.fixed or v.op == "concat" for v in self.after):
            raise NotCompiled("a state after the step that is always 0, or joined of parts")
        named = {name: t for name, t in recording.named.items() if isinstance(t, Tensor)}
        self.named = {name: self.values[t] for name, t in named.items() if t in self.values}
        self._plan()

    # ── from Tensors to values ─────────────────────────────────────────────────────────────────

    def number(self, x: float) -> Value:
        return self.known.setdefault(x, Value(self, "number", number=x))

    def _value(self, t: Tensor) -> Value:
        primitive, inputs = t.primitive, tuple(self.values[i] for i in t.inputs)
        assert primitive is not None
        if primitive is p.concat_along and t.params["axis"] == t.ndim - 1:
            if any(v.fixed or v.op == "concat" for v in inputs):
                raise NotCompiled("concat of a constant, or of values joined twice")
            return Value(self, "concat", inputs, width=t.shape[-1])
        if primitive is p.matmul and inputs[1].op == "fixed" and t.inputs[1].ndim == 2:
            return self._product(inputs[0], inputs[1])
        if not primitive.elementwise or t.params:
            raise NotCompiled(f"{primitive.name} of values that change from step to step")
        for v, i in zip(inputs, t.inputs, strict=True):
            by_sequence = v.fixed and v.number is None and i.size not in (1, *i.shape[-1:])
            if v.op == "concat" or by_sequence or v.width not in (1, t.shape[-1]):
                raise NotCompiled(f"{primitive.name} of {v.name or 'a value'} of shape {i.shape} in a step")
            if not v.fixed and v.width != t.shape[-1]:
                raise NotCompiled(f"{primitive.name} that repeats {v.name or 'a value'} of width {v.width}")
        single = [v.op == "affine" and self.uses[i] == 1 for v, i in zip(inputs, t.inputs, strict=True)]
        if primitive is p.add and any(single) and all(s or v.fixed for s, v in zip(single, inputs, strict=True)):
            return self._affine([part for v in inputs for part in v.parts],
                                [b for v in inputs for b in (v.biases if v.op == "affine" else [v])])  # fmt: skip
        return self.make(primitive, *inputs)

    def _product(self, left: Value, weight: Value) -> Value:
        pieces = left.inputs if left.op == "concat" else (left,)
        ends = np.cumsum([0, *(q.width for q in pieces)]).tolist()
        return self._affine([(q, weight, slice(a, b)) for q, a, b in zip(pieces, ends, ends[1:], strict=False)], [])

    def _affine(self, parts: list[tuple[Value, Value, slice]], biases: list[Value]) -> Value:
        pieces = tuple(dict.fromkeys(q for q, _, _ in parts))
        return Value(self, "affine", pieces, width=parts[0][1].width, parts=parts, biases=biases)

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
        rule = value.op.rules[slot] if value.op.rules else None
        if rule is None:
            return self.number(0)
        try:
            found = rule(self.number(1), value, *value.inputs)
        except (TypeError, AttributeError, ValueError) as error:
            raise NotCompiled(f"the rule of {value.op.name} is not made of elementwise operations: {error}") from error
        return found if isinstance(found, Value) else self.number(float(found))

    def origin(self, value: Value) -> Value:
        """What is fixed as it was computed from parameters, where it was."""
        return self._origin(value.tensor) if value.tensor is not None and value.tensor.primitive else value

    def _origin(self, t: Tensor) -> Value:
        number = written_number(t)
        if number is not None:
            return self.number(number)
        if t not in self.origins:
            leaf = t.primitive is None
            self.origins[t] = (Value(self, "fixed", name=self.names.get(t, t.name), tensor=t) if leaf
                               else Value(self, t.primitive, tuple(map(self._origin, t.inputs))))  # fmt: skip
        return self.origins[t]

    def parameters_of(self, value: Value) -> list[str]:
        """The names of the parameters that something fixed is, or was computed from."""
        found = [self.origin(value)] if value.fixed else []
        for v in found:  # grows as inputs are found
            found += [o for o in dict.fromkeys(map(self.origin, v.inputs)) if all(o is not seen for seen in found)]
        return [v.name or "W" for v in found if v.trained]

    def array(self, value: Value) -> Array:
        """The numbers of a value in the recorded step."""
        if not self.arrays:
            self.arrays = {v: t._array for t, v in self.values.items()}
        if value not in self.arrays:
            number = value.number
            found = value.op.forward(*map(self.array, value.inputs)) if number is None else number
            self.arrays[value] = np.asarray(found)
        return self.arrays[value]

    # ── the way back ───────────────────────────────────────────────────────────────────────────

    def _plan(self) -> None:
        self.order: list[Any] = []
        self.consumers: dict[Value, list[Value]] = defaultdict(list)
        self.group_of: dict[Value, Group] = {}
        groups: dict[frozenset[Value], Group] = {}
        self._compute()
        for value in self.computed:
            if value.op == "affine":
                pieces = frozenset(value.inputs)
                if pieces not in groups:
                    groups[pieces] = Group(len(groups), value.inputs)
                    self.order.append(groups[pieces])
                groups[pieces].sites.append(value)
                self.group_of[value] = groups[pieces]
            else:
                self.order.append(value)
        self.groups = list(groups.values())
        self._pull_back()

    def _compute(self) -> None:
        """List what the states after the step are made of, in the order of the recording."""
        needed: dict[Value, None] = {}
        self._visit(self.after, needed)
        order: dict[Value, None] = {}
        self._visit([v for t in self.recording.ops if (v := self.values[t]) in needed], order)
        self.computed = [v for v in order if v.inputs]
        for value in order:
            for i in value.inputs:
                self.consumers[i].append(value)

    def _visit(self, roots: list[Value], order: dict[Value, None]) -> None:
        """Add roots and all they are computed from to an order, inputs first."""
        stack = [(v, False) for v in reversed(roots)]
        while stack:
            value, ready = stack.pop()
            if value in order or value.fixed:
                continue
            if ready:
                order[value] = None
            else:
                stack += [(value, True), *((i, False) for i in reversed(value.inputs))]

    def _pull_back(self) -> None:
        one = self.number(1)
        arriving = self._arriving
        self.seeds = [arriving(f"d{s.name}", s) for s in self.before]
        self.d_site = {n: arriving(f"d_{n.name or 'a'}", n) for g in self.groups for n in g.sites}
        self.d_sums: dict[Value, Value] = {}
        self.body: list[Any] = []
        cotangents: dict[Value, Form] = defaultdict(dict)

        def give(value: Value, form: Form, local: Value) -> None:
            for base, coefficient in form.items():
                term = self.make(p.mul, coefficient, local)
                before = cotangents[value].get(base)
                cotangents[value][base] = term if before is None else self.make(p.add, before, term)

        for value, seed in zip(self.after, self.seeds, strict=True):
            give(value, {seed: one}, one)
        for value in reversed(self.order):
            if isinstance(value, Group):
                for site in value.sites:
                    form = cotangents.pop(site, {})
                    self.body.append(("sum", self.d_site[site], form))
                for piece in value.pieces:
                    if piece is not self.x:
                        base = arriving(f"d_{piece.name or 'piece'}_{value.number}", piece)
                        self.body.append(("product", value, piece, base))
                        give(piece, {base: one}, one)
                continue
            form = cotangents.pop(value, {})
            targets = [(slot, v) for slot, v in enumerate(value.inputs) if not v.fixed or v.trained]
            if len(form) > 1 and len(targets) > 1:
                total = self.d_sums[value] = arriving(f"d_{value.name or 'sum'}", value)
                self.body.append(("sum", total, form))
                form = {total: one}
            for slot, v in targets:
                give(v, form, self.local(value, slot))
        for k, state in enumerate(self.before):
            self.body.append(("next", k, cotangents.pop(state, {})))
        self.d_x = cotangents.pop(self.x, {})
        self.d_fixed = {v: form for v, form in cotangents.items() if v.trained}

    def _arriving(self, name: str, like: Value) -> Value:
        return Value(self, "arriving", name=name, width=like.width)

    def forms(self) -> Iterator[Form]:
        """Every form of the step back."""
        yield from (form for kind, *_, form in self.body if kind != "product")
        yield self.d_x
        yield from self.d_fixed.values()


def _simplified(step: RecordedStep, op: Primitive, a: Value, b: Value | None = None, *more: Value) -> Value | None:
    """The same with less, or None: enough for what rules of the table give for a cotangent of 1."""
    if op is p.neg:
        return a.inputs[0] if a.op is p.neg else None
    if op is p.where:
        return None if a.number is None else b if a.number else more[0]
    if b is None:
        return None
    if op is p.mul:
        for one, other in ((a, b), (b, a)):
            if one.number == 1 or other.number == 0:
                return other
            if one.number == -1:
                return -other  # type: ignore[operator, no-any-return]
            if one.op is p.neg:
                return -step.make(p.mul, one.inputs[0], other)  # type: ignore[operator, no-any-return]
    if op is p.add:
        if a.number == 0 or b.number == 0:
            return b if a.number == 0 else a
        if b.op is p.neg or a.op is p.neg:
            return step.make(p.sub, a, b.inputs[0]) if b.op is p.neg else step.make(p.sub, b, a.inputs[0])
    if op is p.sub and (b.number == 0 or b.op is p.neg):
        return a if b.number == 0 else step.make(p.add, a, b.inputs[0])
    if op in (p.div, p.pow) and b.number == 1:
        return a
    return None

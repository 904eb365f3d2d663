"""The values of a recorded step as text, in the notation of its equations."""

from __future__ import annotations

from .. import primitives as p
from ..primitives import Primitive
from .recorded import RecordedStep, Value

_SIGNS = {p.add: ("+", 1), p.sub: ("-", 1), p.mul: ("*", 2), p.div: ("/", 2)}


class Words:
    """Writes values by name where they have one, and written out where not: f * c, [h, x] @ W_f + b_f, 1 - u."""

    power, number = "^", "g"  # how these are written
    longest = 400  # characters of a value written out inside another

    def __init__(self, step: RecordedStep, plain: tuple[str, ...] = ()) -> None:
        """A state before the step is called h_prev, or h where it is one of `plain`."""
        self.step = step
        named = {v: name for name, v in reversed(step.named.items())}
        before = {s: f"{s.name}{'' if s.name in plain else '_prev'}" for s in step.before}
        self.names = named | before | {step.x: "x"}
        self._texts: dict[tuple[Value, int], str] = {}

    def name(self, value: Value) -> str | None:
        return self.names.get(value) or (value.name if value.fixed else None)

    def fed_by(self, value: Value) -> str:
        """The name of the first value with one among those computed from it, one after another; else its text."""
        while self.name(value) is None:
            value = self.step.consumers[value][0]
        return self(value)

    def __call__(self, value: Value, tight: int = 0) -> str:
        """`value` by name or written out, in brackets where what stands around it binds as tightly as `tight`."""
        if (text := self.name(value)) is None and (text := self._texts.get((value, tight))) is None:
            text = self.written(value, tight)
            # A chain of values without a name, each used twice, would double with every link.
            text = self._texts[value, tight] = text if len(text) <= self.longest else "(...)"
        return text

    def written(self, value: Value, tight: int = 0) -> str:
        """`value` by what it is computed from."""
        op, i = value.op, value.inputs
        if value.number is not None:
            return self._bound(format(value.number, self.number), 5 if value.number >= 0 else 1, tight)
        if op == "fixed":
            return "[...]"
        if op == "affine":
            terms = [*(self.product(*product) for product in value.products), *(self(b, 1) for b in value.biases)]
            return self._bound(" + ".join(terms), 1, tight)
        if op is p.sub and i[1].op is p.mul and i[1].inputs[0] is i[1].inputs[1] is i[0]:
            return self._bound(f"{self(i[0], 3)} * (1 - {self(i[0], 1)})", 2, tight)  # y - y * y
        if op is p.mul and i[0] is i[1]:
            return self._bound(f"{self(i[0], 5)}{self.power}2", 4, tight)
        if op in _SIGNS:
            sign, level = _SIGNS[op]
            right = self(i[1], level + (op in (p.sub, p.div)))
            return self._bound(f"{self(i[0], level)} {sign} {right}", level, tight)
        if op is p.neg:
            return self._bound(f"-{self(i[0], 2)}", 1, tight)
        if op is p.pow:
            return self._bound(f"{self(i[0], 5)}{self.power}{self(i[1], 5)}", 4, tight)
        return f"{self.function(op)}({', '.join(map(self, i))})"

    def function(self, op: Primitive) -> str:
        return op.name

    def product(self, pieces: tuple[Value, ...], weight: Value) -> str:
        """[h, x] @ W."""
        return f"{self.joined(pieces)} @ {self(weight, 3)}"

    def joined(self, pieces: tuple[Value, ...], tight: int = 3) -> str:
        """Pieces side by side, or one alone."""
        return self(pieces[0], tight) if len(pieces) == 1 else f"[{', '.join(map(self, pieces))}]"

    def cotangent(self, value: Value) -> str:
        """dc, or d(r * h) for a value without a name."""
        return f"d{self(value)}" if self.name(value) else f"d({self(value)})"

    def _bound(self, text: str, level: int, tight: int) -> str:
        return f"({text})" if level < tight else text

"""How a step is written: as the equations of the cell are, or as textbooks write an LSTM."""

from __future__ import annotations

from dataclasses import dataclass

from ..nn.cells import GATES
from ..nn.recorded import RecordedStep, Value
from ..nn.words import Product, Words


@dataclass(frozen=True)
class Notation:
    """Names for what the cell calls h_prev, x, f, ..., letters for the f of W_f, and remarks on them.

    In a book weights are transposed and stand before a column. `separate`: those of the input are matrices apart.
    """

    values: dict[str, str]
    letters: dict[str, str]
    remarks: tuple[str, ...]
    book: bool = True
    separate: bool = False

    def parameter(self, name: str, of_x: bool = False) -> str:
        """W_f under this notation's letter; where weights are separate, those of the input are U_f."""
        kind, _, gate = name.partition("_")
        if not self.book or gate[:1] not in (*GATES,):
            return name
        return f"{'U' if self.separate and of_x else kind}_{self.letters.get(gate[0], gate[0])}{gate[1:]}"


CODE = Notation({}, {}, ("@ multiplies as a matrix, * number by number.",), book=False)
_JOINED = "W · multiplies as a matrix, the transpose of the cell's; × number by number."
_APART = "W and U multiply as matrices, transposes of the cell's; × number by number."
_GAMMA = "Γ_u, \"update\", is the LSTM's input gate i, not the GRU's update gate."
_SWAP = "W is for the state, U for the input; some books swap them."


def _names(text: str) -> dict[str, str]:
    return dict(zip(["h_prev", "c_prev", "x", "f", "i", "g", "o", "c", "h"], text.split(), strict=True))


NOTATIONS = {
    "gates": Notation(_names("h_{t-1} C_{t-1} x_t  f_t i_t C~_t  o_t C_t  h_t"), {"g": "C"}, (_JOINED,)),
    "gamma": Notation(_names("a<t-1> c<t-1> x<t>  Γ_f Γ_u c~<t> Γ_o c<t> a<t>"), {"i": "u", "g": "c"},
                      (_JOINED, _GAMMA, "a is the hidden state h.")),
    "separate": Notation(_names("s_{t-1} c_{t-1} x_t  f_t i_t g_t  o_t c_t  s_t"), {},
                         (_APART, _SWAP, "s is the hidden state h."), separate=True),
}  # fmt: skip


class Spelling(Words):
    """The values of a recorded step in a notation."""

    def __init__(self, step: RecordedStep, notation: Notation) -> None:
        super().__init__(step, {s.name or "": "{}_prev" for s in step.before})
        self.notation = notation
        self.names = {v: notation.values.get(name, name) for v, name in self.names.items()}
        self.names |= {v: notation.parameter(v.name) for v in step.fixed if v.name and v not in self.names}

    def written(self, value: Value, tight: int = 0) -> str:
        """`value` by what it is computed from."""
        text = super().written(value, tight)
        return text.replace(" * ", " × ").replace("sigmoid(", "σ(").replace("^2", "²") if self.notation.book else text

    def products(self, value: Value) -> list[Product]:
        """The products of an affine value; each piece with a weight of its own, where weights are separate."""
        apart = self.notation.separate
        return [((q,), weight, rows) for q, weight, rows in value.parts] if apart else super().products(value)

    def product(self, product: Product) -> str:
        """h @ W, or W · h in a book."""
        if not self.notation.book:
            return super().product(product)
        return f"{self.weight(product)} {'' if self.notation.separate else '· '}{self.joined(product[0])}"

    def weight(self, product: Product) -> str:
        """The weight of a product."""
        (piece, *_), weight, _ = product
        if weight.name and piece is self.step.x:
            return self.notation.parameter(weight.name, True)
        return super().weight(product)


class Shapes(Spelling):
    """The same with the shape of each value in place of its name: (3×7) · (7×1) + (3×1)."""

    def name(self, value: Value) -> str | None:
        return None if super().name(value) is None and value.tensor is None else self.vector(value.width)

    def vector(self, width: int) -> str:
        """The shape of one vector: a row's in code, a column's in a book."""
        return f"({width}×1)" if self.notation.book else f"({width})"

    def joined(self, pieces: tuple[Value, ...], tight: int = 3) -> str:
        return super().joined(pieces, tight) if len(pieces) == 1 else self.vector(sum(q.width for q in pieces))

    def weight(self, product: Product) -> str:
        _, weight, rows = product
        a, b = rows.stop - rows.start, weight.width
        return f"({b}×{a})" if self.notation.book else f"({a}×{b})"

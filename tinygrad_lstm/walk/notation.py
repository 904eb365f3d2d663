"""How a step is written: as the equations of the cell are, or with the names of a textbook for an LSTM."""

from __future__ import annotations

from typing import NamedTuple


class Notation(NamedTuple):
    """Names for what the cell calls h_prev, x, f, ..., letters for the f, i, g, o of W_f, ..., and remarks on them.

    `sums` is the letter of what a gate is the sigmoid or tanh of, where the equations have no name for it.
    """

    values: dict[str, str]
    letters: str
    remarks: tuple[str, ...]
    sums: str = "z"

    def parameter(self, name: str) -> str:
        """The name of W_g with this notation's letter."""
        return name[:2] + name[2:].translate(str.maketrans("figo", self.letters))


def _names(text: str) -> dict[str, str]:
    return dict(zip(["h_prev", "c_prev", "x", "f", "i", "g", "o", "c", "h"], text.split(), strict=True))


_ROWS = "@ multiplies as a matrix, * number by number; [a, b] is a and b side by side."
CODE = Notation({}, "figo", (_ROWS,), sums="a")
_JOINED = "W · [h, x] of a book has the transpose of W here: there h and x are columns."
_APART = "W s + U x of a book: W and U are the rows of W here for s and x, transposed."
NOTATIONS = {
    "gates": Notation(_names("h_{t-1} C_{t-1} x_t f_t i_t C~_t o_t C_t h_t"), "fiCo", (_ROWS, _JOINED)),
    "gamma": Notation(
        _names("a<t-1> c<t-1> x<t> Γ_f Γ_u c~<t> Γ_o c<t> a<t>"),
        "fuco",
        (_ROWS, _JOINED, "Γ_u, \"update\", is the LSTM's input gate i, not the GRU's update gate."),
    ),
    "separate": Notation(_names("s_{t-1} c_{t-1} x_t f_t i_t g_t o_t c_t s_t"), "figo", (_ROWS, _APART)),
}

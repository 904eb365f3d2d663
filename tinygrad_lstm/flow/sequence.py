"""A sequence of words through a cell, traced: how much gradient comes back to each word, and what that says."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..arguments import as_size, as_word, as_words, real_array
from ..machine import without_collector
from ..nn import LSTMCell, RNNCell
from ..tensor import Tensor, tensor
from .graph import Flow, norm
from .trace import trace_gradients

Floats = npt.NDArray[np.float64]
MEMORY = 4 * 2**30  # bytes that a machine can be expected to have
TINY = float(np.finfo(np.float64).tiny)  # 2.2e-308: what is smaller has lost digits, and stops shrinking by rounding
Cell = RNNCell | LSTMCell

CELLS: dict[str, Callable[[int, int, float, int], Cell]] = {
    "lstm": lambda size, hidden, bias, seed: LSTMCell(size, hidden, forget_bias=bias, rng=seed),
    "rnn": lambda size, hidden, bias, seed: RNNCell(size, hidden, rng=seed),
    "lstm1997": lambda size, hidden, bias, seed: LSTMCell(size, hidden, forget_gate=False, rng=seed),
}


def make_cell(kind: str, input_size: int, hidden_size: int, forget_bias: float = 1.0, seed: int = 0) -> Cell:
    """An untrained float64 cell: "lstm", "rnn", or "lstm1997" without a forget gate (only the first has a forget bias).

    Raises ValueError for any other kind and for sizes below 1.
    """
    if kind not in CELLS:
        raise ValueError(f"no cell is called {kind!r}: choose from {', '.join(CELLS)}")
    return CELLS[kind](input_size, hidden_size, forget_bias, seed)


def tokenize(text: str, unit: str = "words") -> list[str]:
    """Split a text at white space into words, or into its characters (`unit="chars"`, white space included).

    Line ends are read as one newline character, and those at the end of the text are dropped.
    """
    text = as_word("a text", text)
    if unit == "words":
        return text.split()
    if unit == "chars":
        return list(text.replace("\r\n", "\n").replace("\r", "\n").rstrip("\n"))
    raise ValueError(f"a text is split into 'words' or 'chars', not {unit!r}")


def embed(tokens: Sequence[str], size: int, seed: int = 0) -> Floats:
    """A vector for every token, standard normal, as an array (steps, size).

    A token's vector depends on its own spelling and the seed alone: the same word has the same vector
    wherever it stands, in every text. (A hash of the word and the seed start the generator.) Raises TypeError for a
    token that is no string.
    """
    vectors, tokens, size, seed = {}, as_words("tokens", tokens), as_size("size", size, 0), as_size("seed", seed, 0)
    for token in dict.fromkeys(tokens):
        digest = hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
        vectors[token] = np.random.default_rng([seed, int.from_bytes(digest, "big")]).standard_normal(size)
    return np.array([vectors[token] for token in tokens]).reshape(len(tokens), size)


@dataclass(frozen=True, eq=False)
class Passage:
    """One sequence that went through one cell, and the gradient that came back.

    `flow` is the traced graph of L, which is u · h_T unless told otherwise, `c`, `h`, `x` the norms of dL/dc_t,
    dL/dh_t, dL/dx_t at [t - 1], through every path of that graph (`c` is None in a plain RNN). `forget` holds the
    forget gates (steps, hidden), None in a cell without. `direct` is the norm of the part of dL/dc_1 that came along
    the cell state alone: dL/dc_T times the product of the forget gates from step 2 on; None in a plain RNN.
    """

    cell: Cell
    tokens: tuple[str, ...]
    seed: int
    flow: Flow
    h: Floats
    x: Floats
    c: Floats | None
    forget: Floats | None
    direct: float | None

    @property
    def name(self) -> str:
        """RNN, LSTM, or LSTM of 1997 for the one without a forget gate."""
        if isinstance(self.cell, LSTMCell):
            return "LSTM" if "f" in self.cell.gates else "LSTM of 1997"
        return "RNN"

    @property
    def forget_bias(self) -> float | None:
        """The mean of the forget gate's bias; None in a cell without one."""
        bias = getattr(self.cell, "b_f", None)
        return None if bias is None else float(np.mean(bias.numpy()))

    @property
    def norms(self) -> dict[str, Floats]:
        """The norms by the name of what they are of, in the order c, h, x; without c in a plain RNN."""
        return ({} if self.c is None else {"c": self.c}) | {"h": self.h, "x": self.x}

    def since(self, name: str) -> int | None:
        """The earliest step from which the norm is at least TINY up to the last step; None where the last is not."""
        lost = np.flatnonzero(self.norms[name] < TINY)
        first = int(lost[-1]) + 2 if lost.size else 1
        return first if first <= len(self.tokens) else None

    def factor(self, name: str) -> float | None:
        """The factor on the norm of one step back: (first / last) ** (1 / steps), the geometric mean.

        First is step 1, or `since(name)` where the norm is lost before. None where there is no step between the two.
        """
        norms, first = self.norms[name], self.since(name)
        if first is None or first == len(norms):
            return None
        return math.exp((math.log(norms[first - 1]) - math.log(norms[-1])) / (len(norms) - first))

    @property
    def title(self) -> str:
        """A heading: the cell and its forget bias."""
        return self.name if self.forget_bias is None else f"{self.name}, forget bias {self.forget_bias:.4g}"


def trace_sequence(
    cell: Cell,
    xs: npt.ArrayLike,
    tokens: Sequence[str] | None = None,
    seed: int = 0,
    read: Callable[[Tensor], Tensor] | None = None,
) -> Passage:
    """Unroll a cell over a sequence from a state of zeros, and trace the gradient of L = u · h_T.

    xs has shape (steps, input). u, drawn from the seed, has length 1: the gradient starts at h_T with norm 1 in every
    cell, so what comes back can be compared between cells. Every x_t, and the states h0 and c0, have a gradient.
    `read` takes another L from h_T, such as the answer of a network trained to give one.

    Raises ValueError for an empty sequence and for tokens that are not as many as the steps, TypeError for a cell that
    is not in float64, and for a token that is no string.
    """
    if cell.dtype != np.float64:
        raise TypeError(f"a sequence is measured in float64, got {cell!r}: build the cell with dtype=np.float64")
    vectors, seed = real_array(xs, np.float64), as_size("seed", seed, 0)
    if vectors.ndim != 2 or len(vectors) == 0:
        raise ValueError(f"a sequence has shape (steps, {cell.input_size}) with at least 1 step, got {vectors.shape}")
    tokens = tuple(f"x{t}" for t in range(1, len(vectors) + 1)) if tokens is None else tuple(as_words("tokens", tokens))
    if len(tokens) != len(vectors):
        raise ValueError(f"{len(vectors)} steps need as many tokens, got {len(tokens)}")

    zeros = np.zeros(cell.hidden_size)
    state = tuple(tensor(zeros, requires_grad=True, name=f"{name}0") for name in cell.states)
    u = np.random.default_rng([seed, 1]).standard_normal(cell.hidden_size)
    with without_collector():
        for vector in vectors:
            x = tensor(vector, requires_grad=True, name="x")
            after = cell(x, state)
            state = after if isinstance(after, tuple) else (after,)
        loss = state[0] @ tensor(u / np.linalg.norm(u), name="u") if read is None else read(state[0])
        loss.name = "L"
        flow = trace_gradients(loss)
    c = forget = direct = None
    if isinstance(cell, LSTMCell):
        c = flow.norms("c")
        forget = np.array([node.value for node in flow.named("f")]) if "f" in cell.gates else None
        end = flow.gradient(state[1])
        # Flow.split gives the same vector (without peepholes), but takes a fourth of the trace's time once more.
        direct = norm(end if forget is None else end * np.prod(forget[1:], axis=0))
    return Passage(cell, tokens, seed, flow, flow.norms("h"), flow.norms("x"), c, forget, direct)


def memory_needed(cell: Cell, steps: int) -> int:
    """About how many bytes `trace_sequence` takes, sooner more than less.

    Every step has the objects of its graph, what is made of x, and a cotangent of every weight.
    """
    ops = 20 if isinstance(cell, LSTMCell) else 5
    return steps * (1700 * ops + 40 * cell.input_size + 12 * sum(p.size for p in cell.parameters()))


def check_memory(needed: int, steps: int, hidden: int) -> None:
    """Raise ValueError for more bytes than a machine can be expected to have."""
    if needed > MEMORY:
        raise ValueError(
            f"{steps:,} steps at --hidden {hidden} would take about {needed / 2**30:.1f} GB of memory "
            f"(at most {MEMORY // 2**30}): take a shorter sequence or a smaller --hidden"
        )


def reading(passages: Sequence[Passage], unit: str = "word") -> str:
    """One paragraph saying what the numbers of these passages of one sequence are and what they show, in plain words.

    Each sentence is chosen by the numbers at hand, so that it stays true when the LSTM does worse, when there is a
    single word and when norms are 0. `unit` is what a token is called. Raises ValueError for no passages.
    """
    if not passages:
        raise ValueError("a reading needs at least one passage")
    steps = len(passages[0].tokens)
    sentences = [
        f"L = u · h_{steps} is one number read from the last hidden state with |u| = 1, so in every cell the gradient "
        f"starts at h_{steps} with norm 1. Listed are the Euclidean norms of dL/dc_t, dL/dh_t and dL/dx_t, through "
        "every path of the graph that ran.",
        _settings(passages),
    ]
    if steps == 1:
        norms = ", ".join(f"{number(float(p.x[0]))} in the {p.name}" for p in passages)
        sentences.append(
            f"The norm of dL/dx at the only {unit} is {norms}. With one {unit} there is no step back on which a "
            "gradient could shrink or grow."
        )
    else:
        for p in passages:
            sentences += _of_one(p, unit)
        sentences += _between(passages, unit)
    sentences.append("This is one draw of untrained weights: another seed or forget bias gives other numbers.")
    return " ".join(sentences)


def _settings(passages: Sequence[Passage]) -> str:
    cell = passages[0].cell
    biases = dict.fromkeys(f", forget bias {p.forget_bias:.4g}" for p in passages if p.forget_bias is not None)
    return (
        f"Seed {passages[0].seed}, hidden size {cell.hidden_size}, vectors of size {cell.input_size}"
        f"{''.join(biases)}, {cell.dtype}."
    )


def _of_one(p: Passage, unit: str) -> list[str]:
    steps, since, factor = len(p.tokens), p.since("x"), p.factor("x")
    last = float(p.x[-1])
    if since is None:
        return [f"{p.name}: {_lost(last, 'the norm of dL/dx')} at the last {unit} already."]
    reached = float(p.x[since - 1])
    pace = "" if factor is None else f", × {factor:#.3g} a step"
    verb = "hardly changes" if _close(reached, last) else "falls" if reached < last else "grows"
    start = f"{p.name}: the norm of dL/dx {verb} from {number(last)} at the last {unit} to {number(reached)}"
    lost = _lost(float(p.x[since - 2]), "it")
    if since == 1:
        said = [f"{start} at the first, {_steps(steps - 1)} back: {percent(reached, last)} of it{pace}."]
    elif since == steps:
        said = [f"{p.name}: the norm of dL/dx is {number(last)} at the last {unit}; one step back {lost}."]
    else:
        said = [f"{start} {_steps(steps - since)} back{pace}; one step further {lost}."]
    if p.c is not None and p.direct is not None and p.c[0] >= TINY:
        said.append(_along_the_cell_state(p, p.direct, float(p.c[0])))
    return said


def _lost(value: float, what: str) -> str:
    """What to say of a norm below TINY."""
    return f"{what} is {'exactly 0 in float64' if value == 0 else f'below {TINY:.1e}, too small for float64'}"


def _along_the_cell_state(p: Passage, direct: float, whole: float) -> str:
    gates = (
        "There is no forget gate"
        if p.forget is None
        else f"Its forget gates are {np.mean(p.forget[1:]):.2g} on average"
    )
    factor = p.factor("c")
    pace = "" if factor is None else f" and its dL/dc goes × {factor:#.3g} a step"
    if direct < TINY:
        return (
            f"{gates}{pace}: what came along the cell state alone is too small for float64, the rest came by detours "
            "through h."
        )
    if _close(direct, whole):
        detours = "the detours through h hardly change it"
    elif direct > whole:
        detours = "the detours through h cancel part of it"
    else:
        detours = "the rest of that vector came by detours through h"
    share = f"{percent(direct, whole)} of the norm of dL/dc_1"
    return f"{gates}{pace}: what came along the cell state alone has {share}, {detours}."


def _between(passages: Sequence[Passage], unit: str) -> list[str]:
    """How the cells compare at the first token."""
    best, *others = sorted(passages, key=lambda p: -p.x[0])
    most = float(best.x[0])
    if most < TINY:
        return [f"At the first {unit} the gradient of every one of these cells is 0 or too small for float64."]
    less, same, none = [], [], []
    for p in others:
        x = float(p.x[0])
        if x < TINY:
            none.append(f"the {p.name}")
        elif _close(x, most):
            same.append(f"the {p.name}")
        else:
            less.append(f"{times(most, x)} times that in the {p.name}")
    parts = [f"At the first {unit} the gradient is largest in the {best.name}"]
    parts += [f"it is {' and '.join(less)}"] if less else []
    parts += [f"it is about as large in {' and '.join(same)}"] if same else []
    parts += [f"it is 0 or too small for float64 in {' and '.join(none)}"] if none else []
    said = ["; ".join(parts) + "."]
    behind = [f"the {p.name}" for p in others if p.c is not None and not _close(float(p.x[0]), most)]
    if best.c is None and behind:
        brings = "brings" if len(behind) == 1 else "bring"
        said.append(f"So here {' and '.join(behind)} {brings} the first {unit} less gradient than the plain RNN.")
    kept = {p.name: float(p.x[0] / p.x[-1]) for p in passages if p.since("x") == 1}
    for p in others:
        if (
            {p.name, best.name} <= set(kept)
            and kept[p.name] > kept[best.name]
            and not _close(kept[p.name], kept[best.name])
        ):
            said.append(
                f"Measured against its own last {unit}, though, the {p.name} keeps more: "
                f"{percent(kept[p.name], 1)} against {percent(kept[best.name], 1)}."
            )
    return said


def number(value: float) -> str:
    """Two significant digits; a 0 is exactly 0."""
    return f"{value:.2g}"


def percent(part: float, whole: float) -> str:
    """A share in percent with two significant digits."""
    return f"{float(f'{part / whole * 100:.2g}'):g} %"


def times(a: float, b: float) -> str:
    """How many times b is in a, to two or three digits."""
    ratio = a / b
    return f"{ratio:.2g}" if ratio < 99.5 else f"{float(f'{ratio:.3g}'):,.0f}" if ratio < 1e6 else f"{ratio:.1e}"


def _close(a: float, b: float) -> bool:
    return abs(a - b) <= 0.05 * max(a, b)


def _steps(count: int) -> str:
    return f"{count} step{'' if count == 1 else 's'}"

"""A trained network on one sequence: its answer, the gradient of that answer at every step, and what it says.

Nothing here prints or writes: `explained` measures, `heading` and `reading` put into words.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt

from .. import functions as f
from ..flow.sequence import (
    TINY,
    Floats,
    Passage,
    make_cell,
    memory_needed,
    number,
    percent,
    times,
    tokenize,
    trace_sequence,
)
from ..nn import Linear, Module
from ..tasks import TASKS, anbn, copy_memory, latch, order, reber, temporal_order
from ..tasks.task import one_hot, softmax
from ..tensor import Tensor
from ..train import Checkpoint, Network
from .common import check_memory
from .errors import reason
from .terminal import bar, fit, spelled

SYMBOLS = {  # what a step of a task may hold, in the order of its inputs; tasks of numbers are not here
    "reber": reber.SYMBOLS,
    "continual-reber": reber.SYMBOLS,
    "order4": temporal_order.SYMBOLS,
    "order8": temporal_order.SYMBOLS,
    "order": order.SYMBOLS,
    "latch": latch.SYMBOLS,
    "anbn": anbn.SYMBOLS,
    "copy": copy_memory.SYMBOLS,
    "parity": "01",
}
ANSWERS = {  # the names of the outputs, where they are not the symbols
    "order4": ["".join(k) for k in product("XY", repeat=2)],
    "order8": ["".join(k) for k in product("XY", repeat=3)],
    "order": ["X first", "Y first"],
    "latch": ["x", "y"],
    "parity": ["even", "odd"],
}
NAMED, LISTED = 8, 5  # steps that are spoken of, and answers with their probability
TOKEN, PERCENT, BAR = 10, 9, 20  # columns


@dataclass(frozen=True)
class Question:
    """One sequence to read: a token and a row of x (steps, inputs) for each step, and the answer that is wanted.

    wanted is a class, the 0 or 1 of each output, or a number, by the task's loss; None where nobody knows.
    """

    tokens: tuple[str, ...]
    x: npt.NDArray[np.float32]
    wanted: Any
    origin: str


@dataclass(frozen=True, eq=False)
class Answered(Passage):
    """A passage whose L is the answer of a network with a readout, trained or not."""

    task: str
    trained: bool

    @property
    def cell_name(self) -> str:
        """RNN, LSTM, or LSTM of 1997."""
        return super().name

    @property
    def name(self) -> str:
        """What heads its columns."""
        return "trained" if self.trained else "untrained"

    @property
    def norms(self) -> dict[str, Floats]:
        """As of any passage; of an untrained network those of x alone."""
        return super().norms if self.trained else {"x": self.x}

    @property
    def title(self) -> str:
        """A heading: the cell, and whether it is trained."""
        return f"{self.cell_name}, trained on {self.task}" if self.trained else f"{self.cell_name}, untrained"


@dataclass(frozen=True, eq=False)
class Explained:
    """What `explained` found.

    outputs are the network's at the last step, `L` the number read from them, see `answer`. `deciding` are the steps,
    from 0, that decide the right answer by the task's rule (none in most). `changed` tells of steps what came to stand
    there and the outputs then: the other symbol that lowers L most, or 0 for a number.
    """

    checkpoint: Checkpoint
    sequence: Question
    outputs: Floats
    L: float
    trained: Answered
    untrained: Answered
    deciding: tuple[int, ...]
    changed: dict[int, tuple[str, Floats]]

    @property
    def task(self) -> str:
        """The task's name."""
        return self.checkpoint.settings.task

    @property
    def unit(self) -> str:
        """What a step holds."""
        return _kind(self.task)

    @property
    def by_kind(self) -> dict[str, Passage]:
        """The passages by the names of files and columns."""
        return {self.checkpoint.settings.cell: self.trained, "untrained": self.untrained}

    @property
    def largest(self) -> list[int]:
        """The steps that most gradient reaches, the largest first."""
        return [int(t) for t in np.argsort(-self.trained.x, kind="stable")[:3]]


def explained(checkpoint: Checkpoint, text: str | None, seed: int) -> Explained:
    """Let a run's network read a text, or a sequence drawn from its task with that seed, and trace its answer.

    The weights are those that did best; the gradients are computed in float64. Raises ValueError or OSError for a text
    that the network cannot read, data that cannot be drawn, and a network without steps.
    """
    settings = checkpoint.settings
    if settings.cell == "bag":
        raise ValueError("the run's network is a bag: it has no steps for a gradient to go back along")
    sequence = _drawn(checkpoint, seed) if text is None else _read(checkpoint, text)
    network = checkpoint.best_network()
    steps, inputs = sequence.x.shape
    check_memory(2 * memory_needed(make_cell(settings.cell, inputs, settings.hidden), steps), steps, settings.hidden)
    outputs = network.predict(sequence.x[:, None])[0][-1, 0].astype(np.float64)
    loss = TASKS[settings.task].loss
    before = settings.network(inputs, len(outputs), checkpoint.about["length"])
    trained, untrained = (
        _traced(n, sequence, outputs, loss, settings.task, trained=n is network) for n in (network, before)
    )
    deciding = _deciding(settings.task, sequence.tokens)
    L = answer(Tensor(outputs), outputs, loss).item()
    found = Explained(checkpoint, sequence, outputs, L, trained, untrained, deciding, {})
    for t in sorted({*deciding[: NAMED - 3], *found.largest}):
        names, rows = _others(checkpoint, sequence, t)
        ends = _with(network, sequence.x, t, rows)
        k = int(np.argmin([answer(Tensor(y), outputs, loss).item() for y in ends]))
        found.changed[t] = names[k], ends[k]
    return found


def _symbols(checkpoint: Checkpoint) -> str | None:
    """What a step of the run's task may hold; None where steps are numbers."""
    task = checkpoint.settings.task
    return str(checkpoint.about["task"]["characters"]) if task == "text" else SYMBOLS.get(task)


def _others(checkpoint: Checkpoint, sequence: Question, t: int) -> tuple[Sequence[str], npt.NDArray[np.float32]]:
    """What could stand at step t instead: every other symbol, or 0; and its inputs, one a row."""
    symbols = _symbols(checkpoint)
    if symbols is None:
        return ["0"], np.zeros((1, sequence.x.shape[1]), np.float32)
    others = [s for s in symbols if s != sequence.tokens[t]]
    return others, _inputs(checkpoint.settings.task, symbols, others)


def _inputs(task: str, symbols: str, tokens: Sequence[str]) -> npt.NDArray[np.float32]:
    """Symbols as the network reads them: (steps, inputs)."""
    place = {symbol: k for k, symbol in enumerate(symbols)}
    numbers = np.array([place[token] for token in tokens])
    return (2 * numbers - 1).astype(np.float32)[:, None] if task == "parity" else one_hot(numbers, len(symbols))


def _with(network: Network, x: npt.NDArray[np.float32], t: int, rows: npt.NDArray[np.float32]) -> Floats:
    """The outputs after the last step of x (steps, inputs) with each of `rows` in the place of step t, one a row."""
    before = network.predict(x[:t, None])[1] if t else ()
    state = before if isinstance(before, tuple) else (before,)
    ends = []
    for part in np.array_split(rows, -(-len(rows) // 64)):
        at = tuple(Tensor(np.repeat(s.numpy(), len(part), axis=1)) for s in state)
        outputs, after = network.predict(part[None], at if len(at) > 1 else at[0] if at else None)
        if t + 1 < len(x):
            rest = np.broadcast_to(x[t + 1 :, None], (len(x) - t - 1, *part.shape))
            outputs, _ = network.predict(rest, after)
        ends.append(outputs[-1].astype(np.float64))
    return np.concatenate(ends)


def _drawn(checkpoint: Checkpoint, seed: int) -> Question:
    """A sequence of the run's task, up to the step of its last answer."""
    name = checkpoint.settings.task
    instead = ": give a text to read instead" if name == "text" else ""
    try:
        task, _ = checkpoint.settings.build()
    except OSError as error:
        raise ValueError(f"cannot draw from the run's data {error.filename!r}, {reason(error)}{instead}") from error
    if task.about() != checkpoint.about["task"]:
        raise ValueError(f"the data of the task {name} has changed since the run{instead}")
    batch = task.batch(np.random.default_rng(seed), 1)
    last = -2 if task.name == "reber" else -1  # a string's last symbol is always E: the one before needs the memory
    steps = np.arange(len(batch.x)) if batch.at is None else batch.at[0]
    x = batch.x[: steps[last] + 1, 0]
    symbols = _symbols(checkpoint)
    if task.name == "parity":
        tokens = ["01"[int(v > 0)] for (v,) in x]
    elif symbols is not None:
        tokens = [symbols[k] for k in x.argmax(-1)]
    else:
        tokens = [_value(checkpoint, *row) for row in x]
    wanted = batch.y[last]
    return Question(tuple(tokens), x, wanted[0] if task.loss == "squared" else wanted, f"drawn with seed {seed}")


def _value(checkpoint: Checkpoint, value: float, mark: float = 0.0) -> str:
    """A number of a sequence in its own units, in brackets where it is marked with 1, in round ones with -1."""
    shown = _in_units(checkpoint, value)
    return f"[{shown}]" if mark > 0 else f"({shown})" if mark < 0 else shown


def _in_units(checkpoint: Checkpoint, value: float) -> str:
    return f"{_own(checkpoint, value):{'.4g' if 'scale' in checkpoint.about['task'] else '.3f'}}"


def _own(checkpoint: Checkpoint, value: float) -> float:
    """A number that the network reads or gives, in the units of the run's data."""
    about = checkpoint.about["task"]
    return float(value * about["scale"] + about["mean"]) if "scale" in about else float(value)


def _read(checkpoint: Checkpoint, text: str) -> Question:
    """A text as the run's network reads it. Raises ValueError for what it cannot."""
    task = checkpoint.settings.task
    symbols = _symbols(checkpoint)
    if symbols is None:
        raise ValueError(f"the task {task} reads numbers, no text: without a text a sequence is drawn with --seed")
    tokens = tokenize(text, "chars")
    if not tokens:
        raise ValueError("the text is empty: give some characters for the network to read")
    if unknown := sorted(set(tokens) - set(symbols)):
        shown = ", ".join(map(repr, unknown[:10])) + (f" and {len(unknown) - 10} more" if len(unknown) > 10 else "")
        raise ValueError(f"the network never saw {shown}: its {len(symbols)} {_kind(task)}s are {symbols!r}")
    return Question(tuple(tokens), _inputs(task, symbols, tokens), None, "given")


def _kind(task: str) -> str:
    return "character" if task == "text" else "symbol" if task in SYMBOLS else "value"


def _traced(network: Network, sequence: Question, outputs: Floats, loss: str, task: str, trained: bool) -> Answered:
    """The sequence through a network's cell in float64, and the gradient of L, its answer `outputs` or its log-odds."""
    layer, readout = network.layer, network.readout
    assert not isinstance(layer, Linear)
    cell = make_cell(network.kind, layer.input_size, layer.hidden_size)
    cell.load_state_dict(_in_float64(layer.cells[0]))
    linear = Linear(readout.in_features, readout.out_features, dtype=np.float64)
    linear.load_state_dict(_in_float64(readout))

    def read(h: Tensor) -> Tensor:
        return answer(linear(h), outputs, loss)

    passage = trace_sequence(cell, sequence.x.astype(np.float64), sequence.tokens, read=read)
    return Answered(**vars(passage), task=task, trained=trained)


def _in_float64(module: Module) -> dict[str, Floats]:
    return {name: a.astype(np.float64) for name, a in module.state_dict().items()}


def answer(y: Tensor, outputs: Floats, loss: str) -> Tensor:
    """The number L that is read from outputs y (outputs,), for the answer that `outputs` give.

    For the loss "squared" it is y itself, for "classes" ln(p / (1 - p)), the log-odds of the most probable class, for
    "bits" the sum of the log-odds of every output's own answer.
    """
    if loss == "squared":
        return y[0]
    if loss == "bits":
        return (y * np.where(outputs > 0, 1.0, -1.0)).sum()
    k = int(outputs.argmax())
    others = y[[j for j in range(len(outputs)) if j != k]]
    return y[k] - others[0] + f.log_softmax(others)[0]  # type: ignore[no-any-return]


def _deciding(task: str, tokens: Sequence[str]) -> tuple[int, ...]:
    """The steps that decide the right answer by the task's own rule."""
    if task in ("order", "order4", "order8"):
        return tuple(t for t, token in enumerate(tokens) if token in "XY")
    if task in ("adding", "adding1997", "multiplication"):
        return tuple(t for t, token in enumerate(tokens) if token.startswith("["))
    step = {"latch": 0, "reber": 1, "copy": copy_memory.COPIED - 1}.get(task)
    return () if step is None or step >= len(tokens) else (step,)


# ── as data ────────────────────────────────────────────────────────────────────────────────────


def result(found: Explained) -> dict[str, Any]:
    """What --json says of the answer; steps are counted from 1."""
    loss, names, wanted = TASKS[found.task].loss, _plain_names(found), found.sequence.wanted

    def said(outputs: Floats, right: bool = False) -> Any:
        if loss == "squared":
            return _own(found.checkpoint, float(outputs[0]))
        if loss == "bits":
            return [name for name, y in zip(names, outputs, strict=True) if y > (0.5 if right else 0)]
        return names[int(outputs.argmax())]

    right = None if wanted is None else names[int(wanted)] if loss == "classes" else said(np.atleast_1d(wanted), True)
    return {
        "task": found.task,
        "sequences": _learnt(found.checkpoint),
        "origin": found.sequence.origin,
        "outputs": found.outputs,
        "names": None if loss == "squared" else names,
        "probabilities": softmax(found.outputs) if loss == "classes" else None,
        "says": said(found.outputs),
        "right": right,
        "L": found.L,
        "deciding": [t + 1 for t in found.deciding],
        "changed": [
            {
                "step": t + 1,
                "instead": instead,
                "says": said(outputs),
                "L": answer(Tensor(outputs), found.outputs, loss).item(),
            }
            for t, (instead, outputs) in found.changed.items()
        ],
    }


def _learnt(checkpoint: Checkpoint) -> int:
    """How many sequences the network that answers has learnt from."""
    about = checkpoint.about
    return int(about["sequences"] if about["best"] is None else about["best"][1] * checkpoint.settings.batch)


# ── in words ───────────────────────────────────────────────────────────────────────────────────


def heading(found: Explained) -> list[str]:
    """The run, the sequence, and the answer with its probabilities, beside what was right."""
    settings, learnt = found.checkpoint.settings, _learnt(found.checkpoint)
    count, marked = len(found.sequence.tokens), any(token.startswith("[") for token in _numbers(found))
    return [
        f"{settings.title()}, after {learnt:,} sequences",
        f"{count:,} {found.unit}{'' if count == 1 else 's'} {found.sequence.origin}"
        + (", the marked ones in brackets" if marked else ""),
        "",
        *_answer_lines(found),
        "",
    ]


def _numbers(found: Explained) -> tuple[str, ...]:
    return found.sequence.tokens if found.unit == "value" else ()


def _answer_lines(found: Explained) -> list[str]:
    """What the network answers, and what was right where that is known."""
    wanted, said = found.sequence.wanted, say(found, found.outputs)
    if TASKS[found.task].loss == "squared":
        return [f"the answer is {said}, right is {_in_units(found.checkpoint, float(wanted))}"]
    if TASKS[found.task].loss == "bits":
        right = "" if wanted is None else f", right is {_listed(_names(found), wanted > 0.5)}"
        return [f"what may come next is {said}{right}"]
    p, names = softmax(found.outputs), _names(found)
    best = [int(k) for k in np.argsort(-p, kind="stable")[:LISTED]]
    listed = dict.fromkeys([*best, *([] if wanted is None else [int(wanted)])])
    lines = [
        f"{fit(names[k], TOKEN)} {probability(p[k]):>{PERCENT}} {bar(p[k], BAR)}{'  right' if k == wanted else ''}"
        for k in listed
    ]
    what = "next character" if found.task == "text" else "answer"
    return [f"the {what}, by probability", *(line.rstrip() for line in lines)]


def probability(p: float) -> str:
    """A probability in percent, never rounded up to certainty."""
    return "> 99.99 %" if p > 0.9999 else f"{100 * p:.2f} %" if p > 0.99 else percent(p, 1)


def say(found: Explained, outputs: Floats) -> str:
    """What outputs answer, in a word."""
    loss = TASKS[found.task].loss
    if loss == "squared":
        return _in_units(found.checkpoint, float(outputs[0]))
    return _listed(_names(found), outputs > 0) if loss == "bits" else _names(found)[int(outputs.argmax())]


def _listed(names: Sequence[str], chosen: npt.NDArray[np.bool_]) -> str:
    return ", ".join(name for name, yes in zip(names, chosen, strict=True) if yes) or "nothing"


def _names(found: Explained) -> list[str]:
    """The outputs by name, for print."""
    return _plain_names(found) if found.task in ANSWERS else [_quoted(symbol) for symbol in _plain_names(found)]


def _plain_names(found: Explained) -> list[str]:
    return list(ANSWERS[found.task] if found.task in ANSWERS else _symbols(found.checkpoint) or "")


def _quoted(symbol: str) -> str:
    return spelled(repr(symbol))


def reading(found: Explained) -> str:
    """One paragraph saying what L and the numbers are, and what they show for this sequence."""
    norms, steps = found.trained.x, len(found.sequence.tokens)
    states = "dL/dh_t" if found.trained.c is None else "dL/dc_t, dL/dh_t"
    sentences = [
        _what_L_is(found),
        f"Listed are the Euclidean norms of {states} and dL/dx_t, by all paths, computed in float64. The untrained "
        "network has the weights that the run began with; it is asked for the same L.",
    ]
    if norms.max() < TINY:
        sentences.append("In the trained network every norm of dL/dx is 0 or too small for float64.")
    elif steps > 1:
        total = float(norms.sum())
        most = ", ".join(f"{percent(float(norms[t]), total)} at {_step(found, t)}" for t in found.largest)
        behind = int(np.argmax(np.cumsum(norms[::-1]) >= 0.9 * total)) + 1
        last = f"; the last {behind:,} of {steps:,} steps have 90 %" if behind < steps else ""
        sentences.append(f"Of the sum of the norms of dL/dx over all steps, {most}{last}.")
        if found.deciding:
            sentences.append(_deciding_share(found))
        first, before = float(norms[0]), float(found.untrained.x[0])
        if min(first, before) >= TINY:
            more = f"{times(first, before)} times" if first >= before else f"1/{times(before, first)} of"
            sentences.append(
                f"At the first step dL/dx has the norm {number(first)}, {more} that in the untrained network."
            )
    return " ".join([*sentences, _what_changes(found)])


def _what_L_is(found: Explained) -> str:
    loss = TASKS[found.task].loss
    if loss == "squared":
        return f"L is the answer itself, the number that the network gives after step {len(found.sequence.tokens):,}."
    if loss == "bits":
        return "L is the sum of the log-odds of what each output answers, for and against."
    p = softmax(found.outputs)
    k = int(p.argmax())
    log_p = found.outputs[k] - found.outputs.max() - np.log(np.exp(found.outputs - found.outputs.max()).sum())
    return (
        f"L = ln(p / (1 - p)) is the log-odds of the answer {_names(found)[k]}, p its probability. The loss -ln p, "
        f"{-log_p:.3g} here, has the gradient of L times -(1 - p) at every step: the shares are the same."
    )


def _step(found: Explained, t: int) -> str:
    token = found.sequence.tokens[t]
    return f"step {t + 1:,} {token if found.unit == 'value' else _quoted(token)}"


def _deciding_share(found: Explained) -> str:
    at = list(found.deciding)
    which = ", ".join(_step(found, t) for t in at[:NAMED]) + (", ..." if len(at) > NAMED else "")
    shares = [float(p.x[at].sum() / p.x.sum()) if p.x.sum() > 0 else 0.0 for p in (found.trained, found.untrained)]
    return (
        f"What decides the right answer is {which}: {percent(len(at), len(found.sequence.tokens))} of the steps, with "
        f"{percent(shares[0], 1)} of that sum in the trained network and {percent(shares[1], 1)} in the untrained one."
    )


def _what_changes(found: Explained) -> str:
    """What L and the answer become with something else at a step, where the gradient alone could mislead."""
    said = []
    for t, (other, outputs) in found.changed.items():
        L = answer(Tensor(outputs), found.outputs, TASKS[found.task].loss).item()
        new = say(found, outputs)
        turned = f" and the answer {new}" if found.unit != "value" and new != say(found, found.outputs) else ""
        put = "" if found.unit == "value" else f" {_quoted(other)} at"
        said.append(f"{L:.3g}{turned} with{put} {_step(found, t)}")
    how = (
        "With one step's inputs set to 0"
        if found.unit == "value"
        else f"With another {found.unit} in one place, the one that lowers it most"
    )
    return f"A gradient tells of small changes only. {how}, L becomes, from {found.L:.3g}: {'; '.join(said)}."

"""A trained network on one sequence: its answer, the gradient of that answer at every step, and what changes it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from .. import functions as f
from ..arguments import as_plain, as_size
from ..flow.sequence import Floats, TracedSequence, check_memory, tokenize, trace_sequence
from ..kinds import in_float64
from ..tasks import TASKS, Notation
from ..tasks.notation import Answer
from ..tensor import Tensor
from .checkpoint import Checkpoint
from .model import Network

MOST, TRIED = 3, 5  # steps with most gradient, and of those that decide how many are changed


@dataclass(frozen=True)
class Question:
    """One sequence to read: a token for each step, x (steps, inputs) float32, and the answer that is wanted.

    wanted is the target, as in `tasks.Batch.y`; None where nobody knows it. origin says
    where the sequence comes from: "given", or "drawn with seed 3".
    """

    tokens: tuple[str, ...]
    x: npt.NDArray[np.float32]
    wanted: Any
    origin: str


class Change(NamedTuple):
    """What comes of something else at one step: the token put there, the outputs (outputs,) then, and L of them.

    L is that of the answer that was given before the change.
    """

    instead: str
    outputs: Floats
    L: float


@dataclass(frozen=True, eq=False)
class Explained:
    """What `explain` found: a network's answer to one sequence, and how much of its gradient reaches each step.

    outputs: (outputs,) float64, the network's after the last step. L is the number read from outputs y that is
    differentiated, by the task's loss:

        classes   L = ln(p / (1 - p)), p the probability of the most probable class
        bits      L = the sum of the log-odds of every output's own answer, y or -y
        squared   L = y, the first output, which is the answer itself

    trained is the network's cell on the sequence, traced in float64: `trained.norms` holds the norms of dL/dc_t,
    dL/dh_t and dL/dx_t, each (steps,), by all paths, and `trained.flow` the graph. untrained is the same of the weights
    that the run began with, asked for the same L.

    Steps are counted from 0. deciding: those that decide the right answer by the task's rule, empty where no few do, as
    in parity. largest: the three with the largest dL/dx_t, the largest first. changed: for those steps (of `deciding`
    at most the first five) the other symbol that lowers L most, or 0 for a number: a gradient tells of small changes
    only.
    """

    checkpoint: Checkpoint
    sequence: Question
    outputs: Floats
    L: float
    trained: TracedSequence
    untrained: TracedSequence
    deciding: tuple[int, ...]
    largest: tuple[int, ...]
    changed: dict[int, Change]

    def as_dict(self) -> dict[str, Any]:
        """The answer and what changes it, as JSON can hold it but for arrays; steps are counted from 1."""
        return {
            "task": self.task,
            "sequences": self.learnt,
            "origin": self.sequence.origin,
            "outputs": self.outputs,
            "names": self.names or None,
            "probabilities": self.probabilities,
            "says": self.says(self.outputs),
            "right": self.right,
            "L": self.L,
            "deciding": [t + 1 for t in self.deciding],
            "changed": [
                {"step": t + 1, "instead": change.instead, "says": self.says(change.outputs), "L": change.L}
                for t, change in self.changed.items()
            ],
        }

    @property
    def task(self) -> str:
        """The task's name."""
        return self.checkpoint.settings.task

    @property
    def notation(self) -> Notation:
        """How steps and answers of the task are written."""
        return self.checkpoint.notation

    @property
    def learnt(self) -> int:
        """How many sequences the network that answers has learnt from."""
        about = self.checkpoint.about
        return int(about["best_steps"] or about["steps"]) * self.checkpoint.settings.batch

    @property
    def names(self) -> list[str]:
        """The outputs by name, or else by number; none where the answer is a number."""
        return self.notation.names(len(self.outputs))

    @property
    def probabilities(self) -> Floats | None:
        """The probability of each output, (outputs,), where one of them is right, else None."""
        return f.softmax(self.outputs) if self.notation.loss == "classes" else None

    @property
    def right(self) -> Answer | None:
        """The right answer, in the form of `says`; None where nobody knows it."""
        wanted = self.sequence.wanted
        return None if wanted is None else self.notation.right(wanted, len(self.outputs))

    def says(self, outputs: npt.NDArray[Any]) -> Answer:
        """What outputs (outputs,) answer: a number in its units, the names of those above 0, or that of the largest."""
        return self.notation.says(outputs)


def explain(checkpoint: Checkpoint, text: str | None = None, seed: int = 0) -> Explained:
    """Let a run's network read a text, or a sequence drawn from its task with a seed, and trace its answer back.

    A text is read by character, each a symbol that the network was trained on. A drawn sequence ends with the step of
    its last answer, in reber of the last but one, which needs the memory. The weights are those that did best; the
    outputs are the network's own, computed in float32, the gradients are computed in float64.

    Raises ValueError for a text that the network cannot read, data that is gone or has changed since the run, a bag,
    which has no steps, and a sequence whose graph would not fit into memory; TypeError for what is no checkpoint.
    """
    if not isinstance(checkpoint, Checkpoint):
        raise TypeError(f"explain takes a checkpoint, got {type(checkpoint).__name__}: give load(path of the run)")
    settings, seed = checkpoint.settings, as_size("seed", seed, 0)
    if settings.cell == "bag":
        raise ValueError("the run's network is a bag: it has no steps for a gradient to go back along")
    sequence = _drawn(checkpoint, seed) if text is None else _read(checkpoint, text)
    steps = len(sequence.x)
    network, task = checkpoint.best_network(), TASKS[settings.task]
    check_memory(2 * network.layer.cells[:1], steps)  # the network, and untrained
    outputs = network.predict(sequence.x[:, None])[0][-1, 0].astype(np.float64)
    trained, untrained = (
        _traced(each, sequence, outputs, task.loss) for each in (network, checkpoint.untrained_network())
    )
    deciding = task.deciding(sequence.tokens)
    largest = tuple(np.argsort(-trained.x, kind="stable")[:MOST].tolist())
    changed = {}
    for t in sorted({*deciding[:TRIED], *largest}):
        names, rows = _others(checkpoint, sequence, t)
        ends = _with(network, sequence.x, t, rows)
        scores = [answer(Tensor(y), outputs, task.loss).item() for y in ends]
        k = int(np.argmin(scores))
        changed[t] = Change(names[k], ends[k], scores[k])
    L = answer(Tensor(outputs), outputs, task.loss).item()
    return Explained(checkpoint, sequence, outputs, L, trained, untrained, deciding, largest, changed)


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


# ── the sequence ───────────────────────────────────────────────────────────────────────────────


def _drawn(checkpoint: Checkpoint, seed: int) -> Question:
    """A sequence of the run's task, up to the step of its last answer."""
    name, notation = checkpoint.settings.task, checkpoint.notation
    instead = "" if notation.symbols is None else ": give a text to read instead"
    try:
        task, _ = checkpoint.settings.build()
    except OSError as error:
        why = error.strerror or error
        raise ValueError(f"cannot draw from the run's data {error.filename!r}, {why}{instead}") from error
    if as_plain("about", task.about()) != checkpoint.about["task"]:
        raise ValueError(f"the data of the task {name} has changed since the run{instead}")
    batch = task.batch(np.random.default_rng(seed), 1)
    steps = np.arange(len(batch.x)) if batch.at is None else batch.at[0]
    x = batch.x[: steps[task.asked] + 1, 0]
    return Question(tuple(notation.tokens(x)), x, batch.y[task.asked], f"drawn with seed {seed}")


def _read(checkpoint: Checkpoint, text: str) -> Question:
    """A text as the run's network reads it. Raises ValueError for what it cannot."""
    task, notation = checkpoint.settings.task, checkpoint.notation
    if notation.symbols is None:
        raise ValueError(f"the task {task} reads numbers, no text: without a text a sequence is drawn from a seed")
    tokens = tokenize(text, "chars")
    if not tokens:
        raise ValueError("the text is empty: give some characters for the network to read")
    return Question(tuple(tokens), notation.inputs(tokens, checkpoint.about["inputs"]), None, "given")


# ── the gradient, and what changes ─────────────────────────────────────────────────────────────


def _traced(network: Network, sequence: Question, outputs: Floats, loss: str) -> TracedSequence:
    """The sequence through a network's cell in float64, and the gradient of L, its answer `outputs` or its log-odds."""
    cell, linear = in_float64(network.layer.cells[0]), in_float64(network.readout)

    def read(h: Tensor) -> Tensor:
        return answer(linear(h), outputs, loss)

    return trace_sequence(cell, sequence.x.astype(np.float64), sequence.tokens, read=read)


def _others(checkpoint: Checkpoint, sequence: Question, t: int) -> tuple[Sequence[str], npt.NDArray[np.float32]]:
    """What could stand at step t instead: every other symbol, or 0; and its inputs, one a row."""
    inputs, notation = sequence.x.shape[1], checkpoint.notation
    if notation.symbols is None:
        return ["0"], np.zeros((1, inputs), np.float32)
    others = [s for s in notation.symbols if s != sequence.tokens[t]]
    return others, notation.inputs(others, inputs)


def _with(network: Network, x: npt.NDArray[np.float32], t: int, rows: npt.NDArray[np.float32]) -> Floats:
    """The outputs after the last step of x (steps, inputs) with each of `rows` in the place of step t, one a row."""
    ends = []
    for part in np.array_split(rows, -(-len(rows) // 64)):
        changed = np.repeat(x[:, None], len(part), axis=1)
        changed[t] = part
        ends.append(network.predict(changed)[0][-1])
    return np.concatenate(ends).astype(np.float64)

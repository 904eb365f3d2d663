"""A trained network on one sequence: its answer, the gradient of that answer at every step, and what changes it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from .. import functions as f
from ..arguments import as_plain, as_size
from ..flow.sequence import Floats, TracedSequence, check_memory, tokenize, trace_sequence
from ..kinds import in_float64
from ..tasks import Notation, find
from ..tasks.notation import Answer
from ..tensor import Tensor
from .checkpoint import Checkpoint
from .model import Network

MOST, TRIED = 3, 5  # steps with most gradient, and of those that decide how many are changed

Inputs = npt.NDArray[np.float32]  # (steps, inputs)


class Change(NamedTuple):
    """What comes of something else at one step: the token put there, the answer then, and L of the answer before."""

    instead: str
    says: Answer
    L: float


@dataclass(frozen=True, eq=False)
class Explained:
    """What `explain` found: a network's answer to one sequence, and how much of its gradient reaches each step.

    origin: where the sequence comes from, "given" or "drawn with seed 3". inputs: (steps, inputs) float32. outputs:
    (outputs,) float64, the network's after the last step; names: theirs, none where the answer is a number;
    probabilities: theirs, where one of them is right. says: the answer, a number in its units, the names of the outputs
    above 0, or that of the largest; right: the right one, None where nobody knows it. L is the number read from
    outputs y that is differentiated, by the task's loss:

        classes   L = ln(p / (1 - p)), p the probability of the most probable class
        bits      L = the sum of the log-odds of every output's own answer, y or -y
        squared   L = y, the first output, which is the answer itself

    trained is the network's cell on the sequence, traced in float64: `trained.tokens` holds what stands at each step,
    `trained.norms` the norms of dL/dc_t, dL/dh_t and dL/dx_t, each (steps,), by all paths, and `trained.flow` the
    graph. untrained is the same of the weights that the run began with, asked for the same L.

    Steps are counted from 0. deciding: those that decide the right answer by the task's rule, empty where no few do, as
    in parity. largest: the three with the largest dL/dx_t, the largest first. changed: for those steps (of `deciding`
    at most the first five) the other symbol that lowers L most, or 0 for a number: a gradient tells of small changes
    only.
    """

    checkpoint: Checkpoint
    origin: str
    inputs: Inputs
    outputs: Floats
    names: list[str]
    probabilities: Floats | None
    says: Answer
    right: Answer | None
    L: float
    trained: TracedSequence
    untrained: TracedSequence
    deciding: tuple[int, ...]
    largest: tuple[int, ...]
    changed: dict[int, Change]

    @property
    def notation(self) -> Notation:
        """How steps and answers of the task are written."""
        return self.checkpoint.notation

    @property
    def learnt(self) -> int:
        """How many sequences the network that answers has learnt from."""
        about = self.checkpoint.about
        return int(about["best_steps"] or about["steps"]) * self.checkpoint.settings.batch

    def as_dict(self) -> dict[str, Any]:
        """The answer and what changes it, as JSON can hold it but for arrays; steps are counted from 1."""
        same = ("origin", "outputs", "names", "probabilities", "says", "right", "L")
        return {
            "task": self.checkpoint.settings.task,
            "sequences": self.learnt,
            **{name: getattr(self, name) for name in same},
            "deciding": [t + 1 for t in self.deciding],
            "changed": [{"step": t + 1, **change._asdict()} for t, change in self.changed.items()],
        }


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
    settings, notation, seed = checkpoint.settings, checkpoint.notation, as_size("seed", seed, 0)
    if settings.cell == "bag":
        raise ValueError("the run's network is a bag: it has no steps for a gradient to go back along")
    inputs, wanted = _drawn(checkpoint, seed) if text is None else (_read(checkpoint, text), None)
    tokens, network = notation.tokens(inputs), checkpoint.best_network()
    check_memory(2 * network.layer.cells[:1], len(tokens))  # the network, and untrained
    outputs = network.predict(inputs[:, None])[0][-1, 0].astype(np.float64)

    def L_of(y: Tensor) -> Tensor:
        return answer(y, outputs, notation.loss)

    def traced(network: Network) -> TracedSequence:
        cell, readout = in_float64(network.layer.cells[0]), in_float64(network.readout)
        return trace_sequence(cell, inputs.astype(np.float64), tokens, read=lambda h: L_of(readout(h)))

    trained = traced(network)
    deciding = find(settings.task).deciding(tokens)
    largest = tuple(np.argsort(-trained.x, kind="stable")[:MOST].tolist())
    return Explained(
        checkpoint,
        f"drawn with seed {seed}" if text is None else "given",
        inputs,
        outputs,
        notation.names(len(outputs)),
        f.softmax(outputs) if notation.loss == "classes" else None,
        notation.says(outputs),
        None if wanted is None else notation.right(wanted, len(outputs)),
        L_of(Tensor(outputs)).item(),
        trained,
        traced(checkpoint.untrained_network()),
        deciding,
        largest,
        {t: _changed(network, inputs, t, notation, L_of) for t in sorted({*deciding[:TRIED], *largest})},
    )


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


def _drawn(checkpoint: Checkpoint, seed: int) -> tuple[Inputs, Any]:
    """A sequence of the run's task, up to the step of its last answer, and that answer."""
    try:
        task, _ = checkpoint.settings.build()
    except OSError as error:
        raise ValueError(f"the run's data {error.filename!r} cannot be read: {error.strerror or error}") from error
    if as_plain("about", task.about()) != checkpoint.about["task"]:
        raise ValueError(f"the data of the task {task.name} has changed since the run")
    batch = task.batch(np.random.default_rng(seed), 1)
    step, _ = batch.positions
    return batch.x[: step[task.asked] + 1, 0], batch.y[task.asked]


def _read(checkpoint: Checkpoint, text: str) -> Inputs:
    """A text as the run's network reads it. Raises ValueError for what it cannot."""
    task, notation = checkpoint.settings.task, checkpoint.notation
    if notation.symbols is None:
        raise ValueError(f"the task {task} reads numbers, no text: without a text a sequence is drawn from a seed")
    tokens = tokenize(text, "chars")
    if not tokens:
        raise ValueError("the text is empty: give some characters for the network to read")
    return notation.inputs(tokens, checkpoint.about["inputs"])


def _changed(network: Network, inputs: Inputs, t: int, notation: Notation, L_of: Callable[[Tensor], Tensor]) -> Change:
    """Of every other symbol that could stand at step t, or of 0, the one that makes L least."""
    others, rows = ["0"], np.zeros((1, inputs.shape[1]), np.float32)
    if notation.symbols is not None:
        others = [symbol for symbol in notation.symbols if symbol != notation.tokens(inputs[t : t + 1])[0]]
        rows = notation.inputs(others, inputs.shape[1])
    ends: list[Floats] = []
    for part in np.array_split(rows, -(-len(rows) // 64)):  # of all characters at once memory might not hold the copies
        changed = np.repeat(inputs[:, None], len(part), axis=1)
        changed[t] = part
        ends += list(network.predict(changed)[0][-1].astype(np.float64))
    scores = [L_of(Tensor(y)).item() for y in ends]
    k = int(np.argmin(scores))
    return Change(others[k], notation.says(ends[k]), scores[k])

"""The training loop: draw a batch, judge it, learn from it, until the criterion is met or the steps are used up."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextvars import copy_context
from copy import copy, deepcopy
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from ..arguments import as_plain
from ..optim import Adam, clip_grad_norm
from ..tasks import Exam
from ..tasks.task import LOSSES
from ..tensor import Tensor
from ..whole import Change, becoming, set_all
from .checkpoint import Checkpoint, CheckpointError
from .settings import Settings

_FROM_THE_START = "no weight has moved yet, so the data, or the weights it starts from, are too large"
REPORT = 100  # steps from one report to the next


class Diverged(ArithmeticError):
    """The loss, a gradient, a weight or an examination's score is no longer a finite number."""


class Trainer:
    """A run: its task, network, optimiser, generator and counts, one training step at a time.

    After `step`, `steps` and `sequences` count what has been learnt from; `solved` tells whether the criterion has been
    met, which ends the training. Where nothing is ever solved (text), `best` keeps the network with the lowest held-out
    loss. `reports` has a row for every 100 steps and the last.
    `checkpoint` takes everything, and `resume` gives it back, so that a run that was interrupted goes on to the same
    bits as one that was not. A step is whole or not begun: an exception at any moment of it, Ctrl-C's too, leaves
    the run as it was before the step or as it is after. So a checkpoint may be taken after either.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.task, self.network = settings.build()
        self.parameters = self.network.parameters()
        self.optimiser = Adam(self.parameters, settings.lr)
        self.rng = np.random.default_rng([settings.seed, 1])
        self.errors: npt.NDArray[np.float64] = np.zeros(0)  # of the last sequences, each judged before it was learnt
        self.rights: npt.NDArray[np.bool_] = np.zeros(0, bool)
        self.carried: tuple[Tensor, ...] = ()  # the network's states, for tasks whose sequences go on
        self.steps = 0
        self.solved = False
        self.exam: Exam | None = None
        self.best: tuple[float, int, dict[str, Any]] | None = None  # lowest score, after how many steps, weights
        self.seconds = 0.0  # of training, over all processes
        self.reports: list[dict[str, Any]] = []
        self.recent: list[tuple[float, float]] = []  # the loss and the gradient's norm of the steps not reported yet

    @property
    def sequences(self) -> int:
        """How many sequences have been learnt from (batches of a stream count each stream's piece)."""
        return self.steps * self.settings.batch

    @property
    def error(self) -> float | None:
        """The mean error of the last sequences, None before the first."""
        return float(self.errors.mean()) if len(self.errors) else None

    @property
    def right(self) -> float | None:
        """The share of right ones among the last sequences, None before the first."""
        return float(self.rights.mean()) if len(self.rights) else None

    def step(self) -> float:
        """Learn from one batch; return its loss, from before. Raises Diverged where it is not finite."""
        after = copy(self)  # what the step changes is changed there, or aside, and taken over at once
        after.task, after.rng = copy(self.task), deepcopy(self.rng)
        after.task.restore(self.task.state())
        value, moved = copy_context().run(after._step)  # no block stays open where an exception passes through it
        set_all(moved + becoming(self, after))
        return value

    @np.errstate(over="ignore", invalid="ignore")  # said once, by Diverged
    def _step(self) -> tuple[float, list[Change]]:
        """A step, but for the weights and the optimiser: how these will move is returned, after the loss."""
        start = time.perf_counter()
        self.steps += 1
        batch = self.task.batch(self.rng, self.settings.batch)
        carried = self.carried
        if batch.fresh is not None:  # zeros for the sequences that do not go on
            carried = tuple(Tensor(np.where(batch.fresh[:, None], 0, s.numpy()).astype(s.dtype)) for s in carried)
        outputs, state = self.network(batch.x, batch.at, carried)
        if self.task.carries_state:
            self.carried = state
        loss = LOSSES[self.task.loss](outputs, batch.y)
        value = float(loss.item())
        self.optimiser.zero_grad()
        loss.backward()
        norm = clip_grad_norm(self.parameters, self.settings.clip)
        self._check(value, f"the loss, {value},", self.steps > 1)
        self._check(norm, f"the gradient's norm, {norm},", self.steps > 1)
        criterion = self.task.criterion
        if criterion.window:
            pairs = zip((self.errors, self.rights), self.task.judge(outputs.numpy(), batch), strict=True)
            self.errors, self.rights = (np.concatenate(pair)[-criterion.window :] for pair in pairs)
        moved = self.optimiser._moved()
        weights = np.concatenate([new.reshape(-1) for _, attribute, new in moved if attribute == "_array"])
        self._check(weights, "a weight")
        self.recent = [*self.recent, (value, norm)]
        if not criterion.exam:
            self.solved = self.solved or criterion.met(self.errors, self.rights)
        elif self.steps % REPORT == 0 and criterion.met(self.errors, self.rights):
            self._examine(moved)
        self.seconds += time.perf_counter() - start
        if self.steps % REPORT == 0 or self.finished:
            self.reports, self.recent = [*self.reports, self._report()], []
        return value, moved

    def _check(self, values: npt.ArrayLike, what: str, moved: bool = True) -> None:
        """Raise Diverged for numbers that are not finite; `moved` tells whether they are of weights that have moved."""
        if not np.isfinite(values).all():
            how = f"try an lr below {self.settings.lr:g} or a clip below {self.settings.clip:g}"
            raise Diverged(f"{what} is not finite at step {self.steps}: {how if moved else _FROM_THE_START}")

    def _examine(self, moved: list[Change]) -> None:
        """The task's examination of the network as it will be."""
        network, changes = deepcopy((self.network, [c for c in moved if isinstance(c[0], Tensor)]))
        set_all(changes)
        self.exam = self.task.examine(lambda x: network.predict(x)[0])
        self._check(self.exam.score, f"the examination's score, {self.exam.score},")
        if self.task.criterion.stop:
            self.solved = self.solved or self.exam.passed
        elif self.best is None or self.exam.score < self.best[0]:
            self.best = self.exam.score, self.steps, network.state_dict()

    def _report(self) -> dict[str, Any]:
        """The numbers since the last report, for a line of metrics."""
        loss, norm = (float(np.mean(x)) for x in zip(*self.recent, strict=True))
        return {
            "step": self.steps, "sequences": self.sequences, "loss": loss,
            "baseline": float(self.task.baseline.loss), "error": self.error, "right": self.right,
            "exam": None if self.exam is None else float(self.exam.score), "norm": norm, "solved": self.solved,
            "seconds": round(self.seconds, 3),
        }  # fmt: skip

    def run(self) -> Iterator[dict[str, Any] | None]:
        """Train to the end: after each step its report where it has one (every 100 steps and at the end), else None."""
        while not self.finished:
            self.step()
            yield None if self.recent else self.reports[-1]

    @property
    def finished(self) -> bool:
        """Whether the steps are used up, or the task is solved."""
        return self.steps >= self.settings.steps or self.solved

    # ── going on later ─────────────────────────────────────────────────────────────────────────

    def checkpoint(self) -> Checkpoint:
        """Everything, as arrays and plain values."""
        parts = {
            "weights": self.network.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "task": self.task.state(),
            "best": {} if self.best is None else self.best[2],
            "window": {"errors": self.errors, "rights": self.rights},
            "carried": {str(k): s.numpy() for k, s in enumerate(self.carried)},
        }
        arrays = {f"{part}/{name}": array for part, values in parts.items() for name, array in values.items()}
        about: dict[str, Any] = {
            "settings": self.settings.as_dict(),
            **{k: getattr(self.task, k) for k in ("inputs", "outputs", "length")},
            **{k: getattr(self, k) for k in ("steps", "sequences", "seconds", "recent")},
            "solved": self.solved if self.task.criterion.stop else None,
            "task": self.task.about(),
            "baseline": [self.task.baseline.loss, self.task.baseline.how],
            "criterion": self.task.criterion.text,
            "exam": None if self.exam is None else asdict(self.exam),
            "best_score": self.best and self.best[0],
            "best_steps": self.best and self.best[1],
            "generator": self.rng.bit_generator.state,
        }
        cell = None if isinstance(self.settings.cell, str) else self.settings.cell
        return Checkpoint(arrays, as_plain("the run", about) | {"reports": [*self.reports]}, cell)

    def _repr_html_(self) -> str:
        """In a notebook: whether it is solved, the loss so far beside the baseline, and the settings."""
        return self.checkpoint()._repr_html_()


def resume(checkpoint: Checkpoint, steps: int | None = None) -> Trainer:
    """The run of a checkpoint, where it was; `steps` changes after how many it ends.

    Raises ValueError for other data than the run had, and, as CheckpointError, for a checkpoint that no run wrote.
    """
    settings, about, part = checkpoint.settings, checkpoint.about, checkpoint.part
    run = Trainer(settings if steps is None else replace(settings, steps=steps))
    if about["task"] != as_plain("about", run.task.about()):
        raise ValueError(f"the data of the task {run.task.name} has changed since the checkpoint")
    try:
        run.network.load_state_dict(part("weights"))
        run.optimiser.load_state_dict(part("optimiser"))
        run.task.restore(part("task"))
        run.errors, run.rights = part("window")["errors"].astype(np.float64), part("window")["rights"].astype(bool)
        run.carried = tuple(map(Tensor, part("carried").values()))
        run.steps, run.seconds, run.solved = about["steps"], about["seconds"], bool(about["solved"])
        run.exam = None if about["exam"] is None else Exam(**about["exam"])
        if about["best_steps"] is not None:
            run.best = float(about["best_score"]), about["best_steps"], part("best")
        run.reports, run.recent = [*about["reports"]], [(loss, norm) for loss, norm in about["recent"]]
        run.rng.bit_generator.state = about["generator"]
    except (TypeError, ValueError, KeyError, OverflowError) as error:
        raise CheckpointError(f"no run wrote this checkpoint: {type(error).__name__}: {error}") from error
    return run

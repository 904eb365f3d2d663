"""What a run is: everything that decides its numbers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Any

from ..arguments import as_number, as_plain, as_size
from ..kinds import Kind, kind_name
from ..tasks import Task, make
from .model import Network, check_kind


@dataclass(frozen=True)
class Settings:
    """Two runs with equal settings have bit-identical weights after equally many steps (on one machine).

    task: its name, with the options that build it (`length`, `data`). cell: lstm, lstm1997 (no forget gate), rnn, bag
    or a class of `Cell`. init: see `Network`; chrono is for lags up to 1.1 times the length. steps: how many batches at
    most. lr, clip: of Adam and the gradient's norm before it. seed: of weights and data.

    NumPy's scalars and paths are taken, and kept as Python's numbers and text. Raises ValueError for values out of
    range and options that contradict each other, TypeError for what is no such number and what a file cannot keep.
    """

    task: str
    options: dict[str, Any] = field(default_factory=dict)
    cell: Kind = "lstm"
    hidden: int = 16
    forget_bias: float = 1.0
    init: str = "uniform"
    steps: int = 6000
    lr: float = 1e-2
    clip: float = 1.0
    batch: int = 32
    seed: int = 0

    def __post_init__(self) -> None:
        read: dict[str, Callable[[str, Any], Any]] = dict.fromkeys(("forget_bias", "lr", "clip"), as_number)
        read |= dict.fromkeys(("hidden", "steps", "batch"), as_size) | {"seed": partial(as_size, least=0)}
        read["cell"] = lambda name, value: value if isinstance(value, type) else as_plain(name, value)
        for name, value in vars(self).items():
            object.__setattr__(self, name, read.get(name, as_plain)(name, value))
        if not isinstance(self.options, dict):
            raise TypeError(f"options must be a dict, got {self.options!r:.80}")
        check_kind(self.cell, self.init)
        for name in ("lr", "clip"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be a number above 0, got {getattr(self, name)}")

    def build(self) -> tuple[Task, Network]:
        """The task and the untrained network."""
        task = make(self.task, **self.options)
        if self.cell == "bag" and not task.last_only:
            raise ValueError(f"a bag sees the whole sequence: it cannot be asked at every step, as {self.task} does")
        return task, self.network(task.inputs, task.outputs, task.length)

    def network(self, inputs: int, outputs: int, length: int) -> Network:
        """The untrained network for a task of these sizes."""
        T_max = max(2, length + length // 10)  # the longest lag of a task whose lengths go from T to 1.1 T
        sizes, seed = (self.cell, self.hidden, self.forget_bias, self.init, T_max), [self.seed, 0]
        return Network(inputs, outputs, *sizes, seed)

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON; of a class its name."""
        return asdict(self) | {"cell": kind_name(self.cell)}

    def title(self) -> str:
        """The run in a few words."""
        how = f", forget bias {self.forget_bias:g}" if self.cell == "lstm" else ""
        if self.init != "uniform":
            how = f", {self.init}"
        return f"{self.task}, {kind_name(self.cell)} H{self.hidden}{how}, seed {self.seed}"

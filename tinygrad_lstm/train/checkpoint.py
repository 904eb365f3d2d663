"""Checkpoints: everything a run needs to go on, in one npz file without pickle, written whole or not at all."""

from __future__ import annotations

import io
import json
import os
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from types import NoneType
from typing import Any

import numpy as np
import numpy.typing as npt

from ..files import all_or_nothing, read_whole
from ..nn import Cell
from ..tasks import Notation, find
from ..tasks.notation import named
from .model import KINDS, Network
from .settings import Settings

CURRENT, METRICS = "checkpoint.npz", "metrics.jsonl"
FORMAT = "tinygrad-lstm checkpoint 2"

# What `Checkpoint.about` must say for a run to go on, and as what.
_ABOUT: dict[str, tuple[type, ...]] = {
    "settings": (dict,), "task": (dict,), "generator": (dict,), "inputs": (int,), "outputs": (int,), "length": (int,),
    "steps": (int,), "sequences": (int,), "seconds": (float, int), "solved": (bool, NoneType), "exam": (dict, NoneType),
    "best_score": (float, int, NoneType), "best_steps": (int, NoneType), "recent": (list,), "reports": (list,),
}  # fmt: skip


class CheckpointError(ValueError):
    """A checkpoint that cannot be used, named, with the reason."""


@dataclass(frozen=True)
class Checkpoint:
    """Everything of a run at one moment, from which it goes on to the same bits.

    arrays: by names such as "weights/readout.W". about: what JSON can say (settings, sizes, generator, counts,
    reports). cell: the class of a run's own cell, of which the file holds the name alone: reading it runs no code.
    """

    arrays: dict[str, npt.NDArray[Any]]
    about: dict[str, Any]
    cell: type[Cell] | None = field(default=None, compare=False)

    def part(self, name: str) -> dict[str, npt.NDArray[Any]]:
        """The arrays whose names begin with "name/", without that."""
        return {k.removeprefix(f"{name}/"): v for k, v in self.arrays.items() if k.startswith(f"{name}/")}

    @property
    def settings(self) -> Settings:
        """The run's settings."""
        values = self.about["settings"]
        name, given = values.get("cell"), self.cell and self.cell.__name__
        own = isinstance(name, str) and name.isidentifier() and name not in KINDS
        if own and not given:
            raise CheckpointError(f"its cell {name} is not built in: give its class again, as cell={name}")
        if given and given != name:
            raise CheckpointError(f"its cell is {name!r}, not {given}" + ("" if own else f": leave out cell={given}"))
        return Settings(**values | ({"cell": self.cell} if own else {}))

    @property
    def notation(self) -> Notation:
        """How steps and answers of the run's task are written."""
        return find(self.settings.task).notation(self.about["task"])

    def best_network(self) -> Network:
        """The network with the weights that did best on held-out data, the last where none were kept.

        It needs neither the task nor its data.
        """
        weights, sizes = self.part("best") or self.part("weights"), (self.settings.hidden, self.about["outputs"])
        # before anything is made: a file may claim sizes that would fill the memory
        least = self.about["inputs"] * (self.settings.hidden if self.cell is None else 1)
        if least > sum(a.size for a in weights.values()) or weights["readout.W"].shape != sizes:
            raise ValueError("its weights do not have the sizes that it claims")
        try:
            network = self.untrained_network()
            network.load_state_dict(weights)
        except Exception as error:
            if self.cell is None:
                raise
            why = f"{type(error).__name__}: {error}"
            raise CheckpointError(f"its weights do not fit this {self.cell.__name__}: {why}") from error
        return network

    def untrained_network(self) -> Network:
        """The network with the weights that the run began with."""
        return self.settings.network(self.about["inputs"], self.about["outputs"], self.about["length"])

    def to_bytes(self) -> bytes:
        """The file."""
        head = {"format": FORMAT, "arrays": [*self.arrays]}
        about = json.dumps(head | self.about, allow_nan=False).encode()
        file = io.BytesIO()
        members: dict[str, Any] = {"about": np.frombuffer(about, np.uint8), **self.arrays}
        np.savez(file, **members)
        return file.getvalue()

    def _repr_html_(self) -> str:
        """In a notebook: how the run went."""
        from ..notebook import run  # pages live upstairs; showing itself is how a notebook calls

        exam = self.about["exam"]
        said = {"settings": self.settings.as_dict(), "exam": exam and named(exam["found"])}
        return run(self.settings.title(), self.about | said, self.about["reports"])


def save(directory: str | os.PathLike[str], checkpoint: Checkpoint) -> None:
    """Write checkpoint.npz into a run's directory, made where it is missing, and beside it what others may read.

    That is config.json, the settings and how many parameters are trained, and metrics.jsonl, a line of JSON a report.
    A kill at any moment leaves a whole checkpoint.npz. Raises OSError where the system refuses.
    """
    config = checkpoint.about["settings"] | {"parameters": sum(a.size for a in checkpoint.part("weights").values())}
    rows = (json.dumps(row, allow_nan=False) + "\n" for row in checkpoint.about["reports"])
    with all_or_nothing(directory) as staging:
        (staging / "config.json").write_text(json.dumps(config, indent=2) + "\n", "utf-8")
        (staging / METRICS).write_text("".join(rows), "utf-8")
        (staging / CURRENT).write_bytes(checkpoint.to_bytes())


def locate(run: str | os.PathLike[str]) -> Path:
    """The checkpoint of a run: of its directory, or a file itself."""
    path = Path(run)
    return path / CURRENT if os.path.isdir(path) else path  # for a name too long too


def load(run: str | os.PathLike[str], cell: type[Cell] | None = None) -> Checkpoint:
    """Read a checkpoint and see that it is whole: a run's directory, or a file; `cell` is the class of its own cell.

    Raises OSError where the file cannot be read, CheckpointError, with the file's name and the reason, where it is
    damaged, truncated, or no checkpoint, and where the cell is missing or not the one that was trained.
    """
    path = locate(run)
    data = read_whole(path)
    try:
        return _read(data, cell)
    except CheckpointError as error:  # of the cell: the file may be whole
        raise CheckpointError(f"{path}: {error}") from error
    except Exception as error:  # whatever zip, NumPy and JSON say of bytes that no run wrote
        why = " ".join(f"{type(error).__name__}: {error}".split())
        raise CheckpointError(f"{path} is damaged or no checkpoint: {why}") from error


def _read(data: bytes, cell: type[Cell] | None) -> Checkpoint:
    archive: Any = np.lib.npyio.NpzFile(io.BytesIO(data), allow_pickle=False)
    with archive as file:
        if sum(member.file_size for member in file.zip.infolist()) > len(data):
            raise ValueError("it claims to hold more than its own size")  # and would fill the memory
        arrays = {name: file[name] for name in file.files}  # reading checks each one's checksum
    about = json.loads(arrays.pop("about").tobytes())
    if about.pop("format") != FORMAT:
        raise ValueError(f"it is not in the format {FORMAT!r}")
    if about.pop("arrays") != [*arrays]:
        raise ValueError("it does not hold the arrays that it names")
    for name, kinds in _ABOUT.items():
        if type(about[name]) not in kinds:
            raise TypeError(f"its {name} cannot be {about[name]!r:.60}")
    for name, array in arrays.items():
        if array.dtype.kind not in "fiub":
            raise TypeError(f"its {name} holds {array.dtype}, not real numbers")
    checkpoint = Checkpoint(arrays, about, cell)
    symbols = checkpoint.notation.symbols
    if symbols is not None and len(symbols) != max(about["inputs"], 2):
        raise ValueError("it does not name the symbols that its network reads")
    checkpoint.best_network()
    return checkpoint


def clean(directory: Path) -> None:
    """Remove what a killed process was in the middle of writing."""
    for staging in directory.glob(".writing-*"):
        shutil.rmtree(staging, ignore_errors=True)

"""Checkpoints: everything a run needs to go on, in one npz file without pickle, written whole or not at all."""

from __future__ import annotations

import io
import json
import os
import shutil
import zipfile
import zlib
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..files import read_whole, write_atomically
from ..nn import Cell
from ..optim import Adam
from ..tasks import TASKS, Notation
from ..tasks.notation import named
from .model import KINDS, Network
from .settings import Settings

CURRENT, CONFIG, METRICS = "checkpoint.npz", "config.json", "metrics.jsonl"
FORMAT = "tinygrad-lstm checkpoint 1"

# What `Checkpoint.about` must say for a run to go on, and as what: a tuple is a choice, a list may also be null. An
# examination was once kept in words.
_ABOUT: dict[str, Any] = {
    "settings": dict, "inputs": int, "outputs": int, "length": int, "task": dict, "steps": int, "sequences": int,
    "solved": (bool, type(None)), "exam": [bool, float, (dict, str)], "best": [float, int], "seconds": float,
    "generator": dict,
}  # fmt: skip


class CheckpointError(ValueError):
    """A checkpoint that cannot be used, named, with the reason."""


@dataclass(frozen=True)
class Checkpoint:
    """Everything of a run at one moment, from which it goes on to the same bits.

    arrays: by names such as "weights/readout.W". about: what JSON can say (settings, sizes, generator, counts).
    metrics: the reports of the run up to here, kept in a file of their own. cell: the class of a run's own cell, of
    which the file holds the name alone: reading it runs no code.
    """

    arrays: dict[str, npt.NDArray[Any]]
    about: dict[str, Any]
    metrics: list[dict[str, Any]] = field(default_factory=list, repr=False, compare=False)
    cell: type[Cell] | None = field(default=None, compare=False)

    def part(self, name: str) -> dict[str, npt.NDArray[Any]]:
        """The arrays whose names begin with "name/", without that."""
        return {k.removeprefix(f"{name}/"): v for k, v in self.arrays.items() if k.startswith(f"{name}/")}

    @property
    def settings(self) -> Settings:
        """The run's settings."""
        values = {k: v for k, v in self.about["settings"].items() if k != "T_max"}  # a setting of before
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
        return TASKS[self.settings.task].notation(self.about["task"])

    def network(self) -> Network:
        """The network with its last weights; needs neither the task nor its data."""
        return self._network("weights")

    def best_network(self) -> Network:
        """The network with the weights that did best on held-out data, the last where none were kept."""
        return self._network("best" if self.part("best") else "weights")

    def untrained_network(self) -> Network:
        """The network with the weights that the run began with."""
        return self.settings.network(self.about["inputs"], self.about["outputs"], self.about["length"])

    def _network(self, part: str) -> Network:
        weights, settings = self.part(part), self.settings
        inputs, outputs, hidden = self.about["inputs"], self.about["outputs"], settings.hidden
        rows = inputs if settings.cell == "bag" else hidden + inputs
        matrices = [a.shape for name, a in weights.items() if name.startswith("layer.") and a.ndim == 2]
        # before anything is made: a file may claim sizes that would fill the memory
        fits = (rows, hidden) in matrices if self.cell is None else inputs <= sum(a.size for a in weights.values())
        if not fits or weights["readout.W"].shape != (hidden, outputs):
            raise ValueError("its weights do not have the sizes that it claims")
        network = self.untrained_network()
        try:
            network.load_state_dict(weights)
        except (KeyError, ValueError) as error:
            if self.cell is None:
                raise
            raise CheckpointError(f"this {self.cell.__name__} has other parameters: {error.args[0]}") from error
        return network

    def check(self) -> None:
        """See that it is what `Trainer.checkpoint` makes. Raises ValueError, KeyError or TypeError where it is not."""
        for name, kind in _ABOUT.items():
            if not _is(self.about[name], kind):
                raise TypeError(f"its {name} cannot be {self.about[name]!r:.60}")
        for name, array in self.arrays.items():
            if array.dtype.kind not in "fiub":
                raise TypeError(f"its {name} holds {array.dtype}, not real numbers")
        if self.settings.task not in list(TASKS):  # a list too can be asked for in a list
            raise ValueError(f"no task is called {self.settings.task!r:.60}")
        unit, symbols = self.notation.unit, self.notation.symbols
        if unit != "value" and not (isinstance(symbols, str) and len(symbols) == max(self.about["inputs"], 2)):
            raise ValueError(f"it does not name the {unit}s that its network reads")
        self.best_network()
        Adam(self.network().parameters()).load_state_dict(self.part("optimiser"))

    def to_bytes(self) -> bytes:
        """The file."""
        head = {"format": FORMAT, **self.about}
        about = json.dumps(head, allow_nan=False).encode()
        file = io.BytesIO()
        members: dict[str, Any] = {"about": np.frombuffer(about, np.uint8), **self.arrays}
        np.savez(file, **members)
        return file.getvalue()

    def _repr_html_(self) -> str:
        """In a notebook: how the run went."""
        from ..notebook import run  # pages live upstairs; showing itself is how a notebook calls

        found = self.about["exam"] and self.about["exam"][2]
        said = {"settings": self.settings.as_dict(), "exam": named(found) if isinstance(found, dict) else found}
        return run(self.settings.title(), self.about | said, self.metrics)


def begin(directory: str | os.PathLike[str], checkpoint: Checkpoint) -> None:
    """Make a run's directory, with config.json: its settings and how many parameters it trains. Raises OSError."""
    config = checkpoint.about["settings"] | {"parameters": sum(a.size for a in checkpoint.part("weights").values())}
    write_atomically(Path(directory) / CONFIG, json.dumps(config, indent=2) + "\n")


def save(directory: str | os.PathLike[str], checkpoint: Checkpoint) -> None:
    """Write metrics.jsonl, a line of JSON a report, and checkpoint.npz into a run's directory.

    A kill at any moment leaves a whole checkpoint.npz. Raises OSError where the system refuses.
    """
    directory = Path(directory)
    rows = (json.dumps(row, allow_nan=False) + "\n" for row in checkpoint.metrics)
    write_atomically(directory / METRICS, "".join(rows))
    write_atomically(directory / CURRENT, checkpoint.to_bytes())


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
        checkpoint = replace(_read(data), cell=cell)
        checkpoint.check()
    except CheckpointError as error:  # of the cell: the file may be whole
        raise CheckpointError(f"{path}: {error}") from error
    except (
        ValueError, KeyError, TypeError, AttributeError, EOFError, OSError, NotImplementedError, RuntimeError,
        OverflowError, MemoryError, zipfile.BadZipFile, zlib.error,
    ) as error:  # fmt: skip
        why = " ".join(str(error.args[0] if isinstance(error, KeyError) else error).split()) or type(error).__name__
        raise CheckpointError(f"{path} is damaged or no checkpoint: {why}") from error
    if path.name != CURRENT:
        return checkpoint
    rows = read_metrics(path.parent / METRICS)
    return replace(checkpoint, metrics=[row for row in rows if row["step"] <= checkpoint.about["steps"]])


def _read(data: bytes) -> Checkpoint:
    if not data.startswith(b"PK"):
        raise ValueError("it is not an npz file" if data else "it is empty")
    with np.load(io.BytesIO(data), allow_pickle=False) as file:
        names = set(file.files)
        if sum(member.file_size for member in file.zip.infolist()) > len(data):
            raise ValueError("it claims to hold more than its own size")  # and would fill the memory
        if "about" not in names:
            raise ValueError("it holds no description of a run")
        arrays = {name: file[name] for name in file.files}  # reading checks each one's checksum
    about = json.loads(arrays.pop("about").tobytes())
    if not isinstance(about, dict) or about.get("format") != FORMAT:
        raise ValueError(f"it is not in the format {FORMAT!r}")
    return Checkpoint(arrays, {k: v for k, v in about.items() if k not in ("format", "digest")})  # one of before


def _is(value: Any, kind: Any) -> bool:
    """Whether JSON gave the type; a whole number may stand for a float, but True not for a number."""
    if isinstance(kind, tuple):
        return any(_is(value, one) for one in kind)
    if isinstance(kind, list):
        return value is None or (type(value) is list and len(value) == len(kind) and all(map(_is, value, kind)))
    return type(value) is kind or (kind is float and type(value) is int)


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """The rows of a metrics file; a line that a kill cut off is left out, and a missing file has none."""
    rows = []
    for line in path.read_text("utf-8", errors="replace").splitlines() if path.exists() else ():
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(row, dict) and isinstance(row.get("step"), int):
            rows.append(row)
    return rows


def clean(directory: Path) -> None:
    """Remove what a killed process was in the middle of writing."""
    for staging in directory.glob(".writing-*"):
        shutil.rmtree(staging, ignore_errors=True)

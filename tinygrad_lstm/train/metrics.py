"""How a run stands: the last sequences against the criterion, and the rows of metrics.jsonl."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..tasks import Criterion


@dataclass(frozen=True)
class Window:
    """Errors and rights of the last sequences of the training, each judged before the network learnt from it."""

    criterion: Criterion
    errors: npt.NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    rights: npt.NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, bool))

    def with_new(self, errors: npt.NDArray[np.float64], rights: npt.NDArray[np.bool_]) -> Window:
        """The window after sequences that have come, the newest last."""
        both = zip((self.errors, self.rights), (errors, rights), strict=True)
        return Window(self.criterion, *(np.concatenate(pair)[-self.criterion.window :] for pair in both))

    @property
    def met(self) -> bool:
        """Whether what the criterion asks of the window is met; a window that is not full never is."""
        c = self.criterion
        if len(self.errors) < c.window:
            return False
        few_wrong = c.wrong is None or int((~self.rights).sum()) <= c.wrong
        return few_wrong and (c.mean_error is None or float(self.errors.mean()) < c.mean_error)

    @property
    def error(self) -> float | None:
        """The mean error, None before the first sequence."""
        return float(self.errors.mean()) if len(self.errors) else None

    @property
    def right(self) -> float | None:
        """The share of right sequences, None before the first."""
        return float(self.rights.mean()) if len(self.rights) else None


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

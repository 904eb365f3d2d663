"""One HTML file from its parts: template, style, scripts and data, with a policy that lets nothing else run."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Any

from ..flow.sequence import Passage
from ..nn import Cell, Linear
from .data import of_network, of_words

# In this order: each needs those before it.
SCRIPTS = (
    "engine.js", "random.js", "writing.js", "shapes.js", "picture.js", "strip.js", "charts.js", "model.js",
    "sentences.js", "challenges.js", "page.js",
)  # fmt: skip


def page(
    text: str,
    hidden_size: int = 4,
    forget_bias: float = 1.0,
    seed: int = 0,
    cells: Mapping[str, Cell] | None = None,
) -> str:
    """The explorer of a text as one HTML file: untrained cells of that size and seed, an LSTM above a plain RNN.

    `cells` are others to show, by the name each goes by: any `nn.Cell` in float64, the first above the second; with
    them hidden_size and forget_bias have no use. The page asks for nothing from outside and computes in float64 what
    its controls ask for; when it opens it holds its numbers against those that the engine measured. Raises ValueError
    for an empty text, more than 200 words, sizes below 1, and a cell whose step cannot be read, with the reason.
    """
    return _html(of_words(text, hidden_size, forget_bias, seed, cells))


def page_of_network(
    trained: tuple[Passage, Linear],
    untrained: tuple[Passage, Linear],
    loss: str,
    symbols: Sequence[str] | None,
    answers: Sequence[str],
    name: str,
) -> str:
    """The explorer of a trained network on one sequence as one HTML file, beside itself before training.

    Each of the two is its cell's passage over the sequence and its readout. `loss` ("classes", "bits", "squared") says
    how L is read from the outputs, which are called `answers`. A user may type other sequences of `symbols`, which are
    one-hot (or -1 and 1 where there is one input); None for a network that reads numbers. Raises ValueError for more
    than 200 steps and a network too large for a page.
    """
    return _html(of_network(trained, untrained, loss, symbols, answers, name))


def _html(data: dict[str, Any]) -> str:
    scripts = [_source(name) for name in SCRIPTS]
    style = _source("style.css")
    policy = "; ".join(
        [
            "default-src 'none'",
            f"style-src {_hash(style)}",
            f"script-src {' '.join(map(_hash, scripts))}",
            "base-uri 'none'",
            "form-action 'none'",
        ]
    )
    parts = {
        "policy": policy,
        "style": f"<style>{style}</style>",
        "data": f'<script type="application/json" id="data">{_embedded(data)}</script>',
        "scripts": "\n".join(f"<script>{script}</script>" for script in scripts),
    }
    return re.sub("@([a-z]+)@", lambda mark: parts[mark[1]], _source("page.html"))


def _source(name: str) -> str:
    return files(__package__).joinpath(name).read_text(encoding="utf-8")


def _hash(source: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(source.encode()).digest()).decode()}'"


def _embedded(data: dict[str, Any]) -> str:
    """JSON that cannot end the element it stands in: every < is written as an escape."""
    return json.dumps(data, allow_nan=False).replace("<", r"\u003c")

"""The DOT text of whole pictures, compared with files that were looked at.

After a change that is meant to show, write them anew and look at the difference:

    UPDATE_GOLDEN=1 pytest tests/views/test_golden.py; git diff tests/views/golden
"""

import os
from pathlib import Path

import numpy as np
import pytest

import tinygrad_lstm as tl

GOLDEN = Path(__file__).parent / "golden"


def user_graph(unrolled):
    x = tl.tensor([[1.0, -2.0]], requires_grad=True, name="x")
    W = tl.nn.Parameter(np.array([[1.0, 0.5], [0.0, -1.0]]), name="W_y")
    with tl.scope("layer"):
        y = tl.sigmoid(x @ W)
    y.name = "y <&>"
    loss = (y * y + x * 2.0).sum()
    loss.name = "loss"
    return tl.draw(loss, titles=["A | title"])


PICTURES = {
    "lstm_step": lambda unrolled: tl.draw(unrolled(tl.nn.LSTMCell(1, 2), 1)),
    "rnn_two_steps": lambda unrolled: tl.draw(unrolled(tl.nn.RNNCell(1, 2), 2, loss="all"), labels=["ein", "Wort"]),
    "strip": lambda unrolled: tl.draw(unrolled(tl.nn.LSTMCell(1, 2), 3), detail="step", titles=["Three"]),
    "user_graph": user_graph,
    "not_computed": lambda unrolled: tl.draw(tl.tanh(tl.tensor([1.0], requires_grad=True, name="x")), gradients=False),
}


@pytest.mark.parametrize("name", PICTURES)
def test_the_picture_is_as_it_was_when_it_was_looked_at(name, unrolled):
    drawing = PICTURES[name](unrolled)
    assert drawing.pipe("svg")
    path = GOLDEN / f"{name}.gv"
    if os.environ.get("UPDATE_GOLDEN"):
        drawing.save(path)
    assert drawing.source.splitlines() == path.read_text(encoding="utf-8").splitlines()


def test_every_golden_file_has_its_picture():
    assert {path.stem for path in GOLDEN.glob("*.gv")} == set(PICTURES)

"""Make the pictures of the README and the docs anew: `python docs/make_pictures.py`. Each is of a graph that ran.

The picture of the explorer needs the extra `browser` and a Chromium; without them it stays as it is.
"""

import shutil
import tempfile
from pathlib import Path

import numpy as np

import tinygrad_lstm as tl
from tinygrad_lstm.flow.sequence import TracedSequence, embed, trace_sequence
from tinygrad_lstm.kinds import make_cell

PICTURES = Path(__file__).parent / "pictures"


SENTENCE = "the cities that I have seen in my life are ..."


def passages() -> list[TracedSequence]:
    """The README's sentence through both cells, as `tinygrad-lstm explain` runs it."""
    words = SENTENCE.split()
    cells = [make_cell(kind, 8, 8) for kind in ("lstm", "rnn")]
    return [trace_sequence(cell, embed(words, 8), words) for cell in cells]


def one_step(cell: tl.nn.LSTMCell, seed: int = 0) -> tl.Tensor:
    """L = half the squared distance of h from a target; states, input and target from the seed."""
    rng = np.random.default_rng(seed)
    h = tl.tensor(0.2 * rng.standard_normal(cell.hidden_size), requires_grad=True, name="h0")
    c = tl.tensor(0.3 * rng.standard_normal(cell.hidden_size), requires_grad=True, name="c0")
    target = tl.tensor(rng.standard_normal(cell.hidden_size), name="y")
    h, c = cell(tl.tensor(rng.standard_normal(cell.input_size), requires_grad=True, name="x"), (h, c))
    missing = h - target
    missing.name = "h − y"
    loss = (missing * missing).sum() * 0.5
    loss.name = "L"
    return loss


def explorer(out: Path) -> None:
    """The first screen of the page that `tinygrad-lstm explore` writes for the README's sentence."""
    from playwright.sync_api import sync_playwright

    from tinygrad_lstm.cli import main as command

    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        page = Path(folder) / "page.html"
        command(["explore", SENTENCE, "--out", str(page), "--quiet"])
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        screen = browser.new_page(viewport={"width": 1400, "height": 900}, color_scheme="light")
        screen.goto(page.as_uri())
        screen.screenshot(path=out)
        browser.close()


def main() -> None:
    found, lstm = passages(), tl.nn.LSTMCell(2, 3)
    strip = tl.draw(*(p.flow for p in found), titles=[p.title for p in found], labels=SENTENCE.split())
    strip.save(PICTURES / "lstm_over_rnn.svg")
    tl.draw(one_step(lstm), titles=["LSTM, one step"]).save(PICTURES / "lstm_step.svg")
    if shutil.which("chromium"):
        explorer(PICTURES / "explorer.png")


if __name__ == "__main__":
    main()

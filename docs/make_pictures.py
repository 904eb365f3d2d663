"""Make the pictures of the README and the docs anew: `python docs/make_pictures.py`. Each is of a graph that ran.

The picture of the explorer needs the extra `browser` and a Chromium; without them it stays as it is.
"""

import shutil
import tempfile
from pathlib import Path

import numpy as np

import tinygrad_lstm as tl

PICTURES = Path(__file__).parent / "pictures"


def unrolled(cell: tl.nn.RNNCell | tl.nn.LSTMCell, steps: int, seed: int = 0) -> tl.Tensor:
    """L = half the squared distance of h_T from a target; states, inputs and target from the seed."""
    rng = np.random.default_rng(seed)
    h = tl.tensor(0.2 * rng.standard_normal(cell.hidden_size), requires_grad=True, name="h0")
    c = tl.tensor(0.3 * rng.standard_normal(cell.hidden_size), requires_grad=True, name="c0")
    target = tl.tensor(rng.standard_normal(cell.hidden_size), name="y")
    for _ in range(steps):
        x = tl.tensor(rng.standard_normal(cell.input_size), requires_grad=True, name="x")
        if isinstance(cell, tl.nn.LSTMCell):
            h, c = cell(x, (h, c))
        else:
            h = cell(x, h)
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
        command(["explore", "the cities that I have seen in my life are ...", "--out", str(page), "--quiet"])
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        screen = browser.new_page(viewport={"width": 1400, "height": 900}, color_scheme="light")
        screen.goto(page.as_uri())
        screen.screenshot(path=out)
        browser.close()


def main() -> None:
    lstm, rnn = tl.nn.LSTMCell(2, 3), tl.nn.RNNCell(2, 3)
    titles = ["LSTM, forget bias 1", "RNN"]
    tl.draw(unrolled(lstm, 3), unrolled(rnn, 3), titles=titles).save(PICTURES / "lstm_over_rnn.svg")
    tl.draw(unrolled(lstm, 1), titles=["LSTM, one step"]).save(PICTURES / "lstm_step.svg")
    tl.draw(unrolled(lstm, 1), backward=True).save(PICTURES / "lstm_backward.svg")
    if shutil.which("chromium"):
        explorer(PICTURES / "explorer.png")


if __name__ == "__main__":
    main()

"""The command walk: its options and its errors."""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tinygrad_lstm.cli import main, own_cell, walk
from tinygrad_lstm.cli.errors import UserError
from tinygrad_lstm.kinds import make_cell
from tinygrad_lstm.nn import Cell, LSTMCell, RNNCell
from tinygrad_lstm.walk import Numbers, page

H, C, X = np.array([0.1, -0.2, 0.3]), np.array([0.4, 0.5, 0.6]), np.array([1.0, 0.0, -1.0, 0.5])
EXAMPLES = Path(__file__).parent.parent.parent / "examples"


def options(*argv: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    walk.arguments(parser)
    return parser.parse_args(argv)


def page_of(capsys: pytest.CaptureFixture[str], *argv: str) -> str:
    walk.run(options(*argv))
    return capsys.readouterr().out


def expected(
    cell: Cell, x: Any = X, state: Any = (H, C), source: str = "seed 0", notation: str | None = "gates", **more: Any
) -> str:
    return page(Numbers(cell, x, state), notation, f"weights from {source}", **more) + "\n"


# ── the command ────────────────────────────────────────────────────────────────────────────────


def test_run_prints_the_page_of_the_usual_vectors(capsys: pytest.CaptureFixture[str]) -> None:
    assert page_of(capsys) == expected(LSTMCell(4, 3))
    assert page_of(capsys, "--seed", "3", "--forget-bias", "-2", "--notation", "gamma") == expected(
        LSTMCell(4, 3, forget_bias=-2, rng=3), source="seed 3", notation="gamma"
    )


def test_the_other_cells(capsys: pytest.CaptureFixture[str]) -> None:
    assert page_of(capsys, "--cell", "rnn") == expected(RNNCell(4, 3), state=H, notation=None)
    old = LSTMCell(4, 3, forget_gate=False)
    assert page_of(capsys, "--cell", "lstm1997") == expected(old)
    for name, states in {"GRUCell": (H,), "CoupledLSTMCell": (H, C)}.items():
        spec = f"{EXAMPLES / 'own_cells.py'}:{name}"
        assert page_of(capsys, "--cell", spec, "--seed", "4") == expected(
            make_cell(own_cell.load_cell_class(spec), 4, 3, seed=4), state=states, source="seed 4", notation=None
        )


def test_a_cell_with_states_of_other_names(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "mine.py"
    file.write_text(
        "import numpy as np\nimport tinygrad_lstm as tl\n\nclass Three(tl.nn.Cell):\n    states = ('a', 'b', 's')\n"
        "    def equations(self, x, a, b, s):\n        return {'a': 0.5 * a + x, 'b': tl.tanh(b) * s, 's': s + a}\n"
    )
    spec = f"{file}:Three"
    for state in (["--state", "s=1,2", "a=3,4"], ["--state", "a=(3,4)", "s=1 2"]):
        text = page_of(capsys, "--cell", spec, *state, "--x", "1,2", "--only", "b")
        assert re.search(r"^   s_prev +1 +2$", text, re.MULTILINE)
        assert re.search(r"^   b_prev +0\.400 +0\.500$", text, re.MULTILINE)
    assert "0.5 * a_prev + x" in page_of(capsys, "--cell", spec, "--x", "1,2,3", "--only", "a")
    with pytest.raises(UserError, match=r"has no state h, only a, b, s"):
        walk.run(options("--cell", spec, "--h", "1,2", "--x", "1,2"))


@pytest.mark.parametrize(
    ("argv", "sizes"),
    [
        (["--h", "-0.1,0.2"], (2, 4)),
        (["--c", "4,5,6,7"], (4, 4)),
        (["--x", "-.5"], (3, 1)),
        (["--h", "-0.1, 0.2", "--c", "1 2", "--x", "-1e-3,2,3"], (2, 3)),
        (["--h=-1"], (1, 4)),
    ],
)
def test_sizes_follow_from_the_vectors(
    capsys: pytest.CaptureFixture[str], argv: list[str], sizes: tuple[int, int]
) -> None:
    assert f"hidden size {sizes[0]}, input size {sizes[1]}," in page_of(capsys, *argv)


@pytest.mark.parametrize("text", ["1,-2,3", "1 -2 3", "(1, -2, 3)"])
def test_vectors_are_understood_with_spaces(capsys: pytest.CaptureFixture[str], text: str) -> None:
    vector = np.array([1.0, -2.0, 3.0])
    assert page_of(capsys, "--h", text, "--c", text) == expected(LSTMCell(4, 3), state=(vector, vector))


def test_the_biases_show_a_cell_state_that_is_kept_exactly(capsys: pytest.CaptureFixture[str]) -> None:
    cell = LSTMCell(4, 3, forget_bias=800)
    assert cell.b_i is not None
    cell.b_i.assign(np.full(3, -800.0))
    argv = ["--forget-bias", "800", "--input-bias", "-800", "--notation", "gamma"]
    text = page_of(capsys, *argv)
    assert text == expected(cell, notation="gamma")
    assert "In this step c<t-1> is kept exactly." in text
    assert "--input-bias" in walk.__doc__
    assert re.search(r"^   ∂c<t>/∂c<t-1> = Γ_f +1 +1 +1$", text, re.MULTILINE)


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        (["--h", "1,2", "--c", "1,2,3"], r"takes c of shape \(1, 2\) .*, got tensor 'c' of shape \(1, 3\)"),
        (["--c", "1,nan,2"], "finite numbers, c holds NaN or infinity"),
        (["--only", "nothing"], "no section is called 'nothing'"),
        (["--cell", "gru"], "no cell is called 'gru': choose from lstm, rnn, lstm1997, and FILE.py:NAME"),
        (["--cell", "rnn", "--forget-bias", "2"], "rnn has no bias b_f that could be 2"),
        (["--cell", "rnn", "--c", "1,2,3"], "rnn has no state c, only h"),
        (["--cell", "rnn", "--notation", "gamma"], "the notations of an LSTM are"),
        (["--x", ",".join(["1.7e308"] * 200)], "finite numbers, .* holds NaN or infinity"),
    ],
)
def test_bad_input_is_one_line(capsys: pytest.CaptureFixture[str], argv: list[str], says: str) -> None:
    option = [f"{argv[0]}={argv[1]}", *argv[2:]]
    with pytest.raises(UserError, match=says) as caught:
        walk.run(options(*option))
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 300
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        (["--forget-bias", "nan"], ""),
        (["--input-bias", "1e9"], ""),
        (["--seed", "-1"], ""),
        (["--x"], "expected at least one argument"),
        (["--h", ""], "expected 1 to 256 numbers, such as 0.1,-0.2,0.3, got ''"),
        (["--h", "1," * 1000], "expected 1 to 256 numbers"),
        (["--c", "1,two,3"], "got '1,two,3'"),
        (["--state", "1,2"], "expected 1 to 256 numbers, such as 0.1,-0.2,0.3, got ''"),
    ],
)
def test_what_the_parser_refuses(argv: list[str], says: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        options(*argv)
    assert re.search(rf"error: argument {argv[0]}: .*{re.escape(says)}", capsys.readouterr().err)


def test_a_cell_that_cannot_be_read_says_why(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text("import tinygrad_lstm as tl\nclass A(tl.nn.Cell):\n    def equations(self, x, h):\n"
                    "        return {'h': h * h.mean()}\n")  # fmt: skip
    with pytest.raises(UserError, match="no walk: sum of values that change"):
        walk.run(options("--cell", f"{file}:A"))


def test_the_help_has_examples_that_run(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my_cells.py").write_text((EXAMPLES / "own_cells.py").read_text(encoding="utf-8"))
    examples = re.findall(r"^  tinygrad-lstm walk ?(.*)$", walk.__doc__ or "", re.MULTILINE)
    assert len(examples) == 7
    for example in examples:
        assert main(["walk", *example.split()]) == 0
        assert ('"local": ' if "--json" in example else "── ") in capsys.readouterr().out

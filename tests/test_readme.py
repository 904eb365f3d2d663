"""The README's Python runs as it stands, its numbers are those of a run, its links and commands exist."""

import io
import re
import shlex
import shutil
import tokenize
from pathlib import Path

import pytest

import tinygrad_lstm as tl
from tinygrad_lstm.cli import main
from tinygrad_lstm.primitives import TABLE
from tinygrad_lstm.tasks import TASKS

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


def test_the_whole_idea_has_as_many_lines_as_its_heading_says() -> None:
    assert "## The whole idea in thirteen lines" in README
    assert sum(bool(line.strip()) for line in blocks("python")[0].splitlines()) == 13


@pytest.mark.parametrize("code", blocks("python"))
def test_python_runs(code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    exec(compile(code, "README.md", "exec"), {"__name__": "__readme__"})
    saved = re.findall(r'\.save\("([^"]+)"\)', code)
    assert saved
    assert all((tmp_path / name).stat().st_size for name in saved)


def test_the_main_job_is_what_the_readme_shows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    command = blocks("sh")[0].split("&&")[1]
    program, *arguments = shlex.split(command)
    assert program == "tinygrad-lstm"
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 0
    printed = capsys.readouterr().out
    for line in blocks("text")[0].splitlines():
        assert line in printed.splitlines()
    for name in re.findall(r"`(\w+\.(?:svg|csv))`", README):
        assert (tmp_path / "pictures" / name).stat().st_size


def test_the_first_picture_is_of_its_run_and_the_readme_says_what_it_shows() -> None:
    import importlib.util

    spec = importlib.util.spec_from_file_location("make_pictures", ROOT / "docs" / "make_pictures.py")
    assert spec is not None
    assert spec.loader is not None
    pictures = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(pictures)
    lstm, rnn = pictures.passages()
    assert shlex.split(blocks("sh")[0].split("&&")[1])[2] == pictures.SENTENCE
    c, h = lstm.norms["c"], rnn.norms["h"]
    shares = c[0] / c[-1], lstm.paths["c"].part / c[-1], h[0] / h[-1]
    said = [f"{100 * share:.2g} %" for share in shares]
    assert said == ["13 %", "3.6 %", "0.36 %"]
    assert all(words in README for words in said)
    drawn = (ROOT / "docs" / "pictures" / "lstm_over_rnn.svg").read_text(encoding="utf-8").replace("&#160;", " ")
    assert all(words in drawn for words in said)


def test_the_training_commands_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "examples").mkdir()
    shutil.copy(ROOT / "examples" / "fables.txt", tmp_path / "examples")
    for line in blocks("console")[0].splitlines():
        _, program, *arguments = shlex.split(line)
        assert program == "tinygrad-lstm"
        short = {"train": ["--steps", "2", "--hidden", "4"], "sample": ["--length", "5"]}.get(arguments[0], [])
        assert main([*arguments, *short]) == 0
    capsys.readouterr()
    assert "There are fifteen toy tasks" in README
    assert len(TASKS) == 15


def test_the_minutes_and_lessons_are_counted() -> None:
    minutes = {"five": 5, "ten": 10, "fifteen": 15, "twenty": 20, "twenty-five": 25}
    pages = [path.read_text(encoding="utf-8") for path in sorted((ROOT / "docs" / "lessons").glob("[0-9]*.md"))]
    start, *words = [word for page in pages for word in re.findall(r"Time:\s(\S+)\sminutes\.", page)]
    lessons = [minutes[word] for word in words]
    assert f"takes {start} minutes" in README
    assert "Then fourteen [lessons](docs/lessons/README.md)" in " ".join(README.split())
    assert len(lessons) == len(pages) - 1 == 14
    assert "a little over three hours of reading" in " ".join(README.split())
    assert 180 < sum(lessons) < 200


def test_the_lines_of_the_derivative_table_are_the_real_ones() -> None:
    table = re.sub(r"\s+", " ", (ROOT / "tinygrad_lstm" / "primitives.py").read_text(encoding="utf-8"))
    for entry in re.split(r"\n(?=\w)", blocks("text")[1].strip()):
        assert re.sub(r"\s+", " ", entry) in table


def test_the_operations_of_the_table_and_of_a_step_are_counted() -> None:
    flow = tl.trace_gradients(tl.nn.LSTMCell(2, 3)(tl.tensor([1.0, 1.0], requires_grad=True))[0].sum())
    ops = [node.op for node in flow.nodes if node.op is not None and node.scopes]
    assert (len(TABLE), len(ops), len(set(ops))) == (36, 18, 6)
    assert "The table has 36 operations; a step of an LSTM takes 18, of six kinds." in " ".join(README.split())


def test_what_is_read_in_one_sitting_is_as_long_as_it_says() -> None:
    layout = {tokenize.NEWLINE, tokenize.NL, tokenize.INDENT, tokenize.DEDENT, tokenize.COMMENT, tokenize.ENCODING}
    lines = 0
    for name in ("primitives", "autodiff", "tensor"):
        code = (ROOT / "tinygrad_lstm" / f"{name}.py").read_bytes()
        found, before = set(), tokenize.NEWLINE
        for token in tokenize.tokenize(io.BytesIO(code).readline):
            if token.type not in layout and not (token.type == tokenize.STRING and before in layout):  # a docstring
                found |= {*range(token.start[0], token.end[0] + 1)}
            before = before if token.type in (tokenize.NL, tokenize.COMMENT) else token.type
        lines += len(found)
    assert f"about {50 * round(lines / 50)} lines of code" in README


def test_the_cell_of_ones_own_is_ten_lines_and_prints_what_the_page_shows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (code,) = (block for block in blocks("python") if "class GRUCell" in block)
    assert "## A cell of your own in ten lines" in README
    assert sum(bool(line.strip()) for line in code[code.index("class") : code.index("\n\n\ncell")].splitlines()) == 10
    monkeypatch.chdir(tmp_path)
    exec(compile(code, "README.md", "exec"), names := {"__name__": "__readme__"})
    assert capsys.readouterr().out == blocks("text")[2]
    assert tl.anatomy(names["cell"]).direct["h"].words == "1 - u"

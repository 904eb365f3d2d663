"""docs/howto: every command and every block of Python of a page runs, in order, and prints what the page shows."""

from __future__ import annotations

import contextlib
import io
import re
import shlex
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from reading import words
from run_lesson import Lesson, within_a_last_digit

from tinygrad_lstm.cli import main
from tinygrad_lstm.tasks import TASKS

HOWTO = Path(__file__).parents[2] / "docs" / "howto"
PAGES = sorted(HOWTO.glob("*.md"))
BLOCK = re.compile(r"^```(python|console)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
COMMAND = re.compile(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", re.MULTILINE)
NEEDS = {"export-to-pytorch": ["torch", "safetensors", "onnx"]}
each_page = pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("howto")


def printed(command: str) -> str:
    """What a command prints."""
    program, *arguments = shlex.split(command)
    assert program == "tinygrad-lstm"
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        assert main(arguments) == 0
    return "".join(f"{line.rstrip()}\n" for line in out.getvalue().splitlines())


@cache
def after_running(path: Path, folder: Path) -> list[tuple[str, str, str]]:
    """Run a page in a folder of its own: of each block and command the code, what the page shows, what was printed."""
    if missing := [name for name in NEEDS.get(path.stem, []) if find_spec(name) is None]:
        pytest.skip(f"the page needs {', '.join(missing)}")
    page = Lesson(path)
    blocks = page.blocks
    ran = []
    here = folder / path.stem
    here.mkdir()
    if "my_cells.py" in page.text:  # the page's first block, saved under this name
        (here / "my_cells.py").write_text(BLOCK.findall(page.text)[0][1], encoding="utf-8")
    tasks = dict(TASKS)
    try:
        with contextlib.chdir(here), np.printoptions():
            for kind, code in BLOCK.findall(page.text):
                if kind == "python":
                    page.blocks, blocks = blocks[:1], blocks[1:]
                    (block,) = page.run(here).blocks
                    ran.append((code, block.shown, str(block.printed)))
                else:
                    for typed, shown in COMMAND.findall(code):
                        got = printed(typed)
                        ran.append((typed, shown or got, got))  # a page need not show what a command prints
    finally:
        TASKS.clear()
        TASKS.update(tasks)
    return ran


@each_page
def test_it_runs_and_prints_what_the_page_shows(path: Path, folder: Path) -> None:
    for code, shown, got in after_running(path, folder):
        assert shows(shown, got), f"{code}\nprinted\n{got}"


@each_page
def test_what_it_trains_is_solved(path: Path, folder: Path) -> None:
    for code, _, got in after_running(path, folder):
        if code.startswith("tinygrad-lstm train"):
            assert "\nsolved after" in got, code


def shows(shown: str, got: str) -> bool:
    """Whether a page shows what was printed; a line `...` stands for lines that it leaves out."""
    parts = re.split(r"^\.\.\.\n", shown, flags=re.MULTILINE)
    lines = got.splitlines(keepends=True)
    for k, part in enumerate(parts):
        count = part.count("\n")
        first, last = k == 0, k == len(parts) - 1
        starts = [0] if first else [len(lines) - count] if last else range(len(lines) - count + 1)
        found = [n for n in starts if n >= 0 and within_a_last_digit(part, "".join(lines[n : n + count]))]
        if not found or (last and len(lines) != found[0] + count):
            return False
        lines = lines[found[0] + count :]
    return True


def test_a_page_that_shows_something_else_is_found() -> None:
    assert shows("a 1.00\n...\nb\n", "a 1.01\nx\nb\n")
    assert shows("...\nb\n...\n", "a\nb\nc\n")
    for wrong in ("a 1.03\n...\nb\n", "a 1.00\nb\n", "a 1.00\n...\nx\n", "...\nc\n...\n", ""):
        assert not shows(wrong, "a 1.01\nx\nb\n")


@each_page
def test_it_is_short_and_its_pictures_are_of_the_run(path: Path, folder: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) < 120
    after_running(path, folder)
    for described, name in re.findall(r"!\[([^\]]*)\]\(pictures/([^)]+)\)", text):
        assert len(described.split()) > 5
        kept, made = (
            words(file.read_text(encoding="utf-8")) for file in (HOWTO / "pictures" / name, folder / path.stem / name)
        )
        assert within_a_last_digit(kept, made)


def test_every_picture_belongs_to_a_page() -> None:
    shown = re.findall(r"\]\(pictures/([^)]+)\)", "".join(path.read_text(encoding="utf-8") for path in PAGES))
    assert sorted(shown) == sorted(path.name for path in (HOWTO / "pictures").iterdir())


def test_the_first_command_of_the_site_is_that_of_the_readme() -> None:
    first = [
        re.search(r"^```sh\n(.*?)^```$", (HOWTO.parent / name).read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
        for name in ("index.md", "../README.md")
    ]
    assert all(first)
    assert first[0][1] == first[1][1]

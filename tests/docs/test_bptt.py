"""docs/bptt.md: its blocks run and print what it shows, and its table explains every line that is printed."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from run_lesson import Lesson, within_a_last_digit

import tinygrad_lstm as tl

DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Lesson:
    return Lesson(DOCS / "bptt.md").run(tmp_path_factory.mktemp("bptt"))


def test_it_runs_and_prints_what_the_page_shows(page: Lesson) -> None:
    for block in page.blocks:
        assert block.printed is not None
        assert within_a_last_digit(block.shown, block.printed), f"line {block.line}\n{block.printed}"


def test_the_table_explains_the_lines_of_a_step_in_their_order(page: Lesson) -> None:
    lines = tl.anatomy(tl.nn.LSTMCell(2, 3)).adjoints
    explained = re.findall(r"^\| `([^`]+)` \|", page.text, re.MULTILINE)
    assert explained == lines[: len(explained)]
    assert [line.split()[0] for line in lines[len(explained) :]][:3] == ["dx", "dW_f", "db_f"]
    assert all(f"`{line}`" in page.text for line in lines if re.match("d[Wb]_f", line))


def test_what_is_said_of_the_programs_is_in_their_text(page: Lesson) -> None:
    lstm, gru = (block.shown for block in page.blocks if "def forward" in block.shown)
    for source, products in ((lstm, 1), (gru, 2)):
        assert len(re.findall(r"^ +product\d", source, re.MULTILINE)) == products
        assert len(re.findall(r"^ +back\d", source, re.MULTILINE)) == products
        assert len(re.findall(r"^ +tanh\(activated", source, re.MULTILINE)) == products


def test_the_cell_of_ones_own_is_that_of_the_how_to_page_and_of_the_example(page: Lesson) -> None:
    (gru,) = (block.code for block in page.blocks if "class GRUCell" in block.code)
    text = gru[: gru.index("\n\n\n")]
    for other in (DOCS / "howto" / "write-my-own-cell.md", DOCS.parent / "examples" / "own_cells.py"):
        assert text in other.read_text(encoding="utf-8")

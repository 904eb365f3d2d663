"""docs/half-truths.md: its code runs, prints what the page shows, and its pictures are of that run."""

from __future__ import annotations

import importlib.util
import re
import sys
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from run_lesson import NUMBER, within_a_last_digit

DOCS = Path(__file__).parent.parent.parent / "docs"
PAGE = (DOCS / "half-truths.md").read_text(encoding="utf-8")


@cache
def maker() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_half_truths", DOCS / "make_half_truths.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


SETUP, SECTIONS = maker().read(PAGE)
TITLES = [section.title for section in SECTIONS]


@cache
def after_running(title: str) -> Any:
    return SECTIONS[TITLES.index(title)].run(SETUP)


@pytest.mark.parametrize("title", TITLES)
def test_every_claim_is_settled_by_its_run(title: str) -> None:
    section = after_running(title)
    assert "assert " in section.code
    assert within_a_last_digit(section.shown, section.output), f"run docs/make_half_truths.py:\n{section.output}"


@pytest.mark.parametrize("title", [section.title for section in SECTIONS if section.torch_code])
def test_what_pytorch_does_is_what_the_page_shows(title: str) -> None:
    pytest.importorskip("torch")
    section = after_running(title)
    assert "assert " in section.torch_code
    printed = section.run_torch()
    assert within_a_last_digit(section.torch_shown, printed), f"run docs/make_half_truths.py:\n{printed}"


@pytest.mark.parametrize("title", TITLES)
def test_every_number_in_the_text_is_in_the_code_or_was_printed(title: str) -> None:
    section = after_running(title)
    prose = re.sub(r"```.*?```|\(pictures/[^)]*\)|`[^`]*`|\(#[^)]*\)", " ", section.text, flags=re.DOTALL)
    prose = re.sub(r"t−1|\b(19|20)\d\d\b|float64", " ", prose).replace("−", "-")
    known = {float(n) for n in NUMBER.findall(section.code + section.shown + section.torch_code + section.torch_shown)}
    stated = {float(n) for n in re.findall(r"(?<![\w.])-?\d+(?:\.\d+)?", prose)}
    assert {abs(n) for n in stated} <= {abs(n) for n in known} | {0.0, 1.0, 2.0}


@pytest.mark.parametrize("title", TITLES)
def test_pictures_are_there_and_their_numbers_are_of_the_run(title: str) -> None:
    section = after_running(title)
    for name in maker().pictures(section):
        assert (maker().PICTURES / f"{name}.svg").read_text(encoding="utf-8").rstrip().endswith("</svg>")
        if name in maker().DRAWINGS:
            continue
        kept = (maker().PICTURES / f"{name}.csv").read_text(encoding="utf-8").splitlines()
        made = maker().table(maker().CHARTS[name][0](section.variables)).splitlines()
        assert len(kept) == len(made)
        for old, new in zip(kept, made, strict=True):
            for a, b in zip(old.split(","), new.split(","), strict=True):
                assert a == b or float(a) == pytest.approx(float(b), rel=1e-4, abs=1e-9), (old, new)


def test_every_picture_belongs_to_a_section() -> None:
    shown = {name for section in SECTIONS for name in maker().pictures(section)}
    assert shown == {path.stem for path in maker().PICTURES.glob("*.svg")}
    assert shown - set(maker().DRAWINGS) == set(maker().CHARTS) == {p.stem for p in maker().PICTURES.glob("*.csv")}


@pytest.mark.parametrize("name", sorted(maker().DRAWINGS))
def test_drawings_are_made_of_the_run(name: str, tmp_path: Path) -> None:
    (section,) = (s for s in SECTIONS if name in maker().pictures(s))
    drawing = maker().DRAWINGS[name](after_running(section.title).variables)
    drawing.save(tmp_path / "drawn.svg")
    assert (tmp_path / "drawn.svg").stat().st_size


def test_charts_can_be_drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("matplotlib")
    monkeypatch.setattr(maker(), "PICTURES", tmp_path)
    for section in SECTIONS:
        for name in maker().pictures(section):
            if name in maker().CHARTS:
                rows = maker().CHARTS[name][0](after_running(section.title).variables)
                maker().save_chart(name, rows)
                assert (tmp_path / f"{name}.svg").read_bytes().rstrip().endswith(b"</svg>")


def test_every_claim_is_linked_and_what_is_named_is_there() -> None:
    slugs = {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in TITLES}
    linked = set(re.findall(r"\]\(#([^)]+)\)", PAGE))
    assert linked == slugs
    for path in re.findall(r"`((?:tests|docs)/[\w/]+\.py)`", PAGE):
        assert (DOCS.parent / path).exists()


def test_every_claim_of_the_page_has_its_own_words() -> None:
    assert len(set(TITLES)) == len(TITLES) == 22


def test_lines_fit_the_page() -> None:
    for section in SECTIONS:
        assert max(map(len, section.code.splitlines())) <= 120


def test_the_check_of_printed_numbers_sees_differences() -> None:
    assert within_a_last_digit("a 1.2e-10 b 3", "a 1.3e-10 b 3")
    assert not within_a_last_digit("a 1.2e-10", "a 1.4e-10")
    assert not within_a_last_digit("96 parameters", "97 parameters")
    assert not within_a_last_digit("lag 10: 0.51", "lag 10: 0.53")
    assert not within_a_last_digit("a 1", "b 1")

"""docs/dependencies.md: every dependency and every extra has its row, with the bound that pyproject.toml sets."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
PAGE = (ROOT / "docs" / "dependencies.md").read_text(encoding="utf-8")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


@pytest.mark.parametrize("wanted", PROJECT["dependencies"])
def test_every_dependency_has_its_row(wanted: str) -> None:
    name, bound = re.fullmatch(r"([\w-]+)>=([\d.]+)", wanted).groups()  # type: ignore[union-attr]
    assert re.search(rf"^\| \[{name}\]\(\S+\) ≥ {re.escape(bound)} \|", PAGE, re.MULTILINE)


@pytest.mark.parametrize("extra", PROJECT["optional-dependencies"])
def test_every_extra_has_its_row_and_names_its_packages(extra: str) -> None:
    row = re.search(rf"^\| `{extra}` \|.*$", PAGE, re.MULTILINE)
    assert row, f"no row for the extra {extra}"
    for wanted in PROJECT["optional-dependencies"][extra]:
        name = re.match(r"[\w-]+", wanted)
        assert name is not None
        assert name[0].replace("torch", "pytorch").lower() in row[0].lower(), f"{wanted} is not in the row of {extra}"


def test_the_page_names_no_extra_that_is_not_there() -> None:
    rows = set(re.findall(r"^\| `(\w+)` \|", PAGE, re.MULTILINE))
    assert rows == set(PROJECT["optional-dependencies"])

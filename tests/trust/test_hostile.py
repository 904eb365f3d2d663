"""Hostile input: a few hundred of what `python tests/bench/fuzz.py` tries for minutes."""

import os
import runpy
from pathlib import Path

import pytest

if os.name == "nt":
    pytest.skip("limits of time and memory are set as POSIX does", allow_module_level=True)

FUZZ = runpy.run_path(str(Path(__file__).parents[1] / "bench" / "fuzz.py"))


def test_hostile_command_lines_files_and_names_are_refused_or_shown_as_they_are() -> None:
    tried, refused, failures = FUZZ["fuzz"](2026, 0, lambda k: k >= 200)
    assert failures == []
    assert set(tried.values()) == {50}
    assert 20 < refused["command lines"] < 50
    assert 20 < refused["damaged files"] < 50
    assert 10 < refused["forged checkpoints"] < 50


def test_the_judge_of_the_fuzz_run_would_notice() -> None:
    judge = FUZZ["judge"]
    for status, out, err in [(1, "", ""), (0, "\x1b[31m", ""), (0, "a\rb", ""), (2, "", "one\ntwo\n"), (2, "", "")]:
        with pytest.raises(AssertionError):
            judge(["draw"], status, out, err)
    for document in ["<svg onload='x'/>", "<svg><script/></svg>", "<svg><a href='//evil'/></svg>"]:
        assert not FUZZ["_elements"]("svg", document) <= FUZZ["_elements"]("svg", "<svg><a/></svg>")
        assert not FUZZ["_elements"]("html", document) <= FUZZ["_elements"]("html", "<svg><a></a></svg>")

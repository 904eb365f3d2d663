"""What callers give: NumPy's scalars, paths and arrays are taken as Python's own, anything else is refused by name."""

from __future__ import annotations

import json
import math
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tinygrad_lstm.arguments import as_items, as_number, as_plain, as_size, as_word, as_words


@pytest.mark.parametrize(
    ("value", "same"),
    [
        (np.int64(4), 4),
        (np.float32(0.5), 0.5),
        (np.bool_(True), True),
        (np.str_("a"), "a"),
        (np.array(3), 3),
        (np.arange(2), [0, 1]),
        (Path("a") / "b", str(Path("a") / "b")),
        ({np.str_("k"): (np.int8(1), None)}, {"k": [1, None]}),
    ],
)
def test_plain_values_are_what_json_holds(value: Any, same: Any) -> None:
    taken = as_plain("x", value)
    assert json.loads(json.dumps(taken)) == taken == same
    assert type(taken) is type(same)


@pytest.mark.parametrize("value", [object(), 1j, {3: 1}, np.datetime64("2020-01-01"), b"x", {"k": object()}])
def test_what_json_does_not_hold_is_refused_by_name(value: Any) -> None:
    with pytest.raises(TypeError, match="setting"):
        as_plain("setting", value)


@pytest.mark.parametrize("value", [math.nan, np.float32("inf"), {"k": -math.inf}])
def test_numbers_that_are_none_are_refused(value: Any) -> None:
    with pytest.raises(ValueError, match=r"setting.* must be a finite number"):
        as_plain("setting", value)


def test_whole_and_real_numbers() -> None:
    assert [as_size("n", v) for v in (3, np.int8(3), np.array(3))] == [3, 3, 3]
    assert [as_number("r", v) for v in (3, np.float16(0.5), Fraction(1, 4))] == [3.0, 0.5, 0.25]
    for value in (3.0, "3", None, np.float64(3)):
        with pytest.raises(TypeError, match="n must be a whole number"):
            as_size("n", value)
    with pytest.raises(ValueError, match="n must be at least 1, got 0"):
        as_size("n", np.int64(0), 1)
    for value in ("3", None, 1j):
        with pytest.raises(TypeError, match="r must be a number"):
            as_number("r", value)


def test_lists_of_words() -> None:
    assert as_words("labels", np.array(["a", "b"])) == ["a", "b"]
    assert type(as_word("label", np.str_("a"))) is str
    assert as_items("seeds", np.arange(2)) == [0, 1]
    with pytest.raises(TypeError, match=r"labels\[1\] must be a string, got 3: give '3'"):
        as_words("labels", ["a", 3])
    for value in ("ab", 3, np.array("a"), np.zeros((2, 2))):
        with pytest.raises(TypeError, match="labels must be a list, got"):
            as_words("labels", value)

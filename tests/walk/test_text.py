"""Numbers as text: an exact one looks exact and no other does, what is left out is the middle, and all of it fits."""

from __future__ import annotations

import numpy as np
import pytest

from tinygrad_lstm.walk.text import matrix, number, table


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0, "0"), (-0.0, "0"), (1.0, "1"), (-3.0, "-3"), (1 - 1e-9, "1.000"), (1e-9, "1.0e-9"), (-0.12345, "-0.123"),
     (5e-4, "0.001"), (4.9e-4, "4.9e-4"), (-2.46e-5, "-2.5e-5"), (1e-300, "1e-300"), (9999.0, "9999"),
     (-999.4996, "-999.500"), (9998.5, "1.0e4"), (-1234.5, "-1.2e3"), (1e4, "1.0e4"), (-1e308, "-1e308"),
     (np.inf, "inf"), (-np.inf, "-inf"), (np.nan, "nan")],
)  # fmt: skip
def test_a_number_without_decimals_is_exact(value: float, text: str) -> None:
    assert number(value) == text


def test_what_is_left_out_is_the_middle() -> None:
    counted = np.arange(1.0, 11)
    assert table([("a", counted[:8])]).split()[1:] == ["1", "2", "3", "4", "5", "6", "7", "8"]
    assert table([("a", counted)]).split()[1:] == ["1", "2", "3", "4", "…", "8", "9", "10"]
    assert matrix("W", np.outer(counted, np.ones(1))).replace("│", "").split()[1:] == [
        "1",
        "2",
        "3",
        "…",
        "8",
        "9",
        "10",
    ]


def test_a_table_has_a_line_for_each_vector() -> None:
    assert table([("a", np.array([1.0, 0.25])), ("bc", np.array([-1e-9, 2])), ("d", np.array([3.0]))]).split("\n") == [
        "a         1    0.250",
        "bc  -1.0e-9        2",
        "d         3",
    ]
    long = "x" * 41
    assert table([(long, np.array([1.0]))]).split("\n") == [long, " " * 40 + "        1"]
    assert table([]) == ""


def test_a_matrix_stands_below_its_name() -> None:
    lines = ["W", "  │        1    0.500 │", "  │       -2        0 │"]
    assert matrix("W", np.array([[1, 0.5], [-2, 0]])).split("\n") == lines


@pytest.mark.parametrize("size", [1, 7, 8, 9, 40, 256])
@pytest.mark.parametrize("value", [0.5, -1.2e-300, -9998.5, 1e308, np.nan])
def test_all_of_it_fits(size: int, value: float) -> None:
    for name in ("a", "a name of " + "many words " * 20, "w" * 300):
        for text in (table([(name, np.full(size, value))]), matrix(name, np.full((size, size), value))):
            assert max(map(len, text.split("\n"))) <= 77
            assert size <= 8 or "…" in text

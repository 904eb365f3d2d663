"""Numbers as text: an exact one looks exact and no other does, what is left out is the middle, and all of it fits."""

from __future__ import annotations

import numpy as np
import pytest

from tinygrad_lstm.walk.text import indices, matrix, number, paragraphs, table


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0, "0"), (-0.0, "0"), (1.0, "1"), (-3.0, "-3"), (1 - 1e-9, "1.000"), (1e-9, "1.0e-9"), (-0.12345, "-0.123"),
     (5e-4, "0.001"), (4.9e-4, "4.9e-4"), (-2.46e-5, "-2.5e-5"), (1e-300, "1.0e-300"), (9999.0, "9999"),
     (9998.5, "9998.500"), (1e4, "1.0e4"), (1e308, "1.0e308"), (np.inf, "inf"), (-np.inf, "-inf"), (np.nan, "nan")],
)  # fmt: skip
def test_a_number_without_decimals_is_exact(value: float, text: str) -> None:
    assert number(value) == text


def test_what_is_left_out_is_the_middle() -> None:
    assert indices(8, 8) == [0, 1, 2, 3, 4, 5, 6, 7]
    assert indices(9, 8) == [0, 1, 2, 3, None, 6, 7, 8]
    assert indices(100, 4) == [0, 1, None, 99]


def test_a_table_has_a_line_for_each_vector_and_a_head_for_each_length() -> None:
    assert table([("a", np.array([1.0, 0.25])), ("bc", np.array([-1e-9, 2])), ("d", np.array([3.0]))]) == [
        "        [1]    [2]",
        "a         1  0.250",
        "bc  -1.0e-9      2",
        "   [1]",
        "d    3",
    ]
    long = "x" * 41
    assert table([(long, np.array([1.0]))]) == [" " * 40 + "  [1]", long, " " * 40 + "    1"]
    assert table([]) == []


def test_a_matrix_stands_below_its_name() -> None:
    assert matrix("W", np.array([[1, 0.5], [-2, 0]])) == ["W (2×2)", "   │   1  0.500 │", "   │  -2      0 │"]
    assert matrix("W", np.zeros((1, 1))) == ["W (1×1)", "   │  0 │"]


@pytest.mark.parametrize("size", [1, 7, 8, 9, 40, 256])
@pytest.mark.parametrize("value", [0.5, -1.2e-300, -9998.5, 1e308, np.nan])
def test_all_of_it_fits(size: int, value: float) -> None:
    for name in ("a", "a name of " + "many words " * 20, "w" * 300):
        for lines in (table([(name, np.full(size, value))]), matrix(name, np.full((size, size), value))):
            assert max(map(len, lines)) <= 77
            assert size <= 8 or any("…" in line for line in lines)


def test_paragraphs_have_an_empty_line_between_and_none_around() -> None:
    assert paragraphs([], ["a"], [], ["b", "c"], []) == ["a", "", "b", "c"]
    assert paragraphs([], []) == []

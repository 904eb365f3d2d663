"""The tables inside shapes."""

import re

import numpy as np
import pytest

import tinygrad_lstm as tl
from tinygrad_lstm.views import labels, theme


def texts(label):
    return re.findall(r"<FONT[^>]*>([^<]+)</FONT>", label)


def cells(label):
    return re.findall(r'BGCOLOR="(#\w+)" WIDTH="(\d+)"', label)


def test_few_values_are_numbers_and_many_are_colours():
    assert texts(labels.heat(np.array([0.5, -0.25]), 60)) == ["0.50", "−0.25"]
    assert texts(labels.heat(np.array([0.5, 0.25]), 60, numbers=False)) == []
    assert texts(labels.heat(np.arange(5.0), 60)) == []
    assert len(cells(labels.heat(np.arange(5.0), 60))) == 5


@pytest.mark.parametrize("size", [2, 3, 4, 5, 8, 16, 17, 64, 1000])
def test_a_row_keeps_within_its_room(size):
    row = cells(labels.heat(np.linspace(-1, 1, size), 86))
    assert sum(int(width) for _, width in row) <= 86
    assert len(row) == size if size <= 16 else 8 <= len(row) <= 16


@pytest.mark.parametrize("shape", [(0,), (3, 0), (0, 3), (), (2, 2), (2, 3, 4)])
@pytest.mark.parametrize("dtype", [np.float64, np.int64, bool])
@pytest.mark.parametrize("numbers", [True, False])
def test_any_array_is_drawn(shape, dtype, numbers):
    value = np.ones(shape, dtype)
    assert ("empty" in labels.heat(value, 32, 28, numbers)) == (value.size == 0)


@pytest.mark.parametrize("shape", [(3, 2), (5, 3), (16, 8), (300, 200), (1,), (64,)])
def test_a_map_has_the_rows_of_its_matrix_and_keeps_its_size(shape):
    label = labels.heat(np.ones(shape), 32, 28, numbers=False)
    width, height = (int(n) for n in re.search(r'WIDTH="(\d+)" HEIGHT="(\d+)" FIXEDSIZE="TRUE"><TR>', label).groups())
    assert width <= 32
    assert height <= 28
    if shape == (5, 3):  # as it is stored, rows as rows
        assert label.count("<TR>") == 5


def test_a_matrix_is_drawn_whole_and_a_number_as_a_number():
    assert len(cells(labels.heat(np.arange(12.0).reshape(3, 4) - 5, 120))) == 12
    assert labels.heat(np.ones((1, 3)), 120) == labels.heat(np.ones(3), 120)
    assert texts(labels.heat(np.array(-1.5), 120)) == ["−1.50"]
    assert cells(labels.heat(np.array(-1.5), 120)) == []


@pytest.mark.parametrize("value", [np.zeros(3), np.zeros(10), np.zeros((4, 5)), np.eye(3), np.eye(20)[3]])
def test_what_is_exactly_zero_is_seen_to_be_zero(value):
    label = labels.heat(value, 120)
    outlined = re.findall(r'BGCOLOR="#FFFFFF"[^>]* BORDER="1"', label)
    assert len(outlined) == (9 if value.size == 20 and value.ndim == 1 else (value == 0).sum())
    if value.size <= labels.NUMBERS:
        assert texts(label) == ["0"] * value.size
    assert 'BORDER="1"' not in labels.heat(value + 1e-9, 120)


def test_of_a_long_array_the_largest_elements_are_seen():
    hot = np.zeros((3, 20))
    hot[range(3), [3, 7, 19]] = 1, -1, np.nan
    seen = [colour for colour, _ in cells(labels.heat(hot, 120))]
    assert len(seen) == 30
    assert {k: colour for k, colour in enumerate(seen) if colour != "#FFFFFF"} == {
        1: theme.heat(1, 1), 13: theme.heat(-1, 1), 29: theme.UNKNOWN
    }  # fmt: skip


def test_a_long_path_of_a_parameter_is_shortened_in_its_middle():
    for name, said in (
        ("layers.0.W_f", "layers.0.W<SUB>f"),
        ("encoder.of.the.sentence.cells.0.W_f", "encoder.…ls.0.W<SUB>f"),
    ):
        (edge,) = tl.flow.read_graph(tl.nn.Parameter([1.0], name=name) * 2).nodes[0].uses
        label = re.sub("</?(FONT|B)[^>]*>", "", labels.parameter_label(edge))
        assert said in label
        assert "<SUB>f</SUB>" in label


def test_a_name_with_an_index_is_written_as_in_a_textbook():
    for name in ("W_f", "cells.0.W_f", "p_out"):
        assert "<SUB>" in labels.symbols(name, 10)
    for name in ("W", "my_weight", "W_", "W_long_index", "_f", "a.my_f"):
        assert "<SUB>" not in labels.symbols(name, 10)
    assert labels.symbols("[h, x] W_f + b_f", 9).count("<SUB>") == 2


def test_a_gradient_that_was_not_computed_is_said_so_and_not_zero():
    flow = tl.flow.read_graph(tl.tensor([1.0], requires_grad=True, name="x") * 2)
    assert "not computed" in labels.gradient_text(flow.nodes[0])
    assert "not computed" in labels.tooltip(flow.nodes[0])
    assert "not computed" in labels.parameter_label(flow.nodes[0].uses[0])
    zero = tl.trace_gradients(tl.tensor([1.0], requires_grad=True, name="x") * 0)
    assert "∇ 0<" in labels.parameter_label(zero.nodes[0].uses[0])


def test_a_tooltip_says_all_in_one_line():
    x = tl.tensor([[1.0, 2.0]], requires_grad=True, name="x")
    with tl.scope("part", step=3):
        y = x * 2
    y.name = "y"
    flow = tl.trace_gradients(y.sum())
    assert labels.tooltip(flow.node(y)) == "y · mul · part[3] · shape (1, 2) · 2, 4 · ‖∂L/∂·‖ = 1.414"


@pytest.mark.parametrize("room", [12, 19, 24, 88])
def test_a_row_of_colours_never_leaves_its_room(room):
    for size in (5, 8, 16, 64):
        drawn = cells(labels.heat(np.linspace(-1, 1, size), room))
        assert sum(int(width) for _, width in drawn) <= room
        assert len(drawn) >= min(size, 3)

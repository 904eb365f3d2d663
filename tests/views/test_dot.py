"""DOT text: quoting, splines, and the same text for the same picture."""

import re

import pytest

import tinygrad_lstm as tl
from tinygrad_lstm.views.dot import _spline
from tinygrad_lstm.views.drawing import Drawing
from tinygrad_lstm.views.graph import Arrow, Html, Picture, Shape


@pytest.mark.parametrize(
    ("label", "written"),
    [
        ('a "b" \\N & \n', '"a \\"b\\" \\\\N &amp; ␊"'),
        ("<B>x</B>", '"<B>x</B>"'),
        (Html("<B>x</B>"), "<<B>x</B>>"),
    ],
)
def test_a_label_draws_literally_unless_it_is_html(label, written):
    assert f"label={written}" in Drawing(Picture("t", placed=False, shapes=[Shape("a", "plain", label)])).source


def points(path, head=0.0):
    pairs = re.findall(r"(e,)?(-?[\d.]+),(-?[\d.]+)", _spline(path, head))
    return [(mark, float(x), float(y)) for mark, x, y in pairs]


def test_a_spline_is_whole_beziers_from_the_start_to_the_tip():
    path = [(0.0, 0.0), (50.0, 0.0), (50.0, 40.0)]
    plain = points(path)
    assert plain[0][1:] == path[0]
    assert plain[-1][1:] == path[-1]
    assert (len(plain) - 1) % 3 == 0
    tip, *rest = points(path, head=8.0)
    assert tip[0] == "e,"
    assert tip[1:] == pytest.approx((50, 39.2))
    assert rest[-1][1:] == pytest.approx((50, 31.2))
    assert (len(rest) - 1) % 3 == 0


def test_corners_are_rounded_within_short_legs_and_on_a_line():
    for path in ([(0.0, 0.0), (4.0, 0.0), (4.0, 4.0)], [(0.0, 0.0), (10.0, 0.0), (10.0, 0.0), (20.0, 0.0)]):
        assert all(0 <= x <= 20 and 0 <= y <= 4 for _, x, y in points(path))


def test_what_is_only_in_a_layout_by_dot_is_not_in_a_placed_picture():
    shapes = [Shape("a", "circle", at=(0, 0)), Shape("b", "circle", at=(9, 9))]
    arrow = Arrow("e", "a", "b", [(0, 0), (9, 9)])
    placed = Drawing(Picture("t", True, shapes, [arrow])).source
    assert "nop2" in placed
    assert "ranksep" not in placed
    assert placed.count("pos=") == 3


def test_the_same_graph_gives_the_same_text(unrolled, lstm, rnn):
    first, second = (tl.draw(unrolled(lstm, 3), unrolled(rnn, 3)).source for _ in range(2))
    assert first == second

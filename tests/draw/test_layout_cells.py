"""Steps of a cell by the table: every edge is there, on its place, on one scale."""

import re

import numpy as np
import pytest

import tinygrad_lstm as tl
from tinygrad_lstm.draw import theme


def positions(picture):
    return {shape.id: shape.at for shape in picture.shapes}


def norms(picture):
    """The norm that each arrow's tooltip states, by the arrow's id; of a single number its size."""
    found = ((a.id, re.search(r"cotangent‖? ([-\d.e+]+|nan|inf)$", a.tooltip)) for a in picture.arrows)
    return {ident: abs(float(match[1])) for ident, match in found if match}


@pytest.mark.parametrize("options", [{}, {"bias": False}, {"forget_gate": False}])
def test_every_edge_of_a_step_is_drawn_once(unrolled, options, svg):
    flow = tl.trace_gradients(unrolled(tl.nn.LSTMCell(1, 2, **options), 1))
    drawing = tl.draw(flow)
    inside = [e for e in flow.edges if any(s.name == "lstm" for s in e.consumer.scopes)]
    drawn = [a for a in drawing.picture.arrows if a.id.startswith("r0-s1-")]
    assert len(drawn) == len(inside)
    assert sorted(norms(drawing.picture)[a.id] for a in drawn) == pytest.approx(
        sorted(e.norm for e in inside), rel=1e-3
    )
    on_page = [item for item in svg(drawing).of("edge") if item.id.startswith("r0-s1-")]
    assert len(on_page) == len(inside)
    assert len(svg(drawing).of("parameter")) == sum(e.source.kind == "parameter" for e in inside)


def test_every_edge_of_an_rnn_step_is_drawn_once(unrolled, rnn):
    flow = tl.trace_gradients(unrolled(rnn, 2))
    inside = [e for e in flow.edges if any(s.name == "rnn" for s in e.consumer.scopes)]
    assert sum(bool(re.match(r"r0-s\d-", a.id)) for a in tl.draw(flow).picture.arrows) == len(inside)


def test_every_shape_has_a_place_and_every_arrow_a_way_between_two_shapes(unrolled, lstm, rnn):
    for count in (1, 2, 8):
        picture = tl.draw(unrolled(lstm, count, loss="all"), unrolled(rnn, count, loss="all")).picture
        at = positions(picture)
        assert picture.placed
        assert all(at.values())
        assert len(at) == len(picture.shapes)
        assert all(a.source in at and a.target in at and a.path for a in picture.arrows)


@pytest.mark.parametrize("count", [1, 3, 9])
@pytest.mark.parametrize("detail", ["ops", "cell"])
@pytest.mark.parametrize("hidden", [1, 4, 40])
def test_no_two_shapes_overlap(unrolled, count, detail, hidden):
    cells = tl.nn.LSTMCell(3, hidden), tl.nn.RNNCell(3, hidden)
    words = ["wonderfully-long-word"] * count
    picture = tl.draw(*(unrolled(c, count, loss="all") for c in cells), detail=detail, labels=words).picture
    boxes = [(s.id, *s.at, *s.size) for s in picture.shapes if s.size]
    for k, (a, ax, ay, aw, ah) in enumerate(boxes):
        for b, bx, by, bw, bh in boxes[k + 1 :]:
            assert abs(ax - bx) >= (aw + bw) / 2 or abs(ay - by) >= (ah + bh) / 2, f"{a} and {b} overlap"


def test_arrows_begin_and_end_at_the_edge_of_their_shapes(unrolled, lstm, rnn):
    for count in (1, 3, 8):
        picture = tl.draw(unrolled(lstm, count, loss="all"), unrolled(rnn, count, loss="all")).picture
        sized = {s.id: s for s in picture.shapes if s.size}
        for arrow in picture.arrows:
            for end, point in ((arrow.source, arrow.path[0]), (arrow.target, arrow.path[-1])):
                if end not in sized:
                    continue
                (x, y), (w, h) = sized[end].at, sized[end].size
                outside = max(abs(point[0] - x) - w / 2, abs(point[1] - y) - h / 2)
                gap = 18 if arrow.id.endswith("-from-c") else 0.01  # a column's way down ends above the norm of h
                assert -0.01 <= outside <= gap, arrow.id


def test_the_cell_state_is_one_straight_blue_line(unrolled, lstm):
    picture = tl.draw(unrolled(lstm, 3)).picture
    states = [a for a in picture.arrows if "state" in a.css.split()]
    assert len(states) == 6
    assert len({y for a in states for _, y in a.path}) == 1


def test_one_scale_for_all_rows(unrolled, lstm, rnn):
    rnn.W_h.assign(rnn.W_h.numpy() * 0.01)
    losses = unrolled(lstm, 3), unrolled(rnn, 3)
    picture = tl.draw(*losses).picture
    scale = theme.Scale.of([e.norm for loss in losses for e in tl.trace_gradients(loss).edges if e.norm is not None])
    stated = norms(picture)
    assert {ident[:2] for ident in stated} == {"r0", "r1"}
    for arrow in picture.arrows:
        if arrow.id in stated:
            assert arrow.width == pytest.approx(scale.width(stated[arrow.id]), abs=0.02)
    alone = tl.draw(losses[1]).picture
    assert {a.id: a.width for a in alone.arrows} != {a.id.replace("r1", "r0"): a.width for a in picture.arrows}


def test_what_stands_beside_shares_the_scale(unrolled, lstm, rnn):
    rnn.W_h.assign(rnn.W_h.numpy() * 0.01)
    first, second = (tl.trace_gradients(unrolled(cell, 3)) for cell in (lstm, rnn))

    def marks(picture):
        return {a.id: (a.width, a.colour) for a in picture.arrows if a.id.startswith("r0")}

    together, alone = tl.draw(first, second).picture, tl.draw(first).picture
    assert marks(tl.draw(first, beside=[first, second]).picture) == marks(together) != marks(alone)


def test_the_svg_carries_ids_classes_tooltips_widths_and_colours(unrolled, lstm, svg):
    drawing = tl.draw(unrolled(lstm, 1))
    page = svg(drawing)
    assert {"r0-s1-f", "r0-s1-c", "r0-s1-W", "r0-loss"} - page.items.keys() == {"r0-s1-W"}
    assert page.items["r0-s1-f"].classes == ["node", "gate"]
    assert page.items["r0-s1-c"].classes == ["node", "op", "state"]
    assert page.items["r0-step1"].classes == ["cluster", "step", "lstm"]
    assert "sigmoid · lstm[1] / forget gate · shape (2,)" in page.items["r0-s1-f"].tooltip
    assert page.items["graph"].classes == ["graph"]
    for arrow in drawing.picture.arrows:
        item = page.items[arrow.id]
        assert item.tooltip == arrow.tooltip
        colour, width = item.strokes[0]
        assert (colour.upper(), width) == (arrow.colour, pytest.approx(arrow.width))


def test_the_numbers_that_are_printed_are_those_of_the_graph(unrolled, lstm, rnn, svg):
    flow = tl.trace_gradients(unrolled(lstm, 2))
    page = svg(tl.draw(flow))
    for t, norm in enumerate(flow.norms("c"), 1):
        assert page.items[f"r0-s{t}-c-norm"].text.endswith(theme.number(norm))
    for t, x in enumerate(flow.named("x"), 1):
        assert page.items[f"r0-s{t}-x"].text.endswith(f"∇ {theme.number(x.gradient.item(), 3)}")
    assert theme.number(float(flow.root.value), 3) in page.items["r0-loss"].text


def test_a_parameter_shows_what_each_use_contributes(unrolled, rnn, svg):
    loss = unrolled(rnn, 3)
    flow = tl.trace_gradients(loss)
    uses = flow.node(rnn.W_h).uses
    page = svg(tl.draw(flow))
    assert len(uses) == 3
    for t, use in enumerate(uses, 1):
        assert page.items[f"r0-s{t}-h@-parameter"].text == f"Wh∇ {theme.number(use.norm)}"


@pytest.mark.parametrize("count", [1, 2])
def test_not_computed_is_said_and_never_drawn_as_zero(unrolled, lstm, rnn, svg, count):
    drawing = tl.draw(unrolled(lstm, count), unrolled(rnn, count), gradients=False)
    page = svg(drawing)
    assert all(a.dashed and a.colour == theme.UNKNOWN for a in drawing.picture.arrows if a.css != "highway")
    assert not re.search(r"∇‖? ?0", page.text)
    assert page.items["r0-s1-x"].text.endswith("not computed")
    assert "- - -not computed" in page.items["legend"].text
    assert "per step back" not in page.text


def test_a_loss_at_every_step_is_drawn_at_every_step(unrolled, rnn, svg):
    flow = tl.trace_gradients(unrolled(rnn, 4, loss="all"))
    page = svg(tl.draw(flow))
    for t, h in enumerate(flow.named("h")[:-1], 1):
        own = [e.cotangent for e in h.uses if not e.consumer.scopes]
        norm = np.linalg.norm(np.sum(own, axis=0))
        assert page.items[f"r0-s{t}-h-loss"].text == f"L {theme.number(norm)}"


def test_a_loss_on_c_alone_is_joined_to_c(unrolled, lstm, svg):
    for count in (1, 2):
        page = svg(tl.draw(unrolled(lstm, count, on="c")))
        assert "r0-c-to-loss" in page.items
        assert "r0-h-to-loss" not in page.items


def test_a_drawing_of_the_last_state_itself_has_no_loss(lstm, svg):
    page = svg(tl.draw(lstm(np.ones(1))[0]))
    assert "r0-loss" not in page.items
    assert "r0-after-h" in page.items


def test_many_steps_open_the_first_two_and_the_last_and_the_rest_are_one_node_each(unrolled, lstm, svg):
    page = svg(tl.draw(unrolled(lstm, 12), labels=[f"w{t}" for t in range(1, 13)]))
    assert [item.text for item in page.of("cluster")] == ["step 1", "step 2", "step 12"]
    assert [item.text for item in page.of("step") if "c" in item.classes] == [str(t) for t in range(3, 12)]
    assert page.items["r0-s5-x"].text == "w5"
    assert "x₁₂  w12" in page.items["r0-s12-x"].text
    assert "left out" not in page.text


def test_steps_that_are_left_out_are_said_in_the_picture(unrolled, lstm, rnn, svg):
    drawing = tl.draw(unrolled(lstm, 60), unrolled(rnn, 3))
    shown = sum("c" in s.css.split() and "step" in s.css for s in drawing.picture.shapes) + 3
    assert f"{60 - shown} of 60 steps are left out: a dashed edge stands for them" in svg(drawing).items["legend"].text


def test_an_edge_is_dashed_just_where_steps_are_left_out(unrolled, rnn):
    def dashed(count):
        return [a.id for a in tl.draw(unrolled(rnn, count)).picture.arrows if a.dashed]

    assert dashed(8) == dashed(27) == []
    assert dashed(28) == [f"r0-s{t}-h-from-before" for t in range(5, 28, 2)]


def test_several_ways_of_a_state_into_the_loss_are_drawn_as_their_sum(rnn, svg):
    h1 = rnn([1.0])
    h2 = rnn([2.0], h1)
    page = svg(tl.draw((h1 * h1 + h2 * h2).sum()))
    assert page.items["r0-s1-h-loss"].text == f"L {theme.number(float(np.linalg.norm(2 * h1.numpy())))}"
    assert page.items["r0-h-to-loss"].tooltip.endswith(f"{np.linalg.norm(2 * h2.numpy()):.4g}")


def test_batches_and_long_arrays_are_said_to_be_drawn_in_part(unrolled, lstm, svg):
    assert "of a batch the first element" in svg(tl.draw(unrolled(lstm, 1, batch=(2,)))).text
    assert "the largest of every few elements" in svg(tl.draw(unrolled(tl.nn.LSTMCell(1, 17), 1))).text
    assert tl.draw(unrolled(lstm, 1)).picture.notes == []


def test_a_gradient_that_is_nan_is_black_and_said_in_the_legend(unrolled, lstm, svg):
    lstm.W_f.assign(np.full((3, 2), np.nan))
    drawing = tl.draw(unrolled(lstm, 1))
    assert any(a.colour == theme.NOT_A_NUMBER for a in drawing.picture.arrows)
    assert "gradient is NaN" in svg(drawing).items["legend"].text
    assert "∇ NaN" in svg(drawing).text

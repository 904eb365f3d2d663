"""The strip of gates: its cells are the values, its words are true, and any tokens are drawn literally."""

import re

import numpy as np
import pytest
from cells import GRUCell

import tinygrad_lstm as tl
from tinygrad_lstm.flow.sequence import embed, trace_sequence
from tinygrad_lstm.kinds import make_cell
from tinygrad_lstm.views import theme

WORDS = ["the", "cities", "that", "I", "have", "seen"]


def traced(kind="lstm", words=WORDS, hidden=4, bias=1.0):
    return trace_sequence(make_cell(kind, 3, hidden, bias, 0), embed(words, 3, 0), words).flow


def shapes(drawing):
    return {shape.id: shape for shape in drawing.picture.shapes}


def colours(shape):
    """The colours of a block's cells, row by row."""
    rows = re.findall(r"<TR>((?:<TD BGCOLOR=.*?</TD>)+)</TR>", shape.label)
    return [re.findall(r'BGCOLOR="(#\w+)"', row) for row in rows]


def colour(x):
    return theme.heat(x, 1.0, theme.DEEP_VALUES)


@pytest.mark.parametrize(("kind", "roles"), [("lstm", "figoch"), ("lstm1997", "igoch"), ("rnn", "h")])
def test_every_value_has_its_cell(kind, roles):
    flow = traced(kind)
    found = shapes(tl.views.gates(flow, WORDS))
    assert [i.removeprefix("block-") for i in found if i.startswith("block-")] == list(roles)
    for role in roles:
        values = np.array([n.value for n in flow.named(role)])
        largest = max(1, np.abs(values).max())
        drawn = colours(found[f"block-{role}"])
        assert drawn == [[theme.ramp(theme.DEEP_VALUES, (x / largest + 1) / 2) for x in row] for row in values.tolist()]
        said = f"{theme.value(values.min())} to {theme.value(values.max())}"
        assert said in found[f"range-{role}"].label


def test_blue_is_open_white_is_shut_and_orange_negative():
    ramp = [colour(x) for x in (-1, 0, 1)]
    assert ramp == [theme.DEEP_VALUES[0], "#FFFFFF", theme.DEEP_VALUES[-1]]
    lightness = [sum(int(colour(x)[k : k + 2], 16) for k in (1, 3, 5)) for x in np.linspace(0, 1, 9)]
    assert lightness == sorted(lightness, reverse=True)
    assert colour(np.nan) == theme.UNKNOWN
    assert colour(7.0) == ramp[-1]


def test_rows_are_steps_with_their_tokens_in_order():
    found = shapes(tl.views.gates(traced(), WORDS))
    assert re.findall(r">(\w+)  (\d+)</FONT>", found["steps"].label) == list(zip(WORDS, "123456", strict=True))
    assert re.findall(r">  (\d+)</FONT>", shapes(tl.views.gates(traced()))["steps"].label) == list("123456")


def test_a_space_has_a_sign():
    words = ["a", " ", "b"]
    found = shapes(tl.views.gates(traced(words=words), words))
    assert re.findall(r">(\S+)  \d+</FONT>", found["steps"].label) == ["a", "␣", "b"]


def test_the_scale_of_what_goes_beyond_one_is_said():
    cell = make_cell("lstm", 3, 4, 5.0, 0)
    cell.b_i.assign(np.full(4, 5.0))
    cell.W_g.assign(20 * cell.W_g.numpy())
    flow = trace_sequence(cell, embed(WORDS, 3, 0), WORDS).flow
    drawing = tl.views.gates(flow, WORDS, title="LSTM, forget bias 5")
    drawn = colours(shapes(drawing)["block-c"])
    values = np.array([n.value for n in flow.named("c")])
    assert values.max() > 1
    assert drawn == [[theme.heat(x, np.abs(values).max(), theme.DEEP_VALUES) for x in row] for row in values.tolist()]
    assert "of a value that goes beyond, to its largest magnitude" in drawing.source
    assert "forget bias 5" in drawing.source


def test_a_cell_of_ones_own_shows_the_values_that_it_names():
    cell, h = GRUCell(3, 4), None
    for x in embed(WORDS, 3, 0):
        h = cell(x, h)
    flow = tl.trace_gradients(h.sum())
    found = shapes(tl.views.gates(flow, WORDS))
    assert [i for i in found if i.startswith("block-")] == ["block-r", "block-u", "block-n", "block-h"]
    values = np.array([n.value for n in flow.named("u")])
    assert colours(found["block-u"])[3] == [colour(x) for x in values[3].tolist()]


def test_the_words_of_a_gate_are_those_of_its_scope():
    found = shapes(tl.views.gates(traced(), WORDS))
    for role, words in {"f": "forget gate", "g": "candidate", "c": "state"}.items():
        assert words in found[f"head-{role}"].label


def test_what_is_left_out_is_said():
    words = [f"w{k}" for k in range(450)]
    drawing = tl.views.gates(traced(words=words, hidden=70), words)
    assert "One of every 3 steps is shown" in drawing.source
    assert "One of every 3 units is shown" in drawing.source
    found = shapes(drawing)
    assert re.findall(r">(w\d+)  \d+</FONT>", found["steps"].label) == words[::3]
    assert {len(row) for row in colours(found["block-f"])} == {24}
    assert "is shown" not in tl.views.gates(traced(), WORDS).source


def test_the_range_is_of_all_values_not_of_those_shown():
    words = [f"w{k}" for k in range(401)]
    flow = traced(words=words, hidden=2)
    values = np.array([n.value for n in flow.named("g")])
    drawing = tl.views.gates(flow, words)
    assert f"{theme.value(values.min())} to {theme.value(values.max())}" in shapes(drawing)["range-g"].label


@pytest.mark.parametrize(
    "token", ["<b>&amp;</b>", "\\N", '"', "日本語", "a\nb\x1b[31m", "x" * 500, "", "\u202eevil", "{|}"]
)
def test_any_token_is_drawn(token, tmp_path):
    words = [token, "a"]
    drawing = tl.views.gates(traced(words=words), words, title=token)
    drawing.save(tmp_path / "g.svg")
    assert b"<svg" in (tmp_path / "g.svg").read_bytes()


def test_blocks_lie_side_by_side_beside_the_tokens():
    for hidden, words in ((1, ["a"]), (8, WORDS), (40, ["x" * 60] * 30)):
        found = shapes(tl.views.gates(traced(words=words, hidden=hidden), words))
        blocks = [s for i, s in found.items() if i.startswith("block-")]
        lefts = [s.at[0] for s in blocks]
        assert lefts == sorted(lefts)
        assert found["steps"].at[0] < lefts[0]
        assert len({s.at[1] for s in (*blocks, found["steps"])}) == 1  # rows beside their steps


def test_of_a_batch_the_first_row_is_drawn():
    xs = np.random.default_rng(0).standard_normal((3, 2, 3))
    cell = make_cell("lstm", 3, 4, 1.0, 0)
    state = None
    for x in xs:
        state = cell(x, state)
    h, _ = state
    flow = tl.trace_gradients(h.sum())
    first = flow.named("f")[0].value[0]
    drawn = colours(shapes(tl.views.gates(flow))["block-f"])
    assert len(drawn) == 3
    assert drawn[0] == [colour(x) for x in first.tolist()]


def test_a_last_hidden_state_that_the_loss_did_not_need_is_grey():
    cell = make_cell("lstm", 3, 4, 1.0, 0)
    state = None
    for x in np.random.default_rng(0).standard_normal((3, 3)):
        state = cell(x, state)
    found = shapes(tl.views.gates(tl.trace_gradients(state[1].sum())))
    assert set(colours(found["block-h"])[-1]) == {theme.UNKNOWN}
    assert theme.UNKNOWN not in colours(found["block-c"])[-1]


def test_what_is_no_chain_of_steps_is_refused():
    x = tl.tensor([1.0], requires_grad=True)
    with pytest.raises(ValueError, match="one chain of a cell's steps"):
        tl.views.gates(tl.trace_gradients((x * x).sum()))
    with pytest.raises(ValueError, match="2 labels for 6 steps"):
        tl.views.gates(traced(), ["a", "b"])


@pytest.mark.parametrize(
    ("suffix", "start"), [("svg", b"<?xml"), ("png", b"\x89PNG"), ("pdf", b"%PDF"), ("dot", b"digraph")]
)
def test_it_is_a_drawing_like_others(suffix, start, tmp_path):
    path = tmp_path / f"g.{suffix}"
    drawing = tl.views.gates(traced(), WORDS)
    drawing.save(path)
    assert path.read_bytes().startswith(start)
    assert drawing.source == tl.views.gates(traced(), WORDS).source

"""Several steps of any cell: the numbers are those of the graph, the sentences true, and everything can be read."""

import functools
import itertools
import re
import time
import xml.etree.ElementTree as ET

import cells
import numpy as np
import pytest
from reading import contrast

import tinygrad_lstm as tl
from tinygrad_lstm.flow import read_graph
from tinygrad_lstm.flow.graph import norm
from tinygrad_lstm.flow.sequence import embed, tokenize, trace_sequence
from tinygrad_lstm.kinds import make_cell
from tinygrad_lstm.steps.chain import find_chain
from tinygrad_lstm.steps.kept import Kept
from tinygrad_lstm.views import theme
from tinygrad_lstm.views.answer import factor, formula, headline, sentence, subtitle, why
from tinygrad_lstm.views.drawing import Drawing
from tinygrad_lstm.views.strip import layout_strip
from tinygrad_lstm.writing import number, percent

TEXT = tokenize(
    "the cities that I have seen in my life are beautiful and the rivers that run through them are slow and brown in "
    "summer but clear when snow melts"
)
WORDS = [*TEXT[:10], "..."]
LSTM_1997 = functools.partial(tl.nn.LSTMCell, forget_gate=False)
DIRECT = {
    "GRU": (cells.GRUCell, "h"), "coupled": (cells.CoupledLSTMCell, "c"), "minimal": (cells.MinimalCell, "h"),
    "two": (cells.TwoStatesCell, "a"), "deep": (cells.DeepCell, "h"), "LSTM": (tl.nn.LSTMCell, "c"),
    "matrix": (cells.MatrixPeepholeCell, "c"), "1997": (LSTM_1997, "c"),
}  # fmt: skip


def run(kind, words=WORDS, bias=1.0, seed=0, hidden=8):
    return trace_sequence(make_cell(kind, hidden, hidden, bias, seed), embed(words, hidden, seed), words, seed).flow


def unroll(cell, steps=6, loss="last", scale=1.0, seed=1, grad=True, batch=1):
    """A flow of any cell; L reads the first state of the last step, or of every one."""
    rng = np.random.default_rng(seed)
    state = tuple(
        tl.tensor(rng.normal(size=(batch, cell.hidden_size)) / 2, requires_grad=grad, name=s) for s in cell.states
    )
    terms = []
    for _ in range(steps):
        out = cell(tl.tensor(rng.normal(size=(batch, cell.input_size)), requires_grad=grad, name="x"), state)
        state = out if isinstance(out, tuple) else (out,)
        terms.append(((state[0] - 1) ** 2).sum())
    total = terms[-1]
    for term in terms[:-1] if loss == "all" else ():
        total = total + term
    total = total * scale
    total.name = "L"
    return tl.trace_gradients(total)


def kept(flow, title=""):
    return Kept(flow, find_chain(flow), title)


def strip(*flows, titles=None, words=None, **options):
    picture = layout_strip(flows, [find_chain(flow) for flow in flows], "strip", titles, words, **options)
    return Drawing(picture)


def test_what_is_printed_at_each_step_is_its_norm_as_a_share_of_the_last(svg):
    flows = run("lstm"), run("rnn")
    page = svg(strip(*flows, words=WORDS))
    for prefix, flow, state in (("r0", flows[0], "c"), ("r1", flows[1], "h")):
        shares = flow.norms(state) / flow.norms(state)[-1]
        for t, share in enumerate(shares, 1):
            assert page.items[f"{prefix}-s{t}-norm"].text == percent(share)
            assert page.items[f"{prefix}-s{t}-word"].text == WORDS[t - 1]
        assert page.items[f"{prefix}-left"].text == percent(shares[0])
    assert page.items["r0-left"].text == "13 %"
    assert page.items["r0-left1"].text == "c alone: 3.6 %"
    assert page.items["r0-left2"].text == "more by way of h"
    assert page.items["r0-pace"].text.split() == ["c", "alone", "×", "0.72"]
    assert page.items["r1-pace"].text.split() == ["measured", "×", "0.57"]
    assert page.items["r1-left"].text == "0.36 %"
    assert "matrix W (× 0.69), squashing tanh (× 0.83)" in page.items["r1-factor"].text
    assert "× Wᵀ (1 − h²)" in page.items["r1-factor"].text
    assert "+ lets it through: no matrix, no squashing" in page.items["r0-factor"].text


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("name", DIRECT)
def test_what_comes_along_the_direct_path_alone(name, seed):
    make, state = DIRECT[name]
    flow = unroll(make(3, 4, rng=seed), seed=seed)
    row = kept(flow)
    assert (row.state, row.direct) == (state, True)
    last = row.nodes[-1]
    part = last.gradient
    for step in reversed(row.steps[1:]):
        part = part * step.factor(state).local
    np.testing.assert_allclose(row.alone, norm(part) / last.norm, rtol=1e-9)
    np.testing.assert_allclose(row.pace, row.alone ** (1 / 5))
    if name not in ("two", "matrix"):  # there it also goes another way without a weight, or L reads it through one
        split = flow.split(row.nodes[0].tensor, limit=0)[0]
        np.testing.assert_allclose(row.alone, norm(split) / last.norm, rtol=1e-9)


def test_with_peepholes_the_direct_path_is_still_f_alone():
    flow = unroll(tl.nn.LSTMCell(3, 4, peephole=True, rng=0))
    row = kept(flow)
    gates = np.prod([node.value for node in flow.named("f")[1:]], axis=0)
    np.testing.assert_allclose(row.alone, norm(row.nodes[-1].gradient * gates) / row.end)
    assert factor(row) == "× f"


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_factors_of_a_plain_rnn_are_those_of_its_jacobians(seed):
    flow = run("rnn", seed=seed)
    row, h = kept(flow), [node.value for node in flow.named("h")]
    weight = next(n for n in flow.nodes if n.name == "W_h").value[:8]
    gradient, matrix, squash = flow.named("h")[-1].gradient, [], []
    for value in reversed(h[1:]):
        inner = gradient * (1 - value**2)
        squash.append(norm(inner) / norm(gradient))
        gradient = weight @ inner
        matrix.append(norm(gradient) / norm(inner))
    geometric = [np.exp(np.mean(np.log(factors))) for factors in (matrix, squash)]
    np.testing.assert_allclose(row.weights, geometric)
    np.testing.assert_allclose(row.pace, np.prod(geometric))
    np.testing.assert_allclose(row.pace, row.left ** (1 / 10))
    assert row.alone is None


def test_a_state_that_is_not_squashed_last_has_no_part_for_squashing():
    class Linear(tl.nn.Cell):
        states = ("h",)

        def equations(self, x, h):
            return {"h": h @ np.array([[0.5, 0.1], [0.0, 0.5]]) + x}

    row = kept(unroll(Linear(2, 2)))
    assert row.weights == (None, None)
    assert 0.3 < row.pace < 0.7


def test_with_a_loss_at_every_step_the_direct_path_begins_at_the_last():
    flow = unroll(tl.nn.LSTMCell(3, 4, rng=0), loss="all")
    row = kept(flow)
    gates = np.prod([node.value for node in flow.named("f")[1:]], axis=0)
    np.testing.assert_allclose(row.alone, norm(row.nodes[-1].gradient * gates) / row.end)
    assert row.reads == list(range(6))
    assert headline([row]) == f"LSTM (at c): {percent(row.left)} of the last gradient 5 steps back"
    other = kept(unroll(tl.nn.RNNCell(3, 4, rng=0)))
    assert headline([row, other]).startswith(headline([row]) + "; RNN (at h): ")
    assert "Percent: its norm at c or h, of" in subtitle([row, other, row], "L")
    assert subtitle([row], "L").startswith("L is read after several steps; ")


def test_a_state_that_is_handed_on_is_not_read_by_the_loss():
    assert kept(unroll(cells.ShiftedCell(3, 4))).reads == [5]


# ── sentences ──────────────────────────────────────────────────────────────────────────────────

TITLES = {
    -2: "Why the LSTM’s gradient vanishes more: a step back along c is × f, 0.14 on average",
    0: "The LSTM’s gradient vanishes less, but not by c alone: × f, 0.51 on average",
    1: "Why the LSTM’s gradient vanishes less: a step back along c is only × f",
    3: "Why the LSTM’s gradient does not vanish: a step back along c is × f, 0.95 on average",
    5: "Why the LSTM’s gradient does not vanish: a step back along c is × f, 0.99 on average",
}


@pytest.mark.parametrize("bias", TITLES)
def test_the_title_is_chosen_by_the_numbers(bias):
    lstm, rnn = kept(run("lstm", bias=bias), f"LSTM, forget bias {bias}"), kept(run("rnn"), "RNN")
    assert headline([lstm, rnn]) == TITLES[bias]
    assert (lstm.left > rnn.left) == (bias > -2)
    assert (lstm.alone > rnn.left) == (bias > 0)
    mean = np.mean([node.value for node in lstm.flow.named("f")[1:]])
    assert number(lstm.mean_factor()) == number(float(mean))


def test_other_titles():
    lstm, rnn, gru = kept(run("lstm")), kept(run("rnn")), kept(unroll(cells.GRUCell(3, 4), 11))
    left = "of the last gradient 10 steps back"
    assert headline([lstm]) == f"LSTM (at c): 13 % {left}"
    assert headline([rnn, lstm]) == f"RNN (at h): 0.36 % {left}; LSTM (at c): 13 % {left}"
    assert (
        headline([lstm, lstm, rnn]) == "How much of the gradient is left at the first step, in 3 cells"
    )  # which LSTM?
    assert headline([kept(run("lstm"), "A"), kept(run("lstm"), "B")]) == f"A (at c): 13 % {left}; B (at c): 13 % {left}"
    alike = [
        kept(run("lstm", bias=bias), f"LSTM, {said}") for bias, said in ((3, "trained on latch"), (1, "untrained"))
    ]
    assert headline(alike) == f"LSTM, trained on latch (at c): 140 % {left}; LSTM, untrained (at c): 13 % {left}"
    short = kept(run("rnn", WORDS[:2]))
    assert headline([lstm, short]) == f"LSTM (at c): 13 % {left}; RNN (at h): 67 % of the last gradient 1 step back"
    assert headline([short, kept(run("lstm", ["a"]))]).endswith("one step, no step back")
    assert headline([gru]).startswith("GRU (at h): ")
    between = [kept(run("lstm"), "A"), kept(run("rnn"), "B"), kept(run("lstm", bias=3), "C")]
    assert headline(between) == "How much of the gradient is left at the first step, in 3 cells"
    assert headline([between[2], lstm, rnn]).startswith("Why the C’s gradient does not vanish")


def test_cells_without_weights_and_without_nonlinearities(svg):
    half = unroll(cells.Lines(lambda cell, x, h: h * 0.5 + tl.tanh(x), sizes=(3, 3)))
    assert headline([kept(half, "Half"), kept(run("rnn", WORDS[:6]))]) == (
        "Why the Half’s gradient vanishes less: a step back along h is only × 0.5"
    )
    items = svg(strip(half)).items
    assert "r0-s1-W" not in items
    assert items["r0-s1-h-op0"].text == "×"
    twice = tl.primitive("twice", "2×", lambda x: 2 * x, lambda g, out, x: 2 * g)
    items = svg(strip(unroll(cells.Lines(lambda cell, x, h: twice(h) + x, sizes=(3, 3))))).items
    assert items["r0-s1-h-op0"].text == "·"  # no sign of one letter
    linear = unroll(cells.Lines(lambda cell, x, h: h @ cell.W + x, sizes=(3, 3), W=(3, 3)))
    items = svg(strip(linear)).items
    assert "r0-s1-squash" not in items
    assert "× Wᵀ …  no way one step back without a matrix" in items["r0-factor"].text
    bent = kept(unroll(cells.Lines(lambda cell, x, h: tl.relu(h * 0.9 + x @ cell.V), sizes=(3, 3), V=(3, 3))))
    assert (factor(bent), formula(bent)) == ("× 0.9 · relu′", "")
    assert why(bent) == "+ lets it through: no matrix, but squashed by relu"
    assert "r0-s1-squash" not in svg(strip(bent.flow)).items


def test_gradients_that_are_0_nan_lost_or_not_computed(svg):
    nothing = kept(unroll(tl.nn.LSTMCell(3, 4, rng=0), scale=0.0))
    assert headline([nothing]) == "LSTM (at c): the gradient is 0 at the last step already"
    nan = kept(unroll(tl.nn.LSTMCell(3, 4, rng=0), scale=np.nan))
    assert headline([nan]) == "LSTM (at c): the gradient is no finite number"
    assert svg(strip(nan.flow)).items["r0-left"].text == "NaN"
    lost = kept(unroll(tl.nn.RNNCell(3, 4, rng=0), 30, scale=1e-305))
    assert lost.shares[-1] == 1
    assert percent(lost.left) == "≈ 0 %"
    assert headline([lost]) == "RNN (at h): ≈ 0 % of the last gradient 29 steps back"
    zero = kept(unroll(tl.nn.RNNCell(3, 4, rng=0), 2000))
    assert headline([zero]) == "RNN (at h): ≈ 0 % of the last gradient 1,999 steps back"
    assert 0.1 < zero.pace < 0.9  # over the steps where there is something to measure
    cell = tl.nn.LSTMCell(3, 4)
    h, _ = cell([1.0] * 3, cell([1.0] * 3))
    flow = read_graph((h * 2).sum())
    page = svg(strip(flow))
    assert headline([kept(flow)]) == "LSTM (at c): the gradient was not computed"
    assert page.items["r0-left"].text == "not computed"
    assert page.items["r0-s1-norm"].text == "–"
    assert "r0-pace" not in page.items
    cell = tl.nn.RNNCell(3, 4)
    texts = svg(strip(read_graph(cell([1.0] * 3, cell([1.0] * 3)).sum()))).items
    assert texts["r0-factor"].text.endswith("matrix W, squashing tanh")
    assert "r0-pace" not in texts
    assert all(arrow.dashed for arrow in strip(flow).picture.arrows if "edge" in arrow.css.split())
    assert "Dashed: the gradient was not computed." in page.text


def test_without_a_loss_the_last_state_is_the_root(svg):
    cell = tl.nn.RNNCell(3, 4)
    flow = tl.trace_gradients(cell([1.0] * 3, cell([1.0] * 3)), np.ones(4))
    page = svg(strip(flow))
    assert "r0-loss" not in page.items
    assert page.items["subtitle"].text.startswith("It begins at the last state; ")


def test_what_is_differentiated_is_l_in_its_box_and_by_its_name_above(svg):
    cell = tl.nn.RNNCell(3, 4)
    loss = cell([1.0] * 3, cell([1.0] * 3)).sum()
    loss.name = "squared error"
    items = svg(strip(tl.trace_gradients(loss))).items
    assert items["r0-loss"].text == "L"
    assert items["subtitle"].text.startswith("squared error (L) is read after the last step; ")


def test_it_says_itself_to_those_who_cannot_see_it(svg):
    flows = run("lstm"), run("rnn")
    said = svg(strip(*flows, words=WORDS)).of("graph")[0].tooltip
    assert said == sentence([kept(flow) for flow in flows])
    assert (
        said
        == "LSTM (at c): 13 % of the last gradient 10 steps back; RNN (at h): 0.36 % of the last gradient 10 steps back"
    )


def test_percent():
    shares = [1, 0.995, 2.1, 0.9949, 0.13, 0.036, 0.00358, 9.95e-6, 2e-7, 0.0, 123.4, 5e-324, np.nan, None]
    texts = [percent(share) for share in shares]
    assert texts == [
        "100 %", "100 %", "210 %", "99 %", "13 %", "3.6 %", "0.36 %", "1·10⁻³ %", "2·10⁻⁵ %", "≈ 0 %", "1.2·10⁴ %",
        "5·10⁻³²² %", "NaN", "–",
    ]  # fmt: skip


# ── what is seen ───────────────────────────────────────────────────────────────────────────────


_SVG = "{http://www.w3.org/2000/svg}"


def texts(svg_bytes):
    """Every text of an SVG: the item it stands in, its words, size and colour, and its box."""
    found = []
    for g in ET.fromstring(svg_bytes).iter(f"{_SVG}g"):
        for e in g.iter(f"{_SVG}text") if g.get("class") and "graph" not in g.get("class") else ():
            text, size = (e.text or "").replace("\xa0", " "), float(e.get("font-size"))
            width, x, y = theme.text_width(text.rstrip(), size), float(e.get("x")), float(e.get("y"))
            left = x - {"middle": width / 2, "end": width}.get(e.get("text-anchor"), 0)
            box = left, y - 0.75 * size, left + width, y + 0.2 * size
            if text.strip():
                found.append((g.get("id"), text, size, e.get("fill") or "#000000", box))
    return found


def overlapping(found):
    for (a, one, *_, p), (b, other, *_, q) in itertools.combinations(found, 2):
        if a != b and min(p[2], q[2]) - max(p[0], q[0]) > 2 and min(p[3], q[3]) - max(p[1], q[1]) > 1:
            yield one, other


ODD = [
    "Donaudampfschifffahrtsgesellschaft" * 9,
    "漢字" * 30,
    "😀" * 20,
    "W" * 50,
    "<b>&amp;\\N",
    " ",
    "\n",
    "",
    '"',
    "a b",
]


@pytest.mark.parametrize("words", [TEXT[:1], TEXT[:3], WORDS, TEXT[:13], TEXT[:30], TEXT * 10, ODD])
def test_no_text_covers_another_and_all_can_be_read_at_900_pixels(words):
    data = strip(run("lstm", words), run("rnn", words), titles=["LSTM, forget bias 1", "RNN"], words=words).pipe("svg")
    assert re.search(rb'viewBox="0.00 0.00 900.00 ', data)
    boxes = texts(data)
    assert not [*overlapping(boxes)]
    assert min(size for _, _, size, _, _ in boxes) >= 9
    assert all(box[0] > -1 and box[2] <= 886 for *_, box in boxes)
    for *_, colour, _ in boxes:
        assert contrast(colour, theme.PAPER) >= 4.5, colour


@pytest.mark.parametrize("steps", [1, 5, 14])
@pytest.mark.parametrize(
    "cell", [*(c for c in cells.OWN if c is not cells.ThreeStatesCell), tl.nn.LSTMCell, tl.nn.RNNCell]
)
def test_any_cell(cell, steps):
    drawing = strip(unroll(cell(3, 4), steps))
    assert all(shape.at for shape in drawing.picture.shapes)
    assert all(arrow.path for arrow in drawing.picture.arrows)
    data = drawing.pipe("svg")
    assert not [*overlapping(texts(data))]
    assert b'viewBox="0.00 0.00 900.00 ' in data


def test_lines_are_as_wide_as_the_share_of_their_edge():
    flow = run("lstm")
    picture = strip(flow, run("rnn")).picture
    lines = {arrow.id: arrow for arrow in picture.arrows}
    row = kept(flow)
    edge = flow.named("c")[4].inputs[0].source.inputs[1]
    assert lines["r0-s5-c-in"].tooltip.endswith(
        f"norm {edge.norm:.4g}, {percent(row.share(edge.norm))} of that at the last step"
    )
    widths = [lines[f"r0-s{t}-c"].width for t in range(1, 12)]
    assert widths == sorted(widths)
    assert widths[-1] == 9
    both = [lines[f"r{k}-s1-{state}-in"].width for k, state in enumerate("ch")]
    assert both[0] > 2 * both[1]  # one scale
    into = (
        sum(e.norm**2 for e in flow.named("f")[4].inputs[0].source.inputs[0].source.inputs[0].source.inputs[:1]) ** 0.5
    )
    assert f"norm {into:.4g}," in lines["r0-s5-h-in"].tooltip


def test_the_scale_is_also_that_of_flows_that_stand_beside():
    flow, other = run("lstm"), run("rnn", TEXT)
    widths = [
        next(a.width for a in strip(flow, beside=beside).picture.arrows if a.id == "r0-s1-c-in")
        for beside in ((), [(other, find_chain(other))])
    ]
    assert widths[0] < widths[1]


def test_of_many_steps_some_are_drawn_and_it_says_so(svg):
    words = [f"w{k}" for k in range(1, 301)]
    drawing = strip(run("lstm", words, hidden=2), words=words, keep=(17, 999))
    page = svg(drawing)
    shown = [int(i.id.split("-")[1][1:]) for i in page.of("input")]
    assert len(shown) == 36
    assert {1, 17, 300} <= set(shown)
    assert max(np.diff(sorted(shown))) <= 9
    assert drawing.picture.notes == ["264 of 300 steps are left out (dotted)."]
    assert drawing.picture.notes[0] in page.text
    assert page.items["r0-s17-at"].text == "17"
    for arrow in drawing.picture.arrows:
        if arrow.id.endswith("-c-in"):
            step = int(arrow.id.split("-")[1][1:])
            assert arrow.dotted == (step > 1 and step - 1 not in shown)


def test_thousands_of_steps_are_quick():
    flow = run("rnn", ["a", "b"] * 1500, hidden=2)
    steps = find_chain(flow)
    start = time.perf_counter()
    Drawing(layout_strip([flow], [steps], "long")).pipe("svg")
    assert time.perf_counter() - start < 4


def test_marks_where_earlier_steps_are_read(svg):
    page = svg(strip(unroll(tl.nn.LSTMCell(3, 4, rng=0), 4, loss="all")))
    assert [i.id for i in page.of("loss")] == ["r0-loss", "r0-s1-read-h", "r0-s2-read-h", "r0-s3-read-h"]
    assert "L is read after several steps" in page.text


def a_sum(cell, x, h):
    return tl.tanh(h @ cell.W + x @ cell.V.T - cell.b)


PLAIN = {
    "joined": lambda cell, x, h: tl.tanh(tl.concat([h, x], axis=-1) @ cell.J + cell.b), "sum": a_sum,
    "sine": lambda cell, x, h: tl.sin(h @ cell.W + x),
}  # fmt: skip
MORE = {
    "product": lambda cell, x, h: tl.tanh((h @ cell.W) * x),
    "two layers": lambda cell, x, h: tl.tanh(tl.relu(h @ cell.W + x) @ cell.V),
    "two squashings": lambda cell, x, h: tl.tanh(tl.tanh(h) @ cell.W + x),
    "half": lambda cell, x, h: tl.tanh(0.5 * a_sum(cell, x, h)),
}


@pytest.mark.parametrize("name", [*PLAIN, *MORE])
def test_one_matrix_and_one_squashing_are_said_of_nothing_else(name):
    shapes = {"W": (3, 3), "V": (3, 3), "J": (6, 3), "b": (3,)}
    cell = cells.Lines((PLAIN | MORE)[name], sizes=(3, 3), **shapes)
    row = kept(unroll(cell))
    bend = "sin" if name == "sine" else "tanh"
    if name in MORE:
        assert (factor(row), why(row)) == ("× Wᵀ …", "no way one step back without a matrix")
        assert "W [" not in formula(row)
        return
    assert factor(row) == ("× Wᵀ sin′" if bend == "sin" else "× Wᵀ (1 − h²)")
    matrix, squash = map(float, re.fullmatch(rf"matrix W \(× (.+)\), squashing {bend} \(× (.+)\)", why(row)).groups())
    through, steps = cell.J.numpy()[:3] if name == "joined" else cell.W.numpy(), []
    for before, after in itertools.pairwise(row.nodes):
        inner = after.inputs[0].source
        slope = np.cos(inner.value) if bend == "sin" else 1 - after.value**2
        np.testing.assert_allclose(before.gradient, (after.gradient * slope) @ through.T, rtol=1e-12)
        steps.append((norm(before.gradient) / norm(inner.gradient), norm(inner.gradient) / norm(after.gradient)))
    np.testing.assert_allclose((matrix, squash), np.exp(np.log(steps).mean(axis=0)), rtol=0.01)
    wanted = {"joined": "[h, x] J + b", "sum": "W [h, x]", "sine": "h W + x"}
    assert formula(row) == f"new h = {bend}({wanted[name]})"

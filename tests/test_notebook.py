"""What objects show of themselves in a notebook: whole HTML, no name taken for markup, small at any size."""

import re
from html.parser import HTMLParser

import numpy as np
import pytest
from cells import ThreeStatesCell, TwoStatesCell
from reading import contrast

import tinygrad_lstm as tl
from tinygrad_lstm import notebook
from tinygrad_lstm.flow.study import median, study
from tinygrad_lstm.train import Settings, Trainer, load, resume, save, watch, watching
from tinygrad_lstm.views import charts, theme
from tinygrad_lstm.views.sentences import conditions

EVIL = '<script>alert("1")</script>&\u202e\x00'
SHOWN = "&lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt;&amp;�␀"


class Page(HTMLParser):
    """The tags and the text of a page whose every element is closed in its turn."""

    def __init__(self, page):
        super().__init__()
        self.open, self.tags, self.text = [], [], ""
        self.feed(page)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data if "style" not in self.open else ""


def unrolled(steps, name="L", hidden=3, wrt_x=False):
    """The trace of |h_T|^2 of an LSTM cell."""
    state = None
    cell = tl.nn.LSTMCell(4, hidden, rng=0)
    for x in np.random.default_rng(0).standard_normal((steps, 4)):
        state = cell(tl.tensor(x, requires_grad=wrt_x, name="x"), state)
    loss = (state[0] * state[0]).sum()
    loss.name = name
    return tl.trace_gradients(loss)


def trained(steps, **settings):
    trainer = Trainer(Settings("adding", {"length": 6}, hidden=4, steps=steps, **settings))
    for _ in trainer.run():
        pass
    return trainer


@pytest.fixture
def drawn(monkeypatch):
    """What charts were asked for: the names and numbers of their curves, and their levels."""
    asked, draw = [], charts.curves

    def curves(lines, title, xlabel, ylabel, log=False, levels=None):
        asked.append((lines, log, levels or {}))
        return draw(lines, title, xlabel, ylabel, log, levels)

    monkeypatch.setattr(charts, "curves", curves)
    return asked


needs_charts = pytest.mark.skipif(not charts.available(), reason="the charts need matplotlib")


# ── tensors ────────────────────────────────────────────────────────────────────────────────────


def test_a_tensor_shows_its_values_and_how_it_was_made():
    x = tl.tensor([[0.5, -1.0], [2.25, 0.0]], requires_grad=True, name="x")
    with tl.scope("lstm", step=3), tl.scope("forget gate"):
        f = tl.tanh(x)
    page = Page(f._repr_html_())
    assert page.text.startswith("tensor shape (2, 2) · float64 · made by tanh in lstm[3] / forget gate")
    assert str(np.round(np.tanh([[0.5, -1.0], [2.25, 0.0]]), 4)) in page.text


def test_a_leaf_shows_its_gradient_once_it_has_one():
    W = tl.nn.Parameter([[3.0, 4.0]], name="W")
    assert "gradient, norm" not in W._repr_html_()
    (W * W).sum().backward()
    page = Page(W._repr_html_())
    assert page.text.startswith("parameter W shape (1, 2) · float64 · needs a gradient")
    assert "gradient, norm 10" in page.text
    assert "[[6. 8.]]" in page.text


@pytest.mark.parametrize(
    ("value", "texts"),
    [
        (3.0, ["one number", "3."]),
        (np.zeros((0, 3)), ["shape (0, 3)", "[]"]),
        (np.zeros((3, 0)), ["shape (3, 0)", "[]"]),
        ([np.nan, np.inf, -np.inf, 0.0], ["nan  inf -inf   0."]),
        (np.array([True, False]), ["bool", "[ True False]"]),
        (np.array([-7, 12]), ["int64", "[-7 12]"]),
        (np.array([0.25, 1.0], np.float16), ["float16", "[0.25 1.  ]"]),
        (np.array([1e-45], np.float32), ["float32", "e-45"]),
    ],
)
def test_every_kind_of_value(value, texts):
    page = Page(tl.tensor(value)._repr_html_())
    assert [t for t in texts if t not in page.text] == []


def test_of_a_large_array_the_corners_are_written():
    text = Page(tl.tensor(np.arange(5000.0), name="long")._repr_html_()).text
    assert "0.000e+00 1.000e+00 2.000e+00 ... 4.997e+03" in text
    for shape in ((50, 100), (3000, 2000), (100_000, 3), (9, 9, 9, 9), (3,) * 10):
        assert len(tl.tensor(np.random.default_rng(0).standard_normal(shape))._repr_html_()) < 30_000


# ── what a user writes stays text ──────────────────────────────────────────────────────────────


class Net(tl.nn.Module):
    def __init__(self):
        setattr(self, EVIL, tl.nn.Parameter([1.0]))


def evil_objects():
    x = tl.tensor([1.0, 2.0], requires_grad=True, name=EVIL)
    with tl.scope(EVIL):
        y = (x * x).sum()
    y.name = EVIL
    trainer = Trainer(Settings("adding", {"length": 6}, steps=1))
    trainer.task.baseline = type(trainer.task.baseline)(1.0, EVIL)
    flow = tl.trace_gradients(y)
    return {
        "leaf": x._repr_html_(),
        "scope": y._repr_html_(),
        "module": Net()._repr_html_(),
        "flow": flow._repr_html_(),
        "drawing": tl.draw(flow)._repr_mimebundle_()["text/html"],
        "run": trainer._repr_html_(),
    }


@pytest.mark.parametrize("kind", ["leaf", "scope", "module", "flow", "drawing", "run"])
def test_markup_in_names_is_text(kind):
    html = evil_objects()[kind]
    page = Page(html)
    assert "script" not in page.tags
    assert "alert" in page.text
    assert "\u202e" not in html
    assert "\x00" not in html
    if kind != "drawing":  # Graphviz writes its escapes another way
        assert SHOWN in html


# ── cells, steps, flows, drawings ──────────────────────────────────────────────────────────────


def test_a_module_lists_its_parameters():
    cell = tl.nn.LSTMCell(4, 3, rng=0)
    page = Page(cell._repr_html_())
    assert page.text.startswith("LSTMCell(4, 3, 96 parameters, float64)")
    assert "W_f(7, 3)21" in page.text
    assert "b_f(3,)31 ± 0" in page.text
    assert page.text.rstrip().endswith("all96")
    assert page.text.count("not computed") == 8
    h, _ = cell(np.ones(4))
    h.sum().backward()
    text = Page(cell._repr_html_()).text
    assert f"{theme.number(float(np.linalg.norm(cell.W_i.grad)), 3)}b_i" in text
    assert "not computed" not in text


def test_a_module_of_ones_own_is_called_by_its_class():
    class Empty(tl.nn.Module):
        pass

    assert Page(Empty()._repr_html_()).text.startswith("Empty ")


def test_a_step_shows_every_gate_it_has():
    shown = Page(tl.nn.LSTMCell(2, 3).step(np.ones((5, 2)))._repr_html_()).text
    assert shown.startswith("one LSTM step shape (5, 3) · float64 · of 5 sequences the first is shown")
    assert re.findall(r"[figoch](?=0\.|−0\.)", shown) == list("figoch")
    old = Page(tl.nn.LSTMCell(2, 3, forget_gate=False).step(np.ones(2))._repr_html_()).text
    assert re.findall(r"[figoch](?=0\.|−0\.)", old) == list("igoch")


def test_the_colours_of_a_step_are_on_one_scale_that_is_told():
    """A number has the colour that it has in any other row: its part of the largest of all."""
    state = np.zeros(2), np.array([4.0, -1.0])
    html = tl.nn.LSTMCell(1, 2, rng=0).step(np.ones(1), state)._repr_html_()
    cells = re.findall(r'BGCOLOR="(#\w{6})"[^>]*><FONT [^>]*COLOR="(#\w{6})">([^<]+)<', html)
    numbers = [float(text.replace("−", "-")) for _, _, text in cells]
    assert len(numbers) == 12
    most = max(map(abs, numbers))
    for (fill, ink, _), x in zip(cells, numbers, strict=True):
        exact = (bytes.fromhex(colour[1:]) for colour in (fill, theme.heat(x, most)))
        assert all(abs(seen - meant) <= 1 for seen, meant in zip(*exact, strict=True))
        assert contrast(fill, ink) >= 4.5  # on any page: the fill is its own
    said = theme.number(most)
    assert f"one scale for all rows: blue up to {said}, orange down to −{said}" in Page(html).text


def test_a_step_of_many_units_and_of_hostile_numbers_is_shown():
    wide = tl.nn.RNNCell(2, 500).step(np.ones(2))._repr_html_()
    assert wide.count("BGCOLOR") == 24
    assert "</TABLE>…</td>" in wide
    odd = tl.nn.RNNCell(1, 3)
    odd.b_h.assign(np.array([np.nan, 0.0, 1.0]))
    text = Page(odd.step(np.zeros(1))._repr_html_()).text
    assert "hNaN00.7616" in text
    odd.b_h.assign(np.zeros(3))
    assert "h000" in Page(odd.step(np.zeros(1))._repr_html_()).text


def test_of_many_parameters_the_first_are_listed():
    class Deep(tl.nn.Module):
        def __init__(self):
            self.layers = [tl.nn.Linear(1, 1) for _ in range(20)]

    text = Page(Deep()._repr_html_()).text
    assert "layers.11.b" in text
    assert "layers.12" not in text
    assert "… 17 more" in text


@needs_charts
def test_a_flow_shows_the_norms_that_it_has(drawn):
    flow = unrolled(5, wrt_x=True)
    page = Page(flow._repr_html_())
    assert drawn[0][0] == {f"‖∂L/∂{name}‖": ([1, 2, 3, 4, 5], flow.norms(name).tolist()) for name in "chx"}
    assert drawn[0][1]
    leaves = page.text[page.text.index("leafshape") :]
    assert f"W_f(7, 3){theme.number(flow.node(flow_leaf(flow, 'W_f')).norm, 3)}" in leaves
    assert "x(4,)" not in leaves


@needs_charts
def test_a_cell_of_ones_own_is_shown_by_its_own_names(drawn):
    step = Page(ThreeStatesCell(4, 3, 0).step(np.ones((1, 4)))._repr_html_()).text
    assert step.startswith("one ThreeStates step shape (1, 3)")
    names = re.findall(r"[a-z](?=[0−])", step[step.index("float64") + 7 :])
    assert sorted(names) == sorted("yenhcsw")  # w is as wide as x, all else as h
    cell, state = TwoStatesCell(4, 3, 0), None
    for x in np.random.default_rng(0).standard_normal((4, 1, 4)):
        state = cell(x, state)
    flow = tl.trace_gradients(state[0].sum())
    assert flow._repr_html_()
    assert set(drawn[0][0]) == {f"‖∂L/∂{name}‖" for name in cell.states}


def flow_leaf(flow, name):
    return next(node.tensor for node in flow.nodes if node.name == name)


def test_a_flow_of_a_thousand_steps_is_small():
    assert len(unrolled(1000)._repr_html_()) < 100_000


def test_a_flow_without_steps_and_one_without_gradients():
    x = tl.tensor([3.0, 4.0], requires_grad=True, name="x")
    y = (x * x).sum()
    assert "x(2,)10" in Page(tl.trace_gradients(y)._repr_html_()).text
    page = Page(tl.flow.read_graph(y)._repr_html_())
    assert "not traced: no gradient was computed" in page.text
    assert "table" not in page.tags


@needs_charts
def test_stacked_layers_have_curves_of_their_own(drawn):
    out, _ = tl.nn.LSTM(2, 3, num_layers=2, compiled=False)(np.ones((4, 1, 2), np.float32))
    assert "<svg " in tl.trace_gradients(out.sum())._repr_html_()
    assert [*drawn[0][0]] == [f"layer {k} ‖∂L/∂{name}‖" for k in (1, 2) for name in "ch"]


@needs_charts
def test_a_curve_without_a_number_is_not_drawn(drawn):
    """No weights: no gradient comes back to any x."""
    cell, state = tl.nn.LSTMCell(2, 3, rng=0), None
    for name, p in cell.named_parameters():
        if name.startswith("W"):
            p.assign(np.zeros(p.shape))
    for x in np.ones((3, 2)):
        state = cell(tl.tensor(x, requires_grad=True, name="x"), state)
    assert "<svg " in tl.trace_gradients(state[0].sum())._repr_html_()
    assert list(drawn[0][0]) == ["‖∂L/∂c‖", "‖∂L/∂h‖"]


@needs_charts
def test_a_scope_with_dollars_is_no_mathematics(drawn):
    with tl.scope(r"$\nothing$"):
        assert "<svg " in unrolled(3)._repr_html_()
    assert all(r"\$\nothing\$" in name for name in drawn[0][0])


@needs_charts
def test_a_study_shows_how_much_gradient_is_left():
    found = study(["rnn", "lstm1"], lag=4, hidden_size=2, seeds=[0])
    page = Page(found._repr_html_())
    assert "What is left" not in page.text
    assert page.text.startswith(f"what is left of the gradient after 4 steps {conditions(found, [0])}")
    assert "svg" in page.tags


def test_without_matplotlib_the_numbers_are_shown_and_how_to_get_charts(monkeypatch):
    monkeypatch.setattr(charts, "available", lambda: False)
    found = study(["rnn", "lstm1"], lag=4, hidden_size=2, seeds=[0])
    flow, trainer = unrolled(5), trained(200)
    pages = [Page(shown._repr_html_()) for shown in (found, flow, trainer)]
    for page in pages:
        assert 'pip install "tinygrad-lstm[charts]"' in page.text
        assert "svg" not in page.tags
    losses = np.array([row["loss"] for row in trainer.reports])
    known = [median(cell.norms) for cell in found.cells], [flow.norms(name) for name in "ch"], [losses]
    for page, arrays in zip(pages, known, strict=True):
        assert all(np.array2string(array, max_line_width=100, precision=4) in page.text for array in arrays)


def test_a_drawing_is_as_wide_as_the_page_and_its_parts_say_what_they_are():
    html = tl.draw(unrolled(3))._repr_mimebundle_()["text/html"]
    page = Page(html)
    assert page.tags[:3] == ["svg", "title", "rect"]
    assert re.match(r'<svg [^>]*style="max-width:100%;height:auto"[^>]*viewBox=', html)
    assert "× " in page.text
    assert "<?xml" not in html
    assert "<!DOCTYPE" not in html


@pytest.mark.parametrize("make", [lambda: tl.draw(unrolled(12))._repr_mimebundle_()["text/html"],
                                  lambda: unrolled(12)._repr_html_()])  # fmt: skip
def test_no_picture_is_wider_than_its_page(make):
    assert "min-width" not in make()


# ── runs ───────────────────────────────────────────────────────────────────────────────────────


def test_a_run_says_whether_it_is_solved_beside_its_baseline():
    trainer = Trainer(Settings("adding", {"length": 6}, hidden=4, steps=200))
    assert Page(trainer._repr_html_()).text.startswith(f"{trainer.settings.title()}: not solved yet after 0 sequences")
    for _ in trainer.run():
        pass
    page = Page(trainer._repr_html_())
    assert page.text.startswith(f"{trainer.settings.title()}: ✗ not solved after 6,400 sequences")
    assert "baseline: 0.1667, always answers 1, the mean of the sum" in page.text
    assert f"loss: {theme.number(trainer.reports[-1]['loss'], 4)} in the last report" in page.text
    assert "cell lstm, hidden 4, forget_bias 1.0, init uniform, steps 200" in page.text
    trainer.solved = True
    assert Page(trainer._repr_html_()).text.startswith(f"{trainer.settings.title()}: ✓ solved after 6,400 sequences")


def test_a_run_that_is_read_again_has_its_curve(tmp_path):
    trainer = trained(200)
    save(tmp_path, trainer.checkpoint())
    checkpoint = load(tmp_path)
    assert checkpoint._repr_html_() == trainer._repr_html_()
    assert resume(checkpoint).reports == trainer.reports


def test_metrics_that_are_none_are_left_out():
    saved = trained(1).checkpoint()
    rows = [{"step": 1}, {"step": 1, "sequences": EVIL, "loss": 1.0}, {"step": 1, "sequences": 32, "loss": None}]
    page = Page(type(saved)(saved.arrays, saved.about | {"reports": rows})._repr_html_())
    assert "svg" not in page.tags
    assert "alert" not in page.text


@needs_charts
def test_a_loss_that_falls_far_is_drawn_on_a_logarithmic_scale(drawn):
    about = trained(1).checkpoint().about
    rows = [{"step": k, "sequences": 32 * k, "loss": loss} for k, loss in ((1, 1.0), (2, 0.01))]
    for found, given in ((rows, about), (rows[:1], about), (rows, about | {"baseline": [0.0, "nothing"]})):
        notebook.run("a run", given, found)
    baseline = {"baseline": about["baseline"][0]}
    assert [(log, levels) for _, log, levels in drawn] == [(True, baseline), (False, baseline), (True, {})]
    assert drawn[0][0] == {"loss": ([32, 64], [1.0, 0.01])}


def test_a_parameter_without_elements_has_neither_mean_nor_picture():
    class Nothing(tl.nn.Module):
        def __init__(self):
            self.W = tl.nn.Parameter(np.zeros((0, 3)))

    page = Page(Nothing()._repr_html_())
    assert "W(0, 3)0not computed" in page.text


# ── watch ──────────────────────────────────────────────────────────────────────────────────────


def test_outside_a_notebook_watching_prints_a_line_a_second(monkeypatch, capsys):
    clock = iter(np.arange(0, 1000, 0.01))  # each look at the clock is 10 ms later
    monkeypatch.setattr(watching, "time", type("Time", (), {"monotonic": staticmethod(lambda: next(clock))}))
    trainer = Trainer(Settings("adding", {"length": 6}, hidden=4, steps=350))
    watch(trainer)
    lines = capsys.readouterr().out.splitlines()
    assert 3 <= len(lines) <= 5
    assert lines[-1].startswith("   11,200 sequences  loss 0.")
    assert trainer.finished


def test_what_was_reached_is_shown_when_it_stops(monkeypatch, capsys):
    trainer = Trainer(Settings("adding", {"length": 6}, hidden=4, steps=350))

    def interrupted():
        trainer.step()
        raise KeyboardInterrupt

    monkeypatch.setattr(trainer, "run", interrupted)
    with pytest.raises(KeyboardInterrupt):
        watch(trainer)
    assert re.fullmatch(r"       32 sequences  error 0\.\d{4}  right 0\.0%\n", capsys.readouterr().out)

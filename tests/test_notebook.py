"""What objects show of themselves in a notebook: whole HTML, no name taken for markup, small at any size."""

import base64
import re
import struct
import zlib
from html.parser import HTMLParser

import numpy as np
import pytest

import tinygrad_lstm as tl
from tinygrad_lstm import notebook
from tinygrad_lstm.draw import theme
from tinygrad_lstm.train import Settings, Trainer, load, resume, save, watch, watching
from tinygrad_lstm.train.checkpoint import METRICS
from tinygrad_lstm.train.metrics import append_metrics

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
        if tag != "img":
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


def picture(html):
    """The colours of the only PNG of a page, as rows of (red, green, blue, alpha)."""
    (data,) = re.findall(r"data:image/png;base64,([^\"]+)", html)
    data, chunks = base64.b64decode(data), {}
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    at = 8
    while at < len(data):
        (size,) = struct.unpack(">I", data[at : at + 4])
        kind, body = data[at + 4 : at + 8], data[at + 8 : at + 8 + size]
        assert struct.unpack(">I", data[at + 8 + size : at + 12 + size]) == (zlib.crc32(kind + body),)
        chunks[kind] = body
        at += 12 + size
    width, height, depth, colour = struct.unpack(">IIBB", chunks[b"IHDR"][:10])
    assert (depth, colour) == (8, 3)
    lines = np.frombuffer(zlib.decompress(chunks[b"IDAT"]), np.uint8).reshape(height, width + 1)
    assert not lines[:, 0].any()
    palette = np.frombuffer(chunks[b"PLTE"], np.uint8).reshape(256, 3)
    return np.dstack([palette[lines[:, 1:]], np.frombuffer(chunks[b"tRNS"], np.uint8)[lines[:, 1:]]])


# ── tensors ────────────────────────────────────────────────────────────────────────────────────


def test_a_tensor_shows_its_values_and_how_it_was_made():
    x = tl.tensor([[0.5, -1.0], [2.25, 0.0]], requires_grad=True, name="x")
    with tl.scope("lstm", step=3), tl.scope("forget gate"):
        f = tl.tanh(x)
    page = Page(f._repr_html_())
    assert page.text.startswith("tensor shape (2, 2) · float64 · made by tanh in lstm[3] / forget gate")
    assert [f"{np.tanh(v):.4f}".replace("-", "−") in page.text for v in (0.5, -1.0, 2.25)] == [True] * 3


def test_a_leaf_shows_its_gradient_once_it_has_one():
    W = tl.nn.Parameter([[3.0, 4.0]], name="W")
    assert "gradient, norm" not in W._repr_html_()
    (W * W).sum().backward()
    page = Page(W._repr_html_())
    assert page.text.startswith("parameter W shape (1, 2) · float64 · needs a gradient")
    assert "gradient, norm 10" in page.text
    assert "6.08.0" in page.text


@pytest.mark.parametrize(
    ("value", "texts"),
    [
        (3.0, ["one number", "3.0"]),
        (np.zeros((0, 3)), ["shape (0, 3)", "no elements"]),
        (np.zeros((3, 0)), ["shape (3, 0)", "no elements"]),
        ([np.nan, np.inf, -np.inf, 0.0], ["NaN", "−∞", "0.0"]),
        (np.array([True, False]), ["bool", "True", "False"]),
        (np.array([-7, 12]), ["int64", "−7", "12"]),
        (np.array([1.5e-9, -2e8]), ["1.500·10⁻⁹", "−2.000·10⁸"]),
        (np.array([0.25, 1.0], np.float16), ["float16", "0.2500", "1.0000"]),
        (np.array([1e-45], np.float32), ["float32", "1.401·10⁻⁴⁵"]),
    ],
)
def test_every_kind_of_value(value, texts):
    page = Page(tl.tensor(value)._repr_html_())
    assert [t for t in texts if t not in page.text] == []


def test_of_a_long_array_the_ends_are_written_and_all_of_it_is_coloured():
    html = tl.tensor(np.arange(5000.0), name="long")._repr_html_()
    text = Page(html).text
    assert "01" in text
    assert "…499749984999" in text
    assert "2,500" not in text
    assert "one in 1 down and one in 21 across" in html
    assert len(html) < 5_000
    assert len(tl.tensor(np.random.default_rng(0).standard_normal((50, 100)))._repr_html_()) < 20_000
    assert len(tl.tensor(np.random.default_rng(0).standard_normal((3000, 2000)))._repr_html_()) < 40_000


def test_more_axes_than_two_are_numbered_line_by_line():
    text = Page(tl.tensor(np.arange(24.0).reshape(2, 3, 4))._repr_html_()).text
    assert "0, 00.01.02.03.0" in text
    assert "1, 220.021.022.023.0" in text


def test_the_picture_is_blue_above_0_orange_below_clear_at_0_and_grey_for_nan():
    values = np.zeros((1, 12))
    values[0, :5] = 2, -2, np.nan, 1, np.inf
    blue, orange, grey, half, infinite, *others = picture(tl.tensor(values)._repr_html_())[0].tolist()
    assert blue == infinite == [0x00, 0x72, 0xB2, 254]
    assert orange == [0xD5, 0x5E, 0x00, 254]
    assert grey == [128, 128, 128, 150]
    assert half[:3] == blue[:3]
    assert abs(half[3] - 127) < 2
    assert {alpha for *_, alpha in others} == {0}


def test_the_picture_of_a_tall_matrix_lies():
    values = np.zeros((12, 3))
    values[7, 2] = 1
    html = tl.tensor(values)._repr_html_()
    assert "rows lie across" in html
    assert np.argwhere(picture(html)[..., 3]).tolist() == [[2, 7]]


def test_colours_leave_the_text_readable_on_white_and_on_black():
    """The contrast of a page's own text on the strongest fill is at least 4.5, as WCAG asks."""
    html = tl.tensor([1.0, -1.0, np.nan])._repr_html_()
    fills = [tuple(map(float, fill.split(","))) for fill in re.findall(r"background:rgba\(([^)]*)\)", html)]
    assert len(fills) == 3
    for paper, ink in ((255, (33, 33, 33)), (0x11, (224, 224, 224))):
        for *colour, alpha in fills:
            seen = [alpha * c + (1 - alpha) * paper for c in colour]
            bright, dark = sorted([luminance(seen), luminance(ink)], reverse=True)
            assert (bright + 0.05) / (dark + 0.05) >= 4.5, (paper, colour)


def luminance(rgb):
    linear = [c / 255 / 12.92 if c / 255 <= 0.04045 else ((c / 255 + 0.055) / 1.055) ** 2.4 for c in rgb]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


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
    assert page.tags.count("img") == 8
    assert "norm of .grad" not in page.text
    h, _ = cell(np.ones(4))
    h.sum().backward()
    assert "norm of .grad" in Page(cell._repr_html_()).text


def test_a_module_of_ones_own_is_called_by_its_class():
    class Empty(tl.nn.Module):
        pass

    assert Page(Empty()._repr_html_()).text == "Empty no parameters"


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
    cells = re.findall(r'background:rgba\((\S+),([\d.]+)\)">([^<]+)<', html)
    numbers = [float(text.replace("−", "-")) for _, _, text in cells]
    assert len(numbers) == 12
    most = max(map(abs, numbers))
    for (colour, alpha, _), x in zip(cells, numbers, strict=True):
        assert float(alpha) == pytest.approx(0.55 * abs(x) / most, abs=0.006)
        assert colour == ("0,114,178" if x > 0 else "213,94,0")
    orange, blue = "rgba(213,94,0,0.55)", "rgba(0,114,178,0.55)"
    assert f"linear-gradient(90deg,{orange},transparent,{blue})" in html
    said = theme.number(most)
    assert f"−{said}  {said}: one scale for all rows" in Page(html).text


def test_lines_differ_by_their_dashes_too():
    lines = re.findall(
        '<path [^>]*stroke="([^"]*)"[^>]*stroke-dasharray="([^"]*)"', unrolled(5, wrt_x=True)._repr_html_()
    )
    assert len(lines) == len({colour for colour, _ in lines}) == len({dashes for _, dashes in lines}) == 3


def test_a_flow_shows_the_norms_that_it_has():
    flow = unrolled(5, wrt_x=True)
    page = Page(flow._repr_html_())
    for name in "chx":
        assert f"‖∂L/∂{name}‖" in page.text
        for norm in flow.norms(name):
            assert theme.number(norm, 3) in page.text
    assert page.tags.count("path") == 3
    leaves = page.text[page.text.index("leafshape") :]
    assert f"W_f(7, 3){theme.number(flow.node(flow_leaf(flow, 'W_f')).norm, 3)}" in leaves
    assert "x(4,)" not in leaves


def flow_leaf(flow, name):
    return next(x for x in flow._graph.tensors if x.name == name)


def test_a_flow_of_a_thousand_steps_is_small():
    html = unrolled(1000)._repr_html_()
    assert len(html) < 60_000
    text = Page(html).text
    assert "6.27·10⁻¹²⁹" in text
    assert "…" in text


def test_a_flow_without_steps_and_one_without_gradients():
    x = tl.tensor([3.0, 4.0], requires_grad=True, name="x")
    y = (x * x).sum()
    assert "x(2,)10" in Page(tl.trace_gradients(y)._repr_html_()).text
    page = Page(tl.flow.read_graph(y)._repr_html_())
    assert "not traced: no gradient was computed" in page.text
    assert "table" not in page.tags


def test_stacked_layers_have_curves_of_their_own():
    out, _ = tl.nn.LSTM(2, 3, num_layers=2, compiled=False)(np.ones((4, 1, 2), np.float32))
    page = Page(tl.trace_gradients(out.sum())._repr_html_())
    assert "layer 1 ‖∂L/∂c‖layer 1 ‖∂L/∂h‖layer 2 ‖∂L/∂c‖layer 2 ‖∂L/∂h‖" in page.text
    assert page.tags.count("path") == 4


def test_a_norm_of_0_is_a_gap_in_the_curve():
    def lines(norms):
        curve = notebook._Curve("c", "#000000", range(1, 1 + len(norms)), norms)
        return re.findall(r'<path d="([^"]*)"', notebook._chart([curve], "step", log=True))

    assert [line.count("M") for line in lines([1.0, 0.1, 0.0, 0.1, np.nan, 1.0])] == [3]
    assert len(lines([0.5])) == 1
    assert lines([0.0, 0.0]) == []


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
    assert Page(trainer._repr_html_()).text.startswith("adding: not solved yet after 0 sequences")
    for _ in trainer.run():
        pass
    page = Page(trainer._repr_html_())
    assert page.text.startswith("adding: ✗ not solved after 6,400 sequences")
    assert "baseline0.1667: always answers 1, the mean of the sum" in page.text
    assert f"loss{theme.number(trainer.reports[-1]['loss'], 4)} in the last report" in page.text
    assert "settingscell lstm, hidden 4, forget_bias 1.0, init uniform, steps 200" in page.text
    assert page.tags.count("circle") == 3  # two reports and the name of the curve
    trainer.solved = True
    assert Page(trainer._repr_html_()).text.startswith("adding: ✓ solved after 6,400 sequences")


def test_a_forget_bias_that_decides_nothing_is_not_told():
    for settings in ({"cell": "rnn"}, {"init": "chrono"}):
        assert "forget_bias" not in trained(1, **settings)._repr_html_()


def test_a_run_that_is_read_again_has_its_curve(tmp_path):
    trainer = trained(200)
    rows = [*trainer.reports, {"step": 300, "loss": 7.0, "sequences": 9600}]  # written after the checkpoint
    append_metrics(tmp_path / METRICS, rows)
    save(tmp_path, trainer.checkpoint(), None)
    checkpoint = load(tmp_path)
    assert checkpoint.metrics == trainer.reports
    assert checkpoint._repr_html_() == trainer._repr_html_()
    assert resume(checkpoint).reports == trainer.reports
    assert "metrics" not in repr(checkpoint)


def test_metrics_that_are_none_are_left_out(tmp_path):
    trainer = trained(1)
    rows = [{"step": 1}, {"step": 1, "sequences": EVIL, "loss": 1.0}, {"step": 1, "sequences": 32, "loss": None}]
    append_metrics(tmp_path / METRICS, rows)
    save(tmp_path, trainer.checkpoint(), None)
    page = Page(load(tmp_path)._repr_html_())
    assert "svg" not in page.tags
    assert "alert" not in page.text


def test_a_loss_that_falls_far_is_drawn_on_a_logarithmic_scale():
    about = trained(1).checkpoint().about
    rows = [{"step": k, "sequences": 32 * k, "loss": loss} for k, loss in ((1, 1.0), (2, 0.01))]
    assert "logarithmic" in notebook.run(about, rows)
    assert "logarithmic" not in notebook.run(about, rows[:1])
    assert 'dasharray="5 4"' in notebook.run(about, rows)
    assert 'dasharray="5 4"' not in notebook.run(about | {"baseline": [0.0, "nothing"]}, rows)  # has no place there


def test_a_curve_without_a_number_has_no_name_at_its_end():
    """No weights: no gradient comes back to h and x before the last step, nor to any x."""
    cell, state = tl.nn.LSTMCell(2, 3, rng=0), None
    for name, p in cell.named_parameters():
        if name.startswith("W"):
            p.assign(np.zeros(p.shape))
    for x in np.ones((3, 2)):
        state = cell(tl.tensor(x, requires_grad=True, name="x"), state)
    html = tl.trace_gradients(state[0].sum())._repr_html_()
    assert 'aria-label="curves of c, h, x"' in html
    assert re.findall("<text[^>]*>([a-z])</text>", html) == ["h", "c"]


def test_a_parameter_without_elements_has_neither_mean_nor_picture():
    class Nothing(tl.nn.Module):
        def __init__(self):
            self.W = tl.nn.Parameter(np.zeros((0, 3)))

    page = Page(Nothing()._repr_html_())
    assert "W(0, 3)0" in page.text
    assert "img" not in page.tags


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
    assert capsys.readouterr().out == "       32 sequences\n"

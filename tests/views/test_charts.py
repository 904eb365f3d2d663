"""The charts: what they draw and say, that nothing overlaps or is cut off, and files. Skipped without matplotlib."""

import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
from cells import CoupledLSTMCell, GRUCell, MinimalCell
from reading import contrast

import tinygrad_lstm as tl
from tinygrad_lstm.flow.study import Part, median, study
from tinygrad_lstm.views import charts, theme

pytest.importorskip("matplotlib", reason='the charts need matplotlib: pip install "tinygrad-lstm[charts]"')

from matplotlib.colors import to_hex
from matplotlib.text import Text


def of(found, key):
    """The cell of that key in a study."""
    return next(c for c in found.cells if c.variant.key == key)


@pytest.fixture(scope="module")
def found():
    return study(lag=12, hidden_size=4, input_size=3, seeds=[0, 1, 2])


@pytest.fixture(scope="module")
def own():
    """Cells of one's own beside a plain RNN, each with a direct path: along h by 1 - u, along c by f, along h by k."""
    return study(["rnn", GRUCell, CoupledLSTMCell, MinimalCell], lag=9, hidden_size=4, input_size=3, seeds=[0, 1])


@pytest.fixture(scope="module")
def lost():
    """A gradient that is exactly 0 from some lag on."""
    return study(["rnn", "lstm-8"], lag=330, hidden_size=2, input_size=2, seeds=[0, 3])


def texts(figure):
    return [t.get_text() for t in figure.findobj(lambda a: hasattr(a, "get_text")) if t.get_text()]


def boxes(figure):
    """Every visible text with its box in pixels."""
    figure.canvas.draw()
    renderer = figure.canvas.get_renderer()
    found = set(figure.findobj(Text)) - unseen_ticks(figure)
    return [(t.get_text(), t.get_window_extent(renderer)) for t in found if t.get_text().strip() and t.get_visible()]


def unseen_ticks(figure):
    """The labels that matplotlib keeps for places outside an axis and does not draw."""
    found = set()
    for axis in (axis for axes in figure.axes for axis in (axes.xaxis, axes.yaxis)):
        low, high = axis.get_view_interval()
        ticks = [*axis.get_major_ticks(), *axis.get_minor_ticks()]
        found |= {tick.label1 for tick in ticks if not low <= tick.get_loc() <= high}
    return found


def agg(figure):
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    FigureCanvasAgg(figure)
    return figure


def curves(axes):
    return [line for line in axes.lines if line.get_transform() == axes.transData and line.get_linestyle() != "None"]


@pytest.mark.parametrize("name", charts.CHARTS)
@pytest.mark.parametrize("which", ["found", "lost", "own"])
def test_no_text_is_cut_off_or_lies_on_another(name, which, request):
    figure = agg(charts.CHARTS[name](request.getfixturevalue(which)))
    width, height = figure.canvas.get_width_height()
    seen = boxes(figure)
    assert len(seen) >= 8
    for text, box in seen:
        assert box.x0 >= 0, text
        assert box.x1 <= width + 1, text
        assert box.y0 >= 0, text
        assert box.y1 <= height + 1, text
    for text in (t for t in figure.findobj(Text) if t.get_text().strip()):
        assert text.get_fontsize() * 900 / (figure.get_figwidth() * 72) >= 9, text  # where a chart is 900 px wide
        assert contrast(to_hex(text.get_color()).upper(), theme.PAPER) >= 4.5, text
    for (text, box), (other, its) in combinations(seen, 2):
        across = min(box.x1, its.x1) - max(box.x0, its.x0)
        along = min(box.y1, its.y1) - max(box.y0, its.y0)
        assert across < 1 or along < 2, (text, other)


def test_norms_are_drawn_as_they_are_with_closed_forms_dashed(found):
    axes = charts.norms(found).axes[0]
    drawn = curves(axes)
    for cell in found.cells:
        for values, dashed in ((median(cell.norms), False), (median(cell.closed), True)):
            matching = [c for c in drawn if np.array_equal(c.get_ydata(), values)]
            assert any(c.is_dashed() == dashed for c in matching)
    said = " ".join(texts(charts.norms(found)))
    assert all(words in said for words in ("σ(forget bias)ˡᵃᵍ", "1ˡᵃᵍ", "without tanh", "at zero weights"))
    assert "Norm of dL/dh of the RNN, dL/dc of the LSTM of 1997 and LSTM, through every path." in said


def falling(found, first, last):
    """The study of the RNN alone, with norms that fall from 10^first to 10^last."""
    cell = of(found, "rnn")
    norms = np.logspace([first] * len(found.seeds), last, found.lag + 1, axis=1)
    return replace(found, cells=[replace(cell, norms=norms, closed=norms)])


def test_norms_that_are_all_0_leave_an_empty_chart_that_says_so(found):
    nothing = falling(found, -400, -500)
    assert not any(c.norms.any() for c in nothing.cells)
    figure = charts.norms(nothing)
    low, high = figure.axes[0].get_ylim()
    assert low < high
    assert all(np.isnan(line.get_ydata()).all() for line in curves(figure.axes[0]))
    assert "RNN  0 from lag 0" in texts(figure)
    assert "norms of exactly 0 are not drawn" in " ".join(texts(figure))


def test_a_norm_that_is_no_number_is_said(found):
    figure = charts.norms(falling(found, np.nan, np.nan))
    assert "RNN  lost" in texts(figure)


def test_a_norm_of_0_is_said_and_never_drawn(lost):
    figure = charts.norms(lost)
    values = median(of(lost, "lstm-8").norms)
    first = int(np.flatnonzero(values > 0)[-1]) + 1
    assert any(f"0 from lag {first:,}" in t for t in texts(figure))
    (line,) = [
        c
        for c in curves(figure.axes[0])
        if len(c.get_xdata()) == 331 and np.isnan(c.get_ydata()[-1]) and not c.is_dashed()
    ]
    assert np.array_equal(np.isfinite(line.get_ydata()), values > 0)
    assert any("exactly 0" in t for t in texts(charts.split(lost)))


def test_singular_values_end_where_float64_cannot_tell_them(found):
    figure = charts.singular(found)
    for axes, cell in zip(figure.axes, found.cells, strict=True):
        drawn = [line.get_ydata() for line in axes.lines if len(line.get_ydata()) == found.lag + 1]
        for column, y in enumerate(drawn):
            np.testing.assert_array_equal(y, cell.singular[:, column])
            assert np.isfinite(y[0])
    low, high = figure.axes[0].get_ylim()
    assert all(axes.get_ylim() == (low, high) for axes in figure.axes)
    assert low < np.nanmin([c.singular for c in found.cells]) < np.nanmax([c.singular for c in found.cells]) < high


def test_bars_are_the_signed_shares(found):
    figure = charts.split(found)
    cells = [c for c in found.cells if c.parts]
    for axes, cell in zip(figure.axes, cells, strict=True):
        heights = [bar.get_height() for bar in axes.patches]
        assert heights == [p.share for p in cell.parts[: len(heights)]]
        assert sum(heights) == pytest.approx(1, abs=0.05)


def test_a_cell_of_ones_own_has_its_split_by_crossings(own):
    cells, figure = own.cells[1:], charts.split(own)
    assert "of dL/dh of the GRU and Minimal, dL/dc of the CoupledLSTM the part" in " ".join(texts(figure))
    assert [axes.get_title("left") for axes in figure.axes] == [cell.variant.label for cell in cells]
    for axes, cell in zip(figure.axes, cells, strict=True):
        heights = [bar.get_height() for bar in axes.patches]
        assert heights == [p.share for p in cell.parts[: len(heights)]]
        assert sum(heights) == pytest.approx(1, abs=0.05)
        assert cell.parts[0].norm == pytest.approx(cell.direct[0, -1], rel=1e-12)


def test_parts_that_cancel_are_drawn_and_the_rest_is_one_bar(found):
    cell = of(found, "lstm1")
    shares = (4001.0, -6000.0, 2000.0)
    parts = [Part(k, k == 2, abs(s), abs(s), s, np.sign(s)) for k, s in enumerate(shares)]
    (axes,) = (a for a in charts.split(replace(found, cells=[replace(cell, parts=parts)])).axes if a.patches)
    assert [bar.get_height() for bar in axes.patches] == list(shares)
    assert [bar.get_hatch() for bar in axes.patches] == [None, None, "////"]
    assert "hatched are k and all above" in " ".join(texts(axes.figure))
    assert axes.get_xlabel() == "number of detours, k (k = 0: cosine 1)"


def test_curves_of_ones_own_are_drawn_as_given_with_levels_dashed():
    steps, falling = [0, 100, 5000], [4.0, 2.5, 2.0]
    figure = agg(charts.curves({"mine": (steps, falling), "other": [3.0, 1.0]}, "Loss", "step", "nats",
                               levels={"ln V": 4.1, "bigram": 2.4}))  # fmt: skip
    (axes,) = figure.axes
    first, second = (line for line in curves(axes) if not line.is_dashed())
    assert [first.get_xdata().tolist(), first.get_ydata().tolist()] == [steps, falling]
    assert [second.get_xdata().tolist(), second.get_ydata().tolist()] == [[0, 1], [3, 1]]
    assert {line.get_ydata()[0] for line in axes.lines if line.is_dashed()} >= {4.1, 2.4}
    said = {text for text, _ in boxes(figure)}
    assert {"Loss", "step", "nats", "mine", "other", "ln V  4.1", "bigram  2.4", "5000"} <= said
    for (text, box), (other, its) in combinations(boxes(figure), 2):
        apart = min(box.x1, its.x1) - max(box.x0, its.x0) < 1 or min(box.y1, its.y1) - max(box.y0, its.y0) < 2
        assert apart, (text, other)


def test_a_long_name_is_cut_before_the_edge():
    figure = agg(charts.curves({"Wide names of mine " * 9: [1, 2], "short": [2, 1]}, "", "", "", levels={"MW" * 40: 1}))
    width, _ = figure.canvas.get_width_height()
    assert max(box.x1 for _, box in boxes(figure)) <= width
    assert sum("…" in text for text, _ in boxes(figure)) == 2


@pytest.mark.parametrize("name", ["_hidden", "a$b^{$c", "$x$", "_"])
def test_a_name_is_shown_as_it_is(name):
    figure = charts.curves({name: [1, 2]}, "loss", "x", "y", levels={name: 1.5})
    shown = [text.get_text().replace(r"\$", "$").strip() for text in figure.axes[0].get_legend().get_texts()]
    assert shown == [name, f"{name}  1.5"]
    assert figure._repr_svg_().count("<path")


def test_curves_on_a_log_axis_leave_out_what_is_not_above_0():
    (axes,) = charts.curves({"mine": [1e-3, 0.0, 10.0]}, "", "", "", log=True, levels={"one": 1.0}).axes
    (line,) = (line for line in curves(axes) if not line.is_dashed())
    np.testing.assert_array_equal(line.get_ydata(), [1e-3, np.nan, 10])
    assert axes.get_yscale() == "log"


@pytest.mark.parametrize(
    ("line", "log", "said"),
    [([0.0, -1.0], True, "no finite number above 0"), ([np.nan], False, "no finite number to"),
     (([1, 2], [1, 2, 3]), False, r"shapes \(2,\) and \(3,\)"), ([], False, "no finite number")],
)  # fmt: skip
def test_curves_that_cannot_be_drawn_are_refused(line, log, said):
    with pytest.raises(ValueError, match=f"mine: .*{said}"):
        charts.curves({"mine": line}, "", "", "", log=log)


def colours(figure):
    """The colours of the names in the key, by the name alone; each that of its curve."""
    names = [t for axes in figure.axes for t in axes.get_legend().get_texts()]
    drawn = {line.get_label(): line.get_color() for axes in figure.axes for line in axes.lines}
    assert all(t.get_color() == drawn[t.get_text()] for t in names)
    return {t.get_text().split("  ")[0]: t.get_color() for t in names}


def test_a_series_has_one_colour_in_every_chart(found):
    """In every study, whatever else is in it, and on a chart of one's own."""
    own = {"a": [1, 2], "LSTM, forget bias 3": [1, 2], "RNN": [2, 1], "chrono": [3, 1]}
    every = [charts.norms(found), charts.weights(found), charts.curves(own, "", "", "")]
    every.append(charts.norms(study(["lstm3", "lstm-8"], 2, 2, 2, [0])))
    seen = {}
    for figure in every:
        for name, colour in colours(figure).items():
            seen.setdefault(theme.series(name), set()).add(colour)
    for label in ("RNN", "LSTM of 1997", "forget bias 0", "forget bias 1", "forget bias 3", "chrono"):
        assert len(seen[label]) == 1, label
    panels = charts.singular(found)
    titles = {theme.series(axes.get_title("left")): axes._left_title.get_color() for axes in panels.axes}
    assert {name: {colour} for name, colour in titles.items()} == {name: seen[name] for name in titles}
    assert len(titles) == len(found.cells)


@pytest.mark.parametrize("name", charts.CHARTS)
def test_a_chart_and_its_axes_say_what_they_are_and_no_title_has_a_comma(found, name):
    figure = charts.CHARTS[name](found)
    said = " ".join(texts(figure))
    assert "hidden size 4" in said
    assert "standard normal inputs of size 3" in said
    assert ("seed 0;" if name in ("split", "singular") else "seeds 0 to 2;") in said
    assert "forget bias 3" in said
    title = figure.texts[0].get_text()
    assert "," not in title
    assert any(axes.get_xlabel() for axes in figure.axes)
    left = min(axes.get_position().x0 for axes in figure.axes)
    for axes in figure.axes:
        assert bool(axes.get_ylabel()) == (axes.get_position().x0 == left)
        assert ("log scale" in axes.get_ylabel()) == (axes.get_yscale() == "log") or not axes.get_ylabel()


def test_a_chart_as_svg_is_a_card_with_a_name(found, tmp_path):
    root = ET.fromstring(charts.save(charts.norms(found), tmp_path / "a.svg").read_bytes())
    svg = "{http://www.w3.org/2000/svg}"
    assert (root.get("role"), root.get("aria-label")) == ("img", "How much gradient is left at each lag")
    assert (root[0].tag, root[0].text) == (f"{svg}title", root.get("aria-label"))
    assert root[1].get("rx") == "14"
    whole = root.find(f"{svg}g[@id='figure_1']/{svg}g[@id='patch_1']/{svg}path")
    assert whole.get("style") == "fill: none"  # no corner of another's on the card


def test_a_study_without_a_direct_path_has_nothing_to_split():
    rnn = study(["rnn"], 3, 2, 2, [0])
    with pytest.raises(ValueError, match="no cell of the study has a direct path"):
        charts.split(rnn)
    charts.norms(rnn)


@pytest.mark.parametrize("name", charts.CHARTS)
def test_short_lags_and_other_cells_are_drawn(name, tmp_path):
    small = study(["lstm-2", "lstm5", "lstm1"], 1, 2, 1, [0])
    charts.save(charts.CHARTS[name](small), tmp_path / "chart.png")


@pytest.mark.parametrize(("suffix", "start"), [("svg", b"<?xml"), ("png", b"\x89PNG"), ("pdf", b"%PDF")])
def test_a_chart_is_saved_and_the_same_chart_gives_the_same_bytes(found, tmp_path, suffix, start):
    first = charts.save(charts.split(found), tmp_path / f"a.{suffix}").read_bytes()
    again = charts.save(charts.split(found), tmp_path / f"b.{suffix}").read_bytes()
    assert first.startswith(start)
    assert first == again


def test_another_format_is_refused(found, tmp_path):
    with pytest.raises(ValueError, match=re.escape("use .svg, .png or .pdf")):
        charts.save(charts.norms(found), tmp_path / "a.gif")
    assert list(tmp_path.iterdir()) == []


def test_the_module_costs_no_matplotlib_and_charts_no_state_of_their_own(found, tmp_path):
    code = (
        "import sys, tinygrad_lstm.views.charts as charts\n"
        "from tinygrad_lstm.flow.study import study\n"
        "print('matplotlib' in sys.modules)\n"
        "charts.norms(study(['rnn'], 2, 2, 2, [0]))\n"
        "print('matplotlib.pyplot' in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout == "False\nFalse\n"
    from matplotlib import rcParams

    before = dict(rcParams)
    charts.save(charts.norms(found), tmp_path / "a.png")
    assert dict(rcParams) == before


def test_without_matplotlib_the_error_names_the_extra(found, monkeypatch):
    monkeypatch.setattr(charts, "available", lambda: False)
    with pytest.raises(ModuleNotFoundError, match=re.escape('pip install "tinygrad-lstm[charts]"')):
        charts.norms(found)


def test_a_chart_shows_itself_in_a_notebook(found) -> None:
    assert "<svg" in charts.split(found)._repr_svg_()


def test_curves_take_the_values_of_tensors_and_no_complex_numbers():
    x = tl.tensor([1.0, 2.0, 3.0], requires_grad=True)
    assert charts.curves({"x": x, "pair": (x, x * 2)}, "t", "x", "y").axes
    with pytest.raises(TypeError, match="must hold real numbers, got list of dtype complex128"):
        charts.curves({"x": [1j, 2.0]}, "t", "x", "y")


def saved(lines, tmp_path, **given):
    return charts.save(charts.curves(lines, "title", "x", "y", **given), tmp_path / "chart.svg")


def test_curves_of_hostile_numbers_are_drawn(tmp_path):
    for values in ([1.0], [2.0, 2.0], [1.0, np.inf, 2.0], [1e-310, 2e-310], [1e300, 2e300], np.array([1, 2])):
        assert saved({"a": values}, tmp_path, levels={"b": np.array(3.0)}).exists()


@pytest.mark.parametrize(
    ("lines", "given", "error", "message"),
    [
        ({}, {}, ValueError, "there is no curve to show"),
        ({}, {"levels": {"b": 1.0}}, ValueError, "there is no curve to show"),
        ({3: [1, 2]}, {}, TypeError, r"name\[0\] must be a string, got 3: give '3'"),
        ({"a": 3.0}, {}, ValueError, "a: x and y must be lists"),
        ({"a": ([0.0, np.nan], [1.0, 2.0])}, {}, ValueError, "a: x must be finite numbers"),
        ({"a": [-1.7e308, 1.7e308]}, {}, ValueError, "too far apart for one axis"),
        ({"a": [1.0, 2.0]}, {"levels": {"b": np.nan}}, ValueError, "b, a level, must be a finite number, got nan"),
    ],
)
def test_curves_that_cannot_be_drawn_are_refused_by_what_they_are(lines, given, error, message, tmp_path):
    with pytest.raises(error, match=message):
        saved(lines, tmp_path, **given)

"""What a user holds: draw(), and a Drawing that saves and shows itself."""

import os
import subprocess
import sys

import graphviz
import numpy as np
import pytest

import tinygrad_lstm as tl
from tinygrad_lstm.views import Drawing, RendererMissing, render


@pytest.fixture
def small():
    x = tl.tensor([1.0, 2.0], requires_grad=True, name="x")
    return (x * x).sum()


@pytest.fixture
def drawing(small):
    return tl.draw(small)


@pytest.fixture
def no_renderer(monkeypatch, tmp_path):
    monkeypatch.setattr(render, "find_spec", lambda name: None)
    monkeypatch.setenv("PATH", str(tmp_path))


# ── draw ───────────────────────────────────────────────────────────────────────────────────────


def test_a_tensor_is_traced_and_its_grad_left_alone(small):
    picture = tl.draw(small).picture
    assert all(not arrow.dashed for arrow in picture.arrows)
    assert small.inputs[0].inputs[0].grad is None


def test_a_flow_is_drawn_as_it_is(small):
    assert tl.draw(tl.trace_gradients(small)).source == tl.draw(small).source


@pytest.mark.parametrize("options", [{"gradients": False}, {}])
def test_what_cannot_be_traced_is_drawn_without_gradients(options):
    x = tl.tensor([1.0, 2.0], requires_grad=True, name="x")
    drawn = tl.draw((x * x).sum() if options else x * x, **options)
    assert all(arrow.dashed for arrow in drawn.picture.arrows)
    assert not any(arrow.label for arrow in drawn.picture.arrows)


@pytest.mark.parametrize(
    ("arguments", "options", "error", "words"),
    [
        (0, {}, ValueError, "nothing to draw"),
        (1, {"detail": "all"}, ValueError, "one of auto, ops, cell, step, got 'all'"),
        (1, {"titles": ["a", "b"]}, ValueError, "2 titles for 1 graphs"),
        (2, {}, ValueError, "one chain of steps"),
    ],
)
def test_what_draw_refuses(small, arguments, options, error, words):
    with pytest.raises(error, match=words):
        tl.draw(*[small] * arguments, **options)


def test_draw_refuses_what_is_no_graph_and_labels_that_do_not_fit(unrolled, rnn):
    with pytest.raises(TypeError, match="a Tensor or a Flow, got ndarray"):
        tl.draw(np.ones(2))
    with pytest.raises(ValueError, match="2 labels for 3 steps"):
        tl.draw(unrolled(rnn, 3), labels=["a", "b"])


# ── the Drawing ────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("suffix", "start"),
    [
        ("svg", b"<?xml"),
        ("PNG", b"\x89PNG"),
        ("pdf", b"%PDF"),
        ("jpg", b"\xff\xd8"),
        ("dot", b"digraph"),
        ("gv", b"digraph"),
    ],
)
def test_the_suffix_decides_what_is_written(drawing, tmp_path, suffix, start):
    path = tmp_path / f"é <&> name.{suffix}"
    assert drawing.save(path) == str(path)
    assert path.read_bytes().startswith(start)
    assert os.listdir(tmp_path) == [path.name]


@pytest.mark.parametrize("name", ["picture.webp", "picture.tiff", "picture", "picture.", ".svg"])
def test_another_suffix_is_refused_and_nothing_written(drawing, tmp_path, name):
    with pytest.raises(ValueError, match=r"end it in one of \.svg \.png \.pdf"):
        drawing.save(tmp_path / name)
    assert os.listdir(tmp_path) == []


def test_a_directory_that_cannot_be_written_is_an_os_error(drawing, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OSError, match="file"):
        drawing.save(tmp_path / "file" / "picture.svg")
    assert (tmp_path / "file").read_text() == "in the way"


def test_what_fails_leaves_the_old_file(drawing, tmp_path, no_renderer):
    (tmp_path / "picture.svg").write_text("old")
    with pytest.raises(RendererMissing):
        drawing.save(tmp_path / "picture.svg")
    assert (tmp_path / "picture.svg").read_text() == "old"
    assert os.listdir(tmp_path) == ["picture.svg"]


def test_without_a_renderer_the_text_is_still_there(drawing, tmp_path, no_renderer):
    drawing.save(tmp_path / "picture.dot")
    assert (tmp_path / "picture.dot").read_text(encoding="utf-8") == drawing.source


def test_it_is_a_graphviz_digraph(drawing, tmp_path, monkeypatch):
    assert isinstance(drawing, graphviz.Digraph)
    assert drawing.source.startswith("digraph ")
    assert drawing.pipe().startswith(b"<?xml")
    assert drawing.pipe("png").startswith(b"\x89PNG")
    assert drawing.pipe(encoding="utf-8").startswith("<?xml")
    monkeypatch.chdir(tmp_path)
    assert drawing.render("picture") == "picture.svg"
    assert sorted(os.listdir()) == ["picture", "picture.svg"]
    assert drawing.render("other", format="png", cleanup=True) == "other.png"
    assert drawing.render(outfile="third.pdf") == "third.pdf"
    assert drawing.save(directory=tmp_path / "new").endswith("graph.gv")
    assert sorted(os.listdir()) == ["new", "other.png", "picture", "picture.svg", "third.pdf"]
    shown = []
    monkeypatch.setattr(graphviz, "view", shown.append)  # starts the system's own viewer
    assert drawing.render(outfile="third.pdf", view=True) == "third.pdf"
    drawing.view()
    assert shown == ["third.pdf", "graph.gv.svg"]


def test_nodes_may_be_added_as_to_any_digraph(drawing):
    drawing.edge("n0", "mine", label="added")
    copied = drawing.copy()
    for d in (drawing, copied):
        assert isinstance(d, Drawing)
        assert "added" in d.pipe(encoding="utf-8")
    copied.node("only here")
    assert "only here" not in drawing.source


def test_a_drawing_says_what_it_is_and_how_it_is_written(small):
    small.name = "L"
    drawing = tl.draw(small)
    said = '<drawing of "computation graph of L"; .save("file.svg") writes it>'
    assert repr(drawing) == said
    assert str(drawing) == drawing.source
    small.name = "a\nb"
    assert "\n" not in repr(tl.draw(small))


def test_a_notebook_shows_the_svg(drawing):
    bundle = drawing._repr_mimebundle_()
    assert set(bundle) == {"image/svg+xml", "text/html"}
    assert "max-width:100%" in bundle["image/svg+xml"]


def test_a_notebook_without_a_renderer_shows_the_text_and_says_why(drawing, no_renderer):
    with pytest.warns(UserWarning, match="pip install pygraphviz"):
        bundle = drawing._repr_mimebundle_()
    assert bundle == {"text/plain": drawing.source}


def test_a_large_layout_runs_in_a_process_of_its_own(monkeypatch):
    seen = []
    monkeypatch.setattr(render, "render", lambda dot, format, timeout: seen.append(timeout) or b"")
    x = tl.tensor(1.0, requires_grad=True)
    for count in (5, 250):
        y = x
        for _ in range(count):
            y = tl.tanh(y)
        tl.draw(y).pipe()
    assert seen == [None, 30.0]


# ── importing ──────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "code",
    [
        "import tinygrad_lstm as tl; assert not {'graphviz', 'pygraphviz', 'tinygrad_lstm.views'} & set(sys.modules)",
        "import tinygrad_lstm as tl; tl.draw; assert 'pygraphviz' not in sys.modules",
        "import tinygrad_lstm as tl; x = tl.tensor(1.0); tl.views.gates; import tinygrad_lstm.views.theme; tl.draw(x)",
        "from tinygrad_lstm import draw, tensor; draw(tensor(1.0))",
        "import tinygrad_lstm as tl; from inspect import signature; assert 'detail' in signature(tl.draw).parameters",
    ],
)
def test_importing_is_light_and_draw_can_always_be_called(code):
    subprocess.run([sys.executable, "-c", f"import sys; {code}"], check=True, timeout=60)


def test_steps_to_keep_are_drawn_where_others_are_left_out():
    cell, state = tl.nn.LSTMCell(1, 2), None
    for _ in range(100):
        state = cell([0.5], state)
    flow = tl.trace_gradients(state[0].sum())
    drawn = [{s.id for s in tl.draw(flow, keep=keep).picture.shapes} for keep in ((), (17, 61))]
    assert {"r0-s17-word", "r0-s61-word"} <= drawn[1]
    assert {"r0-s17-word", "r0-s61-word"}.isdisjoint(drawn[0])
    assert tl.draw(flow, keep=[500]).source == tl.draw(flow).source


def test_arrays_are_lists_of_labels_and_titles_and_numbers_are_none() -> None:
    cell = tl.nn.LSTMCell(2, 2)
    h, c = cell(tl.tensor([1.0, 2.0]))
    h, c = cell(tl.tensor([1.0, 2.0]), (h, c))
    lists = tl.draw(h.sum(), labels=["a", "b"], titles=["t"], keep=[1])
    arrays = tl.draw(h.sum(), labels=np.array(["a", "b"]), titles=np.array(["t"]), keep=np.array([1]))
    assert arrays.source == lists.source
    for given, message in (
        ({"labels": np.array([3, 1])}, r"labels\[0\] must be a string, got np.int64\(3\): give '3'"),
        ({"labels": "ab"}, "labels must be a list, got 'ab'"),
        ({"titles": [3]}, r"titles\[0\] must be a string, got 3: give '3'"),
        ({"keep": 1}, "keep must be a list, got 1"),
    ):
        with pytest.raises(TypeError, match=message):
            tl.draw(h.sum(), **given)


def test_attributes_that_a_user_sets_take_effect(drawing, small):
    plain = drawing.pipe("svg")
    drawing.graph_attr["rankdir"] = "LR"
    drawing.edge_attr["fontcolor"] = "#0000ff"
    assert "rankdir=LR" in drawing.source
    assert drawing.pipe("svg") != plain
    assert b"#0000ff" in drawing.pipe("svg")
    assert drawing.copy().source == drawing.source
    assert tl.draw(small).pipe("svg") == plain


def test_subgraphs_may_be_added_as_to_any_digraph(drawing):
    part = graphviz.Digraph("cluster_mine", graph_attr={"label": "mine"})
    part.node("extra", "an extra node")
    drawing.subgraph(part)
    with drawing.subgraph(name="cluster_with") as inner:
        inner.node("more")
    picture = drawing.pipe("svg").decode().replace("&#160;", " ")
    for words in ("an extra node", "mine", "more"):
        assert f">{words}<" in picture


def test_what_is_left_out_is_said_whole_beside_the_scale():
    """A note that the legend of lanes has no room for would lose its middle."""
    cell, drawn = tl.nn.LSTMCell(3, 64), np.random.default_rng(0).normal
    for x, note in ((drawn(size=3), "long arrays"), (drawn(size=(2, 3)), "of a batch")):
        picture = tl.draw(cell.step(x, (drawn(size=(*x.shape[:-1], 64)), drawn(size=(*x.shape[:-1], 64)))).h.sum())
        assert any(said.startswith(note) for said in picture.picture.notes)
        assert all(said.replace("'", "&#39;") in picture.source for said in picture.picture.notes)


def test_a_detail_that_opens_steps_is_of_one_graph():
    rnn = tl.nn.RNNCell(2, 2)
    flows = [tl.trace_gradients(rnn(np.ones(2)).sum()) for _ in range(2)]
    with pytest.raises(
        ValueError, match="detail 'ops' opens the steps of one graph: draw each by itself, or as 'step'"
    ):
        tl.draw(*flows, detail="ops")

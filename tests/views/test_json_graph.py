"""The graph as JSON: every node and edge of the flow, its norms, a schema that holds, a file that can be compared.

After a change of the format, write the golden file anew, look at the difference, and raise the version:

    UPDATE_GOLDEN=1 pytest tests/views/test_json_graph.py; git diff tests/views/golden
"""

import json
import os
import re
import subprocess
import sys
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest

import tinygrad_lstm as tl
from tinygrad_lstm.flow import read_graph
from tinygrad_lstm.views import json_graph

GOLDEN = Path(__file__).parent / "golden" / "rnn_step.json"
DOCS = Path(__file__).parents[2] / "docs" / "graph-json.md"
SCHEMA = json.loads(files("tinygrad_lstm.views").joinpath("graph.schema.json").read_text(encoding="utf-8"))


def saved(drawing, folder):
    """What a strict reader finds in the saved file."""

    def refuse(token):
        raise AssertionError(f"{token} is no JSON")

    path = folder / "graph.json"
    drawing.save(path)
    return json.loads(path.read_bytes().decode("utf-8"), parse_constant=refuse)


def side_by_side(unrolled):
    flows = [tl.trace_gradients(unrolled(cell, 2)) for cell in (tl.nn.LSTMCell(1, 2, rng=0), tl.nn.RNNCell(1, 2))]
    return tl.draw(*flows)


DRAWINGS = {
    "cell": lambda unrolled: tl.draw(unrolled(tl.nn.LSTMCell(1, 2, rng=0), 1)),
    "unrolled": lambda unrolled: tl.draw(unrolled(tl.nn.LSTMCell(1, 2, rng=0), 9, loss="all")),
    "backward": lambda unrolled: tl.draw(unrolled(tl.nn.LSTMCell(1, 2, rng=0), 1), backward=True),
    "side by side": side_by_side,
    "not traced": lambda unrolled: tl.draw(unrolled(tl.nn.RNNCell(1, 2), 1), gradients=False),
    "a leaf": lambda unrolled: tl.draw(tl.tensor(2.0)),
}


@pytest.fixture(params=DRAWINGS)
def drawing(request, unrolled):
    return DRAWINGS[request.param](unrolled)


# ── the schema ─────────────────────────────────────────────────────────────────────────────────


def test_every_file_follows_the_schema(drawing, tmp_path):
    jsonschema = pytest.importorskip("jsonschema")
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    jsonschema.validate(saved(drawing, tmp_path), SCHEMA, cls=jsonschema.Draft202012Validator)


def test_the_schema_refuses_what_does_not_follow_it(tmp_path, unrolled):
    jsonschema = pytest.importorskip("jsonschema")
    validator = jsonschema.Draft202012Validator(SCHEMA)
    text = json.dumps(saved(DRAWINGS["cell"](unrolled), tmp_path))
    assert validator.is_valid(json.loads(text))

    def changed(change):
        document = json.loads(text)
        change(document, document["graphs"][0])
        return document

    for change in (
        lambda d, g: d.update(version=2),
        lambda d, g: d.update(graphs=[]),
        lambda d, g: g.update(more=1),
        lambda d, g: g["nodes"][0].update(kind="operation"),
        lambda d, g: g["nodes"][0].update(op="add"),  # a leaf has no operation
        lambda d, g: g["nodes"][-1].update(op=None),  # and an operation has one
        lambda d, g: g["nodes"][0].update(gradient_norm=-1.0),
        lambda d, g: g["nodes"][0].update(shape=[1.5]),
        lambda d, g: g["edges"][0].update(cotangent_norm="nan"),
        lambda d, g: g["edges"][0].pop("cotangent_norm"),
        lambda d, g: g["nodes"][0].update(value=[1.0]),
        lambda d, g: g["edges"][0].update(cotangent="nan"),
        lambda d, g: g["nodes"][0].update(scopes=["of a leaf"]),
    ):
        assert not validator.is_valid(changed(change))


def test_the_page_lists_the_keys_of_the_schema():
    tables = {
        "graph": SCHEMA["$defs"]["graph"],
        "node": SCHEMA["$defs"]["node"],
        "edge": SCHEMA["$defs"]["edge"],
    }
    page = DOCS.read_text(encoding="utf-8").partition("## Keys")[2]
    parts = re.split(r"\nAn? (\w+):\n", page)
    described = {"": parts[0]} | dict(zip(parts[1::2], parts[2::2], strict=True))
    for name, schema in {"": SCHEMA, **tables}.items():
        rows = re.findall(r"^\| (`.*?) \|", described[name], re.MULTILINE)
        assert [key for row in rows for key in re.findall(r"`(\w+)`", row)] == list(schema["properties"])
        assert sorted(schema["required"]) == sorted(schema["properties"])
        assert schema["additionalProperties"] is False


# ── the content ────────────────────────────────────────────────────────────────────────────────


def test_what_is_a_single_number_has_its_value_and_gradient_with_their_signs():
    x = tl.tensor(3.0, requires_grad=True, name="x")
    (graph,) = tl.views.graph_dict(tl.trace_gradients(x * x - x))["graphs"]
    (node,) = (n for n in graph["nodes"] if n["name"] == "x")
    back = [e["cotangent"] for e in graph["edges"] if e["source"] == node["id"]]
    assert (node["value"], node["gradient"], node["gradient_norm"]) == (3, 5, 5)
    assert sorted(back) == [-1, 3, 3]
    with np.errstate(all="ignore"):
        (graph,) = tl.views.graph_dict(tl.trace_gradients(-tl.log(x * 0)))["graphs"]
    assert [n["value"] for n in graph["nodes"]] == [3, 0, 0, "-Infinity", "Infinity"]
    (graph,) = tl.views.graph_dict(read_graph(tl.tensor(np.ones(2)) * np.array([True, False])))["graphs"]
    assert {n["value"] for n in graph["nodes"]} == {n["gradient"] for n in graph["nodes"]} == {None}


def test_every_reference_names_something_of_the_same_graph(drawing, tmp_path):
    for graph in saved(drawing, tmp_path)["graphs"]:
        nodes = {node["id"]: node for node in graph["nodes"]}
        assert len(nodes) == len(graph["nodes"])
        assert len({edge["id"] for edge in graph["edges"]}) == len(graph["edges"])
        assert graph["root"] in nodes
        for node in graph["nodes"]:
            assert node["adjoint_of"] is None or node["adjoint_of"]["node"] in nodes
            slots = [edge["slot"] for edge in graph["edges"] if edge["consumer"] == node["id"]]
            assert slots == list(range(len(slots)))
            assert bool(slots) == (node["kind"] == "op")
        for edge in graph["edges"]:
            assert edge["id"] == f"e{edge['consumer'][1:]}-{edge['slot']}"
            assert edge["source"] in nodes


def test_it_is_the_flow(unrolled):
    flow = tl.trace_gradients(unrolled(tl.nn.LSTMCell(1, 2, rng=0), 3, batch=(2,)))
    (graph,) = tl.views.graph_dict(flow)["graphs"]
    assert graph["traced"]
    assert len(graph["nodes"]) == len(flow.nodes)
    for data, node in zip(graph["nodes"], flow.nodes, strict=True):
        assert (data["kind"], data["op"], data["symbol"]) == (node.kind, node.op, node.symbol)
        assert (data["name"], data["step"], data["dtype"]) == (node.name, node.step, str(node.value.dtype))
        assert tuple(data["shape"]) == node.value.shape
        assert data["scopes"] == [str(scope) for scope in node.scopes]
        assert data["gradient_norm"] == node.norm
    ids = {data["id"]: node for data, node in zip(graph["nodes"], flow.nodes, strict=True)}
    assert ids[graph["root"]] == flow.root
    for data, edge in zip(graph["edges"], flow.edges, strict=True):
        assert ids[data["source"]] == edge.source
        assert ids[data["consumer"]] == edge.consumer
        assert (data["slot"], data["cotangent_norm"]) == (edge.slot, edge.norm)


def test_ids_are_those_of_the_svg(svg):
    x = tl.tensor([0.3, -0.7], requires_grad=True, name="x")
    W = tl.nn.Parameter(np.eye(2), name="W")
    y = tl.tanh(x @ W)
    flow = tl.trace_gradients((y * y * x).sum())
    (graph,) = tl.views.graph_dict(flow)["graphs"]
    drawn = svg(tl.draw(flow)).items
    (parameter,) = (node["id"] for node in graph["nodes"] if node["kind"] == "parameter")
    (use,) = (edge["id"] for edge in graph["edges"] if edge["source"] == parameter)
    assert {node["id"] for node in graph["nodes"]} - {parameter} | {f"{parameter}-{use}"} <= set(drawn)
    assert {edge["id"] for edge in graph["edges"]} <= set(drawn)


def test_not_computed_is_null_and_zero_is_zero():
    a, b = tl.tensor([1.0], requires_grad=True, name="a"), tl.tensor([0.0], requires_grad=True, name="b")
    loss = (a * b * 2.0).sum()
    (graph,) = tl.views.graph_dict(tl.trace_gradients(loss))["graphs"]
    norms = {node["name"]: node["gradient_norm"] for node in graph["nodes"] if node["kind"] != "op"}
    assert norms == {"a": 0.0, "b": 2.0, None: None}
    (graph,) = tl.views.graph_dict(read_graph(loss))["graphs"]
    assert not graph["traced"]
    assert {node["gradient_norm"] for node in graph["nodes"]} == {None}
    assert {edge["cotangent_norm"] for edge in graph["edges"]} == {None}


def test_norms_that_are_not_finite_are_words(tmp_path):
    x = tl.tensor([1.0, 2.0], requires_grad=True, name="x")
    for cotangent, word in (([np.inf, 1.0], "Infinity"), ([np.nan, 1.0], "NaN")):
        flow = tl.trace_gradients(x + 1.0, cotangent)
        graph = saved(tl.draw(flow), tmp_path)["graphs"][0]
        assert graph["nodes"][0]["gradient_norm"] == word
        assert graph["edges"][0]["cotangent_norm"] == word


def test_a_backward_pass_names_the_edges_it_belongs_to(tmp_path, unrolled):
    (graph,) = saved(DRAWINGS["backward"](unrolled), tmp_path)["graphs"]
    nodes = {node["id"]: node for node in graph["nodes"]}
    adjoints = [node for node in graph["nodes"] if node["adjoint_of"]]
    forward = {edge["id"] for edge in graph["edges"] if not nodes[edge["consumer"]]["adjoint_of"]}
    computed = {
        f"e{a['adjoint_of']['node'][1:]}-{a['adjoint_of']['slot']}"
        for a in adjoints
        if a["adjoint_of"]["slot"] is not None
    }
    assert computed <= forward
    assert len(computed) > 20
    assert {"mul", "sum_to"} & {a["op"] for a in adjoints}
    assert all(nodes[a["adjoint_of"]["node"]]["kind"] == "op" for a in adjoints)


@pytest.mark.parametrize("name", ['"\\</script>', "a\x1b[31m\x9b\u2028\n", "\u202eevil", "\ud800", "日本 👍 σ", ""])
def test_any_name_is_kept_and_hides_nothing(name, tmp_path):
    x = tl.tensor([1.0], requires_grad=True, name=name or None)
    with tl.scope(name or "s"):
        y = tl.tanh(x)
    (graph,) = saved(tl.draw(y.sum()), tmp_path)["graphs"]
    assert graph["nodes"][0]["name"] == (name or None)
    assert graph["nodes"][1]["scopes"] == [name or "s"]
    text = (tmp_path / "graph.json").read_text(encoding="utf-8")
    assert all(line.isprintable() for line in text.split("\n"))


def test_a_step_may_be_a_number_of_numpy():
    with tl.scope("s", step=np.int64(3)):
        y = tl.tanh(tl.tensor([1.0], requires_grad=True))
    (graph,) = json.loads(json_graph.json_text(tl.views.graph_dict(tl.trace_gradients(y))))["graphs"]
    assert (graph["nodes"][-1]["step"], graph["nodes"][-1]["scopes"]) == (3, ["s[3]"])


def test_what_is_no_flow_is_refused():
    with pytest.raises(ValueError, match="no graph is given"):
        tl.views.graph_dict()
    with pytest.raises(TypeError, match="takes a Flow, got Tensor"):
        tl.views.graph_dict(tl.tensor([1.0]))


# ── the file ───────────────────────────────────────────────────────────────────────────────────


def test_the_whole_graph_is_written_whatever_the_picture_folds(tmp_path, unrolled):
    loss = unrolled(tl.nn.LSTMCell(1, 2, rng=0), 9)
    graphs = [saved(tl.draw(loss, detail=detail), tmp_path)["graphs"] for detail in ("ops", "cell", "step")]
    assert graphs[0] == graphs[1] == graphs[2]


def test_another_process_writes_the_same_bytes(tmp_path, unrolled):
    code = (
        "import numpy as np, tinygrad_lstm as tl, sys\n"
        "cell = tl.nn.LSTMCell(2, 3, rng=0)\n"
        "h, c = cell(np.ones(2), cell(np.ones(2), None))\n"
        "tl.draw((h * h).sum()).save(sys.argv[1])"
    )
    for name, seed in (("a.json", "1"), ("b.json", "2")):
        environment = os.environ | {"PYTHONHASHSEED": seed}
        subprocess.run([sys.executable, "-c", code, str(tmp_path / name)], check=True, env=environment, timeout=60)
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()


def test_a_cell_step_is_as_it_was_when_it_was_looked_at(tmp_path, unrolled):
    drawing = tl.draw(unrolled(tl.nn.RNNCell(1, 2, rng=0), 1))
    if os.environ.get("UPDATE_GOLDEN"):
        drawing.save(GOLDEN)
    number = re.compile(r'(?<=norm": )[^,}\n]+')
    drawing.save(tmp_path / "graph.json")
    found = (tmp_path / "graph.json").read_text(encoding="utf-8")
    golden = GOLDEN.read_text(encoding="utf-8")
    assert number.sub("#", found).splitlines() == number.sub("#", golden).splitlines()
    norms = [[json.loads(x) for x in number.findall(text)] for text in (found, golden)]
    assert [x is None for x in norms[0]] == [x is None for x in norms[1]]
    values = [[x for x in row if x is not None] for row in norms]
    np.testing.assert_allclose(*values, rtol=1e-9)


def test_a_picture_that_shows_no_graph_says_so(tmp_path, unrolled):
    flow = tl.trace_gradients(unrolled(tl.nn.LSTMCell(1, 2, rng=0), 2))
    with pytest.raises(ValueError, match="shows no graph to write as JSON"):
        tl.views.gates(flow).save(tmp_path / "gates.json")
    assert os.listdir(tmp_path) == []


def test_other_ways_of_a_digraph_to_save(tmp_path, unrolled):
    drawing = DRAWINGS["cell"](unrolled)
    drawing.copy().save(tmp_path / "a.JSON")
    drawing.render(outfile=tmp_path / "b.json")
    assert (tmp_path / "a.JSON").read_text(encoding="utf-8") == (tmp_path / "b.json").read_text(encoding="utf-8")
    assert json_graph.json_text({"graphs": []}) == '{\n "graphs": []\n}\n'


@pytest.mark.parametrize(
    "code", re.findall(r"^```python\n(.*?)^```$", DOCS.read_text("utf-8"), re.MULTILINE | re.DOTALL)
)
def test_the_code_of_the_page_runs(code, tmp_path, monkeypatch):
    if "jsonschema" in code:
        pytest.importorskip("jsonschema")
    monkeypatch.chdir(tmp_path)
    exec(compile(code, str(DOCS), "exec"), {})

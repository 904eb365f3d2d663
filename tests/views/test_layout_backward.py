"""draw(backward=True): beside each operation the adjoint of each of its edges, in the same cluster."""

import re
import xml.etree.ElementTree as ET

import numpy as np
import pytest

import tinygrad_lstm as tl

SVG = "{http://www.w3.org/2000/svg}"


def lstm_loss(steps: int = 1) -> tl.Tensor:
    cell = tl.nn.LSTMCell(2, 3)
    rng = np.random.default_rng(0)
    state = None
    for _ in range(steps):
        state = cell(tl.tensor(rng.normal(size=2), requires_grad=True, name="x"), state)
    assert state is not None
    loss = (state[0] * state[0]).sum()
    loss.name = "L"
    return loss


def groups(drawing: tl.views.Drawing, css: str) -> dict[str, str]:
    """Ids of the SVG's groups of a class, with all their text."""
    root = ET.fromstring(drawing.pipe("svg"))
    found = (g for g in root.iter(f"{SVG}g") if css in g.get("class", "").split())
    return {str(g.get("id")): " ".join(t.text or "" for t in g.iter(f"{SVG}text")) for g in found}


def test_every_traced_edge_has_its_adjoint_with_its_factor_and_norm() -> None:
    loss = lstm_loss()
    flow = tl.flow.trace_backward(loss)
    forward = [n for n in flow.nodes if n.adjoint_of is None and n.op]
    traced = [e for n in forward for e in n.inputs if e.cotangent is not None]
    drawing = tl.draw(loss, backward=True)
    adjoints, parameters = groups(drawing, "adjoint"), groups(drawing, "parameter")
    assert {f"a{e.consumer.id}-{e.slot}" for e in traced if e.source.kind != "parameter"} <= adjoints.keys()
    weights = [e for e in traced if e.source.kind == "parameter"]
    assert len(parameters) == len(weights) == 8
    for e in weights:  # a parameter's own shape says what comes back to it
        words = parameters[f"n{e.source.id}-e{e.consumer.id}-{e.slot}"]
        assert ("[h0, x]ᵀ @" if e.consumer.op == "matmul" else "× 1") in words
        assert f"∇ {tl.views.theme.number(e.norm)}" in words
    at = {n.name: n for n in forward if n.name}
    kept, shown = at["c"].inputs[0].source, at["h"].inputs[1].source
    assert "× f" in adjoints[f"a{kept.id}-1"]
    assert "× (1 − tanh²)" in adjoints[f"a{shown.id}-0"]
    assert "× 1" in adjoints[f"a{at['c'].id}-0"]
    assert "× σ(1 − σ)" in adjoints[f"a{at['f'].id}-0"]
    for edge in at["c"].inputs:
        assert tl.views.theme.number(edge.norm) in adjoints[f"a{at['c'].id}-{edge.slot}"]


def test_a_factor_without_a_name_is_written_out_and_a_long_one_shortened() -> None:
    u = tl.tensor([0.5], requires_grad=True, name="u")
    h = tl.tensor([2.0], requires_grad=True, name="a name that is much too long to stand in a box of a picture")
    adjoints = groups(tl.draw(((1 - u) * h).sum(), backward=True), "adjoint").values()
    assert any("× (1 − u)" in words for words in adjoints)
    assert any(re.search(r"× a name.*….*picture", words) for words in adjoints)


def test_adjoints_lie_in_the_cluster_of_their_operation() -> None:
    loss = lstm_loss()
    flow = tl.flow.trace_backward(loss)
    gate = next(n for n in flow.nodes if n.name == "f")
    source = tl.draw(loss, backward=True).source
    start = source.index("forget-gate")
    cluster = source[start : source.index("\n\t}", start)]
    assert f'"n{gate.id}"' in cluster
    assert f'"a{gate.id}-0"' in cluster


def test_dotted_edges_lead_from_the_values_a_rule_keeps() -> None:
    x = tl.tensor([0.5, 1.0], requires_grad=True, name="x")
    y = tl.tensor([2.0, 3.0], requires_grad=True, name="y")
    product = x * y
    drawing = tl.draw((product + x).sum(), backward=True)
    kept = groups(drawing, "residual")
    flow = tl.flow.trace_backward((product + x).sum())
    ids = {n.name or n.op: n.id for n in flow.nodes if n.adjoint_of is None}
    mul = ids["mul"]
    assert set(kept) == {f"n{ids['y']}-kept-a{mul}-0", f"n{ids['x']}-kept-a{mul}-1"}


def test_a_value_used_twice_has_a_sum() -> None:
    x = tl.tensor([1.0], requires_grad=True, name="x")
    y = x * 2
    found = groups(tl.draw((y * y).sum(), backward=True), "adjoint")
    sums = [i for i, words in found.items() if words == "Σ"]
    assert len(sums) == 1


def test_detail_ops_draws_every_operation_of_both_passes() -> None:
    loss = lstm_loss()
    nodes = sum(n.op is not None for n in tl.flow.trace_backward(loss).nodes)
    source = tl.draw(loss, backward=True, detail="ops").source
    ids = set(re.findall(r'^\s*"n(\d+)" \[', source, re.MULTILINE))
    assert len(ids) >= nodes


def test_a_title_stands_above_both_passes() -> None:
    drawing = tl.draw(lstm_loss(), backward=True, titles=["one step, there and back"])
    assert groups(drawing, "title") == {"title": "one step, there and back"}


def test_what_cannot_be_drawn_is_refused() -> None:
    loss = lstm_loss()
    with pytest.raises(ValueError, match="draws one Tensor"):
        tl.draw(loss, loss, backward=True)
    with pytest.raises(ValueError, match="draws one Tensor"):
        tl.draw(tl.trace_gradients(loss), backward=True)
    with pytest.raises(ValueError, match="draw fewer steps"):
        tl.draw(lstm_loss(20), backward=True)


def test_the_legend_names_only_what_occurs() -> None:
    x = tl.tensor(3.0, requires_grad=True, name="x")
    words = tl.draw(x * x + x, backward=True).source
    assert "what it multiplies by, the result" in words
    assert "root mean square" not in words
    assert "of arrays" not in words
    y = tl.tensor([3.0, 1.0], requires_grad=True, name="y")
    words = tl.draw((y * y).sum(), backward=True).source
    assert "its root mean square, the result" in words
    assert "of arrays" in words

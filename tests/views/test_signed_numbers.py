"""A single number is drawn as itself, with its sign: its value, its gradient, and what comes back along its edges."""

import operator
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tinygrad_lstm as tl

_PLAIN = str.maketrans("−⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "--0123456789")


def numbers(label):
    """The numbers printed in a label, as 3, −0.5 or 1.2·10⁻³."""
    texts = re.findall(r">([^<>]+)<", label)
    plain = (text.translate(_PLAIN).replace("·10", "e").removeprefix("∇ ") for text in texts)
    return [float(text) for text in plain if re.fullmatch(r"-?[\d.]+(e-?\d+)?", text)]


def test_edges_into_a_number_have_signs_and_add_up(svg):
    x = tl.tensor(3.0, requires_grad=True, name="x")
    page = svg(tl.draw(x * x - x))
    (box,) = page.of("input")
    assert box.text == "x3.00∇ 5"
    assert box.tooltip.endswith("3 · ∂L/∂· = 5")
    edges = {item.id: item for item in page.of("edge") if item.tooltip.startswith("x →")}
    assert sorted(item.text for item in edges.values()) == ["3", "3", "−1"]
    assert {item.tooltip.rpartition(" ")[2] for item in edges.values()} == {"3", "-1"}


def test_the_way_back_has_signs_too(svg):
    x = tl.tensor(3.0, requires_grad=True, name="x")
    adjoints = [item.text for item in svg(tl.draw(x * x - x, backward=True)).of("adjoint")]
    assert sorted(text for text in adjoints if "∂L/∂x" in text) == ["× x3∂L/∂x3", "× x3∂L/∂x3", "× −1∂L/∂x−1"]


def test_only_arrays_have_norms_and_the_legend_says_so():
    x, y = (tl.tensor(value, requires_grad=True, name="x") for value in ([3.0, -4.0], 2.0))
    array, number = (tl.draw(loss).picture for loss in (-(x * x).sum(), y * -3.0))
    assert "‖∇‖ 10<" in array.shapes[0].label
    assert "of arrays the norm" in array.legend
    assert "∇ −3<" in number.shapes[0].label
    assert "of arrays the norm" not in number.legend
    weight = tl.nn.Parameter(2.0, name="w")
    assert "∇ −3<" in tl.draw(weight * -3.0).picture.shapes[-1].label


OPERATIONS = [operator.add, operator.sub, operator.mul, lambda a, b: tl.tanh(a) + b, lambda a, b: a * a - 0.5 * b]
STEP = st.tuples(st.sampled_from(OPERATIONS), st.integers(0, 99), st.integers(0, 99))


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(-20, 20), min_size=1, max_size=3), st.lists(STEP, min_size=1, max_size=7))
def test_what_comes_back_to_a_number_adds_up_to_its_gradient(leaves, steps):
    values = [tl.tensor(v / 8, requires_grad=True, name=f"x{k}") for k, v in enumerate(leaves)]
    for operation, a, b in steps:
        values.append(operation(values[a % len(values)], values[b % len(values)]))
    flow = tl.trace_gradients(values[-1])
    forward, backward = tl.draw(flow).picture, tl.draw(values[-1], backward=True).picture
    for node in flow.nodes:
        if node.kind != "input" or not node.uses:
            continue
        (box,) = (shape for shape in forward.shapes if shape.id == f"n{node.id}")
        shown = numbers(box.label)[-1]
        edges = [numbers(f">{a.label.strip()}<") for a in forward.arrows if a.source == box.id and a.label]
        ids = {f"a{e.consumer.id}-{e.slot}" for e in node.uses if e.cotangent is not None}
        adjoints = [numbers(shape.label) for shape in backward.shapes if shape.id in ids]
        assert len(edges) == len(adjoints) == len(ids) > 0
        for terms in ([t[-1] for t in edges], [t[-1] for t in adjoints]):
            assert shown == pytest.approx(sum(terms), abs=0.006 * sum(map(abs, [*terms, shown])))
            assert np.sign(shown) == np.sign(node.gradient)

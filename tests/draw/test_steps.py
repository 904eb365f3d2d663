"""Which graphs are steps of a known cell, and how fast their gradient shrinks."""

import numpy as np
import pytest

import tinygrad_lstm as tl
from tinygrad_lstm.draw.steps import find_chain, shrinkage, shrinkage_words
from tinygrad_lstm.flow import read_graph, trace_gradients


@pytest.mark.parametrize("options", [{}, {"bias": False}, {"forget_gate": False}])
def test_the_roles_of_an_lstm(unrolled, options):
    steps = find_chain(trace_gradients(unrolled(tl.nn.LSTMCell(1, 2, **options), 3)))
    assert [step.number for step in steps] == [1, 2, 3]
    assert all(step.kind == "lstm" and step.state is step.roles["c"] and step.x.name == "x" for step in steps)
    assert ("f × c" in steps[0].roles) == ("f+" in steps[0].roles) == (not options) or options == {"bias": False}
    assert ("i+" in steps[0].roles) == (options != {"bias": False})
    assert steps[1].entering("c").source is steps[0].roles["c"]
    assert steps[1].entering("h").source is steps[0].roles["h"]
    assert not steps[0].leaving("h")
    assert len(steps[2].leaving("h")) == 1


def test_the_roles_of_an_rnn(unrolled, rnn):
    steps = find_chain(trace_gradients(unrolled(rnn, 2)))
    assert [list(step.roles) for step in steps] == [["z", "h@", "h+", "h"]] * 2
    assert steps[0].state is steps[0].roles["h"]


def test_the_last_step_may_stop_at_c(unrolled, lstm):
    steps = find_chain(trace_gradients(unrolled(lstm, 2, on="c")))
    assert "h" in steps[0].roles
    assert "h" not in steps[1].roles
    assert steps[1].leaving("h") == []


def gru_in_an_lstms_scope(x):
    with tl.scope("lstm", step=1):
        z = tl.sigmoid(x)
        z.name = "z"
        return z * x


def state_that_is_a_difference(cell, x):
    """An LSTM step in every name, but for the operation that makes c."""
    h, c = (tl.tensor(np.ones(cell.hidden_size), name=name) for name in ("h0", "c0"))
    with tl.scope("lstm", step=1):
        z = tl.concat([h, x])
        f, i, g, o = (cell._gate(k, z, c) for k in "figo")
        kept, entering = f * c, i * g
        c = kept - entering
        shown = tl.tanh(c)
        h = o * shown
    for t, name in ((z, "z"), (kept, "f × c"), (entering, "i × g"), (c, "c"), (shown, "tanh c"), (h, "h")):
        t.name = name
    return h.sum()


def peek(cell, x):
    step = cell.step(x)
    return step.h.sum() + step.f.sum()


def feedback(cell, x):
    h, c = cell(x)
    return cell(h[:1] * 2, (h, c))[0].sum()


def inner_c(cell, x):
    h, c = cell(x)
    return cell(x, (h, c))[0].sum() + c.sum()


@pytest.mark.parametrize(
    "build",
    [
        lambda cell, x: x * 2,
        lambda cell, x: gru_in_an_lstms_scope(x),
        state_that_is_a_difference,
        lambda cell, x: tl.nn.LSTMCell(1, 2, peephole=True)(x)[0],
        lambda cell, x: tl.nn.LSTMCell(1, 2, gate_layers=2)(x)[0],
        lambda cell, x: cell(x)[0] + cell(x)[0],
        lambda cell, x: cell(tl.nn.LSTMCell(1, 1)(x)[0])[0],
        peek,
        feedback,
        inner_c,
    ],
)
def test_any_other_graph_is_left_to_dot_and_drawn_there(build, lstm):
    result = build(lstm, tl.tensor([0.5], requires_grad=True, name="x"))
    assert find_chain(read_graph(result)) is None
    assert not tl.draw(result).picture.placed


def test_the_factor_per_step_is_the_mean_of_what_the_norms_say(unrolled, lstm, rnn):
    for cell, state in ((lstm, "c"), (rnn, "h")):
        flow = trace_gradients(unrolled(cell, 4))
        norms = flow.norms(state)
        assert shrinkage(find_chain(flow)) == pytest.approx((norms[0] / norms[-1]) ** (1 / 3))
        one = trace_gradients(unrolled(cell, 1))
        assert shrinkage(find_chain(one)) == pytest.approx(one.named(f"{state}0")[0].norm / one.norms(state)[0])


def test_no_factor_where_there_is_no_gradient(unrolled, lstm):
    assert shrinkage_words(find_chain(read_graph(unrolled(lstm, 3)))) == ""


def test_a_gradient_that_underflows_is_said_to_be_zero_in_floating_point(unrolled):
    cell = tl.nn.RNNCell(1, 2)
    cell.W_h.assign(np.full((3, 2), 1e-200))
    steps = find_chain(trace_gradients(unrolled(cell, 4)))
    assert shrinkage_words(steps) == "0 in floating point up to step 2"

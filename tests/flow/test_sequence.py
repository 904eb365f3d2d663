"""A sequence through a cell: what is measured is the gradient."""

import tracemalloc

import numpy as np
import pytest

import tinygrad_lstm as tl
from tinygrad_lstm.flow import sequence as module
from tinygrad_lstm.flow.sequence import TINY, check_memory, embed, memory_needed, tokenize, trace_sequence
from tinygrad_lstm.kinds import make_cell
from tinygrad_lstm.nn import RNNCell

SENTENCE = ["the", "cities", "that", "I", "have", "seen", "in", "my", "life", "are", "very", "many"]


def passage(kind="lstm", tokens=SENTENCE, bias=1.0, seed=0, hidden=8):
    return trace_sequence(make_cell(kind, hidden, hidden, bias, seed), embed(tokens, hidden, seed), tokens, seed)


# Words and their vectors


def test_words_are_split_at_white_space_of_any_kind():
    assert tokenize(" a\tb\r\n c\u00a0d ") == ["a", "b", "c", "d"]
    assert tokenize(" \n") == []


def test_characters_keep_the_space_and_lose_the_line_ends_of_the_end():
    assert tokenize("a b\r\nc\r\n", "chars") == ["a", " ", "b", "\n", "c"]


def test_another_unit_is_refused():
    with pytest.raises(ValueError, match="'words' or 'chars'"):
        tokenize("a", "bytes")


def test_the_same_word_has_the_same_vector_in_every_text():
    a, b = embed(["to", "be", "or", "be"], 5, seed=3), embed(["be"], 5, seed=3)
    assert a.shape == (4, 5)
    assert np.array_equal(a[1], a[3])
    assert np.array_equal(a[1], b[0])
    assert not np.array_equal(a[0], a[1])
    assert not np.array_equal(a[1], embed(["be"], 5, seed=4)[0])


def test_vectors_are_standard_normal():
    values = embed([str(k) for k in range(500)], 20)
    assert abs(values.mean()) < 0.05
    assert abs(values.std() - 1) < 0.05


def test_any_string_has_a_vector():
    assert np.isfinite(embed(["", "\ud800", "日本語", "a" * 10_000], 3)).all()
    assert embed([], 3).shape == (0, 3)


# Cells


# What is measured


def test_x_gradient_against_central_differences():
    cell, vectors = make_cell("lstm", 4, 4), embed(SENTENCE[:3], 4)

    def loss(first):
        return float(trace_sequence(cell, np.vstack([first, vectors[1:]])).flow.root.value)

    step = 1e-6
    slopes = [(loss(vectors[0] + step * e) - loss(vectors[0] - step * e)) / (2 * step) for e in np.eye(4)]
    assert trace_sequence(cell, vectors).x[0] == pytest.approx(np.linalg.norm(slopes), rel=1e-6)


def test_the_gradient_starts_with_norm_one_in_every_cell():
    for kind in ("lstm", "rnn", "lstm1997"):
        assert passage(kind).norms["h"][-1] == pytest.approx(1, abs=1e-15)


def test_states_have_gradients_and_names():
    flow = passage().flow
    assert flow.norms("c0") > 0
    assert flow.norms("h0") > 0
    assert len(flow.named("u")) == 1
    assert len(flow.named("x")) == len(flow.named("c")) == len(SENTENCE)
    assert flow.root.name == "L"


def test_direct_is_the_product_of_the_forget_gates():
    p = passage(bias=1.0)
    gates = np.array([node.value for node in p.flow.named("f")])
    end = p.flow.named("c")[-1].gradient
    assert p.paths["c"].part == pytest.approx(np.linalg.norm(end * np.prod(gates[1:], axis=0)), rel=1e-12)
    assert p.paths["c"][:2] == ("f", pytest.approx(gates[1:].mean(), rel=1e-12))
    assert passage("lstm1997").paths["c"][:2] == ("1", 1)
    assert passage("lstm1997").paths["c"].part == pytest.approx(passage("lstm1997").norms["c"][-1], rel=1e-12)
    one = passage(tokens=["one"])
    assert one.paths["c"].part == pytest.approx(one.norms["c"][0], rel=1e-12)


def test_without_recurrent_weights_the_direct_path_is_the_whole():
    cell = make_cell("lstm", 3, 3, 0.0)
    for k in "figo":
        getattr(cell, f"W_{k}").assign(np.zeros((6, 3)))
    p = trace_sequence(cell, np.ones((11, 3)))
    assert p.paths["c"].part == pytest.approx(p.norms["c"][0], rel=1e-12)
    assert p.factor("c") == pytest.approx(0.5, rel=1e-12)


def test_factor_is_the_geometric_mean():
    p = passage()
    assert p.factor("x") == pytest.approx((p.x[0] / p.x[-1]) ** (1 / 11))
    assert passage(tokens=["one"]).factor("x") is None


def test_factor_leaves_out_what_float64_lost():
    p = passage("rnn", ["a", "b"] * 750)
    lost = int(np.flatnonzero(p.x < TINY)[-1])
    assert p.factor("x") == pytest.approx((p.x[lost + 1] / p.x[-1]) ** (1 / (1498 - lost)))


def test_the_same_seed_gives_the_same_numbers_and_another_others():
    assert np.array_equal(passage(seed=5).x, passage(seed=5).x)
    assert not np.array_equal(passage(seed=5).x, passage(seed=6).x)


def test_names_and_titles():
    assert passage(bias=-0.5).title == "LSTM, forget bias -0.5"
    assert passage("rnn").title == passage("rnn").name == "RNN"
    assert passage("lstm1997").title == "LSTM of 1997"


def test_another_answer_than_u_h_can_be_read():
    cell, xs = make_cell("lstm", 2, 3), embed(SENTENCE[:4], 2)
    p = trace_sequence(cell, xs, read=lambda h: h[1] * 5)
    assert p.flow.root.name == "L"
    assert p.norms["h"][-1] == 5
    assert p.flow.root.value == 5 * p.flow.named("h")[-1].value[1]


def test_vectors_of_any_kind_of_number_are_measured_in_float64():
    cell = make_cell("lstm", 2, 3)
    p = trace_sequence(cell, [[1, 0], [2, -1]])
    for kind in (np.int8, np.float32):
        assert np.array_equal(trace_sequence(cell, np.array([[1, 0], [2, -1]], kind)).x, p.x)
    assert p.flow.named("x")[0].value.dtype == np.float64


def test_bad_sequences_and_cells_are_refused():
    cell = make_cell("rnn", 2, 2)
    for xs in (np.zeros((0, 2)), np.zeros(2), np.zeros((1, 2, 2)), 1.0):
        with pytest.raises(ValueError, match=r"shape \(steps, 2\) with at least 1 step"):
            trace_sequence(cell, xs)
    with pytest.raises(ValueError, match="3 steps need as many tokens, got 1"):
        trace_sequence(cell, np.zeros((3, 2)), ["a"])
    with pytest.raises(TypeError, match="measured in float64"):
        trace_sequence(tl.nn.RNNCell(2, 2, dtype=np.float32), np.zeros((1, 2)))
    with pytest.raises(ValueError, match="choose from lstm, rnn, lstm1997"):
        make_cell("gru", 2, 2)


@pytest.mark.parametrize("kind", ["lstm", "rnn", "lstm1997"])
@pytest.mark.parametrize(("inputs", "hidden"), [(1, 1), (32, 32), (1, 64), (1000, 1)])
def test_the_memory_foretold_is_about_what_it_takes(kind, inputs, hidden):
    cell = make_cell(kind, inputs, hidden)
    trace_sequence(cell, np.ones((1, inputs)))  # whatever is made once
    tracemalloc.start()
    trace_sequence(cell, np.ones((10, inputs)))
    taken = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert 0.8 * taken < memory_needed(cell, 10) < 2 * taken


def test_more_memory_than_a_machine_can_be_expected_to_have_is_refused(monkeypatch):
    cell = make_cell("lstm", 3, 8)
    monkeypatch.setattr(module, "MEMORY", 2 * memory_needed(cell, 1000))
    check_memory([cell, cell], 1000)
    size = f"{3 * memory_needed(cell, 1000) / 2**30:.1f}"
    with pytest.raises(ValueError, match=rf"^1,000 steps at hidden size 8 would take about {size} GB of memory \(at"):
        check_memory([cell] * 3, 1000)
    with pytest.raises(ValueError, match="take a shorter sequence or a smaller hidden size"):
        check_memory([cell, cell], 1001)


def test_a_sequence_may_be_a_tensor_and_its_values_are_taken():
    xs = tl.tensor([[1.0], [2.0]], requires_grad=True)
    assert trace_sequence(RNNCell(1, 1), xs).x.shape == (2,)


def test_tokens_are_strings_in_any_list() -> None:
    cell = make_cell("rnn", 2, 2)
    passage = trace_sequence(cell, np.zeros((2, 2)), np.array(["a", "b"]), seed=np.int64(1))
    assert (passage.tokens, type(passage.tokens[0]), type(passage.seed)) == (("a", "b"), str, int)
    assert np.array_equal(embed(np.array(["a"]), np.int64(2), np.int64(1)), embed(["a"], 2, 1))
    for call in (lambda: embed([3], 2), lambda: trace_sequence(cell, np.zeros((1, 2)), [3])):
        with pytest.raises(TypeError, match=r"tokens\[0\] must be a string, got 3: give '3'"):
            call()
    with pytest.raises(TypeError, match="a text must be a string"):
        tokenize(["a", "b"])

"""A sequence through a cell: what is measured is the gradient, and what the reading says is so."""

import gc
import math
import re
import tracemalloc

import numpy as np
import pytest

import tinygrad_lstm as tl
from tinygrad_lstm.flow.sequence import (
    TINY,
    Passage,
    Path,
    check_memory,
    embed,
    memory_needed,
    number,
    percent,
    reading,
    times,
    tokenize,
    trace_sequence,
)
from tinygrad_lstm.kinds import cell_name, make_cell
from tinygrad_lstm.nn import LSTMCell, RNNCell

SENTENCE = ["the", "cities", "that", "I", "have", "seen", "in", "my", "life", "are", "very", "many"]


def passage(kind="lstm", tokens=SENTENCE, bias=1.0, seed=0, hidden=8):
    return trace_sequence(make_cell(kind, hidden, hidden, bias, seed), embed(tokens, hidden, seed), tokens, seed)


def pair(bias=1.0, tokens=SENTENCE, seed=0):
    return [passage("lstm", tokens, bias, seed), passage("rnn", tokens, bias, seed)]


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


@pytest.mark.parametrize("kind", ["lstm", "rnn", "lstm1997"])
def test_a_cell_is_that_of_its_seed(kind):
    a, b, c = (make_cell(kind, 3, 2, seed=seed).state_dict() for seed in (7, 7, 8))
    for name in a:
        assert np.array_equal(a[name], b[name])
        assert np.array_equal(a[name], c[name]) == name.startswith("b_")


def test_left_out_the_seed_is_0_and_the_forget_bias_1():
    cell, vectors = make_cell("lstm", 4, 4), embed(SENTENCE, 4)
    named = make_cell("lstm", 4, 4, forget_bias=1.0, seed=0)
    assert np.array_equal(cell.W_i.numpy(), named.W_i.numpy())
    assert np.array_equal(cell.b_f.numpy(), named.b_f.numpy())
    assert np.array_equal(vectors, embed(SENTENCE, 4, seed=0))
    assert np.array_equal(trace_sequence(cell, vectors).x, trace_sequence(cell, vectors, seed=0).x)


# What is measured


@pytest.mark.parametrize("kind", ["lstm", "rnn", "lstm1997"])
def test_norms_are_those_of_the_gradients_that_autodiff_gives(kind):
    tokens = SENTENCE[:4]
    cell = make_cell(kind, 3, 5, 0.5, seed=7)
    vectors = embed(tokens, 3, 7)
    p = trace_sequence(cell, vectors, tokens, seed=7)

    u = np.random.default_rng([7, 1]).standard_normal(5)
    xs = [tl.tensor(v, requires_grad=True) for v in vectors]
    h, c, hs, cs = tl.tensor(np.zeros(5), requires_grad=True), tl.tensor(np.zeros(5), requires_grad=True), [], []
    for x in xs:
        h, c = (cell(x, h), c) if kind == "rnn" else cell(x, (h, c))
        hs.append(h)
        cs.append(c)
    loss = h @ tl.tensor(u / np.linalg.norm(u))
    for name, nodes in (("x", xs), ("h", hs), ("c", cs)):
        if (kind, name) == ("rnn", "c"):
            assert "c" not in p.norms
            continue
        expected = [np.linalg.norm(g.numpy()) for g in tl.grad(loss, nodes)]
        np.testing.assert_allclose(p.norms[name], expected, rtol=1e-12)


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


@pytest.mark.parametrize("kind", ["lstm", "lstm1997"])
@pytest.mark.parametrize("bias", [-2, 1, 5])
def test_direct_is_what_the_graph_sends_back_without_detours(kind, bias):
    p = passage(kind, bias=bias)
    along = p.flow.split(p.flow.states.of("c")[1], limit=0)[0]
    assert p.paths["c"].part == pytest.approx(np.linalg.norm(along), rel=1e-12)
    assert passage("rnn").paths == {}


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
    since = p.since("x")
    assert since > 1
    assert p.x[since - 1] >= TINY > p.x[since - 2]
    assert p.factor("x") == pytest.approx((p.x[since - 1] / p.x[-1]) ** (1 / (1500 - since)))
    assert passage("rnn").since("x") == 1


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
    for xs in (np.zeros((0, 2)), np.zeros(2), np.zeros((1, 1, 2)), 1.0):
        with pytest.raises(ValueError, match=r"shape \(steps, 2\) with at least 1 step"):
            trace_sequence(cell, xs)
    with pytest.raises(ValueError, match="3 steps need as many tokens, got 1"):
        trace_sequence(cell, np.zeros((3, 2)), ["a"])
    with pytest.raises(TypeError, match="measured in float64"):
        trace_sequence(tl.nn.RNNCell(2, 2, dtype=np.float32), np.zeros((1, 2)))
    with pytest.raises(ValueError, match="choose from lstm, rnn, lstm1997"):
        make_cell("gru", 2, 2)


def test_the_collector_is_left_as_it_was():
    trace_sequence(make_cell("rnn", 2, 2), np.zeros((1, 2)))
    assert gc.isenabled()
    gc.disable()
    try:
        trace_sequence(make_cell("rnn", 2, 2), np.zeros((1, 2)))
        assert not gc.isenabled()
    finally:
        gc.enable()


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


# What is said of it: every number is looked up in the text and compared with the arrays


def figures(text, name):
    """From a reading: the last and first norm of x, the percentage and the factor, of one cell."""
    found = re.search(
        rf"(?:^|\s){name}: the norm of dL/dx (falls|grows|hardly changes) from (\S+) at the last word to (\S+) at the "
        r"first, (\d+) steps? back: (\S+) % of that at the last, × (\S+) a step\.",
        text,
    )
    return found[1], *(float(v) for v in found.groups()[1:])


@pytest.mark.parametrize("bias", [3, 1, 0, -2])
@pytest.mark.parametrize("seed", [0, 1])
def test_reading_says_what_the_numbers_are(bias, seed):
    traced = pair(bias, seed=seed)
    text = reading(traced)
    assert f"Seed {seed}, hidden size 8, vectors of size 8, forget bias {bias}, float64." in text
    for p in traced:
        verb, last, first, back, share, factor = figures(text, p.name)
        assert last == pytest.approx(p.x[-1], rel=0.06)
        assert first == pytest.approx(p.x[0], rel=0.06)
        assert back == 11
        assert share == pytest.approx(100 * p.x[0] / p.x[-1], rel=0.06)
        assert factor == pytest.approx(p.factor("x"), rel=0.006)
        ratio = p.x[0] / p.x[-1]
        assert verb == ("hardly changes" if 0.95 <= ratio <= 1 / 0.95 else "falls" if ratio < 1 else "grows")

    lstm, rnn = traced
    most, least = (lstm, rnn) if lstm.x[0] > rnn.x[0] else (rnn, lstm)
    found = re.search(r"the gradient is largest in the (\S+); it is (\S+) times that in the (\S+?)\.", text)
    assert (found[1], found[3]) == (most.name, least.name)
    assert float(found[2].replace(",", "")) == pytest.approx(most.x[0] / least.x[0], rel=0.06)
    assert ("So here the LSTM brings the first word less gradient than the plain RNN." in text) == (most is rnn)

    gates = re.search(r"back along c is × f, (\S+) on average; by all paths dL/dc goes × (\S+) a step", text)
    assert float(gates[1]) == pytest.approx(lstm.paths["c"].mean, rel=0.06)
    assert float(gates[2]) == pytest.approx(lstm.factor("c"), rel=0.006)
    alone = re.search(r"What came along c alone has (\S+) % of the norm of dL/dc_1, the (rest|detours)[^.]*", text)
    assert float(alone[1]) == pytest.approx(100 * lstm.paths["c"].part / lstm.norms["c"][0], rel=0.06)
    if "cancel" in alone[0]:
        assert lstm.paths["c"].part > lstm.norms["c"][0]
    if "rest" in alone[0]:
        assert lstm.paths["c"].part < lstm.norms["c"][0]


def test_reading_admits_that_a_shut_forget_gate_does_worse():
    text = reading(pair(-2))
    assert "largest in the RNN" in text
    assert "the LSTM brings the first word less gradient than the plain RNN" in text


def test_reading_of_one_word_compares_nothing():
    traced = pair(tokens=["one"])
    text = reading(traced)
    found = re.search(r"at the only word is (\S+) in the LSTM, (\S+) in the RNN\. With one word there is no step", text)
    assert float(found[1]) == pytest.approx(traced[0].x[0], rel=0.06)
    assert float(found[2]) == pytest.approx(traced[1].x[0], rel=0.06)
    assert "largest" not in text
    assert "detours" not in text


def test_reading_of_norms_that_float64_lost():
    traced = pair(-2, ["a", "b"] * 750)
    text = reading(traced)
    assert all(p.x[0] == 0 for p in traced)
    for p in traced:
        since = p.since("x")
        found = re.search(
            rf"{p.name}: the norm of dL/dx falls from \S+ at the last word to (\S+) (\d+) steps back", text
        )
        assert float(found[1]) == pytest.approx(p.x[since - 1], rel=0.06)
        assert int(found[2]) == 1500 - since
    assert "the gradient of every one of these cells is 0 or too small for float64" in text
    assert "largest" not in text


def test_reading_where_only_one_cell_reaches_the_first_word():
    text = reading(pair(3, ["a", "b"] * 750))
    assert "is largest in the LSTM; it is 0 or too small for float64 in the RNN." in text


def test_reading_of_a_gradient_that_grows():
    cell = make_cell("rnn", 2, 2)
    cell.W_h.assign(np.vstack([3 * np.eye(2), np.eye(2)]))
    p = trace_sequence(cell, np.zeros((5, 2)))
    verb, last, first, _, share, factor = figures(reading([p]), "RNN")
    assert (verb, last, first, share, factor) == ("grows", 1, 81, 8100, 3)


def test_reading_of_a_gradient_that_is_zero_without_being_small():
    cell = make_cell("rnn", 2, 2)
    cell.W_h.assign(np.vstack([np.zeros((2, 2)), np.eye(2)]))
    p = trace_sequence(cell, np.zeros((3, 2)))
    assert "RNN: the norm of dL/dx is 1 at the last word; one step back it is exactly 0 in float64." in reading([p])
    cell.b_h.assign(np.full(2, 50.0))
    p = trace_sequence(cell, np.zeros((3, 2)))
    assert "RNN: the norm of dL/dx is exactly 0 in float64 at the last word already." in reading([p, p])


def test_reading_names_every_cell_and_the_unit():
    text = reading([passage(k) for k in ("lstm", "rnn", "lstm1997")], unit="character")
    assert "LSTM of 1997: the norm" in text
    assert "one step back along c is × 1; by all paths dL/dc goes" in text
    assert "at the last character" in text
    assert "word" not in text


def test_reading_is_one_paragraph_and_needs_a_passage():
    assert "\n" not in reading(pair())
    with pytest.raises(ValueError, match="at least one"):
        reading([])


def test_a_long_sequence_does_not_recurse():
    p = passage("lstm", ["w"] * 2000, bias=5)
    assert math.isfinite(p.x[0])


def given(cell, x, c=None, direct=None):
    """A passage of which only the norms are known."""
    norms = {name: np.array(x if name != "c" or c is None else c) for name in (*reversed(cell.states), "x")}
    words = "f" if "f" in getattr(cell, "gates", ()) else "1"
    paths = {"c": Path(words, 0.5, 1.0 if direct is None else direct)} if "c" in cell.states else {}
    return Passage(cell, tuple("abc"), 0, None, norms, paths, cell_name(cell), "")


LOST = 1e-310  # TINY itself is held
R, L, O = RNNCell(2, 2), LSTMCell(2, 2), LSTMCell(2, 2, forget_gate=False)  # noqa: E741


@pytest.mark.parametrize(
    ("passages", "says"),
    [
        ([given(R, [0, 0, 0])], "RNN: the norm of dL/dx is exactly 0 in float64 at the last word already."),
        ([given(R, [0, 0, 0])], "the gradient of every one of these cells is 0 or too small for float64."),
        ([given(R, [0, LOST, 1])], "is 1 at the last word; one step back it is below 2.2e-308, too small for float64."),
        ([given(R, [0, 0.5, 1])], "to 0.5 1 step back, × 0.500 a step; one step further it is exactly 0"),
        ([given(R, [LOST, 0.5, 1])], "one step further it is below 2.2e-308"),
        ([given(R, [TINY, 1, 1])], "to 2.2e-308 at the first, 2 steps back"),
        ([given(R, [95, 100, 100])], "hardly changes from 1e+02 at the last word to 95 at the first"),
        ([given(R, [100, 95.1, 95.1])], "hardly changes"),
        ([given(R, [94.9, 100, 100])], "falls from"),
        ([given(R, [1.02, 1, 1])], "hardly changes from 1 at the last word to 1 at the first, 2 steps back: 100 %"),
        (
            [given(R, [4, 2, 1])],
            "grows from 1 at the last word to 4 at the first, 2 steps back: 400 % of that at the last, × 2.00 a step.",
        ),
        (
            [given(L, [1, 1, 1], [4, 2, 1], 1)],
            "What came along c alone has 25 % of the norm of dL/dc_1, the rest",
        ),
        (
            [given(L, [1, 1, 1], [4, 2, 1], 8)],
            "has 200 % of the norm of dL/dc_1, the detours through weights cancel part of it.",
        ),
        (
            [given(L, [1, 1, 1], [4, 2, 1], 4)],
            "has 100 % of the norm of dL/dc_1, the detours through weights hardly change it.",
        ),
        (
            [given(L, [1, 1, 1], [4, 2, 1], LOST)],
            "What came along c alone is too small for float64, the rest",
        ),
        ([given(L, [1, 1, 1], [1, 1, 1], TINY)], "What came along c alone has 2.2e-306 % of the norm of dL/dc_1"),
        ([given(L, [1, 1, 1], [TINY, 1, 1], TINY)], "What came along c alone has 100 % of the norm of dL/dc_1"),
        ([given(O, [1, 1, 1], [4, 2, 0], 4)], "one step back along c is × 1. What came along c"),
        ([given(R, [1, 3, 2]), given(L, [2, 1, 2])], "is largest in the LSTM; it is 2 times that in the RNN."),
        (
            [given(R, [2, 1, 1]), given(L, [1.99, 1, 1])],
            "is largest in the RNN; it is about as large in the LSTM. This",
        ),
        (
            [given(R, [2, 1, 1]), given(L, [LOST, 1, 1])],
            "it is 0 or too small for float64 in the LSTM. So here the LSTM brings the first word less",
        ),
        ([given(L, [1, 1, 1]), given(R, [TINY, 1, 1])], "it is 4.5e+307 times that in the RNN."),
        ([given(R, [TINY, 1, 1])], "At the first word the gradient is largest in the RNN."),
        (
            [given(R, [2, 1, 1]), given(L, [1, 1, 1]), given(O, [0.5, 1, 1])],
            "So here the LSTM and the LSTM of 1997 bring the first word less gradient than the plain RNN.",
        ),
    ],
)
def test_reading_of_norms_that_are_given(passages, says):
    assert says in reading(passages)


@pytest.mark.parametrize(
    ("passages", "never"),
    [
        ([given(L, [1, 1, 1], [LOST, 2, 1], 1)], "What came along c alone"),
        ([given(R, [2, 1, 1]), given(L, [1, 1, 1])], "too small"),
        ([given(R, [2, 1, 1]), given(L, [1, 1, 1])], "about as large"),
        ([given(R, [1, 1, 1]), given(L, [2, 1, 1])], "plain RNN"),
        ([given(R, [2, 1, 1]), given(L, [1.99, 1, 1])], "plain RNN"),
        ([given(L, [2, 1, 1]), given(O, [1, 1, 1])], "plain RNN"),
        ([given(R, [2, 1, 1]), given(R, [1, 1, 1])], "plain RNN"),
    ],
)
def test_reading_of_given_norms_does_not_say(passages, never):
    assert never not in reading(passages)


@pytest.mark.parametrize(
    ("say", "numbers", "words"),
    [
        (number, (0.0,), "0"),
        (number, (1.25e-7,), "1.2e-07"),
        (percent, (1, 8), "12 %"),
        (percent, (3, 1), "300 %"),
        (times, (3, 2), "1.5"),
        (times, (99.4, 10), "9.9"),
        (times, (125.1, 10), "13"),
        (times, (99.5, 1), "100"),
        (times, (1, 0.000081), "12,300"),
        (times, (1e6, 1), "1.0e+06"),
        (times, (1.25e6, 1), "1.2e+06"),
    ],
)
def test_figures_have_two_or_three_digits(say, numbers, words):
    assert say(*numbers) == words


def test_more_memory_than_a_machine_can_be_expected_to_have_is_refused():
    check_memory(4 << 30, 10, 8)
    with pytest.raises(
        ValueError, match=r"^1,000 steps at --hidden 8 would take about 6\.0 GB of memory \(at most 4\)"
    ):
        check_memory(6 << 30, 1000, 8)
    with pytest.raises(ValueError, match=r"4\.0 GB"):
        check_memory((4 << 30) + 1, 10, 8)


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

"""What is said of a flow: every number is looked up in the text, and each sentence stands where it holds."""

from __future__ import annotations

import math
import re
from typing import Any

import cells as own
import pytest
from given_norms import LOST, cell, of, passage

from tinygrad_lstm.flow.sequence import TINY, Path, TracedSequence, embed, trace_sequence
from tinygrad_lstm.flow.study import VARIANTS, study
from tinygrad_lstm.kinds import make_cell
from tinygrad_lstm.nn import LSTMCell, RNNCell
from tinygrad_lstm.views.sentences import conditions, factor, followed, plainly, reading, study_plainly, study_reading
from tinygrad_lstm.writing import number, percent

SENTENCE = ["the", "cities", "that", "I", "have", "seen", "in", "my", "life", "are", "very", "many"]
R, L, O = RNNCell(2, 2), LSTMCell(2, 2), LSTMCell(2, 2, forget_gate=False)  # noqa: E741
RNN = cell("rnn", [1, 0.1, 0.5])
HALF, CANCEL = "the rest came by detours through weights", "and detours through weights cancel part of it"


def traced(kind: Any = "lstm", tokens: Any = SENTENCE, bias: float = 1.0, seed: int = 0) -> TracedSequence:
    return trace_sequence(make_cell(kind, 8, 8, bias, seed), embed(tokens, 8, seed), tokens, seed)


# ── of passages ────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("bias", [3, 1, 0, -2])
@pytest.mark.parametrize("seed", [0, 1])
def test_a_reading_says_what_the_numbers_are(bias: float, seed: int) -> None:
    lstm, _, gru = found = [traced(kind, bias=bias, seed=seed) for kind in ("lstm", "rnn", own.GRUCell)]
    said = reading(found)
    assert "u · h_12 is one number read from the last hidden state" in said
    assert "norms of dL/dc_t, dL/dh_t and dL/dx_t, through every path" in said
    assert f"Seed {seed}, hidden size 8, vectors of size 8, forget bias {bias}, float64." in said
    best, *others = sorted(found, key=lambda p: -p.x[0])
    ratios = [f"{number(best.x[0] / p.x[0])} times that in the {p.name}" for p in others]
    assert f"At the first word dL/dx is largest in the {best.name}: {', '.join(ratios)}." in said
    for p, state, words in ((lstm, "c", "f"), (gru, "h", "(1 − u)")):
        path, whole = p.paths[state], p.norms[state][0]
        share = f"{percent(path.part / whole)} of the norm of dL/d{state}_1"
        rest = HALF if path.part < whole else CANCEL
        by = f"one step back along {state} is × {words}, {number(path.mean)} on average"
        assert f"In the {p.name} {by}; what crossed no weight has {share}, {rest}." in said
    assert "In the RNN every way one step back crosses a weight." in said
    kept = {p.name: percent(p.norms[state][0] / p.norms[state][-1]) for p, state in ((lstm, "c"), (gru, "h"))}
    left = f"{kept['LSTM']} of its size at the last word in the LSTM (at c), "
    assert f"changes if the cell's state changes a little. At the first word it has {left}" in plainly(found)
    assert plainly(found).endswith(f", {kept['GRU']} in the GRU (at h).")


def test_a_shut_forget_gate_does_worse_and_it_is_said() -> None:
    assert "largest in the RNN: " in reading([traced(kind, bias=-2) for kind in ("lstm", "rnn")])


def test_one_token_compares_nothing() -> None:
    found = [traced(kind, ["one"]) for kind in ("lstm", "rnn")]
    assert not set(reading(found).split()) & {"largest", "crossed", "crosses"}
    assert plainly(found, "character").endswith(
        "Here there is one character, and so no way back on which it could fade."
    )


def test_every_state_with_a_direct_path_has_a_sentence_and_every_cell_its_name() -> None:
    two = traced(own.TwoStatesCell)
    assert "In the TwoStates one step back along a is × 0.5; what crossed no weight has" in reading([two])
    assert "u · h_12 or a_12 is one" in reading([traced(own.GRUCell), two])
    assert "In the LSTM of 1997 one step back along c is × 1; what crossed" in reading(
        [traced("lstm1997")], "character"
    )
    assert "word" not in reading([traced("lstm1997")], "character")
    assert "\n" not in reading([two, two])
    with pytest.raises(ValueError, match="at least one"):
        reading([])


@pytest.mark.parametrize(
    ("passages", "says"),
    [
        ([passage(R, [0, 0, 0])] * 2, "float64. In the RNN every way one step back crosses a weight. In the RNN"),
        ([passage(L, [1, 1, 1], [4, 2, 1], 1)], f"what crossed no weight has 25 % of the norm of dL/dc_1, {HALF}."),
        ([passage(L, [1, 1, 1], [4, 2, 1], 8)], f"has 200 % of the norm of dL/dc_1, {CANCEL}."),
        ([passage(L, [1, 1, 1], [4, 2, 1], 4)], "has 100 % of the norm of dL/dc_1. This is"),
        ([passage(L, [1, 1, 1], [4, 2, 1], 0)], f"what crossed no weight has ≈ 0 % of the norm of dL/dc_1, {HALF}."),
        ([passage(L, [1, 1, 1], [LOST, 2, 1], 1)], "0.5 on average; float64 has lost the whole of dL/dc_1. This"),
        ([passage(L, [1, 1, 1], [TINY, 1, 1], TINY)], "what crossed no weight has 100 % of the norm of dL/dc_1. This"),
        ([passage(O, [1, 1, 1], [4, 2, 0], 4)], "one step back along c is × 1; what crossed no weight has 100 %"),
        ([passage(R, [1, 3, 2]), passage(L, [2, 1, 2])], "is largest in the LSTM: 2 times that in the RNN."),
        ([passage(R, [2, 1, 1]), passage(L, [1.99, 1, 1])], "largest in the RNN: about as much as in the LSTM."),
        ([passage(R, [2, 1, 1]), passage(L, [LOST, 1, 1])], "RNN: none, or less than float64 holds, in the LSTM."),
        ([passage(L, [1, 1, 1]), passage(R, [TINY, 1, 1])], "largest in the LSTM: 4.5·10³⁰⁷ times that in the RNN."),
    ],
)  # fmt: skip
def test_a_reading_of_norms_that_are_given(passages: Any, says: str) -> None:
    assert says in reading(passages)


NOTHING = "nothing left, or less than float64 holds,"


@pytest.mark.parametrize(
    ("x", "left"),
    [([4, 2, 1], "400 % of its size at the last word"), ([TINY, 1, 1], "2·10⁻³⁰⁶ % of its size at the last word"),
     ([LOST, 1, 1], NOTHING), ([0, 0, 0], NOTHING), ([0.5, 0, 0], NOTHING)],
)  # fmt: skip
def test_what_is_left_of_norms_that_are_given(x: Any, left: str) -> None:
    assert f"At the first word it has {left} in the RNN (at h)." in plainly([passage(R, x)])
    beside = plainly([passage(R, x), passage(L, [1, 2, 2])])
    of = "" if "%" in left else " of its size at the last word"
    assert beside.endswith(f" it has {left} in the RNN (at h), 50 %{of} in the LSTM (at c).")


@pytest.mark.parametrize(
    ("words", "said"),
    [(None, ""), ("f", "× f"), ("1 - u", "× (1 − u)"), ("f * k", "× (f · k)"), ("0.5", "× 0.5"), ("sigmoid(" * 4, "")],
)
def test_a_factor_that_is_short_is_said(words: Any, said: str) -> None:
    assert factor(Path(words, 0.5, 1.0)) == said


def test_a_factor_that_is_too_long_is_left_out() -> None:
    p = passage(L, [1, 1, 1])
    p.paths["c"] = Path("f" * 30, 0.5, 1.0)
    assert "In the LSTM what crossed no weight has 100 %" in reading([p])


# ── of a study ─────────────────────────────────────────────────────────────────────────────────

LSTM0, LSTM1 = "LSTM with forget bias 0", "LSTM with forget bias 1"
ALONG = "one step back along c is × f, 0.5 on average; what crossed no weight has"


@pytest.mark.parametrize(
    ("cells", "says"),
    [
        ([cell("lstm1", [1, 1])], "own state, dL/dc of the LSTM. In the LSTM with"),
        ([cell("lstm1", [1, 1], [1, 1])], "dL/dc of the LSTM. Numbers are medians over the seeds. In"),
        ([RNN, cell("lstm1", [1, 2, 0.25])], "2 steps back it is largest in the RNN: 2 times that in the"),
        ([RNN, cell("lstm1", [1, 1, LOST])], f"in the RNN: none, or less than float64 holds, in the {LSTM1}. In"),
        ([cell("lstm1", [1, 1])], f"{ALONG} 100 % of the norm of dL/dc 1 step back at a cosine of 1.00. Cells"),
        (
            [cell("lstm1", [1, 0, 0.5], direct=[1, 1, 0.25], cosine=[1, math.nan, 0.75])],
            f"In the {LSTM1} {ALONG} 50 % of the norm of dL/dc 2 steps back at a cosine of 0.75, {HALF}.",
        ),
        ([cell("lstm1", [1, 1, 1], direct=[1, 20, 2])], f"2 steps back at a cosine of 1.00, {CANCEL}."),
        ([cell("lstm1", [1, 1, 1], cosine=[1, 1, math.nan])], "of the norm of dL/dc 2 steps back. Cells"),
        ([cell("lstm0", [1, 1, 0], cosine=math.nan)], f"In the {LSTM0} one step back along c is × f, 0.5 on average; "),
        ([cell("lstm0", [1, 1, 0], cosine=math.nan)], "float64 has lost the whole of dL/dc 2 steps back. Cells"),
    ],
)  # fmt: skip
def test_a_sentence_says_what_the_norms_are(cells: Any, says: str) -> None:
    assert says in study_reading(of(*cells))


def test_of_a_study_it_is_said_what_is_left_in_every_cell() -> None:
    found = of(cell("lstm3", [0.5, 1, 0.25]), cell("lstm-8", [1, 1, 0]))
    assert study_plainly(found).endswith(
        "2 steps back it has 50 % of its size at the last step in the LSTM with forget bias 3, nothing left, or less "
        "than float64 holds, in the LSTM with forget bias -8."
    )
    own_cells = study([own.GRUCell, own.MinimalCell], 4, 3, 2, [0])
    left = [percent(c.norms()[-1] / c.norms()[0]) for c in own_cells.cells]
    assert study_plainly(own_cells).endswith(f" it has {left[0]} of its size at the last step in the GRU, {left[1]} in "
                                             "the Minimal.")  # fmt: skip
    said = study_reading(own_cells)
    assert "In the GRU one step back along h is × (1 − u), " in said
    assert "In the Minimal one step back along h is × sigmoid(v), " in said
    for c in own_cells.cells:
        assert f"what crossed no weight has {percent(c.parts[0].relative)} of the norm of dL/dh 4 steps back" in said


@pytest.mark.parametrize("lag", [1, 2, 7])
@pytest.mark.parametrize("keys", [["rnn"], ["lstm1"], ["lstm1997", "chrono"], list(VARIANTS)])
def test_every_study_has_a_reading(keys: list[str], lag: int) -> None:
    found = study(keys, lag, 2, 1, [0])
    said = study_plainly(found) + study_reading(found)
    assert said.endswith("other seeds, sizes and inputs give other numbers.")
    assert not re.search(r"\bnan\b|not computed", said)


@pytest.mark.parametrize(
    ("seeds", "words"),
    [((3,), "seed 3"), ((4, 5, 6), "seeds 4 to 6"), ((1, 3), "seeds 1, 3"), ((2, 1), "seeds 2, 1")],
)
def test_seeds_in_words(seeds: Any, words: str) -> None:
    said = conditions(of(RNN), seeds)
    assert said == f"untrained float64 cells, hidden size 2, standard normal inputs of size 1, {words}"


def test_whose_gradient_is_followed() -> None:
    cells = [RNN, cell("lstm0", [1, 1, 1]), cell("lstm1", [1, 1, 1]), cell("lstm1997", [1, 1, 1])]
    assert followed(cells) == "dL/dh of the RNN, dL/dc of the LSTM and LSTM of 1997"
    assert followed(cells[:1], "") == "h of the RNN"

"""What is said of a flow: every number is looked up in the text, and each sentence stands where it holds."""

from __future__ import annotations

import math
import re
from typing import Any

import cells as own
import pytest
from given_norms import LOST, cell, of, passage

from tinygrad_lstm.flow.sequence import TINY, Path, TracedSequence, embed, trace_sequence
from tinygrad_lstm.flow.study import VARIANTS, median, study
from tinygrad_lstm.kinds import make_cell
from tinygrad_lstm.nn import LSTMCell, RNNCell
from tinygrad_lstm.views.sentences import conditions, followed, plainly, reading, study_plainly, study_reading
from tinygrad_lstm.writing import number, percent

SENTENCE = ["the", "cities", "that", "I", "have", "seen", "in", "my", "life", "are", "very", "many"]
R, L, O = RNNCell(2, 2), LSTMCell(2, 2), LSTMCell(2, 2, forget_gate=False)  # noqa: E741
RNN = cell("rnn", [1, 0.1, 0.5])


def traced(kind: Any = "lstm", tokens: Any = SENTENCE, bias: float = 1.0, seed: int = 0) -> TracedSequence:
    return trace_sequence(make_cell(kind, 8, 8, bias, seed), embed(tokens, 8, seed), tokens, seed)


# ── of passages ────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("bias", [3, 1, 0, -2])
@pytest.mark.parametrize("seed", [0, 1])
def test_a_reading_says_what_the_numbers_are(bias: float, seed: int) -> None:
    lstm, _, gru = found = [traced(kind, bias=bias, seed=seed) for kind in ("lstm", "rnn", own.GRUCell)]
    said, name = reading(found), f"LSTM with forget bias {bias}"
    assert f"seed {seed}, hidden size 8, vectors of size 8, float64. Listed are the Euclidean norms" in said
    for p, title, state, words in ((lstm, name, "c", "f"), (gru, "GRU", "h", "(1 − u)")):
        path, whole = p.paths[state], p.norms[state][0]
        by = f"one step back along {state} is × {words}, {number(path.mean)} on average"
        share = f"what crossed no weight has {percent(path.part / whole)} of the norm of dL/d{state} at the first word"
        assert f"In the {title} {by}; {share}." in said
    assert "In the RNN every way one step back crosses a weight." in said
    kept = [percent(p.norms[p.state][0] / p.norms[p.state][-1]) for p in found]
    left = f"{kept[0]} in the {name} (at c), {kept[1]} in the RNN (at h), {kept[2]} in the GRU (at h)."
    assert plainly(found).endswith(f"At the first word there is left of its size at the last word: {left}")


def test_one_token_has_all_of_its_gradient() -> None:
    assert plainly([traced("rnn", ["one"])], "character").endswith("at the last character: 100 % in the RNN (at h).")
    assert "word" not in reading([traced("lstm1997", ["one"])], "character")


def test_every_cell_has_its_name_and_its_factor() -> None:
    two = traced(own.TwoStatesCell)
    assert "In the TwoStates one step back along a is × 0.5; what crossed no weight has" in reading([two])
    assert "In the LSTM of 1997 one step back along c is × 1; what crossed" in reading([traced("lstm1997")])
    assert "\n" not in reading([two, two])
    with pytest.raises(ValueError, match="at least one"):
        reading([])


@pytest.mark.parametrize(
    ("passages", "says"),
    [
        ([passage(R, [0, 0, 0])] * 2, "that ran. In the RNN every way one step back crosses a weight. In the"),
        ([passage(L, [1, 1, 1], [4, 2, 1], 1)], "what crossed no weight has 25 % of the norm of dL/dc at the first"),
        ([passage(L, [1, 1, 1], [4, 2, 1], 8)], "has 200 % of the norm of dL/dc at the first word. Paths"),
        ([passage(L, [1, 1, 1], [4, 2, 1], 0)], "what crossed no weight has ≈ 0 % of the norm of dL/dc"),
        ([passage(L, [1, 1, 1], [LOST, 2, 1], 1)], "0.5 on average; float64 has lost dL/dc at the first word. Paths"),
        ([passage(L, [1, 1, 1], [TINY, 1, 1], TINY)], "what crossed no weight has 100 % of the norm of dL/dc at the"),
        ([passage(O, [1, 1, 1], [4, 2, 0], 4)], "one step back along c is × 1; what crossed no weight has 100 %"),
    ],
)  # fmt: skip
def test_a_reading_of_norms_that_are_given(passages: Any, says: str) -> None:
    assert says in reading(passages)


@pytest.mark.parametrize(
    ("x", "left"),
    [([4, 2, 1], "400 %"), ([TINY, 1, 1], "2·10⁻³⁰⁶ %"), ([LOST, 1, 1], "≈ 0 %"), ([0, 0, 0], "≈ 0 %"),
     ([0.5, 0, 0], "≈ 0 %")],
)  # fmt: skip
def test_what_is_left_of_norms_that_are_given(x: Any, left: str) -> None:
    beside = plainly([passage(R, x), passage(L, [1, 2, 2])])
    assert beside.endswith(f" at the last word: {left} in the RNN (at h), 50 % in the LSTM (at c).")


@pytest.mark.parametrize(
    ("words", "said"),
    [(None, "× ..., 0.5 on average"), ("f", "× f, 0.5 on average"), ("1 - u", "× (1 − u), 0.5 on average"),
     ("f * k", "× (f · k), 0.5 on average"), ("0.5", "× 0.5")],
)  # fmt: skip
def test_a_factor_is_said_as_it_is_written(words: Any, said: str) -> None:
    p = passage(L, [1, 1, 1])
    p.paths["c"] = Path(words, 0.5, 1.0)
    assert f"In the LSTM one step back along c is {said}; what crossed" in reading([p])


# ── of a study ─────────────────────────────────────────────────────────────────────────────────

LSTM0, LSTM1 = "LSTM with forget bias 0", "LSTM with forget bias 1"
ALONG = "one step back along c is × f, 0.5 on average; what crossed no weight has"


@pytest.mark.parametrize(
    ("cells", "says"),
    [
        ([cell("lstm1", [1, 1])], "own state, dL/dc of the LSTM. In the LSTM with"),
        ([cell("lstm1", [1, 1], [1, 1])], "dL/dc of the LSTM. Numbers are medians over the seeds. In"),
        ([cell("lstm1", [1, 1])], f"{ALONG} 100 % of the norm of dL/dc 1 step back. Paths"),
        ([cell("lstm1", [1, 0, 0.5], direct=[1, 1, 0.25])], f"In the {LSTM1} {ALONG} 50 % of the norm of dL/dc 2 step"),
        ([cell("lstm1", [1, 1, 1], direct=[1, 20, 2])], f"{ALONG} 200 % of the norm of dL/dc 2 steps back."),
        ([cell("lstm0", [1, 1, 0], cosine=math.nan)], f"In the {LSTM0} one step back along c is × f, 0.5 on average; "),
        ([cell("lstm0", [1, 1, 0], cosine=math.nan)], "float64 has lost dL/dc 2 steps back. Paths"),
    ],
)  # fmt: skip
def test_a_sentence_says_what_the_norms_are(cells: Any, says: str) -> None:
    assert says in study_reading(of(*cells))


def test_of_a_study_it_is_said_what_is_left_in_every_cell() -> None:
    found = of(cell("lstm3", [0.5, 1, 0.25]), cell("lstm-8", [1, 1, 0]))
    assert study_plainly(found).endswith(
        "2 steps back there is left of its size at the last step: 50 % in the LSTM with forget bias 3 (at c), ≈ 0 % in "
        "the LSTM with forget bias -8 (at c)."
    )
    own_cells = study([own.GRUCell, own.MinimalCell], 4, 3, 2, [0])
    left = [percent(ends[-1] / ends[0]) for ends in (median(c.norms) for c in own_cells.cells)]
    assert study_plainly(own_cells).endswith(f": {left[0]} in the GRU (at h), {left[1]} in the Minimal (at h).")
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

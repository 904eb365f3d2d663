"""A study of norms that are given: its medians, and that each sentence stands where it holds and nowhere else."""

import math

import numpy as np
import pytest

from tinygrad_lstm.flow.sequence import TINY, Path
from tinygrad_lstm.flow.study import CellStudy, Run, Study, reading, seeds_said, variant

LOST = 1e-310  # while TINY itself is held
NAN = math.nan


def cell(key, *norms, direct=None, cosine=1, closed=1, largest=1):
    """A cell of which only norms are known: a row for each seed, with that at T, one step back, ... over the lag."""
    v, whole = variant(key), np.array(norms, float)
    along, angle, form = (np.broadcast_to(whole if a is None else a, whole.shape) for a in (direct, cosine, closed))
    state = np.broadcast_to(largest, len(whole))
    runs = [
        Run(k, whole[k], *((along[k], angle[k]) if v.state == "c" else (None, None)), form[k], whole[k], 0.0, state[k])
        for k in range(len(whole))
    ]
    path = Path("f", 0.5, 0.0) if v.state == "c" else None
    return CellStudy(v, tuple(runs), np.ones((whole.shape[1], 3)), np.ones((whole.shape[1], 3), bool), (), path)


def of(*cells):
    seeds, lags = len(cells[0].runs), len(cells[0].singular)
    return Study(lags - 1, 2, 1, tuple(range(seeds)), cells)


# Numbers


@pytest.mark.parametrize(
    ("norms", "factor"),
    [
        ([8, 1, 2], 0.5),
        ([8, 2], 0.25),
        ([8, 2, 2, 0, LOST, 1], 0.5),
        ([1, TINY, 0], TINY),
        ([1, LOST, 1], None),
        ([0, 1, 1], None),
    ],
)
def test_the_factor_goes_as_far_as_float64_holds_the_norm(norms, factor):
    assert cell("lstm1", norms).factor() == (factor and pytest.approx(factor, rel=1e-12, abs=0))


def test_a_norm_of_0_is_not_one_that_is_small():
    assert cell("lstm1", [1, 1, 0], [1, 1, 0], [1, 0, LOST]).zeros() == 2


def test_relative_to_a_whole_that_is_lost_nothing_has_a_size():
    (one, lost, three, tiny) = cell("lstm1", [1, LOST, 2, TINY], direct=[[1, LOST, 6, TINY / 2]]).relative()
    assert (one, three, tiny) == (1, 3, 0.5)
    assert math.isnan(lost)
    assert cell("rnn", [1, 1]).relative() is None


def test_cosines_have_a_median_over_the_seeds():
    norms = [[1, 1]] * 3
    assert cell("lstm1", *norms, cosine=[[1, 0.25], [-1, 0.5], [0, 0.75]]).cosine().tolist() == [0, 0.5]
    assert cell("rnn", *norms).cosine() is None


# Words


@pytest.mark.parametrize(
    ("seeds", "words"),
    [((3,), "seed 3"), ((4, 5, 6), "seeds 4 to 6"), ((1, 3), "seeds 1, 3"), ((2, 1), "seeds 2, 1")],
)
def test_seeds_in_words(seeds, words):
    assert seeds_said(seeds) == words


LSTM0, LSTM1 = "LSTM, forget bias 0", "LSTM, forget bias 1"
RNN = cell("rnn", [1, 0.1, 0.5])
ALONG = " (along c alone, × f, 0.5 on average)"
STANDS = "for L reads only what h_T shows of c_T"


@pytest.mark.parametrize(
    ("cells", "says"),
    [
        # what the numbers are
        ([cell("lstm1", [1, 1])], "own state, dL/dc in the LSTM."),
        ([cell("lstm1", [1, 1], [1, 1])], "dL/dc in the LSTM. Numbers are medians over the seeds. One step back"),
        # where they start
        (
            [cell("lstm0", [0.25, 1, 1]), cell("lstm1", [0.5, 1, 1])],
            f"At T itself dL/dc is 0.25 to 0.5, {STANDS}. What",
        ),
        ([RNN, cell("lstm1", [0.5, 1, 1])], f"At T itself dL/dc is 0.5, {STANDS}, while dL/dh is 1. What"),
        ([cell("lstm0", [0, 1, 1]), cell("lstm1", [LOST, 1, 1])], "At T itself dL/dc is 0 to below 2.2e-308, for"),
        ([cell("lstm1", [TINY, 1, 1])], "At T itself dL/dc is 2.2e-308, for"),
        (
            [cell("lstm1997", [0, 1, 1], [LOST, 1, 1], [TINY, 0, 0], [1, 0, 0], largest=[30, 45, 50, 99])],
            "In the LSTM of 1997 it is lost at T already in 2 of 4 seeds: the state has grown to 45, of which h_T",
        ),
        # beside the plain RNN
        ([RNN, cell("lstm1", [1, 2, 0.25])], f"Behind the plain RNN: {LSTM1} (2 times less). What"),
        ([RNN, cell("lstm1", [1, 1, LOST])], f"Behind the plain RNN: {LSTM1} (nothing that float64 holds). No"),
        ([RNN, cell("lstm1", [1, 1, TINY])], f"Behind the plain RNN: {LSTM1} (2.2e+307 times less). What"),
        (
            [cell("rnn", [1, 1, 0.5], [1, 1, 0.5]), cell("lstm1", [1, 1, 0.25], [1, 1, 0.25])],
            f"Behind the plain RNN: {LSTM1} (2 times less, less in 2 of 2 seeds). What",
        ),
        # along the cell state
        ([cell("lstm1", [1, 1])], "One step back there is no way to L but the direct path. Cells"),
        (
            [cell("lstm1", [1, 0, 0.5], direct=[1, 1, 0.25], cosine=[1, NAN, 0.75])],
            f"the norm of the whole: 50 % in the {LSTM1}, cosine 0.75{ALONG}. All else came by detours",
        ),
        ([cell("lstm1", [1, 1, 1], direct=[1, 20, 2])], f"the norm of the whole: 200 % in the {LSTM1}, cosine"),
        ([cell("lstm1", [1, 1, 1], direct=[1, 1, 10])], f"the whole: 10 times as much in the {LSTM1}, cosine"),
        ([cell("lstm1", [1, 1, 1], cosine=[1, 1, NAN])], f"the whole: 100 % in the {LSTM1}{ALONG}. All"),
        (
            [cell("lstm0", [1, 1, 0]), cell("lstm1", [1, 1, 1])],
            f"100 % in the {LSTM1}, cosine 1.00{ALONG}. All else came by detours through weights; parts may cancel. "
            f"No share where float64 has lost the whole: {LSTM0}. Cells",
        ),
    ],
)
def test_a_sentence_says_what_the_norms_are(cells, says):
    assert says in reading(of(*cells))


@pytest.mark.parametrize(
    ("cells", "never"),
    [
        ([RNN], "At T itself"),
        ([cell("lstm1", [1, 1, 1])], "while dL/dh"),
        ([cell("lstm1", [1, 0, 0])], "at T already"),
        ([RNN, cell("lstm1", [1, 1, 1])], "Behind"),
        ([RNN, cell("lstm1", [1, 1, 0.5])], "Behind"),
        ([cell("lstm1", [1, 1, 0])], "Behind"),
        ([cell("rnn", *[[1, 1, 0.5]] * 3), cell("lstm1", [1, 1, 0.25], [1, 1, 1], [1, 1, 1])], "Behind the plain"),
        ([RNN], "without crossing"),
        ([cell("rnn", [1, 1])], "One step back"),
        ([cell("lstm1", [1, 0])], "One step back"),
        ([cell("lstm1", [1, 1, 1])], "One step back"),
        ([cell("lstm1", [1, 1, 0])], "this part"),
        ([cell("lstm1", [1, 1, 1])], "No share"),
    ],
)
def test_a_sentence_that_does_not_hold_is_left_out(cells, never):
    assert never not in reading(of(*cells))

"""A study of norms that are given: its medians, and what float64 has lost."""

import math

import pytest
from given_norms import LOST, cell

from tinygrad_lstm.flow.sequence import TINY, factor_a_step
from tinygrad_lstm.flow.study import median


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
    assert factor_a_step(median(cell("lstm1", norms).norms)) == (factor and pytest.approx(factor, rel=1e-12, abs=0))


def test_relative_to_a_whole_that_is_lost_nothing_has_a_size():
    ((one, lost, three, tiny),) = cell("lstm1", [1, LOST, 2, TINY], direct=[[1, LOST, 6, TINY / 2]]).relative
    assert (one, three, tiny) == (1, 3, 0.5)
    assert math.isnan(lost)
    assert cell("rnn", [1, 1]).relative is None


def test_cosines_have_a_median_over_the_seeds():
    norms = [[1, 1]] * 3
    assert median(cell("lstm1", *norms, cosine=[[1, 0.25], [-1, 0.5], [0, 0.75]]).cosine).tolist() == [0, 0.5]

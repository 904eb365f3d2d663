"""Gradients by paths in any graph: split by crossings of marked edges, and with edges cut."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tinygrad_lstm as tl
from tinygrad_lstm.flow.crossings import by_crossings


def chain(length: int) -> tuple[tl.Tensor, list[tl.Tensor]]:
    """x -> x * 2 + x -> ...: at each link two ways, of which the first counts double."""
    x = tl.tensor([1.0], requires_grad=True)
    products, y = [], x
    for _ in range(length):
        doubled = y * 2
        products.append(doubled)
        y = doubled + y
    return y, [x, *products]


def test_crossings_are_counted_as_in_a_binomial() -> None:
    y, (x, *products) = chain(4)
    parts = by_crossings(y, np.ones(1), x, [((p, 0),) for p in products])
    assert [part.item() for part in parts] == [1, 4 * 2, 6 * 4, 4 * 8, 16]  # of (1 + 2z)^4
    assert sum(part.item() for part in parts) == tl.grad(y.sum(), [x])[0].item() == 81


@pytest.mark.parametrize("limit", [0, 1, 3, 4, 9])
def test_a_limit_keeps_the_rest_in_one_more_part(limit: int) -> None:
    y, (x, *products) = chain(4)
    parts = by_crossings(y, np.ones(1), x, [((p, 0),) for p in products], limit)
    all_of_it = [1.0, 8, 24, 32, 16] + [0.0] * 6
    assert [part.item() for part in parts] == [*all_of_it[: limit + 1], sum(all_of_it[limit + 1 :])]


def test_sixty_doublings_are_counted_without_walking_their_paths() -> None:
    y, (x, *products) = chain(60)
    parts = by_crossings(y, np.ones(1), x, [((p, 0),) for p in products])
    assert sum(int(part.item()) for part in parts) == pytest.approx(3**60)
    assert parts[60].item() == 2.0**60
    assert parts[1].item() == 120


def test_a_pair_counts_only_where_both_edges_follow_each_other() -> None:
    x = tl.tensor([1.0], requires_grad=True)
    middle = x * 2
    left, right = middle * 3, middle * 5
    y = left + right
    split = lambda *marks: [p.item() for p in by_crossings(y, np.ones(1), x, list(marks))]  # noqa: E731
    assert split(((left, 0), (middle, 0))) == [10, 6]
    assert split(((left, 0), (middle, 0)), ((right, 0), (middle, 0))) == [0, 16]
    (of_middle,) = by_crossings(y, np.ones(1), middle, [((left, 0), (middle, 0))])
    assert of_middle == 8  # half a pair is no crossing: what came along its first edge stays with the rest
    assert split(((middle, 0),)) == [0, 16]
    assert split(((y, 0), (left, 0)), ((left, 0), (middle, 0))) == [10, 0, 6]  # two pairs on one path
    assert split(((left, 0), (middle, 0)), ((middle, 0),)) == [0, 10, 6]  # a mark and a pair end on one edge


def test_of_what_the_root_does_not_depend_on_there_is_no_part() -> None:
    x, unused = (tl.tensor([1.0], requires_grad=True) for _ in range(2))
    assert by_crossings(x * 2, np.ones(1), unused, []) == []


def test_a_mark_may_be_any_number_of_edges_that_follow_each_other() -> None:
    x = tl.tensor([1.0], requires_grad=True)
    a, b = x * 2, x * 3
    m = a + b
    left, right = m * 5, m * 7
    y = left + right
    split = lambda *marks: [p.item() for p in by_crossings(y, np.ones(1), x, list(marks))]  # noqa: E731
    assert split(((left, 0), (m, 0), (a, 0))) == [50, 10]
    assert split(((left, 0), (m, 0), (a, 0)), ((left, 0), (m, 1))) == [35, 25]
    assert split(((y, 1), (right, 0), (m, 0), (a, 0)), ((right, 0), (m, 0)), ((m, 0),)) == [36, 10, 0, 14]


def test_only_what_lies_between_is_evaluated() -> None:
    x, y = tl.tensor([1.0], requires_grad=True), tl.tensor([0.0], requires_grad=True)
    for root in (y, y * 1):
        loss = (tl.exp(x) + root**0.5).sum()  # the rule of the root divides by 0: a warning if it were evaluated
        (part,) = by_crossings(loss, np.array(1.0), x, [])
        assert part.item() == pytest.approx(np.e)


def test_an_input_without_a_derivative_has_no_part() -> None:
    x = tl.tensor([1.0, -1.0], requires_grad=True)
    y = tl.where(x, x * 2, x * 3)
    parts = by_crossings(y, np.ones(2), x, [((y, 1),)])
    assert [part.tolist() for part in parts] == [[0, 0], [2, 2]]


def test_operations_of_any_number_of_inputs() -> None:
    a, b = tl.tensor([1.0, 2.0], requires_grad=True), tl.tensor([3.0], requires_grad=True)
    joined = tl.concat([a, b, a])
    weights = np.array([1.0, 2.0, 3.0, 4.0, 5.0])
    of_a, of_b = (by_crossings(joined, weights, wrt, [((joined, 2),)]) for wrt in (a, b))
    assert [part.tolist() for part in of_a] == [[1, 2], [4, 5]]
    assert [part.tolist() for part in of_b] == [[3]]


def test_broadcasting_is_undone_in_every_part() -> None:
    x = tl.tensor([1.0, 2.0], requires_grad=True)
    wide = x * np.ones((3, 2))
    parts = by_crossings(wide + x, np.ones((3, 2)), x, [((wide, 0),)])
    assert [part.tolist() for part in parts] == [[3, 3], [3, 3]]
    assert {part.dtype for part in parts} == {np.dtype(np.float64)}


def test_a_value_assigned_after_its_use_is_an_error() -> None:
    x = tl.tensor([1.0], requires_grad=True)
    y = (x * x).sum()
    edge = (y.inputs[0], 0)
    flow = tl.trace_gradients(y)
    x.assign([2.0])
    with pytest.raises(RuntimeError, match="assigned after"):
        flow.cut(x, [edge])


# ── cut ────────────────────────────────────────────────────────────────────────────────────────


def test_a_cut_edge_sends_nothing_back() -> None:
    x = tl.tensor([2.0], requires_grad=True)
    square = x * x
    y = (square + x).sum()
    flow = tl.trace_gradients(y)
    assert flow.cut(x, [(square, 0)]).item() == 3
    assert flow.cut(x, [(square, 0), (square, 1)]).item() == 1
    assert flow.cut(x, [(y, 0)]).item() == flow.cut(square, [(y, 0)]).item() == 0  # a true zero
    assert flow.cut(x, []).item() == 5
    assert tl.trace_gradients(y, 10.0).cut(x, [(square, 0)]).item() == 30
    assert x.grad is None


@pytest.mark.parametrize(
    ("edge", "error", "words"),
    [
        (lambda x, y: (x, 0), ValueError, "input 0 of .* is not an edge of the graph"),
        (lambda x, y: (y, 2), ValueError, "input 2 of"),
        (lambda x, y: (y, -1), ValueError, "input -1 of"),
        (lambda x, y: ((y, 0), (y, 1)), ValueError, "the first leads back to the consumer of the second"),
        (lambda x, y: ((y, 0),) * 3, ValueError, "a mark is one edge, or two"),
        (lambda x, y: "h -> f", TypeError, r"an edge is a pair \(consumer, slot\) or comes from Flow.edges_named"),
        (lambda x, y: (), TypeError, "an edge is a pair"),
    ],
)
def test_what_is_no_edge_of_the_graph_is_refused(edge: Any, error: Any, words: str) -> None:
    x = tl.tensor([2.0], requires_grad=True)
    y = x * x
    with pytest.raises(error, match=words):
        tl.trace_gradients(y).cut(x, [edge(x, y)])

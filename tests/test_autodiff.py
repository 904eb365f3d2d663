"""The backward walk: order, sums, shapes, memory, and the functions built on it."""

from __future__ import annotations

import gc
import itertools
import math
import sys
import tracemalloc
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import tinygrad_lstm as tl
from tinygrad_lstm.autodiff import operations, propagate
from tinygrad_lstm.scope import adjoint


@pytest.fixture
def without_gc() -> Iterator[None]:
    """Reference counting alone must free a graph."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


# ── order and sums ──────────────────────────────────────────────────────────────────────────────


def test_a_diamond_is_walked_once_and_in_order() -> None:
    x = tl.tensor(3.0, requires_grad=True)
    a = x * 2
    b = a + a
    c = b + b
    d = c * b + a
    product = d.inputs[0]
    calls: list[tuple[tl.Tensor, int]] = []
    propagate(d, np.ones(()), on_edge=lambda consumer, slot, g: calls.append((consumer, slot)))
    assert calls == [*((node, slot) for node in (d, product, c, b) for slot in (0, 1)), (a, 0)]
    d.backward()
    assert x.grad == 194  # d = 8a² + a and a = 2x: 2 (16a + 1)


def test_both_edges_of_the_same_operand_count() -> None:
    a = tl.tensor([1.5, -2.0], requires_grad=True)
    (a + a).sum().backward()
    np.testing.assert_array_equal(a.grad, [2, 2])
    a.grad = None
    (a * a - a / a).sum().backward()
    np.testing.assert_allclose(a.grad, [3, -4], atol=1e-15)


def test_an_input_used_early_and_late() -> None:
    x = tl.tensor(2.0, requires_grad=True)
    y = x
    for _ in range(20):
        y = y * x
    y.backward()
    assert x.grad == pytest.approx(21 * 2.0**20)


def test_sixty_doublings_are_sixty_operations() -> None:
    x = tl.tensor(1.0, requires_grad=True)
    y = x
    for _ in range(60):
        y = y + y
    assert len(operations(y)) == 60
    y.backward()
    assert x.grad == 2.0**60


def test_operations_are_listed_later_ones_first_whatever_the_depth() -> None:
    x = tl.tensor(1.0, requires_grad=True)
    short = x * 2
    long = short
    for _ in range(10):
        long = long * 2
    late = short + long
    found = operations(late * short)
    assert [node.seq for node in found] == sorted((node.seq for node in found), reverse=True)
    assert len(found) == 13
    assert operations(x) == []


def test_edges_add_up_to_the_gradient() -> None:
    x = tl.tensor([1.0, 2.0], requires_grad=True)
    y = (x * x + tl.tanh(x) * x).sum()
    terms: list[Any] = []
    propagate(
        y, np.ones(()), on_edge=lambda consumer, slot, g: terms.append(g.copy()) if consumer.inputs[slot] is x else None
    )
    assert len(terms) == 4
    y.backward()
    np.testing.assert_allclose(np.sum(terms, axis=0), x.grad, rtol=1e-15)


def test_terms_kept_by_an_observer_are_never_changed_afterwards() -> None:
    x = tl.tensor([1.0, 2.0], requires_grad=True)
    y = x * 1
    out = y + y + y + y
    seen: list[tuple[Any, Any]] = []
    propagate(out, np.ones(2), on_edge=lambda consumer, slot, g: seen.append((g, g.copy())))
    for kept, copied in seen:
        np.testing.assert_array_equal(kept, copied)


# ── .grad ───────────────────────────────────────────────────────────────────────────────────────


def test_backward_again_adds_as_in_pytorch() -> None:
    x = tl.tensor([1.0, 2.0], requires_grad=True)
    y = (x * x).sum()
    y.backward()
    y.backward()
    np.testing.assert_array_equal(x.grad, [4, 8])
    (x * 3).sum().backward()
    np.testing.assert_array_equal(x.grad, [7, 11])
    x.grad = None
    y.backward()
    np.testing.assert_array_equal(x.grad, [2, 4])


def test_leaves_do_not_share_their_gradient_array() -> None:
    a, b = tl.tensor([1.0], requires_grad=True), tl.tensor([1.0], requires_grad=True)
    seed = np.array([1.0])
    (a + b).backward(seed)
    assert a.grad is not None
    a.grad += 5
    np.testing.assert_array_equal(b.grad, [1])
    np.testing.assert_array_equal(seed, [1])


@pytest.mark.parametrize("shape", [(), (1,), (3,), (1, 1), (2, 3), (0,), (2, 0, 3)])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("other", [np.float32, np.float64])
def test_the_gradient_has_the_tensors_own_shape_and_dtype(shape: tuple[int, ...], dtype: Any, other: Any) -> None:
    x = tl.tensor(np.full(shape, 0.5, dtype), requires_grad=True)
    y = tl.tensor(np.full((2, *shape), 2.0, other), requires_grad=True)
    z = tl.tensor(np.array(0.25, other), requires_grad=True)
    loss = (tl.tanh(x * y) / z + x).sum() + (x ** tl.tensor(2.0)).mean()[None].sum() if x.size else (x * y * z).sum()
    loss.backward()
    for t in (x, y, z):
        assert type(t.grad) is np.ndarray
        assert (t.grad.shape, t.grad.dtype) == (t.shape, t.dtype)
        assert t.grad.flags.writeable
    for t, g in zip((x, y, z), tl.grad(loss, [x, y, z], create_graph=True), strict=True):
        assert (g.shape, g.dtype) == (t.shape, t.dtype)


def test_a_float32_leaf_in_a_float64_sum_accumulates_in_its_own_dtype() -> None:
    x = tl.tensor(np.ones(2, np.float32), requires_grad=True)
    wide = np.array([1.0, 2.0])
    (x * wide + x * wide + x).sum().backward()
    np.testing.assert_array_equal(x.grad, np.array([3, 5], np.float32), strict=True)


def test_backward_on_a_leaf_gives_its_cotangent() -> None:
    x = tl.tensor([1.0, 2.0], requires_grad=True)
    x.backward([3, 4])
    np.testing.assert_array_equal(x.grad, [3, 4])


def test_only_what_needs_a_gradient_gets_one() -> None:
    x, c = tl.tensor([2.0], requires_grad=True), tl.tensor([-3.0])
    (x**c).sum().backward()  # log(-3) would warn, were the rule of the exponent evaluated
    assert c.grad is None
    (c * x).backward([1])
    assert c.grad is None


@pytest.mark.parametrize(
    ("root", "cotangent", "words"),
    [
        (lambda x: x * 2, None, r"the output of mul of shape \(2,\) has 2 elements: reduce it .*or give a cotangent"),
        (lambda x: x * 2, [1.0], r"must have its shape, got \(1,\)"),
        (lambda x: (x * 2).detach(), [1.0, 1.0], "has no gradient: make it"),
        (lambda x: tl.tensor([1.0]), None, "with requires_grad=True, and outside"),
        (lambda x: x[:0], None, "has 0 elements"),
    ],
)
def test_a_missing_or_wrong_cotangent_is_refused(root: Any, cotangent: Any, words: str) -> None:
    x = tl.tensor([1.0, 2.0], requires_grad=True)
    with pytest.raises(ValueError, match=words):
        root(x).backward(cotangent)
    assert x.grad is None


# ── grad ────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "call",
    [
        lambda x: tl.grad(3, [x]), lambda x: tl.grad(x.sum(), [3]), lambda x: tl.jacobian(x, 3),
        lambda x: tl.jacobian(3, x), lambda x: tl.trace_gradients(3),
    ],
)  # fmt: skip
def test_what_is_no_tensor_is_refused(call: Callable[[Any], Any]) -> None:
    with pytest.raises(TypeError, match=r"a gradient is of a Tensor with respect to Tensors, got (int|ndarray)"):
        call(tl.tensor([1.0, 2.0], requires_grad=True))


def test_grad_touches_nothing_and_takes_intermediates() -> None:
    x = tl.tensor([1.0, 2.0], requires_grad=True)
    y = x * x
    z = (y * y).sum()
    of_x, of_y, of_z = tl.grad(z, [x, y, z])
    np.testing.assert_array_equal(of_x.numpy(), [4, 32])
    np.testing.assert_array_equal(of_y.numpy(), [2, 8])
    assert of_z.item() == 1
    assert x.grad is None
    assert not of_x.requires_grad
    np.testing.assert_array_equal(tl.grad(z, x)[0].numpy(), of_x.numpy())
    np.testing.assert_array_equal(tl.grad(x, [x], [3, 4])[0].numpy(), [3, 4])


def test_grad_evaluates_only_what_lies_between() -> None:
    x, y = tl.tensor([1.0], requires_grad=True), tl.tensor([0.0], requires_grad=True)
    for root in (y, y * 1):
        loss = (tl.exp(x) + root**0.5).sum()  # the rule of the root divides by 0: a warning if it were evaluated
        assert tl.grad(loss, [x])[0].item() == pytest.approx(math.e)


def test_a_walk_to_targets_returns_theirs_alone() -> None:
    x, y = (tl.tensor([2.0], requires_grad=True) for _ in range(2))
    z = x * y
    found = propagate(z * 3, np.ones(1), [z])
    assert list(found) == [z]
    assert found[z] == 3


def test_the_first_operation_of_all_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules["tinygrad_lstm.tensor"], "_clock", itertools.count(1))
    x = tl.tensor([3.0], requires_grad=True)
    first = x * x
    y = first * 1
    assert operations(y) == [y, first]
    assert tl.grad(y, [x])[0].item() == 6
    y.backward()
    assert x.grad == 6


def test_the_second_derivative_of_a_linear_function_is_zero() -> None:
    x = tl.tensor([1.0, 2.0], requires_grad=True)
    (slope,) = tl.grad((3 * x).sum(), x, create_graph=True)
    assert tl.grad(slope.sum(), x, allow_unused=True)[0].numpy().tolist() == [0, 0]
    assert tl.jacobian(slope, x).tolist() == [[0, 0], [0, 0]]


def test_grad_names_an_unused_input_or_gives_zeros() -> None:
    x = tl.tensor([1.0, 2.0], requires_grad=True)
    unused = tl.tensor(np.ones((2, 2), np.float32), requires_grad=True, name="unused")
    loss = (x * unused.detach()).sum()
    with pytest.raises(
        ValueError, match=r"does not depend on tensor 'unused' of shape \(2, 2\), or only through detach"
    ):
        tl.grad(loss, [x, unused])
    for create_graph in (False, True):  # of what depends on nothing at all, too
        for constant in (loss.detach(), (x > 0).sum(), tl.tensor(1.0)):
            (zeros,) = tl.grad(constant, x, create_graph=create_graph, allow_unused=True)
            assert zeros.numpy().tolist() == [0, 0]
    with pytest.raises(ValueError, match="has no gradient: make it"):
        tl.grad(loss.detach(), x)
    with pytest.raises(ValueError, match="must have its shape"):
        tl.grad(loss.detach(), x, [1.0, 2.0], allow_unused=True)
    zeros = tl.grad(loss, [x, unused], allow_unused=True)[1]
    np.testing.assert_array_equal(zeros.numpy(), np.zeros((2, 2), np.float32), strict=True)
    with pytest.raises(ValueError, match="has no gradient: make it"):
        tl.grad(loss, [tl.tensor([1.0])])


def test_grad_weighs_by_a_cotangent_that_may_itself_be_differentiated() -> None:
    x = tl.tensor([1.0, 2.0], requires_grad=True)
    v = tl.tensor(np.array([3.0, 5.0], np.float32), requires_grad=True)
    y = x**3
    (g,) = tl.grad(y, [x], v, create_graph=True)
    np.testing.assert_allclose(g.numpy(), [9, 60])
    of_x, of_v = tl.grad(g.sum(), [x, v])
    np.testing.assert_allclose(of_x.numpy(), [18, 60])
    np.testing.assert_allclose(of_v.numpy(), [3, 12])
    assert of_v.dtype == np.float32
    with pytest.raises(ValueError, match="must have its shape"):
        tl.grad(y, [x], tl.tensor([1.0]), create_graph=True)


def test_gradients_of_gradients_to_third_order() -> None:
    x = tl.tensor([0.3, -1.2], requires_grad=True)
    y = tl.tanh(x)
    values = y.numpy()
    expected = [1 - values**2, -2 * values * (1 - values**2), (6 * values**2 - 2) * (1 - values**2)]
    for want in expected:
        (y,) = tl.grad(y.sum(), [x], create_graph=True)
        np.testing.assert_allclose(y.numpy(), want, rtol=1e-12)
    z = x**5
    for want in (5 * x.numpy() ** 4, 20 * x.numpy() ** 3, 60 * x.numpy() ** 2):
        (z,) = tl.grad(z.sum(), [x], create_graph=True)
        np.testing.assert_allclose(z.numpy(), want, rtol=1e-12)


def test_create_graph_records_inside_no_grad() -> None:
    x = tl.tensor([2.0], requires_grad=True)
    y = (x**3).sum()
    with tl.no_grad():
        (g,) = tl.grad(y, [x], create_graph=True)
        assert g.requires_grad
        assert not (x * 2).requires_grad
    g.sum().backward()
    np.testing.assert_allclose(x.grad, [12])


def test_each_adjoint_lies_in_the_scope_of_its_operation_and_names_the_edge() -> None:
    x = tl.tensor([2.0], requires_grad=True)
    with tl.scope("squares"):
        y = x * x
    with tl.scope("elsewhere"):
        (g,) = tl.grad(y, [x], tl.tensor([3.0], requires_grad=True), create_graph=True)
    adjoints = [node.scope for node in operations(g) if isinstance(node.scope, adjoint)]
    assert {s.op for s in adjoints} == {x, y}
    assert {(s.op, s.slot) for s in adjoints} == {(y, 0), (y, 1), (x, None)}
    assert {str(s) for s in adjoints if s.op is y} == {"squares / ∂"}


# ── jacobian ────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("shapes", [((2, 3), (3, 2)), ((1, 3), (3, 1)), ((0, 3), (3, 2))])
def test_jacobian_of_a_product(shapes: Any) -> None:
    rng = np.random.default_rng(0)
    a, b = (tl.tensor(rng.normal(size=s), requires_grad=True) for s in shapes)
    full = tl.jacobian(a @ b, a)
    assert full.shape == (shapes[0][0], shapes[1][1], *shapes[0])
    np.testing.assert_allclose(full, np.einsum("ik,lj->ijkl", np.eye(shapes[0][0]), b.numpy()))
    assert a.grad is None


def test_jacobian_of_scalars_intermediates_and_itself() -> None:
    x = tl.tensor([1.0, 2.0], requires_grad=True)
    y = x * x
    np.testing.assert_array_equal(tl.jacobian(y.sum(), x), [2, 4])
    np.testing.assert_array_equal(tl.jacobian(y * y, y), np.diag([2, 8]))
    np.testing.assert_array_equal(tl.jacobian(y, y), np.eye(2))
    np.testing.assert_array_equal(tl.jacobian(x, x), np.eye(2))
    other = tl.tensor([1.0], requires_grad=True)
    np.testing.assert_array_equal(tl.jacobian(y, other), np.zeros((2, 1)))
    np.testing.assert_array_equal(tl.jacobian(y.detach(), x), np.zeros((2, 2)))
    with pytest.raises(ValueError, match="has no gradient: make it"):
        tl.jacobian(y, tl.tensor([1.0]))


# ── long graphs and memory ──────────────────────────────────────────────────────────────────────


@pytest.mark.usefixtures("without_gc")
@pytest.mark.parametrize("create_graph", [False, True])
def test_a_hundred_thousand_operations(create_graph: bool) -> None:
    x = tl.tensor([1.0], requires_grad=True)
    y = x
    for _ in range(50_000):
        y = -(y * 1)
    middle = weakref.ref(y.inputs[0].inputs[0])
    assert len(operations(y)) == 100_000
    (g,) = tl.grad(y.sum(), [x], create_graph=create_graph)
    assert g.item() == 1
    y.backward([2])
    np.testing.assert_array_equal(x.grad, [2])
    del y, g
    assert middle() is None  # freed at once, and without recursion


@pytest.mark.usefixtures("without_gc")
def test_a_graph_is_freed_by_reference_counts_alone() -> None:
    x = tl.tensor(np.ones((2, 2)), requires_grad=True)
    with tl.scope("outer"), tl.scope("inner"):
        h = tl.tanh(x @ x)
        y = tl.concat([h, h[[0]]]).max(axis=0) ** 2
    loss = y.mean()
    refs = [weakref.ref(t) for t in operations(loss)]
    assert len(refs) > 5
    loss.backward()
    tl.jacobian(y, x)
    (g,) = tl.grad(loss, [x], create_graph=True)
    refs += [weakref.ref(t) for t in operations(g)]
    g.sum().backward()
    del h, y, loss, g
    assert [r() for r in refs if r() is not None] == []


def step_backward(x: tl.Tensor) -> None:
    tl.tanh(x @ x + 1).sum().backward()
    x.grad = None


def step_twice(x: tl.Tensor) -> None:
    (g,) = tl.grad(tl.tanh(x @ x + 1).sum(), [x], create_graph=True)
    (g * g).sum().backward()
    x.grad = None


@pytest.mark.usefixtures("without_gc")
@pytest.mark.parametrize("step", [step_backward, step_twice])
def test_memory_does_not_grow_over_hundreds_of_steps(step: Callable[[tl.Tensor], None]) -> None:
    x = tl.tensor(np.ones((4, 4)) / 8, requires_grad=True)
    for _ in range(1000):  # until Python's own free lists are full
        step(x)
    tensors = sum(type(o) is tl.Tensor for o in gc.get_objects())
    tracemalloc.start()
    try:
        for _ in range(300):
            step(x)
        grown, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert grown < 2400  # 8 bytes a step; a graph has thousands
    assert sum(type(o) is tl.Tensor for o in gc.get_objects()) == tensors


@pytest.mark.usefixtures("without_gc")
def test_a_cotangent_is_dropped_once_it_was_passed_on() -> None:
    x = tl.tensor(np.ones(100_000), requires_grad=True)
    y = x
    for _ in range(50):
        y = y * 2
    seed = np.ones(100_000)
    tracemalloc.start()
    try:
        y.backward(seed)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 6 * x.numpy().nbytes  # not the 50 of the whole walk


@pytest.mark.parametrize("made", [False, True], ids=["leaf", "computed"])
def test_many_slices_of_one_array_add_up_in_one_array(made: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    # A slice's cotangent as an array of the whole's size would make T slices cost T * T.
    x = tl.tensor(np.random.default_rng(0).normal(size=(6, 4)), requires_grad=True)
    y = x * 1 if made else x
    picks: list[Any] = [0, -1, slice(1, 4), slice(0, 6, 2), (slice(None), 1), np.array([2, 2, 5]), None, y.numpy() > 0]
    weights = [np.random.default_rng(k).normal(size=y.numpy()[index].shape) for k, index in enumerate(picks)]
    loss: Any = (y * y).sum()
    for index, w in zip(picks, weights, strict=True):
        loss = loss + (y[index] * w).sum()
    expected = 2 * x.numpy()
    for index, w in zip(picks, weights, strict=True):
        np.add.at(expected, index, w)  # type: ignore[arg-type]

    (symbolic,) = tl.grad(loss, [x], create_graph=True)
    np.testing.assert_allclose(symbolic.numpy(), expected, rtol=1e-12)
    monkeypatch.setattr(tl.primitives.put, "forward", None)
    (numbers,) = tl.grad(loss, [x])
    np.testing.assert_allclose(numbers.numpy(), expected, rtol=1e-12)
    loss.backward()
    assert x.grad is not None
    np.testing.assert_allclose(x.grad, expected, rtol=1e-12)


@pytest.mark.parametrize("made", [False, True], ids=["leaf", "computed"])
def test_a_number_that_is_indexed_and_used_otherwise(made: bool) -> None:
    x = tl.tensor(3.0, requires_grad=True)
    y = x * 1 if made else x
    for loss in (y[None].sum() + y * y, y * y + y[...], y[()] * y[None].sum() + y[None, ..., None].mean()):
        np.testing.assert_array_equal(tl.grad(loss, [x])[0].numpy(), 7)


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ((5, 4), (4, 3)),
        ((5, 4), (4,)),
        ((4,), (2, 4, 3)),
        ((2, 5, 4), (4, 3)),
        ((2, 2, 4), (4, 4)),
        ((2, 5, 4), (2, 4, 3)),
    ],
)
def test_a_weight_that_several_products_use(left: tuple[int, ...], right: tuple[int, ...]) -> None:
    rng = np.random.default_rng(0)
    weight = tl.tensor(rng.normal(size=right), requires_grad=True)
    inputs = [rng.normal(size=left) for _ in range(3)]
    weights = [rng.normal(size=(x @ weight.numpy()).shape) for x in inputs]
    sum((tl.sum((x @ weight) * w) for x, w in zip(inputs, weights, strict=True)), tl.tensor(0.0)).backward()
    units = np.eye(weight.size).reshape(-1, *right)  # the loss is linear in the weight
    expected = [sum(((x @ unit) * w).sum() for x, w in zip(inputs, weights, strict=True)) for unit in units]
    assert weight.grad is not None
    np.testing.assert_allclose(weight.grad.ravel(), expected, rtol=1e-12)


# ── held ───────────────────────────────────────────────────────────────────────────────────────


def test_a_held_tensor_is_a_constant() -> None:
    x = tl.tensor([2.0, 3.0], requires_grad=True)
    square = x * x
    y = square * x
    np.testing.assert_array_equal(tl.jacobian(y, x), np.diag([12, 27]))
    np.testing.assert_array_equal(tl.jacobian(y, x, held=[square]), np.diag([4, 9]))
    np.testing.assert_array_equal(tl.jacobian(y, x, held=[y]), np.zeros((2, 2)))
    np.testing.assert_array_equal(tl.jacobian(square, x, held=[y]), np.diag([4, 6]))  # comes later: no matter
    np.testing.assert_array_equal(tl.jacobian(y, square, held=[x]), np.diag([2, 3]))  # comes earlier: no matter
    np.testing.assert_array_equal(tl.jacobian(y, square, held=[square]), np.diag([2, 3]))  # asked for is not held
    np.testing.assert_array_equal(tl.jacobian(y, y, held=[y]), np.eye(2))


def test_held_and_its_own_share_add_up() -> None:
    x = tl.tensor([0.3, -0.7], requires_grad=True)
    a = tl.tanh(x)
    y = a * x + a
    through = tl.jacobian(y, a) @ tl.jacobian(a, x)
    np.testing.assert_allclose(tl.jacobian(y, x), tl.jacobian(y, x, held=[a]) + through, rtol=1e-14)


# ── what is multiplied by a cotangent of exactly 0 ─────────────────────────────────────────────

noisy = pytest.mark.filterwarnings("ignore::RuntimeWarning")  # NumPy warns of what is not finite


def edges_of(root: tl.Tensor) -> dict[tuple[tl.Tensor, int], Any]:
    """What an observer of the walk is told of every edge, once."""
    seen: dict[tuple[tl.Tensor, int], Any] = {}

    def on_edge(node: tl.Tensor, slot: int, c: Any) -> None:
        assert (node, slot) not in seen
        seen[node, slot] = np.array(c)

    propagate(root, np.ones(root.shape), on_edge=on_edge)
    return seen


def padded_loss(padding: float) -> tuple[tl.nn.Parameter, tl.Tensor]:
    """A weight, and a loss whose second row does not count and holds padding."""
    W = tl.nn.Parameter(np.arange(6.0).reshape(2, 3) / 7)
    logits = tl.tensor(np.array([[1.0, 2.0], [padding, padding]])) @ W
    return W, tl.nn.cross_entropy(logits, np.array([0, 0]), mask=np.array([True, False]))


@noisy
@pytest.mark.parametrize("padding", [np.nan, np.inf, -np.inf])
def test_rows_that_do_not_count_have_no_share_whatever_they_hold(padding: float) -> None:
    (W, loss), (other, sound) = padded_loss(padding), padded_loss(0.0)
    assert loss.item() == sound.item()
    loss.backward()
    sound.backward()
    np.testing.assert_allclose(W.grad, other.grad, rtol=1e-15)
    np.testing.assert_array_equal(tl.grad(loss, [W])[0].numpy(), W.grad)
    of_squares = []
    for weight, value in ((W, loss), (other, sound)):
        (recorded,) = tl.grad(value, [weight], create_graph=True)
        np.testing.assert_allclose(recorded.numpy(), other.grad, rtol=1e-15)
        of_squares.append(tl.grad((recorded**2).sum(), [weight])[0].numpy())
    np.testing.assert_allclose(*of_squares, rtol=1e-13)
    flow = tl.trace_gradients(loss)
    (of_W,) = (node.gradient for node in flow.nodes if node.kind == "parameter")
    np.testing.assert_array_equal(of_W, W.grad)
    assert all(np.isfinite(c).all() for c in edges_of(loss).values())
    assert all(np.isfinite(edge.cotangent).all() for edge in flow.edges if edge.cotangent is not None)


@noisy
@pytest.mark.parametrize("padding", [np.nan, np.inf, -np.inf])
def test_logits_that_do_not_count_get_zeros(padding: float) -> None:
    z = tl.tensor(np.array([[1.0, 2.0, 3.0], [padding] * 3]), requires_grad=True)
    tl.nn.cross_entropy(z, np.array([0, 0]), mask=np.array([True, False])).backward()
    np.testing.assert_array_equal(z.grad[1], [0, 0, 0])
    np.testing.assert_allclose(z.grad[0], np.exp([1, 2, 3]) / np.exp([1, 2, 3]).sum() - [1, 0, 0], rtol=1e-14)


SHUT: list[tuple[Callable[[Any], Any], Callable[[Any], Any]]] = [
    (tl.log, lambda x: 1 / x),
    (lambda x: x**0.5, lambda x: 0.5 * x**-0.5),
    (lambda x: 1 / x, lambda x: -1 / x**2),
    (lambda x: x**-1.5 * tl.log(x), lambda x: x**-2.5 * (1 - 1.5 * np.log(x))),
]


@noisy
@pytest.mark.parametrize(("function", "slope"), SHUT)
def test_where_shuts_out_what_has_no_derivative(function: Callable[[Any], Any], slope: Callable[[Any], Any]) -> None:
    x = tl.tensor([2.0, 0.0, -3.0, 0.5, -np.inf, np.nan], requires_grad=True, name="x")
    y = tl.where(x > 0, function(x), 0)
    expected = [slope(2.0), 0, 0, slope(0.5), 0, 0]
    y.sum().backward()
    np.testing.assert_allclose(x.grad, expected, rtol=1e-14)
    np.testing.assert_array_equal(tl.grad(y.sum(), [x])[0].numpy(), x.grad)
    np.testing.assert_array_equal(tl.jacobian(y, x), np.diag(x.grad))
    (of_x,) = (node.gradient for node in tl.trace_gradients(y.sum()).nodes if node.name == "x")
    np.testing.assert_allclose(of_x, x.grad, rtol=1e-14)
    (recorded,) = tl.grad(y.sum(), [x], create_graph=True)
    np.testing.assert_allclose(recorded.numpy(), x.grad, rtol=1e-14)
    alone = tl.tensor([2.0, 0.5], requires_grad=True)  # the second and third order are those of what is let through
    (first,) = tl.grad(function(alone).sum(), [alone], create_graph=True)
    for _ in range(2):
        (recorded,) = tl.grad(recorded.sum(), [x], create_graph=True)
        (first,) = tl.grad(first.sum(), [alone], create_graph=True)
        np.testing.assert_allclose(recorded.numpy()[[0, 3]], first.numpy(), rtol=1e-13)
        np.testing.assert_array_equal(recorded.numpy()[[1, 2, 4, 5]], np.zeros(4))
    terms = [c for (node, slot), c in edges_of(y.sum()).items() if node.inputs[slot] is x]
    np.testing.assert_allclose(np.sum(terms, axis=0), x.grad, rtol=1e-14)


@noisy
def test_a_true_nan_or_infinity_stays() -> None:
    x = tl.tensor([0.0, 4.0, -1.0], requires_grad=True)
    (x**0.5).sum().backward()  # the slope at 0 is infinite, and counts
    np.testing.assert_array_equal(x.grad, [np.inf, 0.25, np.nan])
    x.grad = None
    ((x * x) ** 0.5).sum().backward()  # infinity times 0, where the 0 is a value and no cotangent
    np.testing.assert_array_equal(x.grad, [np.nan, 1, -1])
    z = tl.tensor([np.nan, 1.0, 2.0], requires_grad=True)
    for function in (tl.softmax, tl.log_softmax):
        function(z)[1].backward()  # a line of which one element counts
        assert np.isnan(z.grad).all()
        z.grad = None
    W, loss = padded_loss(np.nan)
    (loss + (tl.tensor([[np.nan, 1.0]]) @ W).sum()).backward()
    np.testing.assert_array_equal(np.isfinite(W.grad), [[False] * 3, [True] * 3])


@noisy
def test_detect_anomaly_is_quiet_where_nothing_counts_and_stops_where_it_does() -> None:
    x = tl.tensor([0.0, 2.0], requires_grad=True, name="x")
    shut, counted = tl.where(x > 0, tl.log(x), 0).sum(), (x**0.5).sum()
    W, loss = padded_loss(np.nan)
    with tl.detect_anomaly():
        shut.backward()
        loss.backward()
        with pytest.raises(FloatingPointError, match=r"pow made inf at \[0\] in the backward pass"):
            counted.backward()
    np.testing.assert_array_equal(x.grad, [0, 0.5])
    assert np.isfinite(W.grad).all()


@noisy
def test_an_edge_is_right_where_no_leaf_would_tell() -> None:
    x = tl.tensor([2.0, 0.0, -3.0], requires_grad=True)
    safe = tl.where(x > 0, x, 0)  # stops what is not finite, but its edge is looked at
    loss = tl.where(x > 0, tl.log(safe), 0).sum()
    (c,) = (c for (node, slot), c in edges_of(loss).items() if node.inputs[slot] is safe)
    np.testing.assert_array_equal(c, [0.5, 0, 0])


@noisy
@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize(
    ("left", "right"),
    [((3, 2), (2, 4)), ((3, 2), (2,)), ((2,), (2, 4)), ((5, 3, 2), (2, 4)), ((5, 3, 2), (5, 2, 4)), ((2,), (5, 2, 4))],
)
def test_rows_and_columns_of_a_product_that_do_not_count(left: Any, right: Any, value: float) -> None:
    rng = np.random.default_rng(0)
    for spoilt in (0, 1):
        a, b = rng.normal(size=left), rng.normal(size=right)
        weights = rng.normal(size=(a @ b).shape)
        if spoilt == 0 and a.ndim > 1:  # a row of a, and what is made of it
            row = (..., 1, slice(None)) if b.ndim > 1 else (..., 1)
            weights[row], hole = 0, (..., 1, slice(None))
        elif spoilt == 1 and b.ndim > 1:  # a column of b
            weights[..., 1], hole = 0, (..., 1)
        else:
            continue
        found = []
        for filling in (0.0, value):
            (a if spoilt == 0 else b)[hole] = filling
            x, y = tl.tensor(a, requires_grad=True), tl.tensor(b, requires_grad=True)
            found.append([g.numpy() for g in tl.grad(x @ y, [x, y], weights)])
        np.testing.assert_allclose(found[1][0], found[0][0], rtol=1e-12)
        np.testing.assert_allclose(found[1][1], found[0][1], rtol=1e-12)


@noisy
def test_one_element_of_a_product_counts_and_another_does_not() -> None:
    a, b = (tl.tensor(v, requires_grad=True) for v in ([[np.nan, 2.0], [3.0, 4.0]], [[1.0, 1.0], [1.0, 1.0]]))
    (of_b,) = tl.grad(a @ b, [b], [[1.0, 0.0], [1.0, 1.0]])
    np.testing.assert_array_equal(of_b.numpy(), [[np.nan, 3], [6, 4]])


LINES: list[Callable[[Any], Any]] = [
    lambda x: tl.softmax(x, axis=1), lambda x: tl.log_softmax(x, axis=1),
    lambda x: x.max(axis=1), lambda x: x.mean(axis=1), lambda x: x.std(axis=1),
    lambda x: x / (x * x).sum(axis=1, keepdims=True),
]  # fmt: skip


@noisy
@pytest.mark.parametrize("function", LINES)
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_lines_that_do_not_count(function: Callable[[Any], Any], value: float) -> None:
    data = np.random.default_rng(0).normal(size=(3, 4, 2))
    expected = tl.tensor(data, requires_grad=True)
    function(expected)[[0, 2]].sum().backward()
    data[1] = value
    x = tl.tensor(data, requires_grad=True)
    function(x)[[0, 2]].sum().backward()
    np.testing.assert_array_equal(x.grad[1], np.zeros((4, 2)))
    np.testing.assert_allclose(x.grad, expected.grad, rtol=1e-12)
    x.grad = None
    assert np.isnan(tl.grad((x / x).sum(), [x])[0].numpy()[1]).all()  # where it counts it stays

"""The optimisers: PyTorch's updates, what they remember, and what they refuse."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

import tinygrad_lstm as tl

Array = npt.NDArray[Any]
SHAPES = ((3, 4), (4,), ())
SETTINGS: list[tuple[str, dict[str, Any]]] = [
    ("SGD", {"lr": 0.1}),
    ("SGD", {"lr": 0.05, "momentum": 0.9}),
    ("Adam", {"lr": 0.01}),
    ("Adam", {"lr": 0.1, "betas": (0.5, 0.9), "eps": 1e-3}),
]
every_optimiser = pytest.mark.parametrize(("kind", "settings"), SETTINGS)


def parameters(dtype: Any = np.float64) -> list[tl.nn.Parameter]:
    rng = np.random.default_rng(0)
    return [tl.nn.Parameter(rng.normal(size=s), dtype=dtype) for s in SHAPES]


def gradients(step: int) -> list[Array]:
    rng = np.random.default_rng(100 + step)
    return [rng.normal(size=s) for s in SHAPES]


def give(params: list[tl.nn.Parameter], step: int) -> None:
    for p, g in zip(params, gradients(step), strict=True):
        p.grad = g.astype(p.dtype)


@every_optimiser
def test_a_step_is_whole_or_not_begun_at_whatever_moment_ctrl_c_comes(
    kind: str, settings: dict[str, Any], interrupted: Any
) -> None:
    params = parameters()
    opt = getattr(tl.optim, kind)(params, **settings)
    give(params, 0)
    opt.step()
    give(params, 1)
    start, state = [p.numpy() for p in params], opt.state_dict()

    def bits() -> list[bytes]:
        return [a.tobytes() for a in (*(p.numpy() for p in params), *opt.state_dict().values())]

    before, seen = bits(), []

    def look() -> None:
        seen.append(bits())
        opt.load_state_dict(state)
        for p, a in zip(params, start, strict=True):
            p.assign(a)

    interrupted(opt.step, look, "optim.py", "tensor.py")
    assert all(found in (before, bits()) for found in seen)
    assert before in seen
    assert bits() in seen


def test_sgd_by_hand() -> None:
    p = tl.nn.Parameter([1.0])
    opt = tl.optim.SGD([p], lr=0.5, momentum=0.5)
    for expected in (0.0, -1.5, -3.25):
        p.grad = np.array([2.0])
        opt.step()
        assert p.numpy().tolist() == [expected]


def test_adams_first_step_is_lr_for_any_gradient() -> None:
    p = tl.nn.Parameter([1.0, 1.0, 1.0])
    p.grad = np.array([1e-3, 1.0, -1e3])
    tl.optim.Adam([p], lr=0.25, eps=0.0).step()
    np.testing.assert_allclose(p.numpy(), [0.75, 0.75, 1.25], rtol=1e-14)


@every_optimiser
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_loaded_state_goes_on_bit_for_bit(kind: str, settings: dict[str, Any], dtype: Any) -> None:
    def steps(opt: Any, first: int, last: int) -> None:
        for step in range(first, last):
            give(opt.params, step)
            opt.step()

    whole = getattr(tl.optim, kind)(parameters(dtype), **settings)
    steps(whole, 0, 6)
    half = getattr(tl.optim, kind)(parameters(dtype), **settings)
    steps(half, 0, 3)
    state = half.state_dict()
    assert all(isinstance(a, np.ndarray) for a in state.values())
    later = getattr(tl.optim, kind)([tl.nn.Parameter(p.numpy()) for p in half.params], **settings)
    later.load_state_dict(state)
    for a in state.values():
        a[...] = 99  # the optimiser's memory is its own
    steps(later, 3, 6)
    for a, b in zip(whole.params, later.params, strict=True):
        assert a.dtype == dtype
        assert (a.numpy() == b.numpy()).all()


REFUSED: list[tuple[str, dict[Any, Any], type[Exception], str]] = [
    *(
        (kind, *case)
        for kind in ("Adam", "SGD")
        for case in (
            ({"steps": None}, KeyError, "no values for steps"),
            ({"steps": np.array(3)}, ValueError, "steps must have shape"),
            ({"steps": np.array([1, 1])}, ValueError, r"steps must have shape \(3,\)"),
            ({"steps": np.array([1, -1, 1])}, ValueError, "whole numbers from 0 on, got .1, -1, 1"),
            ({"steps": np.array([1, 1.5, 1])}, ValueError, "whole numbers from 0 on"),
            ({"steps": np.array([1, np.nan, 1])}, ValueError, "whole numbers from 0 on"),
            ({"steps": np.array([1, np.inf, 1])}, ValueError, "whole numbers from 0 on"),
            ({"steps": np.array([True] * 3)}, ValueError, "whole numbers from 0 on"),
            ({"steps": np.array([1, 1j, 1])}, TypeError, "complex"),
            ({"steps": ["1", "1", "1"]}, TypeError, "real numbers"),
        )
    ),
    ("Adam", {"mean.9": np.zeros(3)}, KeyError, "nothing is called mean.9"),
    ("Adam", {7: np.zeros(3)}, KeyError, "nothing is called 7"),
    ("Adam", {"momentum.0": np.zeros((3, 4))}, KeyError, "nothing is called momentum.0"),
    ("Adam", {"square.0": np.zeros(3)}, ValueError, r"square.0 must have shape \(3, 4\)"),
    ("Adam", {"square.2": np.zeros(1)}, ValueError, r"square.2 must have shape \(\)"),
    ("Adam", {"mean.1": None}, KeyError, "no values for mean.1"),
    ("Adam", {"square.1": None}, KeyError, "no values for square.1"),
    ("Adam", {"mean.1": None, "square.0": None}, KeyError, "no values for mean.1, square.0"),
    ("Adam", {"mean.1": np.ones(4) * 1j}, TypeError, "complex"),
    ("Adam", {"mean.1": ["1"] * 4}, TypeError, "real numbers"),
    ("SGD", {"momentum.1": None}, KeyError, "no values for momentum.1"),
    ("SGD", {"momentum.1": np.ones(3)}, ValueError, r"momentum.1 must have shape \(4,\)"),
    ("SGD", {"momentum.1": np.ones(4) * 1j}, TypeError, "complex"),
]


@pytest.mark.parametrize(("kind", "change", "error", "says"), REFUSED)
def test_a_refused_state_changes_nothing(kind: str, change: dict[Any, Any], error: type[Exception], says: str) -> None:
    opt = tl.optim.Adam(parameters()) if kind == "Adam" else tl.optim.SGD(parameters(), lr=0.1, momentum=0.9)
    give(opt.params, 0)  # type: ignore[arg-type]
    opt.step()
    before = opt.state_dict()
    given: dict[Any, Any] = {k: a + 1 for k, a in before.items()} | change
    with pytest.raises(error, match=says):
        opt.load_state_dict({k: a for k, a in given.items() if a is not None})
    after = opt.state_dict()
    assert before.keys() == after.keys()
    assert all((before[k] == after[k]).all() for k in before)


def test_a_state_before_any_step_and_one_of_another_setting() -> None:
    plain, moving = tl.optim.SGD(parameters(), lr=0.1), tl.optim.SGD(parameters(), lr=0.1, momentum=0.9)
    moving.load_state_dict(plain.state_dict())
    with pytest.raises(KeyError, match=r"no values for mean.0, mean.1, mean.2, square.0"):
        tl.optim.Adam(parameters()).load_state_dict(plain.state_dict())


def test_a_momentum_that_begins_later() -> None:
    p = tl.nn.Parameter([1.0])
    opt = tl.optim.SGD([p], lr=0.5)
    for momentum, expected in ((0.0, 0.0), (0.5, -1.0), (0.5, -2.5)):
        opt.momentum = momentum
        p.grad = np.array([2.0])
        opt.step()
        assert p.numpy().tolist() == [expected]


def test_an_old_graph_is_refused_after_a_step() -> None:
    p = tl.nn.Parameter([2.0])
    loss = (p * p).sum()
    loss.backward()
    tl.optim.SGD([p], lr=0.1).step()
    with pytest.raises(RuntimeError, match="assigned after"):
        loss.backward()


def test_zero_grad_forgets() -> None:
    params = parameters()
    opt = tl.optim.SGD(params, lr=0.1)
    give(params, 0)
    opt.zero_grad()
    assert all(p.grad is None for p in params)
    before = [p.numpy().copy() for p in params]
    opt.step()
    assert all((p.numpy() == b).all() for p, b in zip(params, before, strict=True))


def test_one_given_twice_moves_once() -> None:
    p = tl.nn.Parameter([1.0])
    p.grad = np.array([1.0])
    tl.optim.SGD([p, p], lr=0.5).step()
    assert p.item() == 0.5


def test_clipping() -> None:
    p, q = tl.nn.Parameter([0.0, 0.0]), tl.nn.Parameter([[0.0]], dtype=np.float32)
    p.grad, q.grad = np.array([3.0, 0.0]), np.array([[4.0]], np.float32)
    assert tl.optim.clip_grad_norm([p, q], 10.0) == 5.0
    assert p.grad.tolist() == [3.0, 0.0]
    assert tl.optim.clip_grad_norm(iter([p, q]), 1.0) == 5.0
    np.testing.assert_allclose([*p.grad, q.grad.item()], [0.6, 0, 0.8], rtol=1e-6)
    assert q.grad.dtype == np.float32
    p.grad = np.array([np.inf, 1.0])
    assert tl.optim.clip_grad_norm([p, q], 1.0) == np.inf
    assert p.grad.tolist() == [np.inf, 1.0]
    assert tl.optim.clip_grad_norm([tl.nn.Parameter([1.0])], 1.0) == 0.0


@pytest.mark.parametrize(
    "call",
    [
        lambda p: tl.optim.SGD([], lr=0.1),
        lambda p: tl.optim.SGD([p], lr=-0.1),
        lambda p: tl.optim.SGD([p], lr=float("nan")),
        lambda p: tl.optim.SGD([p], lr=0.1, momentum=-1),
        lambda p: tl.optim.SGD([p], lr=0.1, momentum=float("nan")),
        lambda p: tl.optim.Adam([p], betas=(float("nan"), 0.9)),
        lambda p: tl.optim.Adam([p], betas=(0.9, 1.0)),
        lambda p: tl.optim.Adam([p], betas=(0.9,)),
        lambda p: tl.optim.Adam([p], eps=-1e-8),
        lambda p: tl.optim.clip_grad_norm([p], 0.0),
    ],
)
def test_settings_out_of_range(call: Any) -> None:
    with pytest.raises(ValueError, match=r"must|needs"):
        call(tl.nn.Parameter([1.0]))


@pytest.mark.parametrize("what", [tl.tensor([1.0]), tl.tensor([1.0], requires_grad=True) * 2, np.ones(1)])
def test_only_parameters_are_taken(what: Any) -> None:
    with pytest.raises(TypeError, match="a parameter is a leaf"):
        tl.optim.SGD([what], lr=0.1)

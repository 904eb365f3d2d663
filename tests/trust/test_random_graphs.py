"""Random programs: 5 to 200 operations with shared sub-expressions, differentiated here and by PyTorch.

A program is made of a seed and a length, and a shorter one is the beginning of a longer one: what fails is cut down to
the first operation that is wrong.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_lstm as tl

torch = pytest.importorskip("torch")

Op = Callable[[Any, Any], Any]  # (library, operands) to a value
LEAVES = ((), (1,), (3,), (2, 1), (2, 3), (3, 2), (0,), (2, 0), (2, 1, 3))
MOST = 24  # elements of a value
FEW = (0, 3)  # of an axis that a product may run along


def permuted(lib: Any, x: Any, axes: tuple[int, ...]) -> Any:
    return x.transpose(*axes) if lib is tl else x.permute(axes)


def reduced(lib: Any, x: Any, name: str, axis: int, keepdims: bool) -> Any:
    if lib is tl:
        return getattr(tl, name)(x, axis, keepdims=keepdims)
    options = {"correction": 0} if name in ("var", "std") else {}
    return getattr(x, {"max": "amax", "min": "amin"}.get(name, name))(dim=axis, keepdim=keepdims, **options)


def picked(lib: Any, x: Any, index: Any) -> Any:
    """Backwards slices, which PyTorch has as `flip`, among the others."""
    if lib is torch and isinstance(index, slice) and (index.step or 1) < 0:
        return x.flip(0)[: None : -index.step]
    if lib is torch:
        return x[torch.as_tensor(index) if isinstance(index, np.ndarray) else index]
    return x[index]


def where(lib: Any, mask: np.ndarray, a: Any, b: Any) -> Any:
    return lib.where(mask if lib is tl else torch.as_tensor(mask), a, b)


def joined(lib: Any, xs: Any, axis: int) -> Any:
    return tl.concat(xs, axis) if lib is tl else torch.cat(tuple(xs), axis)


def soft(lib: Any, name: str, x: Any, axis: int) -> Any:
    return getattr(tl, name)(x, axis) if lib is tl else getattr(x, name)(axis)


def elementwise(lib: Any, name: str, x: Any) -> Any:
    if lib is torch and name == "softplus":
        return torch.nn.functional.softplus(x, threshold=40)
    return getattr(tl.primitives if lib is tl else lib, name)(x)


SMOOTH = ("tanh", "sigmoid", "softplus", "sin", "cos", "expm1")
KINKED = (
    lambda lib, xs: lib.relu(xs[0]), lambda lib, xs: abs(xs[0]), lambda lib, xs: xs[0].clip(0.0),
    lambda lib, xs: xs[0].clip(max=0.0),
)  # fmt: skip
CHOICES = (lambda lib, xs: lib.maximum(*xs), lambda lib, xs: lib.minimum(*xs))
BINARY: tuple[Op, ...] = (
    lambda lib, xs: xs[0] + xs[1],
    lambda lib, xs: xs[0] - xs[1],
    lambda lib, xs: xs[0] * xs[1],
    lambda lib, xs: xs[0] / (xs[1] * xs[1] + 1),
    lambda lib, xs: (xs[0] * xs[0] + 0.5) ** lib.tanh(xs[1]),
    lambda lib, xs: 2 - xs[0] * 0.5 + 1 / (xs[1] * xs[1] + 2),
)
UNARY: tuple[Op, ...] = (
    *(lambda lib, xs, name=name: elementwise(lib, name, xs[0]) for name in SMOOTH),
    lambda lib, xs: -xs[0],
    lambda lib, xs: lib.exp(-xs[0] * xs[0]),
    lambda lib, xs: lib.log(xs[0] * xs[0] + 1),
    lambda lib, xs: lib.log1p(xs[0] * xs[0]),
    lambda lib, xs: xs[0] ** 3 * 0.1,
    lambda lib, xs: (xs[0] * xs[0] + 1) ** 0.5,
    lambda lib, xs: xs[0].reshape(-1),
)


class Program:
    """The same random operations on both sides. Values are looked at to keep them small and away from kinks."""

    def __init__(self, seed: int, length: int) -> None:
        self.rng = rng = np.random.default_rng(seed)
        self.single = bool(seed % 2)  # float32 among float64
        arrays = [rng.normal(size=s).astype(rng.choice(["f4", "f8"]) if self.single else "f8") for s in LEAVES]
        self.ours = [tl.tensor(a, requires_grad=bool(k % 4 != 3), name=f"leaf {k}") for k, a in enumerate(arrays)]
        # float64 throughout on that side: PyTorch promotes by other rules, and what is compared is the derivative.
        self.theirs = [torch.tensor(a.astype("f8"), requires_grad=bool(k % 4 != 3)) for k, a in enumerate(arrays)]
        while len(self.ours) < len(LEAVES) + length:
            self.step()

    def choose(self, fits: Callable[[Any], bool] = lambda x: True) -> int | None:
        """A value, one of the latest half the time: deep graphs, and values used again much later."""
        recent = len(self.ours) - 8 if self.rng.random() < 0.5 else 0
        known = [k for k, x in enumerate(self.ours) if k >= recent and fits(x)]
        return int(self.rng.choice(known)) if known else None

    def push(self, op: Op, *operands: int) -> None:
        """The value of an operation, halved until it is small, as the next of both sides."""
        ours = op(tl, [self.ours[k] for k in operands])
        theirs = op(torch, [self.theirs[k] for k in operands])
        largest = float(np.abs(ours.numpy()).max(initial=0))
        if largest > 4:
            ours, theirs = ours * (2 / largest), theirs * (2 / largest)
        self.ours.append(ours)
        self.theirs.append(theirs)

    def step(self) -> None:
        KINDS[int(self.rng.integers(len(KINDS)))](self)

    def unary(self) -> None:
        self.push(UNARY[int(self.rng.integers(len(UNARY)))], self.choose() or 0)

    def binary(self) -> None:
        a = self.choose() or 0
        b = self.choose(lambda x: broadcasts(x.shape, self.ours[a].shape))
        if b is not None:
            self.push(BINARY[int(self.rng.integers(len(BINARY)))], *self.rng.permutation([a, b]))

    def kinked(self) -> None:
        a = self.choose(lambda x: x.size and np.abs(x.numpy()).min() > 1e-3)
        if a is not None:
            self.push(KINKED[int(self.rng.integers(len(KINKED)))], a)

    def larger(self) -> None:
        a = self.choose(lambda x: x.size) or 0
        b = self.choose(lambda x: broadcasts(x.shape, self.ours[a].shape) and differ(x.numpy(), self.ours[a].numpy()))
        if b is not None:
            self.push(CHOICES[int(self.rng.integers(len(CHOICES)))], a, b)

    def chosen(self) -> None:
        a = self.choose() or 0
        b = self.choose(lambda x: broadcasts(x.shape, self.ours[a].shape))
        if b is not None:
            mask = self.rng.random(np.broadcast_shapes(self.ours[a].shape, self.ours[b].shape)) < 0.5
            self.push(lambda lib, xs: where(lib, mask, *xs), a, b)

    def product(self) -> None:
        a = self.choose(lambda x: x.ndim >= 1)
        b = self.choose(lambda x: x.ndim >= 1 and multiplies(self.ours[a].shape, x.shape))
        if a is not None and b is not None:
            self.push(lambda lib, xs: xs[0] @ xs[1], a, b)

    def reduction(self) -> None:
        a = self.choose(lambda x: x.ndim >= 1 and x.size and distinct(x.numpy()))
        if a is not None:
            axis, keep = int(self.rng.integers(self.ours[a].ndim)), bool(self.rng.integers(2))
            names = ["sum", "mean", "max", "min", "var"]
            name = str(self.rng.choice([*names, "std"] if self.ours[a].shape[axis] > 1 else names))
            self.push(lambda lib, xs: reduced(lib, xs[0], name, axis, keep), a)

    def along(self) -> None:
        a = self.choose(lambda x: x.ndim >= 1)
        if a is not None:
            name = str(self.rng.choice(["softmax", "log_softmax"]))
            axis = int(self.rng.integers(self.ours[a].ndim))
            self.push(lambda lib, xs: soft(lib, name, xs[0], axis), a)

    def order(self) -> None:
        a = self.choose(lambda x: x.ndim >= 2)
        if a is not None:
            axes = tuple(int(k) for k in self.rng.permutation(self.ours[a].ndim))
            self.push(lambda lib, xs: permuted(lib, xs[0], axes), a)

    def selection(self) -> None:
        a = self.choose(lambda x: x.ndim >= 1 and len(x))
        if a is not None:
            n = len(self.ours[a])
            indices: list[Any] = [
                slice(None, None, -1), slice(None, None, -2), slice(1, None), slice(None, None, 2), None, ...,
                int(self.rng.integers(-n, n)), self.rng.integers(-n, n, size=3), self.rng.random(n) < 0.5,
            ]  # fmt: skip
            index = indices[int(self.rng.integers(len(indices)))]
            self.push(lambda lib, xs: picked(lib, xs[0], index), a)

    def joining(self) -> None:
        a = self.choose(lambda x: x.ndim >= 1) or 2
        b = self.choose(lambda x: x.shape == self.ours[a].shape)
        if b is not None and self.ours[a].size < MOST // 2:
            axis = int(self.rng.integers(self.ours[a].ndim))
            if self.rng.random() < 0.5:
                self.push(lambda lib, xs: joined(lib, [*xs, xs[0]], axis), a, b)
            else:
                self.push(lambda lib, xs: lib.stack([*xs], axis), a, b)

    def spread(self) -> None:
        a = self.choose(lambda x: x.size <= MOST // 3 and x.ndim < 3) or 0
        shape = (2, *self.ours[a].shape)
        self.push(lambda lib, xs: lib.broadcast_to(xs[0], shape), a)


KINDS = (
    Program.unary, Program.unary, Program.binary, Program.binary, Program.binary, Program.kinked, Program.larger,
    Program.chosen,
    Program.product, Program.product, Program.reduction, Program.along, Program.order, Program.selection,
    Program.joining, Program.spread,
)  # fmt: skip


def broadcasts(a: tuple[int, ...], b: tuple[int, ...]) -> bool:
    try:
        return int(np.prod(np.broadcast_shapes(a, b))) <= MOST
    except ValueError:
        return False


def multiplies(a: tuple[int, ...], b: tuple[int, ...]) -> bool:
    try:
        return np.matmul(np.zeros(a), np.zeros(b)).size <= MOST
    except ValueError:
        return False


def differ(a: np.ndarray, b: np.ndarray) -> bool:
    return float(np.abs(a - b).min(initial=1)) > 1e-3


def distinct(values: np.ndarray) -> bool:
    """No two elements nearly equal, so that rounding does not choose the largest."""
    return float(np.diff(np.sort(values, axis=None)).min(initial=1)) > 1e-3


def total(values: list[Any], weights: list[np.ndarray], lib: Any) -> Any:
    terms = ((x * (w if lib is tl else torch.tensor(w))).sum() for x, w in zip(values, weights, strict=True))
    return sum(terms)


def close(ours: np.ndarray, theirs: Any, shape: tuple[int, ...], rtol: float, what: str) -> None:
    expected = np.zeros(shape) if theirs is None else theirs.numpy(force=True)
    scale = float(np.abs(expected).max(initial=0))
    assert ours.shape == expected.shape == shape, what
    np.testing.assert_allclose(ours, expected, rtol=rtol, atol=rtol * (scale + 1), err_msg=what)


@given(seed=st.integers(0, 2**32 - 1), length=st.integers(5, 200))
def test_gradients_of_random_programs_are_those_of_pytorch(seed: int, length: int) -> None:
    program = Program(seed, length)
    ours, theirs = program.ours, program.theirs
    rtol = 2e-3 if program.single else 1e-9
    weights = [program.rng.normal(size=x.shape) / length for x in ours[-5:]]
    loss, torch_loss = total(ours[-5:], weights, tl), total(theirs[-5:], weights, torch)
    leaves = [k for k in range(len(LEAVES)) if k % 4 != 3]
    close(loss.numpy(), torch_loss, (), rtol, "loss")
    if not loss.requires_grad:
        assert not torch_loss.requires_grad
        return

    # all leaves by backward(); some values in the middle, and the leaves, by grad(), as numbers and recorded
    middle = [k for k in range(len(LEAVES), len(ours)) if ours[k].requires_grad][:: max(1, length // 4)]
    targets = [*leaves, *middle]
    expected = torch.autograd.grad(torch_loss, [theirs[k] for k in targets], create_graph=True, allow_unused=True)
    loss.backward()
    numbers = tl.grad(loss, [ours[k] for k in targets], allow_unused=True)
    recorded = tl.grad(loss, [ours[k] for k in targets], create_graph=True, allow_unused=True)
    with tl.detect_anomaly():  # and term by term, without the short cuts of sums
        watched = tl.grad(loss, [ours[k] for k in targets], allow_unused=True)
    for k, wanted, *found in zip(targets, expected, numbers, recorded, watched, strict=True):
        for way, a in zip(("numbers", "recorded", "watched"), found, strict=True):
            assert a.dtype == ours[k].dtype
            close(a.numpy(), wanted, ours[k].shape, rtol, f"value {k}, {way}")
        if ours[k].is_leaf:
            grad = ours[k].grad
            assert (grad is None) == (wanted is None)
            if grad is not None:
                close(grad, wanted, ours[k].shape, rtol, f"value {k}, backward()")

    directions = [program.rng.normal(size=ours[k].shape) for k in leaves]
    slope = total(recorded[: len(leaves)], directions, tl)
    used = [(t, d) for t, d in zip(expected, directions, strict=False) if t is not None]
    torch_slope = total([t for t, _ in used], [d for _, d in used], torch) if used else None
    if torch_slope is None or not torch_slope.requires_grad:
        return
    second = torch.autograd.grad(torch_slope, [theirs[k] for k in leaves], allow_unused=True)
    if not slope.requires_grad:
        assert all(wanted is None or not wanted.any() for wanted in second)
        return
    for k, a, wanted in zip(leaves, tl.grad(slope, [ours[k] for k in leaves], allow_unused=True), second, strict=True):
        close(a.numpy(), wanted, ours[k].shape, 20 * rtol, f"second derivative by value {k}")


def test_programs_use_every_kind_of_operation_and_values_again_and_again() -> None:
    operations = [x for seed in range(10) for x in Program(seed, 200).ours if x.primitive]
    operations += [x for y in operations for x in y.inputs if x.primitive]
    used = {x.primitive.name for x in operations if x.primitive}
    assert used == set(tl.primitives.TABLE) - {"cast", "put", "sum_to"}  # which rules and `astype` record
    uses = Counter(id(x) for y in dict.fromkeys(operations) for x in set(y.inputs))
    assert max(uses.values()) >= 6
    assert sum(n > 1 for n in uses.values()) > 400

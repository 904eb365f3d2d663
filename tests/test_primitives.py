"""Every entry of the derivative table: both readings, first and second order, and PyTorch beside it."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import tinygrad_lstm as tl
from tinygrad_lstm import primitives as p
from tinygrad_lstm.autodiff import fit

# ── one generator of operands for each entry ────────────────────────────────────────────────────


class Call(NamedTuple):
    """Operands of one primitive. The first `fixed` of them are not differentiated."""

    inputs: list[np.ndarray]
    params: Mapping[str, Any] = MappingProxyType({})
    fixed: int = 0


Draw = Callable[[st.DataObject], Call]


def shape(data: st.DataObject, min_dims: int = 0, max_dims: int = 3, min_side: int = 0) -> tuple[int, ...]:
    return data.draw(hnp.array_shapes(min_dims=min_dims, max_dims=max_dims, min_side=min_side, max_side=3))


def numbers(data: st.DataObject, shape: Sequence[int], low: float = -2.0, high: float = 2.0) -> np.ndarray:
    """Distinct numbers, none within 0.05 of another or of 0, where a kink may be."""
    size = int(np.prod(shape))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    grid = np.linspace(low, high, 2 * size + 4)[1::2][:size] + rng.uniform(0, 0.02)
    grid[np.abs(grid) < 0.05] = 0.11
    return rng.permutation(grid).reshape(shape)


def one(low: float = -2.0, high: float = 2.0, **params: Any) -> Draw:
    return lambda data: Call([numbers(data, shape(data), low, high)], dict(params))


def broadcast(*ranges: tuple[float, float]) -> Draw:
    def draw(data: st.DataObject) -> Call:
        of = hnp.mutually_broadcastable_shapes(num_shapes=len(ranges), max_dims=3, min_side=0, max_side=3)
        shapes = data.draw(of)
        return Call([numbers(data, s, *r) for s, r in zip(shapes.input_shapes, ranges, strict=True)])

    return draw


ANY, POSITIVE = (-2.0, 2.0), (0.5, 2.0)


def apart(count: int) -> Draw:
    """Operands that broadcast, and of which no two elements are equal."""

    def draw(data: st.DataObject) -> Call:
        of = hnp.mutually_broadcastable_shapes(num_shapes=count, max_dims=3, min_side=0, max_side=3)
        shapes = data.draw(of).input_shapes
        ends = np.cumsum([0, *map(np.prod, shapes)]).astype(int)
        flat = numbers(data, (ends[-1],), 0.3, 4.0)
        return Call([flat[a:b].reshape(s) for s, a, b in zip(shapes, ends, ends[1:], strict=False)])

    return draw


def where_call(data: st.DataObject) -> Call:
    a, b, chooser = broadcast(ANY, ANY, ANY)(data).inputs
    return Call([chooser > 0, a, b], fixed=1)


def cast_call(data: st.DataObject) -> Call:
    return Call([numbers(data, shape(data))], {"dtype": np.dtype(data.draw(st.sampled_from(["f8", "g"])))})


def along_axis_call(data: st.DataObject) -> Call:
    x = numbers(data, shape(data, min_dims=1))
    return Call([x], {"axis": (data.draw(st.integers(0, x.ndim - 1)),)})


def matmul_call(data: st.DataObject) -> Call:
    shapes = data.draw(
        hnp.mutually_broadcastable_shapes(signature=np.matmul.signature, max_dims=2, min_side=0, max_side=3)
    ).input_shapes
    return Call([numbers(data, s) for s in shapes])


def transpose_call(data: st.DataObject) -> Call:
    x = numbers(data, shape(data))
    return Call([x], {"axes": tuple(data.draw(st.permutations(range(x.ndim))))})


def reduction_call(least: int) -> Draw:
    def draw(data: st.DataObject) -> Call:
        x = numbers(data, shape(data, min_side=least))
        axes = data.draw(st.lists(st.integers(0, x.ndim - 1), unique=True)) if x.ndim else []
        return Call([x], {"axis": tuple(axes), "keepdims": data.draw(st.booleans())})

    return draw


def sum_to_call(data: st.DataObject) -> Call:
    small, large = broadcast_shapes(data)
    return Call([numbers(data, large)], {"shape": small})


def broadcast_to_call(data: st.DataObject) -> Call:
    small, large = broadcast_shapes(data)
    return Call([numbers(data, small)], {"shape": large})


def broadcast_shapes(data: st.DataObject) -> tuple[tuple[int, ...], tuple[int, ...]]:
    shapes = data.draw(hnp.mutually_broadcastable_shapes(num_shapes=2, max_dims=3, min_side=0, max_side=3))
    return shapes.input_shapes[0], shapes.result_shape


def reshape_call(data: st.DataObject) -> Call:
    x = numbers(data, shape(data))
    return Call([x], {"shape": tuple(data.draw(st.permutations((*x.shape, 1))))})


def index_of(data: st.DataObject, shape: tuple[int, ...]) -> Any:
    kind = data.draw(st.sampled_from(["basic", "integers", "mask", "mixed"]))
    if kind == "basic":
        return data.draw(hnp.basic_indices(shape, allow_ellipsis=True, allow_newaxis=True))
    if kind == "mask":
        return np.random.default_rng(data.draw(st.integers(0, 99))).uniform(size=shape) < 0.5
    n = shape[0]
    rows = np.array(data.draw(st.lists(st.integers(-n, n - 1), max_size=4)) if n else [], dtype=int)  # repeats too
    return rows if kind == "integers" else (None, rows, ...)


def getitem_call(data: st.DataObject) -> Call:
    x = numbers(data, shape(data, min_dims=1))
    return Call([x], {"index": index_of(data, x.shape)})


def put_call(data: st.DataObject) -> Call:
    whole = shape(data, min_dims=1)
    index = index_of(data, whole)
    return Call([numbers(data, np.empty(whole)[index].shape)], {"index": index, "shape": whole})


def concat_call(data: st.DataObject) -> Call:
    first = shape(data, min_dims=1)
    axis = data.draw(st.integers(0, len(first) - 1))
    lengths = data.draw(st.lists(st.integers(0, 3), min_size=1, max_size=4))
    return Call([numbers(data, (*first[:axis], n, *first[axis + 1 :])) for n in lengths], {"axis": axis})


def stack_call(data: st.DataObject) -> Call:
    each = shape(data, max_dims=2)
    count = data.draw(st.integers(1, 4))
    return Call([numbers(data, each) for _ in range(count)], {"axis": data.draw(st.integers(0, len(each)))})


CALLS: dict[str, Draw] = {
    "add": broadcast(ANY, ANY),
    "sub": broadcast(ANY, ANY),
    "mul": broadcast(ANY, ANY),
    "div": broadcast(ANY, POSITIVE),
    "pow": broadcast(POSITIVE, ANY),
    "where": where_call,
    "maximum": apart(2),
    "minimum": apart(2),
    "clip": apart(3),
    "neg": one(),
    "abs": one(),
    "exp": one(),
    "log": one(*POSITIVE),
    "expm1": one(),
    "log1p": one(-0.5),
    "sin": one(),
    "cos": one(),
    "tanh": one(),
    "sigmoid": one(),
    "relu": one(),
    "softplus": one(),
    "cast": cast_call,
    "softmax": along_axis_call,
    "log_softmax": along_axis_call,
    "matmul": matmul_call,
    "transpose": transpose_call,
    "sum": reduction_call(0),
    "max": reduction_call(1),  # nothing has no largest element
    "min": reduction_call(1),
    "sum_to": sum_to_call,
    "broadcast_to": broadcast_to_call,
    "reshape": reshape_call,
    "getitem": getitem_call,
    "put": put_call,
    "concat": concat_call,
    "stack": stack_call,
}

every_primitive = pytest.mark.parametrize("name", CALLS)


def test_every_entry_of_the_table_is_tested() -> None:
    assert CALLS.keys() == p.TABLE.keys()


@every_primitive
@given(data=st.data())
def test_forward_and_rules_read_the_same_on_arrays_and_on_tensors(name: str, data: st.DataObject) -> None:
    primitive, call = p.TABLE[name], CALLS[name](data)
    leaves = [tl.tensor(x, requires_grad=k >= call.fixed) for k, x in enumerate(call.inputs)]
    out = primitive(*leaves, **call.params)
    assert out.primitive is primitive
    assert out.params == call.params
    np.testing.assert_array_equal(out.numpy(), primitive(*call.inputs, **call.params), strict=True)
    g = numbers(data, out.shape).astype(out.dtype)
    for slot, x in enumerate(leaves):
        rule = rule_of(primitive, slot)
        assert (rule is None) == (slot < call.fixed)
        if rule is None:
            continue
        plain = rule(g, out.numpy(), *call.inputs, **call.params)
        recorded = rule(tl.tensor(g, requires_grad=True), out, *leaves, **call.params)
        np.testing.assert_array_equal(recorded.numpy(), plain, strict=True)
        assert fit(plain, x.numpy()).shape == x.shape
    functional = tl.grad(out, leaves[call.fixed :], g, create_graph=True)
    out.backward(g)
    for x, ours in zip(leaves[call.fixed :], functional, strict=True):
        np.testing.assert_array_equal(ours.numpy(), x.grad, strict=True)


def rule_of(primitive: p.Primitive, slot: int) -> Callable[..., Any] | None:
    every = primitive.every
    return primitive.rules[slot] if every is None else lambda *args, **params: every(*args, **params)[slot]


@every_primitive
@given(data=st.data())
def test_first_and_second_order_against_central_differences(name: str, data: st.DataObject) -> None:
    primitive, call = p.TABLE[name], CALLS[name](data)
    fixed, inputs = call.inputs[: call.fixed], call.inputs[call.fixed :]
    assert tl.gradcheck(lambda *xs: primitive(*fixed, *xs, **call.params), inputs, order=2)


# ── the same values elsewhere in memory ─────────────────────────────────────────────────────────

# An array to store, and the view of it that has the values: made of operations, a Tensor's memory looks like this too.
LAYOUTS: dict[str, tuple[Callable[[Any], Any], Callable[[Any], Any]]] = {
    "C": (lambda x: x, lambda x: x),
    "Fortran": (lambda x: x.T, lambda x: x.T),
    "backwards": (lambda x: x[(slice(None, None, -1),) * x.ndim], lambda x: x[(slice(None, None, -1),) * x.ndim]),
    "every other": (lambda x: np.stack([x, x - 9], -1), lambda x: x[..., 0]),
}


@every_primitive
@given(data=st.data())
def test_the_layout_in_memory_does_not_matter(name: str, data: st.DataObject) -> None:
    primitive, call = p.TABLE[name], CALLS[name](data)
    layouts = [LAYOUTS[data.draw(st.sampled_from(list(LAYOUTS)))] for _ in call.inputs[call.fixed :]]
    g = numbers(data, primitive(*call.inputs, **call.params).shape)
    directions = [numbers(data, x.shape) for x in call.inputs[call.fixed :]]
    for dtype in (np.float32, np.float64):
        check_layouts(primitive, call, dtype, layouts, g, directions)


def check_layouts(
    primitive: p.Primitive, call: Call, dtype: Any, layouts: list[Any], g: np.ndarray, directions: list[np.ndarray]
) -> None:
    fixed = call.inputs[: call.fixed]
    inputs = [x.astype(dtype) for x in call.inputs[call.fixed :]]
    plain = [tl.tensor(x, requires_grad=True) for x in inputs]
    views = [view(tl.tensor(store(x), requires_grad=True)) for x, (store, view) in zip(inputs, layouts, strict=True)]
    found = []
    for leaves in (plain, views):
        y = primitive(*fixed, *leaves, **call.params)
        turned = y.T if leaves is views else y  # so that the cotangent that arrives is a view as well
        seed = np.asarray(g.T if leaves is views else g, turned.dtype)
        numbers_only = tl.grad(turned, leaves, seed)
        recorded = tl.grad(turned, leaves, tl.tensor(seed, requires_grad=True), create_graph=True)
        slope = sum((r * d.astype(dtype)).sum() for r, d in zip(recorded, directions, strict=True))
        second = tl.grad(slope, leaves, allow_unused=True) if slope.requires_grad else []
        found.append([y, *numbers_only, *recorded, *second])
    near = {"rtol": 1e-5, "atol": 1e-5} if dtype is np.float32 else {"rtol": 1e-12, "atol": 1e-12}
    for a, b in zip(*found, strict=True):
        np.testing.assert_allclose(b.numpy(), a.numpy(), strict=True, **near)


# ── PyTorch beside it ───────────────────────────────────────────────────────────────────────────


def torch_sum(torch: Any, x: Any, axis: tuple[int, ...], keepdims: bool) -> Any:
    return x.sum(dim=axis, keepdim=keepdims) if axis else x.clone()  # PyTorch reads () as every axis


def torch_reduced(name: str) -> Callable[..., Any]:
    return lambda torch, x, axis, keepdims: getattr(x, name)(dim=axis, keepdim=keepdims) if axis else x.clone()


def torch_index(torch: Any, index: Any) -> Any:
    if isinstance(index, tuple):
        return tuple(torch_index(torch, part) for part in index)
    return torch.as_tensor(index) if isinstance(index, np.ndarray) else index


def torch_put(torch: Any, g: Any, index: Any, shape: tuple[int, ...]) -> Any:
    places = torch.arange(int(np.prod(shape))).reshape(shape)[torch_index(torch, index)]
    return torch.zeros(int(np.prod(shape)), dtype=g.dtype).index_add(0, places.flatten(), g.flatten()).reshape(shape)


PYTORCH: dict[str, Callable[..., Any]] = {
    "add": lambda torch, a, b: a + b,
    "sub": lambda torch, a, b: a - b,
    "mul": lambda torch, a, b: a * b,
    "div": lambda torch, a, b: a / b,
    "pow": lambda torch, a, b: a**b,
    "where": lambda torch, yes, a, b: torch.where(yes, a, b),
    "maximum": lambda torch, a, b: torch.maximum(a, b),
    "minimum": lambda torch, a, b: torch.minimum(a, b),
    "clip": lambda torch, x, low, high: torch.clamp(*torch.broadcast_tensors(x, low, high)),
    "neg": lambda torch, x: -x,
    "abs": lambda torch, x: x.abs(),
    "exp": lambda torch, x: x.exp(),
    "log": lambda torch, x: x.log(),
    "expm1": lambda torch, x: x.expm1(),
    "log1p": lambda torch, x: x.log1p(),
    "sin": lambda torch, x: x.sin(),
    "cos": lambda torch, x: x.cos(),
    "tanh": lambda torch, x: x.tanh(),
    "sigmoid": lambda torch, x: x.sigmoid(),
    "relu": lambda torch, x: x.relu(),
    "softplus": lambda torch, x: torch.nn.functional.softplus(x),
    "cast": lambda torch, x, dtype: x.to(torch.float64),
    "softmax": lambda torch, x, axis: x.softmax(axis[0]),
    "log_softmax": lambda torch, x, axis: x.log_softmax(axis[0]),
    "matmul": lambda torch, a, b: a @ b,
    "transpose": lambda torch, x, axes: x.permute(axes),
    "sum": torch_sum,
    "max": torch_reduced("amax"),
    "min": torch_reduced("amin"),
    "sum_to": lambda torch, x, shape: x.sum_to_size(shape),
    "broadcast_to": lambda torch, x, shape: x.broadcast_to(shape),
    "reshape": lambda torch, x, shape: x.reshape(shape),
    "getitem": lambda torch, x, index: x[torch_index(torch, index)],
    "put": torch_put,
    "concat": lambda torch, *xs, axis: torch.cat(xs, axis),
    "stack": lambda torch, *xs, axis: torch.stack(xs, axis),
}


@pytest.mark.parametrize("name", PYTORCH)
@given(data=st.data())
def test_values_and_gradients_are_those_of_pytorch(name: str, data: st.DataObject) -> None:
    torch = pytest.importorskip("torch")
    call = CALLS[name](data)
    if has_negative_step(call.params.get("index")):
        return  # which PyTorch refuses
    g = numbers(data, p.TABLE[name](*call.inputs, **call.params).shape)
    directions = [numbers(data, x.shape) for x in call.inputs[call.fixed :]]
    for dtype in (np.float32, np.float64):
        check_by_pytorch(torch, name, call, dtype, g, directions)


def check_by_pytorch(
    torch: Any, name: str, call: Call, dtype: Any, g: np.ndarray, directions: list[np.ndarray]
) -> None:
    inputs = [x.astype(dtype) if x.dtype.kind == "f" else x for x in call.inputs]
    params = dict(call.params) | ({"dtype": np.dtype(np.float64)} if name == "cast" else {})
    ours = [tl.tensor(x, requires_grad=k >= call.fixed) for k, x in enumerate(inputs)]
    theirs = [torch.tensor(x, requires_grad=k >= call.fixed) for k, x in enumerate(inputs)]
    y, z = p.TABLE[name](*ours, **params), PYTORCH[name](torch, *theirs, **params)
    near = {"rtol": 1e-5, "atol": 2e-6} if dtype is np.float32 else {"rtol": 1e-12, "atol": 1e-13}
    np.testing.assert_allclose(y.numpy(), z.detach().numpy(), strict=True, **near)
    g = g.astype(y.dtype)
    y.backward(g)
    xs, ts = ours[call.fixed :], theirs[call.fixed :]
    first = tl.grad(y, xs, g, create_graph=True)
    expected = torch.autograd.grad(z, ts, torch.tensor(g), create_graph=True)
    for x, a, b in zip(xs, first, expected, strict=True):
        np.testing.assert_allclose(x.grad, b.detach().numpy(), strict=True, **near)
        np.testing.assert_allclose(a.numpy(), b.detach().numpy(), strict=True, **near)
    directions = [d.astype(dtype) for d in directions]
    slope: Any = sum((a * d).sum() for a, d in zip(first, directions, strict=True))
    torch_slope = sum((b * torch.tensor(d)).sum() for b, d in zip(expected, directions, strict=True))
    if not torch_slope.requires_grad:  # a linear operation
        assert not slope.requires_grad or all((a.numpy() == 0).all() for a in tl.grad(slope, xs, allow_unused=True))
        return
    expected = torch.autograd.grad(torch_slope, ts, allow_unused=True)
    if not slope.requires_grad:
        assert all(b is None or (b.abs() <= near["atol"]).all() for b in expected)
        return
    for a, b, x in zip(tl.grad(slope, xs, allow_unused=True), expected, xs, strict=True):
        wanted = np.zeros(x.shape, dtype) if b is None else b.numpy()
        np.testing.assert_allclose(a.numpy(), wanted, strict=True, **near)


def has_negative_step(index: Any) -> bool:
    parts = index if isinstance(index, tuple) else (index,)
    return any(isinstance(part, slice) and (part.step or 1) < 0 for part in parts)


# ── the far tails ───────────────────────────────────────────────────────────────────────────────


def test_sigmoid_and_softmax_take_integers_as_numpy_does() -> None:
    assert tl.sigmoid(np.array([0, 1])).dtype == np.float64
    np.testing.assert_allclose(tl.softmax(np.array([1, 3], np.uint8)), [0.1192, 0.8808], rtol=1e-2)
    assert tl.sigmoid(np.float32(0)) == 0.5


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_one_infinite_logit_outweighs_all_others_and_of_two_nobody_knows(dtype: Any) -> None:
    x = np.array([[0, np.inf, -1], [np.inf, 0, np.inf], [-np.inf, np.inf, 7], [0, 0, -np.inf]], dtype)
    soft, log_soft = tl.softmax(x), tl.log_softmax(x)
    assert soft.dtype == log_soft.dtype == dtype
    np.testing.assert_array_equal(soft, np.array([[0, 1, 0], [np.nan] * 3, [0, 1, 0], [0.5, 0.5, 0]], dtype))
    np.testing.assert_array_equal(log_soft[[0, 2]], np.array([[-np.inf, 0, -np.inf]] * 2, dtype))
    np.testing.assert_array_equal(tl.softmax(x.T, axis=0), soft.T)


def test_log_softmax_keeps_a_masked_element_at_minus_infinity() -> None:
    np.testing.assert_array_equal(tl.log_softmax(np.array([0.0, -np.inf])), [0, -np.inf])


# ── rules at their corners ──────────────────────────────────────────────────────────────────────


def test_power_at_zero_has_the_finite_derivatives() -> None:
    x = tl.tensor([0.0, 0.0, 0.0, -2.0], requires_grad=True)
    (x ** np.array([0.0, 1.0, 2.0, 3.0])).sum().backward()
    np.testing.assert_array_equal(x.grad, [0, 1, 0, 12])


def test_power_of_zero_has_no_slope_by_its_exponent() -> None:
    b = tl.tensor([0.0, 2.0, 3.0], requires_grad=True)
    (np.array([0.0, 0.0, 2.0]) ** b).backward(np.ones(3))
    np.testing.assert_array_equal(b.grad, [0, 0, 8 * np.log(2)])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_slope_of_a_power_of_0_is_0_for_every_base(dtype: Any) -> None:
    info = np.finfo(dtype)
    x = tl.tensor(np.array([0, -0.0, info.smallest_subnormal, -info.tiny, 3, info.max], dtype), requires_grad=True)
    (x**0).backward(np.ones(6))
    np.testing.assert_array_equal(x.grad, np.zeros(6))


@pytest.mark.parametrize("base", [3.0, float(np.finfo(np.float64).tiny)])
def test_second_derivatives_of_a_power_are_symmetric_where_the_exponent_is_0(base: float) -> None:
    a, b = tl.tensor([base], requires_grad=True), tl.tensor([0.0], requires_grad=True)
    by_a, by_b = tl.grad((a**b).sum(), [a, b], create_graph=True)
    (first,) = tl.grad(by_a.sum(), [b])
    (second,) = tl.grad(by_b.sum(), [a])
    np.testing.assert_allclose([first.item(), second.item()], 1 / base, rtol=1e-15)


def test_equal_maxima_share_the_gradient_evenly() -> None:
    x = tl.tensor([[3.0, 3.0, 1.0], [0.0, 2.0, 2.0]], requires_grad=True)
    x.max(axis=1).backward([1, 4])
    np.testing.assert_array_equal(x.grad, [[0.5, 0.5, 0], [0, 2, 2]])


@pytest.mark.parametrize("name", ["maximum", "minimum"])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_of_two_equals_each_gets_half(name: str, dtype: Any) -> None:
    a, b = (tl.tensor(np.array(v, dtype), requires_grad=True) for v in ([1, -0.0, np.inf, 2, 3], [1, 0, np.inf, 3, 2]))
    y = getattr(tl, name)(a, b)
    np.testing.assert_array_equal(y.numpy(), getattr(np, name)(a.numpy(), b.numpy()), strict=True)
    y.backward([2, 4, 6, 8, 10])
    np.testing.assert_array_equal(a.grad[:3], [1, 2, 3])
    np.testing.assert_array_equal(b.grad[:3], [1, 2, 3])
    (lost, won) = (a, b) if name == "maximum" else (b, a)
    np.testing.assert_array_equal([*lost.grad[3:], *won.grad[3:]], [0, 10, 8, 0])


def test_nan_goes_through_what_chooses_as_in_numpy_and_its_gradient_as_in_pytorch() -> None:
    torch = pytest.importorskip("torch")
    values = np.array([np.nan, 1, 2, -0.0, np.inf, -np.inf, np.nan]), np.array([1, np.nan, 2, 0, np.inf, 1, np.nan])
    for name in ("maximum", "minimum"):
        ours = [tl.tensor(v, requires_grad=True) for v in values]
        theirs = [torch.tensor(v, requires_grad=True) for v in values]
        y = getattr(tl, name)(*ours)
        np.testing.assert_array_equal(y.numpy(), getattr(np, name)(*values))
        y.backward(np.ones(7))
        getattr(torch, name)(*theirs).sum().backward()
        for x, t in zip(ours, theirs, strict=True):
            np.testing.assert_array_equal(x.grad, t.grad.numpy())
    for function in (lambda x: abs(x), lambda x: x.clip(0, 1), lambda x: x.clip(min=2), lambda x: x.max()):
        x, t = tl.tensor(values[0], requires_grad=True), torch.tensor(values[0], requires_grad=True)
        y, z = function(x), function(t)
        np.testing.assert_array_equal(y.numpy(), z.detach().numpy())
        y.sum().backward()
        z.sum().backward()
        np.testing.assert_array_equal(x.grad, t.grad.numpy())


@pytest.mark.parametrize("ends", [(0.0, 1.0), (1.0, 0.0), (0.5, 0.5)])
def test_on_a_bound_an_element_keeps_its_whole_gradient_as_in_pytorch(ends: tuple[float, float]) -> None:
    torch = pytest.importorskip("torch")
    values = np.array([-1.0, 0, 0.25, 0.5, 1, 2])
    ours = [tl.tensor(v, requires_grad=True) for v in (values, *ends)]
    theirs = [torch.tensor(v, dtype=torch.float64, requires_grad=True) for v in (values, *ends)]
    y, z = tl.clip(*ours), torch.clamp(*theirs)
    np.testing.assert_array_equal(y.numpy(), z.detach().numpy())
    np.testing.assert_array_equal(y.numpy(), np.clip(values, *ends))
    y.sum().backward()
    z.sum().backward()
    np.testing.assert_array_equal(ours[0].grad, theirs[0].grad.numpy())
    if ends[0] != ends[1]:  # where bounds are one, PyTorch gives a Tensor of bounds nothing
        for x, t in zip(ours[1:], theirs[1:], strict=True):
            np.testing.assert_array_equal(x.grad, t.grad.numpy())


def test_near_zero_expm1_and_log1p_keep_every_digit() -> None:
    x = tl.tensor([1e-18, -1e-18, 5e-324, 0.0, -40.0, -700.0], requires_grad=True)
    y = tl.expm1(x)
    np.testing.assert_array_equal(y.numpy()[:4], x.numpy()[:4])
    y.sum().backward()
    np.testing.assert_allclose(x.grad, np.exp(x.numpy()), rtol=1e-15)  # not 0 in the far tail
    np.testing.assert_array_equal(tl.log1p(x[:4]).numpy(), x.numpy()[:4])


# ── float16 ─────────────────────────────────────────────────────────────────────────────────────

HALF = np.float16
SUMS: dict[str, Callable[[Any], Any]] = {  # of (70000, 2)
    "sum": lambda x: tl.sum(x * HALF(0.01), axis=0),
    "mean": lambda x: tl.mean(x, axis=0),
    "var": lambda x: tl.var(x, axis=0),
    "std": lambda x: tl.std(x, axis=0, ddof=1),
    "softmax": lambda x: tl.softmax(x, axis=0)[-3:] * 1000,
    "log_softmax": lambda x: tl.log_softmax(x, axis=0)[:3],
    "a bias": lambda x: x[0] + np.zeros((70000, 2), HALF),
    "a row taken often": lambda x: x[np.zeros(70000, int)],
    "a row and its parts": lambda x: x[:2][:, np.zeros(35000, int)],
}


@pytest.mark.parametrize("name", SUMS)
def test_float16_is_added_up_in_float32(name: str) -> None:
    values = np.random.default_rng(0).uniform(0, 1, (70000, 2)).astype(HALF)
    function = SUMS[name]
    found = []
    for dtype in (HALF, np.float64):
        x = tl.tensor(values.astype(dtype), requires_grad=True)
        y = function(x)
        g = tl.tensor(np.full(y.shape, 2.0**-8 if name.startswith("a ") else 1, dtype), requires_grad=True)
        (gradient,) = tl.grad(y, [x], g.numpy())
        (recorded,) = tl.grad(y, [x], g, create_graph=True)
        assert y.dtype == gradient.dtype == recorded.dtype == dtype
        found.append([y.numpy(), gradient.numpy(), recorded.numpy()])
    least = float(np.finfo(HALF).smallest_subnormal)
    for half, exact in zip(*found, strict=True):
        np.testing.assert_allclose(half.astype(float), exact, rtol=0.02, atol=2 * least)


def test_the_mean_of_many_float16s_is_that_of_numpy_and_pytorch() -> None:
    t = tl.tensor(np.full(70000, 0.5, HALF), requires_grad=True)
    mean = t.mean()
    mean.backward()
    assert mean.item() == 0.5
    np.testing.assert_array_equal(t.grad, np.full(70000, 1 / 70000).astype(HALF))
    assert tl.mean(np.full(3001, 30, HALF)) == np.full(3001, 30, HALF).mean() == 30
    assert tl.std(np.array([0, 600], HALF)) == 300  # 300 squared is no float16


def test_relu_has_no_slope_at_zero() -> None:
    x = tl.tensor([0.0, -1.0, 2.0], requires_grad=True)
    tl.relu(x).backward([1, 1, 1])
    np.testing.assert_array_equal(x.grad, [0, 0, 1])


def test_repeated_indices_add_up() -> None:
    x = tl.tensor(np.arange(4.0), requires_grad=True)
    x[[1, 1, 3, 1]].backward([1, 2, 3, 4])
    np.testing.assert_array_equal(x.grad, [0, 7, 0, 3])


def test_a_condition_that_needs_a_gradient_gets_none() -> None:
    x = tl.tensor([0.0, 2.0], requires_grad=True)
    tl.where(x, x * 3, 1.0).backward([1, 1])
    np.testing.assert_array_equal(x.grad, [0, 3])


def test_a_wrong_number_of_inputs_is_refused_before_numpy_writes_to_one() -> None:
    x = tl.tensor([1.0], requires_grad=True)
    y = x * 2
    with pytest.raises(TypeError, match="exp takes 1 inputs, got 2"):
        tl.exp(x, y)
    assert y.item() == 2


def test_functions_of_arrays_give_arrays() -> None:
    x = np.array([[0.5, -0.75]])
    names = "exp tanh sigmoid relu softmax log_softmax sum mean max min var std clip abs sin cos "
    for function in [getattr(tl, name) for name in (names + "expm1 log1p softplus").split()]:
        assert isinstance(function(x), (np.ndarray, np.float64)), function
    assert tl.tanh([0.0, 1.0])[1] == np.tanh(1)


def test_nothing_warns_on_denormals_and_zero() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        x = tl.tensor(np.array([0.0, 5e-324, -5e-324]), requires_grad=True)
        for function in (tl.exp, tl.tanh, tl.sigmoid, tl.relu, tl.softmax, tl.log_softmax):
            function(x).sum().backward()


def test_primitives_take_numbers_and_lists_but_no_list_of_tensors() -> None:
    assert p.sigmoid(0.0) == 0.5
    np.testing.assert_array_equal(p.sigmoid([0.0, -np.inf]), [0.5, 0])
    with pytest.raises(TypeError, match="cut the graph"):  # an array of the Tensors would lose their graph
        p.exp([[tl.tensor(1.0, requires_grad=True)]])


def test_a_primitive_says_its_name() -> None:
    assert repr(p.matmul) == "<primitive matmul>"
    assert p.matmul.symbol == "@"

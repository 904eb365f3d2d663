"""Tensor: an array and how it was made. Recording, `no_grad`, and the gradients that `autodiff` walks back for."""

# mypy: disable-error-code="no-any-return"
# What `functions` gives is typed Any: an ndarray for an ndarray, a Tensor for a Tensor.

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import numpy as np
import numpy.typing as npt

from . import functions as f
from . import primitives as p
from .anomaly import check_output, detect_anomaly
from .arguments import as_flag, as_word, real_array
from .array_like import ArrayLike, refuse_reading, values_of
from .autodiff import propagate
from .machine import free_in_forks
from .messages import describe, explain
from .primitives import Primitive
from .scope import Block, scope
from .whole import Change, set_all

_clock = itertools.count(1)
_adding = free_in_forks(threading.Lock())  # threads may share leaves, and `+=` reads before it writes


def _operator(primitive: Primitive) -> Iterator[Callable[[Tensor, Any], Tensor]]:
    """`x + y` and, where only y is a Tensor, `y.__radd__(x)`."""
    yield lambda x, y: record(primitive, (x, y))
    yield lambda y, x: record(primitive, (x, y))


def _methods(*functions: Any) -> Iterator[Callable[..., Tensor]]:
    yield from functions


class Tensor(ArrayLike):
    """An array that remembers how it was made, so that a gradient can be traced back through it.

    `data` (anything NumPy takes) is copied: later changes to it cannot reach the graph. The dtype is
    that of an ndarray given, float64 for Python numbers, or `dtype`.

    A *leaf* was made by the user; every other Tensor was made by `primitive` from `inputs` (with
    `params`, inside `scope`). `seq` counts operations: larger is later. `backward` fills `grad` of leaves that
    were made with `requires_grad=True`.

    Raises TypeError for data that is not real numbers, for a gradient asked of integers, or a name that is no string.
    """

    __slots__ = (
        "__weakref__", "_array", "_grad", "_name", "inputs", "params", "primitive", "requires_grad", "scope", "seq",
    )  # fmt: skip
    _array: npt.NDArray[Any]
    _grad: npt.NDArray[Any] | None
    _name: str | None
    inputs: tuple[Tensor, ...]
    params: dict[str, Any]
    primitive: Primitive | None
    requires_grad: bool
    scope: scope | None
    seq: int

    def __init__(
        self, data: Any, requires_grad: bool = False, name: str | None = None, dtype: npt.DTypeLike | None = None
    ) -> None:
        array = real_array(data, dtype, "a Tensor")
        if array.dtype.kind in "iu" and dtype is None and not hasattr(data, "dtype"):  # Python's own numbers
            array = array.astype(np.float64)
        requires_grad = as_flag("requires_grad", requires_grad)
        if requires_grad and array.dtype.kind != "f":
            raise TypeError(
                f"only floating-point tensors have gradients, this one is {array.dtype}: give floats or dtype=float"
            )
        array.flags.writeable = False
        _make_leaf(self, array, requires_grad)
        self.name = name

    @property
    def name(self) -> str | None:
        """What messages, tables and drawings call it. Raises TypeError where it is set to what is no string."""
        return self._name

    @name.setter
    def name(self, name: str | None) -> None:
        if name is not None and type(name) is not str:  # asked here: a cell sets ten names a step
            name = as_word("the name of a tensor", name)
        self._name = name

    # ── the graph ──────────────────────────────────────────────────────────────────────────────

    @property
    def is_leaf(self) -> bool:
        """Whether the user made it, rather than an operation on tensors that need a gradient."""
        return self.primitive is None

    @property
    def grad(self) -> npt.NDArray[Any] | None:
        """The gradient that `backward` has added up here: an ndarray of this shape and dtype, None before.

        Raises AttributeError on a tensor that is not a leaf, whose gradient nobody kept.
        """
        if self.primitive is not None:
            raise AttributeError(
                f"{describe(self)} is not a leaf, so backward() keeps no gradient for it. "
                "Ask for it with tl.grad(loss, [tensor]), or trace every edge with tl.trace_gradients(loss)."
            )
        return self._grad

    @grad.setter
    def grad(self, value: npt.ArrayLike | None) -> None:
        if value is not None and value is not self.grad:
            array = real_array(value, name="a gradient")  # a copy: backward adds to it in place
            if array.shape != self.shape or array.dtype != self.dtype:
                raise ValueError(
                    f"the gradient of {describe(self)} must be a {self.dtype} array of its shape, "
                    f"got {array.dtype} {array.shape}"
                )
            value = array
        self._grad = value  # type: ignore[assignment]

    _constant = staticmethod(lambda array: Tensor(array))

    def detach(self) -> Tensor:
        """The same values as a new leaf without a gradient: the graph stops here."""
        return constant(values_of(self))

    def __reduce_ex__(self, protocol: Any) -> Any:
        """For `copy` and `pickle`: a leaf is copied; what was computed would take its whole graph along."""
        if self.primitive is not None:
            raise TypeError(f"{describe(self)} cannot be copied with its graph: copy its values, tensor.detach()")
        return super().__reduce_ex__(max(2, protocol))  # 0 and 1 know no slots

    def __getstate__(self) -> Any:
        state: Any = object.__getstate__(self)
        grad = None if self._grad is None else self._grad.copy()  # backward adds to it in place
        return state[0], state[1] | {"_grad": grad, "seq": 0}  # nothing has used the copy, in whatever process

    def assign(self, value: npt.ArrayLike) -> None:
        """Replace the values of a leaf: the one way a tensor changes.

        The shape and dtype stay. A backward pass through an operation that used the old values refuses.

        Raises ValueError for a non-leaf or another shape, TypeError for a dtype that does not fit.
        """
        set_all(self._assigned(value))

    def _assigned(self, value: npt.ArrayLike) -> list[Change]:
        """What `assign` sets, for `set_all` to set together with other things. Raises as it does."""
        new = real_array(value)
        if self.primitive is not None:
            raise ValueError(f"{describe(self)} was computed: only a leaf can be assigned")
        if new.shape != self.shape:
            raise ValueError(f"{describe(self)} cannot be assigned values of shape {new.shape}")
        if not np.can_cast(new.dtype, self.dtype, "same_kind"):
            raise TypeError(f"{describe(self)} is {self.dtype} and cannot be assigned {new.dtype} values")
        array = new.astype(self.dtype, copy=False)  # never in place: views of the old values stay true
        array.flags.writeable = False
        return [(self, "_array", array), (self, "seq", next(_clock))]

    def backward(self, cotangent: npt.ArrayLike | None = None) -> None:
        """Add the gradient of this tensor to `.grad` of every leaf it was made from.

        `cotangent` (this shape) weighs the elements; it may be left out for a single element, where it is 1. Calls add
        up, as in PyTorch: set `.grad = None` (or use `zero_grad`) between steps.
        """
        found = propagate(self, seed_of(self, cotangent))
        with _adding:
            for leaf, g in found.items():
                if leaf._grad is None:
                    leaf._grad = np.array(g)  # a copy: two leaves may share one cotangent
                else:
                    leaf._grad += g

    def __primitive__(self, primitive: Primitive, inputs: tuple[Any, ...], params: dict[str, Any]) -> Tensor:
        return record(primitive, inputs, params)

    # ── operators ──────────────────────────────────────────────────────────────────────────────

    __add__, __radd__ = _operator(p.add)
    __sub__, __rsub__ = _operator(p.sub)
    __mul__, __rmul__ = _operator(p.mul)
    __truediv__, __rtruediv__ = _operator(p.div)
    __pow__, __rpow__ = _operator(p.pow)
    __matmul__, __rmatmul__ = _operator(p.matmul)

    def __neg__(self) -> Tensor:
        return record(p.neg, (self,))

    def __pos__(self) -> Tensor:
        return self

    def __abs__(self) -> Tensor:
        return record(p.abs, (self,))

    def __getitem__(self, index: Any) -> Tensor:
        return f.take(self, index)

    def __setitem__(self, index: Any, value: Any) -> None:
        raise TypeError(
            "a tensor is never changed in place, so that no gradient can go wrong unseen: "
            "build the new value with tl.where, tl.concat or tl.stack, or replace a leaf's with .assign()"
        )

    @property
    def T(self) -> Tensor:
        """The axes reversed."""
        return f.transpose(self)

    def __iter__(self) -> Iterator[Tensor]:
        return (self[k] for k in range(len(self)))

    # A method is the function of the same name: see `tl.sum`.
    sum, mean, var, std, max, min = _methods(f.sum, f.mean, f.var, f.std, f.max, f.min)
    clip, reshape, transpose, flatten = _methods(f.clip, f.reshape, f.transpose, f.flatten)

    def astype(self, dtype: npt.DTypeLike) -> Tensor:
        """The values in another dtype; the gradient comes back in this one."""
        kind = np.dtype(np.dtype(dtype).type)  # in this machine's byte order
        if kind.kind not in "fiub":
            raise TypeError(f"a Tensor holds real numbers, and cannot be made {kind}")
        out = record(p.as_dtype, (self,), {"dtype": kind})
        return out if kind.kind == "f" else out.detach()

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        """The values for `np.asarray`, which cannot record. Raises TypeError where that would lose a gradient."""
        if self.requires_grad and _no_grad() is None:
            raise TypeError(
                f"{describe(self)} needs a gradient, and a plain array would lose it: use the functions of "
                "tinygrad_lstm, as tl.stack for a list of Tensors, or .numpy() or .detach() where no gradient is wanted"
            )
        return np.array(self.numpy(), dtype=dtype, copy=copy)


def tensor(
    data: Any, requires_grad: bool = False, name: str | None = None, dtype: npt.DTypeLike | None = None
) -> Tensor:
    """Make a leaf Tensor from numbers, lists or an ndarray, which is copied. See `Tensor`."""
    return Tensor(data, requires_grad, name, dtype)


# ── recording ──────────────────────────────────────────────────────────────────────────────────


class no_grad(Block):
    """Do not record inside: `with no_grad(): ...`. Holds for this thread (and this asyncio task) only: see `Block`."""

    __slots__ = ()

    innermost = ContextVar("no_grad", default=None)


_NO_PARAMS: dict[str, Any] = {}
_no_grad, _scope, _anomaly = no_grad.innermost.get, scope.innermost.get, detect_anomaly.innermost.get


@contextmanager
def recording_anew() -> Iterator[None]:
    """Record inside, whatever `no_grad` blocks are in force."""
    token = no_grad.innermost.set(None)
    try:
        yield
    finally:
        no_grad.innermost.reset(token)


def record(primitive: Primitive, inputs: tuple[Any, ...], params: dict[str, Any] = _NO_PARAMS) -> Tensor:
    """Run a primitive on Tensors and remember how its output was made.

    Numbers and arrays among the inputs become constants: a Python number takes the dtype of the
    Tensors beside it, an array keeps its own. Nothing is remembered where no input needs a gradient
    or inside `no_grad`.

    By hand: for x = 3 with a gradient, `x * 2` calls `record(mul, (x, 2))`. 2 becomes a constant; the forward gives 6;
    the new Tensor keeps `primitive` mul, `inputs` (x, 2) and the scope it was made in. That is all the walk needs: it
    finds mul's rules, g * b for x, and the values they take.

    Raises the error of NumPy's forward with the operation, its inputs and its scope named.
    """
    try:
        arrays, needs_gradient = [], False
        for x in inputs:
            arrays.append(x._array)
            needs_gradient = needs_gradient or x.requires_grad
        array = primitive.forward(*arrays, **params) if params else primitive.forward(*arrays)
    except AttributeError:  # asking each input first whether it is a Tensor takes a tenth of the time of an operation
        if all(isinstance(x, Tensor) for x in inputs):
            raise
        return record(primitive, _with_constants(inputs), params)
    except (ValueError, IndexError, TypeError) as error:
        kind = next(k for k in (IndexError, ValueError, TypeError) if isinstance(error, k))
        raise kind(explain(primitive, inputs, error)) from error
    if type(array) is not np.ndarray:
        array = np.asarray(array)
    if _anomaly() is not None:
        check_output(primitive, inputs, array)
    if not needs_gradient or _no_grad() is not None:
        if needs_gradient:
            refuse_reading(*inputs)
        return constant(array)
    out = Tensor.__new__(Tensor)
    out._array = array
    out.requires_grad = True
    out._name = None
    out.primitive = primitive
    out.inputs = inputs
    out.params = params
    out.scope = _scope()
    out.seq = next(_clock)
    return out


def constant(array: npt.NDArray[Any]) -> Tensor:
    """An array that nobody else changes as a leaf without a gradient. Not copied."""
    out = Tensor.__new__(Tensor)
    _make_leaf(out, array, False)
    return out


def _make_leaf(x: Tensor, array: npt.NDArray[Any], requires_grad: bool) -> None:
    x._array = array
    x._grad = None
    x.requires_grad = requires_grad
    x._name = None
    x.primitive = None
    x.inputs = ()
    x.params = _NO_PARAMS
    x.scope = None
    x.seq = 0


def _with_constants(inputs: Sequence[Any]) -> tuple[Tensor, ...]:
    """The inputs with every number and array made a constant Tensor."""
    dtypes = [x.dtype for x in inputs if isinstance(x, Tensor)]
    beside = next((d for d in dtypes if d.kind == "f"), dtypes[0])

    def convert(x: Any) -> Tensor:
        if isinstance(x, Tensor):
            return x
        if isinstance(x, (int, float)) and not isinstance(x, np.generic):
            # A Python number is weak, as in NumPy: 2 * float32 stays float32.
            return constant(np.array(x, beside if beside.kind == "f" else np.result_type(beside, x)))
        return Tensor(x)

    return tuple(convert(x) for x in inputs)


def check_gradient(x: Any, constant: bool = False) -> None:
    """Raise for what is no Tensor, and for one without a gradient unless it may be a `constant`."""
    if not isinstance(x, Tensor):
        raise TypeError(f"a gradient is of a Tensor with respect to Tensors, got {type(x).__name__}")
    if not (x.requires_grad or constant):
        raise ValueError(
            f"{describe(x)} has no gradient: make it, or what it is made from, with requires_grad=True, and outside "
            "no_grad()"
        )


def seed_of(root: Tensor, cotangent: Any, constant: bool = False) -> npt.NDArray[Any]:
    """The cotangent to start from, as an array of the root's shape and dtype. The root may be a `constant` if told."""
    check_gradient(root, constant)
    if cotangent is None:
        if root.size != 1:
            raise ValueError(
                f"{describe(root)} has {root.size} elements: reduce it to one, as with .sum(), or give a cotangent"
            )
        return np.ones(root.shape, root.dtype)
    given: npt.NDArray[Any] = real_array(cotangent, root.dtype, "a cotangent")
    if given.shape != root.shape:
        raise ValueError(f"the cotangent of {describe(root)} must have its shape, got {given.shape}")
    return given

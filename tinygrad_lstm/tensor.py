"""Tensor: an array and how it was made. Recording only; `autodiff` differentiates."""

# mypy: disable-error-code="no-any-return"
# What `functions` gives is typed Any: an ndarray for an ndarray, a Tensor for a Tensor.

from __future__ import annotations

import functools
import gc
import inspect
import itertools
import operator
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from . import functions as f
from . import numpy_functions as n
from . import primitives as p
from .anomaly import check_output, detect_anomaly
from .arguments import as_flag, as_word, check_array, real_array
from .primitives import Primitive
from .scope import Block, current, scope
from .whole import Change, set_all

_ndarray = np.ndarray
_clock = itertools.count(1)
_Function = TypeVar("_Function", bound=Callable[..., Any])


class Tensor:
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
    __pandas_priority__ = 10_000  # above every type of pandas's, so that `series * x` comes to us and is recorded

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
        array = _copy(data, dtype)
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

    # ── the array ──────────────────────────────────────────────────────────────────────────────

    @property
    def shape(self) -> tuple[int, ...]:
        """The lengths of the axes."""
        return self._array.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """The NumPy type of the elements."""
        return self._array.dtype

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return self._array.ndim

    @property
    def size(self) -> int:
        """The number of elements."""
        return self._array.size

    @property
    def T(self) -> Tensor:
        """The axes reversed."""
        return f.transpose(self)

    def __len__(self) -> int:
        if not self.ndim:
            raise TypeError("a 0-d tensor has no length")
        return self.shape[0]

    def numpy(self) -> npt.NDArray[Any]:
        """The values as a read-only view: a value may be needed by a later backward pass. Copy to change."""
        array = self._array
        array.flags.writeable = False
        if isinstance(array.base, _ndarray):
            array.base.flags.writeable = False
        return array.view()

    def item(self) -> float | int | bool:
        """The only element as a Python number. Raises ValueError when there are more."""
        if self.size != 1:
            raise ValueError(f"item() needs a tensor of one element, {describe(self)} has {self.size}")
        return self._array.item()

    def __float__(self) -> float:
        return float(self.item())

    def __int__(self) -> int:
        return int(self.item())

    def __bool__(self) -> bool:
        if self.size != 1:
            raise ValueError(f"the truth of {describe(self)} is ambiguous: use .numpy().any() or .all()")
        return bool(self.item())

    def __format__(self, spec: str) -> str:
        return format(self.item(), spec) if spec else repr(self)

    def __repr__(self) -> str:
        values = np.array2string(self._array, separator=", ", prefix="tensor(", threshold=60)
        notes = [f"name={self.name!r}"] if self.name else []
        if self.dtype != np.float64:
            notes.append(f"dtype={self.dtype}")
        if self.primitive is not None:
            notes.append(f"made by {self.primitive.name}" + (f" in {self.scope}" if self.scope else ""))
        elif self.requires_grad:
            notes.append("requires_grad=True")
        return f"tensor({', '.join([values, *notes])})"

    def _repr_html_(self) -> str:
        """In a notebook: the values on their colours, how they were made, and the gradient of a leaf that has one."""
        from .notebook import tensor  # pages live upstairs; showing itself is how a notebook calls

        made = "needs a gradient" if self.requires_grad else ""
        if self.primitive is not None:
            made = f"made by {self.primitive.name}" + (f" in {self.scope}" if self.scope else "")
        gradient = None if self.primitive is not None else self._grad
        return tensor(type(self).__name__.lower(), self.name, made, self._array, gradient)

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
        if self.primitive is not None:
            raise AttributeError(f"{describe(self)} is not a leaf: only a leaf keeps a gradient")
        if value is not None and value is not self._grad:
            array = real_array(value, name="a gradient")  # a copy: backward adds to it in place
            if array.shape != self.shape or array.dtype != self.dtype:
                raise ValueError(
                    f"the gradient of {describe(self)} must be a {self.dtype} array of its shape, "
                    f"got {array.dtype} {array.shape}"
                )
            value = array
        self._grad = value  # type: ignore[assignment]

    def detach(self) -> Tensor:
        """The same values as a new leaf without a gradient: the graph stops here."""
        return constant(self._array)

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

        `cotangent` (this shape) weighs the elements; it may be left out for a single element, where it is 1.
        """
        from .autodiff import backward  # the walk lives one room up; a method is how it is called

        backward(self, cotangent)

    def __primitive__(self, primitive: Primitive, inputs: tuple[Any, ...], params: dict[str, Any]) -> Tensor:
        return record(primitive, inputs, params)

    # ── operators ──────────────────────────────────────────────────────────────────────────────

    def __add__(self, other: Any) -> Tensor:
        return record(p.add, (self, other))

    def __radd__(self, other: Any) -> Tensor:
        return record(p.add, (other, self))

    def __sub__(self, other: Any) -> Tensor:
        return record(p.sub, (self, other))

    def __rsub__(self, other: Any) -> Tensor:
        return record(p.sub, (other, self))

    def __mul__(self, other: Any) -> Tensor:
        return record(p.mul, (self, other))

    def __rmul__(self, other: Any) -> Tensor:
        return record(p.mul, (other, self))

    def __truediv__(self, other: Any) -> Tensor:
        return record(p.div, (self, other))

    def __rtruediv__(self, other: Any) -> Tensor:
        return record(p.div, (other, self))

    def __pow__(self, other: Any) -> Tensor:
        return record(p.pow, (self, other))

    def __rpow__(self, other: Any) -> Tensor:
        return record(p.pow, (other, self))

    def __matmul__(self, other: Any) -> Tensor:
        return record(p.matmul, (self, other))

    def __rmatmul__(self, other: Any) -> Tensor:
        return record(p.matmul, (other, self))

    def __neg__(self) -> Tensor:
        return record(p.neg, (self,))

    def __pos__(self) -> Tensor:
        return self

    def __abs__(self) -> Tensor:
        return record(p.abs, (self,))

    def __getitem__(self, index: Any) -> Tensor:
        return record(p.getitem, (self,), {"index": _frozen(index)})

    def __setitem__(self, index: Any, value: Any) -> None:
        raise TypeError(
            "a tensor is never changed in place, so that no gradient can go wrong unseen: "
            "build the new value with tl.where, tl.concat or tl.stack, or replace a leaf's with .assign()"
        )

    def __iter__(self) -> Iterator[Tensor]:
        return (self[k] for k in range(len(self)))

    def sum(self, axis: f.Axis = None, keepdims: bool = False) -> Tensor:
        """See `tl.sum`."""
        return f.sum(self, axis, keepdims)

    def mean(self, axis: f.Axis = None, keepdims: bool = False) -> Tensor:
        """See `tl.mean`."""
        return f.mean(self, axis, keepdims)

    def var(self, axis: f.Axis = None, ddof: float = 0, keepdims: bool = False) -> Tensor:
        """See `tl.var`."""
        return f.var(self, axis, ddof, keepdims)

    def std(self, axis: f.Axis = None, ddof: float = 0, keepdims: bool = False) -> Tensor:
        """See `tl.std`."""
        return f.std(self, axis, ddof, keepdims)

    def prod(self, axis: f.Axis = None, keepdims: bool = False) -> Tensor:
        """See `tl.prod`."""
        return f.prod(self, axis, keepdims)

    def cumsum(self, axis: int | None = None) -> Tensor:
        """See `tl.cumsum`."""
        return f.cumsum(self, axis)

    def max(self, axis: f.Axis = None, keepdims: bool = False) -> Tensor:
        """See `tl.max`."""
        return f.max(self, axis, keepdims)

    def min(self, axis: f.Axis = None, keepdims: bool = False) -> Tensor:
        """See `tl.min`."""
        return f.min(self, axis, keepdims)

    def clip(self, min: Any = None, max: Any = None) -> Tensor:
        """See `tl.clip`."""
        return f.clip(self, min, max)

    def flatten(self) -> Tensor:
        """All elements in a row."""
        return f.reshape(self, -1)

    def reshape(self, *shape: Any) -> Tensor:
        """See `tl.reshape`."""
        return f.reshape(self, *shape)

    def transpose(self, *axes: Any) -> Tensor:
        """See `tl.transpose`."""
        return f.transpose(self, *axes)

    def astype(self, dtype: npt.DTypeLike) -> Tensor:
        """The values in another dtype; the gradient comes back in this one."""
        kind = np.dtype(np.dtype(dtype).type)  # in this machine's byte order
        if kind.kind not in "fiub":
            raise TypeError(f"a Tensor holds real numbers, and cannot be made {kind}")
        out = record(p.as_dtype, (self,), {"dtype": kind})
        return out if kind.kind == "f" else out.detach()

    # Comparisons are constants: their derivative is 0 wherever it exists.

    def __lt__(self, other: Any) -> Tensor:
        return Tensor(self._array < _operand(other))

    def __le__(self, other: Any) -> Tensor:
        return Tensor(self._array <= _operand(other))

    def __gt__(self, other: Any) -> Tensor:
        return Tensor(self._array > _operand(other))

    def __ge__(self, other: Any) -> Tensor:
        return Tensor(self._array >= _operand(other))

    def __eq__(self, other: object) -> Tensor:  # type: ignore[override]
        return Tensor(self._array == _operand(other))

    def __ne__(self, other: object) -> Tensor:  # type: ignore[override]
        return Tensor(self._array != _operand(other))

    __hash__ = object.__hash__

    def __and__(self, other: Any) -> Tensor:
        return _bitwise(np.bitwise_and, self, other)

    def __or__(self, other: Any) -> Tensor:
        return _bitwise(np.bitwise_or, self, other)

    def __xor__(self, other: Any) -> Tensor:
        return _bitwise(np.bitwise_xor, self, other)

    def __invert__(self) -> Tensor:
        return _bitwise(np.invert, self)

    __rand__, __ror__, __rxor__ = __and__, __or__, __xor__

    # ── NumPy's own functions ──────────────────────────────────────────────────────────────────

    def __array__(self, dtype: npt.DTypeLike | None = None, copy: bool | None = None) -> npt.NDArray[Any]:
        """The values for `np.asarray`, which cannot record.

        Raises TypeError where that would lose a gradient: of a tensor that needs one, outside `no_grad`.
        """
        return np.array(self._given_away(), dtype=dtype, copy=copy)

    def __dlpack__(self, **options: Any) -> Any:
        """The values for `torch.from_dlpack` and its kin: a copy, since they might write to it. As `__array__`."""
        return self._given_away().copy().__dlpack__(**options)

    def _given_away(self) -> npt.NDArray[Any]:
        if self.requires_grad and not (_no_grad_blocks() and no_grad.innermost() is not None):
            raise TypeError(
                f"{describe(self)} needs a gradient, and a plain array would lose it: use the functions of "
                "tinygrad_lstm, as tl.stack for a list of Tensors, or .numpy() or .detach() where no gradient is wanted"
            )
        return self.numpy()

    def __dlpack_device__(self) -> tuple[int, int]:
        return self._array.__dlpack_device__()

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **options: Any) -> Any:
        if method == "__call__" and not options:
            if ufunc in n.UFUNCS:
                return n.UFUNCS[ufunc](*inputs)
            if ufunc in n.COMPARISONS:
                return Tensor(ufunc(*[_operand(x) for x in inputs]))
            if ufunc in n.BITWISE:
                return _bitwise(ufunc, *inputs)
            if ufunc in n.QUESTIONS:
                return ufunc(self._array)
        raise n.refusal(ufunc.__name__ + ("" if method == "__call__" else f".{method}"), list(options))

    def __array_function__(self, function: Callable[..., Any], types: Any, args: Any, kwargs: Any) -> Any:
        if function in n.FUNCTIONS:
            try:
                inspect.signature(n.FUNCTIONS[function]).bind(*args, **kwargs)
            except TypeError:
                raise n.refusal(function.__name__, list(kwargs)) from None
            return n.FUNCTIONS[function](*args, **kwargs)
        if function in n.QUESTIONS:
            return function(*[_operand(x) for x in args], **{name: _operand(x) for name, x in kwargs.items()})
        room = (function.__module__ or "").removeprefix("numpy").lstrip(".")
        raise n.refusal(f"{room}.{function.__name__}" if room else function.__name__)


def tensor(
    data: Any, requires_grad: bool = False, name: str | None = None, dtype: npt.DTypeLike | None = None
) -> Tensor:
    """Make a leaf Tensor from numbers, lists or an ndarray, which is copied. See `Tensor`."""
    return Tensor(data, requires_grad, name, dtype)


# ── recording ──────────────────────────────────────────────────────────────────────────────────


class no_grad(Block):
    """Do not record inside: `with no_grad(): ...`, or `@no_grad()` on a function or generator.

    Holds for this thread (and this asyncio task) only, and in a generator only while it runs: see `Block`.
    """

    __slots__ = ()

    blocks = ContextVar("no_grad blocks", default=())

    def __init__(self, function: None = None) -> None:
        if function is not None:
            raise TypeError("no_grad takes no function: decorate with @no_grad(), with its parentheses")
        super().__init__()

    def __call__(self, function: _Function) -> _Function:
        """The function without recording. Raises TypeError for an async one, and for what is no function."""
        if not callable(function) or isinstance(function, (type, staticmethod)):
            raise TypeError(f"no_grad() wraps a function, got {function!r}: decorate the functions in it")
        if inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
            raise TypeError("no_grad() cannot wrap an async function: write `with no_grad():` inside it")
        if inspect.isgeneratorfunction(function):

            def wrapper(*args: Any, **kwargs: Any) -> Any:
                with no_grad():
                    return (yield from function(*args, **kwargs))
        else:

            def wrapper(*args: Any, **kwargs: Any) -> Any:
                with no_grad():
                    return function(*args, **kwargs)

        return functools.wraps(function)(wrapper)  # type: ignore[return-value]


_NO_PARAMS: dict[str, Any] = {}
_no_grad_blocks, _scopes, _anomaly_blocks = no_grad.blocks.get, scope.blocks.get, detect_anomaly.blocks.get
_new = Tensor.__new__


@contextmanager
def recording_anew() -> Iterator[None]:
    """Record inside, whatever `no_grad` blocks are in force."""
    token = no_grad.blocks.set(())
    try:
        yield
    finally:
        no_grad.blocks.reset(token)


@contextmanager
def without_collector() -> Iterator[None]:
    """Keep Python's cyclic collector away: it would go over a long graph again and again and find nothing."""
    if not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def record(primitive: Primitive, inputs: tuple[Any, ...], params: dict[str, Any] = _NO_PARAMS) -> Tensor:
    """Run a primitive on Tensors and remember how its output was made.

    Numbers and arrays among the inputs become constants: a Python number takes the dtype of the
    Tensors beside it, an array keeps its own. Nothing is remembered where no input needs a gradient
    or inside `no_grad`.

    Raises the error of NumPy's forward with the operation, its inputs and its scope named.
    """
    try:
        if params or len(inputs) > 2:
            arrays, needs_gradient = [], False
            for x in inputs:
                arrays.append(x._array)
                needs_gradient = needs_gradient or x.requires_grad
            array = primitive.forward(*arrays, **params)
        elif len(inputs) == 2:  # one or two inputs spelled out, as in `propagate`
            a, b = inputs
            array = primitive.forward(a._array, b._array)
            needs_gradient = a.requires_grad or b.requires_grad
        else:
            (a,) = inputs
            array = primitive.forward(a._array)
            needs_gradient = a.requires_grad
    except AttributeError:  # asking each input first whether it is a Tensor takes a tenth of the time of an operation
        if all(isinstance(x, Tensor) for x in inputs):
            raise
        return record(primitive, _with_constants(inputs), params)
    except (ValueError, IndexError, TypeError) as error:
        kind = next(k for k in (IndexError, ValueError, TypeError) if isinstance(error, k))
        raise kind(_explain(primitive, inputs, error)) from error
    if type(array) is not _ndarray:
        array = np.asarray(array)
    if _anomaly_blocks() and detect_anomaly.innermost() is not None:
        check_output(primitive, inputs, array)
    if not needs_gradient or (_no_grad_blocks() and no_grad.innermost() is not None):
        return constant(array)
    out = _new(Tensor)
    out._array = array
    out.requires_grad = True
    out._name = None
    out.primitive = primitive
    out.inputs = inputs
    out.params = params
    if blocks := _scopes():
        out.scope = blocks[-1] if blocks[-1]._frame is None else current()
    else:
        out.scope = None
    out.seq = next(_clock)
    return out


def constant(array: npt.NDArray[Any]) -> Tensor:
    """An array that nobody else changes as a leaf without a gradient. Not copied."""
    out = _new(Tensor)
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
    beside = next((d for d in dtypes if d.kind == "f"), dtypes[0] if dtypes else None)

    def convert(x: Any) -> Tensor:
        if isinstance(x, Tensor):
            return x
        if beside is not None and isinstance(x, (int, float)) and not isinstance(x, np.generic):
            # A Python number is weak, as in NumPy: 2 * float32 stays float32.
            return constant(np.array(x, beside if beside.kind == "f" else np.result_type(beside, x)))
        return Tensor(x)

    return tuple(convert(x) for x in inputs)


def _copy(data: Any, dtype: npt.DTypeLike | None) -> npt.NDArray[Any]:
    """A fresh array of real numbers, Python's own as float64."""
    array = real_array(data, dtype, "C", "a Tensor")
    if array.dtype.kind in "iu" and dtype is None and not hasattr(data, "dtype"):
        array = array.astype(np.float64)
    return array


def _frozen(index: Any) -> Any:
    """An index that its owner can no longer change."""
    if isinstance(index, tuple):
        return tuple(_frozen(part) for part in index)
    if isinstance(index, Tensor):
        return index._array
    if isinstance(index, slice):  # a bound may be a 0-d array
        return slice(*(k if k is None else operator.index(k) for k in (index.start, index.stop, index.step)))
    if p.is_basic_index(index):
        return index
    if isinstance(index, _ndarray):
        check_array(index)  # a mask over an index would be dropped
    copy = np.array(index)
    return copy if copy.size or hasattr(index, "dtype") else copy.astype(np.intp)  # x[[]] is empty, not a float


def _operand(x: Any) -> Any:
    if isinstance(x, Tensor):
        return x._array
    check_array(x)
    return x


def _bitwise(ufunc: np.ufunc, *operands: Any) -> Tensor:
    arrays = [np.asarray(_operand(x)) for x in operands]
    if any(x.dtype.kind not in "iub" for x in arrays):
        raise TypeError(
            "& | ^ ~ are of comparisons, not of " + " and ".join(str(x.dtype) for x in arrays) +
            ": put each comparison in brackets, (x > 0) & (x < 1)"
        )  # fmt: skip
    return Tensor(ufunc(*arrays))


# ── words for messages ─────────────────────────────────────────────────────────────────────────


def describe(x: Tensor) -> str:
    """A tensor as a message names it: its name or the operation and scope that made it, and its shape."""
    if x.primitive is None:
        kind = f"tensor {x.name!r}" if x.name else "tensor"
    else:
        kind = (f"{x.name!r}, " if x.name else "") + f"the output of {x.primitive.name}"
        kind += f" in {x.scope}" if x.scope else ""
    return f"{kind} of shape {x.shape}"


_SPREAD = "each axis must be equal or 1, counted from the right"
_FIT = {
    "matmul": "the last axis of the first must be as long as the last but one of the second (the only one of a vector)",
    "concat": "all axes but the one joined must be equal",
    "stack": "all shapes must be equal",
    "getitem": "check the index against the shape; it is made of whole numbers, slices and booleans",
    "reshape": "the number of elements must stay the same, and one length may be -1",
    "transpose": "name every axis once",
    "broadcast_to": _SPREAD,
}


def _explain(primitive: Primitive, inputs: Sequence[Tensor], error: Exception) -> str:
    where = f" in {scope_now}" if (scope_now := current()) else ""
    fit = "" if isinstance(error, TypeError) else _FIT.get(primitive.name) or _spread(inputs)
    operands = ", ".join(
        f"{x.name or f'input {k}'} {x.shape}{'' if fit else f' {x.dtype}'}" for k, x in enumerate(inputs)
    )
    if not fit and any(x.dtype.kind != "f" for x in inputs):
        fit = "if it is the dtype, convert with .astype(float)"
    return f"{primitive.name}{where} cannot take {operands}{fit and f': {fit}'}. NumPy: {error}"


def _spread(inputs: Sequence[Tensor]) -> str:
    """What the shapes must be, where they are not."""
    try:
        np.broadcast_shapes(*(x.shape for x in inputs))
    except ValueError:
        return _SPREAD
    return ""

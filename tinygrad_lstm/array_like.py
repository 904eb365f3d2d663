"""What makes a Tensor as handy as an array: its shape and values, Python's and NumPy's questions, and its text."""

from __future__ import annotations

import operator
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import numpy as np
import numpy.typing as npt

from . import numpy_functions as n
from .arguments import check_array
from .messages import describe
from .shown import Shown

_NO_FLOAT = "a plain number has no gradient: use tl.tanh for math.tanh and so on, or .item() where none is wanted"
_reading_refused: ContextVar[bool] = ContextVar("reading refused", default=False)


class _Read(BaseException):
    """No Exception: who catches those inside would go on in another way than without the refusal."""


@contextmanager
def without_reading(error: type[Exception]) -> Iterator[None]:
    """Raise `error` where a value that needs a gradient is read inside: what is done with it would not be recorded."""
    token = _reading_refused.set(True)
    try:
        yield
    except _Read as read:
        raise error(f"the values of {read} are read, and what is done with them is not in the graph") from read
    finally:
        _reading_refused.reset(token)


def refuse_reading(*xs: Any) -> None:
    """End what `without_reading` is round where values are read."""
    if _reading_refused.get():
        for x in xs:
            if x.requires_grad:
                raise _Read(describe(x))


def values_of(x: Any) -> Any:
    """The array of a Tensor, for a use that is not recorded; anything else as it is, if it is whole as an array."""
    if not isinstance(x, ArrayLike):
        check_array(x)
        return x
    refuse_reading(x)
    return x._array


def _asked(question: Callable[..., Any]) -> Callable[..., Any]:
    """`x < y` and its kin: constants, whose derivative is 0 wherever it exists."""
    return lambda x, *others: x._answer(question, (x, *others))


class ArrayLike(Shown):
    """An array (`_array`) that was recorded: all that does not record. `Tensor` adds how it was made, and what does."""

    __slots__ = ()
    __pandas_priority__ = 10_000  # above every type of pandas's, so that `series * x` comes to us and is recorded

    _array: npt.NDArray[Any]
    name: Any
    primitive: Any
    requires_grad: bool
    scope: Any
    _constant: Callable[[Any], Any]

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

    def __len__(self) -> int:
        if not self.ndim:
            raise TypeError("a 0-d tensor has no length")
        return self.shape[0]

    def numpy(self) -> npt.NDArray[Any]:
        """The values as a read-only view: a value may be needed by a later backward pass. Copy to change."""
        array = values_of(self)
        array.flags.writeable = False
        if isinstance(array.base, np.ndarray):
            array.base.flags.writeable = False
        return array.view()  # type: ignore[no-any-return]

    def item(self) -> float | int | bool:
        """The only element as a Python number. Raises ValueError when there are more."""
        if self.size != 1:
            raise ValueError(f"item() needs a tensor of one element, {describe(self)} has {self.size}")
        return values_of(self).item()  # type: ignore[no-any-return]

    def __float__(self) -> float:
        value = float(self.item())
        if self.requires_grad:
            warnings.warn(_NO_FLOAT, stacklevel=2)
        return value

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
        notes = [f"name={self.name!r}" if self.name else "", f"dtype={self.dtype}" if self.dtype != np.float64 else ""]
        return f"tensor({', '.join(filter(None, [values, *notes, self._made('requires_grad=True')]))})"

    def _made(self, leaf: str) -> str:
        """How it was made; `leaf` of a leaf that needs a gradient."""
        if self.primitive is None:
            return leaf if self.requires_grad else ""
        return f"made by {self.primitive.name}" + (f" in {self.scope}" if self.scope else "")

    # ── questions, answered by constants ───────────────────────────────────────────────────────

    __lt__, __le__, __gt__, __ge__ = map(_asked, (operator.lt, operator.le, operator.gt, operator.ge))
    __eq__, __ne__ = map(_asked, (operator.eq, operator.ne))
    __hash__ = object.__hash__
    __and__, __or__, __xor__ = map(_asked, (np.bitwise_and, np.bitwise_or, np.bitwise_xor))
    __rand__, __ror__, __rxor__, __invert__ = __and__, __or__, __xor__, _asked(np.invert)

    def _answer(self, question: Callable[..., Any], operands: Sequence[Any]) -> Any:
        return self._constant(question(*map(values_of, operands)))

    # ── NumPy's own functions ──────────────────────────────────────────────────────────────────

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **options: Any) -> Any:
        if method == "__call__" and not options:
            if ufunc in n.UFUNCS:
                return n.UFUNCS[ufunc](*inputs)
            if ufunc in n.COMPARISONS:
                return self._answer(ufunc, inputs)
            if ufunc in n.QUESTIONS:
                return ufunc(*map(values_of, inputs))
        call = ufunc.__name__ + ("" if method == "__call__" else f".{method}")
        raise n.refusal(f"{call} with {', '.join(options)}" if options else call)

    def __array_function__(self, function: Callable[..., Any], types: Any, args: Any, kwargs: Any) -> Any:
        if function in n.FUNCTIONS:
            return n.recorded(function, args, kwargs)
        if function in n.QUESTIONS:
            return function(*map(values_of, args), **{name: values_of(x) for name, x in kwargs.items()})
        room = (function.__module__ or "").removeprefix("numpy").lstrip(".")
        raise n.refusal(f"{room}.{function.__name__}" if room else function.__name__)

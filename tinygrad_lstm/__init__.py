"""Reverse-mode automatic differentiation and the LSTM, small enough to read, drawn and measured."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from . import nn, optim, shown
from .anomaly import detect_anomaly
from .functions import (
    broadcast_to,
    clip,
    concat,
    cumsum,
    log_softmax,
    logsumexp,
    max,
    mean,
    min,
    primitive,
    prod,
    reshape,
    softmax,
    stack,
    std,
    sum,
    transpose,
    var,
)  # fmt: skip
from .gradcheck import GradcheckError, gradcheck
from .gradients import grad, jacobian
from .nn.anatomy import anatomy
from .nn.compile import compile
from .nn.scan import scan
from .primitives import (
    abs,
    cos,
    exp,
    expm1,
    log,
    log1p,
    maximum,
    minimum,
    relu,
    sigmoid,
    sin,
    softplus,
    tanh,
    where,
)  # fmt: skip
from .scope import scope
from .tensor import Tensor, no_grad, tensor

if TYPE_CHECKING:
    from . import flow, interop
    from .flow import trace_gradients
    from .views import draw

__version__ = "0.1.0"

shown.PAGES.append(f"{__name__}.notebook")

__all__ = [
    "GradcheckError",
    "Tensor",
    "abs",
    "anatomy",
    "broadcast_to",
    "clip",
    "compile",
    "concat",
    "cos",
    "cumsum",
    "detect_anomaly",
    "draw",
    "exp",
    "expm1",
    "flow",
    "grad",
    "gradcheck",
    "interop",
    "jacobian",
    "log",
    "log1p",
    "log_softmax",
    "logsumexp",
    "max",
    "maximum",
    "mean",
    "min",
    "minimum",
    "nn",
    "no_grad",
    "optim",
    "primitive",
    "prod",
    "relu",
    "reshape",
    "scan",
    "scope",
    "sigmoid",
    "sin",
    "softmax",
    "softplus",
    "stack",
    "std",
    "sum",
    "tanh",
    "tasks",
    "tensor",
    "trace_gradients",
    "train",
    "transpose",
    "var",
    "where",
]


def __getattr__(name: str) -> Any:
    """Rooms that many programs never enter are imported when first used."""
    if name in ("flow", "interop", "tasks", "train", "views"):
        return import_module(f".{name}", __name__)
    if room := {"draw": "views", "trace_gradients": "flow"}.get(name):
        return getattr(import_module(f".{room}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

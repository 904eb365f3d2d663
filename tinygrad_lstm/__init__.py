"""Reverse-mode automatic differentiation and the LSTM, small enough to read, drawn and measured."""

# What is imported under its own name is public: `from .functions import clip as clip`.

from importlib import import_module
from typing import TYPE_CHECKING, Any

from . import nn as nn
from . import optim as optim
from . import shown
from .anomaly import detect_anomaly as detect_anomaly
from .functions import broadcast_to as broadcast_to
from .functions import clip as clip
from .functions import concat as concat
from .functions import log_softmax as log_softmax
from .functions import max as max
from .functions import mean as mean
from .functions import min as min
from .functions import primitive as primitive
from .functions import reshape as reshape
from .functions import softmax as softmax
from .functions import stack as stack
from .functions import std as std
from .functions import sum as sum
from .functions import transpose as transpose
from .functions import var as var
from .gradcheck import GradcheckError as GradcheckError
from .gradcheck import gradcheck as gradcheck
from .gradients import grad as grad
from .gradients import jacobian as jacobian
from .nn.anatomy import anatomy as anatomy
from .nn.compile import compile as compile
from .nn.scan import scan as scan
from .primitives import abs as abs
from .primitives import cos as cos
from .primitives import exp as exp
from .primitives import expm1 as expm1
from .primitives import log as log
from .primitives import log1p as log1p
from .primitives import maximum as maximum
from .primitives import minimum as minimum
from .primitives import relu as relu
from .primitives import sigmoid as sigmoid
from .primitives import sin as sin
from .primitives import softplus as softplus
from .primitives import tanh as tanh
from .primitives import where as where
from .scope import scope as scope
from .tensor import Tensor as Tensor
from .tensor import no_grad as no_grad
from .tensor import tensor as tensor

if TYPE_CHECKING:
    from . import flow as flow
    from . import interop as interop
    from .flow import trace_gradients as trace_gradients
    from .views import draw as draw

__version__ = "0.1.0"

shown.PAGES.append(f"{__name__}.notebook")


def __getattr__(name: str) -> Any:
    """Rooms that many programs never enter are imported when first used."""
    if name in ("flow", "interop", "tasks", "train", "views"):
        return import_module(f".{name}", __name__)
    if room := {"draw": "views", "trace_gradients": "flow"}.get(name):
        return getattr(import_module(f".{room}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

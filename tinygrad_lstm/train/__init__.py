"""Training: settings, the network, the loop, metrics and checkpoints."""

from ..machine import one_thread
from .checkpoint import Checkpoint, CheckpointError, load, save
from .loop import Diverged, Trainer, resume
from .model import Network
from .settings import Settings
from .watching import watch

__all__ = [
    "Checkpoint",
    "CheckpointError",
    "Diverged",
    "Network",
    "Settings",
    "Trainer",
    "load",
    "one_thread",
    "resume",
    "save",
    "watch",
]

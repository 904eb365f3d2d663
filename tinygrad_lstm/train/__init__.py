"""Training: settings, the network, the loop, metrics and checkpoints."""

from ..machine import one_thread
from .checkpoint import Checkpoint, CheckpointError, load, save
from .explaining import Change, Explained, explain
from .loop import Diverged, Trainer, resume
from .model import Network
from .settings import Settings
from .watching import watch

__all__ = [
    "Change", "Checkpoint", "CheckpointError", "Diverged", "Explained", "Network", "Settings", "Trainer",
    "explain", "load", "one_thread", "resume", "save", "watch",
]  # fmt: skip

"""Writing text with a trained network, one character after another."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ..arguments import as_size
from ..functions import softmax
from ..tasks.notation import Floats, one_hot
from .checkpoint import Checkpoint
from .model import State


def sample(
    checkpoint: Checkpoint, prompt: str = "", length: int = 200, temperature: float = 1.0, seed: int = 0
) -> Iterator[str]:
    """`length` characters that follow the prompt, each drawn from softmax(logits / temperature).

    The network is the one with the lowest held-out loss of its run. At temperature 0 the most probable character is
    taken. An empty prompt stands for a line end where the network knows it, else for its first character. The same seed
    gives the same text.

    Raises ValueError at once for a network that knows no characters, a prompt with others than it knows, a length
    below 0, and a temperature below 0 or not finite.
    """
    notation = checkpoint.notation
    if notation.unit != "character" or not notation.symbols:
        raise ValueError(f"the run was trained on the task {checkpoint.settings.task}: only one on text can write")
    characters = notation.symbols
    start = notation.inputs(list(prompt) or ["\n" if "\n" in characters else characters[0]], len(characters))
    length, seed = as_size("length", length, 0), as_size("seed", seed, 0)
    if not 0 <= temperature < float("inf"):
        raise ValueError(f"temperature must be a number of 0 or more, got {temperature}")
    network, rng = checkpoint.best_network(), np.random.default_rng(seed)

    def written(read: Floats) -> Iterator[str]:
        state: State = ()
        for _ in range(length):
            outputs, state = network.predict(read[:, None], state)
            logits = outputs[-1, 0].astype(np.float64)
            k = int(logits.argmax())
            if temperature > 0:
                with np.errstate(over="ignore"):  # -inf where the quotient is too large: probability 0
                    p = softmax((logits - logits.max()) / temperature)
                k = int(rng.choice(len(p), p=p))
            read = one_hot(np.array([k]), len(characters))
            yield characters[k]

    return written(start)

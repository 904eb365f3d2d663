"""What a page of the explorer holds: weights, sequences, and what the engine measured on the first of them."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import numpy.typing as npt

from ..arguments import as_number, as_size, as_word, as_words
from ..draw import theme
from ..flow.kinds import make_cell
from ..flow.sequence import Passage, embed, tokenize, trace_sequence
from ..nn import Linear, LSTMCell, RNNCell
from ..walk.notation import NOTATIONS

Json = dict[str, Any]
LONGEST = 200  # steps
LARGEST = 80_000  # weights of one cell: with those before training 1.7 MB of the page
DETOURS = 8  # the parts of a split that are compared one by one
SAMPLES = {  # further sequences to choose from
    "thirty words": "When the old clock in the tower struck twelve the girl who had waited since the morning "
    "under the lamp by the river folded her letter and walked home alone",
    "a key and its lock, 50 steps": " ".join(["key", *["and"] * 48, "lock"]),
    "the numbers from 1 to 100": " ".join(map(str, range(1, 101))),
}


def of_words(text: str, hidden_size: int, forget_bias: float, seed: int) -> Json:
    """The untrained cells of a seed on a text: LSTM, the LSTM of 1997, RNN, and one of a single unit set by hand.

    Raises ValueError for an empty text, one of more than 200 words, and sizes below 1.
    """
    hidden_size, seed = as_size("hidden_size", hidden_size), as_size("seed", seed, 0)
    forget_bias = as_number("forget_bias", forget_bias)
    tokens = tokenize(text)
    if not tokens:
        raise ValueError('the text is empty: give some words, as in explore "the cities that I have seen"')
    _check_length(len(tokens), "words")
    vectors = embed(tokens, hidden_size, seed)
    names = {"lstm": "LSTM", "lstm1997": "LSTM of 1997, no forget gate", "rnn": "RNN"}
    passages = {
        kind: trace_sequence(make_cell(kind, hidden_size, hidden_size, forget_bias, seed), vectors, tokens, seed)
        for kind in names
    }
    passages["unit"] = trace_sequence(_unit(hidden_size, forget_bias), vectors, tokens, seed)
    names["unit"] = "LSTM of one unit, by hand"
    lag = LSTMCell(hidden_size, hidden_size, init="chrono", T_max=3, rng=seed).b_f
    assert lag is not None
    return _shared() | {
        "unit": "word",
        "seed": str(seed),
        "forgetBias": forget_bias,
        "cells": {key: _cell(p, names[key]) | {"read": {"u": _array(_read_by(p))}} for key, p in passages.items()},
        "beside": "rnn",
        # ln U[1, 2], as drawn for T_max = 3: e to its power minus 1 is the uniform number it was made of.
        "chrono": np.expm1(lag.numpy()).tolist(),
        "sequences": [
            {"name": "your text", "tokens": tokens},
            *({"name": name, "tokens": words.split()} for name, words in SAMPLES.items()),
        ],
    }


def of_network(
    trained: tuple[Passage, Linear],
    untrained: tuple[Passage, Linear],
    loss: str,
    symbols: Sequence[str] | None,
    answers: Sequence[str],
    name: str,
) -> Json:
    """A trained network, its cell's passage and its readout, beside the same network before training.

    `loss` ("classes", "bits", "squared") says how L is read from the outputs, which are called `answers`; the untrained
    network is asked for what the trained one says. A user may type other sequences of `symbols`, which are one-hot (or
    -1 and 1 where there is one input); None for a network that reads numbers. Raises ValueError for more than 200
    steps and a network too large for a page.
    """
    passage = trained[0]
    _check_length(len(passage.tokens), "steps")
    size = sum(p.size for p in passage.cell.parameters())
    if size > LARGEST:
        raise ValueError(f"a page holds networks of at most {LARGEST:,} weights, this cell has {size:,}")
    both = {"trained": trained, "untrained": untrained}
    sequence: Json = {"name": "this sequence", "tokens": passage.tokens}
    if symbols is None:
        sequence["x"] = _array(np.array([node.value for node in passage.flow.named("x")]))
    return _shared() | {
        "unit": "step" if symbols is None else "character",
        "cells": {
            key: _cell(p, name) | {"read": {"W": _array(readout.W.numpy()), "b": _array(_bias(readout)), "loss": loss}}
            for key, (p, readout) in both.items()
        },
        "beside": "untrained",
        "symbols": None if symbols is None else [as_word("a symbol", s) for s in symbols],
        "answers": as_words("answers", answers),
        "sequences": [sequence],
    }


def _shared() -> Json:
    return {
        "longest": LONGEST,
        "detours": DETOURS,
        "notations": {key: asdict(n) for key, n in NOTATIONS.items()},
        "ramps": {"gradient": theme.GRADIENT_RAMP, "state": theme.STATE_RAMP},
    }


def _check_length(count: int, of: str) -> None:
    if count > LONGEST:
        raise ValueError(f"a page shows at most {LONGEST} {of}, got {count:,}: give a part of the text")


def _unit(input_size: int, forget_bias: float) -> LSTMCell:
    """One unit whose only weight goes from h into the candidate, with o = 1 to the last bit."""
    cell = LSTMCell(input_size, 1, forget_bias=forget_bias)
    for k in cell.gates:
        getattr(cell, f"W_{k}").assign(np.zeros((1 + input_size, 1)))
    W = np.zeros((1 + input_size, 1))
    W[0] = 1
    cell.W_g.assign(W)
    assert cell.b_o is not None
    cell.b_o.assign([40.0])
    return cell


def _read_by(passage: Passage) -> npt.NDArray[np.float64]:
    """The vector u of L = u · h_T."""
    (u,) = passage.flow.named("u")
    return u.value


def _bias(readout: Linear) -> npt.NDArray[Any]:
    return np.zeros(readout.out_features) if readout.b is None else readout.b.numpy()


def _cell(passage: Passage, label: str) -> Json:
    """A cell's weights, and what the engine measured on its passage."""
    cell = passage.cell
    assert isinstance(cell, RNNCell | LSTMCell)
    gates = ("h",) if isinstance(cell, RNNCell) else cell.gates
    kind = "rnn" if isinstance(cell, RNNCell) else "lstm" if "f" in cell.gates else "lstm1997"
    weights = cell.state_dict()
    return {
        "kind": kind,
        "label": label,
        "n": cell.hidden_size,
        "m": cell.input_size,
        "W": {k: _array(weights[f"W_{k}"]) for k in gates},
        "b": {k: _array(weights[f"b_{k}"]) for k in gates},
        "engine": {name: _array(values) for name, values in measured(passage).items()},
    }


def measured(passage: Passage) -> dict[str, npt.NDArray[np.float64]]:
    """What a page holds its own numbers against, by name: values and gradients of every step, and a split.

    h and dh, and c and dc of an LSTM, have shape (T + 1, hidden) from the state before the first step on; dx has
    (T, inputs), the values of the gates (T, hidden); split has (DETOURS + 2, hidden) and is that of the first state.
    """
    flow = passage.flow
    found: dict[str, npt.NDArray[np.float64]] = {}
    for name in passage.cell.states[::-1]:
        states = flow.states.of(name)
        found[name] = np.array([s.numpy() for s in states])
        found[f"d{name}"] = np.array([flow.gradient(s) for s in states])
    found["dx"] = np.array([node.gradient for node in flow.named("x")])
    if isinstance(passage.cell, LSTMCell):
        found |= {k: np.array([node.value for node in flow.named(k)]) for k in passage.cell.gates}
    found["split"] = np.array(flow.split(flow.states.of(passage.cell.states[-1])[0], limit=DETOURS))
    return found


def _array(values: npt.ArrayLike) -> str:
    """float64 numbers, little-endian, in base64: exact, and half as long as in digits."""
    return base64.b64encode(np.asarray(values, "<f8").tobytes()).decode()

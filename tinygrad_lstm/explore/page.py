"""The explorer of a text or of a trained network: cells' programs, sequences, and what the engine measured on one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from ..arguments import as_size, as_word, as_words
from ..flow import Flow
from ..flow.sequence import Floats, TracedSequence, direction, embed, tokenize, trace_sequence
from ..kinds import KINDS, cell_name, make_cell
from ..nn import Linear, LSTMCell, RNNCell
from ..nn.cell import Cell
from ..nn.cells import GATES
from ..walk.notation import NOTATIONS
from .document import document
from .step import Json, Program, array

LONGEST = 200  # steps
LARGEST = 80_000  # weights of one cell: with those before training 1.7 MB of the page
DETOURS = 8  # the parts of a split that are compared one by one
SAMPLES = {  # further sequences to choose from
    "thirty words": "When the old clock in the tower struck twelve the girl who had waited since the morning "
    "under the lamp by the river folded her letter and walked home alone",
    "a key and its lock, 50 steps": " ".join(["key", *["and"] * 48, "lock"]),
    "the numbers from 1 to 100": " ".join(map(str, range(1, 101))),
}
WORDS = GATES | {"c": "cell state", "h": "hidden state", "x": "input"}  # of the package's own cells


def page(
    text: str,
    hidden_size: int = 4,
    forget_bias: float = 1.0,
    seed: int = 0,
    cells: Mapping[str, Cell] | None = None,
) -> str:
    """The explorer of a text as one HTML file: untrained cells of that size and seed, an LSTM above a plain RNN.

    `cells` are others to show, by the name each goes by: any `nn.Cell` in float64, the first above the second; with
    them hidden_size and forget_bias have no use. The page asks for nothing from outside and computes in float64 what
    its controls ask for; when it opens it holds its numbers against those that the engine measured. Raises ValueError
    for an empty text, more than 200 words, sizes below 1, and a cell whose step cannot be read, with the reason.
    """
    hidden_size, seed = as_size("hidden_size", hidden_size), as_size("seed", seed, 0)
    tokens = tokenize(text)
    if not tokens:
        raise ValueError('the text is empty: give some words, as in explore "the cities that I have seen"')
    _check_length(len(tokens), "words")
    drawn: Mapping[str, Cell] = {}
    if cells is None:
        drawn = {cell_name(c): c for c in (make_cell(k, hidden_size, hidden_size, forget_bias, seed) for k in KINDS)}
        cells = drawn | {"LSTM of one unit": _unit(hidden_size, forget_bias)}
    widths = {cell.input_size for cell in cells.values()}
    if len(widths) != 1:
        raise ValueError(f"cells on one page read inputs of one size, got {', '.join(map(str, sorted(widths)))}")
    sequences = {"your text": tokens} | {name: words.split() for name, words in SAMPLES.items()}
    words = list({word: None for sequence in sequences.values() for word in sequence})
    vectors = dict(zip(words, embed(words, widths.pop(), seed), strict=True))
    xs = [[vectors[word]] for word in tokens]  # in batches of one: a cell of one's own may take no other input
    found = {}
    for label, cell in cells.items():
        read = {"u": array(direction(cell.hidden_size, seed))}
        found[label] = _cell(label, trace_sequence(cell, xs, seed=seed), read) | {"drawn": label in drawn}
    return document(
        _shared()
        | {
            "unit": "word",
            "seed": str(seed),
            "vectors": {word: array(vector) for word, vector in vectors.items()},
            "cells": found,
            "beside": next(iter([*found][1:]), None),
            "sequences": [{"name": name, "tokens": words} for name, words in sequences.items()],
        }
    )


def page_of_network(
    trained: tuple[TracedSequence, Linear],
    untrained: tuple[TracedSequence, Linear],
    loss: str,
    symbols: Sequence[str] | None,
    answers: Sequence[str],
    name: str,
) -> str:
    """The explorer of a trained network on one sequence as one HTML file, beside itself before training.

    Each of the two is its cell traced over the sequence and its readout. `loss` ("classes", "bits", "squared") says
    how L is read from the outputs, which are called `answers`; the untrained network is asked for what the trained one
    says. A user may type other sequences of `symbols`, which are one-hot (or -1 and 1 where there is one input); None
    for a network that reads numbers. Raises ValueError for more than 200 steps and a network too large for a page.
    """
    passage = trained[0]
    _check_length(len(passage.tokens), "steps")
    size = sum(p.size for p in passage.cell.parameters())
    if size > LARGEST:
        raise ValueError(f"a page holds networks of at most {LARGEST:,} weights, this cell has {size:,}")
    sequence: Json = {"name": "this sequence", "tokens": passage.tokens}
    if symbols is None:
        sequence["x"] = array([node.value for node in passage.flow.named("x")])
    found = {}
    for key, (traced, readout) in {"trained": trained, "untrained": untrained}.items():
        bias = np.zeros(readout.out_features) if readout.b is None else readout.b.numpy()
        read = {"W": array(readout.W.numpy()), "b": array(bias), "loss": loss}
        found[key] = _cell(f"{key} {traced.name}", traced, read)
    return document(
        _shared()
        | {
            "unit": "step" if symbols is None else "character",
            "cells": found,
            "name": name,
            "beside": "untrained",
            "symbols": None if symbols is None else [as_word("a symbol", s) for s in symbols],
            "answers": as_words("answers", answers),
            "sequences": [sequence],
        }
    )


def _shared() -> Json:
    return {
        "longest": LONGEST,
        "detours": DETOURS,
        "notations": {key: _written(key) for key in NOTATIONS},
    }


def _written(key: str) -> dict[str, str]:
    """How a book writes the values and weights of the package's own cells."""
    n = NOTATIONS[key]
    names = {k: n.values[k] for k in ("h", "c", "x", *GATES)}
    return names | {f"{what}_{k}": n.parameter(f"{what}_{k}") for what in "Wb" for k in GATES}


def _check_length(count: int, of: str) -> None:
    if count > LONGEST:
        raise ValueError(f"a page shows at most {LONGEST} {of}, got {count:,}: give a part of the text")


def _unit(input_size: int, forget_bias: float) -> LSTMCell:
    """One unit whose only weight goes from h into the candidate, with o = 1 to the last bit."""
    cell = LSTMCell(input_size, 1, forget_bias=forget_bias)
    state = {name: a * name.startswith("b") for name, a in cell.state_dict().items()}
    state["W_g"][0] = 1
    state["b_o"][:] = 40
    cell.load_state_dict(state)
    return cell


def _cell(label: str, traced: TracedSequence, read: Json) -> Json:
    """A cell's program and picture, how L is read from it, and what the engine measured on its run."""
    cell, program = traced.cell, Program(traced.cell)
    kinds = {name: program.nodes[k]["op"] for k, name in program.names.items()}
    words = {name: f"gate {name}" if op == "sigmoid" else f"value {name}" for name, op in kinds.items()}
    words |= {name: f"state {name}" for name in cell.states} | {"x": "input"}
    own = isinstance(cell, LSTMCell | RNNCell)
    return program.data | {
        "label": label,
        "read": read,
        "words": WORDS if own else words,
        "own": own,
        "picture": program.picture(),
        "engine": {name: array(values) for name, values in measured(program, traced.flow).items()},
    }


def measured(program: Program, flow: Flow) -> dict[str, Floats]:
    """What a page holds its own numbers against, by name: values and gradients of every step, and a split.

    Of every state its values and gradients as `v h` and `d h`, each (steps + 1) vectors from the state before the first
    step on; `v f` the values of whatever else has a name; `d x`; `split`, DETOURS + 2 vectors, of the main state before
    the first step.
    """
    steps, found = flow.cell_steps, {}
    followed = {"x": [step.entering["x"] for step in steps]} | {s: flow.states.of(s) for s in program.cell.states}
    for name, values in followed.items():
        found[f"v {name}"] = np.array([value.numpy() for value in values])
        if name not in program.shared:
            gradients = [flow.gradient(value) if flow.find(value) else 0 * value.numpy() for value in values]
            found[f"d {name}"] = np.array(gradients)
    for name in dict.fromkeys(program.names.values()):
        if name not in (*program.cell.states, *program.shared):
            found[f"v {name}"] = np.array([step.named[name].numpy() for step in steps if name in step.named])
    start = flow.states.of(program.cell.states[program.main])[0]
    if flow.find(start):
        found["split"] = np.array(flow.split(start, limit=DETOURS))
    return found

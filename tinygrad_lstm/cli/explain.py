"""How much gradient reaches each word of a text, through an LSTM, a plain RNN and any cell of your own.

The text is split into words, each word gets a vector of its own (the same word always the same), and the words go one
after another through untrained cells. Written into a directory: what is left of the gradient at every word in all
cells (compare.svg), the last step of each cell opened (lstm.svg, rnn.svg; --step and --detail open others), the gates
and the states at every word as heat maps (gates_lstm.svg), and the norm of the gradient at every word (gradients.csv).
Printed: two plain sentences, that table (lstm_c is the norm of dL/dc in the LSTM), and what it says in full.
--forget-bias 3, 0 or -2 and --cells lstm,rnn,lstm1997 show when the LSTM keeps a gradient and when not. A cell of your
own, a class in a file, is named FILE.py:NAME.

With --model RUN a network that `tinygrad-lstm train` kept reads the text, by character, or without a text a sequence of
its task, drawn with --seed. The gradient is that of its answer after the last step, drawn beside the same network
untrained (compare.svg), and printed with the answer, its probabilities, and what it becomes with another symbol (or 0
for a number) in one place: a network that is sure can hang on a symbol that hardly any gradient reaches.

examples:
  tinygrad-lstm explain "the cities that I have seen in my life are ..." --out pictures
  tinygrad-lstm explain --file essay.txt --forget-bias 3 --out pictures
  tinygrad-lstm explain "to be or not to be" --tokens chars
  echo to be or not to be | tinygrad-lstm explain -
  tinygrad-lstm explain "to be or not to be" --cells rnn,lstm,my_cells.py:GRUCell
  tinygrad-lstm explain --model runs/book "It was the best of t" --out pictures
  tinygrad-lstm explain --model runs/adding --seed 3 --out pictures

--json:
  unit       what a token is: a word, a character, a task's symbol or value
  tokens     what stands at each step
  cells      a list: cell, title, norms (an object: the states, as c and h, and x, each a list with the gradient's norm
             at every step) and factors (of each of these norms one step back, a geometric mean; null where it is lost)
  reading    what the numbers say, in words
  answer     with --model, else null: task, sequences (learnt from), origin (of the tokens), outputs, names (of the
             outputs; null for a number), probabilities (of the outputs, where one of them is right), says, right (null
             where nobody knows), L (what is differentiated), deciding (steps, by the task's rule), changed (a list:
             step, instead, says, L)
  directory  where the files are
  files      their names
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..files import all_or_nothing
from ..flow.sequence import TracedSequence, embed, tokenize, trace_sequence
from ..kinds import kind_name
from ..views import draw, gates
from ..views.sentences import plainly, reading
from ..writing import visible
from .common import CELL, FORMATS, given_text, load_model, make_cells, names, save, share, told, write_csv
from .errors import UserError
from .terminal import number, paragraph, table

if TYPE_CHECKING:
    from ..train import Checkpoint, Explained

ENDS = 12  # rows at either end of a long table that are printed
LISTED = 5  # answers with their probability
UNITS = {"words": "word", "chars": "character"}


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of this command."""
    add = parser.add_argument
    share(parser, "text", "--file", "--model", "--cell", "--hidden", "--forget-bias", "--seed", "--detail", "--step")
    add("--out", type=Path, default=Path("explained"), metavar="DIR", help="where to write (default: explained)")
    add("--tokens", choices=tuple(UNITS), default="words", help="how to split (default: words)")
    add("--cells", type=names, default=["lstm", "rnn"], metavar="LIST", help=f"each {CELL} (default: lstm,rnn)")
    add("--format", choices=FORMATS, default="svg", help="of the drawings (default: svg)")


class _Found(NamedTuple):
    """What is drawn, printed and written: runs by the names of files, and what is said of them in paragraphs.

    Steps to `keep`, from 1, are in the pictures and the table wherever they are; `answer` stands in the JSON.
    """

    traced: dict[str, TracedSequence]
    tokens: Sequence[str]
    unit: str
    before: Sequence[str]
    reading: str
    answer: dict[str, Any] | None = None
    keep: Sequence[int] = ()


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Write the drawings and the table, and print the table and its reading."""
    if args.out.suffix.lower() in (".html", *(f".{name}" for name in FORMATS)):
        raise UserError(f"--out names a directory for several files, not {args.out}: --format says of what kind")
    checkpoint = load_model(args, ("cells", "tokens", "hidden", "forget_bias"))
    found = _of_text(args) if checkpoint is None else _of_model(checkpoint, args)
    with told(f"write into '{args.out}'"), all_or_nothing(args.out) as staging:
        files = _write(found, staging, args)
    written = visible(f"written into {args.out}: {', '.join(files)}")
    parts = [*map(paragraph, found.before), "\n".join(_table(found)), paragraph(found.reading), written]
    print("\n\n".join(parts))
    return {
        "unit": found.unit,
        "tokens": found.tokens,
        "cells": [
            {"cell": kind, "title": p.title, "norms": p.norms, "factors": {name: p.factor(name) for name in p.norms}}
            for kind, p in found.traced.items()
        ],
        "reading": found.reading,
        "answer": found.answer,
        "directory": str(args.out),
        "files": files,
    }


def _of_text(args: argparse.Namespace) -> _Found:
    """Untrained cells on a text."""
    text = given_text(args) or ""
    if not text.strip():
        raise UserError("the text is empty: give one in quotation marks, --file PATH, or - for standard input")
    tokens = tokenize(text, args.tokens)
    made = make_cells(args.cells, len(tokens), args)
    vectors = embed(tokens, args.hidden, args.seed)
    with told():
        traced = {name: trace_sequence(cell, vectors, tokens, args.seed) for name, cell in made.items()}
    runs, unit = list(traced.values()), UNITS[args.tokens]
    alone = args.tokens == "words" and len(tokens) == 1 < len(tokens[0])  # as of a language written without spaces
    notes = ["One word is one step: --tokens chars makes each of its characters one."] * alone
    return _Found(traced, tokens, unit, [plainly(runs, unit), *notes], reading(runs, unit))


def _of_model(checkpoint: Checkpoint, args: argparse.Namespace) -> _Found:
    """A trained network on a text or a sequence of its task, beside itself untrained: of that only dL/dx_t."""
    from ..train import explain, sentences

    with told():
        found = explain(checkpoint, given_text(args), args.seed)
    name, before, settings = found.trained.name, found.untrained, checkpoint.settings
    traced = {
        kind_name(settings.cell): replace(found.trained, title=f"{name}, trained on {settings.task}"),
        "untrained": replace(before, title=f"{name}, untrained", norms={"x": before.x}),
    }
    said = [sentences.plainly(found), sentences.heading(found), _answer(found)]
    deciding = [t + 1 for t in found.deciding]
    unit, meaning = found.notation.unit, sentences.reading(found)
    return _Found(traced, found.trained.tokens, unit, said, meaning, found.as_dict(), deciding)


def _answer(found: Explained) -> str:
    """What the network answers, by probability where it has those, and what was right where that is known."""
    from ..train import sentences

    p = found.probabilities
    if p is None:
        return sentences.answer(found)
    best = np.argsort(-p, kind="stable")[:LISTED]
    listed = ", ".join(f"{found.notation.spelled(found.names[k])} {sentences.probability(p[k])}" for k in best)
    right = "" if found.right is None else f"; right is {found.notation.spelled(found.right)}"
    return (
        f"the {'next character' if found.notation.unit == 'character' else 'answer'}, by probability: {listed}{right}"
    )


def _write(found: _Found, folder: Path, args: argparse.Namespace) -> list[str]:
    """Draw all cells as a strip, and of each that has states a step and its gates; return the files' names.

    The untrained network, of which only dL/dx is known, is beside the trained one alone.
    """
    form, labels, opened = args.format, found.tokens, [*[args.step] * bool(args.step), *found.keep]
    flows, titles = [p.flow for p in found.traced.values()], [p.title for p in found.traced.values()]
    drawn = {"compare": draw(*flows, detail="step", titles=titles, labels=labels, keep=found.keep)}
    for kind, p in found.traced.items():
        detail = "ops" if args.detail == "auto" else args.detail
        if len(p.norms) > 1:
            drawn[kind] = draw(p.flow, detail=detail, titles=[p.title], labels=labels, keep=opened, beside=flows)
            if p.flow.cell_steps[-1].named.keys() - set(p.cell.states):
                drawn[f"gates_{kind}"] = gates(p.flow, p.tokens, p.title)
    files = [save(drawing, folder / f"{name}.{form}").name for name, drawing in drawn.items()]
    columns = _columns(found)
    rows = zip(range(1, len(labels) + 1), labels, *columns.values(), strict=True)
    write_csv(folder / "gradients.csv", ["step", "word", *columns], rows)
    return [*files, "gradients.csv"]


def _columns(found: _Found) -> dict[str, list[float]]:
    """Every norm at every step, as lstm_c: that of dL/dc in the LSTM."""
    return {f"{kind}_{name}": v.tolist() for kind, p in found.traced.items() for name, v in p.norms.items()}


def _table(found: _Found) -> list[str]:
    """A line for each step, of many those at the ends and to keep."""
    columns, count = _columns(found), len(found.tokens)
    shown = sorted({*range(min(ENDS, count)), *(t - 1 for t in found.keep), *range(max(count - ENDS, 0), count)})
    rows = [["step", *columns, found.unit]]
    for before, t in pairwise([-1, *shown]):
        if t > before + 1:
            rows.append(["…", *[""] * len(columns), f"{t - before - 1:,} more"])
        word = found.tokens[t]
        texts = [number(norms[t]) for norms in columns.values()]
        rows.append([str(t + 1), *texts, visible(word if word.strip() else repr(word))])
    if count > 1:
        factors = [number(p.factor(name)) for p in found.traced.values() for name in p.norms]
        rows.append(["", *factors, "× a step, a geometric mean"])
    return table(rows)

"""How much gradient reaches each word of a text, through an LSTM, a plain RNN and any cell of your own.

The text is split into words, each word gets a vector of its own (the same word always the same), and the words go one
after another through untrained cells. Written into a directory: what is left of the gradient at every word in all
cells (compare.svg), the last step of each cell opened (lstm.svg, rnn.svg; --step and --detail open others), the gates
and the states at every word as heat maps (gates.svg), and gradients.csv with the norm of the gradient at every word.
Printed: two plain sentences, that table, and what it says in full.
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
import math
import os
import sys
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..files import all_or_nothing
from ..flow.sequence import TINY, TracedSequence, embed, tokenize, trace_sequence
from ..kinds import kind_name
from ..views.sentences import plainly, reading
from .common import CELL, FORMATS, add_cell_options, add_model, cells, load_model, make_cells, save, told, write_csv
from .errors import UserError
from .terminal import bar, fit, safe, width
from .text import add_text, given_text

if TYPE_CHECKING:
    from ..train import Checkpoint, Explained

WIDTH = 80
HEAD, TAIL = 12, 12  # rows of a long table that are printed
WORD, NUMBER, BAR = 12, 9, 6  # columns
LISTED, TOKEN, PERCENT, ANSWER = 5, 10, 9, 20  # answers with their probability, and columns
UNITS = {"words": "word", "chars": "character"}


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of this command."""
    add = parser.add_argument
    add_text(parser)
    add("--out", type=Path, default=Path("explained"), metavar="DIR", help="where to write (default: explained)")
    add_model(parser)
    add("--tokens", choices=tuple(UNITS), default="words", help="how to split (default: words)")
    add("--cells", type=cells, default=["lstm", "rnn"], metavar="LIST", help=f"each {CELL} (default: lstm,rnn)")
    add_cell_options(parser)
    add("--format", choices=FORMATS, default="svg", help="of the drawings (default: svg)")


@dataclass
class _Explained:
    """What is drawn, printed and written: runs by the names of files, those of `alone` drawn by themselves too.

    Steps to `keep`, from 0, are in the table wherever they are, those `drawn`, from 1, in the pictures; `heading`
    stands above the table, `answer` in the JSON.
    """

    traced: dict[str, TracedSequence]
    alone: list[str]
    unit: str
    plainly: str
    reading: str
    notes: Sequence[str] = ()
    heading: Sequence[str] = ()
    answer: dict[str, Any] | None = None
    drawn: Sequence[int] = ()
    keep: Sequence[int] = ()

    @property
    def tokens(self) -> tuple[str, ...]:
        return next(iter(self.traced.values())).tokens


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Write the drawings and the table, and print the table and its reading."""
    if (form := args.out.suffix.lower()) in (".html", *(f".{name}" for name in FORMATS)) and not os.path.isdir(
        args.out
    ):
        how = "take `explore` for one page" if form == ".html" else f"give --format {form[1:]} and a directory"
        raise UserError(f"--out names a directory, in which several files are written, not {args.out}: {how}")
    checkpoint = load_model(args, ("cells", "tokens", "hidden", "forget_bias"))
    found = _of_text(args) if checkpoint is None else _of_model(checkpoint, args)
    with told(f"write into '{args.out}'"), all_or_nothing(args.out) as staging:
        files, notes = _write(found, staging, args)
    for note in (*notes, *found.notes):
        print(note, file=sys.stderr)
    print(f"{textwrap.fill(safe(found.plainly), WIDTH)}\n")
    print("\n".join([*found.heading, *table(list(found.traced.values()), found.unit, found.keep)]))
    print(f"\n{textwrap.fill(safe(found.reading), WIDTH)}\n")
    print(safe(f"written into {args.out}: {', '.join(files)}"))
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


def _of_text(args: argparse.Namespace) -> _Explained:
    """Untrained cells on a text."""
    text = given_text(args)
    tokens = tokenize(text, args.tokens)
    if not text.strip():
        raise UserError('the text is empty: give some words, as in explain "the cities that I have seen"')
    made = make_cells(args.cells, len(tokens), args)
    vectors = embed(tokens, args.hidden, args.seed)
    with told():
        traced = {name: trace_sequence(cell, vectors, tokens, args.seed) for name, cell in made.items()}
    alone = args.tokens == "words" and len(tokens) == 1 < len(tokens[0])  # as of a language written without spaces
    notes = ["one word is one step: --tokens chars makes each of its characters one"] * alone
    runs, unit = list(traced.values()), UNITS[args.tokens]
    return _Explained(traced, [*traced], unit, plainly(runs, unit), reading(runs, unit), notes)


def _of_model(checkpoint: Checkpoint, args: argparse.Namespace) -> _Explained:
    """A trained network on a text or a sequence of its task, beside itself untrained: of that only dL/dx_t."""
    from ..train import explain, sentences

    with told():
        found = explain(checkpoint, given_text(args) if args.text or args.file is not None else None, args.seed)
    name, kind, before = found.trained.name, kind_name(checkpoint.settings.cell), found.untrained
    return _Explained(
        {
            kind: replace(found.trained, name="trained", title=f"{name}, trained on {found.task}"),
            "untrained": replace(before, name="untrained", title=f"{name}, untrained", norms={"x": before.x}),
        },
        [kind],
        found.notation.unit,
        sentences.plainly(found),
        sentences.reading(found),
        heading=[*sentences.heading(found), "", *_answer(found), ""],
        answer=found.as_dict(),
        drawn=[t + 1 for t in found.deciding],
        keep=[*found.deciding, *found.largest],
    )


def _answer(found: Explained) -> list[str]:
    """What the network answers, by probability where it has those, and what was right where that is known."""
    from ..train import sentences

    wanted, p = found.sequence.wanted, found.probabilities
    if p is None:
        return [safe(sentences.answer(found))]
    names = [sentences.said(found, name) for name in found.names]
    best = [int(k) for k in np.argsort(-p, kind="stable")[:LISTED]]
    lines = [
        f"{fit(safe(names[k]), TOKEN)} {sentences.probability(p[k]):>{PERCENT}} {bar(p[k], ANSWER)}"
        + ("  right" if k == wanted else "")
        for k in dict.fromkeys([*best, *([] if wanted is None else [int(wanted)])])
    ]
    what = "next character" if found.task == "text" else "answer"
    return [f"the {what}, by probability", *(line.rstrip() for line in lines)]


def _write(found: _Explained, folder: Path, args: argparse.Namespace) -> tuple[list[str], list[str]]:
    """Draw all cells as a strip, and of each of `alone` a step and its gates; return the files' names, and notes."""
    from ..views import draw, gates

    form, labels, opened = args.format, found.tokens, [*[args.step] * bool(args.step), *found.drawn]
    flows, titles = [p.flow for p in found.traced.values()], [p.title for p in found.traced.values()]
    strip = draw(*flows, detail="step", titles=titles, labels=labels, keep=found.drawn)
    saved = [save(strip, folder / f"compare.{form}")]
    for kind in found.alone:
        p, detail = found.traced[kind], "ops" if args.detail == "auto" else args.detail
        alone = draw(p.flow, detail=detail, titles=[p.title], labels=labels, keep=opened, beside=flows)
        saved.append(save(alone, folder / f"{kind}.{form}"))
    gated = [kind for kind in found.alone if _has_gates(found.traced[kind])]
    for kind in gated:
        p, name = found.traced[kind], "gates" if kind == gated[0] else f"gates_{kind}"
        saved.append(save(gates(p.flow, p.tokens, p.title), folder / f"{name}.{form}"))
    norms = {f"{kind}_{name}": v.tolist() for kind, p in found.traced.items() for name, v in p.norms.items()}
    rows = zip(range(1, len(labels) + 1), labels, *norms.values(), strict=True)
    write_csv(folder / "gradients.csv", ["step", "word", *norms], rows)
    files = [*(path.name for path, _ in saved), "gradients.csv"]
    return files, list(dict.fromkeys(note for _, note in saved if note))


def _has_gates(p: TracedSequence) -> bool:
    """Whether the cell's equations name more than its states."""
    return any(step.named.keys() - set(p.cell.states) for step in p.flow.cell_steps)


def table(traced: Sequence[TracedSequence], unit: str = "word", keep: Sequence[int] = ()) -> list[str]:
    """The lines of the printed table: cells side by side as far as they fit, the middle of a long one left out.

    `keep` are steps, counted from 0, that have a row wherever they are.

    The bars are log10 of dL/dx on one scale for all cells, from the power of ten below the smallest norm that is not
    0 to the one above the largest.
    """
    logs = [math.log10(v) for p in traced for v in p.x.tolist() if v >= TINY] or [0.0]
    low = math.floor(min(logs))
    high = max(math.ceil(max(logs)), low + 1)
    lines: list[str] = []
    shown = _shown(len(traced[0].tokens), keep)
    for side_by_side in _packed([_columns(p, shown, low, high) for p in traced]):
        rows = zip(_left(traced[0].tokens, shown, unit), *side_by_side, strict=True)
        lines += [*(" │".join(row).rstrip() for row in rows), ""]
    notes = [f"bars: dL/dx on a log scale, 1e{low:+03d} (empty) to 1e{high:+03d} (full) in all cells"]
    if any(0 < v < TINY for p in traced for norms in p.norms.values() for v in norms.tolist()):
        notes.append(f"<{TINY:.0e}: too small for float64 to hold all its digits")
    if len(traced[0].tokens) > 1:
        notes.append("× a step: the factor of one step back, a geometric mean over the steps")
    return lines + notes


def _shown(steps: int, keep: Sequence[int]) -> list[range]:
    """The steps of each row, counted from 0: one, or those left out."""
    kept = {*range(HEAD), *keep, *range(steps - TAIL, steps)} if steps > HEAD + TAIL + 1 else {*range(steps)}
    rows = [range(t, t + 1) for t in sorted(kept)]
    between = [range(a.stop, b.start) for a, b in pairwise(rows) if a.stop < b.start]
    return sorted([*rows, *between], key=lambda row: row.start)


def _left(words: Sequence[str], shown: Sequence[range], unit: str) -> list[str]:
    """The step and word of each row."""
    digits = max(4, len(str(len(words))))
    lines = [" " * (digits + 1 + WORD), f"{'step':>{digits}} {fit(unit, WORD)}"]
    for row in shown:
        if len(row) > 1:
            lines.append(f"{'…':>{digits}} {fit(f'{len(row):,} more', WORD)}")
        else:
            word = words[row.start]
            lines.append(f"{row.stop:>{digits}} {fit(safe(word if word.strip() else repr(word)), WORD)}")
    return [*lines, f"{'':{digits}} {fit('× a step', WORD)}"] if len(words) > 1 else lines


def _columns(p: TracedSequence, shown: Sequence[range], low: int, high: int) -> list[str]:
    """The columns of one cell: its norms and the bar."""
    size = NUMBER * len(p.norms) + 1 + BAR
    heads = [fit(f"dL/d{name}", NUMBER - 1).rstrip() for name in p.norms]
    lines = [fit(f"  {p.name}", size), fit("".join(f"{head:>{NUMBER}}" for head in heads), size)]
    for row in shown:
        if len(row) > 1:
            lines.append(" " * size)
            continue
        t = row.start
        numbers = "".join(f"{_number(float(v[t])):>{NUMBER}}" for v in p.norms.values())
        share = 0.0 if p.x[t] < TINY else (math.log10(p.x[t]) - low) / (high - low)
        lines.append(f"{numbers} {bar(share, BAR)}")
    factors = [p.factor(name) for name in p.norms]
    last = "".join(f"{'' if f is None else f'{f:#.3g}':>{NUMBER}}" for f in factors)
    return [*lines, fit(last, size)] if len(p.tokens) > 1 else lines


def _packed(blocks: Sequence[list[str]]) -> list[list[list[str]]]:
    """The blocks in groups that fit side by side."""
    groups: list[list[list[str]]] = []
    room = 0
    for block in blocks:
        size = width(block[0]) + 2
        if size > room:
            groups.append([])
            room = WIDTH - WORD - 5
        groups[-1].append(block)
        room -= size
    return groups


def _number(norm: float) -> str:
    return "0" if norm == 0 else f"{norm:.1e}" if norm >= TINY else f"<{TINY:.0e}"

"""Write text with a network that was trained on one: the prompt, and what the network lets follow.

Each character is drawn from the network's probabilities, sharpened by a temperature below 1 and flattened by one above;
at 0 the most probable is taken each time. The same seed gives the same text.

A run to write with comes from `tinygrad-lstm train text --data book.txt --hidden 64 --out runs/book`.

example:
  tinygrad-lstm sample runs/book --prompt "It was " --temperature 0.7 --length 300
"""

from __future__ import annotations

import argparse

from ..train.sample import sample
from ..writing import visible
from .common import load_run, share, told, within


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of this command."""
    add = parser.add_argument
    share(parser, "checkpoint", "--cell", "--seed")
    add("--prompt", default="", metavar="TEXT", help="how the text begins (default: a new line)")
    add("--length", type=within(0, 10**7), default=200, metavar="N", help="characters (default: 200)")
    add("--temperature", type=float, default=1.0, metavar="X", help="0 or more (default: 1)")


def run(args: argparse.Namespace) -> None:
    """Print the text."""
    checkpoint = load_run(args.checkpoint, args.cell)
    with told():
        characters = sample(checkpoint, args.prompt, args.length, args.temperature, args.seed)
        written = args.prompt + "".join(characters)
    for line in written.split("\n"):
        print(visible(line.replace("\t", "    ")))

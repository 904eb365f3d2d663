"""Take a trained network to PyTorch, to ONNX, or into a file of its weights.

  --to pytorch      safetensors under PyTorch's names, shapes and gate order; prints the lines of PyTorch that load it
  --to safetensors  the same under this package's own names; prints the lines that build the network here and load it
  --to npz          the same as a file of NumPy's
  --to onnx         standard operators, for whatever runs ONNX

Of a run that kept the network with the lowest held-out loss (text, series) it is that one, else the last. The
optimiser's moments stay behind. The first two need the extra `safetensors`, the last `onnx`. PyTorch and ONNX have the
layers of an lstm and an rnn: a cell of your own, given again as --cell, goes into npz and safetensors.

examples:
  tinygrad-lstm export runs/adding --to pytorch --out adding.safetensors
  tinygrad-lstm export runs/book --to onnx --out book.onnx
"""

from __future__ import annotations

import argparse
import io
from pathlib import Path

import numpy as np

from ..files import write_atomically
from ..interop import onnx, pytorch, safetensors
from ..nn import Linear
from ..train import Checkpoint, Network
from .common import load_run, share, told
from .errors import UserError
from .terminal import safe

FORMATS = ("pytorch", "safetensors", "npz", "onnx")


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of this command."""
    add = parser.add_argument
    share(parser, "checkpoint", "--cell")
    add("--to", choices=FORMATS, required=True, help="who is to read it")
    add("--out", type=Path, required=True, metavar="FILE", help="the file to write")


def run(args: argparse.Namespace) -> None:
    """Write the file, and say how to read it."""
    checkpoint = load_run(args.checkpoint, args.cell)
    network = checkpoint.best_network()
    if checkpoint.cell is not None and args.to in ("pytorch", "onnx"):
        name = checkpoint.cell.__name__
        raise UserError(
            f"--to {args.to} has no layer for {name}, only for an lstm and an rnn: take --to npz or safetensors"
        )
    with told(f"write {args.out}"):
        if args.to == "onnx":
            onnx.export([network.layer, network.readout], args.out)
        elif args.to == "npz":
            file = io.BytesIO()
            np.savez(file, **network.state_dict())  # type: ignore[arg-type]
            write_atomically(args.out, file.getvalue())
        else:
            safetensors.save(pytorch.state_dict(network) if args.to == "pytorch" else network, args.out)
    print(safe(f"written: {args.out}"))
    lines = [*_lines(network, args.to, str(args.out), args.cell), *_meaning(checkpoint)]
    print("\n" + "\n".join(map(safe, lines)))


def _lines(network: Network, to: str, path: str, cell: str | None) -> list[str]:
    """A program that loads the file and computes what the network does."""
    layer, hidden, outputs = network.layer, network.readout.in_features, network.readout.out_features
    inputs = layer.in_features if isinstance(layer, Linear) else layer.input_size
    shape = f"# x of shape (T, batch, {inputs}), {network.dtype}"
    if to == "onnx":
        return [
            "import onnxruntime",
            f"net = onnxruntime.InferenceSession({path!r})",
            f'y = net.run(["y"], {{"x": x}})[0]  {shape}',
        ]
    if to in ("safetensors", "npz"):
        own = network.kind if isinstance(network.kind, str) else network.kind.__name__
        read = f"tl.interop.safetensors.load_state_dict({path!r})" if to == "safetensors" else f"np.load({path!r})"
        return [
            *(["import numpy as np"] if to == "npz" else []),
            "import tinygrad_lstm as tl",
            *([f"from {Path(cell.rpartition(':')[0]).stem} import {own}"] if cell else []),
            f"net = tl.train.Network({inputs}, {outputs}, {own if cell else repr(own)}, hidden={hidden})",
            f"net.load_state_dict({read})",
            f"y, state = net.predict(x)  {shape}",
        ]
    kind = "Linear" if isinstance(layer, Linear) else type(layer).__name__  # a bag is a Linear of its own
    made = f"torch.nn.{kind}({inputs}, {hidden})"
    last = f"torch.nn.Linear({hidden}, {outputs})"
    h = 'torch.tanh(net["layer"](x)).mean(0, keepdim=True)' if network.kind == "bag" else 'net["layer"](x)[0]'
    return [
        "import safetensors.torch",
        "import torch",
        f'net = torch.nn.ModuleDict({{"layer": {made}, "readout": {last}}})',
        f"net.load_state_dict(safetensors.torch.load_file({path!r}))",
        f'y = net["readout"]({h})  {shape}',
    ]


def _meaning(checkpoint: Checkpoint) -> list[str]:
    """What the entries of x and y stand for, where the run's data decided that."""
    task, about = checkpoint.settings.task, checkpoint.about.get("task")
    if task == "text" and isinstance(about, dict):
        characters = str(about.get("characters"))
        return [f"# x is 1 at the place of its character in {characters!r}, y a score for each that may follow"]
    if task == "series" and isinstance(about, dict):
        return [f"# x is (value - {about.get('mean')!r}) / {about.get('scale')!r}, y the next one, scaled alike"]
    return []

"""Take a trained network to PyTorch, to ONNX, or into a file of its weights.

  --to pytorch   safetensors under PyTorch's names, shapes and gate order; prints the lines of PyTorch that load it
  --to npz       NumPy's, under this package's own names; prints the lines that build the network here and load it
  --to onnx      standard operators, for whatever runs ONNX

Of a run that kept the network with the lowest held-out loss (text, series) it is that one, else the last. The
optimiser's moments stay behind. The first needs the extra `safetensors`, the last `onnx`. PyTorch and ONNX have the
layers of an lstm and an rnn: a cell of your own, given again as --cell, goes into npz.

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
from ..kinds import kind_name
from ..nn import Linear
from ..train import Checkpoint, Network
from ..writing import visible
from .common import load_run, share, told
from .errors import UserError


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of this command."""
    share(parser, "checkpoint", "--cell")
    parser.add_argument("--to", choices=("pytorch", "npz", "onnx"), required=True, help="who is to read it")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="the file to write")


def run(args: argparse.Namespace) -> None:
    """Write the file, and say how to read it."""
    checkpoint = load_run(args.checkpoint, args.cell)
    network = checkpoint.best_network()
    if checkpoint.cell is not None and args.to != "npz":
        raise UserError(
            f"--to {args.to} has no layer for {checkpoint.cell.__name__}: --to npz takes a cell of your own"
        )
    with told(f"write {args.out}"):
        if args.to == "onnx":
            onnx.export([network.layer, network.readout], args.out)
        elif args.to == "pytorch":
            safetensors.save(pytorch.state_dict(network), args.out)
        else:
            file = io.BytesIO()
            np.savez(file, **network.state_dict())  # type: ignore[arg-type]
            write_atomically(args.out, file.getvalue())
    lines = [*_lines(network, args.to, str(args.out), args.cell), *_meaning(checkpoint)]
    print("\n".join(map(visible, [f"written: {args.out}", "", *lines])))


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
    if to == "npz":
        kind = kind_name(network.kind)
        return [
            "import numpy as np",
            "import tinygrad_lstm as tl",
            *([f"from {Path(cell.rpartition(':')[0]).stem} import {kind}"] if cell else []),
            f"net = tl.train.Network({inputs}, {outputs}, {kind if cell else repr(kind)}, hidden={hidden})",
            f"net.load_state_dict(np.load({path!r}))",
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

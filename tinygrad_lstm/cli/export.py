"""Take a trained network to PyTorch, to ONNX, or into a file of its weights.

  --to pytorch      safetensors under PyTorch's names, shapes and gate order; prints the lines of PyTorch that load it
  --to safetensors  the same under this package's own names; prints the lines that build the network here and load it
  --to onnx         standard operators, for whatever runs ONNX

Of a run that kept the network with the lowest held-out loss (text, series) it is that one, else the last. The
optimiser's moments stay behind. The first two need the extra `safetensors`, the last `onnx`.

examples:
  tinygrad-lstm export runs/adding --to pytorch --out adding.safetensors
  tinygrad-lstm export runs/book --to onnx --out book.onnx
"""

from __future__ import annotations

import argparse
from pathlib import Path

from ..interop import onnx, pytorch, safetensors
from ..nn import Linear
from ..train import Checkpoint, Network, load
from .errors import UserError, reason
from .terminal import safe, show

FORMATS = {"pytorch": "safetensors", "safetensors": "safetensors", "onnx": "onnx"}  # and what the file is, its suffix


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of this command."""
    parser.add_argument(
        "checkpoint", type=Path, metavar="RUN", help="the directory of a run, or one of its checkpoints"
    )
    parser.add_argument("--to", choices=FORMATS, required=True, help="who is to read it")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="the file to write")


def run(args: argparse.Namespace) -> None:
    """Write the file, and say how to read it."""
    if args.out.suffix.lower() in (".pt", ".pth"):
        name = args.out.with_suffix("." + FORMATS[args.to])
        raise UserError(
            f"{args.out} would be a file that torch.load cannot read: take --out {name} and the lines then printed"
        )
    try:
        checkpoint = load(args.checkpoint)
    except ValueError as error:
        raise UserError(str(error)) from error
    except OSError as error:
        raise UserError(f"cannot read {error.filename or args.checkpoint}: {reason(error)}") from error
    network = checkpoint.best_network()
    try:
        if args.to == "onnx":
            onnx.export(network, args.out)
        else:
            safetensors.save(pytorch.state_dict(network) if args.to == "pytorch" else network, args.out)
    except (ValueError, ImportError) as error:
        raise UserError(str(error)) from error
    except OSError as error:
        raise UserError(f"cannot write {args.out}: {reason(error)}") from error
    show(safe(f"written: {args.out}"))
    lines = [*_lines(network, args.to, str(args.out)), *_meaning(checkpoint)]
    show("\n" + "\n".join(map(safe, lines)))


def _lines(network: Network, to: str, path: str) -> list[str]:
    """A program that loads the file and computes what the network does."""
    layer, hidden, outputs = network.layer, network.readout.in_features, network.readout.out_features
    inputs = layer.in_features if isinstance(layer, Linear) else layer.input_size
    shape = f"# x of shape (T, batch, {inputs}), float32"
    if to == "onnx":
        return [
            "import onnxruntime",
            f"net = onnxruntime.InferenceSession({path!r})",
            f'y = net.run(["y"], {{"x": x}})[0]  {shape}',
        ]
    if to == "safetensors":
        return [
            "import tinygrad_lstm as tl",
            f"net = tl.train.Network({inputs}, {outputs}, {network.kind!r}, hidden={hidden})",
            f"net.load_state_dict(tl.interop.safetensors.load_state_dict({path!r}))",
            f"y, state = net.predict(x)  {shape}",
        ]
    made = f"torch.nn.{type(layer).__name__}({inputs}, {hidden})"
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

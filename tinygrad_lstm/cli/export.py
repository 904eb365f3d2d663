"""Take a trained network to PyTorch, to ONNX, or into a file that rebuilds it.

  --to pytorch      safetensors under PyTorch's names, shapes and gate order; prints the lines of PyTorch that load it
  --to safetensors  this package's own names and the architecture: tl.interop.safetensors.load(FILE) rebuilds it
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

from ..nn import LSTM, RNN
from ..train import Checkpoint, Network, load
from .errors import UserError, reason
from .terminal import safe, show

FORMATS = ("pytorch", "safetensors", "onnx")


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of this command."""
    parser.add_argument(
        "checkpoint", type=Path, metavar="RUN", help="the directory of a run, or one of its checkpoints"
    )
    parser.add_argument("--to", choices=FORMATS, required=True, help="who is to read it")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="the file to write")


def run(args: argparse.Namespace) -> None:
    """Write the file, and say how to read it."""
    try:
        checkpoint = load(args.checkpoint)
    except ValueError as error:
        raise UserError(str(error)) from error
    except OSError as error:
        raise UserError(f"cannot read {error.filename or args.checkpoint}: {reason(error)}") from error
    network = checkpoint.best_network()
    try:
        _write(network, args.to, args.out)
    except (ValueError, ImportError) as error:
        raise UserError(str(error)) from error
    except OSError as error:
        raise UserError(f"cannot write {args.out}: {reason(error)}") from error
    show(safe(f"written: {args.out}"))
    lines = {"pytorch": _pytorch, "safetensors": _safetensors, "onnx": _onnx}[args.to](network, str(args.out))
    show("\n" + "\n".join(map(safe, [*lines, *_meaning(checkpoint)])))


def _write(network: Network, to: str, path: Path) -> None:
    if to == "onnx":
        from ..interop import onnx

        onnx.export(network, path)
        return
    from ..interop import pytorch, safetensors

    safetensors.save(pytorch.state_dict(network) if to == "pytorch" else network, path)


def _pytorch(network: Network, path: str) -> list[str]:
    """A program of PyTorch that loads the file and computes what the network does."""
    readout, layer = network.readout, network.layer
    if isinstance(layer, (RNN, LSTM)):
        made = f"torch.nn.{type(layer).__name__}({layer.input_size}, {layer.hidden_size})"
        inputs, hidden = layer.input_size, 'net["layer"](x)[0]'
    else:
        made = f"torch.nn.Linear({layer.in_features}, {layer.out_features})"
        inputs, hidden = layer.in_features, 'torch.tanh(net["layer"](x)).mean(0, keepdim=True)'
    last = f"torch.nn.Linear({readout.in_features}, {readout.out_features})"
    return [
        "import safetensors.torch",
        "import torch",
        f'net = torch.nn.ModuleDict({{"layer": {made}, "readout": {last}}})',
        f"net.load_state_dict(safetensors.torch.load_file({path!r}))",
        f'y = net["readout"]({hidden})  # x of shape (T, batch, {inputs}), float32',
    ]


def _inputs(network: Network) -> int:
    layer = network.layer
    return layer.input_size if isinstance(layer, (RNN, LSTM)) else layer.in_features


def _safetensors(network: Network, path: str) -> list[str]:
    return [
        "import tinygrad_lstm as tl",
        f"net = tl.interop.safetensors.load({path!r})",
        f"y, state = net.predict(x)  # x of shape (T, batch, {_inputs(network)}), float32",
    ]


def _onnx(network: Network, path: str) -> list[str]:
    return [
        "import onnxruntime",
        f"net = onnxruntime.InferenceSession({path!r})",
        f'y = net.run(["y"], {{"x": x}})[0]  # x of shape (T, batch, {_inputs(network)}), float32',
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

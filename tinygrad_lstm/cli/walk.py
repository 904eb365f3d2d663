"""One step of an LSTM, number by number: every matrix, gate and derivative of a cell that ran.

examples:
  tinygrad-lstm walk
  tinygrad-lstm walk --h 0.1,0.2,0.3 --c 4,5,6 --x 1,0,0,0 --notation gamma
  tinygrad-lstm walk --weights cell.npz --notation separate
  tinygrad-lstm walk --json

notations:
  gates      f_t, i_t, C~_t, o_t, C_t, h_t         W · [h, x] + b
  gamma      Γ_f, Γ_u, c~<t>, Γ_o, c<t>, a<t>      W · [a, x] + b; Γ_u is the input gate
  separate   f_t, i_t, g_t, o_t, c_t, s_t          W s + U x + b
"""

from __future__ import annotations

import argparse
import io
import re
import sys
import zipfile
import zlib
from typing import Any

import numpy as np
import numpy.typing as npt

from ..interop import pytorch
from ..nn import LSTMCell
from ..walk import NOTATIONS, page
from ..walk.notation import GATES
from ..walk.numbers import Numbers, gate_of, numbers
from .errors import UserError
from .terminal import safe

Array = npt.NDArray[np.float64]

RESULT = {
    "weights": "where they come from",
    "before": "h, c and x: the states before the step, and its input",
    "gates": "f, i, g and o, each with W (hidden + input rows), b, sum (what enters its nonlinearity), value and slope "
    "(the derivative of the one by the other)",
    "after": "c, tanh_c and h, and of the step after with the same input c and h as next_c and next_h",
    "derivatives": "dc_dc, dc_dh, dh_dc, dh_dh by the states before (row: output, column: input); dc2_dc through both "
    "steps; tanh_slope; shown_slope, that of h by c with the gates held",
}
LARGEST = 256  # numbers in a vector: the weights of a larger cell are no longer a page to read
LARGEST_FILE = 2**26  # bytes, unpacked
# What a vector that was not given is made of, repeated to the length that is needed.
USUAL = {"h": (0.1, -0.2, 0.3), "c": (0.4, 0.5, 0.6), "x": (1.0, 0.0, -1.0, 0.5)}


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `tinygrad-lstm walk`."""
    # By default argparse takes -0.1,0.2 for an option, because only a single number may be negative.
    parser._negative_number_matcher = re.compile(r"-[.\d]")
    parser.add_argument("--h", metavar="NUMBERS", help="hidden state before the step, such as 0.1,-0.2,0.3")
    parser.add_argument("--c", metavar="NUMBERS", help="cell state before the step, as many numbers as --h")
    parser.add_argument("--x", metavar="NUMBERS", help="input of the step, such as 1,0,-1,0.5")
    parser.add_argument("--notation", choices=NOTATIONS, default="gates", help="how to write it (default: gates)")
    parser.add_argument(
        "--weights",
        metavar="FILE",
        help="an .npz file with arrays W_f (hidden + input, hidden), b_f (hidden,) and so on for i, g, o, or with "
        "PyTorch's weight_ih, weight_hh, bias_ih, bias_hh (default: drawn from --seed)",
    )
    parser.add_argument("--forget-bias", type=float, metavar="B", help="where b_f starts (default: 1)")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="seed of the weights (default: 0)")


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Print the page. Raises UserError for vectors, options or a file that do not fit."""
    given = {k: _vector(k, getattr(args, k)) for k in "hcx" if getattr(args, k) is not None}
    if args.weights is not None:
        if args.forget_bias is not None:
            raise UserError("--forget-bias and --weights both set b_f: leave out one of them")
        cell = cell_from_file(args.weights)
        source = f"weights from {safe(args.weights)}"
    else:
        bias = 1.0 if args.forget_bias is None else args.forget_bias
        if not np.isfinite(bias):
            raise UserError(f"--forget-bias must be a finite number, got {bias}")
        if args.seed < 0:
            raise UserError(f"--seed must be 0 or more, got {args.seed}")
        state = next((given[k] for k in "hc" if k in given), USUAL["h"])
        cell = LSTMCell(len(given.get("x", USUAL["x"])), len(state), forget_bias=bias, rng=args.seed)
        source = f"weights from seed {args.seed}, forget bias {bias:g}"
    sizes = {"h": cell.hidden_size, "c": cell.hidden_size, "x": cell.input_size}
    for k, values in given.items():
        if len(values) != sizes[k]:
            raise UserError(f"--{k} has {len(values)} numbers, but {args.weights or '--h'} asks for {sizes[k]}")
    vectors = {k: given.get(k, np.resize(USUAL[k], sizes[k])) for k in sizes}
    try:
        text = page(cell, **vectors, notation=args.notation, source=source)
    except OverflowError as error:
        raise UserError(str(error)) from None
    if isinstance(sys.stdout, io.TextIOWrapper) and not _encodable(text, sys.stdout.encoding):
        sys.stdout.reconfigure(encoding="utf-8")  # a page of escapes would help nobody
    print(text)
    return _result(cell, source, numbers(cell, **vectors))


def _result(cell: LSTMCell, source: str, n: Numbers) -> dict[str, Any]:
    """What --json says: all that the page is made of."""
    weights = cell.state_dict()
    gates = {
        k: {
            "W": weights[f"W_{k}"],
            "b": weights[f"b_{k}"],
            "sum": gate_of(n.step, k).inputs[0].numpy(),
            "value": gate_of(n.step, k).numpy(),
            "slope": n.slopes[k],
        }
        for k in GATES
    }
    after = {"c": n.step.c, "tanh_c": n.step.h.inputs[1], "h": n.step.h, "next_c": n.next.c, "next_h": n.next.h}
    names = ("dc_dc", "dc_dh", "dh_dc", "dh_dh", "dc2_dc", "tanh_slope", "shown_slope")
    return {
        "weights": source,
        "before": {"h": n.h_before.numpy(), "c": n.c_before.numpy(), "x": n.x.numpy()},
        "gates": gates,
        "after": {name: value.numpy() for name, value in after.items()},
        "derivatives": {name: getattr(n, name) for name in names},
    }


def _encodable(text: str, encoding: str) -> bool:
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        return False
    return True


def _vector(name: str, text: str) -> Array:
    """The numbers of an option, separated by commas or spaces."""
    words = text.replace(",", " ").split()
    if not words:
        raise UserError(f"--{name} is empty: give numbers with commas between, such as 0.1,-0.2,0.3")
    if len(words) > LARGEST:
        raise UserError(f"--{name} has {len(words)} numbers, a walk shows at most {LARGEST}")
    numbers = []
    for word in words:
        try:
            numbers.append(float(word))
        except ValueError:
            raise UserError(
                f"--{name}: {word[:40]!r} is not a number: give numbers with commas between, such as 0.1,-0.2,0.3"
            ) from None
        if not np.isfinite(numbers[-1]):
            raise UserError(f"--{name}: {word[:40]} is not a finite number")
    return np.array(numbers)


def cell_from_file(path: str) -> LSTMCell:
    """A cell with the weights of an .npz file, under the cell's own names or PyTorch's.

    Raises UserError naming the file and what is wrong with it.
    """
    arrays = _arrays(path)
    theirs = "weight_ih" in arrays or "weight_hh" in arrays
    own = [f"{kind}_{k}" for kind in "Wb" for k in GATES]
    names = ["weight_ih", "weight_hh", "bias_ih", "bias_hh"] if theirs else own
    if missing := [n for n in names if n not in arrays]:
        hint = "" if arrays.keys() & set(names) else f"; an LSTM cell is {', '.join(own)} or PyTorch's weight_ih, ..."
        raise UserError(f"{path} has no array {', '.join(missing)}{hint}")
    if unknown := sorted(arrays.keys() - set(names)):
        raise UserError(f"{path} has arrays that are no part of an LSTM cell: {', '.join(unknown)}")
    for name, array in arrays.items():
        if array.dtype.kind not in "fiu":
            raise UserError(f"{path}: {name} holds {array.dtype}, not real numbers")
        if not np.isfinite(array).all():
            raise UserError(f"{path}: {name} holds NaN or infinity")
    first = names[0]
    shape = arrays[first].shape
    if len(shape) != 2:
        raise UserError(f"{path}: {first} must be a matrix, got shape {shape}")
    hidden = shape[0] // 4 if theirs else shape[1]
    inputs = shape[1] if theirs else shape[0] - hidden
    if not (1 <= hidden <= LARGEST and 1 <= inputs <= LARGEST):
        raise UserError(
            f"{path}: {first} of shape {shape} makes hidden size {hidden} and input size {inputs}: each must be from 1 "
            f"to {LARGEST}"
        )
    cell = LSTMCell(inputs, hidden)
    try:
        if theirs:
            pytorch.load_state_dict(cell, arrays)
        else:
            cell.load_state_dict(arrays)
    except ValueError as error:
        raise UserError(f"{path}: {error}") from None
    return cell


def _arrays(path: str) -> dict[str, npt.NDArray[Any]]:
    """The arrays of an .npz file; nothing in it is executed."""
    try:
        with open(path, "rb") as file:
            if not zipfile.is_zipfile(file):
                raise UserError(f"{path} is not an .npz file: write one with np.savez")
            file.seek(0)
            with np.load(file, allow_pickle=False) as archive:
                if sum(member.file_size for member in archive.zip.infolist()) > LARGEST_FILE:
                    raise UserError(f"{path} holds more than the weights of any cell that a walk can show")
                return {name: np.asarray(archive[name]) for name in archive.files}
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror or error}") from None
    except (ValueError, EOFError, KeyError, RuntimeError, MemoryError, zipfile.BadZipFile, zlib.error) as error:
        raise UserError(f"cannot read {path}: {' '.join(str(error).split()) or type(error).__name__}") from None

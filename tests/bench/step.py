"""One training step of a recurrent cell, forward and backward, here and in the peers installed, in turns in one run.

    python tests/bench/step.py [--cell LSTM RNN GRU] [--rounds N] [--size 0..4 ...] [--long | --memory]

Float32, one thread, the same weights and data, gradients compared before anything is timed. Prints for each cell and
size the median milliseconds, the median over the rounds of the ratio to PyTorch's layer and to PyTorch eager, operation
by operation (gates as here), and what recording and compiling the cell take; a compiled step of the GRU, a cell of
one's own, records it each time. `--long` measures instead the cost of an LSTM step op by op from T = 100 to 10,000;
`--memory` what a step adds at its peak to the memory of a process of its own (Linux).
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from typing import Any

from common import peer, ran_on  # before NumPy

import numpy as np  # isort: skip

import tinygrad_lstm as tl
from tinygrad_lstm.nn.recording import record_step
from tinygrad_lstm.primitives import TABLE

torch, jax, mygrad, autograd = (peer(name) for name in ("torch", "jax", "mygrad", "autograd"))

SIZES = ((50, 1, 4, 3), (100, 20, 2, 32), (100, 32, 64, 128), (50, 64, 128, 512), (1000, 8, 2, 16))
ROUNDS = (101, 41, 15, 7, 11)
Weights = dict[str, np.ndarray]
Step = Callable[[], Weights]  # runs forward and backward; the gradients by our names
Affine = Callable[[str, Any], Any]  # z @ W + b for each of the gates named


class GRUCell(tl.nn.Cell):
    """A cell of one's own: h = (1 - u) h + u n."""

    def __init__(self, input_size: int, hidden_size: int, rng: int = 0, dtype: Any = np.float64) -> None:
        super().__init__(input_size, hidden_size, dtype)
        drawn, bound = np.random.default_rng(rng), hidden_size**-0.5
        for k in "run":
            W = drawn.uniform(-bound, bound, (hidden_size + input_size, hidden_size))
            setattr(self, f"W_{k}", tl.nn.Parameter(W, dtype=dtype))
            setattr(self, f"b_{k}", tl.nn.Parameter(np.zeros(hidden_size), dtype=dtype))

    def equations(self, x: Any, h: Any) -> dict[str, Any]:
        z = tl.concat([h, x], axis=-1)
        r, u = tl.sigmoid(z @ self.W_r + self.b_r), tl.sigmoid(z @ self.W_u + self.b_u)
        n = tl.tanh(tl.concat([r * h, x], axis=-1) @ self.W_n + self.b_n)
        return {"r": r, "u": u, "n": n, "h": (1 - u) * h + u * n}


CELLS = {"LSTM": tl.nn.LSTMCell, "RNN": tl.nn.RNNCell, "GRU": GRUCell}
LAYERS = {"LSTM": tl.nn.LSTM, "RNN": tl.nn.RNN}
TORCH_GATES = {"LSTM": "ifgo", "RNN": "h"}  # its GRU is another cell: r comes after the product
PRODUCTS = {"LSTM": ("figo",), "RNN": ("h",), "GRU": ("ru", "n")}  # gates that share an operand


class Problem:
    """Weights, data, and the cotangent g of every h: the loss is sum(g * hs)."""

    def __init__(self, T: int, batch: int, inputs: int, hidden: int, kind: str = "LSTM") -> None:
        rng = np.random.default_rng(0)
        self.T, self.batch, self.inputs, self.hidden, self.kind = T, batch, inputs, hidden, kind
        self.cell = CELLS[kind](inputs, hidden, dtype=np.float32)
        self.weights = self.cell.state_dict()
        self.states = len(self.cell.states)
        self.xs = rng.normal(size=(T, batch, inputs)).astype(np.float32)
        self.g = rng.normal(size=(T, batch, hidden)).astype(np.float32)


def here(problem: Problem, compiled: bool) -> Step:
    cell, xs = problem.cell, tl.tensor(problem.xs)
    run: Any = lambda xs: tl.scan(cell, xs, compiled=compiled)  # noqa: E731
    if problem.kind in LAYERS:
        run = LAYERS[problem.kind](problem.inputs, problem.hidden, compiled=compiled)
        run.cells[0].load_state_dict(problem.weights)
        cell = run.cells[0]

    def step() -> Weights:
        cell.zero_grad()
        hs, _ = run(xs)
        hs.backward(problem.g)
        return {name: p.grad for name, p in cell.named_parameters()}

    return step


def torch_layer(problem: Problem) -> Step:
    model = getattr(torch.nn, problem.kind)(problem.inputs, problem.hidden)
    xs, g, letters = torch.tensor(problem.xs), torch.tensor(problem.g), TORCH_GATES.get(problem.kind)

    def timed() -> Weights:
        model.zero_grad()
        out, _ = model(xs)
        out.backward(g)
        return {}

    def gradients() -> Weights:
        timed()
        found = {n: p.grad.numpy().reshape(len(letters), problem.hidden, -1) for n, p in model.named_parameters()}
        blocks = zip(letters, found["weight_hh_l0"], found["weight_ih_l0"], found["bias_ih_l0"], strict=True)
        pairs = [{f"W_{k}": np.concatenate([hh, ih], axis=1).T, f"b_{k}": b[:, 0]} for k, hh, ih, b in blocks]
        return {name: a for pair in pairs for name, a in pair.items()}

    if letters is not None:
        ours = LAYERS[problem.kind](problem.inputs, problem.hidden)
        ours.cells[0].load_state_dict(problem.weights)
        model.load_state_dict({k: torch.from_numpy(a) for k, a in tl.interop.pytorch.state_dict(ours).items()})
    timed.gradients = gradients if letters is not None else None  # type: ignore[attr-defined]
    return timed


# ── the cells in any library: `lib` has sigmoid, tanh and join ─────────────────────────────────


def lstm(lib: Any, affine: Affine, x: Any, h: Any, c: Any) -> tuple[Any, ...]:
    f, i, g, o = affine("figo", lib.join(h, x))
    c = lib.sigmoid(f) * c + lib.sigmoid(i) * lib.tanh(g)
    return lib.sigmoid(o) * lib.tanh(c), c


def rnn(lib: Any, affine: Affine, x: Any, h: Any) -> tuple[Any, ...]:
    (a,) = affine("h", lib.join(h, x))
    return (lib.tanh(a),)


def gru(lib: Any, affine: Affine, x: Any, h: Any) -> tuple[Any, ...]:
    r, u = map(lib.sigmoid, affine("ru", lib.join(h, x)))
    (n,) = affine("n", lib.join(r * h, x))
    return ((1 - u) * h + u * lib.tanh(n),)


STEPS: dict[str, Callable[..., tuple[Any, ...]]] = {"LSTM": lstm, "RNN": rnn, "GRU": gru}


class Lib:
    def __init__(self, sigmoid: Any, tanh: Any, join: Any) -> None:
        self.sigmoid, self.tanh, self.join = sigmoid, tanh, join


def by_gate(w: Any) -> Affine:
    """A product and a bias for each gate, as a cell of ours has them."""
    return lambda letters, z: [z @ w[f"W_{k}"] + w[f"b_{k}"] for k in letters]


def torch_ops(problem: Problem) -> Step:
    lib, cell = Lib(torch.sigmoid, torch.tanh, lambda h, x: torch.cat([h, x], 1)), STEPS[problem.kind]
    w = {k: torch.tensor(a, requires_grad=True) for k, a in problem.weights.items()}
    xs, g = torch.tensor(problem.xs), torch.tensor(problem.g)
    zeros = torch.zeros(problem.batch, problem.hidden)

    def step() -> Weights:
        for p in w.values():
            p.grad = None
        state: Any = (zeros,) * problem.states
        hs = []
        for x in xs:
            state = cell(lib, by_gate(w), x, *state)
            hs.append(state[0])
        torch.stack(hs).backward(g)
        return {k: p.grad.numpy() for k, p in w.items()}

    return step


def jax_scan(problem: Problem) -> Step:
    """Jitted, with the weights of gates that share an operand side by side."""
    import jax.numpy as jnp

    lib = Lib(jax.nn.sigmoid, jnp.tanh, lambda h, x: jnp.concatenate([h, x], 1))
    zeros = jnp.zeros((problem.batch, problem.hidden), jnp.float32)
    xs, g = jnp.asarray(problem.xs), jnp.asarray(problem.g)

    def loss(merged: Any) -> Any:
        def affine(letters: str, z: Any) -> Any:
            W, b = merged[letters]
            return jnp.split(z @ W + b, len(letters), axis=1)

        def one(state: Any, x: Any) -> Any:
            state = STEPS[problem.kind](lib, affine, x, *state)
            return state, state[0]

        return (jax.lax.scan(one, (zeros,) * problem.states, xs)[1] * g).sum()

    groups = PRODUCTS[problem.kind]
    weights = {ks: [jnp.concatenate([problem.weights[f"{a}_{k}"] for k in ks], -1) for a in "Wb"] for ks in groups}
    compiled = jax.jit(jax.value_and_grad(loss))

    def step() -> Weights:
        _, found = jax.block_until_ready(compiled(weights))
        return {
            f"{a}_{k}": part
            for ks in groups
            for a, merged in zip("Wb", found[ks], strict=True)
            for k, part in zip(ks, np.split(np.asarray(merged), len(ks), axis=-1), strict=True)
        }

    return step


def mygrad_ops(problem: Problem) -> Step:
    from mygrad.nnet.activations import sigmoid

    mygrad.turn_memory_guarding_off()  # as its documentation advises for speed: half the time
    lib, cell = Lib(sigmoid, mygrad.tanh, lambda h, x: mygrad.concatenate([h, x], axis=1)), STEPS[problem.kind]
    w = {k: mygrad.tensor(a) for k, a in problem.weights.items()}
    zeros = np.zeros((problem.batch, problem.hidden), np.float32)

    def step() -> Weights:
        for p in w.values():
            p.null_grad()
        state: Any = (mygrad.tensor(zeros, constant=True),) * problem.states
        hs = []
        for x in problem.xs:
            state = cell(lib, by_gate(w), x, *state)
            hs.append(state[0])
        (mygrad.stack(hs) * problem.g).sum().backward()
        return {k: p.grad for k, p in w.items()}

    return step


def hips_ops(problem: Problem) -> Step:
    import autograd.numpy as anp

    def sigmoid(x: Any) -> Any:
        return 0.5 * (anp.tanh(0.5 * x) + 1)

    lib, cell = Lib(sigmoid, anp.tanh, lambda h, x: anp.concatenate([h, x], 1)), STEPS[problem.kind]

    def loss(w: Weights) -> Any:
        state: Any = (np.zeros((problem.batch, problem.hidden), np.float32),) * problem.states
        total = 0.0
        for x, g in zip(problem.xs, problem.g, strict=True):
            state = cell(lib, by_gate(w), x, *state)
            total = total + (state[0] * g).sum()  # half the time of stacking every h first
        return total

    gradient = autograd.grad(loss)
    return lambda: gradient(problem.weights)


def products_alone(problem: Problem) -> Step:
    """The matrix products of a step and nothing else, merged over the gates that share an operand: what no
    implementation on NumPy's BLAS can go below."""
    T, batch, H = problem.T, problem.batch, problem.hidden
    n = H + problem.inputs + 1
    rng = np.random.default_rng(0)

    def drawn(*size: int) -> np.ndarray:
        return rng.normal(size=size).astype(np.float32)

    sets = []
    for letters in PRODUCTS[problem.kind]:
        rows = len(letters) * H
        W, z, W_h, da = drawn(rows, n), drawn(n, batch), drawn(H, rows), drawn(rows, batch)
        sets.append((W, z, W @ z, W_h, da, W_h @ da, drawn(n, T * batch), drawn(rows, T * batch)))

    def step() -> Weights:
        for _ in range(T):
            for W, z, a, *_ in sets:
                W.dot(z, a)
        for _ in range(T):
            for _, _, _, W_h, da, dh, *_ in sets:
                W_h.dot(da, dh)
        for *_, zs, das in sets:
            das.dot(zs.T)
        return {}

    return step


def arrays_alone(problem: Problem) -> Step:
    """The forwards and rules of the derivative table that "op by op" runs, on arrays in a straight line, and no graph:
    what no tape on this table can go below."""
    T, H = problem.T, problem.hidden
    w = problem.weights
    zeros = np.zeros((problem.batch, H), np.float32)
    add, mul, matmul, sigmoid, tanh = (TABLE[k] for k in ("add", "mul", "matmul", "sigmoid", "tanh"))

    def step() -> Weights:
        h = c = zeros
        tape, hs = [], []
        for x in problem.xs:
            z = np.concatenate((h, x), 1)
            gates = {}
            for k in "figo":
                a = add.forward(matmul.forward(z, w[f"W_{k}"]), w[f"b_{k}"])
                gates[k] = a, (tanh if k == "g" else sigmoid).forward(a)
            (_, f), (_, i), (_, g), (_, o) = gates.values()
            kept, entering = mul.forward(f, c), mul.forward(i, g)
            before, c = c, add.forward(kept, entering)
            shown = tanh.forward(c)
            h = mul.forward(o, shown)
            tape.append((z, gates, before, c, kept, entering, shown, h))
            hs.append(h)
        np.stack(hs)
        uses: dict[str, tuple[list[np.ndarray], list[np.ndarray]]] = {k: ([], []) for k in "figo"}
        turned = {k: np.asfortranarray(w[f"W_{k}"]) for k in "figo"}
        dh, dc = zeros, zeros
        for t in range(T - 1, -1, -1):
            z, gates, before, c, kept, entering, shown, h = tape[t]
            (_, f), (_, i), (_, g), (_, o) = gates.values()
            dh = dh + problem.g[t]
            d = {"o": mul.rules[0](dh, h, o, shown)}
            dc = dc + tanh.rules[0](mul.rules[1](dh, h, o, shown), shown, c)
            d["i"], d["g"] = mul.rules[0](dc, entering, i, g), mul.rules[1](dc, entering, i, g)
            d["f"], dc = mul.rules[0](dc, kept, f, before), mul.rules[1](dc, kept, f, before)
            dz = None
            for k, (a, gate) in gates.items():
                da = (tanh if k == "g" else sigmoid).rules[0](d[k], gate, a)
                uses[k][0].append(da)
                uses[k][1].append(z)
                one = matmul.rules[0](da, None, z, turned[k])
                dz = one if dz is None else dz + one
            dh = dz[:, :H]
        found = {f"W_{k}": matmul.total[1](*use) for k, use in uses.items()}
        return found | {f"b_{k}": np.concatenate(use[0]).sum(0) for k, use in uses.items()}

    return step


def contestants(problem: Problem) -> dict[str, Step]:
    steps = {"compiled": here(problem, True), "op by op": here(problem, False)}
    if problem.kind == "LSTM":
        steps["arrays alone"] = arrays_alone(problem)
    if torch is not None:
        steps |= {f"torch.nn.{problem.kind}": torch_layer(problem), "torch op by op": torch_ops(problem)}
    if jax is not None:
        steps["JAX scan"] = jax_scan(problem)
    if problem.kind == "LSTM" and mygrad is not None:
        steps["MyGrad"] = mygrad_ops(problem)
    if problem.kind == "LSTM" and autograd is not None:
        steps["HIPS autograd"] = hips_ops(problem)
    return steps


def compare(steps: dict[str, Step]) -> float:
    """The largest difference of any gradient from the op-by-op one, relative to that gradient's largest element."""
    ways = {name: getattr(step, "gradients", step) for name, step in steps.items()}
    gradients = {name: {k: np.array(a) for k, a in way().items()} for name, way in ways.items() if way is not None}
    worst = 0.0
    for name, found in gradients.items():
        for k, a in gradients["op by op"].items():
            difference = float(np.abs(found[k] - a).max() / np.abs(a).max())
            if not difference < 1e-3:
                sys.exit(f"the gradients of {name} differ: {k} by {difference:.1e}")
            worst = max(worst, difference)
    return worst


def recording(cell: tl.nn.Cell, rounds: int = 21) -> str:
    """What it takes to record a step of a cell, and to record and compile it."""
    found = []
    for way in (record_step, tl.compile):
        times = []
        for _ in range(rounds):
            start = time.perf_counter()
            way(cell)
            times.append(time.perf_counter() - start)
        found.append(1e3 * statistics.median(times))
    return f"recording a step takes {found[0]:.2f} ms, compiling it {found[1]:.2f} ms"


def measure(steps: dict[str, Step], rounds: int) -> dict[str, list[float]]:
    times: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(rounds):
        for name, step in steps.items():
            step()  # in training a step follows its like: not timed, it finds the caches full of another's arrays
            start = time.perf_counter()
            step()
            times[name].append(time.perf_counter() - start)
    return times


def long_sequences(rounds: int) -> None:
    print("op by op, microseconds a step (batch 1, input 4, hidden 3), median; ratio to T = 100")
    steps = {T: here(Problem(T, 1, 4, 3), False) for T in (100, 1000, 10000)}
    times: dict[int, list[float]] = {T: [] for T in steps}
    for k in range(rounds + 1):
        for T, step in steps.items():
            start = time.perf_counter()
            for _ in range(10000 // T):
                step()
            if k:
                times[T].append((time.perf_counter() - start) / 10000)
    for T, found in times.items():
        ratio = statistics.median(a / b for a, b in zip(found, times[100], strict=True))
        print(f"T = {T:6d} {1e6 * statistics.median(found):8.1f} {ratio:6.2f}")


MEMORY: dict[str, Callable[[Problem], Step]] = {
    "compiled": lambda p: here(p, True),
    "torch layer": torch_layer,
    "op by op": lambda p: here(p, False),
    "torch op by op": torch_ops,
}


def peak_memory(name: str, size: int, kind: str) -> float:
    """Megabytes that the third step takes at its peak beyond what was in use before the first."""
    make = MEMORY[name]
    make(Problem(3, 2, 2, 2, kind))()  # libraries load parts of themselves in their first step
    step = make(Problem(*SIZES[size], kind))

    def in_use(what: str) -> float:
        with open("/proc/self/status") as file:
            return next(int(line.split()[1]) for line in file if line.startswith(what)) / 1024

    before = in_use("VmRSS")
    step()
    step()
    with open("/proc/self/clear_refs", "w") as file:
        file.write("5")  # the peak starts anew
    step()
    return in_use("VmHWM") - before


def memory(kinds: Iterable[str], sizes: Iterable[int]) -> None:
    for kind in kinds:
        for size in sizes:
            print(f"{kind}, T, batch, input, hidden = {SIZES[size]}: megabytes at the peak of a step")
            for name in MEMORY:
                if torch is not None or "torch" not in name:
                    command = [sys.executable, __file__, "--peak-of", name, "--size", str(size), "--cell", kind]
                    # What is given back is returned to the system at once, and not counted as in use.
                    environment = os.environ | {"MALLOC_TRIM_THRESHOLD_": "0"}
                    done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
                    print(f"{name:15} {float(done.stdout.splitlines()[-1]):9.1f}")


def against_peers(kind: str, size: int, rounds: int) -> None:
    problem = Problem(*SIZES[size], kind)
    steps = contestants(problem)
    worst = compare(steps)
    steps["products alone"] = products_alone(problem)
    times = measure(steps, rounds)
    print(f"\n{kind}, T, batch, input, hidden = {SIZES[size]}; {rounds} rounds; gradients agree within {worst:.0e}")
    print(f"{'':15} {'ms':>9} {'/ layer':>10} {'/ op by op':>10}   (PyTorch's)")
    for name, found in times.items():
        line = f"{name:15} {1e3 * statistics.median(found):9.3f}"
        for other in (f"torch.nn.{kind}", "torch op by op"):
            if other in times:
                line += f" {statistics.median(a / b for a, b in zip(found, times[other], strict=True)):10.2f}"
        print(line)
    print(recording(problem.cell))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--cell", nargs="*", choices=CELLS, default=list(CELLS), help="which cells")
    parser.add_argument("--rounds", type=int, default=0, help="how often each is measured (0: by size)")
    parser.add_argument("--size", type=int, nargs="*", default=range(len(SIZES)), help="which of the sizes")
    parser.add_argument("--long", action="store_true", help="the cost of a step from T = 100 to T = 10,000")
    parser.add_argument("--memory", action="store_true", help="the memory of a step")
    parser.add_argument("--peak-of", choices=MEMORY, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.peak_of:
        return print(peak_memory(options.peak_of, options.size[0], options.cell[0]))
    print(ran_on(torch, jax, mygrad, autograd))
    if options.long:
        return long_sequences(options.rounds or 7)
    if options.memory:
        return memory(options.cell, options.size)
    for kind in options.cell:
        for k in options.size:
            against_peers(kind, k, options.rounds or ROUNDS[k])
    return None


if __name__ == "__main__":
    main()

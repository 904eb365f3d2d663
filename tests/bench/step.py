"""One training step of an LSTM, forward and backward, here and in the peers installed, in turns in one run.

    python tests/bench/step.py [--rounds N] [--size 0..3 ...] [--long | --memory]

Float32, one thread, the same weights and data, gradients compared before anything is timed. Prints for each size the
median milliseconds and the median over the rounds of the ratio to torch.nn.LSTM and to PyTorch eager, operation by
operation (4 gates as here). `--long` measures instead the cost of a step op by op from T = 100 to T = 10,000;
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
from tinygrad_lstm.primitives import TABLE

torch, jax, mygrad, autograd = (peer(name) for name in ("torch", "jax", "mygrad", "autograd"))

SIZES = ((50, 1, 4, 3), (100, 20, 2, 32), (100, 32, 64, 128), (50, 64, 128, 512))
GATES = "figo"
Weights = dict[str, np.ndarray]
Step = Callable[[], Weights]  # runs forward and backward; the gradients by our names


class Problem:
    """Weights, data, and the cotangent g of every h: the loss is sum(g * out)."""

    def __init__(self, T: int, batch: int, inputs: int, hidden: int) -> None:
        rng = np.random.default_rng(0)
        self.T, self.batch, self.inputs, self.hidden = T, batch, inputs, hidden
        self.weights = tl.nn.LSTM(inputs, hidden).cells[0].state_dict()
        self.xs = rng.normal(size=(T, batch, inputs)).astype(np.float32)
        self.g = rng.normal(size=(T, batch, hidden)).astype(np.float32)


def here(problem: Problem, fused: bool) -> Step:
    model = tl.nn.LSTM(problem.inputs, problem.hidden, fused=fused)
    model.cells[0].load_state_dict(problem.weights)
    xs = tl.tensor(problem.xs)

    def step() -> Weights:
        model.zero_grad()
        out, _ = model(xs)
        out.backward(problem.g)
        return {name: p.grad for name, p in model.cells[0].named_parameters()}

    return step


def torch_layer(problem: Problem) -> Step:
    model = torch.nn.LSTM(problem.inputs, problem.hidden)
    ours = tl.nn.LSTM(problem.inputs, problem.hidden)
    ours.cells[0].load_state_dict(problem.weights)
    model.load_state_dict({k: torch.from_numpy(a) for k, a in tl.interop.pytorch.state_dict(ours).items()})
    xs, g = torch.tensor(problem.xs), torch.tensor(problem.g)

    def step() -> Weights:
        model.zero_grad()
        out, _ = model(xs)
        out.backward(g)
        grads: Weights = {}
        blocks = {n: p.grad.numpy().reshape(4, problem.hidden, -1) for n, p in model.named_parameters()}
        for k, letter in enumerate("ifgo"):
            grads[f"W_{letter}"] = np.concatenate([blocks["weight_hh_l0"][k], blocks["weight_ih_l0"][k]], axis=1).T
            grads[f"b_{letter}"] = blocks["bias_ih_l0"][k][:, 0]
        return grads

    def timed() -> Weights:
        model.zero_grad()
        out, _ = model(xs)
        out.backward(g)
        return {}

    timed.gradients = step  # type: ignore[attr-defined]
    return timed


def cell(lib: Any, concat: Callable[[Any, Any], Any], w: Any, x: Any, h: Any, c: Any) -> tuple[Any, Any]:
    """The LSTM step of `LSTMCell` in any library: four products, four biases."""
    z = concat(h, x)
    f = lib.sigmoid(z @ w["W_f"] + w["b_f"])
    i = lib.sigmoid(z @ w["W_i"] + w["b_i"])
    g = lib.tanh(z @ w["W_g"] + w["b_g"])
    c = f * c + i * g
    o = lib.sigmoid(z @ w["W_o"] + w["b_o"])
    return o * lib.tanh(c), c


def torch_ops(problem: Problem) -> Step:
    w = {k: torch.tensor(a, requires_grad=True) for k, a in problem.weights.items()}
    xs, g = torch.tensor(problem.xs), torch.tensor(problem.g)
    zeros = torch.zeros(problem.batch, problem.hidden)

    def step() -> Weights:
        for p in w.values():
            p.grad = None
        h = c = zeros
        hs = []
        for x in xs:
            h, c = cell(torch, lambda h, x: torch.cat([h, x], 1), w, x, h, c)
            hs.append(h)
        torch.stack(hs).backward(g)
        return {k: p.grad.numpy() for k, p in w.items()}

    return step


def jax_scan(problem: Problem) -> Step:
    import jax.numpy as jnp

    class Lib:
        sigmoid = staticmethod(jax.nn.sigmoid)
        tanh = staticmethod(jnp.tanh)

    zeros = jnp.zeros((problem.batch, problem.hidden), jnp.float32)
    xs, g = jnp.asarray(problem.xs), jnp.asarray(problem.g)

    def loss(merged: Any) -> Any:
        W, b = merged

        def one(state: Any, x: Any) -> Any:
            h, c = state
            f, i, gg, o = jnp.split(jnp.concatenate([h, x], 1) @ W + b, 4, axis=1)
            c = Lib.sigmoid(f) * c + Lib.sigmoid(i) * Lib.tanh(gg)
            h = Lib.sigmoid(o) * Lib.tanh(c)
            return (h, c), h

        return (jax.lax.scan(one, (zeros, zeros), xs)[1] * g).sum()

    weights = tuple(jnp.concatenate([problem.weights[f"{kind}_{k}"] for k in GATES], -1) for kind in "Wb")
    compiled = jax.jit(jax.value_and_grad(loss))

    def step() -> Weights:
        _, (W, b) = jax.block_until_ready(compiled(weights))
        parts = {"W": np.split(np.asarray(W), 4, axis=1), "b": np.split(np.asarray(b), 4)}
        return {f"{kind}_{letter}": parts[kind][k] for kind in "Wb" for k, letter in enumerate(GATES)}

    return step


def mygrad_ops(problem: Problem) -> Step:
    from mygrad.nnet.activations import sigmoid

    mygrad.turn_memory_guarding_off()  # as its documentation advises for speed: half the time

    class Lib:
        tanh = staticmethod(mygrad.tanh)

    Lib.sigmoid = staticmethod(sigmoid)  # type: ignore[attr-defined]
    w = {k: mygrad.tensor(a) for k, a in problem.weights.items()}
    zeros = np.zeros((problem.batch, problem.hidden), np.float32)

    def step() -> Weights:
        for p in w.values():
            p.null_grad()
        h = c = mygrad.tensor(zeros, constant=True)
        hs = []
        for x in problem.xs:
            h, c = cell(Lib, lambda h, x: mygrad.concatenate([h, x], axis=1), w, x, h, c)
            hs.append(h)
        (mygrad.stack(hs) * problem.g).sum().backward()
        return {k: p.grad for k, p in w.items()}

    return step


def hips_ops(problem: Problem) -> Step:
    import autograd.numpy as anp

    class Lib:
        tanh = staticmethod(anp.tanh)

        @staticmethod
        def sigmoid(x: Any) -> Any:
            return 0.5 * (anp.tanh(0.5 * x) + 1)

    def loss(w: Weights) -> Any:
        h = c = np.zeros((problem.batch, problem.hidden), np.float32)
        total = 0.0
        for x, g in zip(problem.xs, problem.g, strict=True):
            h, c = cell(Lib, lambda h, x: anp.concatenate([h, x], 1), w, x, h, c)
            total = total + (h * g).sum()  # half the time of stacking every h first
        return total

    gradient = autograd.grad(loss)
    return lambda: gradient(problem.weights)


def products_alone(problem: Problem) -> Step:
    """The matrix products of a step and nothing else, merged over the gates: what no implementation on NumPy's BLAS
    can go below."""
    T, batch, H = problem.T, problem.batch, problem.hidden
    n = H + problem.inputs + 1
    rng = np.random.default_rng(0)
    W, z, W_h, da, zs, das = (
        rng.normal(size=size).astype(np.float32)
        for size in ((4 * H, n), (n, batch), (H, 4 * H), (4 * H, batch), (n, T * batch), (4 * H, T * batch))
    )
    a, dh = W @ z, W_h @ da

    def step() -> Weights:
        for _ in range(T):
            W.dot(z, a)
        for _ in range(T):
            W_h.dot(da, dh)
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
        found = {f"W_{k}": matmul.total(*use) for k, use in uses.items()}
        return found | {f"b_{k}": np.concatenate(use[0]).sum(0) for k, use in uses.items()}

    return step


def contestants(problem: Problem) -> dict[str, Step]:
    steps = {"fused": here(problem, True), "op by op": here(problem, False), "arrays alone": arrays_alone(problem)}
    if torch is not None:
        steps |= {"torch.nn.LSTM": torch_layer(problem), "torch op by op": torch_ops(problem)}
    if jax is not None:
        steps["JAX scan"] = jax_scan(problem)
    if mygrad is not None:
        steps["MyGrad"] = mygrad_ops(problem)
    if autograd is not None:
        steps["HIPS autograd"] = hips_ops(problem)
    return steps


def compare(steps: dict[str, Step]) -> float:
    """The largest difference of any gradient from the op-by-op one, relative to that gradient's largest element."""
    gradients = {name: getattr(step, "gradients", step)() for name, step in steps.items()}
    measure = {k: np.array(a) for k, a in gradients["op by op"].items()}
    worst = 0.0
    for name, found in gradients.items():
        for k, a in measure.items():
            difference = float(np.abs(found[k] - a).max() / np.abs(a).max())
            if not difference < 1e-3:
                sys.exit(f"the gradients of {name} differ: {k} by {difference:.1e}")
            worst = max(worst, difference)
    return worst


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


MEMORY = {"fused": lambda p: here(p, True), "torch.nn.LSTM": torch_layer, "op by op": lambda p: here(p, False),
          "torch op by op": torch_ops}  # fmt: skip


def peak_memory(name: str, size: int) -> float:
    """Megabytes that the third step takes at its peak beyond what was in use before the first."""
    make = MEMORY[name]
    make(Problem(3, 2, 2, 2))()  # libraries load parts of themselves in their first step
    step = make(Problem(*SIZES[size]))

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


def memory(sizes: Iterable[int]) -> None:
    for size in sizes:
        print(f"T, batch, input, hidden = {SIZES[size]}: megabytes at the peak of a step")
        for name in MEMORY:
            if torch is not None or "torch" not in name:
                command = [sys.executable, __file__, "--peak-of", name, "--size", str(size)]
                # What is given back is returned to the system at once, and not counted as in use.
                environment = os.environ | {"MALLOC_TRIM_THRESHOLD_": "0"}
                done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
                print(f"{name:15} {float(done.stdout.splitlines()[-1]):9.1f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=0, help="how often each is measured (0: by size)")
    parser.add_argument("--size", type=int, nargs="*", default=range(len(SIZES)), help="which of the sizes")
    parser.add_argument("--long", action="store_true", help="the cost of a step from T = 100 to T = 10,000")
    parser.add_argument("--memory", action="store_true", help="the memory of a step")
    parser.add_argument("--peak-of", choices=MEMORY, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.peak_of:
        return print(peak_memory(options.peak_of, options.size[0]))
    print(ran_on(torch, jax, mygrad, autograd))
    if options.long:
        return long_sequences(options.rounds or 7)
    if options.memory:
        return memory(options.size)
    for k in options.size:
        problem = Problem(*SIZES[k])
        steps = contestants(problem)
        worst = compare(steps)
        steps["products alone"] = products_alone(problem)
        rounds = options.rounds or (101, 41, 15, 7)[k]
        times = measure(steps, rounds)
        print(f"\nT, batch, input, hidden = {SIZES[k]}; {rounds} rounds; gradients agree within {worst:.0e}")
        print(f"{'':15} {'ms':>9} {'/ nn.LSTM':>10} {'/ op by op':>10}   (PyTorch's)")
        for name, found in times.items():
            line = f"{name:15} {1e3 * statistics.median(found):9.3f}"
            for other in ("torch.nn.LSTM", "torch op by op"):
                if other in times:
                    line += f" {statistics.median(a / b for a, b in zip(found, times[other], strict=True)):10.2f}"
            print(line)
    return None


if __name__ == "__main__":
    main()

"""A whole training run here and in PyTorch, in turns in one process: data, step, clipping, Adam, logging.

    python tests/bench/train.py [--rounds 15] [--steps 200]

Task `adding`, T = 100, batch 32, LSTM with H = 32 and a linear readout, float32, one thread. Here it is the training
loop of `tinygrad-lstm train` itself; in PyTorch the script that one would write for the same run: torch.nn.LSTM, the
data drawn in whole tensors, the loss of each step and the errors of the last 2,000 sequences kept, a report every 100
steps. Both start anew in each round, in an order that alternates. Prints the quartiles of milliseconds a step and of
the ratio in a round; below 1 this project is faster.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections import deque
from typing import Any

from common import peer, quartiles, ran_on  # before NumPy

from tinygrad_lstm.train import Settings, Trainer

torch = peer("torch")

T, BATCH, HIDDEN, LR, CLIP, EVERY = 100, 32, 32, 1e-2, 1.0, 100


def here(steps: int) -> list[dict[str, Any]]:
    settings = Settings("adding", {"length": T}, hidden=HIDDEN, steps=steps, lr=LR, clip=CLIP, batch=BATCH)
    return [row for row in Trainer(settings).run() if row is not None]


def adding() -> tuple[Any, Any]:
    """The generator of `tasks.Adding` in PyTorch: x (T, batch, 2), y (batch, 1)."""
    every = torch.arange(BATCH)
    value, mark = torch.rand(T, BATCH), torch.zeros(T, BATCH)
    first, second = torch.randint(0, T // 2, (BATCH,)), torch.randint(T // 2, T, (BATCH,))
    mark[first, every] = mark[second, every] = 1
    return torch.stack([value, mark], -1), (value[first, every] + value[second, every])[:, None]


def in_torch(steps: int) -> list[dict[str, Any]]:
    torch.manual_seed(0)
    lstm, readout = torch.nn.LSTM(2, HIDDEN), torch.nn.Linear(HIDDEN, 1)
    with torch.no_grad():
        lstm.bias_ih_l0[HIDDEN : 2 * HIDDEN] = 1  # the forget gate's, as here
        lstm.bias_hh_l0[HIDDEN : 2 * HIDDEN] = 0
    parameters = [*lstm.parameters(), *readout.parameters()]
    optimiser = torch.optim.Adam(parameters, lr=LR)
    window: deque[Any] = deque(maxlen=2000 // BATCH)  # of whole batches
    losses, norms, rows = [], [], []
    for step in range(1, steps + 1):
        x, y = adding()
        out, _ = lstm(x)
        prediction = readout(out[-1])
        loss = torch.nn.functional.mse_loss(prediction, y)
        optimiser.zero_grad()
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(parameters, CLIP)
        optimiser.step()
        losses.append(loss.item())
        norms.append(norm.item())
        window.append((prediction.detach() - y).square())
        if step % EVERY == 0 or step == steps:
            errors = torch.cat(list(window))
            right = (errors < 0.04**2).float().mean().item()
            rows.append({"step": step, "loss": statistics.fmean(losses), "norm": statistics.fmean(norms),
                         "error": errors.mean().item(), "right": right})  # fmt: skip
            losses, norms = [], []
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--steps", type=int, default=200)
    options = parser.parse_args()
    runs = {"here": here}
    if torch is not None:
        runs["PyTorch"] = in_torch
    print(ran_on(torch))
    print(
        f"adding, T = {T}, batch {BATCH}, H = {HIDDEN}: {options.rounds} runs of {options.steps} steps each, in turns"
    )
    times: dict[str, list[float]] = {name: [] for name in runs}
    for k in range(options.rounds + 1):
        for name, run in sorted(runs.items(), reverse=k % 2 == 1):
            start = time.perf_counter()
            rows = run(options.steps)
            if k:  # the first finds everything cold
                times[name].append(1e3 * (time.perf_counter() - start) / options.steps)
            elif not 0.05 < rows[-1]["loss"] < 0.3:
                sys.exit(f"{name} does not train: its loss is {rows[-1]['loss']}")
    for name, found in times.items():
        print(f"{name:8} {quartiles(found)} ms a step")
    if torch is not None:
        ratios = [a / b for a, b in zip(times["here"], times["PyTorch"], strict=True)]
        medians = statistics.median(times["here"]) / statistics.median(times["PyTorch"])
        print(f"ratio    {quartiles(ratios)} of the rounds; of the medians {medians:.3f}")


if __name__ == "__main__":
    main()

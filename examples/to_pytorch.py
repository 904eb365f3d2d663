"""Train an LSTM here, then go on in PyTorch with the same weights, by way of a safetensors file.

pip install ".[safetensors,torch]"
python examples/to_pytorch.py
"""

import argparse

import numpy as np
import safetensors.torch
import torch

import tinygrad_lstm as tl
from tinygrad_lstm.train import Settings, Trainer, one_thread

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--steps", type=int, default=1000, help="here, and as many again in PyTorch")
parser.add_argument("--length", type=int, default=30)
parser.add_argument("--out", default="adding.safetensors")
args = parser.parse_args()

one_thread()
torch.set_num_threads(1)
trainer = Trainer(Settings("adding", {"length": args.length}, hidden=16, steps=args.steps))
for _ in trainer.run():
    pass
tl.interop.safetensors.save(tl.interop.pytorch.state_dict(trainer.network), args.out)

held_out = trainer.task.batch(np.random.default_rng(1), 1000)
here = float(np.mean((trainer.network.predict(held_out.x)[0][-1] - held_out.y) ** 2))
print(f"after {trainer.sequences:,} sequences here: squared error {here:.5f}, always answering 1: 0.1667")

# From here on only PyTorch reads the file.
net = torch.nn.ModuleDict({"layer": torch.nn.LSTM(2, 16), "readout": torch.nn.Linear(16, 1)})
net.load_state_dict(safetensors.torch.load_file(args.out))
optimiser = torch.optim.Adam(net.parameters(), lr=1e-3)


def error(batch):
    """The mean squared error of the network in PyTorch."""
    x, y = torch.tensor(batch.x, dtype=torch.float32), torch.tensor(batch.y, dtype=torch.float32)
    return torch.nn.functional.mse_loss(net["readout"](net["layer"](x)[0][-1]), y)


there = error(held_out).item()
print(f"the same network in PyTorch: squared error {there:.5f}")
assert abs(here - there) < 1e-5
for _ in range(args.steps):
    loss = error(trainer.task.batch(trainer.rng, 32))
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()
print(f"after {32 * args.steps:,} more there: squared error {error(held_out).item():.5f}")

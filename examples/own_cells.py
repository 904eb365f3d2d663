"""Two cells of one's own, a GRU and an LSTM with coupled gates: read, trained, and drawn into this folder.

python examples/own_cells.py [STEPS]
"""

import sys

import numpy as np

import tinygrad_lstm as tl
from tinygrad_lstm import tasks


class GRUCell(tl.nn.Cell):
    states = ("h",)

    def __init__(self, input_size, hidden_size, rng=0, dtype=np.float64):
        super().__init__(input_size, hidden_size, dtype)
        rows, rng = hidden_size + input_size, np.random.default_rng(rng)
        self.reset, self.update, self.new = (tl.nn.Linear(rows, hidden_size, rng=rng, dtype=dtype) for _ in range(3))

    def equations(self, x, h):
        z = tl.concat([h, x], axis=-1)
        r, u = tl.sigmoid(self.reset(z)), tl.sigmoid(self.update(z))
        n = tl.tanh(self.new(tl.concat([r * h, x], axis=-1)))
        return {"r": r, "u": u, "n": n, "h": (1 - u) * h + u * n}


class CoupledLSTMCell(tl.nn.Cell):
    states = ("h", "c")

    def __init__(self, input_size, hidden_size, rng=0, dtype=np.float64):
        super().__init__(input_size, hidden_size, dtype)
        rows, rng = hidden_size + input_size, np.random.default_rng(rng)
        self.keep, self.new, self.show = (tl.nn.Linear(rows, hidden_size, rng=rng, dtype=dtype) for _ in range(3))

    def equations(self, x, h, c):
        z = tl.concat([h, x], axis=-1)
        f, g, o = tl.sigmoid(self.keep(z) + 1), tl.tanh(self.new(z)), tl.sigmoid(self.show(z))
        c = f * c + (1 - f) * g  # what is let in is what is let go
        return {"f": f, "g": g, "o": o, "c": c, "h": o * tl.tanh(c)}


if __name__ == "__main__":
    steps = int(sys.argv[1]) if len(sys.argv) > 1 else 400
    task, rng = tasks.make("latch", length=20), np.random.default_rng(0)
    for cell in (GRUCell(task.inputs, 8, dtype=np.float32), CoupledLSTMCell(task.inputs, 8, dtype=np.float32)):
        name, readout = type(cell).__name__.removesuffix("Cell"), tl.nn.Linear(8, task.outputs, rng=rng)
        optimiser = tl.optim.Adam(cell.parameters() + readout.parameters(), lr=2e-2)
        for _ in range(steps):
            batch = task.batch(rng, 32)
            loss = tl.nn.cross_entropy(readout(tl.scan(cell, batch.x)[0][-1]), batch.y)  # a program runs the sequence
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        print(f"{name}: loss {loss.item():.4f}, guessing {task.baseline.loss:.4f}")
        print(*(f"  {line}" for line in tl.anatomy(cell).adjoints), sep="\n")
        tl.draw(tl.scan(cell, batch.x[:2, 0], compiled=False)[0][-1].sum()).save(f"{name}.svg")

"""Two cells of one's own beside the LSTM: read, drawn, measured and trained, and a page of them, in this folder.

python examples/own_cells.py [STEPS]
"""

import sys
from pathlib import Path

import numpy as np

import tinygrad_lstm as tl
from tinygrad_lstm.explore import page
from tinygrad_lstm.flow.sequence import embed, trace_sequence
from tinygrad_lstm.train import Settings, Trainer, one_thread


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
        self.keep.b.assign(np.ones(hidden_size))  # the forget bias

    def equations(self, x, h, c):
        z = tl.concat([h, x], axis=-1)
        f, g, o = tl.sigmoid(self.keep(z)), tl.tanh(self.new(z)), tl.sigmoid(self.show(z))
        c = f * c + (1 - f) * g  # what is let in is what is let go
        return {"f": f, "g": g, "o": o, "c": c, "h": o * tl.tanh(c)}


if __name__ == "__main__":
    one_thread()
    steps, text = int(sys.argv[1]) if len(sys.argv) > 1 else 1000, "the cities that I have seen"
    for kind in (GRUCell, CoupledLSTMCell, tl.nn.LSTMCell):
        cell = kind(4, 4)
        print(kind.__name__, *tl.anatomy(cell).adjoints, sep="\n  ")
        tl.draw(cell.step(np.ones(4)).h.sum()).save(f"{kind.__name__}.svg")
        found = trace_sequence(cell, embed(text.split(), 4), text.split())
        for c, path in found.paths.items():
            print(f"  dL/d{c} at the first word: {found.norms[c][0]:.3f}, along × {path.words} alone {path.part:.3f}")
        run = Trainer(Settings("latch", {"length": 20}, cell=kind, hidden=8, steps=steps))
        *_, end = run.run()
        print(f"  the latch: {'solved' if run.solved else 'not solved'} after {end['sequences']:,} sequences\n")
    cells = {"GRU": GRUCell(4, 4), "coupled": CoupledLSTMCell(4, 4)}
    Path("own_cells.html").write_text(page(text, cells=cells), "utf-8")

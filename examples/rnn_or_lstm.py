"""The same task for a plain RNN and for LSTMs that differ in where their gates' biases start.

Who wins depends on initialisation, forget bias and learning rate: the table says which were used.

    python examples/rnn_or_lstm.py --length 50
"""

import argparse

from tinygrad_lstm.train import Settings, Trainer, one_thread

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--task", default="latch")
parser.add_argument("--length", type=int, default=50)
parser.add_argument("--hidden", type=int, default=16)
parser.add_argument("--steps", type=int, default=1000)
parser.add_argument("--lr", type=float, default=1e-2)
parser.add_argument("--seeds", type=int, default=3)
args = parser.parse_args()

cells = {
    "RNN": {"cell": "rnn"},
    "RNN, orthogonal": {"cell": "rnn", "init": "orthogonal"},
    "LSTM of 1997": {"cell": "lstm1997"},
    "LSTM, forget bias 0": {"forget_bias": 0.0},
    "LSTM, forget bias 1": {"forget_bias": 1.0},
    "LSTM, forget bias 3": {"forget_bias": 3.0},
    "LSTM, chrono": {"init": "chrono"},
}

one_thread()
print(
    f"{args.task}, length {args.length}, hidden {args.hidden}, Adam lr {args.lr}, at most {32 * args.steps:,} sequences"
)
for name, options in cells.items():
    runs = []
    for seed in range(args.seeds):
        shared = {"hidden": args.hidden, "steps": args.steps, "lr": args.lr, "seed": seed}
        trainer = Trainer(Settings(args.task, {"length": args.length}, **shared, **options))
        for _ in trainer.run():
            pass
        runs.append(trainer)
    solved = [run.sequences for run in runs if run.solved]
    errors = ", ".join(f"{run.error:.3f}" for run in runs)
    print(f"{name:<20} solved {len(solved)} of {len(runs)} {solved}  mean error {errors}", flush=True)
print("criterion:", runs[0].task.criterion.text)

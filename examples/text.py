"""Train a small LSTM on the characters of a text, and see how what it writes becomes better on the way.

python examples/text.py [FILE]
"""

import argparse
from pathlib import Path

from tinygrad_lstm.train import Settings, Trainer, one_thread
from tinygrad_lstm.train.sample import sample

FABLES = Path(__file__).with_name("fables.txt")
parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("file", nargs="?", default=FABLES, help="UTF-8 text of some thousand characters (default: fables)")
parser.add_argument("--steps", type=int, default=1500)
parser.add_argument("--hidden", type=int, default=64)
parser.add_argument("--seed", type=int, default=0)
args = parser.parse_args()


def written(length, temperature):
    """What the network writes now: the one so far with the lowest loss on the part of the text that it never saw."""
    return "".join(sample(trainer.checkpoint(), length=length, temperature=temperature, seed=args.seed))


one_thread()
trainer = Trainer(Settings("text", {"data": args.file}, hidden=args.hidden, steps=args.steps, lr=5e-3, seed=args.seed))
print("nats a character of a predictor without memory:", trainer.task.baseline.how, "\n")
for report in trainer.run():
    if report:  # every 100 batches
        line = " ".join(written(60, 0.5).split())
        print(f"{report['sequences']:>7,} sequences, held-out loss {trainer.exam.score:.3f}:  {line}", flush=True)

for temperature in (0, 0.5, 1.0):
    print(f"\ntemperature {temperature}:\n{written(300, temperature).strip()}")

# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Training, watched
#
# A notebook kept as text. `pip install ".[notebook]"`, then open it in Jupyter or VS Code as a notebook, or make one of
# it: `jupytext --to ipynb examples/notebook_train.py`. It also runs as it stands: `python examples/notebook_train.py`.

# %%
import tempfile

import numpy as np

import tinygrad_lstm as tl
from tinygrad_lstm import tasks
from tinygrad_lstm.train import Settings, Trainer, load, one_thread, save, watch

# %% [markdown]
# ## The task
#
# Temporal order, task 6a of the paper of 1997: two marked symbols, each X or Y, somewhere in a hundred distractors. At
# the end say which two they were, and in which order. A network that remembers nothing guesses one of four: a loss of
# ln 4 = 1.386.

# %%
task = tasks.make("order4")
print(task.preview(np.random.default_rng(0), 1))
print(f"baseline {task.baseline.loss:.3f}: {task.baseline.how}")
print(f"solved when {task.criterion.text}")

# %% [markdown]
# ## A run
#
# A run is decided by its settings. Chrono initialisation draws the forget gates' biases so that some cells start with a
# memory as long as the sequences.

# %%
one_thread()  # at these sizes several threads wait for each other
trainer = Trainer(Settings("order4", cell="lstm", hidden=8, init="chrono", steps=1500, seed=0))
trainer

# %% [markdown]
# The page below is drawn anew about once a second while the network learns. In a terminal it is a line instead.

# %%
watch(trainer)

# %%
assert trainer.solved
trainer.network

# %% [markdown]
# ## The same network, started differently
#
# Size, data, learning rate and seed are the same; the biases start elsewhere, the forget gate's at 1. After as many
# steps as the other one took it has learnt nothing: the initialisation decided, not the architecture.

# %%
other = Trainer(Settings("order4", cell="lstm", hidden=8, forget_bias=1.0, steps=trainer.steps, seed=0))
watch(other)

# %%
print(f"last loss {other.reports[-1]['loss']:.3f}, guessing {task.baseline.loss:.3f}")
assert not other.solved
assert abs(other.reports[-1]["loss"] - task.baseline.loss) < 0.05

# %% [markdown]
# ## Why
#
# How much gradient comes back over a hundred steps in such cells before training (hidden size 8, a sequence of the
# task, float64, L = |h_T|², seed 0)?


# %%
def untrained(**options):
    """The flow through a cell over the first sequence of the task, cut to 100 steps."""
    cell = tl.nn.LSTMCell(task.inputs, 8, rng=0, **options)
    state = None
    for x in task.batch(np.random.default_rng(0), 1).x[:100, 0]:
        state = cell(x.astype(np.float64), state)
    h, _ = state
    return tl.trace_gradients((h * h).sum())


def left(flow):
    """How much of the gradient at the last cell state reaches the first."""
    return flow.norms("c")[0] / flow.norms("c")[-1]


chrono, one = untrained(init="chrono", T_max=110), untrained(forget_bias=1.0)
print(f"left of the gradient: chrono {left(chrono):.1e}, forget bias 1 {left(one):.1e}")
assert left(one) < 1e-4 < 1e-2 < left(chrono)
chrono

# %%
one

# %% [markdown]
# ## Kept and read again
#
# A checkpoint holds everything: weights, optimiser, generator. The network that is read answers with the same bits.

# %%
with tempfile.TemporaryDirectory() as folder:
    save(folder, trainer.checkpoint())
    checkpoint = load(folder)
fresh = task.batch(np.random.default_rng(1), 1000)
outputs, again = trainer.network(fresh.x, fresh.at)[0].numpy(), checkpoint.best_network()(fresh.x, fresh.at)[0].numpy()
assert np.array_equal(outputs, again)
right = task.judge(outputs, fresh)[1].mean()
print(f"right on sequences it never saw: {right:.1%} of 1,000")
assert right > 0.98
checkpoint

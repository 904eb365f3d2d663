# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Where the gradient goes
#
# A notebook kept as text. `pip install ".[notebook]"`, then open it in Jupyter or VS Code as a notebook, or make one of
# it: `jupytext --to ipynb examples/notebook_gradient_flow.py`. It also runs as it stands:
# `python examples/notebook_gradient_flow.py`.
#
# Every object below shows itself: tensors with their values, cells with their parameters, flows with the gradients that
# really came back. Every sentence about a gradient is checked by an `assert`.

# %%
import numpy as np

import tinygrad_lstm as tl

# %% [markdown]
# ## A gate
#
# A forget gate reads the hidden state h and the input x, and multiplies the cell state c. The tensor remembers how it
# was made.

# %%
x = tl.tensor([0.5, -1.0], requires_grad=True, name="x")
h = tl.tensor([0.1, 0.2, 0.3], requires_grad=True, name="h")
c = tl.tensor([4.0, 5.0, 6.0], requires_grad=True, name="c")
W = tl.nn.Parameter(np.random.default_rng(0).normal(size=(5, 3)), name="W_f")

with tl.scope("forget gate"):
    f = tl.sigmoid(tl.concat([h, x]) @ W)
f

# %% [markdown]
# Along the cell state the gradient is multiplied by f and by nothing else: the gradient of c below is the gate above.

# %%
(f * c).sum().backward()
assert np.array_equal(c.grad, f.numpy())
c

# %% [markdown]
# ## A cell
#
# Four gates, each with a matrix that reads [h, x] and a bias: 4 (3 (3 + 4) + 3) = 96 numbers. The forget gate's bias
# starts at 1.

# %%
cell = tl.nn.LSTMCell(input_size=4, hidden_size=3, forget_bias=1.0, rng=0)
cell

# %% [markdown]
# One step with every gate of it. f, i and o are parts between 0 and 1; the candidate g, c and h may be negative.

# %%
rng = np.random.default_rng(0)
cell.step(rng.standard_normal(4))


# %% [markdown]
# ## The same cell, again and again
#
# Unrolled over three steps, the graph with the gradient that came back along every edge. The line on top is the cell
# state; its gradient is printed between the steps.


# %%
def unrolled(cell, steps, seed=0):
    """The first state and L = |h_T|^2 after so many standard normal inputs."""
    xs = np.random.default_rng(seed).standard_normal((steps, cell.input_size))
    h = h0 = tl.tensor(np.zeros(cell.hidden_size), requires_grad=True, name="h0")
    c = c0 = tl.tensor(np.zeros(cell.hidden_size), requires_grad=True, name="c0")
    for x in xs:
        if isinstance(cell, tl.nn.LSTMCell):
            h, c = cell(x, (h, c))
        else:
            h = cell(x, h)
    return h0, c0, (h * h).sum()


tl.draw(unrolled(cell, 3)[2])

# %% [markdown]
# Twenty steps as numbers. A parameter is used at every step, and its gradient is the sum of what each step contributed.

# %%
h0, c0, loss = unrolled(cell, 20)
flow = tl.trace_gradients(loss)
W_f = flow.node(cell.W_f)
assert len(W_f.uses) == 20
assert np.allclose(W_f.gradient, sum(edge.cotangent for edge in W_f.uses))
flow

# %% [markdown]
# ## Is it the cell state that carries it?
#
# The gradient of C₀ taken apart by how often its paths leave the cell state through h and come back: the first part is
# the product of the forget gates, the others are detours, and together they are the whole. Lengths of parts do not add
# up, for parts may cancel; the arrays do.
#
# In untrained cells of hidden size 8 over 20 steps, the median over ten seeds of the first part's length, relative to
# the whole, grows with the forget gate's bias. Even at a bias of 5 it stays below a half: by length more came by
# detours than straight along the cell state.

# %%
shares = {}
for bias in (0.0, 1.0, 3.0, 5.0):
    found = []
    for seed in range(10):
        h0, c0, loss = unrolled(tl.nn.LSTMCell(4, 8, forget_bias=bias, rng=seed), 20, seed)
        parts = tl.trace_gradients(loss).split(wrt=c0)
        whole = tl.grad(loss, [c0])[0].numpy()
        assert np.allclose(sum(parts), whole, rtol=1e-9, atol=1e-12 * np.linalg.norm(whole))
        found.append(np.linalg.norm(parts[0]) / np.linalg.norm(whole))
    shares[bias] = np.median(found)
    print(f"forget bias {bias:g}: the direct path has {shares[bias]:.0%} of the gradient's length")
assert shares[0.0] < shares[1.0] < shares[3.0] < shares[5.0] < 0.5

# %% [markdown]
# ## The story that is not always true
#
# "The RNN vanishes, the LSTM does not." Closed gates forget: with a forget bias of −2 the LSTM keeps less over these 20
# steps than a plain RNN of the same size does (untrained, hidden size 8, seed 0). Compared is the norm of the gradient
# at the first h with that at the last.

# %%
kept = {}
for name, other in {
    "RNN": tl.nn.RNNCell(4, 8, rng=0),
    "LSTM, forget bias −2": tl.nn.LSTMCell(4, 8, forget_bias=-2.0, rng=0),
    "LSTM, forget bias 3": tl.nn.LSTMCell(4, 8, forget_bias=3.0, rng=0),
}.items():
    norms = tl.trace_gradients(unrolled(other, 20)[2]).norms("h")
    kept[name] = norms[0] / norms[-1]
    print(f"{name}: {kept[name]:.1e} of the gradient is left")
assert kept["LSTM, forget bias −2"] < kept["RNN"] < kept["LSTM, forget bias 3"]

# %% [markdown]
# ## A thousand steps
#
# The same cell at forget bias 1, and at 5, where a gate starts at σ(5) = 0.993.

# %%
at_one = tl.trace_gradients(unrolled(cell, 1000)[2])
at_one

# %%
at_five = tl.trace_gradients(unrolled(tl.nn.LSTMCell(4, 3, forget_bias=5.0, rng=0), 1000)[2])
first, other = at_one.norms("c")[0], at_five.norms("c")[0]
print(f"gradient at the first cell state: {first:.1e} at forget bias 1, {other:.1e} at 5")
assert first < 1e-100 < 1e-10 < other
at_five

"""Modules, losses and optimisers of every shape and setting beside PyTorch; the compiled LSTM beside its operations."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_lstm as tl
from tinygrad_lstm.nn import losses

torch = pytest.importorskip("torch")

NEAR = {np.float32: {"rtol": 1e-4, "atol": 1e-5}, np.float64: {"rtol": 1e-9, "atol": 1e-11}}
dtypes = st.sampled_from([np.float32, np.float64])
seeds = st.integers(0, 2**32 - 1)
sizes = st.integers(1, 5)
reductions = st.sampled_from(["mean", "sum", "none"])


def turned(rng: np.random.Generator, x: tl.Tensor, back: Any) -> tl.Tensor:
    """The same values elsewhere in memory: transposed twice, reversed twice or cut out of something larger."""
    kind = rng.integers(4)
    axes = tuple(reversed(range(x.ndim)))
    every = (slice(None, None, -1),) * x.ndim
    if kind == 1:
        return tl.tensor(np.ascontiguousarray(x.numpy().transpose(axes)), requires_grad=back).transpose(*axes)
    if kind == 2:
        return tl.tensor(np.ascontiguousarray(x.numpy()[every]), requires_grad=back)[every]
    if kind == 3:
        return tl.tensor(np.repeat(x.numpy(), 2, axis=-1), requires_grad=back)[..., ::2]
    return x


def agree(pairs: list[tuple[Any, Any]], dtype: Any) -> None:
    for k, (ours, theirs) in enumerate(pairs):
        a = ours.numpy() if isinstance(ours, tl.Tensor) else ours
        b = theirs.detach().numpy() if isinstance(theirs, torch.Tensor) else theirs
        np.testing.assert_allclose(a, b, strict=True, err_msg=f"pair {k}", **NEAR[dtype])


# ── recurrent layers ────────────────────────────────────────────────────────────────────────────


@given(
    data=st.data(), seed=seeds, dtype=dtypes, kind=st.sampled_from(["LSTM", "LSTM op by op", "RNN"]),
    layers=st.integers(1, 2), both=st.booleans(), first=st.booleans(), bias=st.booleans(),
)  # fmt: skip
def test_layers_over_time(
    data: st.DataObject, seed: int, dtype: Any, kind: str, layers: int, both: bool, first: bool, bias: bool
) -> None:
    T, batch, inputs = data.draw(sizes), data.draw(sizes), data.draw(sizes)
    hidden = data.draw(sizes | st.sampled_from([16, 17]))  # where one sequence changes its way back
    lengths = data.draw(st.none() | st.lists(st.integers(1, T), min_size=batch, max_size=batch))
    with_state, used = data.draw(st.booleans()), data.draw(st.sets(st.integers(0, 2), min_size=1))
    rng = np.random.default_rng(seed)
    torch_dtype = torch.float32 if dtype is np.float32 else torch.float64
    options: dict[str, Any] = {"num_layers": layers, "bidirectional": both, "batch_first": first, "bias": bias}
    theirs = (torch.nn.LSTM if "LSTM" in kind else torch.nn.RNN)(inputs, hidden, dtype=torch_dtype, **options)
    extra = {"compiled": kind == "LSTM"} if "LSTM" in kind else {}
    ours = (tl.nn.LSTM if "LSTM" in kind else tl.nn.RNN)(inputs, hidden, dtype=dtype, rng=seed, **options, **extra)
    weights = tl.interop.pytorch.state_dict(ours)
    theirs.load_state_dict({name: torch.tensor(w) for name, w in weights.items()})

    x = rng.normal(size=(batch, T, inputs) if first else (T, batch, inputs)).astype(dtype)
    states = [rng.normal(size=(layers * (1 + both), batch, hidden)).astype(dtype) for _ in range(2)]
    xs = turned(rng, tl.tensor(x, requires_grad=True), True)
    h0, c0 = (turned(rng, tl.tensor(s, requires_grad=True), True) for s in states)
    tx, th, tc = (torch.tensor(a, requires_grad=True) for a in (x, *states))
    packed: Any = tx
    if lengths is not None:
        packed = torch.nn.utils.rnn.pack_padded_sequence(tx, lengths, batch_first=first, enforce_sorted=False)
    if "LSTM" in kind:
        out, (h, c) = ours(xs, (h0, c0) if with_state else None, lengths=lengths)
        t_out, (t_h, t_c) = theirs(packed, (th, tc) if with_state else None)
        results, expected = [out, h, c], [t_out, t_h, t_c]
        initial, t_initial = [h0, c0], [th, tc]
    else:
        out, h = ours(xs, h0 if with_state else None, lengths=lengths)
        t_out, t_h = theirs(packed, th if with_state else None)
        results, expected, initial, t_initial = [out, h], [t_out, t_h], [h0], [th]
    if lengths is not None:
        expected[0], _ = torch.nn.utils.rnn.pad_packed_sequence(expected[0], batch_first=first, total_length=T)
    agree(list(zip(results, expected, strict=True)), dtype)

    chosen = [k for k in range(len(results)) if k in used] or [0]
    weighs = [rng.normal(size=results[k].shape).astype(dtype) for k in chosen]
    loss: Any = sum((results[k] * w).sum() for k, w in zip(chosen, weighs, strict=True))
    t_loss: Any = sum((expected[k] * torch.tensor(w)).sum() for k, w in zip(chosen, weighs, strict=True))
    targets, t_targets = [xs], [tx]
    if with_state:
        targets, t_targets = [xs, *initial], [tx, *t_initial]
    t_grads = torch.autograd.grad(t_loss, [*t_targets, *theirs.parameters()], allow_unused=True)
    all_theirs = [*t_targets, *theirs.parameters()]
    filled = [torch.zeros_like(t) if g is None else g for t, g in zip(all_theirs, t_grads, strict=True)]
    agree(list(zip(tl.grad(loss, targets, allow_unused=True), filled, strict=False)), dtype)

    loss.backward()
    for parameter in ours.parameters():  # one that was not used counts as 0 there
        parameter.grad = np.zeros(parameter.shape, dtype) if parameter.grad is None else parameter.grad
    named = dict(zip([n for n, _ in theirs.named_parameters()], filled[len(t_targets) :], strict=True))
    agree([(g, named[name]) for name, g in gradients_as_pytorch(ours).items() if "bias_hh" not in name], dtype)


def gradients_as_pytorch(model: Any) -> dict[str, Any]:
    """Gradients have the layout of their weights: give the model its gradients as weights and export those."""
    values = model.state_dict()
    for parameter in model.parameters():
        parameter.assign(parameter.grad)
    try:
        return tl.interop.pytorch.state_dict(model)
    finally:
        model.load_state_dict(values)


@given(
    data=st.data(), seed=seeds, dtype=dtypes, forget_gate=st.booleans(), both=st.booleans(), bias=st.booleans()
)  # fmt: skip
def test_the_fused_lstm_is_its_operations(
    data: st.DataObject, seed: int, dtype: Any, forget_gate: bool, both: bool, bias: bool
) -> None:
    """At weights far larger than a network's as well: gates shut and open, states that saturate."""
    T, batch, inputs = data.draw(st.integers(1, 12)), data.draw(st.integers(1, 3)), data.draw(sizes)
    hidden, scale = data.draw(st.integers(1, 18)), data.draw(st.sampled_from([0.1, 1.0, 5.0]))
    lengths = data.draw(st.none() | st.lists(st.integers(1, T), min_size=batch, max_size=batch))
    found = []
    for compiled in (True, False):
        rng = np.random.default_rng(seed)
        model = tl.nn.LSTM(
            inputs,
            hidden,
            bidirectional=both,
            bias=bias,
            forget_gate=forget_gate,
            compiled=compiled,
            rng=seed,
            dtype=dtype,
        )
        for parameter in model.parameters():
            parameter.assign(parameter.numpy() * scale)
        xs = turned(rng, tl.tensor(rng.normal(size=(T, batch, inputs)).astype(dtype), requires_grad=True), True)
        h0, c0 = (
            tl.tensor(rng.normal(size=(1 + both, batch, hidden)).astype(dtype), requires_grad=True) for _ in range(2)
        )
        out, (h, c) = model(xs, (h0, c0), lengths=lengths)
        again, _ = model(xs * 0.5, (h, c))  # the layer used twice in one graph: buffers, weights summed over uses
        loss = (out * out).sum() + (h * c).sum() + (again * again).mean()
        found.append([out, h, c, again, *tl.grad(loss, [xs, h0, c0, *model.parameters()])])
    near = {"rtol": 1e-3, "atol": 3e-4} if dtype is np.float32 else {"rtol": 1e-8, "atol": 1e-10}
    for ours, expected in zip(*found, strict=True):
        assert ours.dtype == dtype
        size = max(1.0, float(np.abs(expected.numpy()).max()))
        np.testing.assert_allclose(ours.numpy() / size, expected.numpy() / size, strict=True, **near)


# ── Linear, Embedding, losses ───────────────────────────────────────────────────────────────────


@given(data=st.data(), seed=seeds, dtype=dtypes, bias=st.booleans())
def test_linear(data: st.DataObject, seed: int, dtype: Any, bias: bool) -> None:
    leading = tuple(data.draw(st.lists(st.integers(0, 3), max_size=3)))
    inputs, outputs = data.draw(sizes), data.draw(sizes)
    rng = np.random.default_rng(seed)
    if 0 in leading[:-1] or (len(leading) > 1 and 0 in leading):
        leading = tuple(n or 1 for n in leading)
    layer = tl.nn.Linear(inputs, outputs, bias=bias, rng=seed, dtype=dtype)
    x = rng.normal(size=(*leading, inputs)).astype(dtype)
    xs, tx = turned(rng, tl.tensor(x, requires_grad=True), True), torch.tensor(x, requires_grad=True)
    tw = torch.tensor(layer.W.numpy().T.copy(), requires_grad=True)
    parameters, t_parameters = [layer.W], [tw]
    if layer.b is not None:
        parameters, t_parameters = [layer.W, layer.b], [tw, torch.tensor(layer.b.numpy().copy(), requires_grad=True)]
    y, z = layer(xs), torch.nn.functional.linear(tx, tw, t_parameters[1] if bias else None)
    g = rng.normal(size=y.shape).astype(dtype)
    first = tl.grad(y, [xs, *parameters], g, create_graph=True)
    expected = torch.autograd.grad(z, [tx, *t_parameters], torch.tensor(g), create_graph=True)
    v = rng.normal(size=x.shape).astype(dtype)
    second = tl.grad((first[0] * v).sum(), [layer.W])
    t_second = torch.autograd.grad((expected[0] * torch.tensor(v)).sum(), [tw])
    agree([(y, z), (first[0], expected[0]), (first[1].T, expected[1]), (second[0].T, t_second[0])], dtype)
    agree(list(zip(first[2:], expected[2:], strict=True)), dtype)


@given(data=st.data(), seed=seeds, dtype=dtypes, reduction=reductions)
def test_embedding_and_cross_entropy(data: st.DataObject, seed: int, dtype: Any, reduction: str) -> None:
    shape = tuple(data.draw(st.lists(st.integers(1, 4), max_size=2)))
    count = data.draw(st.integers(2, 6))
    rng = np.random.default_rng(seed)
    table = tl.nn.Embedding(count, count, rng=seed, dtype=dtype)
    ids, classes = rng.integers(0, count, size=shape), rng.integers(0, count, size=shape)
    mask = rng.random(shape) < 0.7
    tw = torch.tensor(table.W.numpy().copy(), requires_grad=True)
    logits, t_logits = table(ids), torch.nn.functional.embedding(torch.tensor(ids), tw)
    kept = mask if mask.any() else None
    loss = losses.cross_entropy(logits, classes, kept, reduction)
    wanted = torch.tensor(classes if kept is None else np.where(mask, classes, -100)).reshape(-1)
    t_loss = torch.nn.functional.cross_entropy(t_logits.reshape(-1, count), wanted, reduction=reduction)
    t_loss = t_loss.reshape(loss.shape)
    weights = rng.normal(size=loss.shape).astype(dtype)
    (g,) = tl.grad(loss, [table.W], weights, create_graph=True)
    (t_g,) = torch.autograd.grad(t_loss, [tw], torch.tensor(weights), create_graph=True)
    v = rng.normal(size=g.shape).astype(dtype)
    (second,) = tl.grad((g * v).sum(), [table.W])
    (t_second,) = torch.autograd.grad((t_g * torch.tensor(v)).sum(), [tw])
    agree([(logits, t_logits), (loss, t_loss), (g, t_g), (second, t_second)], dtype)


@given(data=st.data(), seed=seeds, dtype=dtypes, reduction=reductions)
def test_losses_of_every_shape(data: st.DataObject, seed: int, dtype: Any, reduction: str) -> None:
    shape = tuple(data.draw(st.lists(st.integers(1, 4), max_size=3)))
    rng = np.random.default_rng(seed)
    x, target = (4 * rng.normal(size=shape)).astype(dtype), rng.random(shape).astype(dtype)
    functional = torch.nn.functional
    for ours, theirs in (
        (losses.mse, functional.mse_loss),
        (losses.binary_cross_entropy_with_logits, functional.binary_cross_entropy_with_logits),
    ):
        a = turned(rng, tl.tensor(x, requires_grad=True), True) if shape else tl.tensor(x, requires_grad=True)
        b = torch.tensor(x, requires_grad=True)
        loss, t_loss = ours(a, target, reduction), theirs(b, torch.tensor(target), reduction=reduction)
        weights = rng.normal(size=loss.shape).astype(dtype)
        (g,) = tl.grad(loss, [a], weights, create_graph=True)
        (t_g,) = torch.autograd.grad(t_loss, [b], torch.tensor(weights), create_graph=True)
        v = rng.normal(size=shape).astype(dtype)
        (second,) = tl.grad((g * v).sum(), [a])
        (t_second,) = torch.autograd.grad((t_g * torch.tensor(v)).sum(), [b])
        agree([(loss, t_loss), (g, t_g), (second, t_second)], dtype)


# ── optimisers ──────────────────────────────────────────────────────────────────────────────────


@given(data=st.data(), seed=seeds, dtype=dtypes, kind=st.sampled_from(["SGD", "Adam"]))
def test_optimisers(data: st.DataObject, seed: int, dtype: Any, kind: str) -> None:
    """Gradients of all sizes, missing and zero ones among them, clipped or not, over parameters of all shapes."""
    shapes = data.draw(st.lists(st.lists(st.integers(0, 3), max_size=3).map(tuple), min_size=1, max_size=3))
    lr = data.draw(st.sampled_from([0.0, 1e-3, 0.3]))
    if kind == "Adam":
        settings = {"betas": data.draw(st.sampled_from([(0.9, 0.999), (0.0, 0.5)])), "eps": 1e-8}
    else:
        settings = {"momentum": data.draw(st.sampled_from([0.0, 0.5, 0.9]))}
    clip = data.draw(st.none() | st.sampled_from([1e-3, 1.0]))
    rng = np.random.default_rng(seed)
    ours = [tl.nn.Parameter(rng.normal(size=s), dtype=dtype) for s in shapes]
    theirs = [torch.tensor(p.numpy().copy(), requires_grad=True) for p in ours]
    mine, other = (
        getattr(tl.optim, kind)(ours, lr=lr, **settings),
        getattr(torch.optim, kind)(theirs, lr=lr, **settings),
    )
    for _ in range(6):
        for p, t in zip(ours, theirs, strict=True):
            if rng.random() < 0.2:
                p.grad, t.grad = None, None
                continue
            g = (rng.normal(size=p.shape) * 10.0 ** rng.integers(-6, 3) * (rng.random() < 0.9)).astype(dtype)
            p.grad, t.grad = (g.T.copy().T if rng.random() < 0.5 else g), torch.tensor(g)
        if clip is not None:
            norm = tl.optim.clip_grad_norm(ours, clip)
            assert norm == pytest.approx(float(torch.nn.utils.clip_grad_norm_(theirs, clip)), rel=1e-5)
        mine.step()
        other.step()
        agree(list(zip(ours, theirs, strict=True)), dtype)

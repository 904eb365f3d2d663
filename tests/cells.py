"""Cells as users write them, cells drawn at random, and the comparison of a compiled scan with one op by op."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from hypothesis import strategies as st

import tinygrad_lstm as tl
from tinygrad_lstm.autodiff import operations
from tinygrad_lstm.nn import Cell, Linear, Parameter
from tinygrad_lstm.primitives import softplus

# ── cells as users write them ──────────────────────────────────────────────────────────────────


class GRUCell(Cell):
    """A product waits for a gate."""

    def __init__(self, inputs: int, hidden: int, rng: int = 0, dtype: Any = np.float64) -> None:
        super().__init__(inputs, hidden, dtype)
        draw = np.random.default_rng(rng)
        self.r, self.u, self.n = (Linear(inputs + hidden, hidden, rng=draw, dtype=dtype) for _ in range(3))

    def equations(self, x: Any, h: Any) -> dict[str, Any]:
        z = tl.concat([h, x], axis=-1)
        r, u = tl.sigmoid(self.r(z)), tl.sigmoid(self.u(z))
        n = tl.tanh(self.n(tl.concat([r * h, x], axis=-1)))
        return {"r": r, "u": u, "n": n, "h": (1 - u) * h + u * n}


class CoupledLSTMCell(Cell):
    """One gate for what is kept and what is let in, and a peephole from the new c."""

    states = ("h", "c")

    def __init__(self, inputs: int, hidden: int, rng: int = 0, dtype: Any = np.float64) -> None:
        super().__init__(inputs, hidden, dtype)
        draw = np.random.default_rng(rng)
        for k in "fgo":
            setattr(self, f"W_{k}", Parameter(draw.normal(size=(inputs + hidden, hidden)), dtype=dtype))
        self.b, self.p_o = (Parameter(draw.normal(size=hidden), dtype=dtype) for _ in range(2))

    def equations(self, x: Any, h: Any, c: Any) -> dict[str, Any]:
        z = tl.concat([h, x], axis=-1)
        f, g = tl.sigmoid(z @ self.W_f + self.b), tl.tanh(z @ self.W_g + self.b)
        c = f * c + (1 - f) * g
        o = tl.sigmoid(z @ self.W_o + self.p_o * c)
        return {"f": f, "g": g, "c": c, "o": o, "h": o * tl.tanh(c)}


class MatrixPeepholeCell(Cell):
    """Peepholes that are matrices: of the old c for a gate, of the new one for h."""

    states = ("h", "c")

    def __init__(self, inputs: int, hidden: int, rng: int = 0, dtype: Any = np.float64) -> None:
        super().__init__(inputs, hidden, dtype)
        draw = np.random.default_rng(rng)
        self.f = Linear(inputs + hidden, hidden, rng=draw, dtype=dtype)
        self.g = Linear(hidden, hidden, rng=draw, dtype=dtype)
        self.o = Linear(2 * hidden, hidden, rng=draw, dtype=dtype)

    def equations(self, x: Any, h: Any, c: Any) -> dict[str, Any]:
        f = tl.sigmoid(self.f(tl.concat([c, x], axis=-1)))
        c = f * c + (1 - f) * tl.tanh(self.g(h))
        return {"f": f, "c": c, "h": tl.tanh(self.o(tl.concat([c, h], axis=-1))) * c**2}


class MinimalCell(Cell):
    """h = k h + (1 - k) tanh(h U + x V), k of a vector parameter, without a concat."""

    def __init__(self, inputs: int, hidden: int, rng: int = 0, dtype: Any = np.float64) -> None:
        super().__init__(inputs, hidden, dtype)
        draw = np.random.default_rng(rng)
        self.v = Parameter(draw.normal(size=hidden), dtype=dtype)
        self.U, self.V = (Parameter(draw.normal(size=(n, hidden)) / 2, dtype=dtype) for n in (hidden, inputs))

    def equations(self, x: Any, h: Any) -> dict[str, Any]:
        k = tl.sigmoid(self.v)
        return {"h": k * h + (1 - k) * tl.tanh(h @ self.U + x @ self.V)}


class ThreeStatesCell(Cell):
    """Everything odd at once: a state passed along, a weight twice or made of another, a scalar, a wide product."""

    states = ("h", "c", "s")

    def __init__(self, inputs: int, hidden: int, rng: int = 0, dtype: Any = np.float64) -> None:
        super().__init__(inputs, hidden, dtype)
        draw = np.random.default_rng(rng)
        self.V = Linear(inputs, hidden, rng=draw, dtype=dtype)
        shapes = {"U": (hidden, hidden), "m": (hidden, 1), "k": (), "Q": (hidden, inputs), "row": (1, hidden)}
        for name, shape in shapes.items():
            setattr(self, name, Parameter(draw.normal(size=shape) / 2, dtype=dtype))

    def equations(self, x: Any, h: Any, c: Any, s: Any) -> dict[str, Any]:
        y = tl.relu(h @ (self.U * tl.sigmoid(self.m)) - self.V(x))
        e = tl.exp(-y * y) * self.k + self.row
        w = tl.tanh(e @ self.Q) * x / (1 + x * x)
        n = e / (2 + tl.sigmoid(self.V(w * self.k)))
        return {"y": y, "e": e, "w": w, "n": n, "h": 0.5 * n + h * 0.3, "c": h, "s": s - 0.1 * c * n}


class TwoStatesCell(Cell):
    """Two states that feed each other: b through a weight into a, the new a through another into b."""

    states = ("a", "b")

    def __init__(self, inputs: int, hidden: int, rng: int = 0, dtype: Any = np.float64) -> None:
        super().__init__(inputs, hidden, dtype)
        draw = np.random.default_rng(rng)
        for name, shape in {
            "U": (hidden, hidden),
            "V": (inputs, hidden),
            "S": (hidden, hidden),
            "p": (hidden,),
        }.items():
            setattr(self, name, Parameter(draw.normal(size=shape) * 0.6, dtype=dtype))

    def equations(self, x: Any, a: Any, b: Any) -> dict[str, Any]:
        a = 0.5 * a + tl.tanh(b @ self.U + x @ self.V) * self.p
        return {"a": a, "b": tl.tanh(a @ self.S) + b * 0.7 - a * b * 0.1}


class DeepCell(Cell):
    """Two layers of h + tanh(h W) in one step: a path may cross two weights a step."""

    def __init__(self, inputs: int, hidden: int, rng: int = 0, dtype: Any = np.float64) -> None:
        super().__init__(inputs, hidden, dtype)
        draw = np.random.default_rng(rng)
        for name, rows in {"U": hidden, "V": inputs, "W": hidden}.items():
            setattr(self, name, Parameter(draw.normal(size=(rows, hidden)) * 0.6, dtype=dtype))

    def equations(self, x: Any, h: Any) -> dict[str, Any]:
        y = 0.6 * h + tl.tanh(h @ self.U)
        return {"y": y, "h": 0.6 * y + tl.tanh(y @ self.W + x @ self.V)}


class ShiftedCell(Cell):
    """States of three kinds: one read, one that is another as it was, one without any weight."""

    states = ("h", "c", "s")

    def __init__(self, inputs: int, hidden: int, rng: int = 0, dtype: Any = np.float64) -> None:
        super().__init__(inputs, hidden, dtype)
        draw = np.random.default_rng(rng)
        self.U = Parameter(draw.normal(size=(hidden, hidden)) * 0.6, dtype=dtype)
        self.V = Linear(inputs, hidden, rng=draw, dtype=dtype)

    def equations(self, x: Any, h: Any, c: Any, s: Any) -> dict[str, Any]:
        n = tl.tanh(h @ self.U + self.V(x) + s)
        return {"n": n, "h": 0.5 * n + 0.3 * c, "c": h, "s": s - 0.1 * c * n}


OWN = [
    GRUCell, CoupledLSTMCell, MatrixPeepholeCell, MinimalCell, ThreeStatesCell, TwoStatesCell, DeepCell, ShiftedCell,
]  # fmt: skip


class Lines(Cell):
    """A cell of one function of (cell, x, *states), and of attributes: shapes in a tuple become parameters."""

    def __init__(
        self, step: Callable[..., Any], states: str = "h", sizes: tuple[int, int] = (4, 3), **named: Any
    ) -> None:
        super().__init__(*sizes)
        self.written, self.states = step, tuple(states)  # type: ignore[misc]
        draw = np.random.default_rng(0)
        for name, given in named.items():
            value = Parameter(draw.normal(size=given) / 2) if isinstance(given, tuple) else given
            setattr(self, name, value)

    def equations(self, x: Any, *states: Any) -> Any:
        after = self.written(self, x, *states)
        return after if isinstance(after, dict) else {"h": after}


# ── cells drawn at random ──────────────────────────────────────────────────────────────────────

# Of the cell's p, the values a and b, and x: the shape of p, and what is computed.
OPERATIONS: list[tuple[str, Callable[..., Any]]] = [
    *[("", f) for f in (
        lambda p, a, b, x: tl.tanh(a),
        lambda p, a, b, x: tl.sigmoid(a),
        lambda p, a, b, x: tl.relu(a),
        lambda p, a, b, x: -a,
        lambda p, a, b, x: tl.exp(-a * a),
        lambda p, a, b, x: softplus(a) - 1,
        lambda p, a, b, x: 1 - a,
        lambda p, a, b, x: a * 0.5 + b * 0.0,
        lambda p, a, b, x: a**2,
        lambda p, a, b, x: (1 + a * a) ** -0.5,
        lambda p, a, b, x: (1 + a * a) ** tl.tanh(b),
        lambda p, a, b, x: tl.log(1 + a * a),
        lambda p, a, b, x: a + b,
        lambda p, a, b, x: a - b,
        lambda p, a, b, x: a * b,
        lambda p, a, b, x: a / (1 + b * b),
        lambda p, a, b, x: a * tl.sigmoid(b),
        lambda p, a, b, x: tl.where(np.arange(a.shape[-1]) % 2 == 0, a, b),
    )],
    *[("vector", f) for f in (
        lambda p, a, b, x: a * p,
        lambda p, a, b, x: a + p,
        lambda p, a, b, x: p - a,
        lambda p, a, b, x: a / (1 + p * p),
        lambda p, a, b, x: tl.sigmoid(p) * a + (1 - tl.sigmoid(p)) * b,
    )],
    ("row", lambda p, a, b, x: p * a - b * p),
    ("scalar", lambda p, a, b, x: a * p + p),
    *[("matrix", f) for f in (
        lambda p, a, b, x: a @ p,
        lambda p, a, b, x: a @ p + b @ p,
        lambda p, a, b, x: tl.tanh(a) @ p - b,
        lambda p, a, b, x: a @ (p * tl.sigmoid(p)) + 0.5,
    )],
    ("join", lambda p, a, b, x: tl.concat([a, x, b], axis=-1) @ p),  # not compiled where b is a
    ("join", lambda p, a, b, x: tl.concat([a, 0.5 * b, x], axis=1) @ p + 0.5),
    ("input", lambda p, a, b, x: x @ p),
    ("input", lambda p, a, b, x: (x * x) @ p + a),
    ("wide", lambda p, a, b, x: tl.tanh((a @ p) * x) @ p.T),
]  # fmt: skip


class DrawnCell(Cell):
    """Operations one after another, each on values before it; a parameter may be used again."""

    def __init__(
        self, sizes: tuple[int, int], program: list[tuple[int, int, int, int]], after: list[int], seed: int
    ) -> None:
        super().__init__(*sizes)
        self.states = tuple("abc"[: len(after)])  # type: ignore[misc]
        self.program, self.after, self.drawn = program, after, (sizes, program, after, seed)
        draw, (inputs, hidden) = np.random.default_rng(seed), sizes
        self.shapes: dict[str, Any] = {
            "vector": (hidden,), "row": (1, hidden), "scalar": (), "matrix": (hidden, hidden),
            "join": (2 * hidden + inputs, hidden), "input": (inputs, hidden), "wide": (hidden, inputs),
        }  # fmt: skip
        for shape, size in self.shapes.items():
            for k in range(2):
                setattr(self, f"{shape}{k}", Parameter(draw.normal(size=size) / 2))

    def __repr__(self) -> str:
        return f"DrawnCell{self.drawn}"

    def equations(self, x: Any, *states: Any) -> dict[str, Any]:
        values, named = list(states), {}
        for k, (operation, a, b, which) in enumerate(self.program):
            shape, f = OPERATIONS[operation]
            p = getattr(self, f"{shape}{which}") if shape else None
            values.append(f(p, values[a % len(values)], values[b % len(values)], x))
            named[f"v{k}"] = values[-1]
        after = [values[k % len(values)] for k in self.after]
        old = [k % len(values) < len(states) for k in self.after]  # a state passed along, or swapped
        return named | {s: v if o else tl.tanh(v) for s, v, o in zip(self.states, after, old, strict=True)}


def _draw_cell(draw: Any) -> DrawnCell:
    places, sizes = st.integers(0, 30), st.integers(1, 3)
    step = st.tuples(st.integers(0, len(OPERATIONS) - 1), places, places, st.integers(0, 1))
    program = draw(st.lists(step, min_size=1, max_size=10))
    late = st.integers(len(program) - 2, len(program) + 2).map(abs)  # what is computed late is made of more
    after = draw(st.lists(st.one_of(late, late, places), min_size=1, max_size=3))
    return DrawnCell((draw(sizes), draw(sizes)), program, after, draw(places))


cells = st.composite(_draw_cell)

# ── the comparison ─────────────────────────────────────────────────────────────────────────────


def ran_compiled(hs: tl.Tensor) -> bool:
    return any(op.primitive is not None and op.primitive.name == "scan" for op in operations(hs))


def shaken(cell: Any, seed: int = 1) -> Any:
    """The cell with every parameter moved, so that none is tested at 0."""
    rng = np.random.default_rng(seed)
    for p in cell.parameters():
        p.assign((p.numpy() + rng.normal(size=p.shape) / 3).astype(p.dtype))
    return cell


def random_inputs(cell: Any, T: int, batch: int, seed: int = 2) -> tuple[Any, list[Any]]:
    """xs, and a value of every state."""
    rng = np.random.default_rng(seed)
    xs, *state = (
        rng.normal(size=s) for s in [(T, batch, cell.input_size)] + [(batch, cell.hidden_size)] * len(cell.states)
    )
    return xs.astype(cell.dtype), [s.astype(cell.dtype) for s in state]


def everything(cell: Any, xs: Any, state: Any, of: Sequence[str] = ("hs", "last"), **options: Any) -> dict[str, Any]:
    """All that a scan gives, and the gradients of all that it takes, where cotangents arrive at hs, the last states or
    both; a gradient that never came is 0."""
    for p in cell.parameters():
        p.grad = None
    rng = np.random.default_rng(3)
    x, *before = (tl.tensor(a, requires_grad=True) for a in (xs, *state))
    hs, last = tl.scan(cell, x, tuple(before), **options)
    last = last if isinstance(last, tuple) else (last,)
    outputs = {"hs": hs, **{f"last {s}": t for s, t in zip(cell.states, last, strict=True)}}
    weighed = [(t * rng.normal(size=t.shape).astype(t.dtype)).sum() for k, t in outputs.items() if k.split()[0] in of]
    tl.stack(weighed).sum().backward()
    leaves = {
        "x": x,
        **dict(zip((f"{s} before" for s in cell.states), before, strict=True)),
        **dict(cell.named_parameters()),
    }
    gradients = {f"d {name}": np.zeros(t.shape, t.dtype) if t.grad is None else t.grad for name, t in leaves.items()}
    return {"compiled": ran_compiled(hs), **{k: t.numpy() for k, t in outputs.items()}, **gradients}


def agree(
    cell: Any, T: int = 5, batch: int = 3, tolerance: float = 1e-10, compiled: bool | None = True, **options: Any
) -> None:
    """A scan gives what it gives op by op, to the tolerance (of the largest number of each array, at least 1).

    `compiled` says whether it must have run as a program; None for either.
    """
    xs, state = random_inputs(cell, T, batch)
    fast, slow = everything(cell, xs, state, **options), everything(cell, xs, state, compiled=False, **options)
    assert not slow.pop("compiled")
    assert fast.pop("compiled") in ([True, False] if compiled is None else [compiled])
    for name, b in slow.items():
        a = fast[name]
        assert a.dtype == b.dtype == cell.dtype, name
        assert a.shape == b.shape, name
        scale = max(1, np.abs(b, where=np.isfinite(b), out=np.zeros(b.shape)).max())
        np.testing.assert_allclose(a / scale, b / scale, rtol=0, atol=tolerance, err_msg=name)

"""anatomy: the lines of text are exact for the cells that have names, and are run as a program for any cell."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from cells import (
    OWN,
    CoupledLSTMCell,
    GRUCell,
    Lines,
    MatrixPeepholeCell,
    MinimalCell,
    cells,
    shaken,
)
from hypothesis import given

import tinygrad_lstm as tl
from tinygrad_lstm.nn import LSTMCell, RNNCell
from tinygrad_lstm.nn.recording import NotCompiled
from tinygrad_lstm.primitives import TABLE

# ── the exact text ─────────────────────────────────────────────────────────────────────────────

WEIGHTS: dict[str, Any] = {"U": (3, 3), "V": (4, 3)}
CONSTANT = np.arange(12.0).reshape(4, 3)


def tanh_of(s: Any, x: Any, h: Any) -> Any:
    return tl.tanh(h @ s.U + x @ s.V)


def gated_by(made: Any, **named: Any) -> Lines:
    """One value that two gates read, each through a weight of its own."""

    def step(s: Any, x: Any, h: Any) -> dict[str, Any]:
        m = made(s, h)
        f, g = tl.sigmoid(m @ s.U), tl.tanh(m @ s.W)
        return {"m": m, "f": f, "g": g, "h": f * h - g}

    return Lines(step, U=(3, 3), W=(3, 3), **named)


TEXTS = {
    "RNN": (RNNCell(4, 3), """
        h = tanh([h, x] @ W_h + b_h)
        --
        da_h = dh * (1 - h^2)
        dh_prev = da_h @ W_h[h]^T
        dx = da_h @ W_h[x]^T
        dW_h += [h_prev, x]^T @ da_h
        db_h += da_h
    """),
    "LSTM": (LSTMCell(4, 3), """
        f = sigmoid([h, x] @ W_f + b_f)
        i = sigmoid([h, x] @ W_i + b_i)
        g = tanh([h, x] @ W_g + b_g)
        c = f * c + i * g
        o = sigmoid([h, x] @ W_o + b_o)
        h = o * tanh(c)
        --
        dc += dh * o * (1 - tanh(c)^2)
        da_f = dc * c_prev * f * (1 - f)
        da_i = dc * g * i * (1 - i)
        da_g = dc * i * (1 - g^2)
        da_o = dh * tanh(c) * o * (1 - o)
        dh_prev = da_f @ W_f[h]^T + da_i @ W_i[h]^T + da_g @ W_g[h]^T + da_o @ W_o[h]^T
        dc_prev = dc * f
        dx = da_f @ W_f[x]^T + da_i @ W_i[x]^T + da_g @ W_g[x]^T + da_o @ W_o[x]^T
        dW_f += [h_prev, x]^T @ da_f
        db_f += da_f
        dW_i += [h_prev, x]^T @ da_i
        db_i += da_i
        dW_g += [h_prev, x]^T @ da_g
        db_g += da_g
        dW_o += [h_prev, x]^T @ da_o
        db_o += da_o
    """),
    "peephole, 1997, without biases": (LSTMCell(4, 3, peephole=True, forget_gate=False, bias=False), """
        i = sigmoid([h, x] @ W_i + c * p_i)
        g = tanh([h, x] @ W_g)
        c = c + i * g
        o = sigmoid([h, x] @ W_o + c * p_o)
        h = o * tanh(c)
        --
        dc += dh * (o * (1 - tanh(c)^2) + tanh(c) * o * (1 - o) * p_o)
        da_i = dc * g * i * (1 - i)
        da_g = dc * i * (1 - g^2)
        da_o = dh * tanh(c) * o * (1 - o)
        dh_prev = da_i @ W_i[h]^T + da_g @ W_g[h]^T + da_o @ W_o[h]^T
        dc_prev = dc * (1 + g * i * (1 - i) * p_i)
        dx = da_i @ W_i[x]^T + da_g @ W_g[x]^T + da_o @ W_o[x]^T
        dW_i += [h_prev, x]^T @ da_i
        dW_g += [h_prev, x]^T @ da_g
        dW_o += [h_prev, x]^T @ da_o
        dp_o += dh * tanh(c) * o * (1 - o) * c
        dp_i += dc * g * i * (1 - i) * c_prev
    """),
    "GRU": (GRUCell(4, 3), """
        r = sigmoid([h, x] @ r.W + r.b)
        u = sigmoid([h, x] @ u.W + u.b)
        n = tanh([r * h, x] @ n.W + n.b)
        h = (1 - u) * h + u * n
        --
        da_n = dh * u * (1 - n^2)
        d(r * h_prev) = da_n @ n.W[r * h]^T
        da_r = d(r * h_prev) * h_prev * r * (1 - r)
        da_u = dh * (n - h_prev) * u * (1 - u)
        dh_prev = dh * (1 - u) + d(r * h_prev) * r + da_r @ r.W[h]^T + da_u @ u.W[h]^T
        dx = da_r @ r.W[x]^T + da_u @ u.W[x]^T + da_n @ n.W[x]^T
        dr.W += [h_prev, x]^T @ da_r
        dr.b += da_r
        du.W += [h_prev, x]^T @ da_u
        du.b += da_u
        dn.W += [r * h_prev, x]^T @ da_n
        dn.b += da_n
    """),
    "coupled gates": (CoupledLSTMCell(4, 3), """
        f = sigmoid([h, x] @ W_f + b)
        g = tanh([h, x] @ W_g + b)
        c = f * c + (1 - f) * g
        o = sigmoid([h, x] @ W_o + p_o * c)
        h = o * tanh(c)
        --
        dc += dh * (o * (1 - tanh(c)^2) + tanh(c) * o * (1 - o) * p_o)
        da_f = dc * (c_prev - g) * f * (1 - f)
        da_g = dc * (1 - f) * (1 - g^2)
        da_o = dh * tanh(c) * o * (1 - o)
        dh_prev = da_f @ W_f[h]^T + da_g @ W_g[h]^T + da_o @ W_o[h]^T
        dc_prev = dc * f
        dx = da_f @ W_f[x]^T + da_g @ W_g[x]^T + da_o @ W_o[x]^T
        dW_f += [h_prev, x]^T @ da_f
        db += da_f
        dW_g += [h_prev, x]^T @ da_g
        db += da_g
        dW_o += [h_prev, x]^T @ da_o
        dp_o += dh * tanh(c) * o * (1 - o) * c
    """),
    "minimal": (MinimalCell(4, 3), """
        h = sigmoid(v) * h + (1 - sigmoid(v)) * tanh(h @ U + x @ V)
        --
        da_h = dh * (1 - sigmoid(v)) * (1 - tanh(h_prev @ U + x @ V)^2)
        dh_prev = da_h @ U^T + dh * sigmoid(v)
        dx = da_h @ V^T
        dU += h_prev^T @ da_h
        dV += x^T @ da_h
        d(1 - sigmoid(v)) += dh * tanh(h_prev @ U + x @ V)
        d(sigmoid(v)) += dh * h_prev
    """),
    "an affine value with a name": (
        Lines(lambda s, x, h: {"a": (a := h @ s.U + x @ s.V), "h": tl.tanh(a)}, **WEIGHTS), """
        a = h @ U + x @ V
        h = tanh(a)
        --
        da = dh * (1 - h^2)
        dh_prev = da @ U^T
        dx = da @ V^T
        dU += h_prev^T @ da
        dV += x^T @ da
    """),
    "constants, and one value as two states": (
        Lines(lambda s, x, h, c: {"n": (n := tl.tanh(x @ CONSTANT + h @ s.U + 1)), "y": (y := n * h), "h": y, "c": y},
              "hc", U=(3, 3)), """
        n = tanh(x @ [...] + h @ U + 1)
        y = n * h
        h = y
        c = y
        --
        dy = dh + dc
        da_n = dy * h_prev * (1 - n^2)
        dh_prev = dy * n + da_n @ U^T
        dc_prev = 0
        dx = da_n @ [...]^T
        dU += h_prev^T @ da_n
    """),
    "a state under another name": (
        Lines(lambda s, x, h, c: {"n": (n := tanh_of(s, x, h)), "y": (y := n * h), "h": y, "c": y * c},
              "hc", **WEIGHTS), """
        n = tanh(h @ U + x @ V)
        y = n * h
        h = y
        c = y * c
        --
        dy = dh + dc * c_prev
        da_n = dy * h_prev * (1 - n^2)
        dh_prev = dy * n + da_n @ U^T
        dc_prev = dc * y
        dx = da_n @ V^T
        dU += h_prev^T @ da_n
        dV += x^T @ da_n
    """),
    "a piece that is used again": (
        Lines(lambda s, x, h: {"r": (r := tl.sigmoid(x @ s.V)), "h": tl.tanh((q := r * h) @ s.U) + q}, **WEIGHTS), """
        r = sigmoid(x @ V)
        h = tanh((r * h) @ U) + r * h
        --
        da_h = dh * (1 - tanh((r * h_prev) @ U)^2)
        d(r * h_prev) = dh + da_h @ U^T
        da_r = d(r * h_prev) * h_prev * r * (1 - r)
        dh_prev = d(r * h_prev) * r
        dx = da_r @ V^T
        dV += x^T @ da_r
        dU += (r * h_prev)^T @ da_h
    """),
    "two values and a vector that are used twice": (
        Lines(lambda s, x, h, c: {"y": (y := h * c), "z": (z := y * c), "h": (y + z) * s.v, "c": y * z * s.v},
              "hc", v=(3,)), """
        y = h * c
        z = y * c
        h = (y + z) * v
        c = y * z * v
        --
        dz = dc * v * y + dh * v
        dy = dc * v * z + dh * v + dz * c_prev
        dh_prev = dy * c_prev
        dc_prev = dz * y + dy * h_prev
        dx = 0
        dv += dc * y * z
        dv += dh * (y + z)
    """),
    "an unnamed piece of two gates": (
        Lines(lambda s, x, h: {"r": (r := tl.sigmoid(x @ s.V)), "f": (f := tl.sigmoid((q := r * h) @ s.U)),
                               "h": f * tl.tanh(q @ s.W)}, W=(3, 3), **WEIGHTS), """
        r = sigmoid(x @ V)
        f = sigmoid((r * h) @ U)
        h = f * tanh((r * h) @ W)
        --
        da_f = dh * tanh((r * h_prev) @ W) * f * (1 - f)
        da_h = dh * f * (1 - tanh((r * h_prev) @ W)^2)
        d(r * h_prev) = da_f @ U^T + da_h @ W^T
        da_r = d(r * h_prev) * h_prev * r * (1 - r)
        dh_prev = d(r * h_prev) * r
        dx = da_r @ V^T
        dV += x^T @ da_r
        dU += (r * h_prev)^T @ da_f
        dW += (r * h_prev)^T @ da_h
    """),
    "x passed on": (
        Lines(lambda s, x, h, c: {"h": tl.tanh(h @ s.U), "c": x}, "hc", sizes=(3, 3), U=(3, 3)), """
        h = tanh(h @ U)
        c = x
        --
        da_h = dh * (1 - h^2)
        dh_prev = da_h @ U^T
        dc_prev = 0
        dx = dc
        dU += h_prev^T @ da_h
    """),
}  # fmt: skip


@pytest.mark.parametrize(
    ("made", "text"),
    [
        (lambda s, h: 0.5 * h, "dh * f + dm * 0.5"),
        (lambda s, h: -0.5 * h, "dh * f - dm * 0.5"),
        (lambda s, h: -h, "dh * f - dm"),
        (lambda s, h: h * s.v, "dh * f + dm * v"),
        (lambda s, h: -(h * s.v), "dh * f - dm * v"),
    ],
)
def test_what_comes_back_through_weights_has_a_name_where_it_is_multiplied(made: Any, text: str) -> None:
    adjoints = tl.anatomy(gated_by(made, v=(3,))).adjoints
    assert {"dm = da_f @ U^T + da_g @ W^T", f"dh_prev = {text}", "da_g = - dh * (1 - g^2)"} <= {*adjoints}


@pytest.mark.parametrize(("cell", "text"), TEXTS.values(), ids=TEXTS.keys())
def test_equations_and_adjoints_are_these_lines(cell: Any, text: str) -> None:
    found = tl.anatomy(cell)
    assert [*found.equations, "--", *found.adjoints] == [line.strip() for line in text.strip().splitlines()]


# ── the text as a program ──────────────────────────────────────────────────────────────────────

FUNCTIONS: dict[str, Any] = {
    **{name: primitive.forward for name, primitive in TABLE.items()},
    **{name: getattr(np, name) for name in ("greater", "less", "equal")},
    "transpose": np.transpose,
}


class Text:
    """Reads `equations` and `adjoints` as a person would: ^ is a power, ^T turns, [a, b] joins, W[h] are the rows of W
    that meet h, and d(a * b) is one name."""

    def __init__(self, values: dict[str, Any]) -> None:
        self.values = dict(values)
        self.met: dict[tuple[str, str], list[str]] = {}  # by the rows of a weight, for the products of one site

    def run(self, lines: list[str]) -> None:
        for line in lines:
            if product := re.fullmatch(r"d(.+) \+= (.+)\^T @ (\S+)", line):
                joined = re.fullmatch(r"\[(.*)\]", product[2])
                self.met[product[1], product[3]] = joined[1].split(", ") if joined else [product[2]]
        for line in lines:
            name, sign, text = re.fullmatch(r"(.+?) (\+?=) (.+)", line).groups()  # type: ignore[union-attr]
            value = self.read(text)
            if sign == "+=":
                value = self.values.get(name, 0) + sum_to(value, np.shape(self.read(name[1:])))
            self.values[name] = value

    def read(self, text: str) -> Any:
        rest, self.tokens = text, []
        while rest:
            token = re.match(r"d\(|\d+(\.\d+)?(e[+-]?\d+)?|[^\W\d][\w.]*'*|\S", rest)[0]  # type: ignore[index]
            if token == "d(":  # up to the bracket that closes it
                end = next(k for k in range(3, len(rest) + 1) if rest[:k].count("(") == rest[:k].count(")"))
                token = rest[: end + len(re.match("'*", rest[end:])[0])]  # type: ignore[index]
            self.tokens.append(token)
            rest = rest[len(token) :].lstrip(" ") if not rest[len(token) :].startswith("[") else rest[len(token) :]
        self.tokens.append("")
        value = self.sum()
        assert self.tokens == [""], text
        return value

    def take(self, *wanted: str) -> str:
        return self.tokens.pop(0) if not wanted or self.tokens[0] in wanted else ""

    def sum(self) -> Any:
        value = -self.product() if self.take("-") else self.product()
        while sign := self.take("+", "-"):
            value = value + self.product() if sign == "+" else value - self.product()
        return value

    def product(self) -> Any:
        first, value = self.tokens[0], self.power("")
        while sign := self.take("*", "/", "@"):
            other = self.power(first)
            value = value * other if sign == "*" else value / other if sign == "/" else value @ other
        return value

    def power(self, site: str) -> Any:
        value = self.atom(site)
        if not self.take("^"):
            return value
        return value.T if self.take("T") else value ** self.power(site)  # to the right, as is usual

    def atom(self, site: str) -> Any:
        token, before = self.take(), list(self.tokens)
        if token == "-":
            return -self.power(site)
        if token == "[":
            return np.concatenate(self.listed("]"), axis=-1)
        if token == "(":
            (value,) = self.listed(")")
            token = "(" + " ".join(before[: len(before) - len(self.tokens)])
        elif token[0].isdigit():
            return float(token)
        elif self.tokens[0] == "(" and token in FUNCTIONS:
            self.take()
            return FUNCTIONS[token](*self.listed(")"))
        else:
            value = self.values[token]
        return self.rows(token, value, site) if site and self.take("[") else value

    def listed(self, end: str) -> list[Any]:
        found = [self.sum()]
        while self.take(","):
            found.append(self.sum())
        assert self.take() == end
        return found

    def rows(self, weight: str, W: Any, site: str) -> Any:
        end = self.tokens.index("]")
        piece = "".join(self.tokens[:end])
        rest, at = self.tokens[end + 1 :], 0
        tight = weight.replace(" ", "")
        for other in next(met for (w, s), met in self.met.items() if (w.replace(" ", ""), s) == (tight, site)):
            width = np.shape(self.read(other))[-1]
            if other.replace("_prev", "").replace(" ", "") == piece.replace("_prev", ""):
                self.tokens = rest
                return W[at : at + width]
            at += width
        raise AssertionError(f"{weight} has no rows for {piece}")


def sum_to(value: Any, shape: tuple[int, ...]) -> Any:
    whole = np.broadcast_shapes(np.shape(value), shape)
    return TABLE["sum_to"].forward(np.broadcast_to(value, whole), shape)


def check_texts(cell: Any) -> None:
    """The lines, run, give the named values and the gradients of the step that was recorded."""
    found = tl.anatomy(cell)
    step, recording = found.step, found.step.recording
    x, named = recording.x, {k: t for k, t in recording.named.items() if isinstance(t, tl.Tensor)}
    leaves = {"x": x, **dict(zip((f"{s}_prev" for s in cell.states), recording.before, strict=True))}
    fixed = dict(cell.named_parameters())
    given = {k: t.numpy() for k, t in (leaves | fixed).items()}

    forward = Text(given | dict(zip(cell.states, (t.numpy() for t in recording.before), strict=True)))
    forward.run(found.equations)
    for name in {line.split(" = ")[0] for line in found.equations}:
        np.testing.assert_allclose(forward.values[name], named[name].numpy(), rtol=1e-9, atol=1e-9, err_msg=name)

    arriving = {
        f"d{s}": np.random.default_rng(5).normal(size=t.shape)
        for s, t in zip(cell.states, recording.after, strict=True)
    }
    back = Text(given | {k: t.numpy() for k, t in named.items()} | arriving)
    back.run(found.adjoints)
    loss = tl.stack([(t * g).sum() for t, g in zip(recording.after, arriving.values(), strict=True)]).sum()
    wanted = leaves | fixed
    expected = [d.numpy() for d in tl.grad(loss, list(wanted.values()), allow_unused=True)]
    got = {name: np.zeros(t.shape) for name, t in wanted.items()} | {k: back.values[f"d{k}"] for k in leaves}
    made = {found._words.cotangent(v): v for v in step.fixed if v.trained}  # two of one text have one sum
    for text, v in made.items():  # a parameter, or what is computed of some
        if (d := back.values.get(text)) is not None:
            for name, through in zip(fixed, tl.grad(v.tensor, list(fixed.values()), d, allow_unused=True), strict=True):
                got[name] = got[name] + through.numpy()
    for name, d in zip(wanted, expected, strict=True):
        np.testing.assert_allclose(got[name] + 0 * d, d, rtol=1e-8, atol=1e-8, err_msg=name)


def test_printed_it_is_its_lines() -> None:
    found = tl.anatomy(RNNCell(4, 3))
    assert str(found).split("\n\n") == ["\n".join(found.equations), "\n".join(found.adjoints)]


@pytest.mark.parametrize("make", [RNNCell, LSTMCell, *OWN], ids=lambda make: make.__name__)
def test_lines_run_as_a_program(make: Any) -> None:
    check_texts(shaken(make(4, 3)))


def gated_by_made_weights(s: Any, x: Any, h: Any) -> dict[str, Any]:
    m = tl.sigmoid(h) * 0.9
    f, g = tl.sigmoid(m @ (s.U * tl.sigmoid(s.k))), tl.tanh(m @ (s.U * s.k) + x @ s.V)
    return {"m": m, "f": f, "g": g, "h": f * h + g}


ODD = {
    "two names of one state": Lines(
        lambda s, x, h: {"n": (v := tanh_of(s, x, h)), "y": (y := v * v), "h": v * y}, **WEIGHTS
    ),
    "a state under another name, and used": Lines(
        lambda s, x, h, c: {"n": (v := tanh_of(s, x, h)), "h": v, "c": c * v * tl.sigmoid(v)}, "hc", **WEIGHTS
    ),
    "states swapped": Lines(lambda s, x, h, c: {"h": c, "c": tl.tanh(h @ s.U)}, "hc", U=(3, 3)),
    "a state passed on after its own next": Lines(lambda s, x, h, c: {"h": tanh_of(s, x, c), "c": h}, "hc", **WEIGHTS),
    "one state twice": Lines(lambda s, x, h, c, d: {"h": c, "c": h, "d": c}, "hcd"),
    "x passed on, and none used": Lines(
        lambda s, x, h, c: {"h": tl.tanh(h @ s.U), "c": x}, "hc", sizes=(3, 3), U=(3, 3)
    ),
    "without x": Lines(lambda s, x, h: tl.tanh(h @ s.U), U=(3, 3)),
    "one weight of two pieces": Lines(lambda s, x, h: tl.tanh(tl.sigmoid(h) @ s.U + h @ s.U), U=(3, 3)),
    "one piece without a name in two products": Lines(
        lambda s, x, h: tl.tanh((half := h * 0.5) @ s.U + tl.tanh(half @ s.U + x @ s.V) @ s.U), **WEIGHTS
    ),
    "a square of a square, and of a piece": Lines(
        lambda s, x, h: tl.tanh(((h * h) * (h * h)) @ s.U) + (x**2) @ s.V + (h * h) ** 2 * 0.01, **WEIGHTS
    ),
    "a sum that is scaled": Lines(gated_by_made_weights, k=(3, 1), **WEIGHTS),
    "a name for what is fixed": Lines(
        lambda s, x, h: {"k": (k := tl.sigmoid(s.v)), "h": k * h + (1 - k) * tanh_of(s, x, h)}, **WEIGHTS, v=(3,)
    ),
    "minus": Lines(lambda s, x, h: -(h - (1 - tanh_of(s, x, h))) / (2 - -h * h), **WEIGHTS),
    "a number at two widths": Lines(lambda s, x, h: tl.tanh(s.k * h + (x * s.k) @ s.V), V=(4, 3), k=()),
    "biases of every shape": Lines(
        lambda s, x, h: tl.tanh(h @ s.U + s.k + s.row + s.vector) * s.row, U=(3, 3), k=(), row=(1, 3), vector=(3,)
    ),
}


@pytest.mark.parametrize("cell", ODD.values(), ids=ODD.keys())
def test_lines_of_odd_cells_run_as_a_program(cell: Any) -> None:
    check_texts(cell)


@given(cells())
def test_lines_of_drawn_cells_run_as_a_program(cell: Any) -> None:
    with np.errstate(all="ignore"):
        try:
            found = tl.anatomy(cell)
        except NotCompiled:  # a value joined to itself
            return
        without_a_name = any("[...]" in line or "(...)" in line for line in (*found.equations, *found.adjoints))
        if not without_a_name:
            check_texts(cell)


@pytest.mark.parametrize(
    ("step", "text"),
    [
        (lambda n, h: h * -0.5, "h * (-0.5)"),
        (lambda n, h: 0 - h * 1e-5, "0 - h * 1e-05"),
        (lambda n, h: h - n * h, "h - n * h"),
        (lambda n, h: n / (h - h * h), "n / (h * (1 - h))"),
        (lambda n, h: (1 + h) ** 1.5 - h**n, "(1 + h)^1.5 - h^n"),
        (lambda n, h: (h * h) ** 0.5 * n, "(h^2)^0.5 * n"),
        (lambda n, h: h - (n - h) - (n + h), "h - (n - h) - (n + h)"),
        (lambda n, h: h / (n * h) / (n / (2 + h)), "h / (n * h) / (n / (2 + h))"),
        (lambda n, h: -(h + n) * (1 - h), "-(h + n) * (1 - h)"),
        (lambda n, h: -h / n, "(-h) / n"),
        (lambda n, h: h * n / (1 + n), "h * n / (1 + n)"),
        (lambda n, h: n + h**0, "n + h^0"),
        (lambda n, h: n - (h + 0), "n - h"),
        (lambda n, h: (0.0 * h + n + h * 0.0) / 1 + 0.0 * n * h**1, "n"),
        (lambda n, h: tl.exp(-n) * tl.where([True, False, True], n, h), "exp(-n) * where([...], n, h)"),
    ],
)
def test_brackets_stand_where_they_are_needed(step: Any, text: str) -> None:
    cell = Lines(lambda s, x, h: {"n": (v := tanh_of(s, x, h)), "h": step(v, h)}, **WEIGHTS)
    with np.errstate(all="ignore"):
        assert tl.anatomy(cell).equations[-1] == f"h = {text}"


def test_a_bias_that_is_computed_needs_no_brackets() -> None:
    cell = Lines(lambda s, x, h: tl.tanh(h @ s.U + (s.v - s.w)), U=(3, 3), v=(3,), w=(3,))
    assert tl.anatomy(cell).equations == ["h = tanh(h @ U + v - w)"]


def test_what_a_person_would_not_read_is_cut() -> None:
    """Values without names, each used thrice: written out, the last would have 3^30 parts."""

    def flowing(s: Any, x: Any, h: Any) -> Any:
        y = tanh_of(s, x, h)
        for _ in range(30):
            y = y + 0.1 * y * (1 - y * y)
        return y

    found = tl.anatomy(Lines(flowing, **WEIGHTS))
    assert "(...)" in found.equations[0]
    assert max(map(len, found.equations + found.adjoints)) < 10_000


# ── direct paths, reads, gates, weights ────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("cell", "words"),
    [
        (LSTMCell(4, 3), {"h": None, "c": "f"}),
        (LSTMCell(4, 3, forget_gate=False), {"h": None, "c": "1"}),
        (LSTMCell(4, 3, peephole=True, forget_gate=False), {"h": None, "c": "1 + g * i * (1 - i) * p_i"}),
        (RNNCell(4, 3), {"h": None}),
        (GRUCell(4, 3), {"h": "1 - u"}),
        (CoupledLSTMCell(4, 3), {"h": None, "c": "f"}),
        (MatrixPeepholeCell(4, 3), {"h": None, "c": "f"}),
        (MinimalCell(4, 3), {"h": "sigmoid(v)"}),
        (Lines(lambda s, x, h, c: {"h": c, "c": h * 0.5}, "hc"), {"h": None, "c": None}),
        (Lines(lambda s, x, h: tanh_of(s, x, h) - tl.relu(h), **WEIGHTS), {"h": "-greater(relu(h_prev), 0)"}),
        (Lines(lambda s, x, h: -0.5 * h + x @ s.V, V=(4, 3)), {"h": "-0.5"}),
    ],
    ids=lambda x: type(x).__name__ if isinstance(x, tl.nn.Cell) else "",
)
def test_direct_path(cell: Any, words: dict[str, str | None], monkeypatch: pytest.MonkeyPatch) -> None:
    """The factor is d after / d before where no product passes a gradient on."""
    found = tl.anatomy(shaken(cell))
    assert {name: direct and direct.words for name, direct in found.direct.items()} == words
    matmul = tl.Tensor.__matmul__
    monkeypatch.setattr(tl.Tensor, "__matmul__", lambda a, b: matmul(a.detach(), b))
    recording = found.step.recording
    before = [tl.tensor(t.numpy(), requires_grad=True) for t in recording.before]
    after = cell(recording.x.numpy(), tuple(before))
    for k, name in enumerate(cell.states):
        new = after[k] if isinstance(after, tuple) else after
        (d,) = tl.grad(new.sum(), [before[k]], allow_unused=True)  # elementwise, so that a sum is no loss
        if (direct := found.direct[name]) is None:
            assert not d.numpy().any()
        else:
            rms = np.sqrt(np.mean(d.numpy() ** 2))
            assert direct.value == pytest.approx(-rms if (d.numpy() < 0).all() else rms, rel=1e-12)


def test_reads_gates_and_weights_of_the_lstm() -> None:
    found = tl.anatomy(LSTMCell(4, 3, peephole=True))
    assert found.states == ("h", "c")
    assert found.reads == [("h", f"W_{k}", k) for k in "figo"]
    assert found.gates == {k: [f"W_{k}", f"b_{k}"] + ([f"p_{k}"] if k != "g" else []) for k in "figo"}
    assert found.weights == {name: [k] for k, names in found.gates.items() for name in names}


def test_reads_gates_and_weights_of_cells_of_ones_own() -> None:
    gru, minimal, matrix = (tl.anatomy(make(4, 3)) for make in (GRUCell, MinimalCell, MatrixPeepholeCell))
    assert gru.reads == [("h", "r.W", "r"), ("h", "u.W", "u"), ("h", "n.W", "n")]
    assert gru.gates == {k: [f"{k}.W", f"{k}.b"] for k in "run"}
    assert minimal.reads == [("h", "U", "h")]
    assert {k: set(v) for k, v in minimal.gates.items()} == {"h": {"v", "U", "V"}}
    assert matrix.reads == [("c", "f.W", "f"), ("h", "g.W", "c"), ("c", "o.W", "h"), ("h", "o.W", "h")]
    assert matrix.weights == {"f.W": ["f"], "f.b": ["f"], "g.W": ["c"], "g.b": ["c"], "o.W": ["h"], "o.b": ["h"]}


def test_a_weight_of_weights_is_named_by_what_it_is_made_of() -> None:
    found = tl.anatomy(Lines(gated_by_made_weights, k=(3, 1), **WEIGHTS))
    assert found.reads == [("h", "U * sigmoid(k)", "f"), ("h", "U * k", "g")]
    assert found.weights == {"U": ["f", "g"], "k": ["f", "g"], "V": ["g"]}
    assert found.equations[1] == "f = sigmoid(m @ (U * sigmoid(k)))"


def test_what_cannot_be_read_is_refused_with_a_reason() -> None:
    with pytest.raises(NotCompiled, match="softmax"):
        tl.anatomy(Lines(lambda s, x, h: tl.softmax(h @ s.U, axis=-1), U=(3, 3)))

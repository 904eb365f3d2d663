"""The page's engine against the library's: every value, gradient, term, cut and split, over random settings."""

from __future__ import annotations

import json
from collections.abc import Callable
from importlib.resources import files
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

import tinygrad_lstm as tl
from tinygrad_lstm.flow.kinds import make_cell
from tinygrad_lstm.flow.sequence import embed, tokenize, trace_sequence
from tinygrad_lstm.train.explaining import answer

Floats = npt.NDArray[np.float64]
SETTINGS = 120


@pytest.fixture(scope="module")
def engine(browser: Any) -> Any:
    """A blank page with the scripts that draw nothing."""
    page = browser.new_page()
    for name in ("engine.js", "random.js", "words.js"):
        page.add_script_tag(content=files("tinygrad_lstm.explore").joinpath(name).read_text(encoding="utf-8"))
    return page


# ── the library's side ─────────────────────────────────────────────────────────────────────────


class Case:
    """A random cell, sequence, loss and set of paths; what the library computes of it, and the same for the page."""

    def __init__(self, seed: int) -> None:
        rng = np.random.default_rng([seed, 77])
        self.kind = ["rnn", "lstm", "lstm1997"][seed % 3]
        n, m, T = (int(rng.integers(1, high)) for high in (7, 6, 14))
        self.n, self.m, self.T = n, m, T
        scale, every = float(rng.uniform(-2, 3)), bool(rng.integers(2))
        cell = make_cell(self.kind, m, n, seed=seed)
        gates = "h" if isinstance(cell, tl.nn.RNNCell) else "".join(cell.gates)
        drawn = cell.state_dict()
        biases = {k: rng.normal(0, 2, n) for k in gates if rng.integers(2)}
        weights = {k: np.vstack([drawn[f"W_{k}"][:n] * scale, drawn[f"W_{k}"][n:]]) for k in gates}
        cell.load_state_dict(
            drawn | {f"W_{k}": w for k, w in weights.items()} | {f"b_{k}": b for k, b in biases.items()}
        )
        xs, self.loss = rng.normal(size=(T, m)), ["u", "classes", "bits", "squared"][int(rng.integers(4))]
        outputs = int(rng.integers(2, 5)) if self.loss in ("classes", "bits") else 1
        W, b, u = rng.normal(size=(n, outputs)), rng.normal(size=outputs), rng.normal(size=n)

        h: Any = tl.tensor(np.zeros(n), requires_grad=True, name="h0")
        c: Any = tl.tensor(np.zeros(n), requires_grad=True, name="c0")
        inputs = [tl.tensor(x, requires_grad=True, name="x") for x in xs]
        losses = []
        for x in inputs:
            if isinstance(cell, tl.nn.RNNCell):
                h = cell(x, h)
            else:
                h, c = cell(x, (h, c))
            if self.loss == "u":
                losses.append(h @ u)
            else:
                y = h @ W + b
                losses.append(answer(y, y.numpy(), self.loss))
        L = losses[-1]
        for other in losses[:-1] if every else []:
            L = L + other
        flow = tl.trace_gradients(L)
        states = {name: flow.states.of(name) for name in ("h", "c") if name == "h" or self.kind != "rnn"}

        names = [f"h -> {k}" for k in gates] + ([] if self.kind == "rnn" else ["c -> c", "c -> h"])
        # In a single step nothing comes back from h into the gates: those edges have no gradient to cut.
        cuts = [name for name in names if rng.integers(3) == 0]
        marks = flow.edges_named(*cuts) if cuts else []
        everything = [s for group in states.values() for s in group] + inputs
        arrays = [flow.cut(x, marks) for x in everything]

        self.z = float(rng.uniform(0, 1))
        t = int(rng.integers(0, T + 1))
        chosen = states["h" if self.kind == "rnn" else "c"]
        limit = int(rng.integers(0, 6))
        by_z = [sum(self.z**k * part for k, part in enumerate(flow.split(s))) for s in chosen]
        self.want: dict[str, Floats] = {
            "h": np.array([s.numpy() for s in states["h"]]),
            "dh": np.array([flow.gradient(s) for s in states["h"]]),
            "dx": np.array([flow.gradient(x) for x in inputs]),
            "cut_h": np.array(arrays[: T + 1]),
            "cut_x": np.array(arrays[-T:]),
            "z": np.array(by_z),
            "split": np.array(flow.split(chosen[t], limit=limit)),
            "W": np.array([tl.flow.graph.norm(flow.gradient(getattr(cell, f"W_{k}"))) for k in gates]),
            "W_terms": np.array(
                [[e.norm for e in sorted(flow.node(getattr(cell, f"W_{k}")).uses, key=_step)] for k in gates]
            ),
        }
        if self.kind != "rnn":
            self.want |= {
                "c": np.array([s.numpy() for s in states["c"]]),
                "dc": np.array([flow.gradient(s) for s in states["c"]]),
                "cut_c": np.array(arrays[T + 1 : 2 * T + 2]),
            }
            for k in gates:
                nodes = flow.named(k)
                self.want[k] = np.array([node.value for node in nodes])
                self.want[f"d{k}"] = np.array([node.gradient for node in nodes])
                self.want[f"da_{k}"] = np.array([node.inputs[0].source.gradient for node in nodes])
            shown = [node.inputs[1].source for node in flow.named("h")]  # tanh c
            self.want["dshown"] = np.array([node.gradient for node in shown])
            self.want["c -> h"] = np.array([node.inputs[0].cotangent for node in shown])
        readout = {"W": W.ravel().tolist(), "b": b.tolist(), "loss": self.loss}
        self.given = {
            "kind": self.kind, "n": n, "m": m, "scale": scale, "every": every, "cuts": cuts, "z": self.z, "t": t,
            "limit": limit, "xs": xs.tolist(), "gates": list(gates),
            "W": {k: drawn[f"W_{k}"].ravel().tolist() for k in gates},
            "b": {k: drawn[f"b_{k}"].tolist() for k in gates},
            "biases": {k: v.tolist() for k, v in biases.items()},
            "read": readout if self.loss != "u" else {"u": u.tolist()},
        }  # fmt: skip


def _step(edge: Any) -> int:
    step: int = edge.consumer.step
    return step


@pytest.mark.parametrize("seed", range(SETTINGS))
def test_the_pages_engine_is_the_librarys(script: Callable[[str], str], engine: Any, seed: int) -> None:
    case = Case(seed)
    found = engine.evaluate(script("case"), case.given)
    for name, want in case.want.items():
        got = np.array(found[name])
        largest = np.abs(want).max()
        assert got.shape == (want.size,), name
        np.testing.assert_allclose(got, want.ravel(), rtol=1e-9, atol=1e-9 * 1e-3 * largest, err_msg=name)
    np.testing.assert_allclose(
        found["terms"], case.want["dh"].ravel(), rtol=1e-9, atol=1e-12 * np.abs(case.want["dh"]).max()
    )
    whole = case.want["W"] > 0
    np.testing.assert_allclose(np.array(found["shares"], float)[whole], 1, rtol=1e-9)


def test_the_cases_are_of_every_sort() -> None:
    cases = [Case(seed) for seed in range(30)]
    assert {c.kind for c in cases} == {"rnn", "lstm", "lstm1997"}
    assert {c.loss for c in cases} == {"u", "classes", "bits", "squared"}
    assert {c.given["every"] for c in cases} == {True, False}
    assert any(c.T == 1 for c in cases)
    assert any(c.given["cuts"] for c in cases)
    assert any(np.abs(c.want["cut_h"] - c.want["dh"]).max() > 1e-3 for c in cases)  # cuts do something


def test_another_network_may_be_asked_for_an_answer(script: Callable[[str], str], engine: Any) -> None:
    rng = np.random.default_rng(3)
    W, b, h = rng.normal(size=(4, 3)), rng.normal(size=3), rng.normal(size=4)
    said = np.array([0.0, 0.0, 9.0])
    assert int((h @ W + b).argmax()) != 2
    x = tl.tensor(h, requires_grad=True)
    want = tl.grad(answer(x @ W + b, said, "classes"), [x])[0].numpy()
    found = engine.evaluate(
        script("asked"),
        [W.ravel().tolist(), b.tolist(), np.clip(h / 4, -0.9, 0.9).tolist(), said.tolist()],
    )
    x = tl.tensor(np.clip(h / 4, -0.9, 0.9), requires_grad=True)
    want = tl.grad(answer(x @ W + b, said, "classes"), [x])[0].numpy()
    np.testing.assert_allclose(found, want, rtol=1e-9)


@pytest.mark.parametrize(("U_g", "factor"), [(1.0, 2.0), (-0.5, 0.5)])
def test_closed_forms_hold_to_the_last_bit(
    script: Callable[[str], str], engine: Any, U_g: float, factor: float
) -> None:
    """One unit with f = i = o = 1: dc_T/dc_t doubles or halves with every step, though the forget gate is open."""
    found = engine.evaluate(
        script("unit"),
        U_g,
    )
    assert found == [factor**49] + [factor ** (50 - t) for t in range(1, 51)]


def test_norms_of_numbers_whose_squares_are_none(engine: Any) -> None:
    assert engine.evaluate("Engine.norm(Float64Array.of(3e-200, 4e-200))") == pytest.approx(5e-200, rel=1e-15)
    assert engine.evaluate("Engine.norm(Float64Array.of(3e200, 4e200))") == pytest.approx(5e200, rel=1e-15)
    assert engine.evaluate("Number.isNaN(Engine.norm(Float64Array.of(1, NaN)))") is True
    assert engine.evaluate("Engine.norm(new Float64Array(3))") == 0


def test_factors_are_those_of_a_passage(engine: Any) -> None:
    tokens = tokenize("the cities that I have seen")
    for kind in ("lstm", "rnn"):
        passage = trace_sequence(make_cell(kind, 4, 4), embed(tokens, 4), tokens)
        name = "c" if kind == "lstm" else "h"
        sizes = [0.0, *passage.norms[name].tolist()]
        assert engine.evaluate("(s) => Engine.factor(s)", sizes) == pytest.approx(passage.factor(name), rel=1e-12)
    assert engine.evaluate("Engine.factor([1, 1])") is None
    assert engine.evaluate("Engine.factor([0, 0, 1e-320, 1e-4, 1])") == pytest.approx(1e-4)


# ── words ──────────────────────────────────────────────────────────────────────────────────────

TOKENS = ["the", "", "ä", "漢字", "😀", "<script>alert(1)</script>", "x" * 200, "\ud800", "\u202e"]


@pytest.mark.parametrize("seed", [0, 1, 2**40 + 5, 2**63 - 1])
def test_a_word_has_the_librarys_vector(engine: Any, seed: int) -> None:
    tokens = [*TOKENS, *(f"w{k}" for k in range(6000))]  # enough for each way through the ziggurat, tail included
    found = engine.evaluate(
        "([tokens, seed]) => JSON.parse(tokens).map((t) => Array.from(Random.embed(t, 8, BigInt(seed))))",
        [json.dumps(tokens), str(seed)],
    )
    want = embed(tokens, 8, seed)
    np.testing.assert_allclose(found, want, rtol=1e-12, atol=0)
    assert np.abs(want).max() > 3.6542  # the tail was reached


def test_a_text_is_split_as_the_library_does(engine: Any) -> None:
    spaces = "".join(
        map(
            chr,
            [
                *range(9, 14),
                *range(28, 33),
                0x85,
                0xA0,
                0x1680,
                *range(0x2000, 0x200B),
                0x2028,
                0x2029,
                0x202F,
                0x205F,
                0x3000,
            ],
        )
    )
    assert not spaces.strip()
    for text in (f"a{spaces}b", " ".join(TOKENS), "\ufeffa b", "a\u200bb", "", spaces):
        assert engine.evaluate("(t) => Words.split(JSON.parse(t))", json.dumps(text)) == tokenize(text)
    for text in ("a\r\nb\rc\n\n", "😀 x", "\n", ""):
        assert engine.evaluate("(t) => Words.characters(t)", text) == tokenize(text, "chars")
    every = "".join(chr(k) for k in range(0x3100))
    assert engine.evaluate("(t) => Words.split(JSON.parse(t))", json.dumps("|".join(every))) == tokenize(
        "|".join(every)
    )


def test_numbers_are_printed_as_in_the_drawings(engine: Any) -> None:
    from tinygrad_lstm.draw.theme import number

    rng = np.random.default_rng(0)
    values = [
        0.0,
        1.0,
        0.0095,
        0.00949,
        999.4,
        1000.0,
        1e-300,
        5e-324,
        1e300,
        *(10 ** rng.uniform(-9, 5, 300)).tolist(),
    ]
    printed = engine.evaluate("(v) => v.map((x) => Words.number(x))", values)
    assert printed == [number(x) for x in values]
    assert engine.evaluate("[Words.number(null), Words.number(NaN), Words.number(Infinity), Words.number(-0.5)]") == [
        number(None), number(float("nan")), number(float("inf")), number(-0.5),
    ]  # fmt: skip

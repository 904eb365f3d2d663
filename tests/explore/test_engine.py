"""The page's engine against the library's: every value, gradient, term, cut and split, over random settings."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache, partial
from importlib.resources import files
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from cells import OPERATIONS, OWN, DrawnCell

import tinygrad_lstm as tl
from tinygrad_lstm.explore.document import formulas
from tinygrad_lstm.explore.step import Program
from tinygrad_lstm.flow.sequence import embed, tokenize, trace_sequence
from tinygrad_lstm.kinds import make_cell
from tinygrad_lstm.primitives import TABLE
from tinygrad_lstm.train.explaining import answer

Floats = npt.NDArray[np.float64]
SETTINGS = 80


@pytest.fixture(scope="module")
def engine(browser: Any) -> Any:
    """A blank page with the scripts that draw nothing."""
    page = browser.new_page()
    for name in ("engine.js", "writing.js"):
        page.add_script_tag(content=files("tinygrad_lstm.explore").joinpath(name).read_text(encoding="utf-8"))
    return page


# ── the library's side ─────────────────────────────────────────────────────────────────────────


class EveryOperation(tl.nn.Cell):
    """Every elementwise operation of the table, added up."""

    states = ("h",)

    def __init__(self, inputs: int, hidden: int, rng: int = 0) -> None:
        super().__init__(inputs, hidden, np.float64)
        self.parts = [tl.nn.Linear(hidden + inputs, hidden, rng=[rng, k], dtype=np.float64) for k in range(3)]

    def equations(self, x: Any, h: Any) -> dict[str, Any]:
        joined = tl.concat([h, x], axis=-1)
        a, b, c = (part(joined) for part in self.parts)
        special = {
            "where": lambda p: p(np.arange(self.hidden_size) % 2 == 0, a, b),
            "pow": lambda p: p(1 + a * a, b),
            "log": lambda p: p(1 + a * a),
            "log1p": lambda p: p(a * a),
            "div": lambda p: p(a, 1 + b * b),
        }
        values = [
            special[p.name](p) if p.name in special else p(*(a, b, c)[: p.arity])
            for p in TABLE.values()
            if p.elementwise
        ]
        return {"h": tl.tanh(sum(0.1 * v for v in values))}


BUILT_IN = [tl.nn.RNNCell, tl.nn.LSTMCell, partial(tl.nn.LSTMCell, forget_gate=False)]
OTHERS = [partial(tl.nn.LSTMCell, peephole=True), partial(tl.nn.LSTMCell, gate_layers=2), EveryOperation, *OWN]


def drawn_cell(rng: np.random.Generator, inputs: int, hidden: int) -> tl.nn.Cell:
    """A cell of operations drawn at random, one that can be read."""
    while True:
        operations = [
            (int(rng.integers(len(OPERATIONS))), *map(int, rng.integers(0, 30, 2)), int(rng.integers(2)))
            for _ in range(rng.integers(1, 9))
        ]
        after = [abs(len(operations) - 2 + int(k)) for k in rng.integers(0, 5, rng.integers(1, 4))]
        cell = DrawnCell((inputs, hidden), operations, after, int(rng.integers(99)))
        try:
            found = Program(cell)
        except ValueError:
            continue
        if found.nodes[found.after[0]]["op"] != "copy":  # else L may be read from what no step has made
            return cell


class Case:
    """A random cell, sequence, loss and set of paths; what the library computes of it, and the same for the page."""

    def __init__(self, seed: int) -> None:
        rng = np.random.default_rng([seed, 77])
        n, m, T = (int(rng.integers(1, high)) for high in (7, 6, 14))
        makers = BUILT_IN if seed % 2 else OTHERS
        self.T, self.kind = T, "drawn" if seed % 4 == 2 else ""
        cell: Any = drawn_cell(rng, m, n) if self.kind else makers[seed // 4 % len(makers)](m, n, rng=seed)
        self.cell, scale, every = cell, float(rng.uniform(-2, 3)), bool(rng.integers(2))
        found = Program(cell)
        data = found.data
        fixed: list[Any] = [v.tensor for v in found.fixed]
        own = [k for k, t in enumerate(fixed) if isinstance(t, tl.nn.Parameter)]
        crossing: dict[int, set[int]] = {k: set() for k in own if fixed[k].ndim == 2}
        for node in data["nodes"]:
            for (w, start, stop), crosses in zip(node.get("parts", ()), node.get("crosses", ()), strict=True):
                crossing.setdefault(w, set()).update(range(start, stop) if crosses else ())
        biases = {}
        if all(t is None or t.primitive is None for t in fixed):  # what is computed does not follow its parameters
            biases = {k: rng.normal(0, 1, fixed[k].shape) for k in own if k not in crossing and rng.integers(2)}
            for k, rows in crossing.items():
                array = fixed[k].numpy().copy()
                array[sorted(rows)] *= scale
                fixed[k].assign(array)
            for k, b in biases.items():
                fixed[k].assign(b)
        else:
            scale = 1.0
        xs, self.loss = rng.normal(size=(T, m)), ["u", "classes", "bits", "squared"][int(rng.integers(4))]
        outputs = int(rng.integers(2, 5)) if self.loss in ("classes", "bits") else 1
        W, b, u = rng.normal(size=(n, outputs)), rng.normal(size=outputs), rng.normal(size=n)
        state: Any = tuple(tl.tensor(np.zeros((1, n)), requires_grad=True, name=f"{s}0") for s in cell.states)
        inputs = [tl.tensor(x[None], requires_grad=True, name="x") for x in xs]
        losses, steps = [], []
        for x in inputs:
            steps.append(cell.step(x, state))
            state = tuple(getattr(steps[-1], s) for s in cell.states)
            y = state[0][0] @ u if self.loss == "u" else state[0][0] @ W + b
            losses.append(y if self.loss == "u" else answer(y, y.numpy(), self.loss))
        L = losses[-1]
        for other in losses[:-1] if every else []:
            L = L + other
        flow = tl.trace_gradients(L)

        def gradient(t: Any, cut: Any = None) -> Any:
            node = flow.find(t)
            if node is None or node.gradient is None:
                return np.zeros(t.shape)
            return flow.cut(t, cut) if cut else node.gradient

        self.z, t, limit = float(rng.uniform(0, 1)), int(rng.integers(0, T + 1)), int(rng.integers(0, 6))
        self.want: dict[str, Floats] = {"dx": np.array([gradient(x) for x in inputs])}
        names = {name: k for k, name in found.names.items() if k not in found.after}
        self.want |= {f"v {k}": np.array([getattr(s, name).numpy() for s in steps]) for name, k in names.items()}
        alone = {name: k for name, k in names.items() if name not in found.shared}
        self.want |= {f"d {k}": np.array([gradient(getattr(s, name)) for s in steps]) for name, k in alone.items()}
        states = {s: flow.states.of(s) for s in cell.states}
        for s, k in zip(cell.states, found.after, strict=True):
            self.want[f"v {k}"] = np.array([x.numpy() for x in states[s]])
            if s not in found.shared:
                self.want[f"d {k}"] = np.array([gradient(x) for x in states[s]])
        usual = [p for p in data["paths"] if self._named(p, data["paths"], found) and rng.integers(3) == 0]
        cuts = [] if found.shared else [p for p in usual if self._there(flow, p)]
        marks = flow.edges_named(*cuts) if cuts else []
        main = cell.states[found.main]
        self.want["cut_x"] = np.array([gradient(x, marks) for x in inputs])
        t = min(t, len(states[main]) - 1) if main not in found.shared else 0
        wanted = states[main][t]
        none = [np.zeros((1, n))] * (limit + 2)
        self.want["split"] = np.array(flow.split(wanted, limit=limit) if flow.find(wanted) else none)
        by_z = [flow.split(x) if flow.find(x) else [np.zeros((1, m))] for x in inputs]
        self.want["z_x"] = np.array([sum(self.z**k * part for k, part in enumerate(parts)) for parts in by_z])
        trained = [k for k in own if data["fixed"][k]["whole"]]
        self.want["W"] = np.array([np.linalg.norm(gradient(fixed[k])) for k in trained])
        readout = {"W": W.ravel().tolist(), "b": b.tolist(), "loss": self.loss}
        self.given = {
            "cell": data, "scale": scale, "every": every, "cuts": cuts, "z": self.z, "t": t, "limit": limit,
            "xs": xs.tolist(), "biases": {k: v.ravel().tolist() for k, v in biases.items()}, "W": trained,
            "read": readout if self.loss != "u" else {"u": u.tolist()},
        }  # fmt: skip

    def _named(self, path: str, paths: Any, found: Any) -> bool:
        """Whether the library calls the same edges so."""
        source, target = path.split(" -> ")
        others = any(p.startswith(f"{source} -> ") and p != path for p in paths)
        direct = found.anatomy.direct[source] is not None
        return "," not in target and " by " not in target and (source != target or direct or not others)

    def _there(self, flow: Any, path: str) -> bool:
        """In a single step nothing comes back from h into the gates: those edges have no gradient to cut."""
        try:
            return bool(flow.edges_named(path))
        except KeyError:
            return False


case_of = cache(Case)


@pytest.mark.parametrize("seed", range(SETTINGS))
def test_the_pages_engine_is_the_librarys(script: Callable[[str], str], engine: Any, seed: int) -> None:
    case = case_of(seed)
    engine.add_script_tag(content=formulas([case.given["cell"]]))
    found = engine.evaluate(script("case"), case.given)
    for name, want in case.want.items():
        got = np.array(found[name])
        if name[1:2] == " ":  # a state at the end may not be in the library's graph
            got = got[: want.size]
        largest = np.abs(want).max(initial=0)
        assert got.shape == (want.size,), name
        np.testing.assert_allclose(got, want.ravel(), rtol=1e-9, atol=1e-9 * 1e-3 * largest, err_msg=name)
    np.testing.assert_allclose(found["terms"], 0, atol=1e-12 * np.abs(case.want["dx"]).max(initial=1))
    whole = case.want["W"] > 1e-300
    np.testing.assert_allclose(np.array(found["shares"], float)[whole], 1, rtol=1e-9)


def test_the_cases_are_of_every_sort() -> None:
    cases = [case_of(seed) for seed in range(60)]
    assert {type(c.cell) for c in cases} >= {*OWN, EveryOperation, DrawnCell, tl.nn.LSTMCell, tl.nn.RNNCell}
    assert {c.loss for c in cases} == {"u", "classes", "bits", "squared"}
    assert {c.given["every"] for c in cases} == {True, False}
    assert any(c.T == 1 for c in cases)
    assert sum(bool(c.given["cuts"]) for c in cases) > 10
    assert sum(np.abs(c.want["cut_x"] - c.want["dx"]).max() > 1e-3 for c in cases) > 5  # cuts do something


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
        [Program(tl.nn.LSTMCell(1, 1)).data, U_g],
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
        assert engine.evaluate("(t) => Writing.split(JSON.parse(t))", json.dumps(text)) == tokenize(text)
    for text in ("a\r\nb\rc\n\n", "😀 x", "\n", ""):
        assert engine.evaluate("(t) => Writing.characters(t)", text) == tokenize(text, "chars")
    every = "".join(chr(k) for k in range(0x3100))
    assert engine.evaluate("(t) => Writing.split(JSON.parse(t))", json.dumps("|".join(every))) == tokenize(
        "|".join(every)
    )


def test_numbers_are_printed_as_in_the_drawings(engine: Any) -> None:
    from tinygrad_lstm.views.theme import number

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
    printed = engine.evaluate("(v) => v.map((x) => Writing.number(x))", values)
    assert printed == [number(x) for x in values]
    assert engine.evaluate("[null, NaN, Infinity, -0.5].map((x) => Writing.number(x))") == [
        number(None), number(float("nan")), number(float("inf")), number(-0.5),
    ]  # fmt: skip

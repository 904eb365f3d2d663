"""The file itself, without a browser: its policy, what is escaped, its size, and what it refuses to hold."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from html.parser import HTMLParser
from importlib.resources import files
from typing import Any

import numpy as np
import pytest
from cells import DrawnCell, Lines, cells
from hypothesis import example, given, settings

import tinygrad_lstm as tl
from tinygrad_lstm.explore import page
from tinygrad_lstm.explore.document import SCRIPTS, _source
from tinygrad_lstm.explore.page import DETOURS, SAMPLES, measured
from tinygrad_lstm.explore.step import Program
from tinygrad_lstm.flow.sequence import embed, tokenize, trace_sequence
from tinygrad_lstm.kinds import make_cell
from tinygrad_lstm.nn import Cell, RNNCell
from tinygrad_lstm.primitives import Primitive, cos
from tinygrad_lstm.views import theme
from tinygrad_lstm.walk.notation import NOTATIONS

OWN = Primitive("mine", "?", np.sin, (lambda g, out, x: g * cos(x),))
HOSTILE = (
    "</script><script>alert(1)</script> <img src=x onerror=alert(2)> @scripts@ &lt; \" ' <!-- \u2028 \x1b[31m 𝒳 \u202e"
)


class Parts(HTMLParser):
    """Every start tag with its attributes, and the text inside scripts and styles."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.inside: list[tuple[str, dict[str, str | None], str]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag in ("script", "style"):
            self.inside.append((tag, dict(attrs), ""))

    def handle_data(self, data: str) -> None:
        if self.cdata_elem:  # between the tags of a script or a style
            tag, attributes, text = self.inside[-1]
            self.inside[-1] = tag, attributes, text + data


def parts(html: str) -> Parts:
    return Parts(html)


def data_of(html: str) -> Any:
    (text,) = [text for tag, attributes, text in parts(html).inside if attributes.get("id") == "data"]
    return json.loads(text)


def test_the_policy_lets_only_the_pages_own_parts_run() -> None:
    found = parts(page("a b c"))
    (policy,) = [a["content"] for tag, a in found.tags if a.get("http-equiv") == "Content-Security-Policy"]
    assert policy is not None
    rules = dict(rule.split(" ", 1) for rule in policy.split("; "))
    assert rules["default-src"] == rules["base-uri"] == rules["form-action"] == "'none'"
    assert "unsafe" not in policy

    def hashes(tag: str) -> list[str]:
        texts = [text for t, a, text in found.inside if t == tag and a.get("type") != "application/json"]
        return [f"'sha256-{base64.b64encode(hashlib.sha256(t.encode()).digest()).decode()}'" for t in texts]

    assert rules["script-src"].split() == hashes("script")
    assert rules["style-src"].split() == hashes("style")
    assert len(hashes("script")) == len(SCRIPTS) + 1  # the formulas of the cells


def test_nothing_is_asked_for_and_nothing_stands_in_attributes() -> None:
    html = page("a b c")
    for tag, attributes in parts(html).tags:
        assert tag not in ("link", "img", "iframe", "object", "embed", "base")
        assert not {"src", "style"} & attributes.keys()
        assert not any(name.startswith("on") for name in attributes)
        assert not (attributes.get("href") or "#").startswith(("http", "//", "data", "javascript"))
    for name in SCRIPTS:
        source = files("tinygrad_lstm.explore").joinpath(name).read_text(encoding="utf-8")
        for word in (
            "innerHTML",
            "outerHTML",
            "insertAdjacent",
            "document.write",
            "eval(",
            "fetch(",
            "XMLHttp",
            "import(",
        ):
            assert word not in source, (name, word)
    assert "http" not in re.sub(r"http-equiv|http://www\.w3\.org/2000/svg", "", html)


def test_the_scripts_do_not_grow() -> None:
    assert sum(len(_source(name).splitlines()) for name in SCRIPTS) <= 2600


def test_the_scripts_know_no_gate_by_name() -> None:
    """What an LSTM is stands in its equations: the page has its names as data. The challenges are about LSTMs."""
    for name in set(SCRIPTS) - {"challenges.js"}:
        code = re.sub(r"^ *(//|\*|/\*).*$", "", _source(name), flags=re.M).replace('svg("g"', "")
        assert not re.search(r'"(f|i|g|o|c|h|lstm|rnn|gru|LSTM|RNN)"|GATES|forget gate', code), name


def test_gradients_and_states_have_the_colours_of_the_pictures() -> None:
    light = _source("shapes.js").partition("light: {")[2].partition("dark: {")[0]
    for ramp in (theme.GRADIENT_RAMP, theme.STATE_RAMP):
        assert ", ".join(f'"{colour}"' for colour in ramp) in light


def test_every_notation_can_be_chosen() -> None:
    options = re.findall(r'<option value="(\w+)">', _source("page.html").partition('id="notation"')[2])
    assert options[: len(NOTATIONS)] == [*NOTATIONS]


def test_a_hostile_text_is_data_and_changes_nothing_else() -> None:
    plain, hostile = page("a b c"), page(HOSTILE)
    assert [tag for tag, _ in parts(plain).tags] == [tag for tag, _ in parts(hostile).tags]
    assert data_of(hostile)["sequences"][0]["tokens"] == HOSTILE.split()
    assert plain.count("<script") == hostile.count("<script")


def test_a_page_of_thirty_words_is_small() -> None:
    text = SAMPLES["thirty words"]
    assert len(text.split()) == 30
    for hidden in (4, 8):
        assert len(page(text, hidden_size=hidden).encode()) < 400_000


def test_what_the_page_holds_is_what_the_engine_measured() -> None:
    text, hidden, bias, seed = "to be or not to be", 5, 2.5, 3
    data = data_of(page(text, hidden, bias, seed))

    def array(coded: str) -> Any:
        return np.frombuffer(base64.b64decode(coded), "<f8")

    tokens = tokenize(text)
    for kind, label in (("lstm", "LSTM"), ("rnn", "RNN"), ("lstm1997", "LSTM of 1997")):
        cell = make_cell(kind, hidden, hidden, bias, seed)
        flow = trace_sequence(cell, embed(tokens, hidden, seed), tokens, seed).flow
        held, want = data["cells"][label], measured(Program(cell), flow)
        for fixed in held["fixed"]:
            assert (array(fixed["data"]) == cell.state_dict()[fixed["name"]].ravel()).all()
        assert held["engine"].keys() == want.keys() >= {"d x", "v h", "d h", "split"}
        for name, values in want.items():
            np.testing.assert_allclose(array(held["engine"][name]), values.ravel(), rtol=1e-12)
        state = "h" if kind == "rnn" else "c"
        assert want[f"d {state}"].shape == (7, hidden)
        assert want["split"].shape == (DETOURS + 2, hidden)
        np.testing.assert_allclose(want["split"].sum(axis=0), want[f"d {state}"][0], rtol=1e-9)
        assert np.linalg.norm(array(held["read"]["u"])) == pytest.approx(1)


class Odd(Cell):
    """A step that no page can run."""

    def equations(self, x: Any, h: Any) -> dict[str, Any]:
        return {"h": self.odd(x, h)}


@pytest.mark.parametrize(
    ("odd", "says"),
    [
        (lambda x, h: tl.softmax(x + h), "cannot be explored: softmax of values that change from step to step"),
        (lambda x, h: tl.tanh(h) if h.numpy().mean() > 0 else h + x, "cannot be explored"),
        (lambda x, h: OWN(h) + x, "cannot be explored: the page does not know the operation 'mine'"),
    ],
)
def test_a_cell_that_no_page_can_run_is_refused_with_the_reason(odd: Any, says: str) -> None:
    cell = Odd(3, 3)
    cell.odd = odd
    with pytest.raises(ValueError, match=re.escape(says)):
        page("a b", cells={"odd": cell})


class Wrapped(Cell):
    """Another cell's step, and what is made of it."""

    states = ("h",)

    def __init__(self, inner: Any) -> None:
        super().__init__(3, 3)
        self.inner = inner

    def equations(self, x: Any, h: Any) -> dict[str, Any]:
        after = self.inner(x, (h, h) if len(self.inner.states) == 2 else h)
        return {"h": 2 * (after[0] if isinstance(after, tuple) else after)}


@pytest.mark.parametrize("inner", [RNNCell(3, 3), tl.nn.LSTMCell(3, 3)])
def test_a_cell_that_holds_another_is_refused(inner: Cell) -> None:
    with pytest.raises(ValueError, match="cannot be explored: its step holds another cell's"):
        page("a b", cells={"wrapped": Wrapped(inner)})


def test_cells_of_ones_own_must_fit_the_page() -> None:
    with pytest.raises(ValueError, match="inputs of one size, got 2, 3"):
        page("a b", cells={"a": RNNCell(2, 2), "b": RNNCell(3, 2)})
    with pytest.raises(TypeError, match="measured in float64"):
        page("a b", cells={"a": RNNCell(2, 2, dtype=np.float32)})


def test_what_no_page_can_hold_is_refused() -> None:
    with pytest.raises(ValueError, match="the text is empty"):
        page(" \n ")
    with pytest.raises(ValueError, match="at most 200 words, got 1,001"):
        page("a " * 1001)
    with pytest.raises(ValueError, match="size must be at least 1, got 0"):
        page("a b", hidden_size=0)
    assert "tokens" in page("a " * 200)


LONG = [
    (22, 24, 25, 1),
    (14, 19, 10, 0),
    (30, 15, 2, 0),
    (32, 23, 5, 0),
    (11, 26, 24, 0),
    (4, 28, 11, 0),
    (22, 26, 9, 1),
]


@settings(max_examples=30, deadline=None)
@example(DrawnCell((2, 3), LONG, [8, 6, 8], 0))  # a sum is taken into a sum
@given(cells())
def test_the_wires_of_a_random_cell_carry_edges_of_its_program(cell: DrawnCell) -> None:
    try:
        held = data_of(page("a b", cells={"drawn": cell}))["cells"]["drawn"]
    except ValueError:  # it cannot be explored
        return
    nodes, shapes = held["nodes"], held["picture"]["shapes"]
    for wire in held["picture"]["wires"]:
        assert {wire["from"], wire["to"]} <= {None, *range(len(shapes))}
        assert all(slot < (len(nodes[k]["in"]) if k >= 0 else len(held["states"])) for k, slot in wire["edges"])


def test_a_state_that_nothing_reads_has_no_split() -> None:
    cell = Lines(lambda cell, x, h, c: {"h": tl.tanh(h @ cell.W + x), "c": 0.5 * c + x}, "hc", (3, 3), W=(3, 3))
    held = data_of(page("a b", cells={"apart": cell}))["cells"]["apart"]
    assert held["states"][held["main"]] == "c"
    assert "split" not in held["engine"]
    unread = Lines(lambda cell, x, h, c: {"h": tl.tanh(c @ cell.W), "c": c + x}, "hc", (3, 3), W=(3, 3))
    with pytest.raises(ValueError, match="or leaves a state out"):
        page("a b", cells={"unread": unread})


def test_an_input_that_the_loss_never_reads_has_a_gradient_of_zeros() -> None:
    cell = Lines(lambda cell, x, h, c: {"h": tl.tanh(c) + 0.1 * h, "c": x @ cell.W}, "hc", (3, 3), W=(3, 3))
    held = data_of(page("a b", cells={"late": cell}))["cells"]["late"]
    first, last = np.frombuffer(base64.b64decode(held["engine"]["d x"]), "<f8").reshape(2, 3)
    assert first.all()
    assert not last.any()

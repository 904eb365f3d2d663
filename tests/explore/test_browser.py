"""The page in a real browser: what a reader does, and that what is shown is what was computed."""

from __future__ import annotations

import json
import re
from bisect import bisect_left
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pytest
from cells import OWN

import tinygrad_lstm as tl
from tinygrad_lstm.explore import page as new_page
from tinygrad_lstm.explore import page_of_network
from tinygrad_lstm.flow.sequence import embed, tokenize, trace_sequence
from tinygrad_lstm.kinds import make_cell
from tinygrad_lstm.nn import Linear

LABELS = {"lstm": "LSTM", "rnn": "RNN", "lstm1997": "LSTM of 1997", "unit": "LSTM of one unit"}
TEXT = "the cities that I have seen in my life are ..."
RAISED = str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹−", "-0123456789-")
OTHERS = {cell.__name__: cell(4, 3, 1) for cell in OWN} | {"peepholes": tl.nn.LSTMCell(4, 3, peephole=True)}
page = cache(new_page)


@cache
def page_of_others() -> str:
    return new_page(TEXT, cells=OTHERS)


def read(text: str) -> float:
    """A number as the page prints it, read back."""
    mantissa, _, exponent = text.strip().removeprefix("+").translate(RAISED).partition("·10")
    return float(mantissa) * 10.0 ** int(exponent or 0)


@cache
def passage(kind: str, text: str = TEXT, hidden: int = 4, bias: float = 1.0, seed: int = 0) -> Any:
    tokens = tokenize(text)
    return trace_sequence(make_cell(kind, hidden, hidden, bias, seed), embed(tokens, hidden, seed), tokens, seed)


def test_it_opens_and_agrees_with_the_engine(opened: Callable[..., Any]) -> None:
    shown = opened(page(TEXT))
    assert "agree with those of tinygrad_lstm" in shown.text("#check")
    worst = shown.page.evaluate("Page.check()")
    assert worst["worst"] < 1e-12
    assert worst["count"] > 1000
    factors = [passage("lstm").factor("c"), passage("rnn").factor("h")]
    assert [float(b) for b in shown.page.locator("#headline b").all_text_contents()[:2]] == [
        pytest.approx(f, abs=6e-4) for f in factors
    ]


@pytest.mark.parametrize(("text", "hidden"), [("alone", 1), ("two words", 1), ("w " * 100 + "x " * 100, 8)])
def test_the_smallest_and_the_largest_pages(opened: Callable[..., Any], text: str, hidden: int) -> None:
    shown = opened(page(text, hidden_size=hidden))
    assert "agree with those of tinygrad_lstm" in shown.text("#check")
    assert ("With one word there is no step back" in shown.text("#headline")) == (text == "alone")
    for kind, state in (("lstm1997", "c"), ("unit", "c"), ("rnn", "h"), ("lstm", "c")):
        shown.page.select_option("#cell", LABELS[kind])
        if kind != "unit":
            expected = passage(kind, text, hidden).norms[state]
            np.testing.assert_allclose(shown.page.evaluate("Page.model.rows[0].sizes.slice(1)"), expected, rtol=1e-9)
    shown.slide("#scale", 0)  # no way through h: float64 may lose the gradient, and the page must stand it
    shown.slide("#bias-f", -4)
    shown.page.select_option("#cell", "RNN")
    assert "NaN" not in shown.page.inner_text("body")


def test_a_page_whose_numbers_are_wrong_says_so(opened: Callable[..., Any]) -> None:
    html = page(TEXT)
    held = re.search(r'"d c": "([^"]{40})', html)
    assert held is not None
    shown = opened(html.replace(held[1], "AAAAAAAA8D8" + held[1][11:]))  # the first number becomes 1
    assert "Do not trust this page" in shown.text("#check")


def test_sliding_the_forget_bias_moves_every_number(opened: Callable[..., Any]) -> None:
    shown = opened(page(TEXT))
    for bias in (0.0, 3.0, 10.0, -4.0):
        before = shown.text("#headline")
        shown.slide("#bias-f", bias)
        assert shown.text("#headline") != before
        expected = passage("lstm", bias=bias).norms["c"]
        np.testing.assert_allclose(shown.page.evaluate("Page.model.rows[0].sizes.slice(1)"), expected, rtol=1e-9)
        factor = float(shown.page.locator("#headline b").first.text_content())
        assert factor == pytest.approx(passage("lstm", bias=bias).factor("c"), rel=6e-3)
        printed = shown.page.locator('#strip-picture [data-role="c"][data-row="0"] text').all_text_contents()[-11:]
        assert [read(p) for p in printed] == [pytest.approx(c, rel=0.06) for c in expected]
    assert expected[0] < passage("rnn").norms["h"][0]
    assert "Here the LSTM does worse" in shown.text("#headline")


VECTORS = "(tokens) => Model.vectors({ tokens: JSON.parse(tokens) }).map((v) => Array.from(v))"


@pytest.mark.parametrize("seed", [5, 2**63 - 1])
def test_the_words_that_the_page_brings_have_the_librarys_vectors(opened: Callable[..., Any], seed: int) -> None:
    tokens = ["constructor", "ä", "漢字", "😀", "<script>alert(1)</script>", "x" * 200, "\u202e", "__proto__"]
    shown = opened(page(" ".join(tokens), hidden_size=6, seed=seed))
    known = [*tokens, "clock", "lock", "42"]
    np.testing.assert_array_equal(shown.page.evaluate(VECTORS, json.dumps(known)), embed(known, 6, seed))
    assert "did not bring" not in shown.text("#what-L")


def test_own_words_are_drawn_by_the_page_and_run_as_the_library_runs_them(opened: Callable[..., Any]) -> None:
    shown = opened(page(TEXT, hidden_size=6, seed=5))
    own = "the keys to the cabinet are on the tisch Käse 漢字 constructor"
    shown.page.fill("#own", own)
    shown.page.press("#own", "Enter")
    tokens = tokenize(own)
    vectors = np.array(shown.page.evaluate(VECTORS, json.dumps(tokens)))
    assert (vectors[0] == embed(["the"], 6, 5)[0]).all()
    assert len(np.unique(vectors, axis=0)) == len(set(tokens))
    for row, (kind, state) in enumerate((("lstm", "c"), ("rnn", "h"))):
        expected = trace_sequence(make_cell(kind, 6, 6, 1.0, 5), vectors, tokens, 5).norms[state]
        sizes = shown.page.evaluate(f"Page.model.rows[{row}].sizes.slice(1)")
        np.testing.assert_allclose(sizes, expected, rtol=1e-9)
    assert "typed here" in shown.page.locator("#sequence option:checked").text_content()
    assert "the command explain draws others" in shown.text("#what-L")
    many = np.array(shown.page.evaluate(VECTORS, json.dumps([f"w{k}" for k in range(4000)])))
    assert np.abs(many.mean(axis=0)).max() < 0.08  # standard normal: five standard errors
    assert np.abs(many.std(axis=0) - 1).max() < 0.06
    assert np.abs(np.corrcoef(many.T) - np.eye(6)).max() < 0.08
    assert 3.5 < np.abs(many).max() < 6


@pytest.mark.parametrize(("own", "says"), [("  ", "Type some words."), ("a " * 300, "at most 200")])
def test_own_words_that_cannot_be_shown(opened: Callable[..., Any], own: str, says: str) -> None:
    shown = opened(page(TEXT))
    before = shown.text("#headline")
    shown.page.fill("#own", own)
    shown.page.click("#use")
    assert says in shown.text("#own-problem")
    assert shown.page.locator("#own").get_attribute("aria-invalid") == "true"
    assert shown.text("#headline") == before


@pytest.mark.parametrize("where", ["in the file", "typed"])
def test_a_script_in_a_text_stays_text(opened: Callable[..., Any], where: str) -> None:
    hostile = (
        "</script><script>window.hacked=1</script> <img src=x onerror=window.hacked=2> <b>bold</b> &amp; \u202egnp"
    )
    shown = opened(page(hostile if where == "in the file" else TEXT))
    if where == "typed":
        shown.page.fill("#own", hostile)
        shown.page.click("#use")
    for t in range(1, len(hostile.split()) + 1):
        shown.page.focus("#strip-picture")
        shown.page.keyboard.press("Home" if t == 1 else "ArrowRight")
    assert shown.page.evaluate("window.hacked") is None
    assert shown.page.locator("main img, main b:has-text('bold'), main script").count() == 0
    shown.page.keyboard.press("Home")
    assert "</script><scr…" in shown.text("#step-shown")
    assert "</script><script>wi…" in shown.text("#why-says")
    assert "\u202e" not in shown.page.inner_text("body")


def test_every_gradient_can_be_asked_and_its_terms_add_up(
    script: Callable[[str], str], opened: Callable[..., Any]
) -> None:
    shown = opened(page(TEXT))
    shown.page.evaluate("document.body.focus()")
    asked = 0
    for row, kind in enumerate(("lstm", "rnn")):
        for t in (0, 1, 5, 11):
            for role in ("c", "h", "x", "f", "i", "g", "o", "#14"):
                if (kind == "rnn" and role not in "hx") or (t == 0 and role not in "ch"):
                    continue
                found = shown.page.evaluate(
                    script("why"),
                    {"row": row, "role": role, "t": t},
                )
                whole = np.array(found["vector"])
                np.testing.assert_allclose(
                    np.sum([v for v, _ in found["terms"]], axis=0), whole, rtol=1e-12, atol=1e-15
                )
                if np.abs(whole).max() > 0:  # the forget gate of step 1 multiplies a state of zeros
                    assert sum(share for _, share in found["terms"]) == pytest.approx(1)
                flow = passage(kind).flow
                if role in "ch":
                    node = flow.node(flow.states.of(role)[t])
                elif role == "#14":  # tanh c
                    node = flow.named("h")[t - 1].inputs[1].source
                else:
                    node = flow.named(role)[t - 1]
                np.testing.assert_allclose(whole, node.gradient, rtol=1e-9, atol=1e-15)
                asked += 1
    assert asked > 30


def test_a_click_in_the_strip_asks_for_what_is_nearest(opened: Callable[..., Any]) -> None:
    shown = opened(page(TEXT))
    chosen = "[Page.state.chosen.row, Page.state.chosen.role, Page.state.chosen.t]"
    for role, says in {
        "f": "forget gate at step 4",
        "o": "output gate at step 4",
        "#14": "tanh(C 4) at step 4",
    }.items():
        shape = shown.page.locator(f'#strip-picture .column[data-t="4"][data-row="0"] rect[data-role="{role}"]')
        box = shape.bounding_box()
        shown.page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        assert shown.page.evaluate(chosen) == [0, role, 4]
        assert says in shown.text("#why-says")
        assert shown.page.locator("#strip-picture rect.chosen[data-role]").count() == 1
    box = shown.page.locator(
        '#strip-picture .column[data-t="7"][data-row="1"] [data-role="x"] text'
    ).last.bounding_box()
    shown.page.mouse.click(box["x"] + 3, box["y"] + 3)  # the number, as a reader would
    assert shown.page.evaluate(chosen) == [1, "x", 7]


def test_clicking_a_gradient_and_following_it_to_the_loss(opened: Callable[..., Any]) -> None:
    shown = opened(page(TEXT))
    shown.page.locator('#strip-picture [data-role="x"][data-t="3"][data-row="0"]').click()
    shown.page.locator('#inside-picture [data-role="f"]').click()
    assert "gradient of the forget gate at step 3" in shown.text("#why-says")
    assert shown.page.locator("#strip-picture .faded").count() == 2  # steps 1 and 2 of that row are not on the way
    path = []
    for _ in range(40):
        buttons = shown.page.locator("#why-table td button")
        if buttons.count() == 0:
            break
        buttons.first.click()
        path.append(shown.page.evaluate("[Page.state.chosen.role, Page.state.chosen.t]"))
    assert path == [["c", t] for t in range(3, 12)] + [["h", 11]]
    assert "from the loss itself" in shown.text("#why-table")
    rows = shown.page.locator("#why-table tbody tr").all()
    assert "100 %" in (rows[-1].text_content() or "")


def test_the_table_of_terms_shows_what_it_says(opened: Callable[..., Any]) -> None:
    shown = opened(page(TEXT))
    shown.page.locator('#inside-picture [data-role="c"][data-t="6"]').click()
    rows = [
        [read(x) for x in row.locator("td").all_text_contents()[-4:]]
        for row in shown.page.locator("#why-table tbody tr").all()
    ]
    gradient = passage("lstm").flow
    node = gradient.node(gradient.states.of("c")[6])
    assert rows[-1] == [pytest.approx(v, abs=0.0051, rel=0.5) for v in node.gradient]
    np.testing.assert_allclose(np.sum(rows[:-1], axis=0), rows[-1], atol=0.011)
    assert "Shares are of this one step’s sum" in shown.text("#why-table caption")
    assert "not the shares of the split by crossings" in shown.text("#why-table caption")


def test_the_weights_gradient_is_the_sum_over_steps(opened: Callable[..., Any]) -> None:
    shown = opened(page(TEXT))
    shown.page.locator('#inside-picture [data-role="g"]').click()
    shown.page.get_by_role("button", name="WC", exact=True).click()
    flow = passage("lstm").flow
    W = next(n for n in flow.nodes if n.kind == "parameter" and n.name == "W_g")
    assert "the sum of what 11 steps contribute" in shown.text("#why-says")
    rows = shown.page.locator("#why-table tbody tr").all()
    assert len(rows) == 12
    printed = [read(row.locator("td").nth(1 if k < 11 else 0).text_content()) for k, row in enumerate(rows)]
    by_step = sorted(W.uses, key=lambda e: e.consumer.step or 0)
    assert printed == [pytest.approx(x, rel=6e-3) for x in [*(e.norm for e in by_step), W.norm]]


def test_cutting_paths_and_the_z_slider(opened: Callable[..., Any]) -> None:
    shown = opened(page(TEXT))
    expected = passage("lstm")
    flow, states = expected.flow, expected.flow.states.of("c")
    shown.page.uncheck("#cut-h-f")
    shown.page.uncheck("#cut-c-h")
    cut = [flow.cut(c, flow.edges_named("h -> f", "c -> h")) for c in states[1:-1]]
    np.testing.assert_allclose(
        shown.page.evaluate("Page.model.rows[0].sizes.slice(1, -1)"),
        [np.linalg.norm(g) for g in cut],
        rtol=1e-9,
        atol=1e-300,
    )
    assert shown.page.locator("#strip-picture .cut").count() > 0
    assert shown.page.locator("#inside-picture .cut").count() > 0
    assert "Not the whole gradient (paths cut)" in shown.text("#headline")
    shown.page.click("#reset")
    assert shown.page.is_checked("#cut-h-f")
    shown.slide("#z", 0)
    assert shown.text("#headline").startswith("Not the whole gradient (z = 0): In the LSTM")
    assert "In the RNN no gradient comes back from the last hidden state. " in shown.text("#headline")
    straight = [np.linalg.norm(flow.split(s, limit=0)[0]) for s in states]
    np.testing.assert_allclose(shown.page.evaluate("Page.model.rows[0].sizes"), straight, rtol=1e-9)
    shown.slide("#z", 0.4)
    marked = sum(0.4**k * part for k, part in enumerate(flow.split(states[6])))
    assert shown.page.evaluate("Page.model.rows[0].sizes[6]") == pytest.approx(np.linalg.norm(marked), rel=1e-9)
    assert shown.page.locator("#detours-picture .bar-outline").count() == 9


def test_a_cut_is_not_told_as_an_underflow(opened: Callable[..., Any]) -> None:
    shown = opened(page(TEXT))
    shown.slide("#z", 0)
    assert shown.text("#headline").endswith(
        "In the RNN no gradient comes back from the last hidden state. "
        "Only in the LSTM does the first word get any gradient."
    )
    shown.page.click("#reset")
    for box in shown.page.locator("#cuts input").all()[:-1]:  # the last is the RNN's
        box.uncheck()
    assert "In the LSTM no gradient comes back from the last cell state. " in shown.text("#headline")
    assert "Only in the RNN does the first word get any gradient." in shown.text("#headline")
    shown.page.locator("#cuts input").last.uncheck()
    assert shown.text("#headline").endswith("In neither does the first word get any gradient.")
    assert "float64" not in shown.text("#headline")


def test_an_underflow_is_told_as_one(opened: Callable[..., Any]) -> None:
    shown = opened(page("w " * 200, seed=2))
    shown.slide("#scale", 0.05)
    sizes = shown.page.evaluate("Page.model.rows.map((row) => Engine.norm(Engine.at(row.back.d[0], 1, row.cell.m)))")
    tiny = shown.page.evaluate("Engine.TINY")
    assert sizes[0] >= tiny > sizes[1]
    assert ", until it is too small for float64. " in shown.text("#headline")
    assert shown.text("#headline").endswith(
        "Only in the LSTM does the first word get any gradient that float64 can hold."
    )
    shown.slide("#bias-f", -4)  # sigmoid(-4) = 0.018: now the LSTM's is lost too
    assert shown.text("#headline").endswith("In neither does the first word get any gradient that float64 can hold.")
    shown.page.click("#reset")
    shown.slide("#scale", 0)  # a weight of 0 is no underflow
    assert shown.text("#headline").endswith("Only in the LSTM does the first word get any gradient.")


def test_the_split_in_the_picture_is_flows(opened: Callable[..., Any]) -> None:
    shown = opened(page(TEXT))
    shown.page.locator('#strip-picture [data-role="c"][data-t="0"][data-row="0"]').click()
    flow = passage("lstm").flow
    parts = flow.split(flow.states.of("c")[0], limit=8)
    whole = sum(parts)
    shares = [float(part @ whole / (whole @ whole)) for part in parts]
    label = shown.page.locator("#detours-picture svg").get_attribute("aria-label")
    printed = [read(piece.split(": ")[-1]) for piece in label.removeprefix("shares by crossings: ").split(", ")]
    assert printed == [pytest.approx(s, abs=0.0051) for s in shares]
    length = float(np.linalg.norm(parts[0]) / np.linalg.norm(whole))
    assert f"{length * 100:.2g} % of the length" in shown.text("#detours-says")


def test_cells_losses_and_scale(opened: Callable[..., Any]) -> None:
    shown = opened(page(TEXT, seed=2))
    shown.page.click("summary")
    for kind, state in (("lstm1997", "c"), ("rnn", "h"), ("lstm", "c")):
        shown.page.select_option("#cell", LABELS[kind])
        assert shown.page.evaluate("Page.model.rows.length") == (1 if kind == "rnn" else 2)
        np.testing.assert_allclose(
            shown.page.evaluate("Page.model.rows[0].sizes.slice(1)"), passage(kind, seed=2).norms[state], rtol=1e-9
        )
        assert shown.page.is_visible("#bias-f") == (kind == "lstm")
    shown.slide("#scale", 2)
    shown.slide("#bias-i", -3)
    shown.page.check("[name=loss][value=every]")
    cell = make_cell("lstm", 4, 4, 1.0, 2)
    scaled = {
        f"W_{k}": np.vstack([2 * cell.state_dict()[f"W_{k}"][:4], cell.state_dict()[f"W_{k}"][4:]]) for k in "figo"
    }
    cell.load_state_dict(cell.state_dict() | scaled | {"b_i": np.full(4, -3.0)})
    tokens = tokenize(TEXT)
    u = passage("lstm", seed=2).flow.named("u")[0].value
    h: Any = None
    c: Any = None
    total: Any = None
    for x in embed(tokens, 4, 2):
        h, c = cell(x, None if h is None else (h, c))
        total = h @ u if total is None else total + h @ u
    np.testing.assert_allclose(
        shown.page.evaluate("Page.model.rows[0].sizes.slice(1)"), tl.trace_gradients(total).norms("c"), rtol=1e-9
    )


def test_notations_change_every_name(opened: Callable[..., Any]) -> None:
    shown = opened(page(TEXT))
    shown.page.click("summary")
    seen = {}
    for notation in ("gates", "gamma", "separate"):
        shown.page.select_option("#notation", notation)
        seen[notation] = shown.text("#inside-picture") + shown.text("#why-table") + shown.text("#cuts")
    assert "C6" in seen["gates"] and "h6" in seen["gates"] and "C̃" in seen["gates"]  # noqa: PT018
    assert "c⟨6⟩" in seen["gamma"] and "a⟨6⟩" in seen["gamma"] and "Γu" in seen["gamma"]  # noqa: PT018
    assert "s6" in seen["separate"] and "c6" in seen["separate"] and "h6" not in seen["separate"]  # noqa: PT018
    assert "h6" not in seen["gamma"]


def test_the_keyboard_reaches_and_moves_everything(opened: Callable[..., Any]) -> None:
    shown = opened(page(TEXT))
    keys = shown.page.keyboard
    keys.press("ArrowLeft")
    assert shown.page.evaluate("Page.model.t") == 5
    keys.press("End")  # the page's own, as are up and down, where no picture has the focus
    keys.press("ArrowDown")
    assert shown.page.evaluate("[Page.model.t, Page.model.chosen.row]") == [5, 0]
    shown.until("scrollY > 0")
    shown.page.focus("#strip-picture")
    keys.press("End")
    assert shown.page.evaluate("Page.model.t") == 11
    keys.press("Home")
    keys.press("ArrowLeft")
    assert shown.page.evaluate("Page.model.t") == 1
    keys.press("ArrowDown")
    assert shown.page.evaluate("Page.model.chosen.row") == 1
    assert "hidden state at step 1" in shown.text("#why-says")
    keys.press("ArrowUp")
    assert shown.page.evaluate("Page.model.chosen.row") == 0
    shown.page.click("h1")
    reached = []
    for _ in range(60):
        keys.press("Tab")
        reached.append(shown.page.evaluate("document.activeElement.id"))
    for control in (
        "bias-f",
        "cell",
        "sequence",
        "own",
        "use",
        "strip-picture",
        "phase",
        "inside-picture",
        "pick-f-0",
    ):
        assert control in reached, control
    shown.page.focus("#pick-g-0")
    keys.press("Enter")
    assert "gradient of the candidate at step 1" in shown.text("#why-says")
    assert shown.page.evaluate("document.activeElement.id") == "pick-g-0"  # focus stays through the repaint
    keys.press("ArrowRight")
    assert shown.page.evaluate("Page.model.t") == 2
    shown.page.focus("#strip-picture")
    assert shown.page.get_attribute("#strip-picture", "aria-valuetext").startswith("step 2 of 11, cities: LSTM 0.0")
    shown.page.focus("#bias-f")
    keys.press("ArrowRight")
    assert shown.page.evaluate("Page.state.biases.f") == 1.1  # an arrow in a slider is the slider's
    assert shown.page.evaluate("Page.model.t") == 2


def test_a_step_is_followed_forward_and_back(opened: Callable[..., Any]) -> None:
    shown = opened(page(TEXT))
    shown.slide("#phase", 0)
    assert shown.page.locator("#inside-picture").get_by_text("not yet", exact=True).count() == 6
    assert "∇ not yet" in shown.text("#inside-picture")
    shown.slide("#phase", 3)
    assert shown.page.locator("#inside-picture").get_by_text("not yet", exact=True).count() == 0
    assert "3 of 8" not in shown.text("#inside-says") and "4 of 8, forward" in shown.text("#inside-says")  # noqa: PT018
    assert shown.page.locator("#inside-picture path[stroke]").count() == 0  # no gradient is drawn before it came
    shown.slide("#phase", 7)
    assert shown.page.locator("#inside-picture path[stroke]").count() > 15


@pytest.mark.parametrize(("width", "scheme"), [(375, "light"), (375, "dark"), (800, "light"), (1400, "dark")])
def test_nothing_overflows_at_any_width(opened: Callable[..., Any], width: int, scheme: str) -> None:
    shown = opened(page(TEXT), width=width, color_scheme=scheme)
    assert shown.page.evaluate("document.documentElement.scrollWidth") <= width
    paper = shown.page.evaluate("getComputedStyle(document.documentElement).backgroundColor")
    assert (paper == "rgb(255, 255, 255)") == (scheme == "light")
    shown.page.set_viewport_size({"width": 500 if width != 500 else 700, "height": 900})
    shown.until("document.querySelector('#decay-picture svg').getBoundingClientRect().width <= 500")
    assert shown.page.evaluate("document.documentElement.scrollWidth") <= 500


@pytest.mark.parametrize("width", [1024, 1280, 1400, 1920])
def test_a_long_sequence_on_a_laptop(opened: Callable[..., Any], width: int) -> None:
    shown = opened(page(TEXT), width=width)
    shown.page.select_option("#sequence", label="the numbers from 1 to 100")
    for box in ("#inside-picture", "#why-table"):
        assert shown.page.eval_on_selector(box, "e => e.scrollWidth - e.clientWidth") <= 0, box
    assert shown.page.evaluate("document.documentElement.scrollWidth") <= width
    hidden = "(e => e.scrollWidth - e.clientWidth - e.scrollLeft)(document.querySelector('#strip-picture'))"
    assert abs(shown.page.evaluate(hidden)) < 2  # L is in sight


@pytest.mark.parametrize("width", [390, 1024, 1400])
def test_the_chosen_step_and_the_loss_are_in_sight_of_200_words(opened: Callable[..., Any], width: int) -> None:
    shown = opened(page("w " * 200), width=width)
    seen = """(what) => {
      const strip = document.querySelector("#strip-picture").getBoundingClientRect(),
        box = document.querySelector(`#strip-picture ${what}`).getBoundingClientRect();
      return box.left >= strip.left && box.right <= strip.right;
    }"""
    assert shown.page.evaluate(seen, ".chosen")
    assert shown.page.evaluate(seen, ".loss")
    shown.page.focus("#strip-picture")
    for key in ("Home", "ArrowRight", "End", "ArrowLeft"):
        shown.page.keyboard.press(key)
        assert shown.page.evaluate(seen, ".chosen"), key
    shown.page.eval_on_selector("#strip-picture", "e => { e.scrollLeft = 100; }")
    shown.until("document.querySelector('#strip-picture .row-title').getAttribute('x') === '102'")
    shown.slide("#bias-f", 3)
    assert shown.page.evaluate("document.querySelector('#strip-picture').scrollLeft") == 100  # where a reader scrolled


def test_space_scrolls(opened: Callable[..., Any]) -> None:
    shown = opened(page(TEXT))
    shown.page.keyboard.press("Space")
    shown.until("scrollY > 100")


def test_the_way_back_to_the_start_shows_once_something_differs(opened: Callable[..., Any]) -> None:
    shown = opened(page(TEXT))
    reset, headline = shown.page.locator("#reset"), shown.text("#headline")
    assert not reset.is_visible()
    for differ in (
        lambda: shown.slide("#z", 0),
        lambda: shown.slide("#bias-f", 3),
        lambda: shown.page.keyboard.press("ArrowLeft"),
        lambda: shown.page.select_option("#cell", LABELS["unit"]),
    ):
        differ()
        assert reset.is_visible()
        reset.click()
        assert not reset.is_visible()
        assert shown.text("#headline") == headline


def test_the_colours_follow_the_system(opened: Callable[..., Any]) -> None:
    shown = opened(page(TEXT), color_scheme="light")
    stroke = "document.querySelector('#strip-picture path[stroke]').getAttribute('stroke')"
    before = shown.page.evaluate(stroke)
    shown.page.emulate_media(color_scheme="dark")
    shown.until(f"{stroke} !== '{before}'")
    shown.page.emulate_media(color_scheme="light")
    shown.until(f"{stroke} === '{before}'")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_can_be_read(script: Callable[[str], str], opened: Callable[..., Any], scheme: str) -> None:
    shown = opened(page(TEXT), color_scheme=scheme)
    found = shown.page.evaluate(script("contrast"))
    assert len(found) > 8
    assert {key: ratio for key, ratio in found.items() if ratio < 4.5} == {}


@pytest.mark.parametrize("width", [390, 900, 1400])
@pytest.mark.parametrize("cells", ["the package's", "of one's own"])
def test_targets_are_of_24_pixels(
    script: Callable[[str], str], opened: Callable[..., Any], width: int, cells: str
) -> None:
    shown = opened(page(TEXT) if cells == "the package's" else page_of_others(), width=width)
    for details in shown.page.locator("summary").all():
        details.click()
    assert shown.page.evaluate(script("targets")) == []
    shown.page.select_option("#sequence", label="the numbers from 1 to 100")
    shown.page.click("#row")
    assert shown.page.evaluate(script("targets")) == []


def test_without_scripts_the_page_says_what_it_needs(opened: Callable[..., Any]) -> None:
    shown = opened(page(TEXT), java_script_enabled=False)
    assert "with JavaScript, which is switched off here" in shown.page.inner_text("body")


def test_everything_has_a_name(script: Callable[[str], str], opened: Callable[..., Any]) -> None:
    shown = opened(page(TEXT))
    nameless = shown.page.evaluate(script("nameless"))
    assert nameless == []
    ids = shown.page.evaluate("Array.from(document.querySelectorAll('[id]'), (e) => e.id)")
    assert len(ids) == len(set(ids))


# ── any cell ───────────────────────────────────────────────────────────────────────────────────


def test_cells_of_ones_own_agree_with_the_engine(opened: Callable[..., Any], script: Callable[[str], str]) -> None:
    shown = opened(page_of_others())
    found = shown.page.evaluate("Page.check()")
    assert found["worst"] < 1e-12
    assert found["count"] > 2000
    for k, label in enumerate(OTHERS):
        shown.page.select_option("#cell", label)
        assert label in shown.text("#headline")
        for text in ("NaN", "undefined", "[object"):
            assert text not in shown.page.inner_text("body"), (label, text)
        assert shown.page.evaluate(script("nameless")) == []
        assert shown.page.locator("#inside-picture .pick").count() > 4
        assert shown.page.locator("#inside-picture text.halo").count() > 2
        assert shown.page.evaluate(script("hidden")) == []
        assert shown.page.locator("#challenge-list li").count() == 0
        if k > 2:
            continue
        for t in (0, 1, 5, 11):  # every gradient of every value is the sum of its terms
            for role in shown.page.evaluate(
                "Page.model.row.cell.nodes.map((_, k) => Writing.roleOf(Page.model.row.cell, k))"
            ):
                if role[0] == "#" or (t == 0 and role not in OTHERS[label].states):
                    continue
                terms = shown.page.evaluate(script("why"), {"row": 0, "role": role, "t": t})
                whole = np.array(terms["vector"])
                parts = [v for v, _ in terms["terms"]] or [np.zeros(len(whole))]
                np.testing.assert_allclose(np.sum(parts, axis=0), whole, rtol=1e-9, atol=1e-14)


def test_a_gru_is_told_in_its_own_words(opened: Callable[..., Any]) -> None:
    shown = opened(new_page(TEXT, cells={"GRU": OTHERS["GRUCell"], "RNN": tl.nn.RNNCell(4, 3)}))
    assert "along h alone: × (1 − u), no weight" in shown.text("#strip-picture")
    assert [b.text_content() for b in shown.page.locator("#cuts label").all()] == [
        "h to r", "h to u", "h to n", "h to h",
    ]  # fmt: skip
    assert not shown.page.is_visible("#bias-f")  # the direct path is multiplied by 1 − u, not by a gate
    shown.page.click("summary")
    assert "bias of u" in shown.text("#other-biases")
    shown.page.click("#alone")
    assert "Not the whole gradient (z = 0)" in shown.text("#headline")
    assert "forget" not in shown.page.inner_text("main").lower()


def test_a_name_that_ends_as_pythons_own_words_must(opened: Callable[..., Any]) -> None:
    class Kept(tl.nn.Cell):
        states = ("lambda_",)

        def equations(self, x: Any, lambda_: Any) -> Any:  # type: ignore[override]
            return {"lambda_": lambda_ * 0.5 + x}

    shown = opened(new_page(TEXT, cells={"Kept": Kept(3, 3)}))
    assert shown.text("#cuts label") == "lambda_ to lambda_"
    assert "}" not in shown.page.inner_text("main")
    assert "lambda_11 with |u| = 1" in shown.page.inner_text("main")


def test_terms_are_written_in_the_derivative_tables_words(opened: Callable[..., Any]) -> None:
    shown = opened(page_of_others())
    shown.page.select_option("#cell", "ThreeStatesCell")
    labels = {
        role: shown.page.evaluate("(role) => Page.why({ row: 0, role, t: 3 }).terms.map((term) => term.label)", role)
        for role in ("h", "e", "n")
    }
    assert labels["h"] == ["∂L/∂y × (where above 0) × (U × σ(m))ᵀ (step 4)", "∂L/∂h_{4} × 0.3", "∂L/∂c_{4}"]
    assert labels["e"][1] == "∂L/∂n × 1 ÷ (2 + σ((w × k) V.W + V.b)) (step 3)"
    assert labels["n"] == ["∂L/∂h_{3} × 0.5", "∂L/∂s_{3} × (−1) × (0.1 × c_{2})"]
    shown.slide("#phase", 99)
    assert re.search(
        r"goes back through y and c\d; what comes to h\d, c\d, s\d and x\d is complete", shown.text("#inside-says")
    )


def test_the_rnns_panel_has_no_cell_state_and_no_gate(opened: Callable[..., Any]) -> None:
    shown = opened(page(TEXT))
    shown.page.click("#row")
    for phase in range(4):
        shown.slide("#phase", phase)
        said = shown.text("#inside") + shown.text("#why") + shown.text("#gates")
        assert not re.search(r"\bgate|\bcell state|C_|forget", said), said
    assert "4 of 4, back" in shown.text("#inside-says")
    assert "every way back from h crosses a weight" in shown.text("#inside-picture")


# ── challenges ─────────────────────────────────────────────────────────────────────────────────


def test_the_lstm_explodes_with_an_open_forget_gate(opened: Callable[..., Any]) -> None:
    shown = opened(page(TEXT))
    shown.page.click("#check-0")
    assert "must be at least 0.9995" in shown.text("#result-0")
    shown.page.select_option("#cell", LABELS["unit"])
    shown.page.select_option("#sequence", label="thirty words")
    shown.slide("#bias-f", 10)
    shown.slide("#bias-i", 10)
    shown.page.click("#check-0")
    assert "✓" in shown.text("#result-0")
    f, i = (1 / (1 + np.exp(-10.0)) for _ in "fi")
    assert shown.page.evaluate("Page.model.rows[0].sizes[0]") == pytest.approx(f * (f + i) ** 29, rel=1e-9)
    shown.slide("#z", 0.9)
    shown.page.click("#check-0")
    assert "only the whole gradient counts" in shown.text("#result-0")


def test_f_1_vanishes(opened: Callable[..., Any]) -> None:
    shown = opened(page(TEXT))
    shown.page.select_option("#cell", LABELS["unit"])
    shown.page.select_option("#sequence", label="thirty words")
    shown.slide("#bias-f", 10)
    shown.slide("#bias-i", 10)
    shown.page.click("#check-1")
    assert "Not yet" in shown.text("#result-1")
    shown.slide("#scale", -0.5)
    shown.page.click("#check-1")
    assert "✓" in shown.text("#result-1")


def test_the_smallest_forget_bias(opened: Callable[..., Any]) -> None:
    shown = opened(page(TEXT))
    shown.page.click("#check-2")
    assert "This sequence has 11 steps" in shown.text("#result-2")
    shown.page.select_option("#sequence", label="the numbers from 1 to 100")
    tokens = [str(k) for k in range(1, 101)]

    def left(bias: float) -> float:
        flow = passage("lstm", " ".join(tokens), bias=bias).flow
        states = flow.states.of("c")
        return float(np.linalg.norm(flow.gradient(states[0])) / np.linalg.norm(flow.gradient(states[-1])))

    biases = [k / 10 for k in range(-40, 101)]
    smallest = biases[bisect_left(biases, 0.1, key=left)]
    assert left(smallest) >= 0.1 > left(smallest - 0.1)
    shown.slide("#bias-f", smallest - 0.1)
    shown.page.click("#check-2")
    assert "Not enough" in shown.text("#result-2")
    shown.slide("#bias-f", smallest + 0.5)
    shown.page.click("#check-2")
    assert "A smaller one does it too" in shown.text("#result-2")
    shown.slide("#bias-f", smallest)
    shown.page.click("#check-2")
    assert "✓" in shown.text("#result-2")


# ── a trained network ──────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("loss", ["classes", "bits", "squared"])
def test_a_network_with_its_readout(opened: Callable[..., Any], loss: str) -> None:
    from tinygrad_lstm.train.explaining import answer

    rng = np.random.default_rng(1)
    symbols, tokens = "ab<", list("ab<ba<<a")
    x = np.eye(3)[[symbols.index(t) for t in tokens]]
    networks = []
    said = None
    for seed in (0, 1):
        cell, readout = (
            make_cell("lstm", 3, 12, seed=seed),
            Linear(12, 1 if loss == "squared" else 3, rng=seed, dtype=np.float64),
        )
        readout.load_state_dict({k: rng.normal(size=a.shape) for k, a in readout.state_dict().items()})

        def read_by(h: Any, readout: Any = readout) -> Any:
            nonlocal said
            y = readout(h)
            said = y.numpy() if said is None else said
            return answer(y, said, loss)

        networks.append((trace_sequence(cell, x, tokens, read=read_by), readout))
    names = ["n"] if loss == "squared" else list(symbols)
    shown = opened(page_of_network(networks[0], networks[1], loss, symbols, names, "trained on <b>nothing</b>"))
    assert shown.page.evaluate("Page.check().worst") < 1e-12
    assert "trained on <b>nothing</b>" in shown.text("#cell")
    for k in (0, 1):
        np.testing.assert_allclose(
            shown.page.evaluate(f"Page.model.rows[{k}].sizes.slice(1)"), networks[k][0].norms["c"], rtol=1e-9
        )
    assert "L is" in shown.text("#what-L")
    shown.page.fill("#own", "abz")
    shown.page.click("#use")
    assert "never saw “z”" in shown.text("#own-problem")
    shown.page.fill("#own", "ba<")
    shown.page.click("#use")
    assert shown.page.evaluate("Page.model.T") == 3

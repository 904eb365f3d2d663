"""The page of a walk: what it prints is what was computed, in every notation, within the width of a terminal."""

from __future__ import annotations

import re
from itertools import takewhile
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from cells import OWN, GRUCell, Lines, ThreeStatesCell, cells
from hypothesis import given, settings

import tinygrad_lstm as tl
from tinygrad_lstm import walk
from tinygrad_lstm.nn import LSTMCell, NotCompiled, RNNCell

Array = npt.NDArray[Any]
NOTATIONS = ["gates", "gamma", "separate"]
H, C, X = np.array([0.1, -0.2, 0.3]), np.array([0.4, 0.5, 0.6]), np.array([1.0, 0.0, -1.0, 0.5])


def lstm(cell: LSTMCell, notation: str | None = None, **options: Any) -> str:
    return walk.page(walk.Numbers(cell, X, (H, C)), notation, **options)


NUMBER = r"-?\d+(?:\.\d+)?(?:e-?\d+)?"


def rows(page: str) -> list[tuple[str, list[str]]]:
    """Every line of the tables: its name, which may stand on lines of its own above, and its numbers."""
    found: list[tuple[str, list[str]]] = []
    above: list[str] = []
    for line in page.splitlines():
        if "│" in line or line.startswith("──"):
            above = []
        elif match := re.fullmatch(rf"   (.*?)((?:  +(?:{NUMBER}|…))+)", line):
            found.append((" ".join([*above, match[1].rstrip()]).strip(), match[2].split()))
            above = []
        else:
            above = [*above, line.strip()] if line.strip() else []
    return found


def section(page: str, title: str) -> str:
    """The lines of a section."""
    parts = re.split(r"^── ", page, flags=re.MULTILINE)
    return next(part for part in parts if re.match(rf"\d+  {re.escape(title)}[, ]", part)).split("\n", 1)[1]


def matrix(page: str, name: str) -> Array:
    """The matrix printed below a name, read back."""
    lines = iter(page.splitlines())
    head = next(line for line in lines if re.fullmatch(rf"   {re.escape(name)}(: .*)?", line))
    found = [[float(word) for word in line.strip(" │").split()] for line in takewhile(str.strip, lines)]
    if ":" in head:
        a, b = np.shape(found)
        assert head == f"   {name}: ({a}) @ ({a}×{b}) = ({b})"
    return np.array(found)


def reads(texts: list[str], values: Array) -> bool:
    return bool(np.allclose([float(t) for t in texts], values, atol=5.1e-4, rtol=0.05))


SPELLED = {
    "gates": (["f_t", "i_t", "C~_t", "o_t"], ["f", "i", "C", "o"], "C_t", "h_t", "C_{t-1}", "h_{t-1}"),
    "gamma": (["Γ_f", "Γ_u", "c~<t>", "Γ_o"], ["f", "u", "c", "o"], "c<t>", "a<t>", "c<t-1>", "a<t-1>"),
    "separate": (["f_t", "i_t", "g_t", "o_t"], ["f", "i", "g", "o"], "c_t", "s_t", "c_{t-1}", "s_{t-1}"),
}


@pytest.mark.parametrize("notation", NOTATIONS)
def test_the_page_prints_those_numbers_under_the_notations_names(cell: LSTMCell, by_hand: Any, notation: str) -> None:
    page, v = lstm(cell, notation), by_hand(cell, H, C, X)
    gates, letters, c, h, c_before, h_before = SPELLED[notation]
    x = "x<t>" if notation == "gamma" else "x_t"
    joined = f"[{h_before}, {x}]"
    assert dict(rows(page))[joined] == ["0.100", "-0.200", "0.300", "1", "0", "-1", "0.500"]
    for k, name, letter in zip("figo", gates, letters, strict=True):
        part = section(page, name)
        W, curve = cell.state_dict()[f"W_{k}"], "tanh" if k == "g" else "sigmoid"
        np.testing.assert_allclose(matrix(part, f"W_{letter}"), W, atol=5.1e-4)
        assert f"   {name} = {curve}({joined} @ W_{letter} + b_{letter})\n" in part
        slope = f"1 - {name}^2" if k == "g" else f"{name} * (1 - {name})"
        expected = [
            (f"{joined} @ W_{letter}", np.concatenate([H, X]) @ W),
            (f"b_{letter}", cell.state_dict()[f"b_{k}"]),
            (f"z_{letter} = {joined} @ W_{letter} + b_{letter}", v[f"a_{k}"]),
            (f"{name} = {curve}(z_{letter})", v[k]),
            (f"∂{name}/∂z_{letter} = {slope}", v[f"slope_{k}"]),
        ]
        found = rows(part)
        assert [label for label, _ in found] == [label for label, _ in expected]
        assert all(reads(texts, values) for (_, texts), (_, values) in zip(found, expected, strict=True))
    f, i, g, o = gates
    table = dict(rows(section(page, c)))
    expected = [(f, v["f"]), (c_before, C), (f"{f} * {c_before}", v["kept"]), (f"{i} * {g}", v["added"])]
    expected += [(f"∂{c}/∂{f} = {c_before}", C), (f"∂{c}/∂{c_before} = {f}", v["f"]), (f"∂{c}/∂{g} = {i}", v["i"])]
    expected += [(f"{c} = {f} * {c_before} + {i} * {g}", v["c"]), (f"∂{c}/∂{i} = {g}", v["g"])]
    assert all(reads(table[label], values) for label, values in expected)
    table = dict(rows(section(page, h)))
    expected = [(f"tanh({c})", v["tanh"]), (f"{h} = {o} * tanh({c})", v["h"]), (f"∂{h}/∂{o} = tanh({c})", v["tanh"])]
    expected += [(f"∂{h}/∂{c} = {o} * (1 - tanh({c})^2)", v["dh_dc_here"])]
    assert all(reads(table[label], values) for label, values in expected)
    assert f"   {h_before} enters {i} through W_{letters[1]}\n" in section(page, "The reads of the step")


@pytest.mark.parametrize("notation", NOTATIONS)
def test_the_page_prints_the_derivatives_of_the_step(cell: LSTMCell, by_hand: Any, notation: str) -> None:
    page, v = lstm(cell, notation), by_hand(cell, H, C, X)
    _, _, c, h, c_before, h_before = SPELLED[notation]
    for key, label in {"dc_dc": f"∂{c}/∂{c_before}", "dc_dh": f"∂{c}/∂{h_before}", "dh_dc": f"∂{h}/∂{c_before}",
                       "dh_dh": f"∂{h}/∂{h_before}"}.items():  # fmt: skip
        np.testing.assert_allclose(matrix(page, label), v[key], atol=5.1e-4)


TITLES = {
    "gates": "f_t, the forget gate|i_t, the input gate|C~_t, the candidate|C_t, a state|o_t, the output gate|"
    "h_t, a state",
    "gamma": "Γ_f, the forget gate|Γ_u, the input gate|c~<t>, the candidate|c<t>, a state|Γ_o, the output gate|"
    "a<t>, a state",
    "separate": "f_t, the forget gate|i_t, the input gate|g_t, the candidate|c_t, a state|o_t, the output gate|"
    "s_t, a state",
}
WHOLE = ["The direct path", "The reads of the step", "The whole derivative of the step",
         "Count the parameters: 96"]  # fmt: skip


@pytest.mark.parametrize("notation", NOTATIONS)
def test_the_steps_stand_in_the_order_of_the_notes(cell: LSTMCell, notation: str) -> None:
    heads = re.findall(r"^── (\d+)  (.*?) ─*$", lstm(cell, notation), re.MULTILINE)
    assert [title for _, title in heads] == [*TITLES[notation].split("|"), *WHOLE]
    assert [int(k) for k, _ in heads] == [*range(1, len(heads) + 1)]


@pytest.mark.parametrize("notation", NOTATIONS)
def test_a_notation_keeps_to_its_own_names(notation: str) -> None:
    page = re.sub(r"^   cell\..*$", "", lstm(LSTMCell(4, 3), notation), flags=re.MULTILINE)
    foreign = {"gates": ["Γ", "<t", "g_t", "U_", "s_t"], "gamma": ["h_t", "_t", "{t", "g_t", "C~", "U_"]}
    for name in [*foreign.get(notation, ["Γ", "<t", "C~", "C_t", "h_t", "h_{"]), "_prev", "a_"]:
        assert name not in page, name
    assert ("W s + U x of a book" in page) == (notation == "separate")
    if notation == "gamma":
        assert "input gate i, not the GRU's update gate" in page


@pytest.mark.parametrize("cls", [*OWN, RNNCell, LSTMCell])
def test_every_derivative_of_a_cell_is_printed_as_it_was_computed(cls: Any) -> None:
    cell = cls(4, 3)
    numbers = walk.Numbers(cell, X, (H, C, H[::-1])[: len(cell.states)])
    page, found = walk.page(numbers), walk.document(numbers)
    for name, value in numbers.named.items():
        local, printed = found["equations"][name]["local"], dict(rows(section(page, name)))
        assert all(reads(printed[label], values) for label, values in local.items())
        by = [numbers.vector(p, value.width) for p in numbers.partials(value).values()]
        assert [*local.values()][len(local) - len(by) :] == [pytest.approx(v) for v in by]
        assert all(f"∂{name}/∂" in label for label in [*local][len(local) - len(by) :])
    direct = dict(rows(section(page, "The direct path")))
    for out in cell.states:
        for by in cell.states:
            label = f"∂{out}/∂{by}_prev"
            assert np.allclose(matrix(page, label), numbers.derivative(out, by), atol=5.1e-4)
            along = [texts for line, texts in direct.items() if line.startswith(f"{label} = ")]
            assert bool(along) == bool(numbers.direct(out, by).any())
            assert all(reads(texts, numbers.direct(out, by)) for texts in along)
    for state, weight, gate in numbers.anatomy.reads:
        assert f"{state}_prev enters {gate} through {weight}" in re.sub(r"\s+", " ", page)


def test_a_gru_is_read_as_its_equations_are_written() -> None:
    page = walk.page(walk.Numbers(GRUCell(4, 3), X, H))
    for line in ("r = sigmoid([h_prev, x] @ r.W + r.b)", "r.W: (7) @ (7×3) = (3)",
                 "n = tanh([r * h_prev, x] @ n.W + n.b)", "h = (1 - u) * h_prev + u * n"):  # fmt: skip
        assert f"   {line}\n" in page
    labels = [label for label, _ in rows(section(page, "h"))]
    assert labels == ["u", "1 - u", "h_prev", "(1 - u) * h_prev", "n", "u * n", "h = (1 - u) * h_prev + u * n",
                      "∂h/∂u = n - h_prev", "∂h/∂h_prev = 1 - u", "∂h/∂n = u"]  # fmt: skip
    labels = [label for label, _ in rows(section(page, "n"))]
    assert labels == ["r", "h_prev", "r * h_prev", "[r * h_prev, x] @ n.W", "n.b",
                      "a_n = [r * h_prev, x] @ n.W + n.b", "n = tanh(a_n)", "∂(r * h_prev)/∂r = h_prev",
                      "∂(r * h_prev)/∂h_prev = r", "∂n/∂a_n = 1 - n^2"]  # fmt: skip
    np.testing.assert_allclose(matrix(page, "n.W"), GRUCell(4, 3).state_dict()["n.W"], atol=5.1e-4)


def test_values_of_two_names_and_states_passed_along_are_said_so() -> None:
    page = walk.page(walk.Numbers(ThreeStatesCell(4, 3), X, (H, C, H)))
    assert section(page, "c").strip().startswith("c = h_prev")

    def step(cell: Any, x: Any, h: Any) -> Any:
        n = tl.tanh(h @ cell.U)
        return {"n": n, "h": n}

    page = walk.page(walk.Numbers(Lines(step, U=(3, 3)), X, H))
    assert section(page, "h").strip().startswith("h = n\n")


# ── the width ──────────────────────────────────────────────────────────────────────────────────


def check_width(page: str) -> None:
    lines = page.splitlines()
    assert max(map(len, lines)) <= 80, max(lines, key=len)
    assert all(line == line.rstrip() for line in lines)
    assert "\t" not in page


@pytest.mark.parametrize("notation", NOTATIONS)
@pytest.mark.parametrize(("hidden", "inputs"), [(1, 1), (1, 9), (5, 3), (9, 9), (40, 60)])
def test_the_page_fits_a_terminal(notation: str, hidden: int, inputs: int) -> None:
    rng = np.random.default_rng(0)
    for scale in (1, 1e-200):
        state = rng.uniform(-1, 1, hidden) * scale, rng.normal(size=hidden) * scale
        x = rng.normal(size=inputs) * 1e5
        check_width(walk.page(walk.Numbers(LSTMCell(inputs, hidden), x, state), notation, "weights of " + "a" * 100))


def test_the_largest_page_fits_a_terminal() -> None:
    check_width(walk.page(walk.Numbers(LSTMCell(256, 256), np.ones(256), (np.ones(256), np.ones(256))), "gamma"))


@settings(max_examples=40, deadline=None)
@given(cells())
def test_the_page_of_a_random_cell_fits_a_terminal(cell: Any) -> None:
    try:
        numbers = walk.Numbers(cell, np.ones(cell.input_size), tuple(np.ones(cell.hidden_size) for _ in cell.states))
    except (NotCompiled, ValueError):
        return
    check_width(walk.page(numbers))


# ── sections ───────────────────────────────────────────────────────────────────────────────────


def test_one_section_is_that_of_the_page(cell: LSTMCell) -> None:
    page = lstm(cell, "gamma")
    whole = re.split(r"^(?=── )", page, flags=re.MULTILINE)[1:]
    for k, part in enumerate(whole, 1):
        assert lstm(cell, "gamma", only=str(k)) == part.rstrip()
    for name, k in {"f": 1, "Γ_f": 1, "c~<t>": 3, "c": 4, "h": 6, "direct": 7, "reads": 8, "derivative": 9,
                    "parameters": 10}.items():  # fmt: skip
        assert lstm(cell, "gamma", only=name) == whole[k - 1].rstrip()
    gates = [whole[k] for k in (0, 1, 2, 4)]
    assert lstm(cell, "gamma", only="gates") == "".join(gates).rstrip()
    assert lstm(cell, "gamma", only="states") == (whole[3] + whole[5]).rstrip()


@pytest.mark.parametrize("only", ["0", "12", "a", "", "Gates"])
def test_a_section_that_there_is_not_comes_with_those_that_there_are(cell: LSTMCell, only: str) -> None:
    with pytest.raises(ValueError, match=r"no section is called '.*' \(choose from a number, .*f, .*gates.*, direct"):
        lstm(cell, only=only)


def test_a_notation_is_of_an_lstm(cell: LSTMCell) -> None:
    with pytest.raises(ValueError, match="the notations of an LSTM are gates, gamma, separate, got 'greek'"):
        lstm(cell, "greek")
    with pytest.raises(ValueError, match=r"the notations of an LSTM are .*, got 'gamma' for RNNCell"):
        walk.page(walk.Numbers(RNNCell(4, 3), X, H), "gamma")


@pytest.mark.parametrize("notation", NOTATIONS)
@pytest.mark.parametrize("options", [{"peephole": True}, {"forget_gate": False}, {"gate_layers": 2}, {"bias": False}])
def test_variants_are_walked_in_every_notation(notation: str, options: Any) -> None:
    page = lstm(LSTMCell(4, 3, **options), notation)
    check_width(page)
    letter = SPELLED[notation][1][1]
    says = {
        "peephole": f"p_{letter}",
        "gate_layers": f"W_{letter}2",
        "forget_gate": f"W_{letter}",
        "bias": f"@ W_{letter})",
    }
    assert says[next(iter(options))] in page
    assert ("b_" in page) == ("bias" not in options)

"""The page of a walk: what it prints is what was computed, in every notation, within the width of a terminal."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from tinygrad_lstm import walk
from tinygrad_lstm.nn import LSTMCell

Array = npt.NDArray[Any]
NOTATIONS = ["gates", "gamma", "separate"]
H, C, X = np.array([0.1, -0.2, 0.3]), np.array([0.4, 0.5, 0.6]), np.array([1.0, 0.0, -1.0, 0.5])


def columns(page: str, title: str) -> dict[str, list[str]]:
    """The table of a section, by its column heads."""
    lines = page.splitlines()
    start = next(k for k, line in enumerate(lines) if line.startswith("──") and title in line)
    head = next(k for k in range(start, len(lines)) if lines[k].lstrip().startswith("unit "))
    names = re.split(r"\s{3,}", lines[head].strip())
    rows = []
    for line in lines[head + 1 :]:
        if not line.strip():
            break
        rows.append(line.split())
    assert all(len(row) == len(names) for row in rows)
    return {name: [row[k] for row in rows] for k, name in enumerate(names)}


def reads(texts: list[str], values: Array) -> bool:
    return bool(np.allclose([float(t) for t in texts], values, atol=5.1e-4, rtol=0.05))


SPELLED = {
    "gates": (["f_t", "i_t", "C~_t", "o_t"], ["f", "i", "C", "o"], "C_t", "h_t", "C_{t-1}"),
    "gamma": (["Γ_f", "Γ_u", "c~<t>", "Γ_o"], ["f", "u", "c", "o"], "c<t>", "a<t>", "c<t-1>"),
    "separate": (["f_t", "i_t", "g_t", "o_t"], ["f", "i", "g", "o"], "c_t", "s_t", "c_{t-1}"),
}


@pytest.mark.parametrize("notation", NOTATIONS)
def test_the_page_prints_those_numbers_under_the_notations_names(cell: LSTMCell, by_hand: Any, notation: str) -> None:
    page, v = walk.page(cell, H, C, X, notation), by_hand(cell, H, C, X)
    gates, letters, c, h, c_before = SPELLED[notation]
    for k, name, letter, title in zip("figo", gates, letters, ["Forget", "Input", "Candidate", "Output"], strict=True):
        table = columns(page, title)
        assert reads(table["= sum"], v[f"a_{k}"])
        assert reads(table[f"+ b_{letter}"], cell.state_dict()[f"b_{k}"])
        curve, slope = ("tanh", f"1 - {name}²") if k == "g" else ("σ", f"{name}(1 - {name})")
        assert reads(table[f"{name} = {curve}(sum)"], v[k])
        assert reads(table[f"{curve}' = {slope}"], v[f"slope_{k}"])
        W = cell.state_dict()[f"W_{k}"].T
        if notation == "separate":
            assert reads(table[f"W_{letter} s_{{t-1}}"], W[:, :3] @ H)
            assert reads(table[f"+ U_{letter} x_t"], W[:, 3:] @ X)
        else:
            joined = "[h_{t-1}, x_t]" if notation == "gates" else "[a<t-1>, x<t>]"
            assert reads(table[f"W_{letter}·{joined}"], W @ np.concatenate([H, X]))
    table = columns(page, "Cell state")
    assert reads(table[gates[0]], v["f"])
    assert reads(table[f"× {c_before}"], C)
    assert reads(table["= kept"], v["kept"])
    assert reads(table["= added"], v["added"])
    assert reads(table[f"{c} = kept + added"], v["c"])
    table = columns(page, "Hidden state")
    assert reads(table["tanh"], v["tanh"])
    assert reads(table[f"= {h}"], v["h"])
    assert reads(table[f"tanh' = 1 - tanh({c})²"], v["tanh_slope"])
    assert reads(table[f"∂{h}/∂{c}"], v["shown_slope"])


def matrix(page: str, label: str) -> Array:
    """The matrix printed to the right of a label, read back."""
    lines = page.splitlines()
    at = next(k for k, line in enumerate(lines) if label in line and "│" in line)
    column = lines[at].index(label) + len(label)
    rows = []
    for line in lines[at - 1 : at + 2]:
        inside = re.search(r"[┌│└]([^┐│┘]*)[┐│┘]", line[column:])
        assert inside is not None
        rows.append([float(word) for word in inside[1].split()])
    return np.array(rows)


@pytest.mark.parametrize("notation", NOTATIONS)
def test_the_page_prints_the_derivatives(cell: LSTMCell, by_hand: Any, notation: str) -> None:
    page, v = walk.page(cell, H, C, X, notation), by_hand(cell, H, C, X)
    names = {"gates": "C h {}_t {}_{{t-1}} {}_{{t+1}}", "gamma": "c a {}<t> {}<t-1> {}<t+1>"}
    c, h, now, before, after = names.get(notation, "c s {}_t {}_{{t-1}} {}_{{t+1}}").split()
    pairs = {"dc_dc": (c, c), "dc_dh": (c, h), "dh_dc": (h, c), "dh_dh": (h, h)}
    close: Any = {"atol": 5.1e-4}
    for key, (out, moved) in pairs.items():
        label = f"∂{now.format(out)}/∂{before.format(moved)} ="
        np.testing.assert_allclose(matrix(page, label), v[key], **close)
    np.testing.assert_allclose(matrix(page, f"∂{after.format(c)}/∂{before.format(c)} ="), v["dc2_dc"], **close)
    highway = np.diag(v["f"] * v["f2"])
    np.testing.assert_allclose(matrix(page, "highway ="), highway, **close)
    np.testing.assert_allclose(matrix(page, "detour ="), v["dc2_dc"] - highway, **close)


def test_weights_are_shown_as_the_textbooks_transpose(cell: LSTMCell) -> None:
    p = cell.state_dict()
    page = walk.page(cell, H, C, X)
    for letter, k in zip("fiCo", "figo", strict=True):
        label = "W_f" if k == "f" else f"W_{letter} ="
        np.testing.assert_allclose(_weights(page, label), p[f"W_{k}"].T, atol=5.1e-4)
    page = walk.page(cell, H, C, X, "separate")
    np.testing.assert_allclose(matrix(page, "W_i ="), p["W_i"][:3].T, atol=5.1e-4)
    np.testing.assert_allclose(matrix(page, "U_i ="), p["W_i"][3:].T, atol=5.1e-4)


def _weights(page: str, label: str) -> Array:
    return matrix("\n".join(line for line in page.splitlines() if "∂" not in line), label)


def test_parameters_are_counted_out_loud() -> None:
    page = walk.page(LSTMCell(4, 3), H, C, X)
    for words in (
        "Count the parameters: 96",
        "W_f: 3 × 7 = 21; b_f: 3; together 21 + 3 = 24",
        "4 × 24 = 96, or 4(h(h + x) + h) with h = 3 and x = 4",
        "PyTorch counts 108",
        "shape (7, 3)",
        "3×7",
        "(3×7)(7×1) + (3×1) = (3×1)",
        "3 + 4 = 7",
    ):
        assert words in page, words
    assert "W_f: 3 × 3 = 9 and U_f: 3 × 4 = 12" in walk.page(LSTMCell(4, 3), H, C, X, "separate")


@pytest.mark.parametrize("notation", NOTATIONS)
def test_a_notation_keeps_to_its_own_names(notation: str) -> None:
    page = walk.page(LSTMCell(4, 3), H, C, X, notation)
    foreign = {"gates": ["Γ", "<t", "g_t", "U_", "s_t"], "gamma": ["h_t", "_t", "{t", "g_t", "C~", "U_"]}
    for name in foreign.get(notation, ["Γ", "<t", "C~", "C_t", "h_t", "h_{", "·"]):
        assert name not in page, name
    if notation == "gamma":
        assert "input gate i, not the GRU's update gate" in page


@pytest.mark.parametrize("notation", NOTATIONS)
@pytest.mark.parametrize(("hidden", "inputs"), [(1, 1), (1, 9), (2, 2), (3, 4), (5, 3), (8, 8), (9, 9), (40, 60)])
def test_the_page_fits_a_terminal(notation: str, hidden: int, inputs: int) -> None:
    rng = np.random.default_rng(0)
    cell = LSTMCell(inputs, hidden)
    page = walk.page(cell, rng.uniform(-1, 1, hidden), rng.normal(size=hidden), rng.normal(size=inputs), notation)
    lines = page.splitlines()
    widest = max(lines, key=len)
    assert len(widest) <= (90 if (hidden, inputs) == (3, 4) else 100), widest
    assert ("…" in page) == (max(hidden, inputs) > 4 and (hidden + inputs > 8 or hidden > 4))
    assert all(line == line.rstrip() for line in lines)
    assert "\t" not in page


def test_a_hidden_state_that_no_lstm_makes_is_remarked_on() -> None:
    cell = LSTMCell(4, 3)
    assert "No LSTM makes this h_{t-1}" in walk.page(cell, [1, 2, 3], C, X)
    assert "No LSTM makes" not in walk.page(cell, H, C, X)


def test_only_the_standard_cell_is_walked() -> None:
    variants: list[dict[str, Any]] = [{"bias": False}, {"peephole": True}, {"forget_gate": False}, {"gate_layers": 2}]
    for variant in variants:
        with pytest.raises(ValueError, match="standard LSTM cell"):
            walk.page(LSTMCell(4, 3, **variant), H, C, X)
    with pytest.raises(ValueError, match="one sequence"):
        walk.page(LSTMCell(4, 3), H[None], C[None], X[None])
    with pytest.raises(ValueError, match="takes c of shape"):
        walk.page(LSTMCell(4, 3), H, C[:2], X)
    assert "unit" in walk.page(LSTMCell(4, 3, dtype=np.float32), H, C, X)


def test_numbers_too_large_for_a_step_are_refused() -> None:
    with pytest.raises(OverflowError, match="too large: the step overflows"):
        walk.page(LSTMCell(200, 3), H, C, np.full(200, 1.7e308))


def test_an_unknown_notation_is_refused() -> None:
    with pytest.raises(ValueError, match="no notation is called 'greek': choose from gates, gamma, separate"):
        walk.page(LSTMCell(4, 3), H, C, X, "greek")


def test_numbers_that_are_not_finite_are_named() -> None:
    cell = LSTMCell(2, 2)
    with pytest.raises(ValueError, match="finite numbers, x holds NaN or infinity"):
        walk.page(cell, np.zeros(2), np.zeros(2), np.array([np.nan, 1]))
    cell.W_f.assign(np.full((4, 2), np.inf))
    with pytest.raises(ValueError, match="finite numbers, W_f holds NaN or infinity"):
        walk.page(cell, [0, 0], [0, 0], [0, 0])

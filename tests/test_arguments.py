"""What callers give: NumPy's scalars, paths and arrays are taken as Python's own, anything else is refused by name."""

from __future__ import annotations

import json
import math
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tinygrad_lstm as tl
from tinygrad_lstm import explore, nn, optim
from tinygrad_lstm.arguments import as_items, as_number, as_plain, as_size, as_word, as_words


@pytest.mark.parametrize(
    ("value", "same"),
    [
        (np.int64(4), 4),
        (np.float32(0.5), 0.5),
        (np.bool_(True), True),
        (np.str_("a"), "a"),
        (np.array(3), 3),
        (np.arange(2), [0, 1]),
        (Path("a") / "b", str(Path("a") / "b")),
        ({np.str_("k"): (np.int8(1), None)}, {"k": [1, None]}),
    ],
)
def test_plain_values_are_what_json_holds(value: Any, same: Any) -> None:
    taken = as_plain("x", value)
    assert json.loads(json.dumps(taken)) == taken == same
    assert type(taken) is type(same)


@pytest.mark.parametrize("value", [object(), 1j, {(3,): 1}, np.datetime64("2020-01-01"), b"x", {"k": object()}])
def test_what_json_does_not_hold_is_refused_by_name(value: Any) -> None:
    with pytest.raises(TypeError, match="setting"):
        as_plain("setting", value)


@pytest.mark.parametrize("value", [math.nan, np.float32("inf"), {"k": -math.inf}])
def test_numbers_that_are_none_are_refused(value: Any) -> None:
    with pytest.raises(ValueError, match=r"setting must be finite numbers"):
        as_plain("setting", value)


def test_whole_and_real_numbers() -> None:
    assert [as_size("n", v) for v in (3, np.int8(3), np.array(3))] == [3, 3, 3]
    assert [as_number("r", v) for v in (3, np.float16(0.5), Fraction(1, 4))] == [3.0, 0.5, 0.25]
    for value in (3.0, "3", None, np.float64(3), Fraction(3)):
        with pytest.raises(TypeError, match="n must be a whole number"):
            as_size("n", value)
    with pytest.raises(ValueError, match="n must be at least 1, got 0"):
        as_size("n", np.int64(0), 1)
    for value in ("3", None, 1j):
        with pytest.raises(TypeError, match="r must be a number"):
            as_number("r", value)
    with pytest.raises(TypeError, match="r must be a number, got masked_array"):
        as_number("r", np.ma.array(3.0, mask=True))


def test_lists_of_words() -> None:
    assert as_words("labels", np.array(["a", "b"])) == ["a", "b"]
    assert type(as_word("label", np.str_("a"))) is str
    assert as_items("seeds", np.arange(2)) == [0, 1]
    with pytest.raises(TypeError, match=r"labels\[1\] must be a string, got 3: give '3'"):
        as_words("labels", ["a", 3])
    for value in ("ab", 3, np.array("a"), np.zeros((2, 2))):
        with pytest.raises(TypeError, match="labels must be a list, got"):
            as_words("labels", value)


# ── where they are given ────────────────────────────────────────────────────────────────────────

SIZES: list[tuple[Any, dict[str, int]]] = [
    (nn.Linear, {"in_features": 2, "out_features": 3}),
    (nn.Embedding, {"count": 4, "size": 3}),
    (nn.RNNCell, {"input_size": 2, "hidden_size": 3}),
    (nn.LSTMCell, {"input_size": 2, "hidden_size": 3, "gate_layers": 2}),
    (nn.RNN, {"input_size": 2, "hidden_size": 3, "num_layers": 2}),
    (nn.LSTM, {"input_size": 2, "hidden_size": 3, "num_layers": 2}),
]
FLAGS: list[tuple[Any, tuple[str, ...]]] = [
    (nn.Linear, ("bias",)),
    (nn.RNNCell, ("bias",)),
    (nn.LSTMCell, ("bias", "forget_gate", "peephole")),
    (nn.RNN, ("bias", "bidirectional", "batch_first")),
    (nn.LSTM, ("bias", "forget_gate", "peephole", "bidirectional", "batch_first", "compiled")),
]
every_size = pytest.mark.parametrize(("kind", "sizes"), SIZES, ids=[kind.__name__ for kind, _ in SIZES])
every_flag = pytest.mark.parametrize(("kind", "flag"), [(kind, flag) for kind, flags in FLAGS for flag in flags])


def plain(module: nn.Module) -> dict[str, Any]:
    """What a module keeps of its settings: everything that JSON should be able to say."""
    settings = {k: v for k, v in vars(module).items() if isinstance(v, (int, float, np.generic))}
    return json.loads(json.dumps(settings))  # type: ignore[no-any-return]


def alike(a: nn.Module, b: nn.Module) -> bool:
    x, y = a.state_dict(), b.state_dict()
    return plain(a) == plain(b) and x.keys() == y.keys() and all((x[k] == y[k]).all() for k in x)


@every_size
@pytest.mark.parametrize("kind_of", [np.int64, np.int8, np.uint8, np.array])
def test_sizes_of_numpys(kind: Any, sizes: dict[str, int], kind_of: Any) -> None:
    assert alike(kind(**{name: kind_of(n) for name, n in sizes.items()}), kind(**sizes))


def test_sizes_do_not_add_up_in_their_own_small_type() -> None:
    assert nn.LSTM(np.int8(100), np.int8(100), 2, bidirectional=True).cells[2].W_f.shape == (300, 100)


@every_size
@pytest.mark.parametrize(
    ("value", "error", "says"),
    [
        (3.5, TypeError, "must be a whole number, got 3.5"),
        (np.float64(3), TypeError, "must be a whole number"),
        ("3", TypeError, "must be a whole number, got '3'"),
        (True, TypeError, "must be a whole number, got True"),
        (np.bool_(True), TypeError, "must be a whole number"),
        (None, TypeError, "must be a whole number"),
        (np.array([3]), TypeError, "must be a whole number"),
        (-1, ValueError, "must be at least 1, got -1"),
        (np.int64(0), ValueError, "must be at least 1, got 0"),
    ],
)
def test_what_is_no_size(kind: Any, sizes: dict[str, int], value: Any, error: type[Exception], says: str) -> None:
    for name in sizes:
        with pytest.raises(error, match=f"{name} {says}"):
            kind(**sizes | {name: value})


@every_flag
def test_flags_of_numpys_and_ones_and_zeros(kind: Any, flag: str) -> None:
    for value in (True, False):
        expected = kind(2, 3, **{flag: value})
        for given in (np.bool_(value), int(value), np.int64(value)):
            assert alike(kind(2, 3, **{flag: given}), expected)


@every_flag
@pytest.mark.parametrize("value", ["False", None, 2, 1.0, np.array([True])])
def test_what_is_no_flag(kind: Any, flag: str, value: Any) -> None:
    with pytest.raises(TypeError, match=f"{flag} must be True or False, got"):
        kind(2, 3, **{flag: value})


NUMBERS: list[tuple[Any, str, float]] = [
    (lambda **given: nn.LSTMCell(1, 1, **given), "forget_bias", 0.5),
    (lambda **given: nn.LSTM(1, 1, **given), "forget_bias", 0.5),
    (lambda **given: optim.SGD([nn.Parameter([1.0])], **given), "lr", 0.5),
    (lambda **given: optim.SGD([nn.Parameter([1.0])], 0.1, **given), "momentum", 0.5),
    (lambda **given: optim.Adam([nn.Parameter([1.0])], **given), "lr", 0.5),
    (lambda **given: optim.Adam([nn.Parameter([1.0])], **given), "eps", 0.5),
    (lambda **given: optim.clip_grad_norm([nn.Parameter([1.0])], **given), "max_norm", 0.5),
]


@pytest.mark.parametrize(("make", "name", "value"), NUMBERS)
def test_numbers(make: Any, name: str, value: float) -> None:
    for kind in (np.float16, np.float32, np.float64, np.array):
        made = make(**{name: kind(value)})
        assert type(getattr(made, name, 0.0)) is float
    for wrong in ("0.5", 0.5j, None, True, np.array([0.5])):
        with pytest.raises(TypeError, match=f"{name} must be a number, got"):
            make(**{name: wrong})


def test_numbers_of_float64_do_not_widen_a_step() -> None:
    """Beside an array of float32 a np.float64 would make float64 of it, and other bits."""
    found = []
    for kind in (float, np.float64):
        p = nn.Parameter([1.0, 2.0], dtype=np.float32)
        p.grad = np.array([0.3, 0.7], np.float32)
        optim.SGD([p], lr=kind(0.1), momentum=kind(0.9)).step()
        found.append(p.numpy().tolist())
    assert found[0] == found[1]


def test_betas() -> None:
    p = nn.Parameter([1.0])
    opt = optim.Adam([p], betas=np.array([0.5, 0.9]))  # type: ignore[arg-type]
    assert opt.betas == (0.5, 0.9)
    for wrong in ((0.5,), 0.5, (0.5, 0.9, 0.9), "ab"):
        with pytest.raises((TypeError, ValueError), match="betas"):
            optim.Adam([p], betas=wrong)  # type: ignore[arg-type]


def test_the_longest_lag() -> None:
    cell = nn.LSTMCell(1, 1, init="chrono", T_max=np.int64(30))  # type: ignore[arg-type]
    assert alike(cell, nn.LSTMCell(1, 1, init="chrono", T_max=30))
    for wrong, error in ((3.5, TypeError), ("30", TypeError), (1, ValueError)):
        with pytest.raises(error, match="T_max must be"):
            nn.LSTMCell(1, 1, init="chrono", T_max=wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", [nn.LSTM, nn.RNN, nn.LSTMCell, nn.RNNCell, nn.Linear, nn.Embedding])
@pytest.mark.parametrize("dtype", [">f4", ">f8"])
def test_a_dtype_in_the_other_byte_order_is_the_machines_own(kind: Any, dtype: str) -> None:
    own = np.dtype(dtype).newbyteorder("=")
    model = kind(2, 3, dtype=dtype)
    assert model.dtype == own
    assert model.dtype.isnative
    assert {p.dtype.isnative for p in model.parameters()} == {True}
    assert alike(model, kind(2, 3, dtype=own))


def test_the_explorer_takes_numpys_numbers() -> None:
    given = explore.page("a b", np.int64(3), np.float32(0.5), np.int64(1))  # type: ignore[arg-type]
    assert given == explore.page("a b", 3, 0.5, 1)
    for wrong, error in ((3.5, TypeError), ("3", TypeError), (0, ValueError), (True, TypeError)):
        with pytest.raises(error, match="hidden_size must be"):
            explore.page("a b", hidden_size=wrong)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="forget_bias must be a number"):
        explore.page("a b", forget_bias="1")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="forget_bias must be a finite number, got nan"):
        explore.page("a b", forget_bias=math.nan)


def test_whether_a_tensor_requires_a_gradient() -> None:
    for value in (True, False):
        for given in (np.bool_(value), int(value)):
            assert tl.tensor([1.0], requires_grad=given).requires_grad is value  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="requires_grad must be True or False, got 'no'"):
        tl.tensor([1.0], requires_grad="no")  # type: ignore[arg-type]

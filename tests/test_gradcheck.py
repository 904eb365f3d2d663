"""gradcheck must find what is wrong, and say where."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

import tinygrad_lstm as tl
from tinygrad_lstm.primitives import Primitive


def test_true_rules_pass() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 3)), rng.normal(size=(3, 2))
    assert tl.gradcheck(lambda a, b: tl.tanh(a @ b), [a, b], order=2)
    assert tl.gradcheck(lambda a: a * 3 - 1, [a], order=2)  # second derivative 0
    assert tl.gradcheck(lambda a, b: a.sum() * 0 + b.sum(), [a, b], order=2)
    assert tl.gradcheck(lambda a, b: tl.exp(b).sum(), [a, b], order=2)  # a is not used
    assert tl.gradcheck(lambda a: a * 2, [np.zeros((0, 3))], order=2)
    assert tl.gradcheck(lambda a: a**3, [2.0], order=2)
    assert tl.gradcheck(lambda a: tl.tensor([1.0, 2.0]), [a], order=2)  # a constant: zeros are its true gradient
    assert tl.gradcheck(lambda a: (a > 0) * 1.0, [np.array([1.0, -1.0])], order=2)


def test_a_graph_that_is_lost_is_a_wrong_gradient() -> None:
    with pytest.raises(tl.GradcheckError, match="autodiff gives 0, the central difference 2"):
        tl.gradcheck(lambda a: 2 * a.detach(), [[1.0, 2.0]])


def wrong_at_one_element(g: Any, out: Any, x: Any) -> Any:
    factor = np.ones(x.shape)
    factor[1, 2] = 1.5
    return g * tl.exp(x) * factor


def test_a_wrong_rule_is_named_with_input_element_and_both_numbers() -> None:
    wrong = Primitive("wrong", "?", np.exp, (wrong_at_one_element,))
    x = tl.tensor(np.zeros((2, 3)), name="weights")
    with pytest.raises(tl.GradcheckError) as caught:
        tl.gradcheck(lambda a, b: wrong(b) + a, [np.zeros(3), x])
    message = str(caught.value)
    found = re.fullmatch(
        r"gradient of input 1 \(weights\) at element \[1, 2\]: autodiff gives ([\d.]+), "
        r"the central difference ([\d.]+) \(1 of 6 elements differ\)",
        message,
    )
    assert found, message
    ours, difference = map(float, found.groups())
    assert ours == pytest.approx(1.5 * difference)


@pytest.mark.parametrize(
    "rule",
    [
        lambda g, out, x: g * np.exp(x.numpy()) if isinstance(x, tl.Tensor) else g * out,  # constant to the second walk
        lambda g, out, x: g * (out if isinstance(out, np.ndarray) else out * 2 - out.detach()),
    ],
)
def test_a_rule_wrong_only_when_recorded_is_found_at_order_2(rule: Any) -> None:
    wrong = Primitive("wrong", "?", np.exp, (rule,))
    assert tl.gradcheck(wrong, [[0.5, 1.0]])
    with pytest.raises(tl.GradcheckError, match=r"second derivative of input 0 at element \[0\]: autodiff gives .*\d"):
        tl.gradcheck(wrong, [[0.5, 1.0]], order=2)


def test_a_nan_is_wrong() -> None:
    wrong = Primitive("wrong", "?", np.exp, (lambda g, out, x: g * np.nan,))
    with pytest.raises(tl.GradcheckError, match="autodiff gives nan"):
        tl.gradcheck(wrong, [[0.5]])


def test_a_detached_path_is_found() -> None:
    with pytest.raises(tl.GradcheckError, match="input 0"):
        tl.gradcheck(lambda x: x + x.detach() * x.detach(), [[0.5]])


def test_only_float64_is_precise_enough() -> None:
    with pytest.raises(TypeError, match="gradcheck needs float64, input 1 is float32"):
        tl.gradcheck(lambda a, b: a * b, [np.ones(2), np.ones(2, np.float32)])
    with pytest.raises(ValueError, match="order must be 1 or 2, got 3"):
        tl.gradcheck(lambda a: a, [np.ones(2)], order=3)


def test_the_inputs_are_left_alone() -> None:
    x = tl.tensor([1.0, 2.0], requires_grad=True)
    assert tl.gradcheck(lambda a: a * a, [x], order=2)
    assert x.grad is None


def test_one_input_needs_no_list_and_the_output_must_be_a_tensor() -> None:
    assert tl.gradcheck(tl.tanh, tl.tensor([0.5, 1.0]))
    assert tl.gradcheck(lambda x: (x * x).sum(), np.ones((2, 3)))
    with pytest.raises(TypeError, match="needs a function that gives a Tensor, it gave float"):
        tl.gradcheck(lambda x: x.item(), [1.0])

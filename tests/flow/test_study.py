"""The study of gradient against lag: its numbers derived another way, its closed forms, its refusals."""

import argparse
import inspect
import math
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import tinygrad_lstm as tl
from tinygrad_lstm.cli.flow import arguments
from tinygrad_lstm.flow import study as module
from tinygrad_lstm.flow.graph import norm
from tinygrad_lstm.flow.sequence import TINY, factor_a_step
from tinygrad_lstm.flow.study import VARIANTS, median, run, study, variant

LAG, SEEDS = 12, (3, 4, 5)


def of(found, key):
    """The cell of that key in a study."""
    return next(c for c in found.cells if c.variant.key == key)


@pytest.fixture(scope="module")
def found():
    return study(lag=LAG, hidden_size=4, input_size=3, seeds=SEEDS)


def chain(v, lag=LAG, hidden=4, size=3, seed=SEEDS[0]):
    """The same run written out: the loss, and the states from 0 to T."""
    cell = v.build(size, hidden, lag, seed)
    xs = np.random.default_rng([seed, 2]).standard_normal((lag, size))
    u = np.random.default_rng([seed, 1]).standard_normal(hidden)
    h = tl.tensor(np.zeros(hidden), requires_grad=True)
    c = tl.tensor(np.zeros(hidden), requires_grad=True)
    shown = "h" if v.key == "rnn" else "c"
    states, gates = [h if shown == "h" else c], []
    for x in xs:
        if shown == "h":
            h = cell(tl.tensor(x), h)
        else:
            step = cell.step(tl.tensor(x), (h, c))
            h, c = step.h, step.c
            gates.append(np.ones(hidden) if step.f is None else step.f.numpy())
        states.append(h if shown == "h" else c)
    return cell, h @ tl.tensor(u / np.linalg.norm(u)), states, gates


# Cells


@pytest.mark.parametrize(
    ("key", "bias"), [("lstm0", 0), ("lstm-2.5", -2.5), ("lstm+3", 3), ("lstm-0", 0), ("lstm12", 12), ("lstm", 1)]
)
def test_any_forget_bias_has_a_name(key, bias):
    v = variant(key)
    assert v.forget_bias == bias
    assert v == variant(v.key)
    assert np.all(v.build(2, 3, 10, 0).b_f.numpy() == bias)
    assert math.copysign(1, v.forget_bias) == (1 if bias >= 0 else -1)


def test_each_cell_is_built_as_its_name_says():
    rnn, old, chrono = (variant(k).build(2, 3, 50, 0) for k in ("rnn", "lstm1997", "chrono"))
    assert isinstance(rnn, tl.nn.RNNCell)
    assert "f" not in old.gates
    assert np.array_equal(chrono.b_i.numpy(), -chrono.b_f.numpy())
    assert np.all((chrono.b_f.numpy() >= 0) & (chrono.b_f.numpy() <= np.log(49)))
    assert not variant("chrono").build(2, 3, 1, 0).b_f.numpy().any()  # a lag of 1 needs no memory: T_max is 2


@pytest.mark.parametrize("key", VARIANTS)
def test_a_seed_draws_the_weights(key):
    a, b, c = (variant(key).build(3, 2, 20, seed).state_dict() for seed in (7, 7, 8))
    assert all(np.array_equal(a[name], b[name]) for name in a)
    assert not any(np.array_equal(a[name], c[name]) for name in a if name.startswith("W_"))


@pytest.mark.parametrize("key", ["", "gru", "lstmnan", "lstminf", "lstm1e9", "lstm1997x", "LSTM1", "lstm100"])
def test_other_names_are_refused(key):
    with pytest.raises(ValueError, match="no cell is called"):
        variant(key)


# Numbers


@pytest.mark.parametrize("key", VARIANTS)
def test_norms_are_those_of_the_gradient_of_every_state(found, key):
    v = variant(key)
    _, loss, states, _ = chain(v)
    gradients = [g.numpy() for g in tl.grad(loss, states)]
    assert of(found, key).norms[0] == pytest.approx([np.linalg.norm(g) for g in gradients[::-1]], rel=1e-12)


@pytest.mark.parametrize("key", VARIANTS[1:])
def test_the_direct_part_is_the_product_of_forget_gates_and_the_split_at_k_0(found, key):
    _, loss, states, gates = chain(variant(key))
    gradients = [g.numpy() for g in tl.grad(loss, states)]
    cell = of(found, key)
    for lag in range(LAG + 1):
        direct = gradients[-1] * np.prod(gates[LAG - lag :], axis=0)
        whole = gradients[LAG - lag]
        assert cell.direct[0, lag] == pytest.approx(np.linalg.norm(direct), rel=1e-12)
        cosine = direct @ whole / np.linalg.norm(direct) / np.linalg.norm(whole)
        assert cell.cosine[0, lag] == pytest.approx(cosine, abs=1e-12)
    first = cell.parts[0]
    assert first.norm == pytest.approx(cell.direct[0, -1], rel=1e-12)
    assert first.relative == pytest.approx(cell.relative[0, -1], rel=1e-12)
    assert first.cosine == pytest.approx(cell.cosine[0, -1], abs=1e-12)


def test_signed_shares_add_up_to_1(found):
    for cell in found.cells:
        if cell.state == "c":
            assert [p.detours for p in cell.parts] == list(range(LAG))  # the last step back has no way through h
            assert sum(p.share for p in cell.parts) == pytest.approx(1, abs=1e-12)
            assert not any(p.more for p in cell.parts)
        else:
            assert cell.parts == ()


def test_a_plain_rnn_has_no_cell_state_to_come_along(found):
    cell = of(found, "rnn")
    assert (cell.state, cell.direct, cell.cosine, cell.relative) == ("h", None, None, None)
    assert {c.state for c in found.cells if c is not cell} == {"c"}


def test_beyond_all_parts_the_rest_is_one_part(monkeypatch):
    monkeypatch.setattr(module, "ALL_PARTS", 5)
    monkeypatch.setattr(module, "PARTS", 2)
    (cell,) = study(["lstm1"], 9, 3, 2, [0]).cells
    assert [(p.detours, p.more) for p in cell.parts] == [(0, False), (1, False), (2, False), (3, True)]
    assert sum(p.share for p in cell.parts) == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize("key", VARIANTS)
def test_singular_values_are_those_of_the_jacobian(found, key):
    v = variant(key)
    traced = run(v, LAG, 4, 3, SEEDS[0])
    cell = of(found, key)
    for lag in (0, 1, 5, LAG):
        values = np.linalg.svd(traced.flow.jacobian(traced.state, LAG - lag, LAG), compute_uv=False)
        wanted = [values[0], np.median(values), values[-1]]
        held = np.isfinite(cell.singular[lag])
        assert held[0]
        assert cell.singular[lag][held] == pytest.approx(np.array(wanted)[held], rel=1e-3)
    assert np.all(cell.singular[0] == 1)


def test_a_singular_value_lost_in_rounding_is_not_claimed():
    (cell,) = study(["rnn"], 60, 8, 4, [0]).cells
    assert np.isfinite(cell.singular[:2]).all()
    assert np.isfinite(cell.singular[-1]).tolist() == [True, True, False]


def of_jacobians(*jacobians):
    return module._singular(SimpleNamespace(jacobians=lambda state: np.array(jacobians, float)), "c")


@pytest.mark.parametrize("scale", [1e-300, 1e-160, 1, 1e160])
def test_singular_values_of_any_size_are_resolved_alike(scale):
    small = 100 * np.finfo(float).eps
    turn = np.linalg.qr(np.random.default_rng(0).standard_normal((3, 3)))[0]
    values = of_jacobians(*(turn @ np.diag([4, 2, low]) * scale for low in (1, small, 0)))
    assert values[:2] == pytest.approx(np.array([[4, 2, 1], [4, 2, small]]) * scale, rel=0.3, abs=0)
    assert np.isfinite(values).tolist() == [[True] * 3, [True] * 3, [True, True, False]]


def test_singular_values_below_the_smallest_normal_number_are_not_resolved():
    values = of_jacobians(*(np.eye(2) * size for size in (2 * TINY, TINY / 2, 0)))
    assert values[0].tolist() == pytest.approx([2 * TINY] * 3, rel=1e-9, abs=0)
    assert np.isnan(values[1:]).all()


@pytest.mark.parametrize("key", VARIANTS)
def test_terms_of_the_weights_are_one_a_step_and_their_sum_is_the_whole(found, key):
    v = variant(key)
    flow = run(v, LAG, 4, 3, SEEDS[0]).flow
    weights = [n for n in flow.nodes if n.kind == "parameter" and n.value.ndim == 2]
    (measured, *_) = of(found, key).weights
    assert len(measured) == LAG
    for lag, said in enumerate(measured):
        terms = [e.cotangent for n in weights for e in n.uses if e.consumer.step == LAG - lag]
        assert len(terms) == len(weights)
        assert said == pytest.approx(math.sqrt(sum((t**2).sum() for t in terms)), rel=1e-12)


def test_the_terms_of_the_weights_add_up_to_their_gradient():
    flow = run(variant("lstm1"), LAG, 4, 3, SEEDS[0]).flow
    for node in (n for n in flow.nodes if n.kind == "parameter" and n.value.ndim == 2):
        np.testing.assert_allclose(sum(e.cotangent for e in node.uses), node.gradient, rtol=1e-12, atol=1e-15)


# Closed forms


@pytest.mark.parametrize("key", ["lstm0", "lstm1", "lstm3", "lstm-2", "chrono", "lstm1997"])
def test_at_zero_weights_the_measured_norm_is_the_closed_form(monkeypatch, key):
    build = module.Variant.build

    def zeroed(self, *sizes):
        cell = build(self, *sizes)
        for name in "figo":
            if hasattr(cell, f"W_{name}"):
                w = getattr(cell, f"W_{name}")
                w.assign(np.zeros(w.shape))
        return cell

    monkeypatch.setattr(module.Variant, "build", zeroed)
    (cell,) = study([key], 40, 4, 3, [0]).cells
    assert cell.norms == pytest.approx(cell.closed, rel=1e-12)
    assert cell.direct == pytest.approx(cell.closed, rel=1e-12)
    assert [p.share for p in cell.parts] == pytest.approx([1] + [0] * (len(cell.parts) - 1))


def test_the_closed_form_is_sigmoid_of_the_bias_to_the_power_of_the_lag(found):
    for key, gate in (("lstm0", 0.5), ("lstm1", 1 / (1 + math.exp(-1))), ("lstm1997", 1.0)):
        cell = of(found, key)
        assert cell.closed == pytest.approx(cell.norms[:, :1] * gate ** np.arange(LAG + 1), rel=1e-12)


def test_the_closed_form_of_the_rnn_is_its_weights_without_tanh(found):
    cell, _, _, _ = chain(variant("rnn"))
    u = np.random.default_rng([SEEDS[0], 1]).standard_normal(4)
    power = np.linalg.matrix_power(cell.W_h.numpy()[:4], LAG)
    assert of(found, "rnn").closed[0, -1] == pytest.approx(np.linalg.norm(power @ (u / np.linalg.norm(u))), rel=1e-10)


# Seeds and medians


def test_a_median_is_the_value_of_the_seed_in_the_middle_or_the_lower_of_two(found):
    for cell in found.cells:
        assert cell.norms.shape == (len(SEEDS), LAG + 1)
        assert median(cell.norms)[-1] == sorted(cell.norms[:, -1])[1]
    (even,) = study(["rnn"], 4, 3, 2, [0, 1]).cells
    assert median(even.norms)[-1] == min(even.norms[:, -1]) < max(even.norms[:, -1])


def test_the_same_call_gives_the_same_numbers_and_cells_share_inputs(found):
    again = study(["chrono", "rnn"], LAG, 4, 3, SEEDS)
    for cell in again.cells:
        assert cell.norms.tobytes() == of(found, cell.variant.key).norms.tobytes()
    inputs = [[n.value.tolist() for n in run(variant(k), 3, 4, 3, 7).flow.named("x")] for k in VARIANTS]
    assert all(x == inputs[0] for x in inputs)


def test_progress_names_every_run():
    said = []
    study(["rnn", "lstm1"], 2, 2, 2, [0, 1], said.append)
    assert said[0] == "RNN, seed 0: cell 1 of 2"
    assert len(said) == 4


# Underflow


def test_what_float64_has_lost_is_no_number():
    found = study(["lstm-8"], 330, 2, 2, [0])
    (cell,) = found.cells
    (norms,) = cell.norms
    assert norms[-1] == 0
    assert np.isnan(cell.cosine[0, -1])
    assert np.isnan(cell.relative[0, -1])
    assert all(math.isnan(p.share) for p in cell.parts)
    assert np.isnan(cell.singular[-1]).all()
    held = int(np.flatnonzero(norms >= TINY)[-1])
    assert factor_a_step(median(cell.norms)) == pytest.approx((norms[held] / norms[0]) ** (1 / held), rel=1e-9)


def test_norms_whose_squares_are_0_are_not_0(monkeypatch):
    monkeypatch.setattr(module, "_parts", lambda *_: ())  # takes long, and is not what is looked at
    v = variant("lstm-8")
    (cell,) = study([v.key], 200, 2, 2, [0]).cells
    _, loss, states, _ = chain(v, 200, 2, 2, 0)
    first = tl.grad(loss, [states[0]])[0].numpy()
    assert first @ first == 0
    largest = np.abs(first).max()
    assert cell.norms[0, -1] == pytest.approx(largest * np.linalg.norm(first / largest), rel=1e-12, abs=0)


@pytest.mark.parametrize(
    ("part", "whole", "relative", "share", "cosine"),
    [
        ([3.0, 4.0], [0.0, 2.5], 2, 1.6, 0.8),
        ([0.0, 0.0], [1.0, 0.0], 0, 0, math.nan),
        ([TINY, 0.0], [-TINY, 0.0], 1, -1, -1),
        ([TINY / 2, 0.0], [1.0, 0.0], 0, math.nan, math.nan),
        ([1.0, 0.0], [TINY / 2, 0.0], math.nan, math.nan, math.nan),
        ([0.0, 0.0], [0.0, 0.0], math.nan, math.nan, math.nan),
    ],
)
def test_a_part_is_measured_against_a_whole_that_is_held(part, whole, relative, share, cosine):
    (found,) = module._parts(Split(whole, part), "c", 3)
    said = (found.norm, found.relative, found.share, found.cosine)
    assert said == pytest.approx((norm(np.array(part)), relative, share, cosine), rel=1e-12, abs=1e-300, nan_ok=True)


class Split(SimpleNamespace):
    """A flow of which only the gradient at state_0 and its parts are known."""

    def __init__(self, whole, *parts):
        super().__init__(states=SimpleNamespace(of=lambda name: ["state 0"]))
        self.whole, self.parts, self.limit = np.array(whole), [np.array(p) for p in parts], ...

    def gradient(self, start):
        return self.whole

    def split(self, start, limit):
        self.limit = limit
        return self.parts


@pytest.mark.parametrize(("lag", "limit"), [(2, None), (200, None), (201, 24), (5000, 24)])
def test_up_to_200_steps_every_number_of_detours_is_told_apart(lag, limit):
    flow = Split([1.0], *[[1.0]] * 26)
    assert [p.more for p in module._parts(flow, "c", lag)] == [False] * 25 + [limit is not None]
    assert flow.limit == limit


def test_rounding_never_makes_a_cosine_larger_than_1():
    vectors = np.random.default_rng(0).standard_normal((100, 3))
    parallel = [(a / norm(a)) @ (a / norm(a)) for a in vectors]
    assert max(parallel) > 1
    for a in vectors:
        assert -1 <= module._cosine(a, -a) < 0 < module._cosine(a, a) <= 1


# Refusals


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"lag": 0}, "from 1 to 5,000"),
        ({"lag": 5001}, "from 1 to 5,000"),
        ({"keys": []}, "different cells"),
        ({"keys": ["rnn", "rnn"]}, "different cells"),
        ({"keys": ["lstm1", "lstm1.0"]}, "different cells"),
        ({"keys": ["gru"]}, "no cell is called 'gru'"),
        ({"seeds": []}, "different seeds"),
        ({"seeds": [1, 1]}, "different seeds"),
        ({"hidden_size": 0}, "hidden_size"),
    ],
)
def test_bad_options_are_refused(options, says):
    with pytest.raises(ValueError, match=says):
        study(**({"lag": 2} | options))


def test_a_gradient_that_is_not_a_number_is_refused(monkeypatch):
    for norms in ([1, 1, math.inf], [math.nan, 1, 1]):
        monkeypatch.setattr(module, "norm", lambda g, left=norms: left.pop(0))
        with pytest.raises(ValueError, match="infinite or NaN"):
            study(["rnn"], 2, 2, 2, [0])


def test_left_out_the_options_are_those_of_the_command():
    arguments(parser := argparse.ArgumentParser())
    args = parser.parse_args([])
    left_out = {name: p.default for name, p in inspect.signature(study).parameters.items()}
    assert left_out["keys"] == tuple(args.cells)
    assert (left_out["lag"], left_out["hidden_size"], left_out["input_size"]) == (args.lag, args.hidden, args.input)
    assert left_out["seeds"] == tuple(range(args.seed, args.seed + args.seeds))


def test_arrays_and_numpys_numbers_are_taken_as_lists_and_numbers() -> None:
    plain = study(("rnn",), lag=3, hidden_size=2, input_size=2, seeds=(0, 1))
    given = study(
        np.array(["rnn"]), lag=np.int64(3), hidden_size=np.int32(2), input_size=np.uint8(2), seeds=np.arange(2)
    )
    assert (given.seeds, given.lag) == (plain.seeds, plain.lag)
    assert type(given.seeds[0]) is int
    assert np.array_equal(given.cells[0].norms, plain.cells[0].norms)


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ({"keys": "rnn"}, TypeError, "keys must be a list, got 'rnn'"),
        ({"seeds": 3}, TypeError, "seeds must be a list, got 3"),
        ({"seeds": np.array([0.0])}, TypeError, "a seed must be a whole number"),
        ({"seeds": [-1]}, ValueError, "a seed must be at least 0, got -1"),
        ({"lag": 2.5}, TypeError, r"lag must be a whole number, got 2\.5"),
    ],
)
def test_what_is_no_list_of_seeds_or_cells_is_refused(given, error, message) -> None:
    with pytest.raises(error, match=message):
        study(**{"keys": ("rnn",), "lag": 2} | given)


def test_a_cell_whose_state_goes_no_way_back_is_refused_in_words() -> None:
    class Forgetful(tl.nn.Cell):
        def __init__(self, inputs: int, hidden: int) -> None:
            super().__init__(inputs, hidden)
            self.U = tl.nn.Parameter(np.ones((inputs, hidden)))

        def equations(self, x: Any, h: Any) -> Any:
            return {"h": x @ self.U}

    with pytest.raises(ValueError, match="no gradient comes back along h of Forgetful: the last is not made of those"):
        study([Forgetful], 4, 3, 2, [0])

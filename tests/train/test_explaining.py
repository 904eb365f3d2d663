"""`explain`: the answer of a trained network, the gradient of it at every step, and what changes it."""

from dataclasses import replace

import numpy as np
import pytest

import tinygrad_lstm as tl
from tinygrad_lstm import tasks
from tinygrad_lstm.nn.losses import cross_entropy
from tinygrad_lstm.tasks import TASKS
from tinygrad_lstm.train import Network, Settings, Trainer, explain, one_thread, sentences
from tinygrad_lstm.train.explaining import answer

TEXT = "der Käse\tliegt auf dem Tisch.\n" * 80
RUNS = {  # the settings of the runs, which solve their tasks
    "latch": Settings("latch", {"length": 20}, init="chrono"),
    "latch_rnn": Settings("latch", {"length": 20}, cell="rnn"),
    "latch1997": Settings("latch", {"length": 20}, cell="lstm1997"),
    "adding": Settings("adding", {"length": 20}),
    "anbn": Settings("anbn", {"length": 4}, steps=400, hidden=6),
}


@pytest.fixture(scope="module", autouse=True)
def alone():
    one_thread()  # as the command does


def trained(settings):
    """The checkpoint at the end of a run."""
    trainer = Trainer(settings)
    for _ in trainer.run():
        pass
    return trainer.checkpoint()


@pytest.fixture(scope="module")
def run():
    """A function that trains a run when it is first asked for, and gives its checkpoint."""
    kept = {}

    def of(name):
        if name not in kept:
            kept[name] = trained(RUNS[name])
        return kept[name]

    return of


@pytest.fixture(scope="module")
def text_run(tmp_path_factory):
    """A run of 120 steps, whose network did best after the 100th, when it was examined."""
    path = tmp_path_factory.mktemp("text") / "text.txt"
    path.write_text(TEXT, encoding="utf-8")
    return trained(Settings("text", {"length": 20, "data": str(path)}, hidden=24, steps=120, batch=8))


def untrained(name, seed=0, **given):
    """The checkpoint of a run that has not begun, of a small network."""
    return Trainer(Settings(name, given.pop("options", {}), hidden=3, batch=2, seed=seed, **given)).checkpoint()


def in_float64(checkpoint):
    """The run's network in float64; its LSTM runs as one primitive, not operation by operation as what is tested."""
    old, settings = checkpoint.best_network(), checkpoint.settings
    new = Network(old.layer.input_size, checkpoint.about["outputs"], settings.cell, settings.hidden, dtype=np.float64)
    new.load_state_dict({name: a.astype(np.float64) for name, a in old.state_dict().items()})
    return new


def log_odds(logits, k):
    others = np.delete(logits, k)
    return logits[k] - np.log(np.exp(others - others.max()).sum()) - others.max()


# ── the gradient ───────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", RUNS)
def test_norms_are_those_of_central_differences_of_the_answer(run, name):
    e = explain(run(name), seed=3)
    network, x = in_float64(run(name)), e.inputs.astype(np.float64)
    sign = np.where(e.outputs > 0, 1, -1)

    def read(x):
        out = network.predict(x[:, None])[0][-1, 0]
        return (
            out[0]
            if e.notation.loss == "squared"
            else out @ sign
            if e.notation.loss == "bits"
            else log_odds(out, e.outputs.argmax())
        )

    np.testing.assert_allclose(e.L, read(x), rtol=1e-4, atol=1e-5)
    for t in {0, len(x) // 2, len(x) - 1}:
        gradient = []
        for j in range(x.shape[1]):
            up, down = x.copy(), x.copy()
            up[t, j] += 1e-5
            down[t, j] -= 1e-5
            gradient.append((read(up) - read(down)) / 2e-5)
        np.testing.assert_allclose(e.trained.flow.named("x")[t].gradient, gradient, rtol=1e-5, atol=1e-9)
        assert e.trained.x[t] == pytest.approx(np.linalg.norm(gradient), rel=1e-5, abs=1e-9)


def test_the_loss_has_the_gradient_of_the_log_odds_times_p_minus_1():
    logits = np.array([0.3, 2.1, -1.0, 0.7])
    of_answer, of_loss = (tl.tensor(logits, requires_grad=True) for _ in range(2))
    L = answer(of_answer, logits, "classes")
    loss = cross_entropy(of_loss, np.array(1))
    p = np.exp(-loss.item())
    assert L.item() == pytest.approx(np.log(p / (1 - p)))
    L.backward()
    loss.backward()
    np.testing.assert_allclose(of_loss.grad, -(1 - p) * of_answer.grad, rtol=1e-12)


def test_the_untrained_network_is_the_one_that_the_run_began_with(run):
    e = explain(run("latch"))
    _, network = RUNS["latch"].build()
    for ours, theirs in zip(e.untrained.cell.parameters(), network.layer.cells[0].parameters(), strict=True):
        np.testing.assert_array_equal(ours.numpy(), theirs.numpy())
    for name, array in run("latch").untrained_network().state_dict().items():
        np.testing.assert_array_equal(array, network.state_dict()[name])
    assert e.untrained.x[0] != e.trained.x[0]


def test_the_largest_steps_are_those_with_most_gradient(run):
    e = explain(run("adding"), seed=2)
    assert len(e.largest) == 3
    assert [e.trained.x[t] for t in e.largest] == sorted(e.trained.x, reverse=True)[:3]


# ── what changes ───────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", ["latch", "latch_rnn", "adding"])
def test_what_changes_is_what_the_network_says_of_the_changed_sequence(run, name):
    e = explain(run(name), seed=1)
    network, symbols = run(name).best_network(), e.notation.symbols
    assert {*e.deciding, *e.largest} == set(e.changed)
    for t, (other, says, L) in e.changed.items():
        scores = {}
        for k in range(1 if symbols is None else len(symbols)):
            x = e.inputs.copy()
            x[t] = 0 if symbols is None else np.eye(len(symbols))[k]
            if symbols is None or symbols[k] != e.trained.tokens[t]:
                out = network.predict(x[:, None])[0][-1, 0].astype(np.float64)
                scores["0" if symbols is None else symbols[k]] = out
        if e.notation.loss == "classes":
            k = int(e.outputs.argmax())
            assert pytest.approx(min(log_odds(out, k) for out in scores.values()), abs=1e-3) == L
            assert pytest.approx(log_odds(scores[other], k), rel=1e-4) == L
            assert says == e.names[int(scores[other].argmax())]
        else:
            assert says == L == pytest.approx(scores[other][0], rel=1e-4)


def test_of_many_deciding_steps_five_are_changed():
    """Eleven X or Y by hand: a text may hold more of them than its task draws."""
    e = explain(untrained("order4"), "E" + "aX" * 11 + "B")
    assert e.deciding == tuple(range(2, 23, 2))
    assert set(e.changed) == {*e.deciding[:5], *e.largest}


# ── what runs show ─────────────────────────────────────────────────────────────────────────────


def test_in_adding_the_marked_steps_have_most_of_the_gradient(run):
    """LSTM H = 16, forget bias 1, T = 20, training seed 0, five sequences."""
    for seed in range(5):
        e = explain(run("adding"), seed=seed)
        assert e.deciding == tuple(np.flatnonzero(e.inputs[:, 1] == 1).tolist())
        assert len(e.deciding) == 2
        assert set(e.deciding) <= set(e.largest)
        before, after = (p.x[list(e.deciding)].sum() / p.x.sum() for p in (e.untrained, e.trained))
        assert before < 0.5 < after
        assert e.right == pytest.approx(e.inputs[list(e.deciding), 0].sum())
        assert abs(e.says - e.right) < 0.15


def test_a_memory_without_a_gradient(run):
    """RNN H = 16, T = 20: a saturated state keeps the first symbol; no gradient comes back, and all hangs on it."""
    e = explain(run("latch_rnn"))
    assert e.deciding == (0,)
    assert e.trained.x[0] < 1e-6 * e.trained.x[-1]
    other, says, L = e.changed[0]
    assert e.says == e.right == e.trained.tokens[0]
    assert says == other != e.right
    assert L < 0 < e.L


def test_a_single_step_and_a_gradient_of_nothing_are_told_plainly(run):
    e = explain(run("latch"), "x")
    assert "Of the sum" not in sentences.reading(e)
    nothing = {name: 0 * norms for name, norms in e.trained.norms.items()}
    silent = replace(e, trained=replace(e.trained, norms=nothing))
    assert sentences.plainly(silent).endswith("Here it is 0 or too small for float64 at every step.")
    assert "every norm of dL/dx is 0 or too small for float64" in sentences.reading(silent)


# ── the answer ─────────────────────────────────────────────────────────────────────────────────


def test_the_answer_to_a_question_of_classes(run):
    e = explain(run("latch"), seed=1)
    assert e.names == ["x", "y"]
    assert e.right == e.trained.tokens[0]
    np.testing.assert_allclose(e.probabilities, np.exp(e.outputs) / np.exp(e.outputs).sum())
    np.testing.assert_allclose(e.L, np.log(e.probabilities.max() / e.probabilities.min()))
    assert e.learnt == run("latch").about["sequences"]
    assert explain(run("latch"), "yab").right is None


def test_the_answer_to_several_questions_at_once(run):
    e = explain(run("anbn"))
    assert e.names == list("abST")
    assert e.probabilities is None
    assert e.says == [name for name, y in zip("abST", e.outputs, strict=True) if y > 0]
    assert (
        e.right == ["b"]
        if e.trained.tokens[-1] == "b" and e.trained.tokens.count("a") > e.trained.tokens.count("b")
        else ["T"]
    )
    np.testing.assert_allclose(e.L, np.abs(e.outputs).sum())


def test_the_answer_to_a_text(text_run):
    e = explain(text_run, "der Käse\tlieg")
    assert "".join(e.trained.tokens) == "der Käse\tlieg"
    assert (e.right, e.origin, e.notation.unit) == (None, "given", "character")
    assert e.notation.symbols == "".join(sorted(set(TEXT))) == "".join(e.names)
    assert e.says == e.names[int(e.probabilities.argmax())]
    assert text_run.about["steps"] == 120
    assert e.learnt == 100 * 8


def test_a_drawn_text_is_a_piece_of_the_data(text_run):
    e = explain(text_run, seed=4)
    assert len(e.trained.tokens) == 20
    assert "".join(e.trained.tokens) + e.right in TEXT
    assert e.origin == "drawn with seed 4"
    assert explain(text_run, seed=5).trained.tokens != e.trained.tokens


def test_a_series_speaks_in_its_own_units(tmp_path):
    values = 1000 + 50 * np.sin(np.arange(200) / 3)
    (tmp_path / "data.csv").write_text("\n".join(f"{v:.2f}" for v in values))
    e = explain(untrained("series", options={"length": 10, "data": str(tmp_path / "data.csv")}))
    assert all(940 < float(token) < 1060 for token in e.trained.tokens)
    assert np.abs(values - e.right).min() < 0.01
    scale = e.checkpoint.about["task"]
    assert e.says == pytest.approx(e.outputs[0] * scale["scale"] + scale["mean"])


# ── every task ─────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", [t for t in TASKS if not TASKS[t].takes_data])
def test_every_task_is_explained(name):
    checkpoint = untrained(name)
    e = explain(checkpoint, seed=1)
    task, _ = checkpoint.settings.build()
    batch = task.batch(np.random.default_rng(1), 1)
    np.testing.assert_array_equal(e.inputs, batch.x[: len(e.inputs), 0])
    assert len(e.trained.x) == len(e.untrained.x) == len(e.trained.tokens) == len(e.inputs)
    if name == "reber":
        assert e.deciding == (1,)
        assert e.right == e.trained.tokens[1]  # what has to be remembered
    if name.startswith("order"):
        told = [e.trained.tokens[t] for t in e.deciding]
        assert e.right == (f"{told[0]} first" if name == "order" else "".join(told))
    if name == "copy":
        assert e.deciding == (9,)
        assert e.right == e.trained.tokens[9]
    if name == "parity":
        assert e.right == ("odd" if e.trained.tokens.count("1") % 2 else "even")
    if e.notation.symbols is not None:
        assert e.notation.unit == "symbol"
        assert set(e.trained.tokens) <= set(e.notation.symbols)
        again = explain(checkpoint, "".join(e.trained.tokens))
        np.testing.assert_array_equal(again.inputs, e.inputs)
        np.testing.assert_array_equal(again.trained.x, e.trained.x)
        assert len(e.names) == len(e.outputs) == task.outputs
        with pytest.raises(ValueError, match=f"the network never saw 'Q': its {len(e.notation.symbols)} symbols are "):
            explain(checkpoint, "Q")
    else:
        assert (e.notation.unit, e.names) == ("value", [])
        assert f"{e.inputs[0, 0]:.4g}" in e.trained.tokens[0]
        if name in ("adding1997", "multiplication"):
            assert e.trained.tokens[-1] == f"({e.inputs[-1, 0]:.4g})"
        with pytest.raises(ValueError, match=f"the task {name} reads numbers, no text"):
            explain(checkpoint, "Q")


def test_a_text_too_short_to_hold_the_step_that_decides():
    assert explain(untrained("reber"), "B").deciding == ()
    assert explain(untrained("copy"), "1234567812").deciding == (9,)
    assert explain(untrained("copy"), "123456781").deciding == ()


class Quadrant(tasks.Task):
    """Of a task of one's own: three numbers a step, four classes, no names."""

    name, loss, default_length = "quadrant", "classes", 5
    inputs, outputs = 3, 4
    baseline, criterion = tasks.Baseline(np.log(4), "guesses"), tasks.Criterion("none")

    def batch(self, rng, size):
        x = rng.normal(size=(self.length, size, 3)).astype(np.float32)
        y = 2 * (x[0, :, 0] > 0) + (x[0, :, 1] > 0)
        return tasks.Batch(x, y, (np.full(size, self.length - 1), np.arange(size)))

    def judge(self, outputs, batch):
        raise NotImplementedError

    def preview(self, rng, count=3):
        raise NotImplementedError


def test_a_task_of_ones_own_needs_no_names(monkeypatch):
    monkeypatch.setitem(TASKS, "quadrant", Quadrant)
    e = explain(untrained("quadrant"))
    assert e.names == ["0", "1", "2", "3"]
    assert e.trained.tokens == tuple(" ".join(f"{v:.4g}" for v in row) for row in e.inputs)
    assert e.right == str(2 * (e.inputs[0, 0] > 0) + (e.inputs[0, 1] > 0))
    assert e.says == str(e.outputs.argmax())
    assert {change.instead for change in e.changed.values()} == {"0"}


# ── refusals ───────────────────────────────────────────────────────────────────────────────────


def test_what_cannot_be_explained_is_refused(run, text_run):
    with pytest.raises(ValueError, match="the run's network is a bag: it has no steps"):
        explain(untrained("latch", cell="bag"))
    with pytest.raises(ValueError, match="the text is empty: give some characters"):
        explain(run("latch"), "\n")
    with pytest.raises(ValueError, match=r"never saw '!', '0', .*, '8' and 1 more: its 21 characters are "):
        explain(text_run, "der 0123456789!")


def test_data_that_changed_or_went_is_refused_and_a_text_still_read(tmp_path):
    data = tmp_path / "text.txt"
    data.write_text(TEXT, encoding="utf-8")
    checkpoint = untrained("text", options={"length": 20, "data": str(data)})
    data.write_text(TEXT.replace("T", "R"), encoding="utf-8")
    with pytest.raises(ValueError, match="the data of the task text has changed since the run"):
        explain(checkpoint)
    data.unlink()
    with pytest.raises(ValueError, match=r"the run's data '.*text.txt' cannot be read: No such file"):
        explain(checkpoint)
    assert explain(checkpoint, "der").trained.tokens == ("d", "e", "r")


def test_a_sequence_too_long_for_the_memory_is_refused_before_it_is_run(run, monkeypatch):
    monkeypatch.setattr(Network, "predict", None)
    with pytest.raises(ValueError, match=r"100,000 steps at hidden size 16 would take about \d+\.\d GB of memory"):
        explain(run("latch"), "a" * 100_000)


def test_a_path_in_place_of_a_checkpoint_is_told_how_to_become_one():
    with pytest.raises(TypeError, match=r"explain takes a checkpoint, got str: give load\(path of the run\)"):
        tl.train.explain("runs/latch")


@pytest.mark.parametrize("unit", [1e-100, 1.0, 1e100])
def test_a_series_of_any_size_is_explained_in_its_own_units(unit, tmp_path):
    values = [np.sin(k / 5) for k in range(300)]
    (tmp_path / "series.txt").write_text("\n".join(repr(float(v * unit)) for v in values))
    trainer = Trainer(Settings("series", {"length": 5, "data": tmp_path / "series.txt"}, hidden=2, batch=2))
    trainer.step()
    assert np.isfinite(trainer.task.baseline.loss)
    found = explain(trainer.checkpoint())
    assert 0 < abs(found.says) < 3 * unit
    assert "inf" not in trainer.task.preview(np.random.default_rng(0)) + " ".join(found.trained.tokens)

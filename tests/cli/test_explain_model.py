"""`explain --model`: the answer of a trained network, its gradient at every step, and what is said of it."""

import csv
import json
import os

import numpy as np
import pytest

import tinygrad_lstm as tl
from tinygrad_lstm.cli import explain_model, main
from tinygrad_lstm.cli.explain import table
from tinygrad_lstm.nn.losses import cross_entropy
from tinygrad_lstm.tasks import TASKS
from tinygrad_lstm.train import Network, Settings, Trainer, load

TEXT = "der Käse\tliegt auf dem Tisch.\n" * 80
RUNS = {  # the settings of the runs, which solve their tasks
    "latch": ["latch", "--length", "20", "--init", "chrono"],
    "latch_rnn": ["latch", "--length", "20", "--cell", "rnn"],
    "latch1997": ["latch", "--length", "20", "--cell", "lstm1997"],
    "adding": ["adding", "--length", "20"],
    "order4": ["order4", "--init", "chrono", "--hidden", "8"],
    "anbn": ["anbn", "--length", "4", "--steps", "400", "--hidden", "6"],
    "bag": ["latch", "--cell", "bag", "--steps", "1"],
}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A function that trains a run when it is first asked for, and gives its directory."""
    folder = tmp_path_factory.mktemp("runs")

    def trained(name):
        if not (folder / name).exists():
            assert main(["train", *RUNS[name], "--out", str(folder / name)]) == 0
        return folder / name

    return trained


@pytest.fixture(scope="module")
def text_run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("text")
    (folder / "text.txt").write_text(TEXT, encoding="utf-8")
    argv = ["--data", str(folder / "text.txt"), "--length", "20", "--hidden", "24", "--steps", "400", "--batch", "8"]
    assert main(["train", "text", *argv, "--out", str(folder / "run")]) == 0
    return folder / "run"


def found(directory, text=None, seed=0):
    return explain_model.explained(load(directory), text, seed)


def printed(capsys, *argv):
    capsys.readouterr()
    assert main(["explain", "--model", *map(str, argv), "--format", "dot"]) == 0
    return capsys.readouterr().out


def in_float64(checkpoint):
    """The run's network in float64; its LSTM runs as one primitive, not operation by operation as what is tested."""
    old, settings = checkpoint.best_network(), checkpoint.settings
    new = Network(old.layer.input_size, checkpoint.about["outputs"], settings.cell, settings.hidden, dtype=np.float64)
    new.load_state_dict({name: a.astype(np.float64) for name, a in old.state_dict().items()})
    return new


def log_odds(logits, k):
    others = np.delete(logits, k)
    return logits[k] - np.log(np.exp(others - others.max()).sum()) - others.max()


# What is measured


@pytest.mark.parametrize("name", ["latch", "latch_rnn", "latch1997", "adding", "anbn"])
def test_norms_are_those_of_central_differences_of_the_answer(run, name):
    e = found(run(name), seed=3)
    network, x = in_float64(load(run(name))), e.sequence.x.astype(np.float64)
    loss = TASKS[e.task].loss
    sign = np.where(e.outputs > 0, 1, -1)

    def read(x):
        out = network.predict(x[:, None])[0][-1, 0]
        return out[0] if loss == "squared" else out @ sign if loss == "bits" else log_odds(out, e.outputs.argmax())

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
    L = explain_model.answer(of_answer, logits, "classes")
    loss = cross_entropy(of_loss, np.array(1))
    p = np.exp(-loss.item())
    assert L.item() == pytest.approx(np.log(p / (1 - p)))
    L.backward()
    loss.backward()
    np.testing.assert_allclose(of_loss.grad, -(1 - p) * of_answer.grad, rtol=1e-12)


def test_the_untrained_network_is_the_one_that_the_run_began_with(run):
    e = found(run("latch"))
    _, network = load(run("latch")).settings.build()
    for ours, theirs in zip(e.untrained.cell.parameters(), network.layer.cells[0].parameters(), strict=True):
        np.testing.assert_array_equal(ours.numpy(), theirs.numpy())
    assert e.untrained.x[0] != e.trained.x[0]


@pytest.mark.parametrize("name", ["latch", "latch_rnn", "adding"])
def test_what_changes_is_what_the_network_says_of_the_changed_sequence(run, name):
    e = found(run(name), seed=1)
    network, task = load(run(name)).best_network(), TASKS[e.task]
    symbols = explain_model.SYMBOLS.get(e.task)
    assert {*e.deciding, *e.largest} == set(e.changed)
    for t, (other, outputs) in e.changed.items():
        scores = {}
        for k in range(1 if symbols is None else len(symbols)):
            x = e.sequence.x.copy()
            x[t] = 0 if symbols is None else np.eye(len(symbols))[k]
            if symbols is None or symbols[k] != e.sequence.tokens[t]:
                out = network.predict(x[:, None])[0][-1, 0].astype(np.float64)
                scores["0" if symbols is None else symbols[k]] = out
        np.testing.assert_allclose(outputs, scores[other], rtol=1e-4, atol=1e-5)
        if task.loss == "classes":
            k = int(e.outputs.argmax())
            assert log_odds(outputs, k) == pytest.approx(min(log_odds(out, k) for out in scores.values()), abs=1e-3)


# What the runs show


def test_in_adding_the_marked_steps_have_most_of_the_gradient(run, capsys):
    """LSTM H = 16, forget bias 1, T = 20, training seed 0, five sequences."""
    for seed in range(5):
        e = found(run("adding"), seed=seed)
        assert e.deciding == tuple(np.flatnonzero(e.sequence.x[:, 1] == 1).tolist())
        assert len(e.deciding) == 2
        assert set(e.deciding) <= set(e.largest)
        share = e.trained.x[list(e.deciding)].sum() / e.trained.x.sum()
        assert share > 0.5 > e.untrained.x[list(e.deciding)].sum() / e.untrained.x.sum()
        out = " ".join(printed(capsys, run("adding"), "--seed", seed).split())
        assert f"with {float(f'{100 * share:.2g}'):g} % of that sum in the trained network" in out
        wanted = e.sequence.x[list(e.deciding), 0].sum()
        assert f"the answer is {e.outputs[0]:.3f}, right is {wanted:.3f}" in out
        assert abs(e.outputs[0] - wanted) < 0.15


def test_a_memory_without_a_gradient(run, capsys):
    """The RNN keeps the first symbol in a saturated state: no gradient comes back to it, and all hangs on it."""
    e = found(run("latch_rnn"))
    assert e.deciding == (0,)
    assert e.trained.x[0] < 1e-6 * e.trained.x[-1]
    other, outputs = e.changed[0]
    assert outputs.argmax() != e.outputs.argmax() == e.sequence.wanted
    out = " ".join(printed(capsys, run("latch_rnn")).split())
    first = e.sequence.tokens[0]
    assert f"and the answer {other} with '{other}' at step 1 '{first}'" in out


def test_deciding_steps_far_inside_have_a_row(run, capsys):
    e = found(run("order4"), seed=2)
    assert [e.sequence.tokens[t] for t in e.deciding] == list(explain_model.ANSWERS["order4"][e.sequence.wanted])
    assert e.outputs.argmax() == e.sequence.wanted
    lines = table(list(e.by_kind.values()), e.unit, e.deciding)
    rows = {line.split()[0]: line for line in lines if line[:4].strip().isdigit()}
    for t in e.deciding:
        assert 12 <= t < len(e.sequence.tokens) - 12
        assert rows[str(t + 1)].split()[1] == e.sequence.tokens[t]
        assert f"{e.trained.x[t]:.1e}" in rows[str(t + 1)]
    left_out = sum(int(line.split()[1]) for line in lines if "more" in line)
    assert left_out + len(rows) == len(e.sequence.tokens)
    out = printed(capsys, run("order4"), "--seed", 2)
    assert all(rows[str(t + 1)] in out for t in e.deciding)


def by_hand(**given):
    """A latch run of LSTM H = 3, seed 0, after one step: its trainer, to be changed by hand."""
    trainer = Trainer(Settings("latch", {"length": 6}, hidden=3, batch=2, steps=4, **given))
    trainer.step()
    return trainer


def test_no_gradient_at_all_is_said_so():
    trainer = by_hand()
    readout = trainer.network.readout
    readout.W.assign(np.zeros_like(readout.W.numpy()))
    e = explain_model.explained(trainer.checkpoint(), None, 0)
    assert not e.trained.x.any()
    said = explain_model.reading(e)
    assert "In the trained network every norm of dL/dx is 0 or too small for float64." in said
    assert "Of the sum of the norms" not in said
    assert "At the first step" not in said


def test_where_no_gradient_reaches_the_first_step_it_is_not_compared_with_another():
    """No recurrent weights and a forget gate that is 0: each step knows itself alone."""
    trainer = by_hand(forget_bias=-1000)
    for name, p in trainer.network.layer.cells[0].named_parameters():
        if name.startswith("W"):
            p.assign(np.concatenate([np.zeros_like(p.numpy()[:3]), p.numpy()[3:]]))
    e = explain_model.explained(trainer.checkpoint(), None, 0)
    assert e.trained.x[-1] > 0
    assert not e.trained.x[:-1].any()
    said = explain_model.reading(e)
    assert "the last 1 of 6 steps have 90 %" in said
    assert "At the first step" not in said


# Text


def test_of_one_character_no_share_is_told(text_run):
    e = found(text_run, "d")
    assert len(e.trained.x) == 1
    assert "Of the sum of the norms" not in explain_model.reading(e)


def test_a_text_and_its_next_character(text_run, capsys):
    e = found(text_run, "der Käse\tlieg")
    assert "".join(e.sequence.tokens) == "der Käse\tlieg"
    p = np.exp(e.outputs - e.outputs.max())
    p /= p.sum()
    symbols = load(text_run).about["task"]["characters"]
    assert symbols[int(p.argmax())] == "t"
    assert p.max() > 0.5
    out = printed(capsys, text_run, "der Käse\tlieg", "--out", "text")
    first = out[out.index("by probability") :].splitlines()[1].split()
    assert first[0] == "'t'"
    assert abs(float(first[1]) / 100 - p.max()) < 0.006
    assert f"log-odds of the answer 't', p its probability. The loss -ln p, {-np.log(p.max()):.3g} here" in " ".join(
        out.split()
    )


def test_without_a_text_a_piece_of_the_data_is_read(text_run, capsys):
    e = found(text_run, seed=4)
    symbols = load(text_run).about["task"]["characters"]
    assert len(e.sequence.tokens) == 20
    assert "".join(e.sequence.tokens) + symbols[e.sequence.wanted] in TEXT
    assert found(text_run, seed=5).sequence.tokens != e.sequence.tokens
    assert "right" in printed(capsys, text_run, "--out", "drawn")


def test_data_that_changed_or_went_is_refused_and_a_text_still_read(text_run, capsys):
    data = text_run.parent / "text.txt"
    data.write_text(TEXT.replace("T", "R"), encoding="utf-8")
    refused(capsys, text_run, says="has changed since the run: give a text to read instead")
    data.unlink()
    refused(capsys, text_run, says="cannot draw from the run's data")
    assert main(["explain", "--model", str(text_run), "der", "--format", "dot"]) == 0
    data.write_text(TEXT, encoding="utf-8")


# Every task


@pytest.mark.parametrize("name", [t for t in TASKS if not TASKS[t].takes_data])
def test_every_task_is_explained(name, tmp_path, capsys):
    assert main(["train", name, "--hidden", "3", "--steps", "2", "--batch", "2", "--out", str(tmp_path / "run")]) == 0
    e = found(tmp_path / "run", seed=1)
    task, _ = load(tmp_path / "run").settings.build()
    batch = task.batch(np.random.default_rng(1), 1)
    np.testing.assert_array_equal(e.sequence.x, batch.x[: len(e.sequence.x), 0])
    symbols = explain_model.SYMBOLS.get(name)
    if name == "reber":
        assert e.sequence.wanted == symbols.index(e.sequence.tokens[1])  # what has to be remembered
    if symbols is not None:
        again = found(tmp_path / "run", "".join(e.sequence.tokens))
        np.testing.assert_array_equal(again.sequence.x, e.sequence.x)
        assert len(explain_model.ANSWERS.get(name, symbols)) == len(e.outputs) == task.outputs
        refused(capsys, tmp_path / "run", "Q", says="the network never saw 'Q'")
    else:
        assert f"{e.sequence.x[0, 0]:.3f}" in e.sequence.tokens[0]
        refused(capsys, tmp_path / "run", "Q", says="reads numbers, no text")
    out = printed(capsys, tmp_path / "run", "--seed", 1, "--out", tmp_path / "out")
    assert "L = " in out or "L is the" in out
    files = ["compare.dot", "gates.csv", "gates.dot", "gradients.csv", "lstm.dot"]
    assert sorted(os.listdir(tmp_path / "out")) == files
    with open(tmp_path / "out" / "gradients.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [r["word"] for r in rows] == list(e.sequence.tokens)
    assert [float(r["lstm_x"]) for r in rows] == e.trained.x.tolist()
    assert [float(r["untrained_x"]) for r in rows] == e.untrained.x.tolist()


def test_a_series_speaks_in_its_own_units(tmp_path, capsys):
    values = 1000 + 50 * np.sin(np.arange(200) / 3)
    (tmp_path / "data.csv").write_text("\n".join(f"{v:.2f}" for v in values))
    argv = ["--data", str(tmp_path / "data.csv"), "--length", "10", "--steps", "2", "--out", str(tmp_path / "run")]
    assert main(["train", "series", *argv]) == 0
    e = found(tmp_path / "run")
    assert all(940 < float(token) < 1060 for token in e.sequence.tokens)
    assert "right is 9" in printed(capsys, tmp_path / "run") or "right is 10" in printed(capsys, tmp_path / "run")


# Refusals


def refused(capsys, *argv, says):
    capsys.readouterr()
    assert main(["explain", "--model", *map(str, argv)]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert says in err


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    ("option", "says"),
    [
        (["--hidden", "3"], "leave out --hidden"),
        (["--cells", "rnn", "--forget-bias", "3"], "leave out --cells, --forget-bias"),
        (["--tokens", "chars"], "leave out --tokens"),
        ([""], "the text is empty"),
        (["xab\x1b"], "the network never saw '\\x1b': its 6 symbols are 'xyabcd'"),
        (["xab", "--file", "x"], "not both"),
    ],
)
def test_what_a_run_has_no_use_for_is_refused(run, capsys, option, says):
    refused(capsys, run("latch"), *option, says=says)
    assert not os.path.exists("explained")


def test_what_is_no_run_is_refused(run, capsys, tmp_path):
    refused(capsys, tmp_path / "nowhere", says="cannot read")
    refused(capsys, run("bag"), says="a bag: it has no steps")
    (tmp_path / "checkpoint.npz").write_bytes(b"PK")
    refused(capsys, tmp_path, says="is damaged or no checkpoint")


# ── for a program ──────────────────────────────────────────────────────────────────────────────


def as_json(capsys, here, *argv):
    out = printed(capsys, *argv, "--out", here / "out", "--json")
    return json.loads(out)


def test_json_of_classes(run, capsys, tmp_path):
    data = as_json(capsys, tmp_path, run("latch"), "--seed", 1)
    e = found(run("latch"), seed=1)
    answer = data["answer"]
    assert data["tokens"] == list(e.sequence.tokens)
    assert [cell["cell"] for cell in data["cells"]] == ["lstm", "untrained"]
    assert data["cells"][0]["norms"]["x"] == e.trained.x.tolist()
    assert data["cells"][1]["norms"] == {"x": e.untrained.x.tolist()}
    assert data["reading"] == explain_model.reading(e)
    assert answer["names"] == ["x", "y"]
    assert answer["outputs"] == e.outputs.tolist()
    assert sum(answer["probabilities"]) == pytest.approx(1)
    assert answer["says"] == answer["right"] == e.sequence.tokens[0]  # the run has solved its task
    assert answer["L"] == pytest.approx(log_odds(e.outputs, int(e.outputs.argmax())))
    assert answer["deciding"] == [1]
    first = next(change for change in answer["changed"] if change["step"] == 1)
    assert {first["instead"], first["says"]} == {"xy".replace(answer["says"], "")}
    assert first["L"] < answer["L"]


def test_json_of_a_number(run, capsys, tmp_path):
    answer = as_json(capsys, tmp_path, run("adding"))["answer"]
    e = found(run("adding"))
    assert answer["names"] is answer["probabilities"] is None
    assert (answer["says"], answer["right"]) == (e.outputs[0], float(e.sequence.wanted))
    assert abs(answer["says"] - answer["right"]) < 0.3
    assert answer["deciding"] == [t + 1 for t in e.deciding]
    assert {change["instead"] for change in answer["changed"]} == {"0"}


def test_json_of_several_answers_at_once(run, capsys, tmp_path):
    answer = as_json(capsys, tmp_path, run("anbn"))["answer"]
    e = found(run("anbn"))
    assert answer["probabilities"] is None
    assert answer["says"] == [n for n, y in zip(answer["names"], e.outputs, strict=True) if y > 0]
    assert answer["right"] == [n for n, y in zip(answer["names"], e.sequence.wanted, strict=True) if y == 1]
    assert answer["right"]


def test_json_of_a_text(text_run, capsys, tmp_path):
    data = as_json(capsys, tmp_path, text_run, "der Käse\tl")
    answer = data["answer"]
    assert data["unit"] == "character"
    assert data["tokens"] == list("der Käse\tl")
    assert answer["right"] is None
    assert answer["origin"] == "given"
    assert answer["names"][int(np.argmax(answer["probabilities"]))] == answer["says"] == "i"
    assert set(answer["names"]) == set(TEXT)

"""Training: runs that can be interrupted anywhere and go on to the same bits, and checkpoints that are whole."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from bench.table import _undisturbed

import tinygrad_lstm as tl
from tinygrad_lstm import tasks
from tinygrad_lstm.train import CheckpointError, Diverged, Network, Settings, Trainer, load, one_thread, resume, save
from tinygrad_lstm.train.checkpoint import CURRENT, METRICS


@pytest.fixture(scope="module", autouse=True)
def alone():
    one_thread()  # as the command does


TEXT = "the cat sat on the mat, and the dog sat on the log.\n" * 60


def settings(task="adding", tmp_path=None, length=12, **given):
    options = {"length": length}
    if task == "adding1997":
        options = {"length": 24}
    if task == "text":
        (tmp_path / "text.txt").write_text(TEXT)
        options["data"] = str(tmp_path / "text.txt")
    if task == "series":
        (tmp_path / "series.txt").write_text("\n".join(str(k % 7) for k in range(400)))
        options["data"] = str(tmp_path / "series.txt")
    return Settings(task, options, **{"hidden": 4, "batch": 4, "steps": 230} | given)


def trained(trainer, until):
    while trainer.steps < until:
        trainer.step()
    return trainer


def timeless(about):
    """What a checkpoint says but for how long it took."""
    rows = [{k: v for k, v in row.items() if k != "seconds"} for row in about["reports"]]
    return {k: v for k, v in about.items() if k != "seconds"} | {"reports": rows}


def same(a, b):
    x, y = a.checkpoint(), b.checkpoint()
    assert x.arrays.keys() == y.arrays.keys()
    assert [k for k in x.arrays if not np.array_equal(x.arrays[k], y.arrays[k])] == []
    assert timeless(x.about) == timeless(y.about)


@pytest.mark.parametrize(
    ("task", "cell"),
    [
        *((task, "lstm") for task in ("adding", "adding1997", "reber", "continual-reber", "anbn", "text", "series")),
        *((task, "rnn") for task in ("adding", "reber", "continual-reber")),
        ("latch", "bag"),
        ("order8", "lstm1997"),
    ],
)
def test_a_run_that_was_interrupted_goes_on_to_the_same_bits(task, cell, tmp_path):
    chosen = settings(task, tmp_path, cell=cell)
    whole = trained(Trainer(chosen), 130)
    part = trained(Trainer(chosen), 57)
    save(tmp_path, part.checkpoint())
    same(trained(resume(load(tmp_path)), 130), whole)


def bits(trainer):
    saved = trainer.checkpoint()
    return {name: array.tobytes() for name, array in saved.arrays.items()}, timeless(saved.about)


def back_to(trainer, saved):
    """The same trainer as it was."""
    vars(trainer).update(vars(resume(saved)))


WHERE = ("loop.py", "optim.py", "series.py", "continual_reber.py")


@pytest.mark.parametrize(("task", "cell"), [("adding", "bag"), ("continual-reber", "rnn"), ("series", "rnn")])
def test_a_step_is_whole_or_not_begun_at_whatever_moment_ctrl_c_comes(task, cell, tmp_path, monkeypatch, interrupted):
    monkeypatch.setattr("tinygrad_lstm.train.loop.REPORT", 1)  # an examination at each step
    trainer = trained(Trainer(settings(task, tmp_path, cell=cell, hidden=1, batch=1, length=2)), 2)
    saved, before = trainer.checkpoint(), bits(trainer)
    after = bits(trained(resume(saved), 3))
    seen = []

    def look():
        seen.append(bits(trainer))
        assert seen[-1] in (before, after)
        if seen[-1] == after:
            back_to(trainer, saved)

    assert interrupted(trainer.step, look, *WHERE) > 100
    assert bits(trainer) == after
    assert before in seen
    assert after in seen  # Ctrl-C came between the end of the step and the call's return
    assert np.geterr()["over"] == "warn"


def test_an_exception_in_a_task_leaves_the_run_as_it_was(monkeypatch):
    trainer = trained(Trainer(settings("continual-reber")), 2)
    before = bits(trainer)

    def fails(rng, size):
        rng.random(7)
        raise MemoryError

    monkeypatch.setattr(trainer.task, "batch", fails)
    with pytest.raises(MemoryError):
        trainer.step()
    assert bits(trainer) == before


def test_a_step_and_its_report_are_one(interrupted):
    whole = Trainer(settings(steps=101))
    rows = [row for row in whole.run() if row]
    assert rows == whole.reports
    trainer = trained(Trainer(settings(steps=101)), 99)
    saved, found = trainer.checkpoint(), []

    def look():
        assert len(trainer.reports) == trainer.steps // 100
        found.append(timeless(trained(trainer, 101).checkpoint().about))
        back_to(trainer, saved)

    interrupted(lambda: next(trainer.run()), look, "loop.py")
    assert all(about == timeless(whole.checkpoint().about) for about in found)


def test_other_seeds_give_other_runs():
    a, b = (trained(Trainer(settings(seed=seed)), 3) for seed in (0, 1))
    assert not np.array_equal(a.network.readout.W.numpy(), b.network.readout.W.numpy())


def test_training_solves_a_small_task_and_says_so():
    trainer = Trainer(Settings("latch", {"length": 3}, hidden=8, batch=64, steps=1000))
    reports = [row for row in trainer.run() if row]
    assert trainer.solved
    assert reports[-1]["solved"]
    assert reports[-1]["sequences"] == trainer.steps * 64 < 64000
    assert trainer.right == 1.0
    assert trainer.error < 0.1
    assert reports[-1]["loss"] < reports[-1]["baseline"] / 2


def test_a_bag_cannot_tell_an_order_and_a_network_with_a_state_can():
    def error(cell):
        trainer = Trainer(Settings("order", {"length": 4}, cell=cell, hidden=8, batch=64, steps=400))
        for _ in trainer.run():
            pass
        return trainer.solved

    assert not error("bag")
    assert error("lstm")


def test_no_text_is_ever_solved_and_its_best_network_is_kept(tmp_path):
    trainer = Trainer(settings("text", tmp_path, hidden=24, batch=16, steps=300))
    for _ in trainer.run():
        pass
    assert trainer.exam.passed
    assert not trainer.solved
    assert trainer.checkpoint().about["solved"] is None
    assert trainer.steps == 300
    assert trainer.best[0] <= trainer.exam.score
    assert trainer.best[0] < trainer.task.bigram


def test_the_best_network_is_kept_beside_the_last(tmp_path, monkeypatch):
    trainer = Trainer(settings("text", tmp_path))
    scores = iter([3.0, 1.0, 2.0])
    monkeypatch.setattr(trainer.task, "examine", lambda predict: tasks.Exam(True, next(scores), {"score": 1}))
    kept = [trained(trainer, steps).network.state_dict() for steps in (100, 200, 300)]
    assert trainer.best[:2] == (1.0, 200)
    save(tmp_path, trainer.checkpoint())
    checkpoint = load(tmp_path)
    for network, state in ((checkpoint.best_network(), kept[1]), (resume(checkpoint).network, kept[2])):
        assert all(np.array_equal(v, state[k]) for k, v in network.state_dict().items())
    same(resume(checkpoint), trainer)


def test_a_loss_that_is_not_finite_stops_before_the_weights_are_touched():
    trainer = Trainer(settings())
    trainer.network.readout.b.assign(np.array([np.float32(1e30)]))
    before = trainer.network.state_dict()
    with pytest.raises(Diverged, match=r"the loss, inf, is not finite at step 1: no weight has moved yet, so the data"):
        trainer.step()
    assert all(np.array_equal(v, before[k]) for k, v in trainer.network.state_dict().items())


def test_a_weight_that_would_not_be_finite_is_not_taken():
    trainer = Trainer(settings(lr=1e300))
    before = bits(trainer)
    with pytest.raises(Diverged, match=r"a weight is not finite at step 1: try an lr below 1e\+300 or a clip below 1"):
        trainer.step()
    assert bits(trainer) == before


def test_an_examination_without_a_finite_score_is_said(tmp_path, monkeypatch):
    trainer = trained(Trainer(settings("text", tmp_path)), 99)
    monkeypatch.setattr(trainer.task, "examine", lambda predict: tasks.Exam(False, np.inf, {}))
    with pytest.raises(Diverged, match="the examination's score, inf, is not finite at step 100"):
        trainer.step()
    assert trainer.steps == 99


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"cell": "gru"}, "no cell is called 'gru'"),
        ({"init": "xavier"}, "no initialisation"),
        ({"cell": "rnn", "init": "chrono"}, "rnn has none"),
        ({"init": "orthogonal"}, "recurrent weights of an rnn"),
        ({"lr": 0.0}, "lr must be"),
        ({"lr": float("nan")}, "lr must be"),
        ({"hidden": 0}, "hidden must be"),
        ({"steps": 0}, "steps must be"),
        ({"task": "sine", "cell": "bag"}, "a bag sees the whole sequence"),
        ({"task": "nothing"}, "no task is called"),
    ],
)
def test_settings_that_cannot_be_are_refused(given, message):
    with pytest.raises(ValueError, match=message):
        Trainer(Settings(**{"task": "adding"} | given))


@pytest.mark.parametrize(
    "given",
    [
        {"hidden": np.int64(4)}, {"steps": np.int32(3)}, {"batch": np.uint8(4)}, {"seed": np.int64(0)},
        {"lr": np.float32(0.5)}, {"clip": np.float64(1)}, {"forget_bias": np.float16(1)},
        {"cell": np.str_("lstm")}, {"options": {"length": np.int64(12)}},
        {"task": np.str_("series"), "options": {"length": np.int64(12), "data": Path}},
        {"task": "text", "options": {"length": 12, "data": np.str_}},
    ],
    ids=str,
)  # fmt: skip
def test_numpys_scalars_and_paths_are_settings_that_can_be_kept(given, tmp_path):
    made = {"text": "abc" * 200, "series": "\n".join(str(k % 7) for k in range(400))}
    for name, text in made.items():
        (tmp_path / name).write_text(text)
    options = given.get("options", {"length": 12})
    if "data" in options:
        options = options | {"data": options["data"](str(tmp_path / given["task"]))}
    taken = Settings(**{"task": "adding", "hidden": 4, "batch": 4, "steps": 3} | given | {"options": options})
    trainer = trained(Trainer(taken), 2)
    save(str(tmp_path), trainer.checkpoint())
    assert load(str(tmp_path)).settings == taken
    same(trained(resume(load(tmp_path), np.int64(3)), 3), trained(trainer, 3))
    assert type(trainer.task.length) is int


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ({"hidden": 4.5}, TypeError, "hidden must be a whole number, got 4.5"),
        ({"hidden": "4"}, TypeError, "hidden must be a whole number, got '4'"),
        ({"seed": -1}, ValueError, "seed must be at least 0, got -1"),
        ({"lr": "0.1"}, TypeError, "lr must be a number, got '0.1'"),
        ({"forget_bias": float("nan")}, ValueError, "forget_bias must be a finite number, got nan"),
        ({"options": {"length": object()}}, TypeError, r"options must be finite numbers.*'length': <object"),
        ({"options": {"scale": np.inf}}, ValueError, r"options must be finite numbers.*'scale': (inf|nan)"),
        ({"options": 3}, TypeError, "options must be a dict, got 3"),
    ],
)
def test_what_cannot_be_kept_is_refused_when_it_is_given(given, error, message):
    with pytest.raises(error, match=message):
        Settings(**{"task": "adding"} | given)


def test_what_a_task_of_ones_own_says_in_numpys_numbers_is_kept(monkeypatch):
    trainer = trained(Trainer(settings("continual-reber")), 1)
    trainer.exam = tasks.Exam(np.bool_(True), np.float32(0.5), {"right": np.int64(3)})
    monkeypatch.setattr(trainer.task, "about", lambda: {"size": np.int64(3)})
    about = json.loads(json.dumps(trainer.checkpoint().about))
    assert about["exam"] == {"passed": True, "score": 0.5, "found": {"right": 3}}
    assert about["task"] == {"size": 3}


def test_settings_come_back_from_plain_values():
    given = settings("adding", hidden=7, lr=0.5)
    assert Settings(**json.loads(json.dumps(given.as_dict()))) == given


def test_networks_read_a_sequence_in_pieces_as_in_one(monkeypatch):
    x = np.random.default_rng(0).standard_normal((25, 3, 2)).astype(np.float32)
    for kind in ("lstm", "lstm1997", "rnn"):
        network = Network(2, 3, kind, 5)
        whole, _ = network.predict(x)
        monkeypatch.setattr("tinygrad_lstm.train.model.CHUNK", 7)
        pieces, _ = network.predict(x)
        monkeypatch.undo()
        assert whole.shape == (25, 3, 3)
        np.testing.assert_allclose(pieces, whole, atol=1e-6)


def test_initialisations_reach_the_cells():
    chrono = Network(2, 1, "lstm", 50, init="chrono", T_max=100).layer.cells[0]
    assert (chrono.b_f.numpy() >= 0).all()
    assert chrono.b_f.numpy().max() > 3
    assert np.array_equal(chrono.b_i.numpy(), -chrono.b_f.numpy())
    assert (Network(2, 1, "lstm", 4, forget_bias=3).layer.cells[0].b_f.numpy() == 3).all()
    assert not hasattr(Network(2, 1, "lstm1997", 4).layer.cells[0], "W_f")
    W = Network(2, 1, "rnn", 6, init="orthogonal").layer.cells[0].W_h.numpy()[:6]
    np.testing.assert_allclose(W @ W.T, np.eye(6), atol=1e-6)


# Checkpoints


@pytest.fixture
def run_dir(tmp_path):
    trainer = trained(Trainer(settings()), 3)
    save(tmp_path, trainer.checkpoint())
    trained(trainer, 5)
    save(tmp_path, trainer.checkpoint())
    return tmp_path


def test_the_last_one_is_kept_without_objects(run_dir):
    assert sorted(os.listdir(run_dir)) == [CURRENT, "config.json", METRICS]
    assert load(run_dir).about["steps"] == 5
    with np.load(run_dir / CURRENT, allow_pickle=False) as file:
        assert all(file[name].dtype != object for name in file.files)
        assert json.loads(file["about"].tobytes())["settings"]["task"] == "adding"


def test_every_truncation_is_refused_by_name_and_reason(run_dir):
    data = (run_dir / CURRENT).read_bytes()
    for size in [*range(0, len(data), 211), len(data) - 1]:
        (run_dir / CURRENT).write_bytes(data[:size])
        with pytest.raises(CheckpointError, match=r"checkpoint\.npz is damaged or no checkpoint: .+"):
            load(run_dir)


def test_a_flipped_byte_is_refused_or_harmless(run_dir):
    data = (run_dir / CURRENT).read_bytes()
    good = load(run_dir)
    refused = 0
    for at in range(0, len(data), 97):
        (run_dir / CURRENT).write_bytes(data[:at] + bytes([data[at] ^ 0x15]) + data[at + 1 :])
        try:
            read = load(run_dir)
        except CheckpointError:
            refused += 1
        else:
            assert read.about == good.about
            assert all(np.array_equal(v, read.arrays[k]) for k, v in good.arrays.items())
    assert refused > 20


@pytest.mark.parametrize("name", ["text", "array", "other", "pickle", "weights"])
def test_what_is_no_checkpoint_is_refused(run_dir, name):
    path = run_dir / "other.npz"
    if name == "text":
        path.write_text("hello")
    elif name == "array":
        with path.open("wb") as file:
            np.save(file, np.zeros(3))
    elif name == "other":
        np.savez(path, a=np.zeros(3))
    elif name == "pickle":
        np.savez(path, about=np.array([{"a": 1}], dtype=object))
    else:
        saved = load(run_dir)
        arrays = saved.arrays | {"weights/readout.W": np.zeros((9, 9), np.float32)}
        path.write_bytes(type(saved)(arrays, saved.about).to_bytes())
    with pytest.raises(CheckpointError, match=r"other\.npz is damaged or no checkpoint: \w+"):
        load(path)


FORGED = [
    ({"format": "another"}, {}, "it is not in the format"),
    ({"arrays": ["weights/readout.W"]}, {}, "does not hold the arrays that it names"),
    ({}, {"weights/layer.cells.0.b_f": lambda a: a[:-1]}, r"b_f must have shape"),
    ({"steps": "5"}, {}, "its steps cannot be '5'"),
    ({"steps": True}, {}, "its steps cannot be True"),
    ({"sequences": None}, {}, "its sequences cannot be None"),
    ({"best_score": "1"}, {}, "its best_score cannot be '1'"),
    ({"best_steps": 1.5}, {}, "its best_steps cannot be 1.5"),
    ({"exam": "passed"}, {}, "its exam cannot be"),
    ({"reports": {}}, {}, "its reports cannot be"),
    ({"solved": "yes"}, {}, "its solved cannot be 'yes'"),
    ({"task": "text"}, {}, "its task cannot be"),
    ({"settings": {"task": ["text"]}}, {}, "task must be a string"),
    ({"settings": {"hidden": 3}}, {}, "missing 1 required positional argument: 'task'"),
    ({"settings": {"task": "text", "width": 3}}, {}, "unexpected keyword argument 'width'"),
    ({"task": {"characters": 3}}, {}, "object of type 'int' has no len"),
    ({"task": {"characters": "ab"}}, {}, "does not name the symbols"),
    ({"inputs": 10**9, "task": {}}, {}, "weights do not have the sizes"),
    ({}, {"weights/readout.W": lambda a: a.astype(complex)}, "holds complex128, not real numbers"),
    ({}, {"optimiser/mean.0": lambda a: a.astype("U3")}, "holds <U3, not real numbers"),
]


@pytest.mark.parametrize(("about", "arrays", "says"), FORGED)
def test_a_checkpoint_that_claims_what_no_run_writes_is_refused(about, arrays, says, tmp_path):
    saved = trained(Trainer(settings("text", tmp_path)), 2).checkpoint()
    changed = {name: change(saved.arrays[name]) for name, change in arrays.items() if change}
    kept = {name: a for name, a in saved.arrays.items() if arrays.get(name, a) is not None}
    forged = type(saved)(kept | changed, saved.about | about)
    (tmp_path / "forged.npz").write_bytes(forged.to_bytes())
    with pytest.raises(CheckpointError, match=rf"forged\.npz is damaged or no checkpoint: .*{says}"):
        load(tmp_path / "forged.npz")


@pytest.mark.parametrize(
    ("about", "arrays", "says"),
    [
        ({"generator": {"bit_generator": "PCG64", "state": 0.5}}, {}, ""),
        ({"generator": {}}, {}, "'PCG64'|bit_generator|state"),
        ({"recent": [0.5]}, {}, "cannot unpack"),
        ({"exam": {}}, {}, "missing 3 required"),
        ({"best_steps": 3}, {}, "float"),
        ({}, {"window/rights": None}, "rights"),
        ({}, {"weights/readout.b": np.zeros(3)}, r"readout\.b must have shape"),
        ({}, {"optimiser/steps": np.full(10, -9)}, "steps must be whole numbers from 0 on"),
        ({}, {"optimiser/square.1": np.zeros(3)}, r"square\.1 must have shape"),
        ({}, {"optimiser/mean.0": None}, r"no values for mean\.0"),
    ],
)
def test_a_run_cannot_go_on_from_what_no_run_writes(about, arrays, says, tmp_path):
    saved = trained(Trainer(settings("text", tmp_path)), 2).checkpoint()
    kept = {name: a for name, a in (saved.arrays | arrays).items() if a is not None}
    with pytest.raises(CheckpointError, match=f"no run wrote this checkpoint: .*{says}"):
        resume(type(saved)(kept, saved.about | about))


def test_a_copy_elsewhere_is_the_same_run(run_dir):
    (run_dir / "kept.npz").write_bytes((run_dir / CURRENT).read_bytes())
    assert load(run_dir / "kept.npz").about == load(run_dir).about


def test_other_data_is_refused(tmp_path):
    trainer = trained(Trainer(settings("text", tmp_path)), 2)
    save(tmp_path, trainer.checkpoint())
    (tmp_path / "text.txt").write_text(TEXT + "more of the same\n")
    with pytest.raises(ValueError, match="the data of the task text has changed"):
        resume(load(tmp_path))


def test_a_run_that_goes_on_has_all_its_reports(tmp_path):
    trainer = Trainer(settings(steps=100))
    before = [row for row in trainer.run() if row]
    save(tmp_path, trainer.checkpoint())
    (tmp_path / METRICS).unlink()  # others may read it, we do not
    again = resume(load(tmp_path), 101)
    assert again.reports == before
    after = [row for row in again.run() if row]
    save(tmp_path, again.checkpoint())
    assert [json.loads(line) for line in (tmp_path / METRICS).read_text().splitlines()] == [*before, *after]


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no kill -9 here")
def test_a_kill_at_any_moment_leaves_a_checkpoint_that_loads(tmp_path):
    out = tmp_path / "run"
    first = [
        sys.executable,
        "-m",
        "tinygrad_lstm",
        "train",
        "adding",
        "--length",
        "10",
        "--hidden",
        "2",
        "--steps",
        "9999999",
    ]
    begin = [*first, "--save-every", "0", "--out", str(out)]
    go_on = [*first[:4], "--resume", str(out), "--save-every", "0"]
    seen = -1
    for k, delay in enumerate((0.02, 0.173, 0.091)):
        process = subprocess.Popen(begin if k == 0 else go_on, stdout=subprocess.PIPE)
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline and not (out / CURRENT).exists():
            time.sleep(0.01)
        if k:
            process.stdout.readline()  # it runs
        time.sleep(delay)
        process.kill()
        process.communicate()
        steps = load(out).about["steps"]
        assert steps >= max(seen, 0)
        seen = steps
    assert seen > 0


@pytest.mark.skipif(not hasattr(signal, "pthread_sigmask"), reason="signals of another kind")
def test_ctrl_c_waits_until_processes_have_started_and_never_reaches_them():
    asked = "import signal; print(signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, []))"
    told = []

    def started():
        with _undisturbed():
            signal.raise_signal(signal.SIGINT)
            told.append(subprocess.run([sys.executable, "-c", asked], stdout=subprocess.PIPE, check=True).stdout)

    with pytest.raises(KeyboardInterrupt):
        started()
    assert told == [b"True\n"]
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, [])
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_cell_that_takes_a_dtype_and_does_not_give_it_on_is_told_so():
    class Half(tl.nn.Cell):
        def __init__(self, inputs, hidden, dtype=np.float64):
            super().__init__(inputs, hidden, dtype)
            self.W = tl.nn.Parameter(np.ones((inputs + hidden, hidden)))  # float64, whatever was asked

        def equations(self, x, h):
            return {"h": tl.nn.Linear(*self.W.shape, dtype=np.float64)(tl.concat([h, x], axis=-1))}

    with pytest.raises(TypeError, match="a cell that takes a dtype, here float32, gives it to all its parts"):
        Network(2, 1, Half, hidden=3)

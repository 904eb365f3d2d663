"""`train`: what it prints and keeps, Ctrl-C and going on, bad input."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tinygrad_lstm.cli import main
from tinygrad_lstm.cli.tasks import helped
from tinygrad_lstm.tasks import TASKS
from tinygrad_lstm.train import Trainer, load

SMALL = ["--length", "10", "--hidden", "3", "--batch", "4"]


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def lines(capsys):
    return capsys.readouterr().out.splitlines()


def arrays(run):
    with np.load(run / "checkpoint.npz") as file:
        return {k: file[k] for k in file.files if k != "about"}


def test_a_run_says_its_baseline_and_criterion_and_how_it_ended(capsys, here):
    assert main(["train", "adding", *SMALL, "--steps", "120", "--out", "run"]) == 0
    out = lines(capsys)
    assert out[0] == "adding, lstm H3, forget bias 1, seed 0: 76 parameters, length 10, batch 4"
    assert out[1] == "baseline 0.1667: always answers 1, the mean of the sum"
    assert out[2].startswith("criterion: mean error of the last 2000 below 0.001")
    assert "480 sequences  loss 0." in out[-4]
    assert "(baseline 0.1667)" in out[-4]
    assert out[-3].startswith("not solved after 480 sequences, ")
    assert out[-2] == f"what helped: {helped(TASKS['adding'])}"
    assert out[3] == "error: the squared error; right: an absolute error below 0.04, as in 1997"
    assert out[-1] == "kept in run"
    assert sorted(os.listdir("run")) == ["checkpoint.npz", "config.json", "metrics.jsonl"]
    rows = [json.loads(line) for line in (here / "run" / "metrics.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == [100, 120]
    assert rows[-1]["baseline"] == pytest.approx(1 / 6)
    config = json.loads((here / "run" / "config.json").read_text())
    assert (config["task"], config["hidden"], config["parameters"]) == ("adding", 3, 76)


def test_a_solved_run_stops_early(capsys):
    assert main(["train", "latch", "--length", "2", "--hidden", "8", "--batch", "100", "--steps", "5000"]) == 0
    out = lines(capsys)
    assert out[-2].startswith("solved after ")
    assert "; right 100.0%" in out[-2]
    assert out[-1] == "not kept: give --out RUN to keep a run"
    assert os.listdir() == []


def test_more_steps_after_the_end_are_the_same_as_at_once(capsys, here):
    assert main(["train", "reber", "--hidden", "3", "--batch", "4", "--steps", "130", "--out", "a"]) == 0
    assert main(["train", "reber", "--hidden", "3", "--batch", "4", "--steps", "70", "--out", "b"]) == 0
    assert main(["train", "--resume", "b", "--steps", "130"]) == 0
    assert "going on after 280 sequences" in lines(capsys)
    a, b = arrays(here / "a"), arrays(here / "b")
    assert all(np.array_equal(a[k], b[k]) for k in a | b)


@pytest.mark.skipif(os.name == "nt", reason="signals of another kind")
def test_ctrl_c_saves_and_going_on_gives_the_same_bits(here):
    # parity is not solved at this size, however fast the machine: the signal always finds it at work
    command = [sys.executable, "-m", "tinygrad_lstm", "train"]
    process = subprocess.Popen(
        [*command, "parity", *SMALL, "--steps", "9999999", "--out", "a"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    for line in process.stdout:
        if "loss" in line:
            break
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert err == "tinygrad-lstm train: interrupted\n"
    assert "interrupted after " in out
    assert out.splitlines()[-1] == "kept in a; go on with --resume a"
    with np.load("a/checkpoint.npz") as file:
        steps = json.loads(file["about"].tobytes())["steps"]
    total = str(steps + 25)
    assert main(["train", "--resume", "a", "--steps", total]) == 0
    assert main(["train", "parity", *SMALL, "--steps", total, "--out", "b"]) == 0
    a, b = arrays(here / "a"), arrays(here / "b")
    assert all(np.array_equal(a[k], b[k]) for k in a | b)
    kept = [[json.loads(line) for line in (here / run / "metrics.jsonl").read_text().splitlines()] for run in "ab"]
    for row in kept[0] + kept[1]:
        del row["seconds"]
    assert kept[0][:-1] == kept[1][:-1]


def test_where_ctrl_c_stopped_it_is_kept_and_said(capsys, here, monkeypatch):
    step = Trainer.step

    def stop(trainer):
        if trainer.steps == 3:
            raise KeyboardInterrupt
        return step(trainer)

    monkeypatch.setattr(Trainer, "step", stop)
    assert main(["train", "adding", *SMALL, "--out", "run"]) == 130
    *_, how, kept = lines(capsys)
    assert how.startswith("interrupted after 12 sequences, ")
    assert kept == "kept in run; go on with --resume run"
    assert load("run").about["steps"] == 3


def test_what_a_killed_process_was_writing_is_cleared_away(here):
    assert main(["train", "adding", *SMALL, "--steps", "2", "--out", "run"]) == 0
    before = sorted(os.listdir("run"))
    (here / "run" / ".writing-a").mkdir()
    (here / "run" / ".writing-a" / "checkpoint.npz").write_bytes(b"half")
    assert main(["train", "--resume", "run", "--steps", "3"]) == 0
    assert sorted(os.listdir("run")) == before


def test_a_run_that_has_had_its_steps_asks_for_more(capsys, here):
    assert main(["train", "adding", *SMALL, "--steps", "3", "--out", "run"]) == 0
    capsys.readouterr()
    assert main(["train", "--resume", "run", "--steps", "3"]) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert "this run has had 3 batches: --steps counts them all, give more" in err


def test_a_checkpoint_without_what_training_remembers_is_refused(capsys, here):
    assert main(["train", "adding", *SMALL, "--steps", "2", "--out", "run"]) == 0
    capsys.readouterr()
    saved = load("run")
    kept = {name: array for name, array in saved.arrays.items() if not name.startswith("window/")}
    (here / "run" / "checkpoint.npz").write_bytes(type(saved)(kept, saved.about).to_bytes())
    assert main(["train", "--resume", "run"]) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert err.endswith(": no run wrote this checkpoint: KeyError: 'errors'\n")


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        ([], "name a task, or --resume RUN"),
        (["nothing"], "no task is called 'nothing'"),
        (["adding", "--length", "1"], "length of at least 2"),
        (["adding", "--lr", "0"], "lr must be"),
        (["adding", "--cell", "rnn", "--init", "chrono"], "rnn has none"),
        (["sine", "--cell", "bag"], "a bag sees"),
        (["text"], "the task text needs data: the path of a file"),
        (["text", "--data", "nowhere.txt"], "cannot read nowhere.txt: No such file"),
        (["text", "--data", "short.txt"], "has 5 characters"),
        (["adding", "--data", "short.txt"], "--data is for the tasks text"),
        (["adding", "--out", "short.txt"], "cannot write into 'short.txt'"),
        (["--resume", "nowhere"], "cannot read nowhere: No such file"),
        (["--resume", "short.txt"], "short.txt is damaged or no checkpoint"),
        (["--resume", "x", "--hidden", "3"], "leave out --hidden"),
        (["adding", "--resume", "x"], "leave out TASK"),
    ],
)
def test_bad_input_is_one_line_and_status_2(capsys, here, argv, message):
    (here / "short.txt").write_text("short")
    assert main(["train", *argv]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("tinygrad-lstm train: ")
    assert err.count("\n") == 1
    assert message in err
    assert os.listdir() == ["short.txt"]


def test_a_run_is_not_written_over(capsys):
    assert main(["train", "adding", *SMALL, "--steps", "2", "--out", "run"]) == 0
    assert main(["train", "adding", *SMALL, "--steps", "2", "--out", "run"]) == 2
    assert "already holds a run" in capsys.readouterr().err


def test_a_run_that_diverges_says_so_in_one_line(capsys, here):
    assert main(["train", "adding", *SMALL, "--lr", "1e30", "--steps", "200", "--out", "run"]) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert "not finite at step" in err
    assert main(["train", "--resume", "run", "--steps", "1"]) == 0  # the checkpoint from before is whole


@pytest.mark.parametrize("last", ["1e300", "-1e300"])
def test_a_series_with_a_number_too_far_away_is_one_line_and_no_files(last, capsys, here):
    Path("series.txt").write_text("\n".join([*(str(k % 7) for k in range(299)), last]))
    argv = ["train", "series", "--data", "series.txt", "--length", "5", "--hidden", "2", "--out", "run"]
    assert main(argv) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert "so far apart float32 cannot hold their squares" in err
    assert not Path("run").exists()


def test_a_step_that_overflows_is_not_kept(capsys, here):
    assert main(["train", "adding", *SMALL, "--lr", "1e300", "--out", "run"]) == 2
    assert "a weight is not finite at step 1: try an lr below 1e+300" in capsys.readouterr().err
    assert all(np.isfinite(a).all() for a in load("run").arrays.values())

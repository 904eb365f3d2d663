"""`tasks`: the list, one task, bad input."""

import pytest

from tinygrad_lstm.cli import main
from tinygrad_lstm.cli.tasks import helped
from tinygrad_lstm.tasks import TASKS


def test_the_list_has_every_task_with_its_baseline(capsys):
    assert main(["tasks"]) == 0
    out = capsys.readouterr().out
    rows = {line.split()[0]: line.split()[1:3] for line in out.splitlines()[2:] if line}
    assert rows.keys() >= TASKS.keys()
    assert rows["adding"] == ["100", "0.1667"]
    assert rows["order4"] == ["100", "1.386"]
    assert max(map(len, out.splitlines())) < 120


@pytest.mark.parametrize("name", [name for name in TASKS if not TASKS[name].takes_data])
def test_one_task_is_shown_with_samples(capsys, name):
    assert main(["tasks", name, "--seed", "3"]) == 0
    out = capsys.readouterr().out
    assert out.startswith(f"{name}: ")
    for label in ("baseline", "criterion", "length"):
        assert f"\n{label} " in out
    assert main(["tasks", name, "--seed", "3"]) == 0
    assert capsys.readouterr().out == out
    assert main(["tasks", name, "--seed", "4"]) == 0
    assert capsys.readouterr().out != out


def test_text_shows_its_baselines(capsys, tmp_path):
    (tmp_path / "t.txt").write_text("hello world, \x1b[31mhow are you today?\n" * 90)
    assert main(["tasks", "text", "--data", str(tmp_path / "t.txt")]) == 0
    out = capsys.readouterr().out
    assert "unigram" in out
    assert "\x1b" not in out


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["nothing"], "no task is called 'nothing'"),
        (["text"], "the task text needs data: the path of a file"),
        (["adding", "--length", "1"], "length of at least 2"),
        (["--length", "3"], "of all tasks has their own sequences: leave out --length"),
        (["text", "--data", "nowhere.txt"], "cannot read nowhere.txt"),
        (["sine", "--data", "nowhere.txt"], "--data is for the tasks text"),
    ],
)
def test_bad_input_is_one_line_and_status_2(capsys, argv, message):
    assert main(["tasks", *argv]) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert message in err


def test_what_helped_is_a_command_that_can_be_typed(capsys):
    assert helped(TASKS["latch"]) == (
        "tinygrad-lstm train latch --forget-bias 3 solved it, at length 50, after 2,208, 7,680 and 2,240 sequences on "
        "seeds 0, 1 and 2"
    )
    assert helped(TASKS["parity"]).startswith("tinygrad-lstm train parity --length 4 solved it, at length 4, after ")
    assert helped(TASKS["copy"]) == helped(TASKS["text"]) == ""
    assert main(["tasks", "copy"]) == 0
    assert "helped" not in capsys.readouterr().out
    for kind in TASKS.values():
        if kind.helps is not None:
            _, *argv = helped(kind).partition(" solved it")[0].split()
            assert main([*argv, "--steps", "1", "--quiet"]) == 0

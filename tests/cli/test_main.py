"""The command line as a whole: help, version, errors, pipes, and that no command pays for another."""

import re
import subprocess
import sys

import pytest

import tinygrad_lstm
from tinygrad_lstm.cli import COMMANDS, WITH_JSON, main


def run(*argv, **options):
    command = [sys.executable, "-m", "tinygrad_lstm", *argv]
    return subprocess.run(command, capture_output=True, text=True, encoding="utf-8", timeout=60, **options)


def left(capsys, *argv):
    """The status that a command ends with, and what it prints."""
    try:
        status = main(argv)
    except SystemExit as stop:  # --help, --version
        status = stop.code
    return status, *capsys.readouterr()


def test_python_m_runs_and_fails_with_status_2(tmp_path):
    done = run("--version")
    assert (done.returncode, done.stdout) == (0, f"tinygrad-lstm {tinygrad_lstm.__version__}\n")
    done = run("explain", "", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith("tinygrad-lstm explain: the text is empty")


def test_help_lists_every_command_and_exit_status(capsys):
    status, out, _ = left(capsys, "--help")
    assert status == 0
    assert all(name in out for name in COMMANDS)
    assert re.search(r"--json +([a-z, ]+):", out)[1].split(", ") == list(WITH_JSON)
    assert re.findall(r"^  (\d+) ", out.partition("exit status:")[2], re.MULTILINE) == ["0", "1", "2", "130"]


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_with_an_example_for_every_shell(capsys, name):
    status, out, _ = left(capsys, name, "--help")
    assert status == 0
    assert "--quiet" in out
    assert ("--json" in out) == (name in WITH_JSON)
    examples = re.findall(rf"^  (?:\S.* \| )?tinygrad-lstm {name}(.*)$", out.partition("example")[2], re.MULTILINE)
    assert examples
    assert not re.search(r"['`$\\<>&;*]", "".join(examples))


@pytest.mark.parametrize(
    "argv",
    [["nothing"], ["explain", "--nothing"], ["--nothing"], ["draw"], ["explain", "a", "--hid", "3"],
     ["draw", "lstm", "--forget-bias=-1001"], ["train", "adding", "--forget-bias", "nan"]],
)  # fmt: skip
def test_bad_arguments_are_one_line_and_status_2(capsys, argv):
    status, out, err = left(capsys, *argv)
    assert (status, out) == (2, "")
    assert err.count("\n") == 1
    assert "--help" in err


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        (["explian", "a"], r"tinygrad-lstm: .*'explian' \(choose from 'explain', .*\) \(try tinygrad-lstm --help\)"),
        (
            ["draw", "rn"],
            "tinygrad-lstm draw: no cell is called 'rn': choose from lstm, rnn, lstm1997, and FILE.py:NAME",
        ),
        (["flow", "--format", "gif"], r".* \(choose from 'svg', 'png', 'pdf'\) \(try tinygrad-lstm flow --help\)"),
        (["train", "addign"], "tinygrad-lstm train: no task is called 'addign': choose from reber, .*adding.*"),
        (["explain", "a b", "--seeed", "3"], r"tinygrad-lstm explain: unrecognized arguments: --seeed 3 .*"),
    ],
)
def test_what_there_is_to_choose_from_is_said(capsys, argv, says):
    status, _, err = left(capsys, *argv)
    assert status == 2
    assert re.fullmatch(says + "\n", err)


def test_what_the_user_typed_cannot_move_the_cursor(capsys):
    _, _, err = left(capsys, "explain\x1b[2J\n")
    assert "\x1b" not in err
    assert err.count("\n") == 1


@pytest.mark.parametrize("argv", [["explain", "--model"], ["train", "--resume"], ["train", "sine", "--out"]])
def test_a_name_too_long_for_the_system_is_one_line(capsys, argv):
    assert main([*argv, "x" * 3000]) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert ": cannot " in err


def test_a_long_mistake_is_cut_short(capsys):
    _, _, err = left(capsys, "explain", "a", "--seed", "1", *["b"] * 5000)
    assert len(err) < 400


def test_a_command_imports_only_its_own_module():
    code = (
        "import sys; from tinygrad_lstm.cli import main\n"
        "try: main(['--version'])\n"
        "except SystemExit: pass\n"
        "print([m for m in sys.modules if m.startswith(('tinygrad_lstm.cli.', 'tinygrad_lstm.views', 'graphviz'))])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout.splitlines()[-1] == "['tinygrad_lstm.cli.errors', 'tinygrad_lstm.cli.terminal']"


@pytest.mark.parametrize("argv", [["--help"], ["tasks"], ["tasks", "--json"], ["train", "sine", "--steps", "1"]])
def test_a_process_without_standard_output_runs_all_the_same(argv, monkeypatch):
    """As under pythonw, or with `>&-` in a shell: Python then has None in its place."""
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", None)
        try:
            status = main(argv)
        except SystemExit as stop:
            status = stop.code
    assert status == 0


def test_without_a_command_the_help_is_shown(capsys):
    status, out, err = left(capsys)
    assert (status, out) == (2, "")
    assert "example:" in err

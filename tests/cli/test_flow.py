"""`flow`: its tables are the study's numbers, its files whole or absent, its errors one line."""

import csv
import math
import os
import sys

import pytest

from tinygrad_lstm.cli import flow, main
from tinygrad_lstm.flow.study import VARIANTS, median, study
from tinygrad_lstm.views import charts
from tinygrad_lstm.views.sentences import study_reading

needs_charts = pytest.mark.skipif(not charts.available(), reason="the charts need matplotlib")
TABLES = ["lags.csv", "singular.csv", "split.csv"]
CHARTS = ["norms", "split", "singular", "weights"]
SMALL = ["--lag", "6", "--hidden", "3", "--input", "2", "--seeds", "2"]


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def bare(monkeypatch):
    """As on a machine without matplotlib."""
    monkeypatch.setattr(charts, "available", lambda: False)


def rows(name, folder="flow"):
    with open(f"{folder}/{name}", encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def number(text):
    return float(text) if text else None


@needs_charts
@pytest.mark.parametrize("form", ["svg", "pdf"])
def test_every_chart_and_table_is_written(capsys, form):
    assert main(["flow", *SMALL, "--format", form]) == 0
    pictures = [f"{name}.{form}" for name in CHARTS]
    assert sorted(os.listdir("flow")) == sorted([*TABLES, *pictures])
    out, err = capsys.readouterr()
    assert err == ""
    listed = out[out.index("written into flow:") :]
    assert all(name in listed for name in (*TABLES, *pictures))
    start = {"svg": b"<", "pdf": b"%PDF"}[form]
    for name in pictures:
        with open(f"flow/{name}", "rb") as file:
            assert file.read(9).startswith(start)


def test_without_matplotlib_there_are_tables_and_the_name_of_the_extra(capsys, bare):
    assert main(["flow", *SMALL]) == 0
    assert sorted(os.listdir("flow")) == TABLES
    out, err = capsys.readouterr()
    assert err == 'note: tables only; the extra that draws the charts: pip install "tinygrad-lstm[charts]"\n'
    assert "LSTM, chrono" in out


def test_the_tables_hold_the_numbers_of_the_study_in_full(bare):
    assert main(["flow", *SMALL, "--seed", "4", "--out", "a/b"]) == 0
    found = study(VARIANTS, 6, 3, 2, [4, 5])
    lags, singular, split = (rows(name, "a/b") for name in TABLES)
    for cell in found.cells:
        key = cell.variant.key
        for k, seed in enumerate(found.seeds):
            mine = [row for row in lags if (row["cell"], row["seed"]) == (key, str(seed))]
            assert [int(row["lag"]) for row in mine] == list(range(7))
            wanted = {"norm": cell.norms, "closed_form": cell.closed, "direct": cell.direct, "cosine": cell.cosine}
            for name, values in wanted.items():
                none = [None] * 7
                assert [number(row[name]) for row in mine] == (none if values is None else values[k].tolist())
            assert [number(row["weights"]) for row in mine] == [*cell.weights[k].tolist(), None]
        mine = [row for row in singular if row["cell"] == key]
        read = [[number(row[name]) for name in ("largest", "median", "smallest")] for row in mine]
        assert read == [[None if math.isnan(x) else x for x in values] for values in cell.singular.tolist()]
        mine = [row for row in split if row["cell"] == key]
        assert [float(row["share"]) for row in mine] == [p.share for p in cell.parts]
        assert [int(row["detours"]) for row in mine] == [p.detours for p in cell.parts]


def test_what_is_printed_is_this_study(capsys, bare):
    assert main(["flow", "--lag", "20", "--seeds", "3"]) == 0
    out = capsys.readouterr().out
    found = study(lag=20, seeds=range(3))
    assert study_reading(found) in " ".join(out.split())
    for cell in found.cells:
        row = next(line for line in out.splitlines() if line.endswith(f" of {cell.variant.label}"))
        assert float(row.split()[1]) == pytest.approx(median(cell.norms)[-1], rel=0.06)
    assert [*dict.fromkeys(row["cell"] for row in rows("lags.csv"))] == list(VARIANTS)


@pytest.mark.parametrize("cells", ["rnn", "lstm-2", "chrono,lstm1997", "lstm5,rnn,lstm0.5"])
def test_any_choice_of_cells_runs_over_the_shortest_lag(cells, capsys, bare):
    assert main(["flow", "--lag", "1", "--hidden", "2", "--seeds", "1", "--cells", cells]) == 0
    assert "nan" not in capsys.readouterr().out
    assert [*dict.fromkeys(row["cell"] for row in rows("lags.csv"))] == cells.split(",")
    assert bool(rows("split.csv")) == (cells != "rnn")


@needs_charts
def test_where_no_cell_has_a_direct_path_there_is_no_chart_of_detours():
    assert main(["flow", "--lag", "2", "--hidden", "2", "--seeds", "1", "--cells", "rnn"]) == 0
    assert sorted(os.listdir("flow")) == sorted([*TABLES, *(f"{name}.svg" for name in CHARTS if name != "split")])


def test_columns_stay_apart_where_numbers_are_long(capsys, bare):
    assert main(["flow", "--lag", "60", "--hidden", "2", "--seeds", "2", "--cells", "lstm-8,lstm-12.125,rnn"]) == 0
    out = capsys.readouterr().out
    assert "e-1" in out
    lines = out.splitlines()
    head = next(k for k, line in enumerate(lines) if line.endswith("over the seeds") and "at_lag" in line)
    assert [len(line.split("  dL/d")[0].split()) for line in lines[head + 1 : head + 4]] == [8, 8, 8]


def test_numbers_that_float64_lost_are_printed_as_lost(capsys, bare):
    assert main(["flow", "--lag", "330", "--hidden", "2", "--input", "2", "--seeds", "1", "--cells", "lstm-8"]) == 0
    out = capsys.readouterr().out
    row = next(line for line in out.splitlines() if line.endswith("LSTM, forget bias -8")).split()
    assert row[1:4] == ["0", "0", "0"]
    assert row[6:8] == ["lost", "lost"]
    assert "nan" not in out
    assert (rows("lags.csv")[-1]["norm"], rows("lags.csv")[-1]["cosine"]) == ("0.0", "")


# Failures


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        (["--lag", "0"], "from 1 to 5000"),
        (["--lag", "6000"], "from 1 to 5000"),
        (["--lag", "nan"], "from 1 to 5000"),
        (["--lag", "1.5"], "from 1 to 5000"),
        (["--seeds", "0"], "from 1 to 100"),
        (["--seed", "-1"], "whole number"),
        (["--hidden", "0"], "from 1 to 64"),
        (["--format", "gif"], "invalid choice"),
        (["extra"], "unrecognized"),
    ],
)
def test_bad_input_is_one_line_and_status_2(capsys, argv, says):
    assert main(["flow", *argv]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    assert says in captured.err
    assert os.listdir(".") == []


@pytest.mark.parametrize(
    ("cells", "says"),
    [
        ("gru", "forget bias, as lstm3 or lstm-2, lstm1997, chrono, and FILE.py:NAME)"),
        ("", "no cell is called ''"),
        ("lstmnan", "no cell is called 'lstmnan'"),
        ("rnn,rnn", "expected cells of different names, got rnn,rnn"),
        ("RNN,rnn", "expected cells of different names, got RNN,rnn"),
        ("lstm1,lstm1.0", "expected different cells, at least one, got lstm1, lstm1.0"),
        ("lstm,lstm1", "expected different cells, at least one, got lstm, lstm1"),
    ],
)
def test_cells_that_cannot_be_compared_are_refused(capsys, cells, says):
    assert main(["flow", "--cells", cells]) == 2
    captured = capsys.readouterr()
    assert (captured.out, captured.err.count("\n")) == ("", 1)
    assert says in captured.err
    assert os.listdir(".") == []


def test_a_place_that_cannot_be_written_is_refused_before_anything_runs(capsys, here, monkeypatch):
    monkeypatch.setattr(flow, "study", lambda *_: pytest.fail("ran"))
    (here / "file").write_text("mine")
    assert main(["flow", "--out", "file"]) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith("tinygrad-lstm flow: cannot write into 'file'")
    assert captured.err.count("\n") == 1
    assert (here / "file").read_text() == "mine"


def test_more_memory_than_there_is_is_refused_before_anything_runs(capsys, monkeypatch):
    monkeypatch.setattr("tinygrad_lstm.flow.sequence.MEMORY", 1000)
    monkeypatch.setattr(flow, "study", lambda *_: pytest.fail("ran"))
    assert main(["flow"]) == 2
    assert "GB of memory" in capsys.readouterr().err
    assert os.listdir(".") == []


def test_a_gradient_that_is_nan_is_one_line(capsys, monkeypatch):
    monkeypatch.setattr("tinygrad_lstm.flow.study.norm", lambda g: float("nan"))
    assert main(["flow", *SMALL]) == 2
    assert "infinite or NaN" in capsys.readouterr().err
    assert os.listdir(".") == []


@pytest.mark.parametrize("where", ["study", "_tables", "_charts"])
@pytest.mark.parametrize(("error", "status"), [(KeyboardInterrupt(), 130), (OSError(28, "No space left on device"), 2)])
def test_a_stop_halfway_leaves_nothing(capsys, bare, monkeypatch, where, error, status):
    def stop(*_):
        raise error

    monkeypatch.setattr(flow, where, stop)
    assert main(["flow", *SMALL]) == status
    assert capsys.readouterr().err.count("\n") == 1
    assert os.listdir(".") == []


def test_progress_is_for_a_terminal_alone(capsys, bare, monkeypatch):
    main(["flow", *SMALL])
    assert "\r" not in capsys.readouterr().err
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    main(["flow", *SMALL])
    assert "RNN, seed 0: cell 1 of 6" in capsys.readouterr().err

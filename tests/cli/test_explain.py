"""`explain`: what it writes and prints, on any text, and that a failure leaves nothing behind."""

import csv
import io
import json
import os
import re
import sys
import time
import unicodedata

import numpy as np
import pytest
from reading import Reading

from tinygrad_lstm.cli import explain, main
from tinygrad_lstm.cli.terminal import number, table
from tinygrad_lstm.flow.sequence import embed, trace_sequence
from tinygrad_lstm.kinds import make_cell
from tinygrad_lstm.views.sentences import reading

SENTENCE = "the cities that I have seen in my life are very many"
NASTY = [
    "<b>&amp;</b>",
    "a\x1b[31mred",
    "日本語",
    "e\u0301te\u0301",
    "=1+1",
    'say"so",',
    "\u202eevil",
    "x|y{z}",
    "\\N",
    "%s",
]


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def give(monkeypatch, data):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data), encoding="utf-8"))


def rows(path="out/gradients.csv"):
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def explained(*argv, form="dot"):
    assert main(["explain", *argv, "--out", "out", "--format", form]) == 0


def passages(tokens, bias=1.0, kinds=("lstm", "rnn")):
    return [trace_sequence(make_cell(k, 8, 8, bias, 0), embed(tokens, 8, 0), tokens, 0) for k in kinds]


# The main job


def test_a_sentence_gives_the_drawings_and_the_table_in_under_three_seconds(capsys):
    start = time.perf_counter()
    assert main(["explain", SENTENCE, "--out", "pictures"]) == 0
    assert time.perf_counter() - start < 3
    pictures = ["compare.svg", "gates_lstm.svg", "lstm.svg", "rnn.svg"]
    assert sorted(os.listdir("pictures")) == sorted([*pictures, "gradients.csv"])
    out = capsys.readouterr().out
    assert "written into pictures: compare.svg, lstm.svg, gates_lstm.svg, rnn.svg, gradients.csv" in out
    for name in ("lstm", "rnn", "compare"):
        with open(f"pictures/{name}.svg", encoding="utf-8") as file:
            picture = file.read()
        assert "<svg" in picture
        words = SENTENCE.split() if name == "compare" else SENTENCE.split()[-1:]
        assert all(word in picture for word in words)
        assert ("LSTM" in picture, "RNN" in picture) == (name != "rnn", name != "lstm")


def test_gradients_csv_holds_every_norm_in_full():
    explained(SENTENCE)
    found, tokens = rows(), SENTENCE.split()
    assert list(found[0]) == ["step", "word", "lstm_c", "lstm_h", "lstm_x", "rnn_h", "rnn_x"]
    assert [r["word"] for r in found] == tokens
    assert [int(r["step"]) for r in found] == list(range(1, 13))
    lstm, rnn = passages(tokens)
    for kind, p in (("lstm", lstm), ("rnn", rnn)):
        for name, norms in p.norms.items():
            assert [float(r[f"{kind}_{name}"]) for r in found] == norms.tolist()


@pytest.mark.parametrize("bias", ["3", "1", "0", "-2"])
def test_what_is_printed_is_the_reading_of_these_numbers(capsys, bias):
    explained(SENTENCE, "--forget-bias", bias)
    out = capsys.readouterr().out
    traced = passages(SENTENCE.split(), float(bias))
    assert reading(traced) in " ".join(out.split())
    lines = out.splitlines()
    assert lines[lines.index("") + 1].split() == ["step", "lstm_c", "lstm_h", "lstm_x", "rnn_h", "rnn_x", "word"]
    for t, word in enumerate(SENTENCE.split()):
        _, *printed, last = next(line for line in lines if re.match(rf" *{t + 1}  .*  {word}$", line)).split()
        assert last == word
        assert [*map(float, printed)] == pytest.approx([v[t] for p in traced for v in p.norms.values()], rel=0.05)
    factors = next(line for line in lines if line.endswith("× a step, a geometric mean")).split()[:5]
    assert factors == [number(p.factor(name)) for p in traced for name in p.norms]


def test_options_reach_the_cells():
    explained("a", "b", "--hidden", "5", "--seed", "9", "--cells", "rnn")
    p = trace_sequence(make_cell("rnn", 5, 5, 1.0, 9), embed(["a", "b"], 5, 9), ["a", "b"], 9)
    assert [float(r["rnn_x"]) for r in rows()] == p.x.tolist()
    assert sorted(os.listdir("out")) == ["compare.dot", "gradients.csv", "rnn.dot"]


def test_cells_are_drawn_in_the_order_given(capsys):
    explained(SENTENCE, "--cells", "lstm1997,rnn,lstm")
    drawn = ["compare.dot", "gates_lstm.dot", "gates_lstm1997.dot", "lstm.dot", "lstm1997.dot", "rnn.dot"]
    assert sorted(os.listdir("out")) == sorted([*drawn, "gradients.csv"])
    assert list(rows()[0])[2:6] == ["lstm1997_c", "lstm1997_h", "lstm1997_x", "rnn_h"]
    assert "written into" in capsys.readouterr().out.splitlines()[-1]


def test_the_opened_steps_of_one_run_have_one_scale(here):
    explained(SENTENCE)
    texts = [(here / "out" / f"{name}.dot").read_text("utf-8") for name in ("lstm", "rnn")]
    scales = [{*re.findall(r'"(?:low|high)\d".*?>([^<>]+)</FONT>', text)} for text in texts]
    assert len(scales[0]) > 1
    assert scales[0] == scales[1]


@pytest.mark.parametrize(
    ("text", "options"),
    [
        ("word", []),
        (SENTENCE, ["--detail", "cell"]),
        (" ".join([SENTENCE] * 4), ["--cells", "lstm1997,rnn,lstm"]),
        ("extraordinarily-long-words " * 12, ["--hidden", "64"]),
        ("to be or not to be", ["--tokens", "chars"]),
        ("w " * 300, ["--detail", "step"]),
    ],
)
def test_every_picture_is_read_on_a_page_900_px_wide(here, text, options):
    explained(text, *options, form="svg")
    for path in (here / "out").glob("*.svg"):
        picture = Reading(path.read_bytes())
        assert picture.smallest() >= 9, path.name
        assert picture.smallest(subscripts=True) >= 6.5
        assert picture.cut() == []


def test_a_step_is_opened_where_it_is_asked_for(here, capsys):
    explained(SENTENCE, "--step", "2")
    count = len(SENTENCE.split())
    assert f"step 2 of {count}" in (here / "out" / "lstm.dot").read_text("utf-8")
    explained(SENTENCE, "--detail", "cell", "--step", "2")
    assert f"steps 1 to 3 of {count}" in (here / "out" / "lstm.dot").read_text("utf-8")
    capsys.readouterr()
    refused(capsys, "a b", "--step", "3", says="--step 3: there are 2 steps")


@pytest.mark.parametrize(("form", "start"), [("png", b"\x89PNG"), ("pdf", b"%PDF"), ("svg", b"<"), ("dot", b"")])
def test_every_format_is_written(form, start, here):
    explained("one two", form=form)
    assert (here / "out" / f"compare.{form}").read_bytes().startswith(start)
    assert len(os.listdir("out")) == 5


# For a program


def test_json_holds_what_is_printed_and_the_files_in_full(capsys):
    assert main(["explain", *NASTY, "--out", "out", "--format", "dot", "--json"]) == 0
    out, err = capsys.readouterr()
    found = json.loads(out)
    assert (err, found["unit"], found["answer"]) == ("", "word", None)
    assert found["tokens"] == NASTY
    assert (found["directory"], sorted(found["files"])) == ("out", sorted(os.listdir("out")))
    traced = passages(NASTY)
    assert found["reading"] == reading(traced)
    for cell, kind, p in zip(found["cells"], ("lstm", "rnn"), traced, strict=True):
        assert (cell["cell"], cell["title"]) == (kind, p.title)
        assert cell["norms"] == {name: norms.tolist() for name, norms in p.norms.items()}
        assert cell["factors"] == {name: p.factor(name) for name in p.norms}
        for name, norms in cell["norms"].items():
            assert norms == [float(row[f"{kind}_{name}"]) for row in rows()]


# Any text


def test_one_word(capsys):
    explained("one", form="svg")
    assert len(rows()) == 1
    assert "at the last word: 100 % in the LSTM with forget bias 1 (at c)" in " ".join(capsys.readouterr().out.split())


def test_a_text_without_spaces_is_one_word_and_says_how_to_have_more(capsys):
    assert main(["explain", "学习很有意思"]) == 0
    note = "\n\nOne word is one step: --tokens chars makes each of its characters one.\n\n"
    assert note in capsys.readouterr().out
    assert main(["explain", "a"]) == main(["explain", "学习", "--tokens", "chars"]) == 0
    assert note not in capsys.readouterr().out


def test_three_hundred_words_are_elided_on_the_terminal_and_whole_in_the_file(capsys):
    words = [f"w{k}" for k in range(1, 301)]
    explained(*words, form="svg")
    assert [r["word"] for r in rows()] == words
    out = capsys.readouterr().out
    assert "  276 more\n" in out
    shown = re.findall(r"^ *(\d+)  .*  w(\d+)$", out, re.MULTILINE)
    assert shown == [(str(k), str(k)) for k in (*range(1, 13), *range(289, 301))]
    assert len(out.splitlines()) < 60


def test_a_thousand_words_take_a_few_seconds(monkeypatch):
    monkeypatch.setattr(explain, "save", lambda _, path: path)
    for drawn in ("draw", "gates"):
        monkeypatch.setattr(explain, drawn, lambda *_, **__: None)
    start = time.perf_counter()
    explained("the cities that I have " * 200)
    assert time.perf_counter() - start < 10
    assert len(rows()) == 1000


def test_norms_below_what_float64_holds_are_marked(capsys):
    explained("a b " * 160, "--forget-bias", "-8", "--cells", "lstm", "--hidden", "2")
    out = capsys.readouterr().out
    assert re.search(r"^ *1 +(0|<2e-308) +(0|<2e-308) +(0|<2e-308) +a$", out, re.MULTILINE)
    assert float(rows()[0]["lstm_x"]) < 2.3e-308


def test_characters(capsys):
    explained("a b", "--tokens", "chars")
    assert [r["word"] for r in rows()] == ["a", " ", "b"]
    out = capsys.readouterr().out
    assert re.search(r"^ *2 .*  ' '$", out, re.MULTILINE)
    assert "at the last character" in " ".join(out.split())


@pytest.mark.parametrize("argv", [["-"], ["--file", "-"]])
def test_standard_input(monkeypatch, argv):
    give(monkeypatch, b"to be or\nnot\n")
    explained(*argv)
    assert [r["word"] for r in rows()] == ["to", "be", "or", "not"]


def test_behind_shut_forget_gates_the_reading_knows_only_detours(capsys):
    """At forget bias -1000 sigmoid is 0 in float64: LSTM H = 8, three words, seed 0."""
    assert main(["explain", "a b c", "--forget-bias", "-1000", "--format", "dot"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "what crossed no weight has ≈ 0 % of the norm of dL/dc at the first word" in said


@pytest.mark.parametrize("unit", ["words", "chars"])
def test_a_byte_order_mark_and_other_line_ends_leave_no_trace(here, unit):
    (here / "text.txt").write_bytes(b"\xef\xbb\xbfa\r\nb\r\n")
    explained("--file", "text.txt", "--tokens", unit)
    assert [r["word"] for r in rows()] == (["a", "b"] if unit == "words" else ["a", "\n", "b"])


def test_any_sign_is_written_as_it_is_and_printed_safely(capsys):
    explained(" ".join(NASTY), form="svg")
    assert [r["word"] for r in rows()] == NASTY
    out = capsys.readouterr().out
    assert not [c for c in out if unicodedata.category(c) in ("Cc", "Cf") and c != "\n"]
    assert "a␛[31mred" in out
    assert "�evil" in out
    assert "<b>&amp;</b>" in out


# Failures: one line, status 2, nothing written


def refused(capsys, *argv, says):
    before = sorted(os.listdir("."))
    try:
        status = main(["explain", *argv])
    except SystemExit as stop:
        status = stop.code
    captured = capsys.readouterr()
    assert status == 2
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    assert captured.err.startswith("tinygrad-lstm")
    assert says in captured.err
    assert sorted(os.listdir(".")) == before


@pytest.mark.parametrize("text", ["", " \t\n "])
@pytest.mark.parametrize("unit", ["words", "chars"])
def test_an_empty_text_is_refused(capsys, text, unit):
    refused(capsys, text, "--tokens", unit, says="the text is empty")


def test_no_text_and_two_texts_are_refused(capsys):
    refused(capsys, says="the text is empty: give one in quotation marks")
    refused(capsys, "a", "--file", "b", says="not both")


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"a\0b", "NUL"),
        (b"\xef\xbb\xbfab\xff", "not UTF-8 text: it holds the byte 0xff"),
        (b"", "empty"),
        (b"\xef\xbb\xbf\r\n", "empty"),
    ],
)
def test_files_that_are_not_text_are_refused(capsys, here, monkeypatch, data, says):
    (here / "data").write_bytes(data)
    refused(capsys, "--file", "data", says=says)
    give(monkeypatch, data)
    refused(capsys, "-", says=says)


def test_an_argument_that_is_not_utf8_is_refused(capsys):
    refused(capsys, "a\udcff", says="not UTF-8 text: it holds the byte 0xff")


def test_a_text_without_end_is_refused(capsys, monkeypatch):
    monkeypatch.setattr("tinygrad_lstm.tasks.own_data.LIMIT", 2**20)
    give(monkeypatch, b"a " * 2**20)
    refused(capsys, "-", says="longer than 1 MB")


def test_files_that_cannot_be_read_are_refused(capsys, here):
    refused(capsys, "--file", "nowhere.txt", says="cannot read 'nowhere.txt': No such file")
    refused(capsys, "--file", str(here), says="Is a directory")
    refused(capsys, "--file", "a\nb", says="cannot read 'a␊b'")
    refused(capsys, "--file", "a\0b", says="null byte")


def test_a_directory_that_cannot_be_written_is_refused(capsys, here):
    (here / "file").write_text("")
    refused(capsys, "a b", "--out", "file", says="cannot write into 'file': File exists")
    refused(capsys, "a b", "--out", "file/deeper", says="cannot write into 'file/deeper': Not a directory")


def test_a_directory_in_the_place_of_a_file_is_refused(capsys, here):
    (here / "out" / "rnn.svg").mkdir(parents=True)
    refused(capsys, "a b", "--out", "out", says="is in the way")
    assert os.listdir("out") == ["rnn.svg"]


@pytest.mark.parametrize(
    ("option", "value", "says"),
    [
        ("--hidden", "0", "from 1 to 1024"),
        ("--hidden", "1.5", "a whole number"),
        ("--forget-bias", "nan", "expected a number"),
        ("--forget-bias", "-inf", "expected a number"),
        ("--forget-bias", "one", "got 'one'"),
        ("--seed", "-1", "a whole number"),
        ("--cells", "gru", "no cell is called 'gru': choose from lstm, rnn, lstm1997, and FILE.py:NAME"),
        ("--cells", "rnn,rnn", "expected cells of different names, got rnn,rnn"),
        ("--cells", "", "no cell is called"),
        ("--tokens", "bytes", "invalid choice"),
        ("--detail", "all", "invalid choice"),
        ("--format", "webp", "invalid choice"),
    ],
)
def test_bad_values_are_refused(capsys, option, value, says):
    refused(capsys, "a b", f"{option}={value}", says=says)


def test_more_than_memory_holds_is_refused_before_it_is_tried(capsys):
    refused(capsys, "a " * 5000, "--hidden", "1024", says="GB of memory")


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), MemoryError(), KeyboardInterrupt()])
def test_a_failure_halfway_leaves_what_was_there(capsys, here, monkeypatch, error):
    explained("old words", form="svg")
    before = {f: (here / "out" / f).read_bytes() for f in os.listdir("out")}

    def fail(*_):
        raise error

    monkeypatch.setattr(explain, "write_csv", fail)
    assert main(["explain", "new", "--out", "out"]) == (130 if isinstance(error, KeyboardInterrupt) else 2)
    assert {f: (here / "out" / f).read_bytes() for f in os.listdir("out")} == before
    assert capsys.readouterr().err.count("\n") == 1


def test_a_drawing_that_fails_is_one_line(capsys, monkeypatch):
    from tinygrad_lstm import views

    def fail(*_):
        raise views.RenderError("lost a label")

    monkeypatch.setattr("tinygrad_lstm.views.render.render", fail)
    refused(capsys, "a b", says="could not draw compare.svg: lost a label")


# The parts of the table


def test_a_table_is_aligned_whatever_its_last_column_holds():
    rows = [["step", "a", "word"], ["1", "0.5", "日本語"], ["10", "", "e\u0301"]]
    assert table(rows) == ["step    a  word", "   1  0.5  日本語", "  10       e\u0301"]


def test_numbers_that_have_no_digits_are_given_none():
    found = [number(v) for v in (None, np.nan, 0.0, 1e-308, 0.5, 1e-5, 1234.5)]
    assert found == ["·", "lost", "0", "<2e-308", "0.5", "1.0e-05", "1.2e+03"]

"""docs/lessons: each runs, prints what its page shows, makes its pictures, and its exercises check themselves."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import time
from functools import cache
from pathlib import Path

import pytest
from reading import words
from run_lesson import EXTRAS, LESSONS, NUMBER, PICTURES, Block, Lesson, lessons, main, within_a_last_digit

PATHS = lessons()
NAMES = [path.stem for path in PATHS]
SECONDS: dict[str, float] = {}
each_lesson = pytest.mark.parametrize("name", NAMES)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("lessons")


@cache
def after_running(name: str, folder: Path) -> Lesson:
    start = time.process_time()
    lesson = Lesson(PATHS[NAMES.index(name)]).run(folder)
    SECONDS[name] = time.process_time() - start
    return lesson


def prose(lesson: Lesson) -> str:
    """What is read: the page without code, outputs, and the targets of links."""
    return re.sub(r"^```.*?^```|`[^`\n]*`|\]\([^)]*\)|</?\w[^>\n]*>", " ", lesson.text, flags=re.MULTILINE | re.DOTALL)


@each_lesson
def test_it_runs_and_prints_what_the_page_shows(name: str, folder: Path) -> None:
    lesson = after_running(name, folder)
    for block in lesson.blocks:
        if block.needs is None:
            assert block.printed is not None
            assert within_a_last_digit(block.shown, block.printed), (
                f"line {block.line}; run docs/run_lesson.py --write:\n{block.printed}"
            )


@pytest.mark.parametrize(
    ("name", "block"),
    [(path.stem, k) for path in PATHS for k, block in enumerate(Lesson(path).blocks) if block.needs],
)
def test_a_block_that_needs_an_extra_prints_what_the_page_shows(name: str, block: int, folder: Path) -> None:
    this: Block = after_running(name, folder).blocks[block]
    assert this.needs is not None
    pytest.importorskip(EXTRAS[this.needs])
    assert this.printed is not None
    assert within_a_last_digit(this.shown, this.printed), f"line {this.line}:\n{this.printed}"


@each_lesson
def test_it_runs_in_about_a_minute_at_most(name: str, folder: Path) -> None:
    after_running(name, folder)
    assert SECONDS[name] < 100  # of the processor; the slowest takes 35 on a quiet machine, twice that on a busy one


MINUTES = {"five": 5, "ten": 10, "fifteen": 15, "twenty": 20, "twenty-five": 25}


@each_lesson
def test_it_takes_the_minutes_that_it_states(name: str) -> None:
    """At most 90 words and 12 lines of code with output a minute, what is folded away left out."""
    lesson = Lesson(PATHS[NAMES.index(name)])
    (stated,) = re.findall(r"Time:\s(\S+)\sminutes\.", lesson.text)
    lesson.text = re.sub(r"<details>.*?</details>", "", lesson.text, flags=re.DOTALL)
    words = len(re.findall(r"[A-Za-z]{2,}", re.sub(r"\$\$?[^$]+\$\$?", " ", prose(lesson))))
    fenced = "".join(re.findall(r"^```\w*\n(.*?)^```", lesson.text, re.MULTILINE | re.DOTALL))
    lines = sum(bool(line.strip()) for line in fenced.splitlines())
    assert max(words / 90, lines / 12) <= MINUTES[stated], f"{words} words and {lines} lines"


@each_lesson
def test_its_exercises_refuse_the_attempt_and_take_the_answer(name: str, folder: Path) -> None:
    lesson = after_running(name, folder)
    assert lesson.exercises == [str(k + 1) for k in range(len(lesson.exercises))]
    assert 2 <= len(lesson.exercises) <= 3 or name == NAMES[0]  # the start page has none
    for number in lesson.exercises:
        assert f"answer_{number} = " in lesson.text or f"def answer_{number}(" in lesson.text
        assert len(lesson.refusal(number, "attempt") or "") > 20, f"exercise {number} says nothing to a wrong attempt"
        assert lesson.refusal(number, "answer") is None
    assert lesson.text.count("<details><summary>Answer</summary>") == len(lesson.exercises)
    assert lesson.text.count("\n```text\nright\n```\n") == len(lesson.exercises)


@each_lesson
def test_what_one_can_say_was_asserted(name: str) -> None:
    lesson = Lesson(PATHS[NAMES.index(name)])
    (claims,) = re.findall(r"^## What you can now say$(.*?)(?=^Next|\Z)", lesson.text, re.MULTILINE | re.DOTALL)
    before = lesson.text.split("## Exercises")[0]
    assert 3 <= len(re.findall(r"^- ", claims, re.MULTILINE)) <= len(re.findall(r"^\s*assert ", before, re.MULTILINE))


@each_lesson
def test_every_decimal_in_the_text_is_in_the_code_or_was_printed(name: str, folder: Path) -> None:
    lesson = after_running(name, folder)
    known = {abs(float(n)) for b in lesson.blocks for n in NUMBER.findall(b.code + b.shown)}
    stated = {float(n) for n in re.findall(r"(?<![\w.])\d+\.\d+", prose(lesson))}
    assert stated <= known


@each_lesson
def test_its_pictures_are_of_the_run(name: str, folder: Path) -> None:
    lesson = after_running(name, folder)
    assert all(picture.startswith(name[:3]) for picture in lesson.pictures)
    assert len(set(lesson.pictures)) == len(lesson.pictures) > 0
    for picture in lesson.pictures:
        kept = (PICTURES / picture).read_text(encoding="utf-8")
        if not (folder / picture).exists():  # its block needs an extra that is not there
            assert any(block.needs and picture in block.code and block.printed is None for block in lesson.blocks)
            continue
        made = (folder / picture).read_text(encoding="utf-8")
        assert kept.rstrip().endswith("</svg>")
        assert within_a_last_digit(words(kept), words(made)), f"{picture}: run docs/run_lesson.py --write"


def test_the_sign_that_lesson_1_explains_is_in_its_picture() -> None:
    lesson = Lesson(PATHS[1])
    (sign,) = re.findall(r"In a box, (\S+) is", lesson.text)
    assert f"\n{sign} 0.192\n" in words((PICTURES / lesson.pictures[0]).read_text(encoding="utf-8"))


@each_lesson
def test_pictures_are_described(name: str) -> None:
    for described in re.findall(r"!\[([^\]]*)\]", Lesson(PATHS[NAMES.index(name)]).text):
        assert len(described.split()) > 5


# ── words ──────────────────────────────────────────────────────────────────────────────────────

GLOSSARY = (LESSONS.parent / "glossary.md").read_text(encoding="utf-8")
WORDS = dict(re.findall(r"^## (.+)\n\n((?:.+\n)+)", GLOSSARY, re.MULTILINE))
FORMS = {
    "Matrix": "matrix|matrices",
    "Leaf": "leaf|leaves(?! you)",
    "Bias": "bias|biases",
    "Clipping": "clip|clips|clipped|clipping",
    "Cell": r"cells?(?!\sstate)",
}
FORMS |= {"Batch": "batch|batches", "Forget bias": "forget bias|forget biases"}
FORMS |= {"Loss": "loss|losses", "Step size": "step size|step sizes|learning rate|learning rates", "Lag": "lag|lags"}
FORMS |= {
    "Chrono initialisation": "chrono",
    "Held-out text": "held-out|held out",
    "Unrolled": "unroll|unrolled|unrolling",
}
FORMS |= {"Truncated": "truncate|truncated|truncation|truncating"}


SILENT = (
    r"^```.*?^```|`[^`\n]*`|<a id[^>]*>|\$\$.+?\$\$|\$[^$\n]+\$|^#.*?$|^Next: .*?$"
    r"|!\[[^\]]*\]\([^)]*\)|\]\((?!\.\./glossary)[^)]*\)|\*\*After this.*?\*\*"
)


def read_aloud(lesson: Lesson) -> str:
    """The page without code, formulas, headings, descriptions of pictures and its goal; lines stay where they are."""
    return re.sub(SILENT, lambda found: re.sub(r"[^\n]", " ", found[0]), lesson.text, flags=re.MULTILINE | re.DOTALL)


def said(word: str, text: str) -> re.Match[str] | None:
    """The first place where a text says a word of the glossary, in any of its forms."""
    forms = FORMS.get(word, word.lower() + "s?").replace(" ", r"\s+")
    return re.search(rf"\b(?:{forms})\b", text, re.IGNORECASE)


def unexplained(word: str, entry: str, number: int, text: str) -> str | None:
    """Where lesson `number` first says a word, neither explained so far, nor in bold type there, nor linked."""
    explained = re.search(r"\[Lesson (\d+)\]", entry)
    first = said(word, text)
    if first is None or (explained is not None and int(explained[1]) < number):
        return None
    fine = rf"\[[^\]]*\]\(\.\./glossary\.md#{word.lower().replace(' ', '-')}\)"
    if explained is not None and int(explained[1]) == number:
        fine += r"|\*\*[^*]+\*\*"
    if any(found.start() <= first.start() < found.end() for found in re.finditer(fine, text)):
        return None
    return f"line {text[: first.start()].count(chr(10)) + 1}: {first[0]!r}"


@each_lesson
def test_a_word_is_explained_or_linked_where_it_is_first_met(name: str) -> None:
    text = read_aloud(Lesson(PATHS[NAMES.index(name)]))
    found = [unexplained(word, entry, NAMES.index(name), text) for word, entry in WORDS.items()]
    assert [where for where in found if where] == []


def test_the_glossary_is_in_order_and_leads_to_where_a_word_is_explained() -> None:
    assert list(WORDS) == sorted(WORDS, key=str.lower)
    assert len(WORDS) == GLOSSARY.count("## ")
    for word, entry in WORDS.items():
        assert len(entry.split()) < 50
        for number, file in re.findall(r"\[Lesson (\d+)\]\(lessons/([^)]+)\)", entry):
            assert PATHS[int(number)].name == file
            bold = " ".join(re.findall(r"\*\*[^*]+\*\*", read_aloud(Lesson(PATHS[int(number)]))))
            assert said(word, bold), f"{word}: {file}"


def test_a_word_that_comes_too_early_is_found() -> None:
    entry = "One number. [Lesson 3](lessons/03-downhill.md)"
    assert unexplained("Loss", entry, 2, "all the\nlosses") == "line 2: 'losses'"
    assert unexplained("Loss", entry, 2, "**the loss**") == "line 1: 'loss'"
    assert unexplained("Loss", entry, 2, "a [loss](../glossary.md#loss), the loss") is None
    assert unexplained("Loss", entry, 3, "**the loss**, a loss") is None
    assert unexplained("Loss", entry, 4, "a loss") is None
    assert unexplained("Loss", "One number.", 9, "a glossy lossless loss") == "line 1: 'loss'"


def test_the_front_page_and_the_order_of_the_lessons() -> None:
    front = LESSONS / "README.md"
    assert re.findall(r"\((\d\d-[^)]*\.md)\)", front.read_text(encoding="utf-8")) == [path.name for path in PATHS]
    for k, path in enumerate(PATHS):
        lines = path.read_text(encoding="utf-8").splitlines()
        assert lines[0].startswith(f"# {k}. ")
        assert re.match(r"\*\*After this lesson you can .*", lines[2])
        assert f"python docs/run_lesson.py {k}`" in "\n".join(lines[:12])
        if k + 1 < len(PATHS):
            assert re.fullmatch(rf"Next: \[{k + 1}\. [^\]]*\]\({PATHS[k + 1].name}\)", lines[-1])


def test_the_twenty_questions_are_answered_where_they_arise(tmp_path: Path) -> None:
    questions = Lesson(LESSONS.parent / "questions.md").run(tmp_path)
    entries = re.split(r"^### ", questions.text, flags=re.MULTILINE)[1:]
    assert [entry.split(".")[0] for entry in entries] == [str(k) for k in range(1, 21)]
    places = [
        (int(n), path.name) for path in PATHS for n in re.findall(r'<a id="q(\d+)"></a>', path.read_text("utf-8"))
    ]
    assert {n for n, _ in places} == set(range(1, 21))
    for n, entry in enumerate(entries, 1):
        assert set(re.findall(rf"\(lessons/(\S+)#q{n}\)", entry)) == {name for k, name in places if k == n}
        assert "](lessons/pictures/" in entry or "assert " in entry


@each_lesson
def test_no_block_uses_a_name_that_only_a_block_with_an_extra_makes(name: str) -> None:
    made: dict[bool, set[str]] = {False: set(), True: set()}
    used: set[str] = set()
    for block in Lesson(PATHS[NAMES.index(name)]).blocks:
        for node in ast.walk(ast.parse(block.code)):
            if isinstance(node, ast.alias):
                made[bool(block.needs)].add(node.asname or node.name)
            elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                made[bool(block.needs)].add(node.id)
            elif isinstance(node, ast.Name) and not block.needs:
                used.add(node.id)
    assert not (made[True] - made[False]) & used


def test_the_cell_of_the_last_lesson_is_that_of_the_example() -> None:
    code = Lesson(PATHS[14]).blocks[0].code
    example = LESSONS.parent.parent / "examples" / "own_cells.py"
    assert code[code.index("class") : code.index("\n\n\ncell")] in example.read_text(encoding="utf-8")


def test_every_picture_belongs_to_a_lesson() -> None:
    shown = [picture for path in PATHS for picture in Lesson(path).pictures]
    assert sorted(shown) == sorted(path.name for path in PICTURES.iterdir())


# ── the script itself ──────────────────────────────────────────────────────────────────────────


def test_a_reader_runs_a_lesson(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    monkeypatch.chdir(tmp_path)
    lesson = main(["1"])
    printed = capsys.readouterr().out
    assert printed.startswith("1. A number that remembers")
    assert "page shows other numbers" not in printed
    assert "Exercise 1, not yet, as attempt_1 stands: at " in printed
    for picture in lesson.pictures:
        assert (tmp_path / "lesson-01" / picture).stat().st_size
    assert sorted(p.name for p in tmp_path.iterdir()) == ["lesson-01"]


def test_at_the_prompt_a_check_says_what_is_wrong_in_one_line(tmp_path: Path) -> None:
    script = [sys.executable, "-i", str(LESSONS.parent / "run_lesson.py"), "1"]
    typed = "check_2(attempt_2)\nassert 1 == 2\ncheck_2(answer_2)\n"
    done = subprocess.run(script, input=typed, capture_output=True, text=True, cwd=tmp_path, check=True)
    first, *others = done.stderr.replace(">>> ", "").strip().splitlines()
    assert first.startswith("not yet: with c, h grows by ")
    assert others[0].startswith("Traceback")
    assert others[-1] == "AssertionError"
    assert done.stdout.endswith("right\n")


@pytest.mark.parametrize("wrong", [["99"], ["one"], [], ["1", "--write", "--out", "x"]])
def test_bad_input_is_one_clear_line(
    wrong: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as stopped:
        main(wrong)
    assert stopped.value.code == 2
    assert capsys.readouterr().err.splitlines()[-1].startswith("run_lesson.py: error: ")
    assert not list(tmp_path.iterdir())


SMALL = """# 9. A page

## One

```python
a = 2
print("a", a)
```

```text
a 3
```

```python
# needs: torch
print("b")
```

### Exercise 1

```python
attempt_1 = 1


def check_1(x):
    assert x == a, f"{x} is not what a holds"
```
"""


def test_a_page_is_read_run_and_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "09-a-page.md"
    path.write_text(SMALL, encoding="utf-8")
    monkeypatch.setattr("run_lesson.find_spec", lambda name: None)
    lesson = Lesson(path).run(tmp_path)
    assert [(b.heading, b.needs, b.printed) for b in lesson.blocks] == [
        ("One", None, "a 2\n"),
        ("One", "torch", None),
        ("Exercise 1", None, ""),
    ]
    assert lesson.with_outputs() == SMALL.replace("a 3", "a 2")
    assert lesson.refusal("1", "attempt") == "1 is not what a holds"
    lesson.variables["answer_1"] = 2
    assert lesson.refusal("1", "answer") is None


def test_write_makes_the_page_and_its_pictures_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    saving = 'print("a", a)\n__import__("pathlib").Path("09-a.svg").write_text("<svg/>")\nanswer_1 = 2'
    path = tmp_path / "09-a-page.md"
    path.write_text(SMALL.replace('print("a", a)', saving), encoding="utf-8")
    monkeypatch.setattr("run_lesson.LESSONS", tmp_path)
    monkeypatch.setattr("run_lesson.PICTURES", tmp_path / "pictures")
    main(["9", "--write"])
    assert "```text\na 2\n```" in path.read_text(encoding="utf-8")
    assert [p.name for p in (tmp_path / "pictures").iterdir()] == ["09-a.svg"]
    assert "other numbers" not in capsys.readouterr().out

    path.write_text(SMALL.replace('print("a", a)', saving + "\nassert a == 3"), encoding="utf-8")
    with pytest.raises(AssertionError):
        main(["9", "--out", str(tmp_path / "out")])
    assert not (tmp_path / "out").exists()  # a lesson that fails leaves nothing

    (tmp_path / "out").write_text("in the way")
    path.write_text(SMALL, encoding="utf-8")
    with pytest.raises(SystemExit) as stopped:
        main(["9", "--out", str(tmp_path / "out")])
    assert stopped.value.code == 2
    assert f"cannot write into {tmp_path / 'out'}" in capsys.readouterr().err


def test_an_error_names_the_line_of_the_page(tmp_path: Path) -> None:
    path = tmp_path / "09-a-page.md"
    path.write_text(SMALL.replace('print("a", a)', "assert a == 3"), encoding="utf-8")
    with pytest.raises(AssertionError) as failed:
        Lesson(path).run(tmp_path)
    assert failed.traceback[-1].lineno + 1 == 7
    assert str(failed.traceback[-1].path) == str(path)

"""Run a lesson of docs/lessons: `python docs/run_lesson.py 1` prints what it prints and writes its pictures.

`python -i docs/run_lesson.py 1` leaves you in the lesson with all its names, exercises included. `--write` makes the
outputs shown on the page and the pictures beside it anew.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import re
import shutil
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Any

from make_half_truths import BLOCK

from tinygrad_lstm.files import all_or_nothing, write_atomically

LESSONS = Path(__file__).resolve().parent / "lessons"
PICTURES = LESSONS / "pictures"
FABLES = LESSONS.parents[1] / "examples" / "fables.txt"
EXTRAS = {"charts": "matplotlib", "torch": "torch"}

RIGHT = "right\n"  # what a check prints
NUMBER = re.compile(r"[-+]?\d+(?:\.\d+)?(?:e[-+]?\d+)?")


@dataclass
class Block:
    """A block of a lesson's code: what the page shows that it prints, and, once it ran, what it printed."""

    code: str
    shown: str
    line: int
    heading: str
    printed: str | None = None

    @property
    def needs(self) -> str | None:
        """The extra that the block cannot run without, from its first line `# needs: charts`."""
        found = re.match(r"# needs: (\w+)\n", self.code)
        return found[1] if found else None


@dataclass
class Lesson:
    """A page whose blocks of code run one after another in one namespace."""

    path: Path
    text: str = field(init=False)
    blocks: list[Block] = field(init=False)
    variables: dict[str, Any] = field(default_factory=lambda: {"__name__": "__main__"})

    def __post_init__(self) -> None:
        self.text = self.path.read_text(encoding="utf-8")
        self.blocks = []
        for found in BLOCK.finditer(self.text):
            before = self.text[: found.start()]
            headings = re.findall(r"^#+ (.*)$", re.sub(r"^```.*?^```", "", before, flags=re.M | re.S), re.MULTILINE)
            self.blocks.append(Block(found[1], found[2] or "", before.count("\n") + 1, headings[-1]))

    @property
    def exercises(self) -> list[str]:
        """The numbers of the lesson's exercises: `check_1(attempt_1)` must fail, `check_1(answer_1)` pass."""
        return re.findall(r"^### Exercise (\d+)$", self.text, re.MULTILINE)

    @property
    def pictures(self) -> list[str]:
        """The file names of the pictures that the page shows and its code makes."""
        return re.findall(r"\]\(pictures/([^)]+)\)", self.text)

    def run(self, folder: Path, done: Callable[[Block], None] = lambda block: None) -> Lesson:
        """Run every block in `folder`, where `save` then puts its pictures. Blocks whose extra is missing are left.

        In the folder a lesson finds `examples/fables.txt`, as in that of the project. `done` is told of each block.
        """
        (folder / "examples").mkdir(exist_ok=True)
        shutil.copy(FABLES, folder / "examples")
        with contextlib.chdir(folder):
            for block in self.blocks:
                if block.needs and not find_spec(EXTRAS[block.needs]):
                    done(block)
                    continue
                printed = io.StringIO()
                with contextlib.redirect_stdout(printed):
                    # Empty lines before it, so that a traceback names the line of the page.
                    exec(compile("\n" * block.line + block.code, str(self.path), "exec"), self.variables)
                block.printed = "".join(line.rstrip() + "\n" for line in printed.getvalue().splitlines())
                done(block)
        return self

    def with_outputs(self) -> str:
        """The text of the page with what the blocks printed."""
        printed = iter(self.blocks)

        def block(found: re.Match[str]) -> str:
            this = next(printed)
            output = this.shown if this.printed is None else this.printed
            return f"```python\n{this.code}```\n" + (f"\n```text\n{output}```\n" if output else "")

        return BLOCK.sub(block, self.text)

    def refusal(self, number: str, which: str) -> str | None:
        """What the check of an exercise says to the page's `attempt` or `answer`; None where it says "right"."""
        try:
            self.variables[f"check_{number}"](self.variables[f"{which}_{number}"])
        except AssertionError as error:
            return str(error)
        return None


def lessons() -> list[Path]:
    """The lessons, first to last."""
    return sorted(LESSONS.glob("[0-9][0-9]-*.md"))


def within_a_last_digit(shown: str, printed: str) -> bool:
    """Whether two texts are the same but for their numbers, and those differ by no more than their last digit."""
    if NUMBER.sub("#", shown) != NUMBER.sub("#", printed):
        return False
    for a, b in zip(NUMBER.findall(shown), NUMBER.findall(printed), strict=True):
        mantissa, _, exponent = a.partition("e")
        digit = 10.0 ** (int(exponent or 0) - len(mantissa.partition(".")[2]))
        is_count = "." not in a and "e" not in a
        if abs(float(a) - float(b)) > (0 if is_count else 1.001 * digit):
            return False
    return True


class Page:
    """Prints what each block printed as soon as it has run, and whether the page shows the same."""

    def __init__(self, lesson: Lesson, compare: bool) -> None:
        self.heading = ""
        self.compare = compare
        print(f"{lesson.text.splitlines()[0].lstrip('# ')}\n", flush=True)

    def __call__(self, block: Block) -> None:
        if block.heading != self.heading and (block.printed or block.printed is None):
            self.heading = block.heading
            print(f"── {self.heading} ".ljust(80, "─") + "\n")
        if block.printed is None:
            print(f'(line {block.line}: needs pip install ".[{block.needs}]")\n')
        elif block.printed:
            print(f"{'the answer on the page: ' * (block.printed == RIGHT)}{block.printed}")
            if self.compare and not within_a_last_digit(block.shown, block.printed):
                print(f"(line {block.line}: the page shows other numbers)\n")
        sys.stdout.flush()


def end(lesson: Lesson, folder: Path) -> None:
    """Print what the exercises say to the page's attempts, and where the pictures are."""
    for number in lesson.exercises:
        said = lesson.refusal(number, "attempt")
        print(f"Exercise {number}, {f'not yet, as attempt_{number} stands: {said}' if said else 'right'}")
    if lesson.pictures:
        print(f"Pictures: {', '.join(str(folder / name) for name in lesson.pictures if (folder / name).exists())}")


def main(arguments: list[str] | None = None) -> Lesson:
    """Run one lesson and return it."""
    parser = argparse.ArgumentParser(
        prog="run_lesson.py",
        description="Run a lesson: print what it prints, write its pictures.",
        epilog="example: python docs/run_lesson.py 1; with python -i its names stay, so that you can do its exercises",
    )
    parser.add_argument("lesson", help=f"its number, 0 to {len(lessons()) - 1}")
    parser.add_argument("--out", type=Path, metavar="DIR", help="where the pictures go (default: lesson-01 and so on)")
    parser.add_argument("--write", action="store_true", help="make the page's outputs and pictures anew")
    given = parser.parse_args(arguments)
    found = [path for path in lessons() if path.name.split("-")[0] == given.lesson.zfill(2)]
    if not found:
        parser.error(f"no lesson {given.lesson}: choose from 0 to {len(lessons()) - 1}")
    if given.write and given.out:
        parser.error("--write puts the pictures beside the page: leave out --out")
    lesson = Lesson(found[0])
    folder = PICTURES if given.write else given.out or Path(f"lesson-{given.lesson.zfill(2)}")
    with tempfile.TemporaryDirectory() as made:
        lesson.run(Path(made), Page(lesson, compare=not given.write))
        files = {path.name: path.read_bytes() for path in Path(made).iterdir() if path.is_file()}
    try:
        with all_or_nothing(folder) as staging:
            for name, data in files.items():
                if name.endswith(".svg") or not given.write:  # the folder of a reader gets all that was made
                    (staging / name).write_bytes(data)
    except OSError as error:
        parser.error(f"cannot write into {folder}: {error.strerror or error}")
    if given.write:
        write_atomically(lesson.path, lesson.with_outputs())
    end(lesson, folder)
    return lesson


def at_the_prompt(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Show what a check says to an attempt in one line, and every other error as Python does."""
    if kind is AssertionError and str(error):
        print(f"not yet: {error}", file=sys.stderr)
    else:
        sys.__excepthook__(kind, error, trace)


if __name__ == "__main__":
    globals().update(main().variables)  # with python -i the reader goes on from here
    sys.excepthook = at_the_prompt

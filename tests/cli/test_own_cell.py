"""Cells of the user's own from files: what is right is built, what is wrong is said in one line that names it."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from textwrap import dedent, indent
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tinygrad_lstm as tl
from tinygrad_lstm.cli.errors import UserError
from tinygrad_lstm.cli.own_cell import load_cell_class, tried
from tinygrad_lstm.kinds import make_cell
from tinygrad_lstm.nn import Cell

EXAMPLES = Path(__file__).parent.parent.parent / "examples"
HEAD = "import numpy as np\nimport tinygrad_lstm as tl\n\n"
LEAKY = dedent("""\
    class Leaky(tl.nn.Cell):
        states = ("h",)

        def __init__(self, input_size, hidden_size, rng=0):
            super().__init__(input_size, hidden_size)
            self.new = tl.nn.Linear(input_size + hidden_size, hidden_size, rng=rng, dtype=np.float64)

        def equations(self, x, h):
            n = tl.tanh(self.new(tl.concat([h, x], axis=-1)))
            return {"n": n, "h": 0.9 * h + 0.1 * n}
""")


def write(folder: Path, text: str, name: str = "mine.py") -> str:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return str(path)


def make(spec: str, input_size: int, hidden_size: int, seed: int = 0) -> Cell:
    return make_cell(tried(spec, input_size, hidden_size), input_size, hidden_size, seed=seed)


def refused(spec: str) -> str:
    with pytest.raises(UserError) as caught:
        tried(spec, 4, 3)
    assert "\n" not in str(caught.value)
    return str(caught.value)


# ── what is right ──────────────────────────────────────────────────────────────────────────────


def test_a_cell_is_built_with_its_sizes_and_seed(tmp_path: Path) -> None:
    spec = write(tmp_path, HEAD + LEAKY) + ":Leaky"
    assert issubclass(load_cell_class(spec), Cell)
    cell = make(spec, 4, 3, seed=5)
    assert (cell.input_size, cell.hidden_size) == (4, 3)
    expected = tl.nn.Linear(7, 3, rng=5, dtype=np.float64).W.numpy()
    assert (cell.state_dict()["new.W"] == expected).all()
    assert not (make(spec, 4, 3, seed=6).state_dict()["new.W"] == expected).all()
    assert tl.anatomy(cell).gates.keys() == {"n"}


@pytest.mark.parametrize("parameters", ["rng", "*, rng", "*, rng=0, depth=1", "bias=True, rng=None"])
def test_a_seed_is_given_by_name_where_it_is_taken(tmp_path: Path, parameters: str) -> None:
    text = LEAKY.replace("rng=0", parameters)
    cell = make(write(tmp_path, HEAD + text) + ":Leaky", 4, 3, seed=5)
    assert (cell.state_dict()["new.W"] == tl.nn.Linear(7, 3, rng=5, dtype=np.float64).W.numpy()).all()


OPERATIONS = [
    "tl.tanh(a)",
    "tl.sigmoid(b)",
    "a * b",
    "a + b",
    "1 - a",
    "a * 0.5",
    "a @ self.U",
    "b @ self.U + x @ self.V",
]


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(OPERATIONS), st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=8),
       st.integers(1, 4), st.integers(1, 4), st.sampled_from([("h",), ("h", "c")]))  # fmt: skip
def test_random_cells_compute_what_the_same_lines_compute_here(
    tmp_path_factory: pytest.TempPathFactory, program: Any, inputs: int, hidden: int, states: tuple[str, ...]
) -> None:
    """A cell written into a file gives what its lines give on the same parameters."""
    values, lines = list(states), []
    for k, (operation, a, b) in enumerate(program):
        text = re.sub(r"\bb\b", values[b % len(values)], re.sub(r"\ba\b", values[a % len(values)], operation))
        lines.append(f"v{k} = {text}")
        values.append(f"v{k}")
    named = "".join(f"{s!r}: {s} + tl.tanh({values[-1]}), " for s in states)
    cls = dedent(f"""\
        class Drawn(tl.nn.Cell):
            states = {states!r}

            def __init__(self, inputs, hidden, rng=0):
                super().__init__(inputs, hidden)
                draw = np.random.default_rng(rng)
                self.U = tl.nn.Parameter(draw.normal(size=(hidden, hidden)))
                self.V = tl.nn.Parameter(draw.normal(size=(inputs, hidden)))

            def equations(self, x, {", ".join(states)}):
        """) + indent("\n".join([*lines, f"return {{{named}}}"]), " " * 8)
    spec = write(tmp_path_factory.mktemp("drawn"), HEAD + cls) + ":Drawn"
    cell = make(spec, inputs, hidden, seed=3)
    draw = np.random.default_rng(0)
    x, before = draw.normal(size=inputs), [draw.normal(size=hidden) for _ in states]
    here: dict[str, Any] = {"tl": tl, "self": cell, "x": tl.tensor(x)}
    here |= {s: tl.tensor(v) for s, v in zip(states, before, strict=True)}
    exec("\n".join(lines), here)
    last = np.tanh(here[values[-1]].numpy())
    step = cell.step(x, tuple(before))
    for s, v in zip(states, before, strict=True):
        np.testing.assert_allclose(getattr(step, s).numpy(), v + last, rtol=1e-12)


# ── what is wrong ──────────────────────────────────────────────────────────────────────────────


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    for file in (tmp_path / "none.py", tmp_path, "", "a\0b.py"):
        assert refused(f"{file}:Leaky") == f"there is no file {str(file)!r}: a cell of your own is written FILE.py:NAME"


def test_a_class_that_is_not_there_comes_with_those_that_are(tmp_path: Path) -> None:
    file = write(tmp_path, HEAD + LEAKY + "x = 1\nclass A: pass\ncell = tl.nn.RNNCell(1, 1)\n")
    for name in ("Leakey", "x", "A", "cell", "tl", "", "a b"):
        assert refused(f"{file}:{name}") == f"{file} has no class {name}(tl.nn.Cell) (choose from Leaky)"
    file = write(tmp_path, "x = 1\n")
    assert refused(f"{file}:Leakey") == f"{file} has no class Leakey(tl.nn.Cell) (choose from no cell)"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("x = (\n", r": cannot be imported: SyntaxError: '\(' was never closed \(mine\.py, line 1\)$"),
        ("\n\n  x = 1\n", r": cannot be imported: IndentationError: unexpected indent \(mine\.py, line 3\)$"),
        ("\nimport no_such_module_anywhere\n", ", line 2: .*ModuleNotFoundError: No module named 'no_such_module_any"),
        ("def f():\n    return 1 / 0\n\nf()\n", ", line 2: cannot be imported: ZeroDivisionError: division by zero"),
        ("raise ValueError('two\\nlines')\n", ", line 1: cannot be imported: ValueError: two lines"),
        ("import sys\nsys.exit('enough')\n", ", line 2: cannot be imported: SystemExit: enough"),
        ("open('/no/such/file')\n", ", line 1: .* FileNotFoundError: .* No such file or directory: '/no/such/file'"),
        ("assert False\n", ", line 1: cannot be imported: AssertionError: $"),
        ("x = '\0'\n", r".*cannot be imported: \w+Error"),
    ],
)
def test_a_file_that_fails_gives_its_exception_and_line(tmp_path: Path, text: str, says: str) -> None:
    file = write(tmp_path, text)
    assert re.match(re.escape(file) + says, refused(f"{file}:Leaky"))


def test_the_fault_of_a_file_beside_it_is_told_with_that_files_line(tmp_path: Path) -> None:
    file = write(tmp_path, HEAD + "import broken_helper\n")
    write(tmp_path, "\n\nx = (\n", "broken_helper.py")
    says = r", line 4: cannot be imported: SyntaxError: .* \(broken_helper\.py, line 3\)$"
    assert re.match(re.escape(file) + says, refused(f"{file}:Leaky"))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("class A(tl.nn.Cell):\n    pass\n", "a step of A.* fails: TypeError: .* must give a dict of named values"),
        (LEAKY.replace("input_size, hidden_size, rng", "hidden_size, *, rng"),
         r"Leaky\(4, 3\) cannot be built: TypeError: .*positional arguments"),
        (LEAKY.replace("rng=0", "depth"), r"Leaky\(4, 3\) cannot be built: TypeError: .* missing .*'depth'"),
        (LEAKY.replace("super().__init__(input_size, hidden_size)", "pass"),
         r"Leaky\(4, 3\) cannot be built: TypeError: __init__ of Leaky must call super\(\).__init__\(input_size"),
        (LEAKY.replace("super().__init__(input_size, hidden_size)", "super().__init__(hidden_size, input_size)"),
         r"a step of Leaky\(4, 3\) fails: ValueError: .* takes x of shape \(batch, 3\) or \(3,\), got"),
        (LEAKY.replace("rng=rng", "rng=rng, colour=1"),
         r"line 9: Leaky\(4, 3\) cannot be built: TypeError: .*'colour'"),
        (LEAKY.replace("0.9 * h + 0.1 * n", "tl.concat([h, n], axis=-1)"),
         r"mine\.py: a step of Leaky\(4, 3\) fails: ValueError: equations of Leaky must give the new state 'h' in the "
         r"shape and dtype of the old, \(1, 3\) float64, got \(1, 6\) float64"),
        (LEAKY.replace('"h": 0.9', '"g": 0.9'),
         r"must give the new state 'h' as a Tensor, got NoneType in \['n', 'g'\]"),
        (LEAKY.replace("x, h):", "h, x):"), r"equations of Leaky must take x, then h, got h, x"),
        (LEAKY.replace("0.9 * h", "tl.log(h - 1)"), r"a step of Leaky\(4, 3\) on zeros gives NaN or an infinity"),
        (LEAKY.replace('return {"n": n, "h": 0.9 * h + 0.1 * n}', "return n"), "must give a dict of named values"),
        (LEAKY.replace("tl.concat([h, x], axis=-1)", "x"), r"line 12: a step of Leaky\(4, 3\) fails: ValueError: .*"),
        (LEAKY.replace("(self, x, h)", "(self, x)"), r"a step .* fails: TypeError: .*equations\(\) takes 2 positional"),
        (LEAKY.replace('("h",)', '("h", "not a name")').replace("x, h):", "x, h, s):").replace(
            '"h": 0.9', '"not a name": h + 0, "h": 0.9'), "a step of Leaky.* fails: ValueError"),
    ],
)  # fmt: skip
def test_a_cell_that_does_not_work_is_said_in_one_line(tmp_path: Path, text: str, says: str) -> None:
    file = write(tmp_path, HEAD + text)
    name = re.match(r"class (\w+)", text)
    assert name is not None
    found = refused(f"{file}:{name[1]}")
    assert re.search(says, found), found
    assert file in found


# ── what is left behind ────────────────────────────────────────────────────────────────────────


def test_two_files_of_one_name_are_two(tmp_path: Path) -> None:
    for folder, rate in (("a", "0.9"), ("b", "0.5")):
        (tmp_path / folder).mkdir()
        write(tmp_path / folder, f"RATE = {rate}\n", "helper.py")
        write(tmp_path / folder, HEAD + "from helper import RATE\n\n" + LEAKY.replace("0.9 * h", "RATE * h"))
    before, path = dict(sys.modules), list(sys.path)
    cells = [make(f"{tmp_path / folder / 'mine.py'}:Leaky", 1, 1) for folder in "ab"]
    assert sys.path == path
    assert {k for k in sys.modules.keys() - before.keys() if not k.startswith(("tinygrad_lstm", "numpy"))} == set()
    assert not {"mine", "helper"} & sys.modules.keys()
    h = [c.step(np.zeros(1), np.ones(1)).h.item() - 0.1 * c.step(np.zeros(1), np.ones(1)).n.item() for c in cells]
    np.testing.assert_allclose(h, [0.9, 0.5])


def test_what_a_file_imports_from_elsewhere_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "colorsys", raising=False)
    make(f"{write(tmp_path, HEAD + 'import colorsys' + chr(10) + LEAKY)}:Leaky", 1, 1)
    assert "colorsys" in sys.modules


def test_a_file_is_read_anew_and_a_failed_one_leaves_nothing(tmp_path: Path) -> None:
    file, before = write(tmp_path, HEAD + "import helper\nraise OSError('no')\n"), set(sys.modules)
    (tmp_path / "helper").mkdir()
    write(tmp_path / "helper", "from . import inside\n", "__init__.py")
    write(tmp_path / "helper", "", "inside.py")
    assert "line 5: cannot be imported: OSError: no" in refused(f"{file}:Leaky")
    assert set(sys.modules) == before
    write(tmp_path, HEAD + LEAKY)
    assert make(f"{file}:Leaky", 1, 2).hidden_size == 2


def test_a_dataclass_with_annotations_as_text_is_defined(tmp_path: Path) -> None:
    """Dataclasses look their own module up by name."""
    settings = "@dataclass\nclass Settings:\n    kind: ClassVar[int] = 1\n    rate: float = 0.9\n\n\n"
    imports = "from __future__ import annotations\nfrom dataclasses import dataclass\nfrom typing import ClassVar\n"
    assert make(write(tmp_path, imports + HEAD + settings + LEAKY) + ":Leaky", 1, 1)

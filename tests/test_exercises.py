"""The engine to be filled in: a part is refused as it stands, right when filled in; the library passes the same."""

from __future__ import annotations

import re
import runpy
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from code_lines import code_lines

import tinygrad_lstm as tl

FOLDER = Path(__file__).parent.parent / "examples" / "exercises"
SKELETON, ANSWER = ((FOLDER / name).read_text(encoding="utf-8") for name in ("engine.py", "answer.py"))
CHECK = SimpleNamespace(**runpy.run_path(str(FOLDER / "check.py")))


def between(text: str, start: str, end: str) -> str:
    return text[text.index(start) : text.index(end)]


FILLED = {
    "# Part 1": between(ANSWER, "mul = primitive", "matmul = primitive"),
    "            # Part 2": between(ANSWER, "            g = arrived", "\n\ndef history"),
    "    # Part 3": between(ANSWER, "    return sigmoid", "\n\ndef cell"),
    "    # Part 4": ANSWER[ANSWER.index("    f, i, o = ") :],
}


def filled(parts: int) -> str:
    """The skeleton with its first parts filled in."""
    text = SKELETON
    for start, code in list(FILLED.items())[:parts]:
        gap = re.search(rf"^{start}.*?\.\.\.(?:, lambda g, out, a, b: \.\.\.\))?\n", text, re.MULTILINE | re.DOTALL)
        assert gap is not None
        text = text.replace(gap[0], code)
    return text


def said(text: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> list[str]:
    """What the check says of an engine, line by line."""
    file = folder / "engine.py"
    file.write_text(text, encoding="utf-8")
    CHECK.main(file)
    return capsys.readouterr().out.splitlines()


def test_the_skeleton_is_the_answer_with_four_gaps() -> None:
    assert filled(4).split('"""', 2)[2] == ANSWER.split('"""', 2)[2]


@pytest.mark.parametrize(
    ("parts", "hint"),
    [
        (0, "part 1, the rules of mul: a = 2, b = 5, and g = 3 came back to a * b: what goes on to a is missing"),
        (1, "part 2, the walk: the slope of 5a is 5.0, yours is 0.0"),
        (2, "part 3, a gate: h, x and b are 0: the gate is missing: write something for `...`"),
        (3, "part 4, the cell: it gives two things: return h, c"),
    ],
)
def test_a_gap_is_named(parts: int, hint: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = said(filled(parts), tmp_path, capsys)
    assert all(line.endswith(": right") for line in lines[:parts])
    assert lines[parts].startswith(hint)
    assert len(lines) == 4
    assert all(line.endswith((": right", ": not yet")) for line in lines[parts + 1 :])


def test_a_part_is_judged_though_one_before_it_is_wrong(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wrong = ANSWER.replace("return sigmoid(", "return tanh(").replace("return o * tanh(c), c", "return o * c, c")
    lines = said(wrong, tmp_path, capsys)
    assert [line.rpartition(": ")[2] for line in lines[:2] + lines[3:]] == ["right", "right", "not yet"]
    backwards = ANSWER.replace("tensor.grad = tensor.grad + g", "tensor.grad = g")
    assert [line.endswith(": right") for line in said(backwards, tmp_path, capsys)] == [True, False, True, True]


def test_the_answer_is_right_and_learns(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = said(ANSWER, tmp_path, capsys)
    assert [line for line in lines if line.endswith(": right")] == lines[:4]
    assert lines[-1] == "step 200: loss 0.01, after h, e, l, l it says e, l, l, o"
    assert "says e, l, l, o" not in lines[-5]


@pytest.mark.parametrize(
    ("right", "wrong", "hint"),
    [
        (
            "g * b, lambda g, out, a, b: g * a",
            "g * a, lambda g, out, a, b: g * b",
            "goes on to a is 15.0, yours is 6.0",
        ),
        ("arrived.get(x, 0) + rule", "rule", "the slope of x * x + x at x = 3 is 7.0, yours is 3.0"),
        ("history(self)", "history(self)[::-1]", "part 2, the walk: KeyError in line"),
        ("tensor.grad = tensor.grad + g", "tensor.grad = g", "after two walks from the same y a leaf has twice 8: its"),
        ("return sigmoid(", "return tanh(", "h, x and b are 0: the gate is [0.5 0.5 0.5], yours is [0. 0. 0.]"),
        (
            "concat(h, x) @ W + b",
            "concat(x, h) @ W + b",
            "a gate: with h joined first, then x, the gate of random numbers is [",
        ),
        (
            "concat(h, x) @ W + b",
            "W @ concat(h, x) + b",
            "a gate: the shapes (7, 3) and (7,), left and right, do not fit",
        ),
        ("concat(h, x) @ W + b", "W @ concat(h, x) + b", ", `return sigmoid(W @ concat(h, x) + b)`"),
        (
            'p[f"W_{k}"], p[f"b_{k}"]',
            'p[f"b_{k}"], p[f"W_{k}"]',
            '`f, i, o = (gate(h, x, p[f"b_{k}"], p[f"W_{k}"]) for',
        ),
        (
            "rule(g, tensor.value, *values)",
            "rule(g, tensor, *tensor.inputs)",
            "+ rule(g, tensor, *tensor.inputs)`: unsup",
        ),
        (
            "lambda g, out, a, b: g * b",
            "lambda g, out, a, b: g * B",
            "rules of mul: NameError in line 59, `mul = primitive(",
        ),
        ("c = f * c + i * g", "c = f * h + i * g", "after step 2 c is ["),
        ("return o * tanh(c), c", "return o * c, c", "after step 1 h is ["),
        ("return o * tanh(c), c", "return Tensor(o.value) * tanh(c), c", "the gradient of W_f is ["),
        ("def gate(h, x, W, b):", "def gate(h, x, W):", "part 3, a gate: TypeError: "),
    ],
)
def test_a_mistake_is_named(
    right: str, wrong: str, hint: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert right in ANSWER
    lines = said(ANSWER.replace(right, wrong), tmp_path, capsys)
    assert hint in next(line for line in lines if not line.endswith(": right"))


@pytest.mark.parametrize(
    ("right", "wrong", "says"),
    [
        ("def gate(h, x, W, b):", "def gate(h, x, W, b)", ", line 67: expected ':'"),
        ("mul = primitive(", "mul = primitiv(", ": NameError in line 59, `mul = primitiv(np.multiply"),
    ],
)
def test_a_file_that_does_not_run_is_one_line(right: str, wrong: str, says: str, tmp_path: Path) -> None:
    file = tmp_path / "engine.py"
    file.write_text(ANSWER.replace(right, wrong), encoding="utf-8")
    with pytest.raises(SystemExit, match=rf"^{re.escape(f'{file}{says}')}.*$"):
        CHECK.main(file)


def test_a_file_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"^cannot read .*engine\.py: No such file or directory$"):
        CHECK.main(tmp_path / "engine.py")


def test_the_library_passes_the_same_checks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tl.Tensor, "value", property(tl.Tensor.numpy), raising=False)
    product = tl.primitives.TABLE["mul"]
    real = {
        "Tensor": lambda array: tl.tensor(array, requires_grad=True),
        "mul": lambda a, b: SimpleNamespace(rules=product.rules),
        "total": lambda array: array.sum(),
        "tanh": tl.tanh,
        "sigmoid": tl.sigmoid,
        "concat": lambda *arrays: tl.concat(arrays),
    }
    exec(ANSWER[ANSWER.index("def gate") :], real)
    for part in CHECK.PARTS.values():
        part(SimpleNamespace(**real))


def test_the_engine_is_as_long_as_the_page_says(tmp_path: Path) -> None:
    engine = tmp_path / "engine.py"
    engine.write_text(ANSWER[: ANSWER.index("def gate")], encoding="utf-8")
    assert code_lines(engine) == 41
    assert code_lines(FOLDER / "answer.py") - 41 == 7
    said = (FOLDER.parent.parent / "docs" / "lessons" / "README.md").read_text(encoding="utf-8")
    assert "an engine of forty-one lines and a cell of seven" in " ".join(said.split())


def test_nothing_is_printed_or_run_by_the_engine_itself() -> None:
    names = runpy.run_path(str(FOLDER / "answer.py"))
    x = names["Tensor"](np.array([1.0, 2.0]))
    names["total"](x * x).backward()
    assert x.grad.tolist() == [2.0, 4.0]

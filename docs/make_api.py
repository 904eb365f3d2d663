"""Write docs/api.md, the public names of the library, from their signatures and docstrings: `python docs/make_api.py`.

A test writes it again and compares, so that the page and the code cannot part.
"""

from __future__ import annotations

import ast
import inspect
import re
import sys
import textwrap
from collections.abc import Iterator
from dataclasses import MISSING, dataclass, fields, is_dataclass
from functools import cached_property
from importlib import import_module
from pathlib import Path
from types import GenericAlias, ModuleType, UnionType
from typing import Any, ForwardRef, TypeVar, get_args, get_origin

import numpy as np
import numpy.typing as npt

from tinygrad_lstm import primitives
from tinygrad_lstm.files import write_atomically
from tinygrad_lstm.primitives import Primitive
from tinygrad_lstm.views.drawing import draw as drawing

PAGE = Path(__file__).parent / "api.md"
WIDTH = 110

OPENING = """\
# API

Every public name, with what it takes, gives and refuses. This page is made from the code by `python docs/make_api.py`.

`tl` is `tinygrad_lstm`, `np` is `numpy`, `npt` is `numpy.typing`. Where a type says `Any`, a Tensor, an array, a number
or a list of numbers will do. What is not on this page may change; [how the house is built](design.md) says where it is.
"""

PRIMITIVES = """\
Element by element, with NumPy's broadcasting: `tl.sigmoid(x)`, `tl.where(condition, a, b)`. Each is one line of the
[derivative table](../tinygrad_lstm/primitives.py): its name, its sign in drawings, its value, and for each input what
the cotangent `g` of the output becomes on the way back to it.
"""


@dataclass(frozen=True)
class Section:
    """A heading of the page and the names under it: those of `module` that are public, or only `names`."""

    title: str
    module: str
    names: tuple[str, ...] = ()
    intro: str | None = None

    @property
    def imported(self) -> str | None:
        """The line that a user needs beside `import tinygrad_lstm as tl`, if any."""
        room, _, name = self.module.rpartition(".")
        return f"from {room} import {name}" if self.module in IMPORTED else None

    def called(self, name: str, value: Any) -> str:
        """How a user writes a name: the shortest way that there is."""
        if self.imported:
            return f"{self.module.rpartition('.')[2]}.{name}"
        if value is drawing:
            return "tl.draw"
        module = self.module
        while getattr(sys.modules[module.rpartition(".")[0] or module], name, None) is value and "." in module:
            module = module.rpartition(".")[0]
        return f"{module.replace('tinygrad_lstm', 'tl', 1)}.{name}"


IMPORTED = (  # rooms that `import tinygrad_lstm` does not open
    "tinygrad_lstm.kinds",
    "tinygrad_lstm.flow.sequence",
    "tinygrad_lstm.flow.study",
    "tinygrad_lstm.views.sentences",
    "tinygrad_lstm.views.charts",
    "tinygrad_lstm.explore",
    "tinygrad_lstm.walk",
    "tinygrad_lstm.tasks",
    "tinygrad_lstm.train",
)

SECTIONS = [
    Section(
        "Tensors",
        "tinygrad_lstm",
        ("tensor", "Tensor", "no_grad", "scope"),
        "An array that remembers how it was made. The operators `+ - * / ** @`, `abs`, comparisons (joined by "
        "`& | ^ ~`), indexing and slicing record too, with NumPy's broadcasting, and so do NumPy's own functions where "
        "they have a derivative here.",
    ),
    Section(
        "Functions",
        "tinygrad_lstm",
        (
            "abs", "exp", "expm1", "log", "log1p", "sin", "cos", "tanh", "sigmoid", "relu", "softplus", "where",
            "maximum", "minimum", "clip", "concat", "stack", "sum", "mean", "var", "std", "max",
            "min", "softmax", "log_softmax", "reshape", "transpose", "broadcast_to", "primitive",
        ),
        "Of Tensors they make Tensors that remember, of arrays plain arrays.",
    ),
    Section(
        "Gradients",
        "tinygrad_lstm",
        ("grad", "jacobian", "gradcheck", "GradcheckError", "detect_anomaly"),
        "One walk back through the graph, and what checks it.",
    ),
    Section(
        "Cells and layers",
        "tinygrad_lstm.nn",
        ("Cell", "LSTMCell", "RNNCell", "LSTM", "RNN", "Linear", "Embedding"),
        "A cell is one step, a layer the same cell over a whole sequence.",
    ),
    Section(
        "What is read from a cell",
        "tinygrad_lstm",
        ("scan", "compile", "anatomy"),
        "One step of a cell is recorded; its program, its anatomy and its gradients are read from that, for any cell.",
    ),
    Section("Anatomies", "tinygrad_lstm.nn.anatomy", ("Anatomy", "Direct", "Read")),
    Section(
        "Cells without a program",
        "tinygrad_lstm.nn",
        ("NotCompiled",),
        "`tl.scan` runs them operation by operation; `tl.compile` and `tl.anatomy` say why.",
    ),
    Section(
        "Modules",
        "tinygrad_lstm.nn",
        ("Module", "Parameter"),
        "What a network of one's own is made of.",
    ),
    Section("Losses", "tinygrad_lstm.nn.losses"),
    Section("Initial weights", "tinygrad_lstm.nn.init"),
    Section("Optimisers", "tinygrad_lstm.optim"),
    Section(
        "Gradient flow",
        "tinygrad_lstm.flow",
        ("trace_gradients", "Flow", "Node", "Edge", "ScopeName", "read_graph", "trace_backward"),
    ),
    Section("Jacobians through time", "tinygrad_lstm.flow.jacobians"),
    Section(
        "A sequence of tokens",
        "tinygrad_lstm.flow.sequence",
        ("trace_sequence", "TracedSequence", "Path", "tokenize", "embed"),
    ),
    Section("Cells by name", "tinygrad_lstm.kinds", ("make_cell", "build")),
    Section(
        "Studies over a lag",
        "tinygrad_lstm.flow.study",
        ("study", "variant", "Variant", "Study", "CellStudy", "median", "Part"),
    ),
    Section(
        "What the numbers say",
        "tinygrad_lstm.views.sentences",
        ("plainly", "reading", "study_plainly", "study_reading"),
    ),
    Section(
        "Drawings",
        "tinygrad_lstm.views",
        ("draw", "Drawing", "gates", "RenderError", "RendererMissing"),
    ),
    Section("Charts of a study", "tinygrad_lstm.views.charts"),
    Section("The explorer's page", "tinygrad_lstm.explore"),
    Section("A step as text", "tinygrad_lstm.walk"),
    Section("Tasks", "tinygrad_lstm.tasks"),
    Section("Training", "tinygrad_lstm.train"),
    Section("PyTorch", "tinygrad_lstm.interop.pytorch"),
    Section("safetensors", "tinygrad_lstm.interop.safetensors"),
    Section("ONNX", "tinygrad_lstm.interop.onnx"),
]  # fmt: skip


def public(module: ModuleType) -> list[str]:
    """The public names of a module: its `__all__`, or else the functions and classes that it defines."""
    if hasattr(module, "__all__"):
        return list(module.__all__)
    own = (name for name, value in vars(module).items() if getattr(value, "__module__", None) == module.__name__)
    return [name for name in own if not name.startswith("_") and callable(getattr(module, name))]


def names_of(section: Section) -> dict[str, Any]:
    """The names under a heading, as a user writes them; modules have headings of their own."""
    module = import_module(section.module)
    values = {name: getattr(module, name) for name in section.names or public(module)}
    return {section.called(name, value): value for name, value in values.items() if not isinstance(value, ModuleType)}


# ── signatures ─────────────────────────────────────────────────────────────────────────────────


def typed(annotation: Any, module: str) -> str:
    """A type as it is written in a module, with what short names stand for there."""

    def meant(found: re.Match[str]) -> str:
        room = vars(sys.modules[module])
        value = getattr(room.get(found[1]), found[2], None) if found[1] else room.get(found[2])
        return spelled(value) if isinstance(value, GenericAlias | UnionType | TypeVar) else found[0]

    if isinstance(annotation, ForwardRef):
        annotation = annotation.__forward_arg__
    text = annotation if isinstance(annotation, str) else inspect.formatannotation(annotation)
    return re.sub(r"\b(?:(f)\.)?([A-Z_]\w*)", meant, text)


def spelled(value: Any) -> str:
    """What a short name for a type stands for."""
    if isinstance(value, TypeVar):
        value = value.__bound__
    if get_origin(value) in (np.ndarray, npt.NDArray):  # what NDArray is differs between versions of NumPy
        element = get_args(value)[-1]
        element = get_args(element)[0] if get_args(element) else element
        return "npt.NDArray[Any]" if element is Any else f"npt.NDArray[np.{element.__name__.rstrip('_')}]"
    return re.sub(r"\b[a-z_]\w*\.", "", repr(value))


def parameters(function: Any, skip: int = 0) -> list[str]:
    """The parameters of a function or class as they are written, without the first `skip`."""
    if inspect.isclass(function) and function.__init__ is object.__init__ and function.__new__ is object.__new__:
        return []
    shown: list[str] = []
    kinds = inspect.Parameter
    made = {f.name: f.default_factory for f in fields(function)} if is_dataclass(function) else {}
    for parameter in list(inspect.signature(function).parameters.values())[skip:]:
        if parameter.kind is kinds.KEYWORD_ONLY and not any(text.startswith("*") for text in shown):
            shown.append("*")
        star = "*" * ((parameter.kind is kinds.VAR_POSITIONAL) + 2 * (parameter.kind is kinds.VAR_KEYWORD))
        text = star + parameter.name
        if parameter.annotation is not kinds.empty:
            text += f": {typed(parameter.annotation, function.__module__)}"
        if parameter.default is not kinds.empty:
            factory = made.get(parameter.name, MISSING)
            text += f" = {default(parameter.default if factory is MISSING else factory())}"
        shown.append(text)
    return shown


def default(value: Any) -> str:
    """A default as one would write it."""
    if isinstance(value, type):
        return value.__module__.replace("numpy", "np") + "." + value.__name__
    return f'"{value}"' if isinstance(value, str) else repr(value)


def returned(function: Any) -> str:
    """What a function gives, with its arrow; nothing where it gives nothing."""
    annotation = inspect.signature(function).return_annotation
    nothing = annotation in (inspect.Signature.empty, "None", None)
    return "" if nothing else f" -> {typed(annotation, function.__module__)}"


def call(name: str, given: list[str], gives: str) -> str:
    """A signature on one line, or, where that is too long, with a line a parameter."""
    line = f"{name}({', '.join(given)}){gives}"
    if len(line) <= WIDTH:
        return line
    return "\n".join([f"{name}(", *(f"    {text}," for text in given), f"){gives}"])


# ── docstrings ─────────────────────────────────────────────────────────────────────────────────


def markdown(docstring: str) -> str:
    """A docstring as Markdown: indented lines are formulas or code, the rest is prose whose signs are no markup."""
    lines: list[str] = []
    for line in inspect.cleandoc(docstring).splitlines():
        if line.startswith("    "):
            if lines and lines[-1].strip() and not lines[-1].startswith("    "):
                lines.append("")
            lines.append(line)
        else:
            parts = re.split(r"(`[^`]*`)", line)
            lines.append("".join(part if k % 2 else escaped(part) for k, part in enumerate(parts)))
    return "\n".join(lines)


def escaped(prose: str) -> str:
    """Prose in which Markdown would see emphasis (but for *words* meant so), tags, formulas or links that are not."""
    starred = r"(?<![\w*])(\*\w+\*)(?![\w*])"
    prose = "".join(
        part if k % 2 else re.sub(r"(?<=\S)\*|\*(?=\S)|(?<!\w)_(?=\w)|<(?=[\w/!])|\$", r"\\\g<0>", part)
        for k, part in enumerate(re.split(starred, prose))
    )
    return prose.replace("](", "]\\(")


def doc_of(value: Any) -> str:
    """The docstring of a public name. Raises ValueError where there is none."""
    if not value.__doc__:
        raise ValueError(f"{value!r} has no docstring")
    return markdown(value.__doc__)


# ── entries ────────────────────────────────────────────────────────────────────────────────────


def entry(name: str, value: Any) -> str:
    """What the page says of one name."""
    heading = f"### {name}\n"
    if inspect.isclass(value):
        return "\n".join([heading, *class_entry(name, value)])
    if callable(value):
        signature = call(name, parameters(value), returned(value))
        return f"{heading}\n```python\n{signature}\n```\n\n{doc_of(value)}\n"
    return f"{heading}\nBy name: {', '.join(f'`{key}`' for key in value)}.\n"


def primitives_entry(names: list[str]) -> str:
    """The primitives that are called by name, each with its line of the derivative table as it is written there."""
    source = inspect.getsource(primitives)
    lines = {
        statement.targets[0].id: ast.get_source_segment(source, statement)
        for statement in ast.parse(source).body
        if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name)
    }
    heading = f"### {', '.join(names)}\n"
    table = "\n".join(str(lines[name.removeprefix("tl.")]) for name in names)
    return f"{heading}\n{PRIMITIVES}\n```text\n{table}\n```\n"


def class_entry(name: str, value: type) -> Iterator[str]:
    """A class: how it is made, its docstring, and its public methods and properties."""
    if issubclass(value, BaseException):
        signature = f"class {name}({value.__bases__[0].__name__})"
    elif len(shown := [text for text in parameters(value) if not text.startswith("_")]) < len(parameters(value)):
        signature = "\n    ".join([f"class {name}:", *shown])  # made by the library alone: what one may read
    else:
        signature = call(name, shown, "")
    yield f"```python\n{signature}\n```\n\n{doc_of(value)}\n"
    members = [line for key, member in members_of(value) if (line := member_entry(key, member, value))]
    if members:
        yield "\n".join(members) + "\n"


def members_of(value: type) -> Iterator[tuple[str, Any]]:
    """Public methods and properties: the class's own and those of bases that have no entry themselves."""
    seen = set()
    for base in value.__mro__:
        if base is not value and not base.__name__.startswith("_"):
            continue
        for key, member in vars(base).items():
            if key not in seen and (key == "__call__" or not key.startswith("_")):
                seen.add(key)
                yield key, member


def member_entry(key: str, member: Any, owner: type) -> str | None:
    """One line and its docstring; None for what is neither a method nor a property."""
    if isinstance(member, property | cached_property):
        function = member.fget if isinstance(member, property) else member.func
        head = f"{key}{returned(function).replace(' -> ', ': ')}"
    elif isinstance(member, classmethod | staticmethod):
        function = member.__func__
        head = call(key, parameters(function, isinstance(member, classmethod)), returned(function)).replace("\n", "")
    elif inspect.isfunction(member):
        function = member
        given = ", ".join(parameters(function, 1))
        head = f"{owner.__name__.lower() if key == '__call__' else key}({given}){returned(function)}"
    else:
        return None
    return f"- `{head}`: {doc_of(function)}".replace("\n", "\n  ")


def page() -> str:
    """The whole page."""
    slugs = {s.title: re.sub(r"[^\w\- ]", "", s.title.lower()).replace(" ", "-") for s in SECTIONS}
    parts = [OPENING, " ·\n".join(f"[{title}](#{slug})" for title, slug in slugs.items()) + "\n"]
    for section in SECTIONS:
        module = import_module(section.module)
        intro = textwrap.fill(section.intro, 120) if section.intro else markdown(str(module.__doc__))
        parts.append(f"## {section.title}\n\n{intro}\n")
        if section.imported:
            parts.append(f"```python\n{section.imported}\n```\n")
        entries = names_of(section)
        table = [name for name, value in entries.items() if isinstance(value, Primitive)]
        if table:
            parts.append(primitives_entry(table))
        parts += [entry(name, value) for name, value in entries.items() if name not in table]
    return "\n".join(parts)


if __name__ == "__main__":
    write_atomically(PAGE, page())

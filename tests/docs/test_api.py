"""docs/api.md: it is what the code makes of itself, every public name is on it, and each has a docstring and types."""

from __future__ import annotations

import inspect
import pkgutil
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import make_api
import pytest

import tinygrad_lstm as tl

NAMES = {name: value for section in make_api.SECTIONS for name, value in make_api.names_of(section).items()}


def functions() -> dict[str, Any]:
    """Every public function, and the constructors and methods of every public class, by name."""
    found: dict[str, Any] = {}
    for name, value in NAMES.items():
        if isinstance(value, make_api.Primitive):
            continue
        if inspect.isclass(value):
            if inspect.isfunction(vars(value).get("__init__")):
                found[f"{name}.__init__"] = value.__init__
            for key, member in make_api.members_of(value):
                member = getattr(member, "fget", None) or getattr(member, "func", None) or member
                member = getattr(member, "__func__", member)
                if inspect.isfunction(member):
                    found[f"{name}.{key}"] = member
        elif callable(value):
            found[name] = value
    return found


FUNCTIONS = functions()


def test_the_page_is_what_the_code_makes() -> None:
    assert make_api.PAGE.read_text(encoding="utf-8") == make_api.page(), "run python docs/make_api.py"


IMPORTED_AS_PUBLIC = re.findall(r" as (\w+)$", Path(tl.__file__).read_text(encoding="utf-8"), re.MULTILINE)


def test_every_public_name_of_every_room_is_on_the_page() -> None:
    headings = set(re.findall(r"[\w.]+", " ".join(re.findall(r"^### (.*)$", make_api.page(), re.MULTILINE))))
    assert headings == NAMES.keys()
    rooms = [tl, *(import_module(f"tinygrad_lstm.{m.name}") for m in pkgutil.iter_modules(tl.__path__) if m.ispkg)]
    for room in [*rooms, tl.interop.onnx]:
        for name in getattr(room, "__all__", IMPORTED_AS_PUBLIC if room is tl else []):
            value = getattr(room, name)
            if inspect.ismodule(value):
                assert value in {
                    import_module(".".join(s.module.split(".")[:k])) for s in make_api.SECTIONS for k in (2, 3)
                }
            else:
                assert any(value is known for known in NAMES.values()), f"{room.__name__}.{name}"


def test_every_name_is_reached_as_it_is_written() -> None:
    lines = ["import tinygrad_lstm as tl", *(line for s in make_api.SECTIONS if (line := s.imported)), *NAMES]
    done = subprocess.run([sys.executable, "-c", "\n".join(lines)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", [name for name, v in NAMES.items() if inspect.isclass(v) or inspect.isfunction(v)])
def test_every_public_name_has_a_docstring_of_its_own(name: str) -> None:
    assert re.match(r"\S[^\n]{10,}", NAMES[name].__doc__ or "")
    assert not NAMES[name].__doc__.startswith(f"{NAMES[name].__name__}("), "dataclass made this one"


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_public_function_is_documented_and_typed(name: str) -> None:
    function = FUNCTIONS[name]
    if not name.endswith(".__init__"):  # the class's docstring says how it is made
        assert function.__doc__
    given = list(inspect.signature(function).parameters.values())
    for parameter in given["." in function.__qualname__ :]:
        assert parameter.annotation is not inspect.Parameter.empty, f"{name}: {parameter.name}"
    assert inspect.signature(function).return_annotation is not inspect.Signature.empty

"""Mutation testing of the modules a wrong gradient could hide in: every small fault put there must make a test fail.

    python tests/bench/mutants.py [MODULE ...] [--only TEXT] [--explained]

Each mutant is one small fault in one expression or statement. The tests that ran the faulty lines run in a process of
its own, those of the module first, the quicker ones first, until one fails. No file is changed. A mutant that no test
can kill, because it computes the same or only costs time, stands with its reason in mutants-explained.txt and is run
with --explained only. The command ends with exit status 1 where one is neither killed nor explained. MODULE is a path
such as flow/graph.py; --only keeps mutants whose line or function holds TEXT.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import copy
import gc
import importlib.abc
import importlib.util
import json
import os
import resource
import select
import signal
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"
sys.dont_write_bytecode = True
ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))
PACKAGE = ROOT / "tinygrad_lstm"
EXPLAINED = Path(__file__).with_name("mutants-explained.txt")
CELL = ["cell.py", "cells.py", "recording.py", "recorded.py", "words.py", "anatomy.py", "compile.py", "scan.py"]
TARGETS = ["primitives.py", "forwards.py", "autodiff.py", "gradients.py", *(f"nn/{name}" for name in CELL)]
TARGETS += [f"flow/{p.name}" for p in sorted(PACKAGE.glob("flow/*.py"))]
PROGRAMS = {"test_examples.py", "test_notebooks.py", "test_readme.py", "test_files.py", "test_optim.py"}
TESTS = [f"tests/{p.name}" for p in sorted(ROOT.glob("tests/test_*.py")) if p.name not in PROGRAMS]
TESTS += ["tests/nn", "tests/flow", "tests/trust/test_modules.py", "tests/trust/test_numerics.py"]
TESTS += ["tests/docs/test_bptt.py"]  # where the text of programs is written down
SLOWEST = 1.0  # seconds of a processor: a test that takes longer is left out
ENOUGH = 30.0  # seconds of tests that a mutant has to be killed in
WORKERS = 2
MEMORY = 8 << 30  # bytes of address space a child may take

# ── mutants ────────────────────────────────────────────────────────────────────────────────────

OPERATORS: dict[type[ast.AST], type[ast.AST]] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.FloorDiv: ast.Mult,
    ast.Pow: ast.Mult, ast.BitOr: ast.BitAnd, ast.BitAnd: ast.BitOr, ast.LShift: ast.RShift,
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In, ast.And: ast.Or, ast.Or: ast.And,
}  # fmt: skip
NAMES = {"min": "max", "max": "min", "minimum": "maximum", "maximum": "minimum", "any": "all", "all": "any"}
Span = tuple[int, int, int, int]


@dataclass(frozen=True)
class Mutant:
    """A fault: what `span` of a module's text becomes, shown as its line before and after."""

    module: str
    function: str
    span: Span
    text: str
    before: str
    after: str
    lines: tuple[int, int]  # that a test has to run to see it
    in_function: bool

    @property
    def key(self) -> tuple[str, ...]:
        return self.module, self.function, self.before, self.after


def faults(node: ast.AST) -> Iterator[tuple[ast.AST, ast.AST]]:
    """Pairs (part of the tree, what stands in its place)."""
    match node:
        case ast.BinOp(op=op) if type(op) in OPERATORS:
            yield node, _with(node, op=OPERATORS[type(op)]())
        case ast.AugAssign(target=target, op=op, value=value):
            yield node, ast.Pass()
            yield node, ast.Assign([target], ast.BinOp(target, OPERATORS[type(op)](), value))
        case ast.BoolOp(op=op, values=values):
            for k in range(len(values)):
                rest = values[:k] + values[k + 1 :]
                yield node, rest[0] if len(rest) == 1 else _with(node, values=rest)
            yield node, _with(node, op=OPERATORS[type(op)]())
        case ast.Compare(ops=ops):
            for k, op in enumerate(ops):
                yield node, _with(node, ops=[*ops[:k], OPERATORS[type(op)](), *ops[k + 1 :]])
        case ast.UnaryOp(operand=operand):
            yield node, operand
        case ast.If(test=test) | ast.IfExp(test=test) | ast.While(test=test):
            yield test, ast.Constant(True)
            yield test, ast.Constant(False)
        case ast.comprehension(ifs=[*tests]):
            for test in tests:
                yield test, ast.Constant(True)
        case ast.Constant(value=bool(value)):
            yield node, ast.Constant(not value)
        case ast.Constant(value=int(value)):
            yield node, ast.Constant(value + 1)
        case ast.Constant(value=float(value)):
            yield node, ast.Constant(value * 2 + 1)
        case ast.Slice(lower=lower, upper=upper, step=step):
            for name, part in (("lower", lower), ("upper", upper), ("step", step)):
                if part is not None:
                    yield node, _with(node, **{name: None})
        case ast.Call(func=func, args=args, keywords=keywords):
            for k in range(len(keywords)):
                yield node, _with(node, keywords=keywords[:k] + keywords[k + 1 :])
            if isinstance(func, ast.Attribute) and not args:
                yield node, func.value
            name = func.id if isinstance(func, ast.Name) else getattr(func, "attr", "")
            if name in NAMES:
                other = _with(func, **{"id" if isinstance(func, ast.Name) else "attr": NAMES[name]})
                yield node, _with(node, func=other)
        case ast.Return(value=ast.Name() as body) | ast.Lambda(body=ast.Name() as body):
            yield body, ast.Constant(None)
        case ast.Break():
            yield node, ast.Continue()
        case ast.Continue():
            yield node, ast.Break()
            yield node, ast.Pass()
        case ast.Expr() | ast.Assign(targets=[ast.Attribute() | ast.Subscript()]):
            yield node, ast.Pass()


def _with(node: ast.AST, **changed: Any) -> ast.AST:
    other = copy.copy(node)
    for name, value in changed.items():
        setattr(other, name, value)
    return other


class Finder(ast.NodeVisitor):
    """The mutants of one module, in the order of their lines."""

    def __init__(self, module: str) -> None:
        self.module = module
        self.source = (PACKAGE / module).read_text(encoding="utf-8")
        self.tree = ast.parse(self.source)
        self.found: list[Mutant] = []
        self.path: list[str] = []
        self.region: tuple[int, int] = (1, 1)
        self.depth = 0  # of functions round the node
        self.visit(self.tree)

    def visit(self, node: ast.AST) -> None:
        """Leave out what does not run: imports, annotations, docstrings, assertions for the type checker, messages."""
        if isinstance(node, (ast.Import, ast.ImportFrom, ast.Assert, ast.Raise, ast.JoinedStr)):
            return
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            return
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            return
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) in ("__all__", "__slots__"):
            return
        outer = self.region
        if isinstance(node, ast.stmt):
            body = getattr(node, "body", None)
            last = max(body[0].lineno - 1, node.lineno) if body else node.end_lineno or node.lineno
            self.region = node.lineno, last
        elif isinstance(node, ast.Lambda):
            self.region = node.body.lineno, node.body.end_lineno or node.body.lineno
        for part, other in faults(node):
            # The body of a lambda belongs to the lambda, its fault is seen from the lambda itself.
            self.add(part, other, self.depth + isinstance(node, ast.Lambda))
        if isinstance(node, (ast.FunctionDef, ast.Lambda, ast.ClassDef)):
            self.inside(node)
        else:
            for name, value in ast.iter_fields(node):
                if name not in ("annotation", "returns"):
                    for child in value if isinstance(value, list) else [value]:
                        if isinstance(child, ast.AST):
                            self.visit(child)
        self.region = outer

    def inside(self, node: ast.FunctionDef | ast.Lambda | ast.ClassDef) -> None:
        if not isinstance(node, ast.ClassDef):
            for default in [*node.args.defaults, *(d for d in node.args.kw_defaults if d is not None)]:
                self.visit(default)
        self.path.append(getattr(node, "name", "lambda"))
        self.depth += not isinstance(node, ast.ClassDef)
        for child in node.body if isinstance(node.body, list) else [node.body]:
            self.visit(child)
        self.depth -= not isinstance(node, ast.ClassDef)
        self.path.pop()

    def add(self, part: Any, other: ast.AST, depth: int) -> None:
        span = (part.lineno, part.col_offset, part.end_lineno, part.end_col_offset)
        text = ast.unparse(ast.fix_missing_locations(other))
        if isinstance(other, ast.expr) and not isinstance(other, (ast.Slice, ast.Constant, ast.Name)):
            text = f"({text})"
        after = replaced(self.source, span, text)
        shown = [_line(t, span[0], span[2] + t.count("\n") - self.source.count("\n")) for t in (self.source, after)]
        path = ".".join(name for name in self.path if name != "lambda") or "(module)"
        if shown[0] != shown[1]:
            self.found.append(Mutant(self.module, path, span, text, *shown, self.region, depth > 0))


def _line(source: str, first: int, last: int) -> str:
    return " ".join(line.strip() for line in source.split("\n")[first - 1 : max(first, last)])


def replaced(source: str, span: Span, text: str) -> str:
    """The module with one span changed. Columns of a syntax tree count bytes."""
    lines = [line.encode() for line in source.split("\n")]
    first, start, last, end = span
    lines[first - 1 : last] = [lines[first - 1][:start] + text.encode() + lines[last - 1][end:]]
    return b"\n".join(lines).decode()


# ── putting one in ─────────────────────────────────────────────────────────────────────────────


def functions_of(code: CodeType) -> list[CodeType]:
    """The code of every function that stands directly in a module or class, in the order of the text."""
    found = []
    for const in code.co_consts:
        if isinstance(const, CodeType):
            found += [const] if const.co_flags & 1 else functions_of(const)  # 1: a function, not a class
    return found


def put_in(mutant: Mutant, functions: list[FunctionType]) -> None:
    """Give those functions that are of the module the code of the faulty one."""
    path = str(PACKAGE / mutant.module)
    source = (PACKAGE / mutant.module).read_text(encoding="utf-8")
    old = functions_of(compile(source, path, "exec", dont_inherit=True))
    new = functions_of(compile(replaced(source, mutant.span, mutant.text), path, "exec", dont_inherit=True))
    changed = {_place(a): b for a, b in zip(old, new, strict=True) if a != b or _names(a) != _names(b)}
    for function in functions:
        if function.__code__.co_filename == path:
            function.__code__ = changed.get(_place(function.__code__), function.__code__)


def _place(code: CodeType) -> tuple[Any, ...]:
    return code.co_qualname, code.co_firstlineno, tuple(code.co_positions())


def _names(code: CodeType) -> tuple[Any, ...]:
    return code.co_names, [_names(c) if isinstance(c, CodeType) else repr(c) for c in code.co_consts]


class Faulty(importlib.abc.MetaPathFinder, importlib.abc.InspectLoader):
    """Imports the faulty module in the place of the true one, for faults in what runs on import."""

    def __init__(self, mutant: Mutant) -> None:
        parts = ["tinygrad_lstm", *mutant.module.removesuffix(".py").split("/")]
        self.package = parts[-1] == "__init__"
        self.name = ".".join(parts[:-1] if self.package else parts)
        self.mutant = mutant

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        place = PACKAGE / self.mutant.module
        return importlib.util.spec_from_file_location(name, place, loader=self) if name == self.name else None

    def is_package(self, name: str) -> bool:
        return self.package

    def get_source(self, name: str) -> str:
        source = (PACKAGE / self.mutant.module).read_text(encoding="utf-8")
        return replaced(source, self.mutant.span, self.mutant.text)


# ── running tests ──────────────────────────────────────────────────────────────────────────────

Lines = set[tuple[str, int]]
DIED = "its time limit, or a crash"


class Watch:
    """A trace function that keeps which lines inside functions of the targets were run."""

    def __init__(self, targets: list[str]) -> None:
        self.modules = {str(PACKAGE / name): name for name in targets}
        self.lines: Lines = set()

    def __call__(self, frame: Any, event: str, arg: Any) -> Any:
        module = self.modules.get(frame.f_code.co_filename)
        if module is None or not frame.f_code.co_flags & 1:
            return None

        def line(frame: Any, event: str, arg: Any) -> Any:
            self.lines.add((module, frame.f_lineno))
            return line

        return line(frame, event, arg)


class Runner:
    """A plugin of pytest that takes over once the tests are collected."""

    def __init__(self, then: Callable[[Runner], object]) -> None:
        self.then = then
        self.failed = ""

    def pytest_collection(self) -> None:
        from hypothesis import Phase, settings

        # The first example that fails is enough: to shrink it takes longer than all else.
        settings.register_profile("mutants", settings.default, phases=[Phase.explicit, Phase.generate])
        settings.load_profile("mutants")

    def pytest_runtest_logreport(self, report: Any) -> None:
        if report.failed:
            self.failed = report.nodeid

    def pytest_runtestloop(self, session: Any) -> bool:
        self.items = {item.nodeid: item for item in session.items}
        self.failed = "the tests cannot be collected" if session.testsfailed else ""
        self.then(self)
        return True

    def run(self, tests: dict[str, float]) -> str:
        """The first of these tests that fails. Where one takes ten times its seconds, SIGVTALRM ends the process."""
        items = [self.items[name] for name in tests if name in self.items] if not self.failed else []
        for item, after in zip(items, [*items[1:], None], strict=True) if items else ():
            signal.setitimer(signal.ITIMER_VIRTUAL, 1 + 10 * tests[item.nodeid])
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=after)
            if self.failed:
                break
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        return self.failed


def collect(files: list[str], then: Callable[[Runner], object]) -> None:
    """Have pytest collect tests, and call `then` in the place of running them."""
    import pytest

    options = ["-q", "-s", "--tb=no", "-p", "no:cacheprovider", "-W", "ignore:Module already imported"]
    pytest.main([*options, *files], plugins=[Runner(then)])


def in_children(works: Iterable[tuple[Any, Callable[[], Any]]], at_once: int) -> Iterator[tuple[Any, Any]]:
    """Call each work in a forked process of its own: pairs (key, what it returned, None where it died)."""
    works = iter(works)
    running: dict[int, tuple[Any, int, list[bytes]]] = {}
    while True:
        while len(running) < at_once and (work := next(works, None)):
            reading, pid = _fork(work[1])
            running[reading] = work[0], pid, []
        if not running:
            return
        for stream in select.select(list(running), [], [])[0]:
            key, pid, parts = running[stream]
            part = os.read(stream, 1 << 16)
            parts.append(part)
            if not part:
                os.close(stream)
                os.waitpid(pid, 0)
                del running[stream]
                answer = json.loads(b"".join(parts)) if any(parts) else None
                if isinstance(answer, str) and answer.startswith("BROKEN"):
                    raise RuntimeError(f"{key}: {answer}")  # a fault of this program, not a test that failed
                yield key, answer


def _fork(work: Callable[[], Any]) -> tuple[int, int]:
    reading, writing = os.pipe()
    pid = os.fork()
    if pid:
        os.close(writing)
        return reading, pid
    try:
        silence = os.open(os.devnull, os.O_RDWR)
        for stream in (0, 1, 2):
            os.dup2(silence, stream)
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        try:
            answer = json.dumps(work()).encode()
        except Exception as error:
            answer = json.dumps(f"BROKEN {error!r}").encode()
        while answer:
            answer = answer[os.write(writing, answer) :]
    finally:
        os._exit(0)


def watched(files: list[str], targets: list[str]) -> dict[str, Any]:
    """Every test's seconds and lines, the lines run on import, and the tests that failed or were slow."""
    found: dict[str, Any] = {"tests": {}, "left out": []}
    on_import = Watch(targets)

    def then(runner: Runner) -> None:
        sys.settrace(None)
        if runner.failed:
            return
        found["on import"] = sorted(on_import.lines)
        for name in runner.items:
            watch = Watch(targets)
            started = time.process_time()
            sys.settrace(watch)
            failed = runner.run({name: 60.0})
            sys.settrace(None)
            seconds = time.process_time() - started
            if failed or seconds > SLOWEST:
                found["left out"].append(f"{name}: {'failed' if failed else f'{seconds:.1f} s'}")
            elif watch.lines:
                found["tests"][name] = seconds, sorted(watch.lines)
            runner.failed = ""

    sys.settrace(on_import)
    collect(files, then)
    if "on import" not in found:
        raise RuntimeError("the tests cannot be collected: see what pytest says")
    return found


def on_import(mutant: Mutant, tests: dict[str, float]) -> str:
    """Put the mutant in before the package is imported; the first test that fails."""
    failed: list[str] = ["the package cannot be imported"]
    sys.meta_path.insert(0, Faulty(mutant))

    def then(runner: Runner) -> None:
        failed[0] = runner.run(tests)

    collect(sorted({name.partition("::")[0] for name in tests}), then)
    return failed[0]


def explanations() -> dict[tuple[str, ...], str]:
    """The mutants that cannot be killed, with the reason: see the head of the file for its form."""
    found: dict[tuple[str, ...], str] = {}
    place, before, after = ("", ""), "", []
    for line in EXPLAINED.read_text(encoding="utf-8").splitlines():
        sign, text = line[:2], line[2:]
        if sign == "@ ":
            module, _, function = text.partition(" ")
            place = module, function
        elif sign == "- ":
            before, after = text, []
        elif sign == "+ ":
            after.append(text)
        elif sign == "= ":
            found |= {(*place, before, a): text for a in after}
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("modules", nargs="*", metavar="MODULE", help=f"of {', '.join(TARGETS)} (default: all)")
    parser.add_argument("--only", default="", metavar="TEXT", help="only mutants whose line or function holds TEXT")
    parser.add_argument("--explained", action="store_true", help="run the explained ones too: no test may kill them")
    args = parser.parse_args()
    targets = args.modules or TARGETS
    started = time.monotonic()
    os.chdir(ROOT)
    for name in ("hypothesis", "numpy", "pytest", "torch"):  # what a child then need not import
        with contextlib.suppress(ImportError):
            __import__(name)

    every = [m for name in targets for m in Finder(name).found]
    every = [m for m in every if args.only in f"{m.before} {m.function}"]
    known = explanations()
    wanted = [m for m in every if args.explained or m.key not in known]
    print(f"{len(every)} mutants, {len(every) - len(wanted)} of them explained and not run", flush=True)
    ((_, seen),) = in_children([(None, lambda: watched(TESTS, targets))], 1)
    for line in seen["left out"]:
        print(f"left out: {line}")
    tests = {name: (seconds, {tuple(x) for x in lines}) for name, (seconds, lines) in seen["tests"].items()}
    early = {tuple(x) for x in seen["on import"]}
    print(
        f"{len(tests)} tests, {sum(t for t, _ in tests.values()):.0f} s; watched in {time.monotonic() - started:.0f} s",
        flush=True,
    )

    def of(module: str, lines: Callable[[Lines], bool]) -> dict[str, float]:
        """The tests to run: those of the module itself first, the quicker ones first, ENOUGH seconds of them."""
        home = Path(module).with_name(f"test_{Path(module).stem}").as_posix()
        found = sorted((home not in n, t, n) for n, (t, ran) in tests.items() if lines(ran))
        spent = accumulate(t for _, t, _ in found)
        return {n: t for (_, t, n), all_so_far in zip(found, spent, strict=True) if all_so_far <= ENOUGH}

    cold, warm = [], []
    for m in wanted:
        region = {(m.module, n) for n in range(m.lines[0], m.lines[1] + 1)}
        closure = "super()" in m.before  # without which the function would have another
        if m.in_function and not closure and not region & early:
            warm.append((m, of(m.module, lambda ran, region=region: bool(ran & region))))
        else:
            cold.append((m, of(m.module, lambda ran, m=m: any(name == m.module for name, _ in ran))))
    killed: dict[Mutant, str] = {}

    def note(answers: Iterator[tuple[Mutant, str | None]]) -> None:
        for k, (m, answer) in enumerate(answers):
            if k % 100 == 0:
                print(f"{k} run, {time.monotonic() - started:.0f} s", file=sys.stderr, flush=True)
            if answer != "":
                killed[m] = answer or DIED
            if answer == "":
                print(f"{'explained' if m.key in known else 'SURVIVED'}\n{shown(m)}", flush=True)

    note(in_children(((m, lambda m=m, few=few: on_import(m, few)) for m, few in cold), WORKERS))

    def then(runner: Runner) -> None:
        functions = [f for f in gc.get_objects() if type(f) is FunctionType]
        gc.freeze()  # or every child would write to the memory that it shares

        def one(m: Mutant, few: dict[str, float]) -> str:
            put_in(m, functions)
            return runner.run(few)

        note(in_children(((m, lambda m=m, few=few: one(m, few)) for m, few in warm), WORKERS))

    collect(TESTS, then)

    print(f"\n{'module':<20}{'mutants':>9}{'killed':>9}{'explained':>11}{'survived':>10}")
    rows = [(name, [m for m in every if m.module == name]) for name in targets]
    for name, mine in [*rows, ("all", every)]:
        dead = sum(m in killed and m.key not in known for m in mine)
        told = sum(m.key in known for m in mine)
        print(f"{name:<20}{len(mine):>9}{dead:>9}{told:>11}{len(mine) - dead - told:>10}")
    wrong = [m for m in killed if m.key in known]
    for m in wrong:
        print(f"\nexplained, but killed by {killed[m]}:\n{shown(m)}")
    gone = 0
    if not args.only:
        for key in known.keys() - {m.key for m in every}:
            if key[0] in targets:
                print("\nexplained, but no longer there:\n@ {} {}\n- {}\n+ {}".format(*key))
                gone += 1
    survived = [m for m in wanted if m not in killed and m.key not in known]
    print(f"{sum(by == DIED for by in killed.values())} killed by their time limit or a crash")
    print(f"{(time.monotonic() - started) / 60:.0f} minutes")
    if survived or wrong or gone:
        print(f"{len(survived)} neither killed nor explained, {len(wrong) + gone} explained wrongly")
        return 1
    print("every mutant killed or explained")
    return 0


def shown(m: Mutant) -> str:
    return f"@ {m.module} {m.function}\n- {m.before}\n+ {m.after}"


if __name__ == "__main__":
    sys.exit(main())

"""The steps of a known cell inside any traced graph: which node plays which role."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from itertools import pairwise

from ..flow import Edge, Flow, Node
from ..nn.cells import GATES

_KINDS = ("lstm", "rnn")  # the names of the cells' scopes
_LETTERS = {name: letter for letter, name in GATES.items()}
_LSTM = {"z", "i@", "i", "g@", "g", "o@", "o", "i × g", "c", "tanh c", "h"}
_OUTPUT = {"o@", "o", "tanh c", "h"}
_OPTIONAL = {"f@", "f", "f × c", "f+", "i+", "g+", "o+"}
_RNN = {"z", "h@", "h"}
_MADE_BY = {"z": "concat", "f × c": "mul", "i × g": "mul", "c": "add", "tanh c": "tanh", "h@": "matmul"}


@dataclass
class CellStep:
    """One time step of an LSTM or RNN cell: `roles` maps z, f@, f+, f, ..., c, tanh c, h to nodes."""

    kind: str
    number: int
    roles: dict[str, Node] = field(default_factory=dict)

    @property
    def x(self) -> Node:
        """The input of this step."""
        return self.roles["z"].inputs[1].source

    def entering(self, role: str) -> Edge:
        """The edge that brings the h or c of the step before into this one."""
        if role == "h":
            return self.roles["z"].inputs[0]
        return self.roles["f × c"].inputs[1] if "f × c" in self.roles else self.roles["c"].inputs[0]

    def leaving(self, role: str) -> list[Edge]:
        """The edges that take the h or c of this step out of the cell, as to a loss."""
        if role not in self.roles:
            return []
        return [edge for edge in self.roles[role].uses if not _in_cell(edge.consumer)]

    @property
    def state(self) -> Node:
        """What carries the past along the main path: c of an LSTM, h of an RNN."""
        return self.roles["c" if self.kind == "lstm" else "h"]


def find_chain(flow: Flow) -> list[CellStep] | None:
    """The steps of the one recurrent cell in a graph, in order; None for none, several, or one of unknown roles."""
    steps: list[CellStep] = []
    for node in flow.nodes:
        at = next((k for k, s in enumerate(node.scopes) if s.name in _KINDS), None)
        if at is None:
            continue
        kind = node.scopes[at].name
        role = _role(node, kind, at)
        if role == "z":
            steps.append(CellStep(kind, node.step or len(steps) + 1))
        if role is None or not steps or steps[-1].kind != kind or role in steps[-1].roles:
            return None
        steps[-1].roles[role] = node
    if not steps or not all(map(_complete, steps[:-1])) or not _complete(steps[-1], last=True):
        return None
    return steps if _linked(steps) and _self_contained(flow, steps) else None


def _role(node: Node, kind: str, at: int) -> str | None:
    inside = [s.name for s in node.scopes[at + 1 :]]
    if kind == "rnn":
        return {"concat": "z", "matmul": "h@", "add": "h+", "tanh": "h"}.get(node.op or "") if not inside else None
    if not inside:
        return node.name
    letter = _LETTERS.get(inside[0])
    if letter is None or len(inside) > 1:
        return None
    return {"matmul": f"{letter}@", "add": f"{letter}+", "sigmoid": letter, "tanh": letter}.get(node.op or "")


def _complete(step: CellStep, last: bool = False) -> bool:
    """Whether a step has all its roles and no other; the last one may stop at c."""
    roles = step.roles.keys()
    if any(node.op != _MADE_BY.get(role, node.op) for role, node in step.roles.items()):
        return False
    if step.kind == "rnn":
        return roles >= _RNN
    return roles >= (_LSTM - _OUTPUT if last and "h" not in roles else _LSTM) and roles <= _LSTM | _OPTIONAL


def _linked(steps: list[CellStep]) -> bool:
    return all(
        after.entering(role).source is before.roles.get(role)
        for before, after in pairwise(steps)
        for role in (("c", "h") if after.kind == "lstm" else ("h",))
    )


def _self_contained(flow: Flow, steps: list[CellStep]) -> bool:
    """Whether only the h of each step and the last c go out, and nothing that went out comes back in."""
    inside = {node for step in steps for node in step.roles.values()}
    out = {node for step in steps for node in (step.roles.get("h"), steps[-1].roles.get("c"))}
    beyond: set[Node] = set()
    for node in flow.nodes:
        sources = {edge.source for edge in node.inputs}
        if node in inside:
            if sources & beyond:
                return False
        elif sources & inside:
            if not sources & inside <= out:
                return False
            beyond.add(node)
        elif sources & beyond:
            beyond.add(node)
    return True


def _in_cell(node: Node) -> bool:
    return any(scope.name in _KINDS for scope in node.scopes)


# ── how fast the gradient shrinks ──────────────────────────────────────────────────────────────


def shrinkage(steps: list[CellStep]) -> float | None:
    """The factor by which the state's gradient norm changes per step back, from the last state to the first.

    The geometric mean over the steps between them; of a single step, over that step. None where it does not exist.
    """
    first, last, count = steps[0].state, steps[-1].state, len(steps) - 1
    if not count:
        first, count = steps[0].entering("c" if steps[0].kind == "lstm" else "h").source, 1
    if not first.norm or not last.norm:
        return None
    factor = (first.norm / last.norm) ** (1 / count)
    return factor if math.isfinite(factor) else None


def shrinkage_words(steps: list[CellStep]) -> str:
    """The factor of `shrinkage` in words; where the norm rounds to 0, the last step at which it does; or nothing."""
    factor = shrinkage(steps)
    if factor is not None:
        return f"× {factor:.3g} per step back"
    gone = [step.number for step in steps if step.state.norm == 0]
    return f"0 in floating point up to step {gone[-1]}" if gone and steps[-1].state.norm else ""

"""What is folded away of a graph that is too large to draw: which nodes go into which group."""

from __future__ import annotations

from collections.abc import Hashable
from typing import NamedTuple

from ..flow import Flow, Node
from ..flow.graph import ScopeName

STEPS = 60  # nodes beyond which what repeats is folded: a graph of steps would be longer than a few pages
LIMIT = 300  # nodes that dot still lays out quickly and a person can still follow
_ENDS = 25  # operations at both ends that stay, and leaves of one operation
_GROUPS = 24  # folded steps side by side


class Group(NamedTuple):
    """A folded part of a graph: its number, what it is called, the scopes round it."""

    number: int
    label: str
    around: tuple[ScopeName, ...]


def fold(flow: Flow) -> dict[Node, Group]:
    """The group of each node that is folded.

    The first, second and last step stay open; every other step is one group. Where that is not enough, what is left
    keeps its ends and is folded by outermost scope between them. Of many leaves that go into one operation the first
    few stay.
    """
    home: dict[Node, Group] = {}
    groups: dict[Hashable, Group] = {}  # in the order they were begun

    def put(node: Node, key: Hashable, label: str, around: tuple[ScopeName, ...] = ()) -> None:
        home.setdefault(node, groups.setdefault(key, Group(len(groups), label, around)))

    operations = [node for node in flow.nodes if node.op]
    steps = {node: _step_scopes(node) for node in operations if node.step is not None}
    numbers = sorted({path[-1].step or 0 for path in steps.values()})
    several = len(set(steps.values())) > len(numbers)  # cells side by side, as layers above each other
    opened = set() if several else {*numbers[:2], numbers[-1]} if numbers else set()
    for node, path in steps.items():
        if path[-1].step not in opened:
            put(node, path, str(path[-1]), path[:-1])
    rest = [node for node in operations if node not in home]
    if len(flow.nodes) - len(home) + len(groups) > LIMIT:
        for node in rest[_ENDS:-_ENDS]:
            put(node, node.scopes[:1], str(node.scopes[0]) if node.scopes else "the middle")
    if len(groups) > _GROUPS:  # more than can be followed: one group for all
        folded, label = [*home], f"{len(groups)} parts"
        home.clear()
        groups.clear()
        for node in folded:
            put(node, "parts", label)
    leaves: dict[Node, list[Node]] = {}  # that go into one operation which stays
    for node in flow.nodes:
        users = {home.get(edge.consumer) for edge in node.uses}
        if node.op is None and node.kind != "parameter" and len(users) == 1:
            if group := users.pop():
                home[node] = group
            else:
                leaves.setdefault(node.uses[0].consumer, []).append(node)
    for consumer, nodes in leaves.items():
        for node in nodes[3:] if len(nodes) > _ENDS else ():
            put(node, consumer, f"{len(nodes) - 3} inputs", consumer.scopes)
    return home


def _step_scopes(node: Node) -> tuple[ScopeName, ...]:
    """The scopes of a node down to the innermost that has a step."""
    return node.scopes[: 1 + max(k for k, scope in enumerate(node.scopes) if scope.step is not None)]

"""Where the elements of a step stand and which way its wires go, on a grid of tracks: columns to the right, rows down.

A state with a direct path has a lane of its own at the top, other states run along the bottom, x comes from below.
Gates stand side by side between them, operations on their lane, above the gates that feed them, or where they come
down from a lane in a column of their own. Wires go along tracks: one tree for each value, no two on one track.
"""

from __future__ import annotations

import heapq
import math
from collections import defaultdict
from collections.abc import Iterator
from functools import cache, partial
from itertools import count
from typing import NamedTuple

from .elements import Element, Elements

Cell = tuple[int, int]

CROSSINGS = 6  # more cannot be followed: `dot` then draws the graph
_RIGHT, _LEFT, _UP, _DOWN = (1, 0), (-1, 0), (0, -1), (0, 1)
_WAYS = (_RIGHT, _LEFT, _UP, _DOWN)
_BEND, _CROSSING = 2.5, 7.0  # in steps from cell to cell


class Lanes:
    """The elements of a step placed, its gates in the order in which they were recorded, and its wires routed.

    `at` is the middle of each element; `paths` the way of wire n of an element, cell by cell, from its source; `clear`
    whether every wire found a way and no more of them cross than can be followed.
    """

    def __init__(self, elements: Elements) -> None:
        columns = _Columns(elements)
        self.at, self.width, self.height = columns.tracks(), columns.width, columns.height
        routes = _Routes(self)
        self.paths = routes.paths
        crossings = sum(len(set(taken.values())) > 1 for taken in routes.taken.values())
        self.clear = not routes.lost and crossings <= CROSSINGS


class _Columns:
    """Which column and row each element stands in: ("lane", state), ("middle", n) with 0 for gates, ("join", None)."""

    def __init__(self, elements: Elements) -> None:
        self.elements = elements
        self.column: dict[Element, int] = {}
        self.row: dict[Element, tuple[str, object]] = {}
        self.kinds: list[str] = []  # of the columns
        self.outer = {elements.x, *elements.before.values()}
        self.feeds: dict[Element, list[Element]] = defaultdict(list)
        for e in elements.all:
            for wire in e.wires:
                self.feeds[wire.source].append(e)
        recorded = sorted(elements.all, key=lambda e: e.node.id)
        self.ops = [e for e in recorded if e.kind == "op"]
        self.down: set[Element] = set()  # what reads a lane, and what is made of it on the way down
        for e in self.ops:
            if not e.lane and any(w.source.lane or w.source in self.down for w in e.wires):
                self.down.add(e)
        self.waited_for = {w.source for e in elements.all if e.kind in ("gate", "join") for w in e.wires}
        for e in [e for e in recorded if e.kind == "gate"] + self.ops:
            self.place(e)

    def place(self, e: Element) -> None:
        """Put an element into its column, after what it reads."""
        if e in self.column or e in self.outer:
            return
        for wire in e.wires:
            if wire.source.kind != "join":
                self.place(wire.source)
        if e.kind == "gate":
            self._gate(e)
            for op in self.ops:  # what has become ready above it
                ready = all(w.source in self.column or w.source in self.outer for w in op.wires)
                if ready and op not in self.column and (op.lane or op not in self.down or op in self.waited_for):
                    self._operation(op)
        else:
            self._operation(e)

    def _new(self, kind: str) -> int:
        self.kinds.append(kind)
        return len(self.kinds) - 1

    def _put(self, e: Element, column: int, kind: str, value: object) -> None:
        self.column[e], self.row[e] = column, (kind, value)

    def _gate(self, e: Element) -> None:
        join = next((w.source for w in e.wires if w.source.kind == "join"), None)
        if join is not None and join not in self.column:
            self._join(join)
        if e.lane:
            self._put(e, self._new("gate"), "lane", e.lane)
        else:
            below = [w.source for w in e.wires if w.source.kind == "gate" and not w.source.lane]
            only = len(below) == len(e.wires) == 1 and len(self.feeds[below[0]]) == 1
            deep = self._middle(below[0]) - 1 if only else 0
            self._put(e, self.column[below[0]] if only else self._new("gate"), "middle", deep)
        if join is not None and join not in self.column:
            self._put(join, self.column[e], "join", None)

    def _join(self, join: Element) -> None:
        """In a column of its own; a join of one gate alone below this gate, once that has its column."""
        for wire in join.wires:
            self.place(wire.source)
        if len(self.feeds[join]) > 1:
            self._put(join, self._new("op"), "join", None)

    def _operation(self, e: Element) -> None:
        sources = [w.source for w in e.wires]
        placed = [s for s in sources if s in self.column]
        column = max((self.column[s] for s in placed), default=-1)
        if e.lane:
            lane = [c for o, c in self.column.items() if o.lane == e.lane]
            if column <= max(lane, default=-1):
                column = self._new("op")
            self._put(e, column, "lane", e.lane)
        elif e in self.down:
            above = [s for s in placed if s in self.down and self.column[s] == len(self.kinds) - 1]
            at = max((self._middle(s) + 1 for s in above), default=0 if any(s.kind == "gate" for s in sources) else -1)
            if not above or self._taken(self.column[above[0]], at):
                self._put(e, self._new("op"), "middle", at)
            else:
                self._put(e, self.column[above[0]], "middle", at)
        else:
            # What reads a gate that also goes straight up to a lane stands beside that way.
            aside = len(sources) == 1 and sources[0].kind == "gate" and any(o.lane for o in self.feeds[sources[0]])
            rows = [self._middle(s) - (self.column[s] == column) for s in placed if self.row[s][0] == "middle"]
            at = min([-1, *rows])
            if aside or column < 0 or self._taken(column, at):
                column = self._new("op")
            self._put(e, column, "middle", at)

    def _middle(self, e: Element) -> int:
        kind, value = self.row[e]
        return int(str(value)) if kind == "middle" else 0

    def _taken(self, column: int, at: int) -> bool:
        return any(self.column[e] == column and row == ("middle", at) for e, row in self.row.items())

    def tracks(self) -> dict[Element, Cell]:
        """The middle of every element, in tracks."""
        x, xs = (4 if self.kinds[:1] == ["gate"] else 2), []
        for column, kind in enumerate(self.kinds):
            half = max((e.half[0] for e, at in self.column.items() if at == column), default=0)
            wide = 4 if kind == "gate" else 2 + 2 * half
            xs.append(x + (wide + 1) // 2)
            x += wide
        self.width = x + 3
        ys = self._rows()
        at = {e: (xs[column], ys[self.row[e]]) for e, column in self.column.items()}
        at |= {e: (0, ys["lane", name]) for name, e in self.elements.before.items()}
        at |= {e: (self.width - 1, ys["lane", name]) for name, e in self.elements.outs.items()}
        readers = [at[e] for e in self.feeds[self.elements.x]]
        at[self.elements.x] = (min(readers, key=lambda p: (p[0], -p[1]))[0] if readers else 2, self.height - 1)
        return at

    def _rows(self) -> dict[tuple[str, object], int]:
        ys: dict[tuple[str, object], int] = {}
        y, lanes = 2, self.elements.lanes
        for k, name in enumerate(lanes):
            tall = max((e.half[1] for e in self.column if e.lane == name), default=1) - 1
            y += tall
            ys["lane", name] = y
            y += (6 if k < len(lanes) - 1 else 1) + tall
        y = y if lanes else -3
        for n in sorted({self._middle(e) for e, row in self.row.items() if row[0] == "middle"}):
            half = max(e.half[1] for e, row in self.row.items() if row == ("middle", n))
            y += 3 + half
            ys["middle", n] = y
            y += half
        others = [name for name in self.elements.before if name not in lanes]
        y += 4 if others or ("join", None) in self.row.values() else 0
        ys["join", None] = y
        ys |= {("lane", name): y + 5 * n for n, name in enumerate(others)}
        self.height = y + 5 * max(len(others) - 1, 0) + 6
        return ys


class _Port(NamedTuple):
    """A cell beside an element at which a wire can begin or end, and which way it goes there."""

    cell: Cell
    way: Cell
    cost: float
    side: tuple[Cell, int]


class _Routes:
    """The cheapest way of every wire, short ones first; what found no way goes first the next time."""

    def __init__(self, lanes: Lanes) -> None:
        self.at, self.width, self.height = lanes.at, lanes.width, lanes.height
        self.blocked: set[Cell] = set()
        for e, (x, y) in self.at.items():
            if e.kind not in ("state", "out"):
                w, h = e.half
                self.blocked |= {(i, j) for i in range(x - w, x + w + 1) for j in range(y - h, y + h + 1)}
        wires = [(wire.source, e, n) for e in self.at for n, wire in enumerate(e.wires)]
        wires.sort(key=lambda wire: self._urgency(*wire))
        for _ in range(6):
            self.taken: dict[Cell, dict[str, Element]] = defaultdict(dict)
            self.trees: dict[Element, dict[Cell, list[Cell]]] = defaultdict(dict)
            self.ports: dict[tuple[Element, tuple[Cell, int]], Element] = {}
            self.paths: dict[tuple[Element, int], list[Cell]] = {}
            self.lost = [wire for wire in wires if not self._route(*wire)]
            if not self.lost:
                return
            wires = self.lost + [wire for wire in wires if wire not in self.lost]

    def _urgency(self, source: Element, target: Element, n: int) -> tuple[int, int]:
        (x0, y0), (x1, y1) = self.at[source], self.at[target]
        return abs(x0 - x1) + abs(y0 - y1), n

    def _ports(self, e: Element, leaving: bool, crosses: bool, lane: bool) -> Iterator[_Port]:
        (x, y), (w, h) = self.at[e], e.half
        if e.kind in ("state", "out"):
            yield _Port((x, y), _RIGHT, 0, (_RIGHT, 0))
            return
        for side, cost in _sides(e, leaving, crosses, lane).items():
            for off in (0, -1, 1) if e.kind == "gate" and side in (_UP, _DOWN) else (0,):
                cell = x + side[0] * (w + 1) + off, y + side[1] * (h + 1)
                way = side if leaving else (-side[0], -side[1])
                yield _Port(cell, way, cost + _BEND * abs(off), (side, off))

    def _free(self, cell: Cell, source: Element) -> bool:
        """Whether no other value is in a cell."""
        inside = 0 <= cell[0] < self.width and 0 <= cell[1] < self.height and cell not in self.blocked
        return inside and all(owner is source for owner in self.taken[cell].values())

    def _route(self, source: Element, target: Element, n: int) -> bool:
        """Find the cheapest way of a wire, from its source or from a wire of the same value. Whether there is one."""
        lane = on_lane(source, target)
        tree = self.trees[source]
        into = self._ports(target, False, target.wires[n].crosses, lane)
        ends = {(port.cell, port.way): port for port in into if (target, port.side) not in self.ports}
        starts: dict[tuple[Cell, Cell], float] = {}
        for port in self._ports(source, True, False, lane):
            used = self.ports.get((source, port.side), source)
            if used is source and self._free(port.cell, source) and port.cell not in tree:
                starts[port.cell, port.way] = port.cost
        starts |= {(cell, way): 1.2 for cell in tree if self._free(cell, source) for way in _WAYS}
        found = self._search(source, starts, ends)
        if found is None:
            return False
        cells, end = found
        self.ports[target, end.side] = target
        whole = tree[cells[0]][:-1] + cells if cells[0] in tree else cells
        for k, cell in enumerate(cells):
            tree.setdefault(cell, whole[: len(whole) - len(cells) + k + 1])
            around = [*cells[max(0, k - 1) : k], *cells[k + 1 : k + 2]]
            axes = {"across" if other[1] == cell[1] else "down" for other in around}
            if k in (0, len(cells) - 1):
                axes = {"across", "down"}
            self.taken[cell] |= dict.fromkeys(axes, source)
        if cells[0] == whole[0]:
            self.ports |= {
                (source, p.side): source for p in self._ports(source, True, False, lane) if p.cell == cells[0]
            }
        self.paths[target, n] = whole
        return True

    def _search(
        self, source: Element, starts: dict[tuple[Cell, Cell], float], ends: dict[tuple[Cell, Cell], _Port]
    ) -> tuple[list[Cell], _Port] | None:
        """Dijkstra's search over cells and the ways in which they are entered."""
        order, free, step_into = count(), cache(partial(self._free, source=source)), cache(partial(self._step, source))
        queue = [(cost, next(order), *place) for place, cost in starts.items()]
        heapq.heapify(queue)
        least = dict(starts)
        before: dict[tuple[Cell, Cell], tuple[Cell, Cell]] = {}
        best: tuple[float, tuple[Cell, Cell], _Port] | None = None
        while queue:
            cost, _, cell, way = heapq.heappop(queue)
            if best is not None and cost >= best[0]:
                break
            if cost > least[cell, way]:
                continue
            for end in _WAYS:
                if (cell, end) in ends and end != (-way[0], -way[1]) and free(cell):
                    total = cost + ends[cell, end].cost + _BEND * (end != way)
                    if best is None or total < best[0]:
                        best = total, (cell, way), ends[cell, end]
            for turn in _WAYS:
                if turn == (-way[0], -way[1]) or (turn != way and not free(cell)):
                    continue
                ahead = cell[0] + turn[0], cell[1] + turn[1]
                step = step_into(ahead, turn)
                if step is not None:
                    total = cost + step + _BEND * (turn != way)
                    if total < least.get((ahead, turn), math.inf):
                        least[ahead, turn], before[ahead, turn] = total, (cell, way)
                        heapq.heappush(queue, (total, next(order), ahead, turn))
        if best is None:
            return None
        _, place, end_port = best
        cells = [place[0]]
        while place in before:
            place = before[place]
            cells.insert(0, place[0])
        return cells, end_port

    def _step(self, source: Element, cell: Cell, way: Cell) -> float | None:
        """What it costs to go on into a cell; None where that cannot be."""
        if not (0 <= cell[0] < self.width and 0 <= cell[1] < self.height) or cell in self.blocked:
            return None
        along, over = ("across", "down") if way[0] else ("down", "across")
        taken = self.taken[cell]
        if taken.get(along, source) is not source:
            return None
        cost = 1 + _CROSSING * (taken.get(over, source) is not source)
        if source.kind == "join" and way[0] and cell[1] != self.at[source][1]:
            cost += 3  # what was joined runs along its own row
        return cost


def on_lane(source: Element, target: Element) -> bool:
    """Whether a wire is a part of a direct path."""
    return source.lane is not None and source.lane == target.lane


def _sides(e: Element, leaving: bool, crosses: bool, lane: bool) -> dict[Cell, float]:
    """The sides of an element at which a wire may leave or enter, and what each costs."""
    if e.kind == "x":
        return {_UP: 0}
    if lane:
        return {_RIGHT if leaving else _LEFT: 0}
    if e.kind == "gate":
        if leaving:
            return {_UP: 0, _RIGHT: 0.5, _LEFT: 4, _DOWN: 9}
        return {_DOWN: 0} if crosses else {_LEFT: 1, _UP: 1, _RIGHT: 4, _DOWN: 2}
    return {_RIGHT: 0, _UP: 0, _DOWN: 0.5, _LEFT: 6} if leaving else {_LEFT: 0, _DOWN: 0, _UP: 0.5, _RIGHT: 5}

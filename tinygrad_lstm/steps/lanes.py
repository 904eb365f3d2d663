"""Where the elements of a step stand and which way its wires go, on a grid of tracks: columns to the right, rows down.

A state with a direct path has a lane of its own at the top, other states run along the bottom, x comes from below.
Gates stand side by side between them, operations above what they read, or below it where they come down from a lane.
Wires go along tracks: one tree for each value, no two on one track.
"""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Iterator, Mapping
from itertools import count, groupby, pairwise
from operator import itemgetter
from typing import NamedTuple

from .elements import Element, Elements, Wire

Cell = tuple[int, int]
Place = tuple[Cell, Cell]  # a cell, and the way in which a wire goes there

CROSSINGS = 6  # more cannot be followed: `dot` then draws the graph
_RIGHT, _LEFT, _UP, _DOWN = (1, 0), (-1, 0), (0, -1), (0, 1)
_BEND, _CROSSING, _BRANCH = 2.5, 7.0, 1.2  # in steps from cell to cell


class Run(NamedTuple):
    """A piece of a value's way up to where it parts: its bends and ends, and all wires that go along it.

    `begins` whether it comes out of its source, and not of another piece; `ends` whether it goes into an element, that
    of its one wire.
    """

    cells: list[Cell]
    wires: list[Wire]
    begins: bool
    ends: bool


class Lanes:
    """The elements of a step placed, its gates in the order in which they were recorded, and its wires routed.

    `at` is the middle of each element; `form` what steps side by side have in common; `runs` the wires, of each value
    every piece once; `clear` whether every wire found a way and no more of them cross than can be followed.
    """

    def __init__(self, elements: Elements) -> None:
        self.elements = elements
        columns = _Columns(elements)
        xs, self.width = columns.across()
        ys, self.height = columns.down()
        self.at = {e: (xs[e], ys[e]) for e in ys}
        self.form = self.width, self.height, *(self.at[e] for e in elements.before.values())
        routes = _Routes(self)
        self.runs = list(_runs(routes.paths))
        self.clear = not routes.lost and routes.crossings <= CROSSINGS


def _runs(paths: Mapping[Wire, list[Cell]]) -> Iterator[Run]:
    """The pieces of the ways of all wires, each once."""
    ways = {wire: list(pairwise([wire.source, *cells, wire])) for wire, cells in paths.items()}
    along: dict[object, list[Wire]] = defaultdict(list)
    for wire, way in ways.items():
        for piece in way:
            along[piece].append(wire)
    for wire, way in ways.items():
        for wires, pieces in groupby(way, along.__getitem__):
            first, *rest = pieces
            places = [*first, *(end for _, end in rest)]
            if wires[0] is wire:
                cells = [place for place in places if isinstance(place, tuple)]
                around = zip(cells, cells[1:], cells[2:], strict=False)
                bends = [b for a, b, c in around if (c[0] - a[0]) * (c[1] - a[1])]
                yield Run([*cells[:1], *bends, *cells[-1:]], wires, first[0] is wire.source, places[-1] is wire)


class _Columns:
    """Gates and operations in columns, each a stack: upwards from a gate to a lane, or downwards from a lane."""

    def __init__(self, elements: Elements) -> None:
        self.elements = elements
        self.columns: list[list[Element]] = []
        self.level: dict[Element, int] = {}  # of what is on no lane: 0 for gates, less above them
        self.falls: set[Element] = set()  # operations on what a lane reaches
        for e in sorted(elements.all, key=lambda e: e.node.id):
            if e.kind in ("gate", "op"):
                self._place(e, [wire.source for wire in e.wires])

    def _place(self, e: Element, read: list[Element]) -> None:
        """Put an element onto the rightmost column that it reads from, or into one of its own."""
        if e.kind == "op" and not e.lane and any(source.lane or source in self.falls for source in read):
            self.falls.add(e)
        falls, gate = e in self.falls, any(source.kind == "gate" for source in read)
        column = next((column for column in reversed(self.columns) if not set(column).isdisjoint(read)), [])
        begins = e.kind == "gate" and any(source.kind in ("x", "state", "join") for source in read)
        top = column[-1] if column else e
        # A column goes on in its own direction, with what reads its last element; a lane ends it.
        if top in read and not top.lane and not begins and falls == (top in self.falls):
            self.level[e] = self.level[top] + (1 if falls else -1)
            column.append(e)
            return
        self.level[e] = 0 if e.kind == "gate" or (falls and gate) else -1
        # What comes down from a state as it went in stands beside what else it reads; from later on a lane, at the end.
        last = begins or not column or (falls and all(source.kind != "state" for source in read))
        self.columns.insert(len(self.columns) if last else self.columns.index(column) + 1, [e])

    def across(self) -> tuple[dict[Element, int], int]:
        """The middle of every element from left to right, and how many tracks there are."""
        x, xs = 2, dict.fromkeys(self.elements.before.values(), 0)
        for column in self.columns:
            half = max(e.half[0] for e in column)
            xs |= dict.fromkeys(column, x + half + 1)
            x += 2 * half + 2
        for kind in ("join", "x"):  # below the first that reads it
            for source in (e for e in self.elements.all if e.kind == kind):
                xs[source] = min((xs[e] for e in xs if any(w.source is source for w in e.wires)), default=2)
        return xs | dict.fromkeys(self.elements.outs.values(), x + 2), x + 3

    def down(self) -> tuple[dict[Element, int], int]:
        """The middle of every element from the top down, and how many tracks there are."""
        elements, lanes = self.elements, self.elements.lanes
        every = [*elements.all, *elements.outs.values()]
        rows = [[e for e in every if e.lane == name] for name in lanes]
        free = [e for e in self.level if not e.lane]
        rows += [[e for e in free if self.level[e] == level] for level in sorted({self.level[e] for e in free})]
        joins = [e for e in every if e.kind == "join"]
        beside = [name for name in elements.before if name not in lanes]
        states = [e for e in every if e.kind in ("state", "out")]
        first, *more = [[e for e in states if e.name == name] for name in beside] or [[]]
        y = -2
        ys: dict[Element, int] = {}
        for row in filter(None, [*rows, first + joins, *more]):
            half = max(1, *(e.half[1] for e in row))
            y += 3 + half
            ys |= dict.fromkeys(row, y)
            y += half
        return ys | {elements.x: y + 4}, y + 5


class _Routes:
    """The cheapest way of every wire, lanes and short ones first; what found no way goes first the next time."""

    def __init__(self, lanes: Lanes) -> None:
        self.at, self.width, self.height = lanes.at, lanes.width, lanes.height
        self.blocked: set[Cell] = set()
        for e, (x, y) in self.at.items():
            if e.kind not in ("state", "out"):
                w, h = e.half
                self.blocked |= {(i, j) for i in range(x - w, x + w + 1) for j in range(y - h, y + h + 1)}
        wires = sorted((wire for e in self.at for wire in e.wires), key=self._urgency)
        for _ in range(6):
            self.taken: dict[tuple[Cell, bool], Element] = {}  # by what goes across a cell, and what up or down
            self.trees: dict[Element, dict[Cell, list[Cell]]] = defaultdict(dict)
            self.paths: dict[Wire, list[Cell]] = {}
            self.lost = [wire for wire in wires if not self._route(wire)]
            wires = self.lost + [wire for wire in wires if wire not in self.lost]
            if not self.lost:
                break

    @property
    def crossings(self) -> int:
        """In how many cells a wire of one value goes over that of another."""
        return sum(self.taken.get((cell, True), e) is not e for (cell, upright), e in self.taken.items() if not upright)

    def _urgency(self, wire: Wire) -> tuple[bool, int]:
        (x0, y0), (x1, y1) = self.at[wire.source], self.at[wire.target]
        return not wire.lane, abs(x0 - x1) + abs(y0 - y1)

    def _ports(self, e: Element, sides: dict[Cell, float], leaving: bool) -> dict[Place, float]:
        """Where a wire can begin or end beside an element, and what that costs."""
        (x, y), (w, h) = self.at[e], e.half
        if e.kind in ("state", "out"):
            return {((x, y), _RIGHT): 0}
        ports = {}
        for (i, j), cost in sides.items():
            for off in (0, -1, 1) if e.kind == "gate" and j else (0,):
                cell = x + i * (w + 1) + off, y + j * (h + 1)
                ports[cell, (i, j) if leaving else (-i, -j)] = cost + _BEND * abs(off)
        return ports

    def _free(self, cell: Cell, source: Element) -> bool:
        """Whether no other value is in a cell."""
        return all(self.taken.get((cell, upright), source) is source for upright in (False, True))

    def _route(self, wire: Wire) -> bool:
        """Find the cheapest way of a wire, from its source or from a wire of the same value. Whether there is one."""
        source, tree = wire.source, self.trees[wire.source]
        starts = self._ports(source, _sides(source, True, False, wire.lane), True)
        starts |= {(cell, way): _BRANCH for cell in tree for way in (_RIGHT, _LEFT, _UP, _DOWN)}
        ends = self._ports(wire.target, _sides(wire.target, False, wire.crosses, wire.lane), False)
        found = self._search(source, starts, ends)
        if found is None:
            self.paths[wire] = []
            return False
        path = self.paths[wire] = tree.get(found[0], found[:1]) + found[1:]
        for k, cell in enumerate(path):
            tree.setdefault(cell, path[: k + 1])
        for a, b in pairwise(path):
            upright = a[0] == b[0]
            self.taken[a, upright] = self.taken[b, upright] = source
        self.taken |= {(cell, upright): source for cell in (path[0], path[-1]) for upright in (False, True)}
        return True

    def _search(self, source: Element, starts: dict[Place, float], ends: dict[Place, float]) -> list[Cell] | None:
        """Dijkstra's search over cells and the ways in which they are entered; None is the place beyond the ends."""
        order = count()
        before: dict[Place | None, Place | None] = {}
        queue: list[tuple[float, int, Place | None, Place | None]] = [
            (cost, next(order), place, None) for place, cost in starts.items() if self._free(place[0], source)
        ]
        heapq.heapify(queue)
        while queue:
            cost, _, place, last = heapq.heappop(queue)
            if place in before:
                continue
            before[place] = last
            if place is None:
                places: list[Place] = []
                while last is not None:
                    places.insert(0, last)
                    last = before[last]
                return [cell for cell, _ in groupby(places, itemgetter(0))]
            for after, more in self._ahead(source, place, ends):
                heapq.heappush(queue, (cost + more, next(order), after, place))
        return None

    def _ahead(self, source: Element, place: Place, ends: dict[Place, float]) -> Iterator[tuple[Place | None, float]]:
        """Where a wire can go from a place, and what each costs: straight on, round a corner, into its end."""
        cell, (i, j) = place
        if self._free(cell, source):
            if place in ends:
                yield None, ends[place]
            yield (cell, (j, i)), _BEND
            yield (cell, (-j, -i)), _BEND
        ahead = cell[0] + i, cell[1] + j
        inside = 0 <= ahead[0] < self.width and 0 <= ahead[1] < self.height
        if inside and ahead not in self.blocked and self.taken.get((ahead, j != 0), source) is source:
            crosses = self.taken.get((ahead, i != 0), source) is not source
            aside = source.kind == "join" and i and ahead[1] != self.at[source][1]  # it runs along its own row
            yield (ahead, (i, j)), 1 + _CROSSING * crosses + 3 * bool(aside)


def _sides(e: Element, leaving: bool, crosses: bool, lane: bool) -> dict[Cell, float]:
    """The sides of an element at which a wire may leave or enter, and what each costs."""
    if lane:
        return {_RIGHT if leaving else _LEFT: 0}
    if crosses or e.kind == "x":
        return {_DOWN if crosses else _UP: 0}
    return {_UP: 0, _RIGHT: 0.5, _DOWN: 2, _LEFT: 5} if leaving else {_LEFT: 0, _DOWN: 0, _UP: 0.5, _RIGHT: 5}

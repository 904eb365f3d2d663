"""One recorded step of any cell as data: the program that the page runs, and the places where it is drawn."""

from __future__ import annotations

import base64
import math
from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from ..flow.trace import read_graph
from ..nn import Cell
from ..nn.anatomy import anatomy
from ..nn.recorded import RecordedStep, Value
from ..nn.recording import NotCompiled
from ..nn.words import Words
from ..primitives import TABLE, Primitive
from ..steps.chain import find_chain
from ..steps.elements import Element, Elements, Wire
from ..steps.lanes import Lanes
from ..tensor import Tensor

Json = dict[str, Any]


def array(values: npt.ArrayLike) -> str:
    """float64 numbers, little-endian, in base64: exact, and half as long as in digits."""
    return base64.b64encode(np.asarray(values, "<f8").tobytes()).decode()


class _Formulas(Words):
    """JavaScript for one operation: of its inputs a, b and c, and y, what it gives."""

    power, number = " ** ", ".17g"

    def __init__(self, step: RecordedStep, operation: Value) -> None:
        super().__init__(step)
        self.names = {operation: "y"} | dict(zip(operation.inputs, "abc", strict=False))

    def name(self, value: Value) -> str | None:
        return self.names.get(value)

    def function(self, op: Primitive) -> str:
        return f"f.{op.name}"


class Program:
    """The step of a cell as values in order, each made of those before it. `data` is what the page holds of it.

    Raises ValueError, with the reason, for a cell whose step cannot be read so.
    """

    def __init__(self, cell: Cell) -> None:
        try:
            self.anatomy = anatomy(cell)
        except NotCompiled as error:
            raise ValueError(f"{cell!r} cannot be explored: {error}") from error
        step = self.step = self.anatomy.step
        self.cell, self.values = cell, [step.x, *step.before, *step.computed]
        self.place = {v: k for k, v in enumerate(self.values)}
        if own := [v.op.name for v in step.computed if v.op != "affine" and TABLE.get(v.op.name) is not v.op]:
            raise ValueError(f"{cell!r} cannot be explored: the page does not know the operation {own[0]!r}")
        self.fixed: dict[Value, int] = {}
        self.words = Words(step)
        inside = [(name, self.place.get(v, 0)) for name, v in reversed(step.named.items())]
        self.names = {k: name for name, k in inside if k > len(cell.states)}
        self.nodes = [self._node(v) for v in self.values]
        self.after = [self._after(k, name) for k, name in enumerate(cell.states)]
        self.main = next((k for k, name in enumerate(cell.states) if self.anatomy.direct[name]), 0)
        self.consumers: dict[int, list[tuple[int, int]]] = defaultdict(list)
        for k, node in enumerate(self.nodes):
            for slot, i in enumerate(node.get("in", ())):
                self.consumers[i].append((k, slot))
        self._level()

    @property
    def data(self) -> Json:
        return {
            "n": self.cell.hidden_size,
            "m": self.cell.input_size,
            "states": self.cell.states,
            "after": self.after,
            "main": self.main,
            "direct": [None if found is None else found.words for found in self.anatomy.direct.values()],
            "nodes": self.nodes,
            "fixed": list(self._numbers()),
            "paths": self.paths(),
            "biases": list(self._biases()),
        }

    @property
    def shared(self) -> set[str]:
        """The names of values that are written more than once: a recording has a gradient for each time."""
        times = Counter(self.step.values[t] for t in self.step.recording.ops)
        return {name for k, name in self.names.items() if k >= len(self.values) or times[self.values[k]] > 1}

    def _node(self, v: Value) -> Json:
        node: Json = {"width": v.width, "name": self.names.get(self.place[v])}
        if v.op in ("x", "state"):
            return node | {"op": v.op}
        node |= {"text": self.words.written(v), "bound": self.words(v, 5)}
        if v.op == "affine":
            parts = [[self._fixed(w), rows.start, rows.stop] for _, w, rows in v.parts]
            inside = [self.place[q] for q, _, _ in v.parts]
            return node | {"op": "affine", "in": inside, "parts": parts, "biases": [*map(self._fixed, v.biases)]}
        node |= {"op": v.op.name, "sign": v.op.symbol, "bends": v.op.bends, "words": v.op.words.split("; ")}
        formulas = _Formulas(self.step, v)
        derivatives = [formulas(self.step.local(v, slot)) for slot in range(len(v.inputs))]
        node["formulas"] = [formulas.written(v), *derivatives]
        return node | {"in": [-1 - self._fixed(i) if i.fixed else self.place[i] for i in v.inputs]}

    def _fixed(self, v: Value) -> int:
        return self.fixed.setdefault(v, len(self.fixed))

    def _after(self, k: int, name: str) -> int:
        """The node of a state after the step: one of its own, also where it is passed along."""
        at = self.place[self.step.after[k]]
        if at <= len(self.cell.states) or any(self.step.after[j] is self.step.after[k] for j in range(k)):
            copy = {"text": self.words(self.step.after[k]), "words": ["× 1"], "formulas": ["a", "1"]}
            self.nodes.append({"op": "copy", "in": [at], "width": self.cell.hidden_size} | copy)
            at = len(self.nodes) - 1
        self.names[at] = self.nodes[at]["name"] = name
        return at

    def _numbers(self) -> Iterator[Json]:
        """What is fixed; `whole` for parameters that nothing but affine maps use, so that their gradient is known."""
        used = {-1 - i for node in self.nodes for i in node.get("in", ())}
        computed = {name for v in self.fixed if not v.name for name in self.step.parameters_of(v)}
        for v, k in self.fixed.items():
            whole = v.trained and k not in used and v.name not in (None, *computed)
            yield {"name": self.words(v), "whole": whole, "data": array(np.ravel(self.step.array(v)))}

    def _level(self) -> None:
        """Number the values in the order in which named ones wait for each other, and mark what crosses a weight."""
        depth, free = [0] * len(self.nodes), {*range(1, 1 + len(self.after))}
        for k, node in enumerate(self.nodes):
            inside = [i for i in node.get("in", ()) if i >= 0]
            depth[k] = max((depth[i] for i in inside), default=0) + (k in self.names)
            if node["op"] == "affine":
                node["crosses"] = [i in free for i in inside]
            elif not free.isdisjoint(inside):
                free.add(k)
        for k in reversed(range(len(self.nodes))):
            waits = [self.nodes[c]["level"] for c, _ in self.consumers[k]]
            self.nodes[k]["level"] = depth[k] if k in self.names or not waits else min(waits)
        for k in range(1 + len(self.after)):
            self.nodes[k]["level"] = 0

    def leads(self, k: int) -> list[str]:
        """The named values that a value leads to first; of a named one itself."""
        if k in self.names:
            return [self.names[k]]
        return list(dict.fromkeys(name for c, _ in self.consumers[k] for name in self.leads(c)))

    def paths(self) -> dict[str, list[tuple[int, int]]]:
        """The edges out of every state, before or after the step, by name: "h -> f" leads to f."""
        found: dict[str, list[tuple[int, int]]] = {}
        for k, name in enumerate(self.cell.states):
            for c, slot in (*self.consumers[1 + k], *self.consumers[self.after[k]]):
                to, crosses = self.leads(c), self.nodes[c].get("crosses")
                more = " by weights" if to == [name] and crosses and self.anatomy.direct[name] else ""
                found.setdefault(f"{name} -> {', '.join(to)}{more}", []).append((c, slot))
        return found

    def _biases(self) -> Iterator[Json]:
        """The biases that a slider can move: each of one gate alone."""
        direct = self.anatomy.direct[self.cell.states[self.main]]
        takers = Counter(bias for v in self.step.computed for bias in v.biases)
        for v in self.step.computed:
            name, biases = self.names.get(self.place[v]), v.inputs[0].biases
            if v.op is TABLE["sigmoid"] and name and [takers[bias] for bias in biases] == [1] and biases[0].name:
                keeps = direct is not None and direct.words == name
                yield {"gate": name, "fixed": self.fixed[biases[0]], "keeps": keeps}

    # ── the picture ────────────────────────────────────────────────────────────────────────────

    def picture(self) -> Json:
        """Where the elements of the step stand, on a grid of tracks, and which way its wires go.

        Gates have room for parameters and numbers. Raises ValueError for a step that is too long.
        """
        after = self.step.recording.after
        flow = read_graph(sum((s.sum() for s in after[1:]), after[0].sum()))
        chain = find_chain(flow)
        ends = {} if chain is None else {name: node.tensor for name, node in chain[0].after.items()}
        if chain is None or any(ends.get(name) is not x for name, x in zip(self.cell.states, after, strict=True)):
            raise ValueError(f"{self.cell!r} cannot be explored: its step holds another cell's, or leaves a state out")
        elements = Elements(chain[0])
        every = [*elements.all, *elements.outs.values()]
        self.of: dict[Element, int | None] = {}
        self.of |= {e: self._node_of(e) for e in elements.all}
        gates = {e: self._parameters(e) for e in elements.all if e.kind == "gate"}
        for e, parameters in gates.items():
            e.rows = len(parameters) + math.ceil(min(8, self.cell.hidden_size) / 4) - 1
        lanes = Lanes(elements)
        shapes = [
            {
                "kind": e.kind,
                "at": lanes.at[e],
                "half": e.half,
                "node": self.after[self.cell.states.index(e.name)] if e.kind == "out" else self.of.get(e),
                "sign": e.label,
                "lane": e.lane,
                "weights": gates.get(e, []),
            }
            for e in every
        ]
        return {"width": lanes.width, "height": lanes.height, "lanes": elements.lanes, "shapes": shapes,
                "wires": list(self._wires(lanes, every))}  # fmt: skip

    def _sites(self, t: Tensor) -> list[int]:
        """The nodes that a value is, or is taken into: a product into a sum, a join into all that read it.

        With a node go those that it alone is made of: what was -x * x may be -(x * x).
        """
        at = self.place.get(self.step.values[t])
        if at is not None:
            found = [at]
            for k in found:  # grows as they are found
                found += [i for i in self.nodes[k].get("in", ()) if i > len(self.after) and i not in self.of.values()]
            return found
        return [k for op in self.step.recording.ops if any(i is t for i in op.inputs) for k in self._sites(op)]

    def _node_of(self, e: Element) -> int | None:
        """The node of an element; of a sum that was taken into another, that one."""
        if e.kind == "join":
            return None
        value = self.step.values[e.node.tensor]
        return self._sites(e.node.tensor)[0] if value.op == "affine" else self.place.get(value)

    def _parameters(self, e: Element) -> list[tuple[int, int]]:
        """The weights and biases of a gate, each as it stands in `fixed` and with the node that takes it."""
        found = {self.fixed.get(self.step.values[edge.source.tensor]): edge.consumer.tensor for edge in e.parameters}
        return [(w, self._sites(found[w])[0]) for w in self.fixed.values() if w in found][:4]

    def _sources(self, e: Element) -> set[int]:
        """The nodes whose values go along the wires of an element."""
        at = self.of[e]
        return {k for wire in e.wires for k in self._sources(wire.source)} if at is None else {at}

    def _wires(self, lanes: Lanes, every: list[Element]) -> Iterator[Json]:
        """Every piece of a value's way once, with all the edges of the program that come back along it."""
        for run in lanes.runs:
            yield {
                "path": run.cells,
                "from": every.index(run.wires[0].source) if run.begins else None,
                "to": every.index(run.wires[0].target) if run.ends else None,
                "lane": any(wire.lane for wire in run.wires),
                "edges": sorted({edge for wire in run.wires for edge in self._edges(wire)}),
            }

    def _edges(self, wire: Wire) -> Iterator[tuple[int, int]]:
        """The edges (node, slot) of a wire; (-1, k) is what comes back to state k from beyond the step."""
        if wire.target.kind == "out":
            yield -1, self.cell.states.index(wire.target.name)
            return
        sources = self._sources(wire.source)
        for k in (k for edge in wire.edges for k in self._sites(edge.consumer.tensor)):
            yield from ((k, slot) for slot, i in enumerate(self.nodes[k]["in"]) if i in sources)

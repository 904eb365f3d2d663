"""draw(): choose a layout for what was traced, and hand it back as a picture that saves and shows itself."""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

import graphviz  # type: ignore[import-untyped]

from ..arguments import as_items, as_size, as_words
from ..files import write_atomically
from ..flow import Flow, read_graph, trace_backward, trace_gradients
from ..tensor import Tensor
from . import render, theme
from .cell_places import Row
from .dot import dot_text
from .folding import LIMIT
from .graph import Picture
from .json_graph import graph_dict, json_text
from .labels import sampled
from .layout_backward import layout_backward
from .layout_cells import layout_cells
from .layout_graph import layout_graph
from .layout_strip import layout_strip
from .steps import CellStep, find_chain

DETAILS = ("auto", "ops", "cell", "step")
_OPEN_AT_MOST = 5  # steps that are still read side by side
_COLUMNS = 24  # folded steps between the open ones
_BOXES = 2000  # steps drawn as one node each, in all rows together
_LARGE = 300  # shapes and arrows beyond which dot may take long: laid out in a child process
_BACKWARD = 1000  # nodes of a graph and its backward pass
_TIMEOUT = 30.0  # seconds
_DEVICE = re.compile(r"con|prn|aux|nul|(com|lpt)[0-9]", re.IGNORECASE)  # on Windows no file can have these names


def draw(
    *targets: Tensor | Flow,
    detail: str = "auto",
    values: bool = True,
    gradients: bool = True,
    backward: bool = False,
    titles: Sequence[str] | None = None,
    labels: Sequence[str] | None = None,
    keep: Collection[int] = (),
    beside: Collection[Flow] = (),
) -> Drawing:
    """Draw the graph of a Tensor, or a traced Flow; several are drawn one above another on one scale.

    A Tensor that can be differentiated without a cotangent is traced first (`.grad` stays untouched), unless
    `gradients=False`; otherwise every gradient is marked "not computed". Steps of `nn.LSTMCell` and `nn.RNNCell` are
    drawn by a table of roles, with all that follows them as one node; any other graph by Graphviz's dot.

    `detail`: "ops" shows every operation, "cell" folds W·z + b into its gate, "step" is one node a step; "auto" takes
    ops for one step, cell for a few, step for very many. Of more than five steps ops and cell open the first, second
    and last. A graph drawn by dot is folded, most steps to one node, by "cell" and "step", and by "auto" beyond 300
    nodes. The drawing says what it leaves out. `values=False` leaves the numbers out of a graph drawn by dot.
    `titles` name the rows, `labels` (tokens) the inputs of the steps. Steps to `keep`, counted from 1, are drawn where
    others are left out. The scale of widths and colours is that of all Flows drawn, and of those that the drawing will
    stand `beside`.

    `backward=True` draws one Tensor's graph with its backward pass beside it: by each operation the adjoint of each of
    its edges, what it multiplies by, and dotted the forward values it keeps; with `detail="ops"` every single
    operation of both.

    Raises ValueError for an unknown detail, titles or labels that are too few or too many, several graphs of which
    one is not a chain of cell steps, or a backward pass of more than one graph, of a Flow, or of a very large graph;
    TypeError for a title or a label that is no string.
    """
    if detail not in DETAILS:
        raise ValueError(f"detail must be one of {', '.join(DETAILS)}, got {detail!r}")
    titles, labels = (v if v is None else as_words(k, v) for k, v in (("titles", titles), ("labels", labels)))
    keep = [as_size("a step to keep", step) for step in as_items("keep", keep)]
    if not targets:
        raise ValueError("nothing to draw: give a Tensor or a Flow")
    if titles is not None and len(titles) != len(targets):
        raise ValueError(f"{len(titles)} titles for {len(targets)} graphs")
    flows = [_backward(targets)] if backward else [_flow(target, gradients) for target in targets]
    scale = theme.Scale.of([norm for flow in (*flows, *beside) for norm in _norms(flow)])
    found = [find_chain(flow) for flow in flows]
    chains = [chain for chain in found if chain is not None]
    name = (
        " and ".join(titles) if titles else f"computation graph of {flows[0].root.name or flows[0].root.op or 'a leaf'}"
    )
    name = theme.clip(name, 200)
    cells = len(chains) == len(flows) and not (backward and detail != "ops")
    notes = _notes(flows, cells)
    heading = titles[0] if titles else None

    def drawing(picture: Picture) -> Drawing:
        return Drawing(picture, flows, titles, labels)

    if backward and detail != "ops":
        return drawing(layout_backward(flows[0], scale, name, heading, labels or (), values, notes))
    if cells:
        longest = max(map(len, chains))
        if labels is not None and len(labels) != longest:
            raise ValueError(f"{len(labels)} labels for {longest} steps")
        rows, detail = _rows(flows, chains, detail, titles, labels, keep)
        notes += _left_out(rows)
        if detail == "step":
            return drawing(layout_strip(rows, scale, name, notes))
        return drawing(layout_cells(rows, detail, scale, name, notes))
    if len(flows) > 1:
        raise ValueError("several graphs are drawn together only when each is one chain of RNNCell or LSTMCell steps")
    collapse = detail in ("cell", "step") or (detail == "auto" and len(flows[0].nodes) > LIMIT)
    return drawing(layout_graph(flows[0], scale, name, heading, labels or (), values, collapse, notes))


def _backward(targets: Sequence[Any]) -> Flow:
    """The one target with its backward pass recorded."""
    if len(targets) != 1 or not isinstance(targets[0], Tensor):
        raise ValueError("backward=True draws one Tensor: its backward pass is recorded anew")
    flow = trace_backward(targets[0])
    if len(flow.nodes) > _BACKWARD:
        raise ValueError(
            f"the graph and its backward pass have {len(flow.nodes):,} nodes, more than the {_BACKWARD:,} that can be "
            "followed: draw fewer steps"
        )
    return flow


def _flow(target: Any, gradients: bool) -> Flow:
    if isinstance(target, Flow):
        return target
    if not isinstance(target, Tensor):
        raise TypeError(f"draw takes a Tensor or a Flow, got {type(target).__name__}")
    if gradients and target.requires_grad and target.size == 1:
        return trace_gradients(target)
    return read_graph(target)


def _norms(flow: Flow) -> Iterator[float]:
    """What a scale is made of."""
    return (norm for norm in (edge.norm for edge in flow.edges) if norm is not None)


def _rows(
    flows: Sequence[Flow],
    chains: Sequence[list[CellStep]],
    detail: str,
    titles: Sequence[str] | None,
    labels: Sequence[str] | None,
    keep: Collection[int],
) -> tuple[list[Row], str]:
    """Which steps each row shows, and in which detail."""
    longest = max(map(len, chains))
    if detail == "auto":
        detail = "ops" if longest == 1 else "cell" if longest <= 8 * _COLUMNS else "step"
    rows = []
    for k, (flow, steps) in enumerate(zip(flows, chains, strict=True)):
        shown, opened = _shown(len(steps), detail, _BOXES // len(flows))
        shown = sorted({*shown, *(step - 1 for step in keep if 1 <= step <= len(steps))})
        rows.append(Row(flow, steps, shown, opened, titles[k] if titles else None, labels))
    return rows, detail


def _shown(count: int, detail: str, boxes: int) -> tuple[list[int], set[int]]:
    """Which steps to draw, and which of them open: all of a few; of many the first two and the last."""
    if detail == "step":
        ends = boxes // 2
        return list(range(count)) if count <= boxes else [*range(ends), *range(count - ends, count)], set()
    if count <= _OPEN_AT_MOST:
        return list(range(count)), set(range(count))
    between = range(2, count - 1)
    every = -(-len(between) // _COLUMNS)
    return [0, 1, *between[::every], count - 1], {0, 1, count - 1}


def _left_out(rows: Sequence[Row]) -> list[str]:
    """A sentence about steps that are not drawn."""
    row = max(rows, key=lambda row: len(row.steps) - len(row.shown))
    left_out = len(row.steps) - len(row.shown)
    return [f"{left_out:,} of {len(row.steps):,} steps are left out: a dashed edge stands for them"] if left_out else []


def _notes(flows: Sequence[Flow], cells: bool) -> list[str]:
    """Sentences about values that are drawn in part: in cells of a batch one row."""
    shown = (node for flow in flows for node in flow.nodes if node.kind != "parameter" and (node.name or not node.op))
    values = [node.value for node in shown if node.value.ndim and node.value.size]
    notes = []
    if cells and any(value.ndim > 1 and value.size > value.shape[-1] for value in values):
        notes.append("of a batch the first element is shown; norms are of all")
    lengths = (n for v in values for n in (v.shape[-1], 0 if cells else v.size // v.shape[-1]))
    if any(sampled(n) > 1 for n in lengths):
        notes.append("of a long array the largest of every few elements is shown; norms are of all")
    return notes


class Drawing(graphviz.Digraph):  # type: ignore[misc]
    """A picture of a graph. To those who know it, a `graphviz.Digraph`: `source`, `pipe`, `render`, shown in notebooks.

    `picture` is the plain data it was made from. Nodes and edges may be added as to any Digraph. `flows` are the graphs
    it shows, with a title each and a label a step: what `save` writes as JSON.
    """

    def __init__(
        self,
        picture: Picture,
        flows: Sequence[Flow] = (),
        titles: Sequence[str] | None = None,
        labels: Sequence[str] | None = None,
    ) -> None:
        super().__init__(name=picture.title, format="svg")
        self.picture = picture
        self._graphs = flows, titles, labels
        self._lines = dot_text(picture).splitlines(keepends=True)

    def __iter__(self, subgraph: bool = False) -> Iterator[str]:
        yield from self._lines[:-1]
        yield from self.body
        yield self._lines[-1]

    def copy(self) -> Drawing:
        """Another drawing of the same picture."""
        other = Drawing(self.picture, *self._graphs)
        other.body, other.format = [*self.body], self.format
        return other

    def save(
        self, filename: str | os.PathLike[str] | None = None, directory: str | os.PathLike[str] | None = None, **_: Any
    ) -> str:
        """Write the picture and return its path; the suffix decides: .svg .png .pdf .jpg, or .dot and .gv for the text.

        .json writes the whole graph as data, also what the picture folds: see docs/graph-json.md.

        The file appears whole or not at all. Raises ValueError for another suffix, or for .json of a drawing that shows
        no graph, `RendererMissing` where there is nothing to draw with, OSError where the file cannot be written.
        """
        path = Path(directory or ".") / (filename or self._file_name())
        format = path.suffix.lower().lstrip(".")
        known = (*render.FORMATS, *render.TEXT_FORMATS, "json")
        if format not in known:
            suffixes = " ".join(f".{name}" for name in known)
            raise ValueError(f"cannot tell what to write from {path.name!r}: end it in one of {suffixes}")
        if format == "json":
            write_atomically(path, self._json())
        else:
            write_atomically(path, self.source if format in render.TEXT_FORMATS else self._rendered(format))
        return str(path)

    def _json(self) -> str:
        flows, titles, labels = self._graphs
        if not flows:
            raise ValueError("this drawing shows no graph to write as JSON: draw the flow itself, as in tl.draw(flow)")
        return json_text(graph_dict(*flows, title=self.picture.title, titles=titles, labels=labels))

    def pipe(self, format: str | None = None, *_: Any, encoding: str | None = None, **__: Any) -> Any:
        """The picture as bytes (str when an encoding is given)."""
        data = self._rendered(format or self.format)
        return data.decode(encoding) if encoding else data

    def render(
        self,
        filename: str | os.PathLike[str] | None = None,
        directory: str | os.PathLike[str] | None = None,
        view: bool = False,
        cleanup: bool = False,
        format: str | None = None,
        *_: Any,
        outfile: str | os.PathLike[str] | None = None,
        **__: Any,
    ) -> str:
        """Write the DOT text and beside it the picture, whose path is returned, as `graphviz.Digraph.render` does.

        With `outfile` only that file is written, in the format its suffix names.
        """
        if outfile is not None:
            path = self.save(outfile, directory)
        else:
            source = Path(directory or ".") / (filename or self._file_name())
            path = self.save(f"{source}.{format or self.format}")
            if not cleanup:
                write_atomically(source, self.source)
        if view:
            graphviz.view(path)
        return path

    def _file_name(self) -> str:
        """The title as a file name that every system takes."""
        name = re.sub(r"[^A-Za-z0-9]+", "-", self.name).strip("-")[:80] or "graph"
        return f"{name}-graph.gv" if _DEVICE.fullmatch(name) else f"{name}.gv"

    def _rendered(self, format: str) -> bytes:
        large = not self.picture.placed and len(self.picture.shapes) + len(self.picture.arrows) > _LARGE
        return render.render(self.source, format, _TIMEOUT if large else None)

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None, **options: Any) -> dict[str, Any]:
        try:
            bundle: dict[str, Any] = super()._repr_mimebundle_(include, exclude, **options)
        except render.RendererMissing as error:
            warnings.warn(str(error), stacklevel=2)
            bundle = {"text/plain": self.source}
        if "image/svg+xml" in bundle:
            from ..notebook import drawing  # pages live upstairs; showing itself is how a notebook calls

            bundle["text/html"] = drawing(bundle["image/svg+xml"])
        return bundle

"""draw(): choose a layout for what was traced, and hand it back as a picture that saves and shows itself."""

from __future__ import annotations

import os
import warnings
from collections.abc import Collection, Sequence
from contextlib import suppress
from copy import deepcopy
from pathlib import Path
from typing import Any

import graphviz  # type: ignore[import-untyped]

from ..arguments import as_items, as_size, as_words
from ..files import write_atomically
from ..flow import Flow, read_graph, trace_backward, trace_gradients
from ..steps.chain import find_chain
from ..steps.elements import NoLanes
from ..tensor import Tensor
from . import render, theme
from .dot import write
from .folding import STEPS
from .graph import Picture
from .labels import CELLS
from .layout_backward import BackwardLayout
from .layout_graph import GraphLayout
from .layout_lanes import layout_lanes
from .strip import layout_strip

DETAILS = ("auto", "ops", "cell", "step")
_LARGE = 300  # shapes and arrows beyond which dot may take long: laid out in a child process
_BACKWARD = 1000  # nodes of a graph and its backward pass
_TIMEOUT = 30.0  # seconds


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
    `gradients=False`; otherwise every gradient is marked "not computed". Of the steps of any `nn.Cell` one is drawn in
    lanes, a line for each state and a box for each gate, several as a strip: what is left of the gradient at each step,
    and what one step back multiplies by. Any other graph is drawn by Graphviz's dot.

    `detail`: "step" draws the strip, "cell" three steps in lanes, "ops" one, with every parameter and its share of the
    gradient; these are the last ones, or those round the first to `keep`. "auto" takes ops for one step, step for more.
    A step that lanes would not make clearer is left to dot. A graph drawn by dot has its steps folded, by "cell" and
    "step", and by "auto" beyond 60 nodes: all but three, or all where cells stand side by side, as layers do. Beyond
    300 what does not repeat is folded too. A chain without scopes, longer than 16 operations, is wrapped into columns.
    The drawing says what it leaves out. `values=False` leaves the numbers out of a graph drawn by dot. `titles` name
    the rows, `labels` (tokens) the inputs of the steps. Steps to `keep`, counted from 1, are drawn where others are
    left out. The scale of widths and colours is that of all Flows drawn, and of those that it will stand `beside`.

    `backward=True` draws one Tensor's graph with its backward pass beside it: by each operation the adjoint of each of
    its edges, what it multiplies by, and dotted the forward values it keeps; with `detail="ops"` every single
    operation of both.

    Raises ValueError for an unknown detail, titles or labels that are too few or too many, several graphs of which
    one is not a chain of cell steps or whose steps are to be opened, or a backward pass of more than one graph, of a
    Flow, or of a very large graph; TypeError for a title or a label that is no string.
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
    found = [find_chain(flow) for flow in flows]
    chains = [chain for chain in found if chain is not None]
    root = flows[0].root
    name = theme.clip(" and ".join(titles or [f"computation graph of {root.name or root.op or 'a leaf'}"]), 200)
    cells = len(chains) == len(flows) and not (backward and detail != "ops")
    notes = _notes(flows, cells)
    heading = titles[0] if titles else None

    def scale() -> theme.Scale:  # of every edge of every graph: made only for what is drawn by it
        edges = (edge for flow in (*flows, *beside) for edge in flow.edges)
        return theme.Scale.of([norm for norm in (edge.norm for edge in edges) if norm is not None])

    if backward and detail != "ops":
        return Drawing(BackwardLayout(flows[0], scale(), name, heading, labels or (), values, notes).draw_both())
    if cells:
        longest = max(map(len, chains))
        if labels is not None and len(labels) != longest:
            raise ValueError(f"{len(labels)} labels for {longest} steps")
        if detail == "step" or (detail == "auto" and longest + len(flows) > 2):
            others = [(flow, chain) for flow in beside if (chain := find_chain(flow)) is not None]
            return Drawing(layout_strip(flows, chains, name, titles, labels, keep, others))
        if len(flows) > 1:
            raise ValueError(f"detail {detail!r} opens the steps of one graph: draw each by itself, or as 'step'")
        title, ops = heading or chains[0][0].title, detail != "cell"
        with suppress(NoLanes):
            return Drawing(layout_lanes(flows[0], chains[0], keep, scale(), name, title, labels or (), ops, notes))
    if len(flows) > 1:
        raise ValueError("drawn together is only what is one chain of steps, with all states read: draw each by itself")
    collapse = detail in ("cell", "step") or (detail == "auto" and len(flows[0].nodes) > STEPS)
    return Drawing(GraphLayout(flows[0], scale(), name, heading, labels or (), values, notes).draw(collapse))


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


def _notes(flows: Sequence[Flow], cells: bool) -> list[str]:
    """Sentences about values that are drawn in part: in cells of a batch one row."""
    shown = (node for flow in flows for node in flow.nodes if node.kind != "parameter" and (node.name or not node.op))
    values = [node.value for node in shown if node.value.ndim and node.value.size]
    notes = []
    if cells and any(value.ndim > 1 and value.size > value.shape[-1] for value in values):
        notes.append("of a batch the first element is shown; norms are of all")
    if any(node.op == "scan" for flow in flows for node in flow.nodes):
        notes.append("a compiled sequence is one operation, scan: run it with compiled=False to see its steps")
    lengths = (n for v in values for n in (v.shape[-1], 0 if cells else v.size // v.shape[-1]))
    if any(n > CELLS for n in lengths):
        notes.append("long arrays: of every few the largest; norms are of all")
    return notes


class Drawing(graphviz.Digraph):  # type: ignore[misc]
    """A picture of a graph. To those who know it, a `graphviz.Digraph`: `source`, `pipe`, `render`, shown in notebooks.

    `picture` is the plain data it was made from. Nodes, edges, subgraphs and attributes may be added as to any Digraph.
    """

    picture: Picture

    def __init__(self, picture: Picture | None = None, **options: Any) -> None:
        """`options` are those of a Digraph, which makes its parts so."""
        super().__init__(**{"format": "svg"} | options)
        if picture is not None:
            self.picture = picture
            write(picture, self)

    def __repr__(self) -> str:
        return f'<drawing of "{theme.one_line(self.picture.title)}"; .save("file.svg") writes it>'

    def copy(self) -> Drawing:
        """Another drawing of the same picture."""
        return deepcopy(self)

    def save(
        self, filename: str | os.PathLike[str] | None = None, directory: str | os.PathLike[str] | None = None, **_: Any
    ) -> str:
        """Write the picture and return its path; the suffix decides: .svg .png .pdf .jpg, or .dot and .gv for the text.

        The file appears whole or not at all. Raises ValueError for another suffix, `RendererMissing` where there is
        nothing to draw with, OSError where the file cannot be written.
        """
        path = Path(directory or ".") / (filename or "graph.gv")
        format = path.suffix.lower().lstrip(".")
        known = (*render.FORMATS, *render.TEXT_FORMATS)
        if format not in known:
            suffixes = " ".join(f".{name}" for name in known)
            raise ValueError(f"cannot tell what to write from {path.name!r}: end it in one of {suffixes}")
        write_atomically(path, self.source if format in render.TEXT_FORMATS else self.pipe(format))
        return str(path)

    def pipe(self, format: str | None = None, *_: Any, encoding: str | None = None, **__: Any) -> Any:
        """The picture as bytes (str when an encoding is given)."""
        large = self.graph_attr["layout"] == "dot" and len(self.body) > _LARGE
        data = render.render(self.source, format or self.format, _TIMEOUT if large else None)
        return data.decode(encoding) if encoding else data

    def render(
        self, filename: str | os.PathLike[str] | None = None, directory: str | os.PathLike[str] | None = None,
        view: bool = False, cleanup: bool = False, format: str | None = None, *_: Any,
        outfile: str | os.PathLike[str] | None = None, **__: Any,
    ) -> str:  # fmt: skip
        """Write the DOT text and beside it the picture, whose path is returned, as `graphviz.Digraph.render` does.

        With `outfile` only that file is written, in the format its suffix names.
        """
        source = Path(directory or ".") / (filename or "graph.gv")
        path = self.save(outfile or f"{source}.{format or self.format}", directory if outfile else None)
        if not (cleanup or outfile):
            write_atomically(source, self.source)
        if view:
            graphviz.view(path)
        return path

    def _repr_mimebundle_(self, *_: Any, **__: Any) -> dict[str, str]:
        try:
            svg = self.pipe("svg", encoding="utf-8")
        except render.RendererMissing as error:
            warnings.warn(str(error), stacklevel=2)
            return {"text/plain": self.source}
        # As an image it would not say what its parts are.
        return {"image/svg+xml": svg, "text/html": svg[svg.index("<svg ") :]}

"""The graph under a drawing as plain data and as JSON text: nodes, edges, single numbers, cotangent norms, scopes.

`graph.schema.json` beside this file is the JSON Schema of it, docs/graph-json.md says what each key means.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..arguments import as_words
from ..flow import Flow, Node, ScopeName
from .labels import Array
from .layout_graph import edge_id

FORMAT = "tinygrad_lstm.graph"
VERSION = 2

Json = dict[str, Any]


def graph_dict(
    *flows: Flow, title: str | None = None, titles: Sequence[str] | None = None, labels: Sequence[str] | None = None
) -> Json:
    """The graphs of some flows as what `json.dumps` takes: every node and edge of each, whatever a drawing folds.

    A norm is a number, None where it was not computed, and "NaN" or "Infinity" where it is that: JSON has no such
    numbers. What has one element also has its value and gradient, with their signs. Ids count in the order the graph
    was made, so that the same program gives the same ids; they are those of the shapes and arrows in an SVG that
    Graphviz's dot laid out (a parameter's shape adds its edge's). `title` is of all, `titles` one a flow, `labels` one
    a step.

    Raises ValueError without a flow, and for a number of titles that does not fit; TypeError for what is no Flow.
    """
    if not flows:
        raise ValueError("no graph is given: give a Flow, as in graph_dict(tl.trace_gradients(loss))")
    for flow in flows:
        if not isinstance(flow, Flow):
            raise TypeError(f"graph_dict takes a Flow, got {type(flow).__name__}: give tl.trace_gradients(loss)")
    titles, labels = (v if v is None else as_words(k, v) for k, v in (("titles", titles), ("labels", labels)))
    if titles is not None and len(titles) != len(flows):
        raise ValueError(f"{len(titles)} titles for {len(flows)} graphs")
    return {
        "format": FORMAT,
        "version": VERSION,
        "title": None if title is None else str(title),
        "labels": None if labels is None else [str(label) for label in labels],
        "graphs": [_graph(flow, titles[k] if titles else None) for k, flow in enumerate(flows)],
    }


def json_text(document: Json) -> str:
    """The document as JSON text, a key a line, so that two files can be compared line by line."""
    return json.dumps(document, indent=1, allow_nan=False) + "\n"


def _graph(flow: Flow, title: str | None) -> Json:
    scopes: dict[tuple[ScopeName, ...], Json] = {}
    return {
        "title": title,
        "traced": flow.traced,
        "root": _id(flow.root),
        "nodes": [_node(node, _scope(node.scopes, scopes)) for node in flow.nodes],
        "edges": [
            {
                "id": edge_id(edge),
                "source": _id(edge.source),
                "consumer": _id(edge.consumer),
                "slot": edge.slot,
                "cotangent": _single(edge.cotangent),
                "cotangent_norm": _number(edge.norm),
            }
            for edge in flow.edges
        ],
        "scopes": list(scopes.values()),
    }


def _node(node: Node, scope: str | None) -> Json:
    adjoint = None if node.adjoint_of is None else {"node": _id(node.adjoint_of[0]), "slot": node.adjoint_of[1]}
    return {
        "id": _id(node),
        "kind": node.kind,
        "op": node.op,
        "symbol": node.symbol,
        "name": node.name,
        "shape": list(node.value.shape),
        "dtype": node.value.dtype.name,
        "value": _single(node.value),
        "scope": scope,
        "step": _param(node.step),
        "params": {name: _param(value) for name, value in node.params.items()},
        "gradient": _single(node.gradient),
        "gradient_norm": _number(node.norm),
        "adjoint_of": adjoint,
    }


def _single(array: Array | None) -> Any:
    """A single number with its sign; None for an array of any other size, and where nothing was computed."""
    return _param(array.item()) if array is not None and array.size == 1 else None


def _id(node: Node) -> str:
    return f"n{node.id}"


def _scope(path: tuple[ScopeName, ...], scopes: dict[tuple[ScopeName, ...], Json]) -> str | None:
    """The id of a scope, listed after those round it when first met."""
    if not path:
        return None
    if path not in scopes:
        outer = _scope(path[:-1], scopes)
        name, step = path[-1]
        path_ = [str(scope) for scope in path]
        scopes[path] = {"id": f"s{len(scopes)}", "name": name, "step": _param(step), "outer": outer, "path": path_}
    return str(scopes[path]["id"])


def _number(value: float | None) -> float | str | None:
    if value is None or math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def _param(value: Any) -> Any:
    """A parameter of an operation; what JSON has no word for as an object with one key that names it."""
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return _number(value)
    if isinstance(value, list | tuple):
        return [_param(v) for v in value]
    if isinstance(value, slice):
        return {"slice": [_param(v) for v in (value.start, value.stop, value.step)]}
    if value is Ellipsis:
        return {"ellipsis": True}
    if isinstance(value, np.ndarray):
        return {"array": {"shape": list(value.shape), "dtype": value.dtype.name}}
    return {"object": type(value).__name__}

"""The graph under a drawing as plain data and as JSON text: nodes, edges, single numbers, cotangent norms, scopes.

`graph.schema.json` beside this file is the JSON Schema of it, docs/graph-json.md says what each key means.
"""

from __future__ import annotations

import json
import math
from typing import Any

from ..flow import Flow, Node
from .labels import Array
from .layout_graph import edge_id

FORMAT = "tinygrad_lstm.graph"
VERSION = 3

Json = dict[str, Any]


def graph_dict(*flows: Flow) -> Json:
    """The graphs of some flows as what `json.dumps` takes: every node and edge of each, whatever a drawing folds.

    A norm is a number, None where it was not computed, and "NaN" or "Infinity" where it is that: JSON has no such
    numbers. What has one element also has its value and gradient, with their signs. Ids count in the order the graph
    was made, so that the same program gives the same ids; they are those of the shapes and arrows in an SVG that
    Graphviz's dot laid out (a parameter's shape adds its edge's).

    Raises ValueError without a flow, TypeError for what is no Flow.
    """
    if not flows:
        raise ValueError("no graph is given: give a Flow, as in graph_dict(tl.trace_gradients(loss))")
    for flow in flows:
        if not isinstance(flow, Flow):
            raise TypeError(f"graph_dict takes a Flow, got {type(flow).__name__}: give tl.trace_gradients(loss)")
    return {"format": FORMAT, "version": VERSION, "graphs": [_graph(flow) for flow in flows]}


def json_text(document: Json) -> str:
    """The document as JSON text, a key a line, so that two files can be compared line by line."""
    return json.dumps(document, indent=1, allow_nan=False) + "\n"


def _graph(flow: Flow) -> Json:
    return {
        "traced": flow.traced,
        "root": _id(flow.root),
        "nodes": [_node(node) for node in flow.nodes],
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
    }


def _node(node: Node) -> Json:
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
        "scopes": [str(scope) for scope in node.scopes],
        "step": None if node.step is None else int(node.step),
        "gradient": _single(node.gradient),
        "gradient_norm": _number(node.norm),
        "adjoint_of": adjoint,
    }


def _id(node: Node) -> str:
    return f"n{node.id}"


def _single(array: Array | None) -> float | str | None:
    """A single number with its sign; None for an array of any other size, and where nothing was computed."""
    return _number(array.item()) if array is not None and array.size == 1 else None


def _number(value: float | None) -> float | str | None:
    """A number; what JSON has no number for by its name."""
    if value is None or math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"

"""Reverse-mode differentiation: one iterative walk from an output back to what it was made from."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Sequence
from operator import attrgetter
from typing import Any

import numpy as np
import numpy.typing as npt

from . import primitives as p
from .anomaly import check_cotangent, detect_anomaly
from .arguments import real_array
from .machine import free_in_forks
from .scope import adjoint
from .tensor import Tensor, constant, describe, recording_anew

_ndarray = np.ndarray

Observer = Callable[[Tensor, int, Any], None]
Link = tuple[Tensor, int]  # an edge of the graph: (consumer, slot)
Mark = tuple[Link] | tuple[Link, Link]  # one edge, or two that follow each other on the way back


def operations(root: Tensor, since: int = 0) -> list[Tensor]:
    """Every recorded operation that `root` was made from, later ones first; only those after `seq` `since`.

    A consumer is always later than its inputs, so this order visits a tensor only after every
    operation that used it. Raises RuntimeError where an input was assigned after it was used.
    """
    found = [root] if root.primitive is not None else []
    seen = set(found)
    for node in found:  # grows as inputs are found: no recursion
        for x in node.inputs:
            if x.seq > node.seq:
                raise RuntimeError(
                    f"{describe(x)} was assigned after {describe(node)} had used it, so the gradient would mix old "
                    "and new values: run the forward pass again"
                )
            if x.primitive is not None and x.seq > since and x not in seen:
                seen.add(x)
                found.append(x)
    found.sort(key=attrgetter("seq"), reverse=True)
    return found


def fit(c: Any, x: Any) -> Any:
    """A cotangent brought to the shape and dtype of its tensor: undoes broadcasting and promotion.

    Raises TypeError for a tensor of integers, whose `requires_grad` was set by hand: it would cut the gradient off.
    """
    if x.dtype.kind != "f":
        raise TypeError(f"{describe(x)} is {x.dtype} and cannot hold a gradient: make it of floats")
    if c.shape != x.shape:
        c = p.sum_to(c, shape=x.shape)
    return c if c.dtype == x.dtype else p.as_dtype(c, dtype=x.dtype)


def propagate(
    root: Tensor,
    cotangent: Any,
    targets: Collection[Tensor] | None = None,
    on_edge: Observer | None = None,
    held: Collection[Tensor] = (),
) -> dict[Tensor, Any]:
    """Send a cotangent back from `root`; return those of `targets`, or of every leaf that needs one.

    An ndarray computes numbers, a Tensor records the backward pass as a graph of its own. A tensor's
    cotangent is the sum over its uses, and is dropped once it has been passed on. `on_edge(consumer,
    slot, cotangent)` sees every term of those sums. Beside targets, no cotangent passes through a
    tensor that is `held`: it is a constant.
    """
    kept = set() if targets is None else set(targets)
    nodes = operations(root, _earliest(kept))
    needed = None if targets is None else _between(nodes, kept, held)
    symbolic = isinstance(cotangent, Tensor)
    cotangents: dict[Tensor, Any] = {root: fit(cotangent, root)}
    result: dict[Tensor, Any] = {}
    owned: set[Tensor] = set()  # whose cotangent is an array made here, safe to add to in place
    uses: dict[tuple[p.Primitive, Tensor], tuple[list[Any], list[Any]]] = {}  # of leaves, to be summed at the end
    broadcast: dict[tuple[Tensor, tuple[int, ...]], list[Any]] = {}  # the same, of one row used for many
    turned: dict[Tensor, Any] = {}  # a weight used again, laid out so that its transpose is contiguous: g @ Wᵀ in half
    watched = not symbolic and detect_anomaly.innermost() is not None
    totals = not symbolic and on_edge is None and not watched
    pop, get = cotangents.pop, cotangents.get
    for node in nodes:
        g, primitive = pop(node, None), node.primitive
        if g is None or primitive is None:
            continue
        if node in kept:
            result[node] = g
        inputs, params = node.inputs, node.params
        if symbolic:
            operands: tuple[Any, ...] = (g, node, *inputs)
        elif len(inputs) == 2:  # one or two inputs spelled out: a comprehension takes longer than adding two arrays
            a, b = inputs
            operands = (g, node._array, a._array, turned.get(b, b._array))
        elif len(inputs) == 1:
            operands = (g, node._array, inputs[0]._array)
        else:
            operands = (g, node._array, *[x._array for x in inputs])
        every = None
        if primitive.every is not None:
            every = (
                _run(primitive.every, operands, params, node, None)
                if symbolic
                else primitive.every(*operands, **params)
            )
        for slot, x in enumerate(inputs):
            if not x.requires_grad or (needed is not None and x not in needed):
                continue
            if every is not None:
                c = every[slot]
            elif (rule := primitive.rules[slot]) is None:
                continue
            elif slot and totals and primitive.total and x.primitive is None and g.ndim == 2 == operands[2].ndim:
                if (use := uses.get((primitive, x))) is None:
                    use = uses[primitive, x] = [], []
                elif x not in turned:
                    turned[x] = np.asfortranarray(x._array)
                use[0].append(g)
                use[1].append(operands[2])
                continue
            elif totals and primitive.add_to is not None:
                if x not in owned:
                    before = get(x)
                    cotangents[x] = np.zeros(x.shape, x.dtype) if before is None else np.array(before)  # 0-d too
                    owned.add(x)
                primitive.add_to(cotangents[x], g, **params)
                continue
            elif symbolic:
                c = _run(rule, operands, params, node, slot)
            else:
                c = rule(*operands, **params) if params else rule(*operands)
            primal = x._array
            if totals and x.primitive is None and c.ndim == 2 and primal.ndim == 1:  # a bias
                if (parts := broadcast.get((x, c.shape))) is None:
                    parts = broadcast[x, c.shape] = []
                parts.append(c)
                continue
            if c.shape != primal.shape or c.dtype is not primal.dtype:
                c = _run(fit, (c, x), {}, node, slot) if symbolic else fit(c, x)
            if watched:
                check_cotangent(node, slot, g, c)
            if on_edge is not None:
                on_edge(node, slot, c)
            before = get(x)
            if before is None:
                cotangents[x] = c
            elif x in owned:
                before += c
            else:
                cotangents[x] = total = _run(p.add, (before, c), {}, x, None) if symbolic else before + c
                if type(total) is _ndarray:
                    owned.add(x)
    sums = [(x, primitive.total(*use)) for (primitive, x), use in uses.items() if primitive.total]
    sums += [(x, np.concatenate(parts)) for (x, _), parts in broadcast.items()]
    for x, total in sums:
        c = fit(total, x)
        cotangents[x] = cotangents[x] + c if x in cotangents else c
    if targets is None:
        return cotangents
    return {x: g for x, g in (cotangents | result).items() if x in kept}


def _run(
    rule: Callable[..., Any], operands: tuple[Any, ...], params: dict[str, Any], op: Tensor, slot: int | None
) -> Any:
    """Apply a rule, with what it records in the scope of the operation whose adjoint it is."""
    with adjoint(op, slot):
        return rule(*operands, **params)


def _earliest(targets: Collection[Tensor]) -> int:
    """The `seq` before which no operation lies between a target and the root."""
    # A leaf's is the time it was assigned: what used it before must still be found, and refused.
    return min((0 if x.primitive is None else x.seq for x in targets), default=0)


def _between(nodes: Sequence[Tensor], targets: Collection[Tensor], held: Collection[Tensor] = ()) -> set[Tensor]:
    """The tensors on some path from a target to the root that does not pass through one that is held."""
    needed = set(targets)
    constants = set(held)
    for node in reversed(nodes):
        if node not in constants and not needed.isdisjoint(node.inputs):
            needed.add(node)
    return needed


def by_crossings(
    root: Tensor,
    cotangent: npt.NDArray[Any],
    targets: Collection[Tensor],
    marks: Collection[Mark],
    limit: int | None = None,
) -> dict[Tensor, list[npt.NDArray[Any]]]:
    """The cotangent of each target that has one, split by how often its paths cross a mark: entry k crosses k times.

    With a `limit` one more entry holds all that crosses more often. The entries add up to the whole: rules are linear
    in the cotangent, so that each part goes through them on its own. Numbers only.
    """
    nodes = operations(root, _earliest(targets))
    needed = _between(nodes, targets)
    last = 2 * len(nodes) if limit is None else limit + 1  # no path crosses more: a mark and a pair at each edge
    first_of_two = {mark[0] for mark in marks if len(mark) == 2}
    whole = set(marks)
    # A part is known by its crossings and, where it came along the first edge of two, by that edge.
    parts: dict[Tensor, dict[tuple[int, Link | None], Any]] = {root: {(0, None): fit(cotangent, root)}}
    for node in nodes:
        mine = parts.get(node, {}) if node in targets else parts.pop(node, {})
        for slot, x in enumerate(node.inputs):
            if x not in needed or not x.requires_grad or not _has_rule(node, slot):
                continue
            link = (node, slot)
            theirs = parts.setdefault(x, {})
            for (crossed, before), g in mine.items():
                here = crossed + ((link,) in whole) + (before is not None and (before, link) in whole)
                key = (min(here, last), link if link in first_of_two else None)
                c = _pull(node, slot, g)
                theirs[key] = theirs[key] + c if key in theirs else c
    return {x: _entries(parts[x], x, limit) for x in targets if parts.get(x)}


def _has_rule(node: Tensor, slot: int) -> bool:
    primitive: Any = node.primitive
    return primitive.every is not None or primitive.rules[slot] is not None


def _pull(node: Tensor, slot: int, g: Any) -> Any:
    """The cotangent of one input of `node`, as numbers."""
    operands = (g, node._array, *[x._array for x in node.inputs])
    primitive: Any = node.primitive
    if primitive.every:
        return fit(primitive.every(*operands, **node.params)[slot], node.inputs[slot])
    return fit(primitive.rules[slot](*operands, **node.params), node.inputs[slot])


def _entries(parts: dict[tuple[int, Link | None], Any], x: Tensor, limit: int | None) -> list[npt.NDArray[Any]]:
    found: dict[int, Any] = {}
    for (k, _), g in parts.items():
        found[k] = found[k] + g if k in found else g
    count = max(found) + 1 if limit is None else limit + 2
    return [np.asarray(found[k]) if k in found else np.zeros(x.shape, x.dtype) for k in range(count)]


_adding = free_in_forks(threading.Lock())  # threads may share leaves, and `+=` reads before it writes


def backward(root: Tensor, cotangent: npt.ArrayLike | None = None) -> None:
    """Add the gradient of `root` to `.grad` of every leaf it was made from. See `Tensor.backward`.

    Calls add up, as in PyTorch: set `.grad = None` (or use `zero_grad`) between steps.
    """
    found = propagate(root, seed_of(root, cotangent))
    with _adding:
        for leaf, g in found.items():
            if leaf._grad is None:
                leaf._grad = np.array(g)  # a copy: two leaves may share one cotangent
            else:
                leaf._grad += g


def grad(
    root: Tensor,
    inputs: Sequence[Tensor] | Tensor,
    cotangent: Tensor | npt.ArrayLike | None = None,
    create_graph: bool = False,
    allow_unused: bool = False,
    cut: Collection[Link | Mark] = (),
) -> list[Tensor]:
    """The gradient of `root` with respect to each of `inputs`, leaves or not, as a list of Tensors.

    Touches no `.grad`. `cotangent` (root's shape) weighs the elements of `root`; it may be left out
    for a single element. With `create_graph` the gradients are recorded and can be differentiated
    again. An input that `root` does not depend on is an error, or, with `allow_unused`, its true
    gradient: zeros.

    With `cut` edges, the gradient as if nothing flowed back along them: an edge is (consumer, slot); of a pair of
    edges that follow each other on the way back, what flows along both is cut. `Flow.edges_named` finds those of a
    cell by name.

    Raises ValueError for a cotangent that is missing or does not fit, for an unused input, for a cut that is not in
    the graph, and for a cut together with `create_graph`.
    """
    targets = [inputs] if isinstance(inputs, Tensor) else list(inputs)
    for x in targets:
        _check_required(x)
    seed = seed_of(root, cotangent, allow_unused)
    if not root.requires_grad:
        found: dict[Tensor, Any] = {}
    elif cut:
        if create_graph:
            raise ValueError("a gradient with edges cut is numbers only: leave out create_graph")
        split = by_crossings(root, seed, set(targets), as_marks(root, cut), limit=0)
        found = {x: uncut for x, (uncut, _) in split.items()}
    elif not create_graph:
        found = propagate(root, seed, targets)
    else:
        with recording_anew():
            found = propagate(root, cotangent if isinstance(cotangent, Tensor) else constant(seed), targets)
    missing = [x for x in targets if x not in found]
    if missing and not allow_unused:
        raise ValueError(
            f"{describe(root)} does not depend on {describe(missing[0])}, or only through detach() or no_grad(): "
            "allow_unused=True gives zeros"
        )
    zeros = {x: constant(np.zeros(x.shape, x.dtype)) for x in missing}
    results = [found[x] if x in found else zeros[x] for x in targets]
    return [g if isinstance(g, Tensor) else constant(np.asarray(g)) for g in results]


def as_marks(root: Tensor, edges: Collection[Link | Mark]) -> list[Mark]:
    """Edges and pairs of edges as marks, checked to be those of this graph.

    Raises ValueError for an edge that is not in the graph, or a pair that does not follow each other; TypeError for
    what is neither.
    """
    known = set(operations(root))
    marks: list[Any] = []
    for edge in edges:
        if not isinstance(edge, tuple) or not edge:
            raise TypeError(f"an edge is a pair (consumer, slot) or comes from Flow.edges_named, got {edge!r}")
        mark: Any = edge if isinstance(edge[0], tuple) else (edge,)
        for consumer, slot in mark:
            if consumer not in known or not 0 <= slot < len(consumer.inputs):
                raise ValueError(
                    f"input {slot} of {describe(consumer)} is not an edge of the graph of {describe(root)}"
                )
        if len(mark) > 2 or (len(mark) == 2 and mark[0][0].inputs[mark[0][1]] is not mark[1][0]):
            raise ValueError("a mark is one edge, or two of which the first leads back to the consumer of the second")
        marks.append(mark)
    return marks


def jacobian(output: Tensor, wrt: Tensor, held: Collection[Tensor] = ()) -> npt.NDArray[Any]:
    """Every derivative of `output` with respect to `wrt`: an ndarray of shape output.shape + wrt.shape.

    One backward pass for each element of `output`; zeros where it does not depend on `wrt`. Tensors that are `held`
    count as constants, even where the graph computes them from `wrt`.

    Raises ValueError where `wrt` does not require a gradient: its zeros would be a lie.
    """
    _check_tensor(output)
    _check_required(wrt)
    rows = np.zeros((output.size, *wrt.shape), wrt.dtype)
    if output.requires_grad and (output is wrt or output not in set(held)):
        for k in range(output.size):
            one = np.zeros(output.size, output.dtype)
            one[k] = 1
            found = propagate(output, one.reshape(output.shape), [wrt], held=held)
            if wrt in found:
                rows[k] = found[wrt]
    return rows.reshape(output.shape + wrt.shape)


def _check_tensor(x: Any) -> None:
    if not isinstance(x, Tensor):
        raise TypeError(f"a gradient is of a Tensor with respect to Tensors, got {type(x).__name__}")


def _check_required(x: Tensor) -> None:
    _check_tensor(x)
    if not x.requires_grad:
        raise ValueError(f"{describe(x)} does not require a gradient: make it with requires_grad=True")


def seed_of(root: Tensor, cotangent: Any, constant: bool = False) -> npt.NDArray[Any]:
    """The cotangent to start from, as an array of the root's shape and dtype. The root may be a `constant` if told."""
    _check_tensor(root)
    if not (root.requires_grad or constant):
        raise ValueError(
            f"{describe(root)} has no gradient to send back: nothing it was made from has requires_grad=True, "
            "or it was made inside no_grad()"
        )
    if cotangent is None:
        if root.size != 1:
            raise ValueError(
                f"{describe(root)} has {root.size} elements: reduce it to one, as with .sum(), or give a cotangent"
            )
        return np.ones(root.shape, root.dtype)
    given: npt.NDArray[Any] = real_array(cotangent, root.dtype, name="a cotangent")
    if given.shape != root.shape:
        raise ValueError(f"the cotangent of {describe(root)} must have its shape, got {given.shape}")
    return given

"""What the tests of the drawing share: small graphs, and an SVG read back as data."""

import xml.etree.ElementTree as ET
from dataclasses import dataclass, field

import numpy as np
import pytest

import tinygrad_lstm as tl

_SVG = "{http://www.w3.org/2000/svg}"


@dataclass
class Item:
    """A node, edge, cluster or graph of an SVG."""

    id: str
    classes: list[str]
    text: str
    tooltip: str
    strokes: list[tuple[str, float]] = field(default_factory=list)


class Svg:
    """An SVG's items by id, as it is read by a browser."""

    def __init__(self, data):
        self.root = ET.fromstring(data)
        self.items = {}
        for g in self.root.iter(f"{_SVG}g"):
            if g.get("class"):
                own = self._own(g)
                text = "".join(t for e in own if e.tag == f"{_SVG}text" for t in e.itertext())
                text = text.replace("\xa0", " ").strip()
                tooltip = next((e.text for e in own if e.tag == f"{_SVG}title"), "")
                paths = [e for e in own if e.tag == f"{_SVG}path" and e.get("stroke") not in (None, "none")]
                strokes = [(e.get("stroke"), float(e.get("stroke-width") or 1)) for e in paths]
                item = Item(g.get("id"), g.get("class").split(), text, tooltip or "", strokes)
                assert item.id not in self.items, f"two items with id {item.id}"
                self.items[item.id] = item

    @staticmethod
    def _own(g):
        """The elements inside g that belong to no inner item."""
        found = []
        for e in g:
            if not (e.tag == f"{_SVG}g" and e.get("class")):
                found += [e, *Svg._own(e)]
        return found

    def of(self, css):
        return [item for item in self.items.values() if css in item.classes]

    @property
    def text(self):
        return "\n".join(item.text for item in self.items.values())


@pytest.fixture
def svg():
    return lambda drawing: Svg(drawing.pipe("svg"))


@pytest.fixture
def unrolled():
    """A function: the loss of a cell over random inputs, on the last state or on all of them."""

    def build(cell, steps, loss="last", batch=(), on="h", seed=0):
        rng = np.random.default_rng(seed)
        shape = (*batch, cell.hidden_size)
        h, c = (tl.tensor(rng.normal(size=shape), requires_grad=True, name=name) for name in ("h0", "c0"))
        terms = []
        for _ in range(steps):
            x = tl.tensor(rng.normal(size=(*batch, cell.input_size)), requires_grad=True, name="x")
            if isinstance(cell, tl.nn.LSTMCell):
                h, c = cell(x, (h, c))
            else:
                h = cell(x, h)
            terms.append((({"h": h, "c": c}[on] - 1) ** 2).sum())
        total = terms[-1]
        for term in terms[:-1] if loss == "all" else ():
            total = total + term
        total.name = "L"
        return total

    return build


@pytest.fixture
def lstm():
    return tl.nn.LSTMCell(1, 2)


@pytest.fixture
def rnn():
    return tl.nn.RNNCell(1, 2)

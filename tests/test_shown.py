"""Objects show themselves by pages registered from above, whatever was or was not imported before."""

import copy
import pickle
import subprocess
import sys

import pytest

import tinygrad_lstm as tl
from tinygrad_lstm.shown import Shown, page

MAKE = {
    "tensor": "tl.tensor([1.0])",
    "parameter": "tl.nn.Parameter([1.0])",
    "module": "tl.nn.Linear(2, 3)",
    "step": "tl.nn.LSTMCell(2, 3).step([1.0, 2.0])",
    "flow": "tl.flow.read_graph(tl.tensor([1.0]) * 2)",
}


@pytest.mark.parametrize("made", MAKE.values(), ids=MAKE)
def test_the_first_object_of_a_program_shows_itself(made):
    code = (
        "import sys, tinygrad_lstm as tl\n"
        "print({'tinygrad_lstm.notebook', 'tinygrad_lstm.views', 'graphviz', 'matplotlib'} & set(sys.modules))\n"
        f"print({made}._repr_html_()[:5])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == ("set()\n<div \n", "")


def pickled(shown):
    return pickle.loads(pickle.dumps(shown))


@pytest.mark.parametrize(
    ("made", "again"),
    [
        (MAKE[kind], again)
        for kind in ("tensor", "parameter", "module", "step")
        for again in (copy.copy, copy.deepcopy, pickled)
        if (kind, again) != ("step", pickled)  # a named tuple made for a cell's own names is in no module
    ],
)
def test_a_copy_shows_what_the_original_does(made, again):
    with tl.no_grad():  # what was computed is not copied with its graph
        one = eval(made)
    assert again(one)._repr_html_() == one._repr_html_()


def test_a_type_that_derives_from_one_with_a_page_has_that_page_or_its_own():
    class Mine(tl.nn.Module):
        def __init__(self):
            self.W = tl.nn.Parameter([1.0])

    class Other(Mine):
        def _repr_html_(self):
            return "mine"

    assert "Mine" in Mine()._repr_html_()
    assert Other()._repr_html_() == "mine"


def test_what_has_no_page_says_so():
    class Bare(Shown):
        pass

    with pytest.raises(TypeError, match="there is no page for Bare"):
        Bare()._repr_html_()
    page.register(Bare, lambda shown: "<p>bare</p>")
    assert Bare()._repr_html_() == "<p>bare</p>"

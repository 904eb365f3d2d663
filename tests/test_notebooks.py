"""The notebooks of examples/ run from top to bottom, as notebooks and as scripts, and every object in them shows."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

NOTEBOOKS = sorted((Path(__file__).parent.parent / "examples").glob("notebook_*.py"))


@pytest.fixture(scope="module", params=NOTEBOOKS, ids=lambda path: path.name)
def executed(request, tmp_path_factory):
    """The notebook after a kernel of its own has run every cell."""
    jupytext = pytest.importorskip("jupytext")
    client = pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    notebook = jupytext.read(request.param)
    folder = tmp_path_factory.mktemp("notebook")
    client.NotebookClient(
        notebook, timeout=60, kernel_name="python3", resources={"metadata": {"path": str(folder)}}
    ).execute()
    assert list(folder.iterdir()) == []
    notebook.metadata["watched"] = request.param.name == "notebook_train.py"
    return notebook


def code(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def test_it_tells_its_story_in_few_cells(executed):
    assert executed.cells[0].cell_type == "markdown"
    assert 8 <= len(code(executed)) <= 15


def test_nothing_failed_and_nothing_was_warned_of(executed):
    outputs = [output for cell in code(executed) for output in cell.outputs]
    assert outputs
    assert [o for o in outputs if o.output_type == "error" or o.get("name") == "stderr"] == []


def test_every_object_shows_itself(executed):
    """A cell that ends with an expression, unless it prints, has one page as its output, and other cells have none."""
    for cell in code(executed):
        last = ast.parse(cell.source).body[-1]
        shown = [o.data for o in cell.outputs if o.output_type in ("execute_result", "display_data")]
        if not isinstance(last, ast.Expr) or ast.unparse(last).startswith("print("):
            assert shown == []
            continue
        (data,) = shown
        assert "text/html" in data


def test_a_run_that_is_watched_is_one_output_that_shows_how_it_ended(executed):
    watched = [cell for cell in code(executed) if "\nwatch(" in f"\n{cell.source}"]
    for cell in watched:
        (output,) = cell.outputs
        assert " solved</b> <span class=dim>after " in output.data["text/html"]
    assert bool(watched) == executed.metadata["watched"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_it_is_a_script_too(path, tmp_path):
    assert f"python examples/{path.name}" in path.read_text(encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-W", "error", path], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout

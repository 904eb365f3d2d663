"""The only file that knows Graphviz: DOT text in, the bytes of a picture out.

pygraphviz carries Graphviz inside its wheel; a system `dot` serves where it is missing. Also a program that
imports nothing else of the package: `python render.py FORMAT` reads DOT from standard input, so that a large
layout can run in a process of its own and be stopped.
"""

from __future__ import annotations

import html
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path

FORMATS = ("svg", "png", "pdf", "jpg", "jpeg")
TEXT_FORMATS = ("dot", "gv")

# Graphviz is not thread-safe, and file descriptor 2 belongs to the whole process.
_one_at_a_time = threading.Lock()

# Characters of DOT that are drawn in this process, all others in a child each. Graphviz never frees what it made of
# bold words and of labels of clusters, in our drawings up to 0.15 bytes for each character: 20 MB in 2,900 LSTM steps.
_room = 2**27

_SYSTEM_FONTS = Path("/etc/fonts/fonts.conf")


class RendererMissing(RuntimeError):
    """Neither pygraphviz nor a system `dot` is installed."""


class RenderError(RuntimeError):
    """Graphviz could not draw this graph, or not in the time given."""


def render(dot: str, format: str, timeout: float | None = None) -> bytes:
    """Draw DOT text as svg, png, pdf or jpg.

    With a `timeout` in seconds the layout runs in a child process, which Ctrl-C stops at once; so does every layout in
    a process that has drawn some thousand pictures.

    Raises ValueError for another format, RendererMissing when there is nothing to draw with, and
    RenderError for what Graphviz refuses or does not finish.
    """
    if format not in FORMATS:
        raise ValueError(f"cannot draw as {format!r}: use one of {', '.join((*FORMATS, *TEXT_FORMATS))}")
    if find_spec("pygraphviz") is not None:
        if timeout is None and _is_clean(dot):
            with _one_at_a_time:
                picture = _render_here(dot, format)
        else:
            # -P: the modules beside this file hide no others.
            picture = _render_outside([sys.executable, "-P", __file__, format], dot, timeout)
    elif command := shutil.which("dot"):
        picture = _render_outside([command, f"-T{format}"], dot, timeout)
    else:
        raise RendererMissing(
            "nothing to draw with: `pip install pygraphviz` (it carries Graphviz), or install Graphviz so that "
            "`dot` is on the PATH"
        )
    return card(picture) if format == "svg" else picture


def _is_clean(dot: str) -> bool:
    """Whether this process has lost little enough to Graphviz to draw another picture."""
    global _room
    _room -= len(dot)
    return _room > 0


# A fork waits for the picture under way.
if hasattr(os, "register_at_fork"):  # pragma: no branch - Windows
    _free = _one_at_a_time.release
    os.register_at_fork(before=_one_at_a_time.acquire, after_in_parent=_free, after_in_child=_free)


def _render_here(dot: str, format: str) -> bytes:
    import pygraphviz  # type: ignore[import-untyped]

    with _fonts(), _errors_checked():
        try:
            graph = pygraphviz.AGraph(string=dot)
            try:
                # `layout` is an attribute that dot.py always writes.
                picture = graph.draw(format=format, prog=graph.graph_attr["layout"])
            finally:
                graph.close()
        except (pygraphviz.DotError, ValueError, OSError) as error:
            raise RenderError(f"Graphviz cannot read this graph: {error}") from error
    return bytes(picture)


def _render_outside(command: list[str], dot: str, timeout: float | None) -> bytes:
    """Whatever ends the wait, Ctrl-C too, ends the process (subprocess.run sees to that)."""
    path = os.environ | {"PYTHONPATH": os.pathsep.join(os.path.abspath(folder) for folder in sys.path if folder)}
    try:
        done = subprocess.run(command, input=dot.encode(), capture_output=True, timeout=timeout, check=False, env=path)
    except subprocess.TimeoutExpired:
        raise RenderError(
            f'Graphviz did not finish this layout in {timeout:g} s: draw fewer steps or use detail="step"'
        ) from None
    message = done.stderr.decode(errors="replace")
    _check(message)
    if done.returncode:
        raise RenderError(f"Graphviz failed with status {done.returncode}: {message.strip()[-500:]}")
    return done.stdout


def _check(messages: str) -> None:
    """Graphviz reports a label it cannot read on its error stream, draws the rest and succeeds."""
    wrong = [line for line in messages.splitlines() if _LOST.match(line)]
    if wrong:
        raise RenderError(f"Graphviz lost a part of the drawing: {'; '.join(wrong)[:500]}")


_LOST = re.compile(r"(\S+: )?Error:|Warning:.*(syntax|not well)")
# What Graphviz and the libraries under it say, all else in the stream is another's.
_OWN = re.compile(r"(\S+: )?(Error|Warning):|\.\.\. |in label of |Fontconfig |\(.*\): ")


@contextmanager
def _errors_checked() -> Iterator[None]:
    """Check what C code prints to file descriptor 2 meanwhile; what others print goes on its way."""
    with suppress(OSError, ValueError, AttributeError):  # there may be no error stream
        sys.stderr.flush()
    try:
        saved = os.dup(2)
    except OSError:
        saved = os.open(os.devnull, os.O_WRONLY)
    with tempfile.TemporaryFile() as file:
        os.dup2(file.fileno(), 2)
        try:
            yield
        finally:
            file.seek(0)
            lines = file.readlines()  # before descriptor 2 is another's: it may be that of this very file
            os.dup2(saved, 2)
            os.close(saved)
            others = [line for line in lines if not _OWN.match(line.decode(errors="replace"))]
            with suppress(OSError):
                os.write(2, b"".join(others))
    _check(b"".join(lines).decode(errors="replace"))


@contextmanager
def _fonts() -> Iterator[None]:
    """On a machine without a fonts configuration, one that names the fonts of an installed matplotlib.

    Without it PNGs show boxes for letters. The environment is left as it was.
    """
    configured = "FONTCONFIG_FILE" in os.environ or "FONTCONFIG_PATH" in os.environ or _SYSTEM_FONTS.exists()
    if os.name == "nt" or configured:
        yield
        return
    folders = ["/usr/share/fonts", "/usr/local/share/fonts", "/System/Library/Fonts", "/Library/Fonts"]
    if (matplotlib := find_spec("matplotlib")) and matplotlib.origin:
        folders.append(str(Path(matplotlib.origin).parent / "mpl-data" / "fonts" / "ttf"))
    with tempfile.TemporaryDirectory() as folder:
        configuration = Path(folder) / "fonts.conf"
        dirs = "".join(f"<dir>{html.escape(name)}</dir>" for name in folders)
        configuration.write_text(
            f"<fontconfig>{dirs}<cachedir>{html.escape(folder)}</cachedir></fontconfig>", encoding="utf-8"
        )
        os.environ["FONTCONFIG_FILE"] = str(configuration)
        try:
            yield
        finally:
            del os.environ["FONTCONFIG_FILE"]


_VIEW = re.compile(r'<svg ([^>]*viewBox="[\d.]+ [\d.]+ ([\d.]+) ([\d.]+)"[^>]*>)')
_TITLE = re.compile(r"<title>(.*?)</title>\n?", re.DOTALL)
_TOOLTIP = re.compile(r'<g id="[^"]*"><a xlink:title="([^"]*)">(.*?)\n</a>(?=\n</g>)', re.DOTALL)
_BACKGROUND = re.compile(r'<polygon fill="(?:white|#ffffff)" stroke="(?:none|transparent)" points="[^"]*"/>\n')


def card(svg: bytes) -> bytes:
    """An SVG as it is handed out: on a ground of its own, as wide as its page lets it be, its parts named in words.

    Graphviz names parts by their ids, and hides our words in an attribute that not every browser shows.
    """
    text = svg.decode()
    view, title = _VIEW.search(text), _TITLE.search(text)
    if view is None or title is None:
        return svg
    text = _TOOLTIP.sub(r"<g><title>\1</title>\2", _TITLE.sub("", _BACKGROUND.sub("", text, count=1)))
    width, height = (float(length) - 1 for length in view.groups()[1:])
    named = title[1].replace('"', "&quot;")
    root = (
        f'<svg role="img" aria-label="{named}" style="max-width:100%;height:auto" {view[1]}\n{title[0]}'
        f'<rect x=".5" y=".5" width="{width:g}" height="{height:g}" rx="14" fill="#FFFFFF" stroke="#D5DCE4"/>'
    )
    return text.replace(view[0], root, 1).encode()


if __name__ == "__main__":
    sys.stdout.buffer.write(_render_here(sys.stdin.buffer.read().decode(), sys.argv[1]))

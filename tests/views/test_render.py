"""Graphviz behind its one door: fall-backs, lost labels, streams, threads, time limits."""

import os
import signal
import subprocess
import sys
import threading
import time
import xml.etree.ElementTree as ET
from pathlib import Path
from textwrap import dedent

import pygraphviz
import pytest

from tinygrad_lstm.views import RendererMissing, RenderError, render

SVG = "{http://www.w3.org/2000/svg}"
NAMED = r"""digraph "a \"picture\" <&amp;>" {
  graph [layout=dot, bgcolor=white]; a [tooltip="the first"]; b [tooltip="the second"]
  a -> b [tooltip="a goes to b", edgetooltip="a goes to b"]
}"""
SMALL = "digraph { graph [layout=dot]; a -> b }"
LOST = "digraph { graph [layout=dot]; a [label=<<B>x</I>>] }"
posix = pytest.mark.skipif(os.name == "nt", reason="signals and scripts of POSIX")


def python(code, **options):
    """Run code in a process of its own, warnings as errors."""
    command = [sys.executable, "-W", "error", "-c", dedent(code)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, **options)


@pytest.mark.parametrize(
    ("format", "start"),
    [("svg", b"<?xml"), ("png", b"\x89PNG"), ("pdf", b"%PDF"), ("jpg", b"\xff\xd8"), ("jpeg", b"\xff\xd8")],
)
def test_every_format_is_what_it_says(format, start):
    assert render.render(SMALL, format).startswith(start)


def test_an_svg_is_as_wide_as_its_page_lets_it_be_on_a_ground_of_its_own():
    root = ET.fromstring(render.render(NAMED, "svg"))
    assert root.get("style") == "max-width:100%;height:auto"
    _, _, width, height = map(float, root.get("viewBox").split())
    ground = root.find(f"{SVG}rect")
    assert (float(ground.get("width")), float(ground.get("height"))) == (width - 1, height - 1)
    assert (ground.get("rx"), ground.get("fill"), ground.get("stroke")) == ("14", "#FFFFFF", "#D5DCE4")
    assert [e for e in root.iter(f"{SVG}polygon") if e.get("stroke") == "none"] == []  # no corner of another's on it


def test_an_svg_and_its_parts_have_names_in_words():
    root = ET.fromstring(render.render(NAMED, "svg"))
    assert (root.get("role"), root.get("aria-label")) == ("img", 'a "picture" <&>')
    assert root[0].tag == f"{SVG}title"
    titles = [e.text for e in root.iter(f"{SVG}title")]
    assert titles == ['a "picture" <&>', "the first", "the second", "a goes to b"]
    firsts = {id(e) for parent in root.iter() for e in list(parent)[:1]}
    assert all(id(e) in firsts for e in root.iter(f"{SVG}title"))  # elsewhere not every browser shows it


def test_a_link_and_a_ground_that_a_user_adds_are_kept():
    dot = 'digraph { graph [layout=dot, bgcolor="#223344"]; a [URL="https://example.org", tooltip="a link"]; a -> b }'
    root = ET.fromstring(render.render(dot, "svg"))
    assert [e.get("{http://www.w3.org/1999/xlink}href") for e in root.iter(f"{SVG}a")] == ["https://example.org"]
    assert next(e.get("fill") for e in root.iter(f"{SVG}polygon")) == "#223344"


@pytest.mark.parametrize("format", ["webp", "tiff", "", "SVG", "dot", "svg:cairo"])
def test_another_format_is_refused_by_name(format):
    with pytest.raises(ValueError, match="use one of svg, png, pdf"):
        render.render(SMALL, format)


@pytest.mark.parametrize("timeout", [None, 30])
@pytest.mark.parametrize("dot", [LOST, "digraph { graph [layout=dot]; a [label=<<TABLE></TABLE>>] }"])
def test_a_label_that_graphviz_loses_is_an_error(dot, timeout):
    with pytest.raises(RenderError, match="lost a part"):
        render.render(dot, "svg", timeout)


@pytest.mark.parametrize("timeout", [None, 30])
@pytest.mark.parametrize("dot", ["digraph {", "not a graph", ""])
def test_what_is_no_graph_is_an_error(dot, timeout):
    with pytest.raises(RenderError):
        render.render(dot, "svg", timeout)


def test_a_child_draws_the_same_picture():
    assert render.render(SMALL, "svg", timeout=30) == render.render(SMALL, "svg")


def test_the_child_needs_no_more_than_its_own_file(tmp_path, monkeypatch):
    (tmp_path / "html.py").write_text("raise SystemExit('the wrong module')")
    monkeypatch.chdir(tmp_path)
    assert render.render(SMALL, "svg", timeout=30).startswith(b"<?xml")


# ── without pygraphviz ─────────────────────────────────────────────────────────────────────────


@pytest.fixture
def no_pygraphviz(monkeypatch, tmp_path):
    """A machine with nothing but an empty PATH; returns its one directory."""
    monkeypatch.setattr(render, "find_spec", lambda name: None)
    monkeypatch.setenv("PATH", str(tmp_path))
    return tmp_path


def script(path, body):
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)


def test_with_nothing_to_draw_with_one_line_says_what_to_install(no_pygraphviz):
    with pytest.raises(RendererMissing) as caught:
        render.render(SMALL, "svg")
    assert "\n" not in str(caught.value)
    assert "pip install pygraphviz" in str(caught.value)
    assert "`dot` is on the PATH" in str(caught.value)


@posix
def test_a_system_dot_serves(no_pygraphviz):
    script(no_pygraphviz / "dot", 'echo "<svg $1>$(/bin/cat)</svg>"')
    assert render.render(SMALL, "svg").decode() == f"<svg -Tsvg>{SMALL}</svg>\n"


@posix
@pytest.mark.parametrize(
    ("body", "said"),
    [("echo 'Error: <stdin>: syntax error' >&2", "syntax error"), ("echo broken >&2; exit 3", "status 3: broken")],
)
def test_what_a_system_dot_refuses_is_an_error(no_pygraphviz, body, said):
    script(no_pygraphviz / "dot", body)
    with pytest.raises(RenderError, match=said):
        render.render(SMALL, "svg")


def gone(pid):
    stat = Path(f"/proc/{pid}/stat")  # an orphan may have ended and wait for the first process of all to notice
    for _ in range(100):
        try:
            os.kill(pid, 0)
            if stat.exists() and stat.read_text().split()[2] == "Z":
                return True
        except (ProcessLookupError, FileNotFoundError):
            return True
        time.sleep(0.02)
    return False


@posix
def test_a_layout_that_takes_too_long_is_stopped(no_pygraphviz):
    script(no_pygraphviz / "dot", f"echo $$ > {no_pygraphviz}/pid; exec /bin/sleep 60")
    start = time.perf_counter()
    with pytest.raises(RenderError, match=r'did not finish this layout in 0.5 s: .* detail="step"'):
        render.render(SMALL, "svg", timeout=0.5)
    assert time.perf_counter() - start < 5
    assert gone(int((no_pygraphviz / "pid").read_text()))


@posix
def test_ctrl_c_stops_a_layout_and_its_process(tmp_path):
    script(
        tmp_path / "dot", f"echo $$ > {tmp_path}/pid.new; /bin/mv {tmp_path}/pid.new {tmp_path}/pid; exec /bin/sleep 60"
    )
    code = f"""
        import os
        from tinygrad_lstm.views import render
        os.environ["PATH"] = {str(tmp_path)!r}
        render.find_spec = lambda name: None
        try:
            render.render("digraph {{}}", "svg", 50)
        except KeyboardInterrupt:
            print("stopped")
    """
    process = subprocess.Popen([sys.executable, "-c", dedent(code)], stdout=subprocess.PIPE, text=True)
    with process:
        for _ in range(500):
            if (tmp_path / "pid").exists():
                break
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=10)
    assert out == "stopped\n"
    assert gone(int((tmp_path / "pid").read_text()))


def test_a_real_layout_that_takes_too_long_is_stopped():
    edges = " ".join(f"{a} -> {b}" for a in range(150) for b in range(a + 1, 150))
    start = time.perf_counter()
    with pytest.raises(RenderError, match="did not finish"):
        render.render(f"digraph {{ graph [layout=dot]; {edges} }}", "svg", timeout=0.6)
    assert time.perf_counter() - start < 5


# ── streams ────────────────────────────────────────────────────────────────────────────────────


def test_nothing_is_printed(capfd):
    render.render(SMALL, "png")
    with pytest.raises(RenderError):
        render.render(LOST, "svg")
    assert capfd.readouterr() == ("", "")


def test_what_others_print_meanwhile_is_not_lost(capfd, monkeypatch):
    draw = pygraphviz.AGraph.draw

    def interrupted(self, **options):
        os.write(2, b"from another thread\n")
        return draw(self, **options)

    monkeypatch.setattr(pygraphviz.AGraph, "draw", interrupted)
    monkeypatch.setattr(render, "_room", 2**20)  # here, however much was drawn before
    with pytest.raises(RenderError):
        render.render(LOST, "svg")
    assert capfd.readouterr().err == "from another thread\n"


@pytest.mark.parametrize(
    "close", ["os.close(2)", "sys.stderr.close()", "sys.stderr = None; os.close(2)", "os.close(0); os.close(2)"]
)
def test_a_program_without_an_error_stream_draws(close):
    done = python(f"""
        import os, sys
        from tinygrad_lstm.views import RenderError, render
        import pygraphviz
        {close}
        for _ in range(3):
            assert render.render({SMALL!r}, "png")
        try:
            render.render({LOST!r}, "svg")
        except RenderError:
            print("lost", len(os.listdir("/proc/self/fd")) if os.path.exists("/proc/self/fd") else "")
    """)
    assert done.stdout.startswith("lost"), done.stderr


def test_no_file_descriptor_is_left_open():
    if not os.path.exists("/proc/self/fd"):
        pytest.skip("counts open files through /proc")
    render.render(SMALL, "png")
    before = os.listdir("/proc/self/fd")
    for _ in range(5):
        render.render(SMALL, "png")
        with pytest.raises(RenderError):
            render.render(LOST, "svg")
    assert os.listdir("/proc/self/fd") == before


def test_graphviz_which_is_not_thread_safe_is_entered_by_one_thread_at_a_time(monkeypatch):
    draw, inside, most = pygraphviz.AGraph.draw, [], []

    def slow(self, **options):
        inside.append(1)
        most.append(len(inside))
        time.sleep(0.02)  # lets other threads run
        inside.pop()
        return draw(self, **options)

    monkeypatch.setattr(pygraphviz.AGraph, "draw", slow)
    monkeypatch.setattr(render, "_room", 2**20)  # here, however much was drawn before
    threads = [threading.Thread(target=render.render, args=(SMALL, "svg")) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1, 1, 1, 1]


def test_threads_draw_at_once():
    graphs = [f"digraph {{ graph [layout=dot]; a{k} -> b{k} }}" for k in range(4)]
    alone = [render.render(dot, "svg") for dot in graphs]
    together = {}

    def work(k):
        together[k] = [render.render(graphs[k], "svg") for _ in range(5)]

    threads = [threading.Thread(target=work, args=(k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert together == {k: [alone[k]] * 5 for k in range(4)}


# ── fonts ──────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("variable", ["FONTCONFIG_FILE", "FONTCONFIG_PATH"])
def test_a_fonts_configuration_that_is_not_there_does_no_harm(variable, tmp_path):
    code = f"""
        from tinygrad_lstm.views import render
        print(render.render({SMALL!r}, "png")[:4])
    """
    done = python(code, env={**os.environ, variable: str(tmp_path / "none")})
    assert (done.stdout, done.stderr) == ("b'\\x89PNG'\n", "")


def test_a_machine_without_a_fonts_configuration_gets_one_for_the_time_of_a_drawing(tmp_path):
    code = f"""
        import os
        from pathlib import Path
        from tinygrad_lstm.views import render
        render._SYSTEM_FONTS = Path({str(tmp_path / "none")!r})
        with render._fonts():
            assert Path(os.environ["FONTCONFIG_FILE"]).read_text().startswith("<fontconfig><dir>")
        find, render.find_spec = render.find_spec, lambda name: None  # nor a matplotlib with fonts of its own
        with render._fonts():
            named = Path(os.environ["FONTCONFIG_FILE"]).read_text()
            assert "<dir>/usr/share/fonts</dir>" in named and "mpl-data" not in named
        render.find_spec = find
        print(render.render({SMALL!r}, "png")[:4], "FONTCONFIG_FILE" in os.environ)
    """
    env = {name: value for name, value in os.environ.items() if not name.startswith("FONTCONFIG")}
    done = python(code, env=env)
    assert (done.stdout, done.stderr) == ("b'\\x89PNG' False\n", "")


# ── many pictures ──────────────────────────────────────────────────────────────────────────────


def test_after_many_pictures_each_is_drawn_in_a_process_of_its_own(monkeypatch):
    here, drawn = render._render_here, []
    monkeypatch.setattr(render, "_render_here", lambda *question: drawn.append(question) or here(*question))
    monkeypatch.setattr(render, "_room", 3 * len(SMALL))
    pictures = [render.render(SMALL, "svg") for _ in range(4)]
    assert len(drawn) == 2
    assert set(pictures) == {pictures[0]}
    with pytest.raises(RenderError, match="lost a part of the drawing"):
        render.render(LOST, "svg")


@posix
def test_a_fork_waits_for_the_picture_under_way():
    done = python(f"""
        import os, threading, time, warnings
        from tinygrad_lstm.views import render
        warnings.simplefilter("ignore", DeprecationWarning)  # of forks beside threads
        here, inside = render._render_here, threading.Event()
        def slow(*question):
            inside.set()
            time.sleep(0.3)
            return here(*question)
        render._render_here = slow
        draw = lambda: render.render({SMALL!r}, "svg")
        thread = threading.Thread(target=draw)
        thread.start()
        inside.wait()
        child = os.fork()
        if not child:
            os._exit(not draw())
        print(os.waitpid(child, 0)[1], thread.is_alive() or draw() == draw())
    """)
    assert (done.stdout, done.stderr) == ("0 True\n", "")


def test_memory_stays_flat_over_many_drawings():
    """Of bold words: Graphviz loses 95 bytes of each, of eight such pictures 7.6 MB."""
    pytest.importorskip("resource")
    done = python("""
        import resource
        from tinygrad_lstm.views import render
        def draw(n):
            for _ in range(n):
                render.render(dot, "svg")
            return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        words = "<B>x</B>y" * 10_000
        dot = "digraph { graph [layout=dot]; a [label=<" + words + ">] }"
        render._room = 3 * len(dot)
        first = draw(4)
        print((draw(8) - first) / first)
    """)
    assert float(done.stdout) < 0.05, done.stderr

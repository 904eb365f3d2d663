"""How long the explorer takes to repaint while a slider moves, and how large its page is.

    python tests/bench/explore.py [steps]

Needs playwright and chromium. Prints for each hidden size the median time by the clock, and the processor time of the
page's own thread (scripts, style, layout), which other processes on the machine do not stretch.
"""

from __future__ import annotations

import shutil
import statistics
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import CDPSession, sync_playwright

from tinygrad_lstm.explore import page

FLAGS = "--headless --no-sandbox --disable-gpu --no-first-run --disable-background-networking --disable-sync"
REPEATS = 100
SLIDE = """async (repeats) => {
  const slider = document.getElementById("bias-f"), times = [];
  for (let k = 0; k < repeats; k++) {
    slider.value = String(-4 + (14 * k) / repeats);
    const begun = performance.now();
    slider.dispatchEvent(new Event("input", { bubbles: true }));
    void document.body.offsetHeight; // the layout too
    times.push(performance.now() - begun);
    await new Promise((done) => requestAnimationFrame(() => setTimeout(done, 0)));
  }
  return times;
}"""


def spent(protocol: CDPSession) -> float:
    """Seconds that the page's thread has computed."""
    metrics = {m["name"]: m["value"] for m in protocol.send("Performance.getMetrics")["metrics"]}
    return sum(metrics[f"{name}Duration"] for name in ("Script", "RecalcStyle", "Layout"))


def main() -> None:
    """Print a line for each hidden size."""
    steps = int(sys.argv[1]) if len(sys.argv) > 1 else 50
    executable = shutil.which("chromium")
    if executable is None:
        sys.exit("no chromium is installed")
    with sync_playwright() as playwright, tempfile.TemporaryDirectory() as folder:
        browser = playwright.chromium.launch(executable_path=executable, args=FLAGS.split())
        for hidden in (4, 8):
            html = page(" ".join(f"word{k}" for k in range(steps)), hidden_size=hidden)
            path = Path(folder) / "page.html"
            path.write_text(html, encoding="utf-8")
            shown = browser.new_page(viewport={"width": 1400, "height": 900})
            shown.goto(path.as_uri())
            shown.evaluate(SLIDE, 10)
            protocol = shown.context.new_cdp_session(shown)
            protocol.send("Performance.enable", {"timeDomain": "threadTicks"})
            before = spent(protocol)
            times = shown.evaluate(SLIDE, REPEATS)
            processor = 1000 * (spent(protocol) - before) / REPEATS
            shown.close()
            print(
                f"{steps} steps, hidden size {hidden}: repaint {statistics.median(times):.1f} ms by the clock, "
                f"{processor:.1f} ms of processor time; page {len(html.encode()) / 1e6:.2f} MB"
            )
        browser.close()


if __name__ == "__main__":
    main()

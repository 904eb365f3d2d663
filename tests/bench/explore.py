"""How long the explorer takes to repaint while a slider moves, and how large its page is.

Run: python tests/bench/explore.py [steps] (needs playwright and chromium). Median and nine tenths of the repaints.
"""

from __future__ import annotations

import shutil
import statistics
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import sync_playwright

from tinygrad_lstm.explore import page

FLAGS = "--headless --no-sandbox --disable-gpu --no-first-run --disable-background-networking --disable-sync"
REPEATS = 100
SLIDE = """async (repeats) => {
  const slider = document.getElementById("forget"), times = [];
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
            times = sorted(shown.evaluate(SLIDE, REPEATS))
            shown.close()
            print(
                f"{steps} steps, hidden size {hidden}: repaint {statistics.median(times):.1f} ms, "
                f"nine tenths within {times[9 * REPEATS // 10]:.1f} ms; page {len(html.encode()) / 1e6:.2f} MB"
            )
        browser.close()


if __name__ == "__main__":
    main()

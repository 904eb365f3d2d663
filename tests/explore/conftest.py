"""A real browser without a network, and pages opened in it from the disk."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --disable-dev-shm-usage"
)
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def script(name: str) -> str:
    """A function of JavaScript from the folder scripts, to be evaluated in a page."""
    return (Path(__file__).parent / "scripts" / f"{name}.js").read_text(encoding="utf-8").rstrip().rstrip(";")


@pytest.fixture(scope="session", name="script")
def script_of() -> Callable[[str], str]:
    return script


@pytest.fixture(scope="module")  # longer, and Playwright's event loop would still run in the tests of others
def browser() -> Iterator[Any]:
    """Chromium, driven by Playwright; skipped where either is missing."""
    api = pytest.importorskip("playwright.sync_api", reason="the page is tested in a browser: pip install playwright")
    executable = next(filter(None, map(shutil.which, NAMES)), None)
    if executable is None:
        pytest.skip(f"the page is tested in a browser, and none is installed: {', '.join(NAMES)}")
    with api.sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=executable, args=FLAGS.split())
        yield chromium
        chromium.close()


@dataclass
class Opened:
    """A page in the browser, with what went wrong in it and what it asked for."""

    page: Any
    errors: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def text(self, selector: str) -> str:
        """The text of an element."""
        return str(self.page.text_content(selector))

    def slide(self, control: str, value: float) -> None:
        """Move a slider, as a pointer does."""
        self.page.eval_on_selector(
            control,
            "(e, v) => { e.value = v; e.dispatchEvent(new Event('input', { bubbles: true })); }",
            str(value),
        )

    def until(self, condition: str, seconds: float = 30) -> None:
        """Wait for a condition, asked from here: Playwright's wait_for_function needs eval, which the page forbids."""
        end = time.monotonic() + seconds
        while not self.page.evaluate(condition):
            assert time.monotonic() < end, f"still false after {seconds} s: {condition}"
            self.page.wait_for_timeout(20)


@pytest.fixture
def opened(browser: Any, tmp_path: Path) -> Iterator[Callable[..., Opened]]:
    """Open a page's HTML from the disk, offline; at the end nothing may have failed or been asked for."""
    contexts, pages = [], []

    def open_(html: str, width: int = 1400, height: int = 900, **options: Any) -> Opened:
        context = browser.new_context(viewport={"width": width, "height": height}, offline=True, **options)
        contexts.append(context)
        page = Opened(context.new_page())
        pages.append(page)
        page.page.on("console", lambda m: page.errors.append(m.text))
        page.page.on("pageerror", lambda e: page.errors.append(str(e)))
        page.page.on("request", lambda r: page.requests.append(r.url))
        path = tmp_path / f"page{len(pages)}.html"
        path.write_text(html, encoding="utf-8")
        page.page.goto(path.as_uri())
        return page

    yield open_
    for page in pages:
        assert page.errors == []
        assert len(page.requests) == 1  # the file itself
    for context in contexts:
        context.close()

"""Pages opened in the browser from the disk, without a network."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest


def script(name: str) -> str:
    """A function of JavaScript from the folder scripts, to be evaluated in a page."""
    return (Path(__file__).parent / "scripts" / f"{name}.js").read_text(encoding="utf-8").rstrip().rstrip(";")


@pytest.fixture(scope="session", name="script")
def script_of() -> Callable[[str], str]:
    return script


@dataclass
class Opened:
    """A window of the browser, with what went wrong in it and what it asked for."""

    page: Any
    errors: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def listen(self) -> None:
        self.page.on("console", lambda m: self.errors.append(m.text))
        self.page.on("pageerror", lambda e: self.errors.append(str(e)))
        self.page.on("request", lambda r: self.requests.append(r.url))

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


@pytest.fixture(scope="module")
def windows() -> dict[str, Opened]:
    """A window for each set of options: the tests of a module use it one after another."""
    return {}


@pytest.fixture
def opened(browser: Any, windows: dict[str, Opened], tmp_path: Path) -> Iterator[Callable[..., Opened]]:
    """Open a page's HTML from the disk, offline; at the end nothing may have failed or been asked for."""
    used: list[Opened] = []

    def open_(html: str, width: int = 1400, height: int = 900, **options: Any) -> Opened:
        assert not used, "a test opens one page"
        window = windows.get(repr(options))
        if window is None:
            window = windows[repr(options)] = Opened(browser.new_context(offline=True, **options).new_page())
            window.listen()
        used.append(window)
        window.errors.clear()
        window.requests.clear()
        window.page.set_viewport_size({"width": width, "height": height})
        path = tmp_path / "page.html"
        path.write_text(html, encoding="utf-8")
        window.page.goto(path.as_uri())
        return window

    yield open_
    for window in used:
        assert window.errors == []
        assert len(window.requests) == 1  # the file itself

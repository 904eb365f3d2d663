"""How much Hypothesis tries: a few examples, the same ones every time, or thousands of new ones.

`pytest --hypothesis-profile=nightly tests/trust tests/test_primitives.py` is the long one.
"""

import shutil
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import settings

settings.register_profile("quick", max_examples=25, deadline=None, derandomize=True, database=None)
settings.register_profile("nightly", max_examples=1000, deadline=None, print_blob=True)
settings.load_profile("quick")


@pytest.fixture
def interrupted():
    """Try an action with Ctrl-C at its first moment, again with Ctrl-C at its second, and so on, until it is through.

    Moments are the lines of some files, by the ends of their names, in whole.py every instruction. `look` is called
    after each.
    """

    def attempt(action, look, *files):
        moment, through = 0, False
        while not through:
            left = moment

            def trace(frame, event, arg):
                nonlocal left
                file = frame.f_code.co_filename
                if not file.endswith((*files, "whole.py")):
                    return None
                frame.f_trace_opcodes = file.endswith("whole.py")
                left -= event == ("opcode" if frame.f_trace_opcodes else "line")
                if left < 0:
                    raise KeyboardInterrupt
                return trace

            before = sys.gettrace()
            sys.settrace(trace)
            try:
                action()
                through = True
            except KeyboardInterrupt:
                sys.settrace(before)
                look()
            finally:
                sys.settrace(before)
            moment += 1
        return moment

    return attempt


FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --disable-dev-shm-usage"
)
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


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

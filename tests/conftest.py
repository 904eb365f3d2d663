"""How much Hypothesis tries: a few examples, the same ones every time, or thousands of new ones.

`pytest --hypothesis-profile=nightly tests/trust tests/test_primitives.py` is the long one.
"""

import sys

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

"""How much Hypothesis tries: a few examples, the same ones every time, or thousands of new ones.

`pytest --hypothesis-profile=nightly tests/trust tests/test_primitives.py` is the long one.
"""

from hypothesis import settings

settings.register_profile("quick", max_examples=25, deadline=None, derandomize=True, database=None)
settings.register_profile("nightly", max_examples=1000, deadline=None, print_blob=True)
settings.load_profile("quick")

"""The scripts of docs/ can be imported by the tests of what they make."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent.parent / "docs"))

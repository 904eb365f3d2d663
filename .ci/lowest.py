"""The oldest version of every dependency that pyproject.toml allows, for pip: python .ci/lowest.py [EXTRA ...]"""

import sys
import tomllib
from pathlib import Path

project = tomllib.loads(Path("pyproject.toml").read_text(encoding="utf-8"))["project"]
extras = project["optional-dependencies"]
wanted = [*project["dependencies"], *(line for extra in sys.argv[1:] for line in extras[extra])]
print(*(line.split(";")[0].split(",")[0].replace(">=", "==") for line in wanted))

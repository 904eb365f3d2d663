"""Whether a wheel and an sdist hold what they must, and nothing else: python .ci/contents.py DIST"""

import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

dist = Path(sys.argv[1])
(wheel,), (sdist,) = dist.glob("*.whl"), dist.glob("*.tar.gz")
tracked = subprocess.run(["git", "ls-files"], capture_output=True, text=True, check=True).stdout.splitlines()

in_wheel = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
package = {name for name in tracked if name.startswith("tinygrad_lstm/")}
assert in_wheel == package, f"the wheel and the package differ: {sorted(in_wheel ^ package)}"
data = {"tinygrad_lstm/py.typed", "tinygrad_lstm/explore/page.html"}
assert data <= in_wheel
assert any(name.endswith("licenses/LICENSE") for name in zipfile.ZipFile(wheel).namelist())

with tarfile.open(sdist) as archive:
    in_sdist = {name.partition("/")[2] for name in archive.getnames()}
wanted = {name for name in tracked if not name.startswith(".") or name == ".gitignore"} | {"PKG-INFO"}
assert wanted <= in_sdist, f"the sdist lacks {sorted(wanted - in_sdist)}"
assert in_sdist <= wanted, f"the sdist has {sorted(in_sdist - wanted)}, which are not kept in git"
print(f"{wheel.name} {wheel.stat().st_size / 1e6:.2f} MB, {len(in_wheel)} files; {sdist.name} "
      f"{sdist.stat().st_size / 1e6:.2f} MB, {len(in_sdist)} files")  # fmt: skip

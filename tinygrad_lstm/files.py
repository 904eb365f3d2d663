"""Writing files whole or not at all: under a temporary name beside the target, then renamed. Reading them whole."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


def read_whole(path: str | os.PathLike[str]) -> bytes:
    """The bytes of a file. Raises OSError, also for a pipe or a device: those may never end."""
    path = Path(path)
    if path.exists() and not (path.is_file() or path.is_dir()):
        raise OSError(errno.EINVAL, "it is a pipe or a device, not a file", str(path))
    return path.read_bytes()


def write_atomically(path: str | os.PathLike[str], data: str | bytes) -> Path:
    """Write one file, text as UTF-8 with its line ends untouched, and return its path.

    A reader sees the old file or the new one, never a part. Raises OSError and leaves nothing where that cannot be.
    """
    path = Path(path)
    if path.is_symlink():
        path = Path(os.path.realpath(path))  # through a link, to the file that it names
    with all_or_nothing(path.parent) as staging:
        (staging / path.name).write_bytes(data.encode() if isinstance(data, str) else data)
    return path


@contextmanager
def all_or_nothing(directory: str | os.PathLike[str]) -> Iterator[Path]:
    """Write a set of files into a directory together: fill the yielded one, and all are renamed at the end.

    Makes the directory where it is missing. When the block raises, or a name is taken by something that is not a
    file, nothing is left behind, not even the directory. Raises OSError for what the system refuses.
    """
    target = Path(directory)
    made = [folder for folder in (target, *target.parents) if not folder.exists()]
    try:
        target.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".writing-", dir=target, ignore_cleanup_errors=True) as staging:
            yield Path(staging)
            files = sorted(Path(staging).iterdir())
            for file in files:
                taken = target / file.name
                if taken.exists() and not taken.is_file():
                    raise FileExistsError(f"{taken} is in the way: it is not a file")
            for file in files:
                os.replace(file, target / file.name)
    except BaseException:
        for folder in made:  # innermost first; one that something else has filled stays, some were never made
            with suppress(OSError):
                folder.rmdir()
        raise

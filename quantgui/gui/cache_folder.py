"""The folder of intermediate results: what is in it, and how it is kept below its limit."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

OWN_FOLDER = "quantgui-cache"
"""Below a folder that a person chose, only this one is ours to empty."""


def cache_size(folder: Path) -> int:
    """Bytes of all files below `folder`; 0 where it does not exist. Links are not followed."""
    return sum(nbytes for _, nbytes, _ in _files(folder))


def prune(folder: Path, limit_bytes: int) -> int:
    """Delete the files below `folder` that were used longest ago until the rest fits `limit_bytes`.

    Returns the bytes that were freed. A file that cannot be deleted is left.
    """
    files = sorted(_files(folder))
    total, freed = sum(nbytes for _, nbytes, _ in files), 0
    for _, nbytes, path in files:
        if total - freed <= limit_bytes:
            break
        with contextlib.suppress(OSError):
            path.unlink()
            freed += nbytes
    return freed


def _files(folder: Path) -> list[tuple[float, int, Path]]:
    """(last use, bytes, path) of every file."""
    found: list[tuple[float, int, Path]] = []
    for parent, _, names in os.walk(folder):
        for name in names:
            path = Path(parent, name)
            with contextlib.suppress(OSError):
                status = path.lstat()
                found.append((max(status.st_atime, status.st_mtime), status.st_size, path))
    return found

"""Writes one planned file, in any order of its tensors and rows, from several threads."""

from __future__ import annotations

import errno
import os
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from quantgui.formats.planning import PlannedFile

if TYPE_CHECKING:
    import torch


class ShardWriter:
    """The file has its final size from the start, so a full disk shows before any work is done."""

    def __init__(self, folder: Path, plan: PlannedFile) -> None:
        self._places = {t.name: len(plan.header) + t.offset for t in plan.tensors}
        self._sizes = {t.name: t.nbytes for t in plan.tensors}
        self._written = dict.fromkeys(self._places, 0)
        self._lock = threading.Lock()
        self._file = (folder / plan.name).open("wb", buffering=0)
        try:
            self._reserve(plan.nbytes)
            self._file.write(plan.header)
        except OSError:
            self._file.close()
            raise

    def _reserve(self, nbytes: int) -> None:
        if not hasattr(os, "posix_fallocate"):
            self._file.truncate(nbytes)
            return
        try:
            os.posix_fallocate(self._file.fileno(), 0, nbytes)
        except OSError as error:
            if error.errno not in (errno.EINVAL, errno.EOPNOTSUPP):  # some file systems cannot reserve
                raise
            self._file.truncate(nbytes)

    def write(self, name: str, offset: int, data: torch.Tensor) -> None:
        """Writes a contiguous CPU tensor's bytes at `offset` of the tensor `name`. Raises ValueError beyond its end."""
        import torch

        raw = data.contiguous().reshape(-1).view(torch.uint8).numpy()
        if offset + len(raw) > self._sizes[name]:
            raise ValueError(f"{name}: {offset + len(raw)} bytes do not fit the planned {self._sizes[name]}")
        self._write_at(self._places[name] + offset, raw.data)
        with self._lock:
            self._written[name] += len(raw)

    def _write_at(self, place: int, view: memoryview) -> None:
        """A write may take less than it is given. Where the system knows no position per write, one thread writes."""
        if hasattr(os, "pwrite"):
            while view:
                written = os.pwrite(self._file.fileno(), view, place)
                view, place = view[written:], place + written
            return
        with self._lock:
            self._file.seek(place)
            while view:
                view = view[self._file.write(view) :]

    def close(self) -> None:
        """Flushes to the disk. Raises ValueError where a planned byte was never written."""
        missing = [name for name, size in self._sizes.items() if self._written[name] < size]
        os.fsync(self._file.fileno())
        self._file.close()
        if missing:
            raise ValueError(f"not completely written: {', '.join(missing[:3])}")

    def abandon(self) -> None:
        """Closes without checks, after a failure."""
        self._file.close()

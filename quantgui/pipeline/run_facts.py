"""What a run's record keeps beside the result: what was said, versions of libraries, checksums of files."""

from __future__ import annotations

import hashlib
import importlib.metadata
import os
import time
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from quantgui.jobs.events import Event, Log, TrainingStep
from quantgui.jobs.training_trace import TrainingTrace, follow
from quantgui.pipeline import Emit


class Told:
    """Passes events on to `emit` and keeps those that belong into the record: warnings, and how a training went."""

    def __init__(self, emit: Emit) -> None:
        self.warnings: list[str] = []
        self._emit = emit
        self._training: TrainingTrace | None = None
        self._started = time.monotonic()

    def __call__(self, event: Event) -> None:
        """Keep and pass on."""
        if isinstance(event, Log) and event.level == "warning":
            self.warnings.append(event.text)
        if isinstance(event, TrainingStep):
            self._training = follow(self._training, event, time.monotonic() - self._started)
        self._emit(event)

    @property
    def training(self) -> TrainingTrace | None:
        """The training that is over; None where there was none."""
        return None if self._training is None else replace(self._training, is_over=True)


def versions(names: Iterable[str]) -> dict[str, str]:
    """Versions of those libraries that are installed."""
    found = {}
    for name in names:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def checksums(folder: Path) -> dict[str, str]:
    """SHA-256 of every file in the folder, by name."""
    sums = {}
    for path in sorted(folder.iterdir()):
        with path.open("rb") as stream:
            sums[path.name] = hashlib.file_digest(stream, "sha256").hexdigest()
    return sums


def sync_folder(folder: Path) -> None:
    """Waits until the names in a folder are on the disk, where the system can say so."""
    if os.name == "posix":
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)

"""Progress and memory of the child, told at most twenty times a second."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

import psutil

from quantgui.jobs.events import Event, MemorySample, Progress

INTERVAL = 0.05
MEMORY_INTERVAL = 0.1


def anonymous_bytes() -> int | None:
    """RssAnon of this process: memory of its own, without mapped files. None where the system does not tell."""
    try:
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("RssAnon:"):
                return int(line.split()[1]) * 1024
    except (OSError, ValueError, IndexError):
        pass
    return None


class ProgressTeller:
    """Counts source bytes done, from several threads, and tells them now and then."""

    def __init__(self, emit: Callable[[Event], None]) -> None:
        self._emit = emit
        self._lock = threading.Lock()
        self._process = psutil.Process()
        self._done = 0
        self._by_tensor: dict[str, int] = {}
        self._last = self._last_memory = 0.0
        self.peak_anonymous: int | None = None

    def add(self, nbytes: int, tensor: str) -> None:
        """`nbytes` more of the source are done, the last of them in `tensor`."""
        with self._lock:
            self._done += nbytes
            self._by_tensor[tensor] = self._by_tensor.get(tensor, 0) + nbytes
            now = time.monotonic()
            if now - self._last >= INTERVAL:
                self._last = now
                self._emit(Progress(self._done, tensor))
            if now - self._last_memory >= MEMORY_INTERVAL:
                self._last_memory = now
                self.sample_memory()

    def forget(self, tensor: str) -> None:
        """Takes back what was counted of `tensor`: it begins anew."""
        with self._lock:
            self._done -= self._by_tensor.pop(tensor, 0)

    def finish(self, tensor: str) -> None:
        """Tells the final count, whatever the time."""
        self._emit(Progress(self._done, tensor))
        self.sample_memory()

    def sample_memory(self) -> None:
        """Tells the memory of this process now."""
        anonymous = anonymous_bytes()
        if anonymous is not None:
            self.peak_anonymous = max(self.peak_anonymous or 0, anonymous)
        self._emit(MemorySample(self._process.memory_info().rss, anonymous))

"""Short work off the GUI thread: probing, reading headers. Long work belongs in a child process (JobThread)."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from PySide6.QtCore import QObject, Qt, Signal


class Background(QObject):
    """One worker thread whose results arrive on the thread that made it, in the order they were asked for."""

    _arrived = Signal(object, object)  # callback, Future

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="background")
        self._closed = False
        self._arrived.connect(self._deliver, Qt.ConnectionType.QueuedConnection)

    def run(self, work: Callable[[], Any], then: Callable[[Future[Any]], None]) -> None:
        """Call `work()` in the thread, then `then(future)` back here; `future.result()` raises what `work` raised."""
        future = self._pool.submit(work)
        future.add_done_callback(lambda done: self._announce(then, done))

    def close(self) -> None:
        """Drop what has not started and wait for what has; nothing is delivered afterwards."""
        self._closed = True
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _announce(self, then: Callable[[Future[Any]], None], done: Future[Any]) -> None:
        if not self._closed:
            self._arrived.emit(then, done)

    def _deliver(self, then: Callable[[Future[Any]], None], done: Future[Any]) -> None:
        if not self._closed:
            then(done)

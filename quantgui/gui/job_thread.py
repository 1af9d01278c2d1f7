"""The QThread that owns a job's child process; its events arrive in batches on the thread that made it."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from PySide6.QtCore import QObject, QThread, QTimer, Signal

from quantgui.jobs.child import ChildProcess
from quantgui.jobs.events import Event
from quantgui.jobs.job import Job

BATCH_MS = 50


class JobThread(QThread):
    """Runs one job in a child process. `start()` it once; `ended` comes after the batch with the terminal event.

    The thread only appends to a queue and a timer of the GUI thread empties it: a child that says a thousand things
    a second costs the window twenty signals, not a thousand.
    """

    events = Signal(list)  # list[Event], at most every 50 ms
    ended = Signal()

    def __init__(self, job: Job, parent: QObject | None = None, *, command: Sequence[str] | None = None) -> None:
        super().__init__(parent)
        self._child = ChildProcess(job, command)
        self._arrived: deque[Event] = deque()
        self._timer = QTimer(self, interval=BATCH_MS)
        self._timer.timeout.connect(self._deliver)
        self.started.connect(self._timer.start)
        self.finished.connect(self._finish)

    @property
    def job(self) -> Job:
        """What this thread is for."""
        return self._child.job

    @property
    def silent_seconds(self) -> float:
        """Seconds since the child last said anything."""
        return self._child.silent_seconds

    def cancel(self) -> None:
        """Kill the child and all it started; returns at once, the Cancelled event follows."""
        self._child.cancel()

    def stop_early(self) -> None:
        """End the training and keep what it has learned; the rest of the job follows."""
        self._child.stop_early()

    def run(self) -> None:
        """The thread's own work: listen until the terminal event. Called by `start()`, never directly."""
        self._arrived.extend(self._child.events())

    def _deliver(self) -> None:
        batch = [self._arrived.popleft() for _ in range(len(self._arrived))]
        if batch:
            self.events.emit(batch)

    def _finish(self) -> None:
        self._timer.stop()
        self._deliver()
        self.ended.emit()

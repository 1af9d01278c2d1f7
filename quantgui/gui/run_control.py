"""The running job: starts it in a JobThread, folds its events into a RunState, and says when that changed."""

from __future__ import annotations

from PySide6.QtCore import QObject, Signal

from quantgui.gui.job_thread import JobThread
from quantgui.jobs.events import Event
from quantgui.jobs.fold import RunState, fold_all
from quantgui.jobs.job import Job


class RunControl(QObject):
    """One job at a time. `state` is the newest snapshot; it stays after the job has ended, until the next one."""

    changed = Signal()
    ended = Signal()

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.state: RunState | None = None
        self.is_watched = False  # a dialog shows how the job ends, so no message needs to
        self._thread: JobThread | None = None

    @property
    def is_running(self) -> bool:
        """Whether a job is at work."""
        return self._thread is not None

    def start(self, job: Job) -> None:
        """Run `job`. Raises RuntimeError while another one is at work."""
        if self._thread is not None:
            raise RuntimeError("a job is already running")
        self.state = RunState(job=job)
        self._thread = JobThread(job, self)
        self._thread.events.connect(self._fold)
        self._thread.ended.connect(self._end)
        self.changed.emit()
        self._thread.start()

    def cancel(self) -> None:
        """Ask the running job to stop; returns at once. Nothing happens where none runs."""
        if self._thread is not None:
            self._thread.cancel()

    def stop_early(self) -> None:
        """Ask a training to end and be converted as it is; nothing happens where none is at work."""
        if self._thread is not None:
            self._thread.stop_early()

    def show(self, state: RunState) -> None:
        """Show a finished run from the library. Raises RuntimeError while a job is at work."""
        if self._thread is not None:
            raise RuntimeError("a job is already running")
        self.state = state
        self.changed.emit()

    def forget(self) -> None:
        """Drop what the last job left. Raises RuntimeError while a job is at work."""
        if self._thread is not None:
            raise RuntimeError("a job is already running")
        self.state = None

    def close(self) -> None:
        """Stop the job and wait for its thread: the window is closing."""
        if self._thread is not None:
            self._thread.cancel()
            self._thread.wait()

    def _fold(self, events: list[Event]) -> None:
        assert self.state is not None
        self.state = fold_all(self.state, events)
        self.changed.emit()

    def _end(self) -> None:
        thread, self._thread = self._thread, None
        if thread is not None:
            thread.wait()
            thread.deleteLater()
        self.changed.emit()
        self.ended.emit()

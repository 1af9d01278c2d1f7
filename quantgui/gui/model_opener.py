"""Opens a model without stopping the window: headers in a background thread, pickled files in a child process."""

from __future__ import annotations

from concurrent.futures import Future
from functools import partial

from PySide6.QtCore import QObject, Signal

from quantgui.checkpoint import ChildNeeded
from quantgui.checkpoint.resolve import resolve
from quantgui.fit.estimate import prepare
from quantgui.gui.background import Background
from quantgui.gui.job_thread import JobThread
from quantgui.jobs.events import Cancelled, Event, Failed, Finished
from quantgui.jobs.job import ReadJob
from quantgui.types import Checkpoint, UserError


class ModelOpener(QObject):
    """The newest request wins: what an older one still brings is dropped."""

    opened = Signal(str, object)  # reference, Checkpoint
    failed = Signal(str, object)  # reference, UserError

    def __init__(self, background: Background, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._background = background
        self._request = 0
        self._reader: JobThread | None = None

    def open(self, reference: str) -> None:
        """Read `reference` (a path, "demo" or a catalogue id); `opened` or `failed` follows."""
        self._request += 1
        request = self._request
        self.cancel_reading()
        self._background.run(
            lambda: _prepared(resolve(reference)), lambda done: self._receive(request, reference, done)
        )

    def cancel_reading(self) -> None:
        """Stop the child that reads a pickled file, if there is one."""
        reader, self._reader = self._reader, None
        if reader is not None:
            reader.cancel()
            reader.wait()
            reader.deleteLater()

    def _receive(self, request: int, reference: str, done: Future[Checkpoint]) -> None:
        if request != self._request:
            return
        try:
            checkpoint = done.result()
        except ChildNeeded:
            self._read_in_child(request, reference)
        except UserError as error:
            self.failed.emit(reference, error)
        except Exception as error:
            details = f"{type(error).__name__}: {error}"
            self.failed.emit(reference, UserError(f"{reference} could not be read.", details=details))
        else:
            self.opened.emit(reference, checkpoint)

    def _read_in_child(self, request: int, reference: str) -> None:
        self._reader = JobThread(ReadJob(source=reference), self)
        self._reader.events.connect(lambda events: self._hear(request, reference, events))
        self._reader.start()

    def _hear(self, request: int, reference: str, events: list[Event]) -> None:
        if request != self._request:
            return
        for event in events:
            if isinstance(event, Finished) and event.checkpoint is not None:
                self._background.run(
                    partial(_prepared, event.checkpoint), lambda done: self._receive(request, reference, done)
                )
            elif isinstance(event, Failed):
                self.failed.emit(reference, UserError(event.message, hint=event.hint, details=event.details))
            elif isinstance(event, Cancelled):
                self.failed.emit(reference, UserError(f"Reading {reference} was stopped."))


def _prepared(checkpoint: Checkpoint) -> Checkpoint:
    """Done in the background: what estimates need of the model, so that the first slider move is immediate."""
    prepare(checkpoint)
    return checkpoint

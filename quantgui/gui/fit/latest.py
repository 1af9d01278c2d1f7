"""Work off the GUI thread of which only the newest answer counts."""

from __future__ import annotations

import logging
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from PySide6.QtCore import QObject, Signal

from quantgui.gui.app_state import AppState
from quantgui.types import UserError

log = logging.getLogger(__name__)


class Latest(QObject):
    """`arrived` carries what the newest work returned; what was asked before it is neither finished nor announced."""

    arrived = Signal(object)
    failed = Signal(object)  # a UserError

    def __init__(self, state: AppState, parent: QObject) -> None:
        super().__init__(parent)
        self._state = state
        self._number = 0
        self._is_busy = False

    @property
    def is_busy(self) -> bool:
        """Whether an answer is still to come."""
        return self._is_busy

    def ask(self, work: Callable[[], Any]) -> None:
        """Do this, and forget whatever was asked before."""
        self._number += 1
        self._is_busy = True
        number = self._number

        def still_wanted() -> Any:
            return work() if number == self._number else None

        self._state.in_background(still_wanted, lambda done: self._receive(number, done))

    def forget(self) -> None:
        """Nobody waits for the answer any more."""
        self._number += 1
        self._is_busy = False

    def _receive(self, number: int, done: Future[Any]) -> None:
        if number != self._number:
            return
        self._is_busy = False
        try:
            answer = done.result()
        except UserError as error:
            self.failed.emit(error)
        except Exception as error:
            log.exception("background work failed")
            self.failed.emit(UserError("This could not be worked out.", details=f"{type(error).__name__}: {error}"))
        else:
            self.arrived.emit(answer)

"""How the model is used, and what every precision needs then: the numbers behind the Fit page."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QObject, Signal

from quantgui.fit.estimate import estimate_table
from quantgui.fit.settings import FitSettings
from quantgui.types import Checkpoint, HardwareTarget, MemoryEstimate, UserError


class FitState(QObject):
    """Holds the newest settings and estimates. An estimate that is not possible leaves none, and `failed` says why."""

    changed = Signal()
    failed = Signal(object)  # a UserError

    def __init__(self, settings: FitSettings, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.settings = settings
        self.estimates: Sequence[MemoryEstimate] = ()

    def estimate(self, checkpoint: Checkpoint | None, hardware: HardwareTarget | None) -> None:
        """Estimate again, or forget the estimates where the model or the hardware is not known yet."""
        self.estimates = ()
        if checkpoint is not None and hardware is not None:
            try:
                self.estimates = estimate_table(checkpoint, hardware, self.settings)
            except UserError as error:
                self.failed.emit(error)
        self.changed.emit()

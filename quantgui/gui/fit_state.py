"""How the model is used, and what every precision needs then: the numbers behind the Fit page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from PySide6.QtCore import QObject, Signal

from quantgui.fit.corrections import Correction, Corrections
from quantgui.fit.estimate import estimate_table
from quantgui.fit.settings import FitSettings
from quantgui.gui.corrections_file import load_corrections, save_corrections
from quantgui.types import Checkpoint, HardwareTarget, MemoryEstimate, Runtime, UserError


class FitState(QObject):
    """Holds the newest settings and estimates. An estimate that is not possible leaves none, and `error` says why.

    Corrections learnt from real runs belong to a device by its name; they are part of every estimate for it.
    """

    changed = Signal()

    def __init__(self, settings: FitSettings, corrections_file: Path, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.settings = settings
        self.estimates: Sequence[MemoryEstimate] = ()
        self.every_program: Sequence[MemoryEstimate] = ()  # the same without the choice of a program
        self.error: UserError | None = None
        self._file = corrections_file
        self._corrections = load_corrections(corrections_file)
        self._checkpoint: Checkpoint | None = None
        self._hardware: HardwareTarget | None = None

    @property
    def corrections(self) -> Corrections:
        """Everything learnt from real runs so far."""
        return self._corrections

    def estimate(self, checkpoint: Checkpoint | None, hardware: HardwareTarget | None) -> None:
        """Estimate again, or forget the estimates where the model or the hardware is not known yet."""
        self._checkpoint, self._hardware = checkpoint, hardware
        self.estimates, self.every_program, self.error = (), (), None
        if checkpoint is not None and hardware is not None:
            try:
                everything = replace(self.settings, runtime=None)
                self.every_program = estimate_table(checkpoint, hardware, everything, self._corrections)
                self.estimates = (
                    self.every_program
                    if self.settings.runtime is None
                    else estimate_table(checkpoint, hardware, self.settings, self._corrections)
                )
            except UserError as error:
                self.error = error
        self.changed.emit()

    def learn(self, correction: Correction) -> None:
        """Keep a correction, in place of an older one of the same device and program, and estimate again."""
        self._set_corrections(self._corrections.with_correction(correction))

    def forget(self, device: str, runtime: Runtime) -> None:
        """Drop a correction and estimate again."""
        self._set_corrections(self._corrections.without(device, runtime))

    def _set_corrections(self, corrections: Corrections) -> None:
        self._corrections = corrections
        save_corrections(self._file, corrections)
        self.estimate(self._checkpoint, self._hardware)

"""Always there: what (the model) and where (the hardware) at the left, the running job at the right."""

from __future__ import annotations

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QFrame, QHBoxLayout

from quantgui.gui import formatting
from quantgui.gui.app_state import AppState
from quantgui.gui.job_strip import JobStrip
from quantgui.gui.widgets.chip import Chip
from quantgui.types import Checkpoint, HardwareTarget

HEIGHT = 58


class TopBar(QFrame):
    """A click on a chip asks for its picker."""

    model_clicked = Signal()
    hardware_clicked = Signal()

    def __init__(self, state: AppState) -> None:
        super().__init__()
        self._state = state
        self.setProperty("role", "topbar")
        self.setFixedHeight(HEIGHT)
        self.model = Chip("model", "model")
        self.model.clicked.connect(lambda: self.model_clicked.emit())
        self.hardware = Chip("hardware", "hardware")
        self.hardware.clicked.connect(lambda: self.hardware_clicked.emit())
        layout = QHBoxLayout(self)
        layout.setContentsMargins(20, 8, 16, 8)
        layout.setSpacing(10)
        layout.addWidget(self.model)
        layout.addWidget(self.hardware)
        layout.addStretch(1)
        layout.addWidget(JobStrip(state))
        state.checkpoint_changed.connect(self._show_model)
        state.hardware_changed.connect(self._show_hardware)
        state.settings_changed.connect(self._show_hardware)
        self._show_model()
        self._show_hardware()

    def _show_model(self) -> None:
        state = self._state
        if state.checkpoint_busy:
            self.model.set_content(f"Opening {state.checkpoint_busy} …")
        elif state.checkpoint is None:
            self.model.set_content("Choose a model")
        else:
            self.model.set_content(state.checkpoint.name.split("/")[-1], model_facts(state.checkpoint))

    def _show_hardware(self) -> None:
        target = self._state.hardware
        self.hardware.set_content(target.name, hardware_facts(target))


def model_facts(checkpoint: Checkpoint) -> str:
    """ "1.71 B · BF16 · 3.42 GB"."""
    size = formatting.file_size(checkpoint.nbytes)
    return f"{formatting.parameters(checkpoint.parameters)} · {checkpoint.dtype} · {size}"


def hardware_facts(target: HardwareTarget) -> str:
    """ "12.0 GiB · 360 GB/s": the memory a model would live in, and how fast it is read."""
    parts: list[str] = []
    bandwidth = target.ram_bandwidth
    if target.device_bytes:
        parts.append(formatting.memory(target.device_bytes))
        bandwidth = target.accelerators[0].bandwidth
    elif target.ram_bytes:
        parts.append(f"{formatting.memory(target.ram_bytes)} RAM")
    if bandwidth:
        parts.append(formatting.bandwidth(bandwidth))
    return " · ".join(parts)

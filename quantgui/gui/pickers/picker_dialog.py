"""The pickers as dialogs over the window. Esc closes them; a choice does too."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QDialog, QVBoxLayout, QWidget

from quantgui.gui.app_state import AppState
from quantgui.gui.pickers.hardware_picker import HardwarePicker
from quantgui.gui.pickers.model_picker import ModelPicker
from quantgui.gui.widgets.text import title


def model_dialog(state: AppState, parent: QWidget) -> QDialog:
    """Choose a model. Not yet shown."""
    picker = ModelPicker(state)
    dialog = _dialog("Choose a model", picker, parent)
    picker.done.connect(dialog.accept)
    picker.table.filter.setFocus()
    return dialog


def hardware_dialog(state: AppState, parent: QWidget) -> QDialog:
    """Choose hardware. Not yet shown."""
    picker = HardwarePicker(state)
    dialog = _dialog("Where should it run?", picker, parent)
    picker.done.connect(dialog.accept)
    picker.table.filter.setFocus()
    return dialog


def _dialog(words: str, picker: QWidget, parent: QWidget) -> QDialog:
    dialog = QDialog(parent)
    dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
    dialog.setWindowTitle(words)
    dialog.resize(min(980, parent.width() - 60), min(640, parent.height() - 80))
    layout = QVBoxLayout(dialog)
    layout.setContentsMargins(20, 16, 20, 18)
    layout.setSpacing(10)
    layout.addWidget(title(words))
    layout.addWidget(picker, 1)
    return dialog

"""Look at what quantization did: map, table and distributions, live while a run is at work."""

from __future__ import annotations

from PySide6.QtWidgets import QWidget

from quantgui.gui.app_state import AppState
from quantgui.gui.pages import Page


def _make(state: AppState) -> QWidget:
    """The page; pyqtgraph is imported here, when it is first shown, so that the window stands at once."""
    from quantgui.gui.inspect.view import InspectView

    return InspectView(state)


PAGE = Page(
    "inspect",
    "Inspect",
    50,
    "inspect",
    _make,
    tip="Each tensor before and after: distributions, errors, and where in the model they sit.",
)

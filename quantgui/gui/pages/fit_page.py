"""What fits: memory per precision against the hardware's limit."""

from __future__ import annotations

from PySide6.QtWidgets import QWidget

from quantgui.gui.app_state import AppState
from quantgui.gui.pages import Page


def make(state: AppState) -> QWidget:
    """The page; what draws its chart is imported when it is first shown, so that the window stands at once."""
    from quantgui.gui.fit.view import FitPage

    return FitPage(state)


PAGE = Page(
    id="fit",
    title="Fit",
    order=20,
    icon="fit",
    make=make,
    tip="Which precision fits this hardware, at which context?",
)

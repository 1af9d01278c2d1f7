"""Starts the window. Imports stay lean and everything slow happens after the window is shown."""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from PySide6.QtCore import QTimer, QtMsgType, qInstallMessageHandler
from PySide6.QtWidgets import QApplication

from quantgui import __version__
from quantgui.gui import diagnostics, icons, theme
from quantgui.gui.app_state import AppState
from quantgui.gui.main_window import MainWindow
from quantgui.home import find_home

log = logging.getLogger(__name__)
_LEVELS = {QtMsgType.QtDebugMsg: logging.DEBUG, QtMsgType.QtInfoMsg: logging.INFO}


def build(settings_home: Path | None = None) -> tuple[QApplication, MainWindow, AppState]:
    """The application, its window (not yet shown) and its state, with everything it writes below `settings_home`."""
    app = _application()
    state = AppState(find_home(settings_home))
    _dress(app, state)
    state.settings_changed.connect(lambda: _dress(app, state))
    app.styleHints().colorSchemeChanged.connect(lambda: _dress(app, state))
    return app, MainWindow(state), state


def main(argv: Sequence[str] = ()) -> int:
    """Show the window until it is closed. Returns the exit code."""
    handler = diagnostics.start_log(find_home().log_file)
    sys.excepthook = _log_exception
    qInstallMessageHandler(_log_qt)
    app, window, state = build()
    log.info("QuantGUI %s started", __version__)
    window.show()
    QTimer.singleShot(0, state.restore)
    code = app.exec()
    diagnostics.stop_log(handler)
    return code


def _application() -> QApplication:
    existing = QApplication.instance()
    app = existing if isinstance(existing, QApplication) else QApplication(["quantgui"])
    app.setApplicationName("QuantGUI")
    app.setApplicationVersion(__version__)
    app.setStyle("Fusion")
    theme.install_font(app)
    return app


def _dress(app: QApplication, state: AppState) -> None:
    chosen = theme.choose(state.settings.theme, app)
    if chosen != theme.current() or not app.styleSheet():
        theme.apply(app, chosen)
        icons.recolor(app)


def _log_exception(kind: type[BaseException], error: BaseException, trace: object) -> None:
    log.critical("an error nobody expected", exc_info=(kind, error, trace))  # type: ignore[arg-type]
    sys.__excepthook__(kind, error, trace)  # type: ignore[arg-type]


def _log_qt(kind: QtMsgType, context: object, text: str) -> None:
    log.log(_LEVELS.get(kind, logging.WARNING), "Qt: %s", text)

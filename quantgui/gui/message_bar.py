"""One line under the top bar for what belongs to no page. Errors stay until dismissed, other words go by themselves."""

from __future__ import annotations

from PySide6.QtCore import QTimer
from PySide6.QtWidgets import QFrame, QHBoxLayout, QVBoxLayout, QWidget

from quantgui.gui.widgets.buttons import icon_button
from quantgui.gui.widgets.error_panel import ErrorPanel
from quantgui.gui.widgets.icon_label import IconLabel
from quantgui.gui.widgets.text import label
from quantgui.types import UserError

SHOWN_MS = 6000


class MessageBar(QWidget):
    """Shows the newest message."""

    def __init__(self) -> None:
        super().__init__()
        self._layout = QVBoxLayout(self)
        self._layout.setContentsMargins(24, 12, 24, 0)
        self._shown: QWidget | None = None
        self._timer = QTimer(self, singleShot=True, interval=SHOWN_MS)
        self._timer.timeout.connect(self.dismiss)
        self.hide()

    def show_message(self, message: UserError | str) -> None:
        """Replace what is shown."""
        self.dismiss()
        if isinstance(message, UserError):
            panel = ErrorPanel(message, dismissable=True)
            panel.dismissed.connect(self.dismiss)
            self._shown = panel
        else:
            self._shown = self._notice(message)
            self._timer.start()
        self._layout.addWidget(self._shown)
        self.show()

    def dismiss(self) -> bool:
        """Take the message away; False where there was none."""
        self._timer.stop()
        shown, self._shown = self._shown, None
        if shown is not None:
            shown.hide()
            shown.deleteLater()
        self.hide()
        return shown is not None

    def _notice(self, text: str) -> QWidget:
        frame = QFrame()
        frame.setProperty("role", "notice")
        frame.setAccessibleName(text)
        row = QHBoxLayout(frame)
        row.setContentsMargins(12, 6, 6, 6)
        row.addWidget(IconLabel("info", 18, "accent"))
        row.addWidget(label(text, wrap=True), 1)
        row.addWidget(icon_button("close", "Dismiss", self.dismiss))
        return frame

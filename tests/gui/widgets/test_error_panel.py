from __future__ import annotations

from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QLabel, QPushButton

from quantgui.gui.widgets.error_panel import ErrorPanel
from quantgui.gui.widgets.error_slot import ErrorSlot
from quantgui.types import UserError

ERROR = UserError("The disk is full.", hint="Free 2 GB.", details="errno 28 at shard 3")


def press(widget, text: str) -> None:
    next(b for b in widget.findChildren(QPushButton) if b.text() == text).click()


def test_sentence_and_next_step_stand_there_and_the_rest_waits(qtbot) -> None:
    panel = ErrorPanel(ERROR)
    qtbot.addWidget(panel)
    panel.show()
    words = [label.text() for label in panel.findChildren(QLabel)]
    assert {ERROR.message, ERROR.hint} <= set(words)
    assert not panel._details.isVisible()
    press(panel, "Details")
    assert panel._details.isVisible()


def test_copy_takes_everything(qtbot) -> None:
    panel = ErrorPanel(ERROR)
    qtbot.addWidget(panel)
    press(panel, "Copy")
    text = QGuiApplication.clipboard().text()
    assert all(part in text for part in (ERROR.message, ERROR.hint, ERROR.details))
    press(panel, "Copy diagnostics")
    assert "Python" in QGuiApplication.clipboard().text()


def test_a_slot_shows_one_error_at_a_time(qtbot) -> None:
    slot = ErrorSlot()
    qtbot.addWidget(slot)
    assert slot.isHidden()
    slot.show_error(ERROR)
    slot.show_error(UserError("Another one."))
    assert not slot.isHidden()
    slot.show_error(None)
    assert slot.isHidden()


def test_a_remedy_does_what_the_hint_says(qtbot) -> None:
    done = []
    slot = ErrorSlot()
    qtbot.addWidget(slot)
    slot.show_error(ERROR, remedy=("Make room", lambda: done.append("room")))
    press(slot, "Make room")
    assert done == ["room"]

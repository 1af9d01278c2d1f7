from __future__ import annotations

from PySide6.QtWidgets import QLabel

from quantgui.gui.widgets.empty_state import EmptyState

SENTENCE = "Words that take more than one line, as a sentence that teaches often does. " * 3


def test_a_long_sentence_is_shown_whole(qtbot) -> None:
    page = EmptyState("fit", "Nothing here", SENTENCE, "Get it")
    qtbot.addWidget(page)
    page.resize(1000, 700)
    page.show()
    label = next(label for label in page.findChildren(QLabel) if label.text() == SENTENCE)
    assert label.height() >= label.heightForWidth(label.width()) > 2 * label.fontMetrics().height()

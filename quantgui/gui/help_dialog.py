"""F1: what this page is for, the keys, and every technical word in one sentence."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtWidgets import QDialog, QVBoxLayout, QWidget

from quantgui.gui import glossary
from quantgui.gui.pages import Page
from quantgui.gui.widgets.facts import Fact, Facts
from quantgui.gui.widgets.row_model import Column
from quantgui.gui.widgets.search_table import SearchTable
from quantgui.gui.widgets.text import heading, muted

KEYS = (
    Fact("Ctrl+O", "Open a model"),
    Fact("Ctrl+K", "Find any command by name"),
    Fact("Ctrl+R", "Run"),
    Fact("Esc", "Close what is open, or cancel the running job"),
    Fact("F1", "This help"),
)


class HelpDialog(QDialog):
    """One window for the three questions a newcomer has."""

    def __init__(self, page: Page, pages: Sequence[Page], parent: QWidget) -> None:
        super().__init__(parent)
        self.setWindowTitle("What is this?")
        self.resize(760, 620)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(20, 18, 20, 18)
        layout.setSpacing(10)
        layout.addWidget(heading(page.title))
        layout.addWidget(muted(page.tip))
        layout.addWidget(heading("Keys"))
        layout.addWidget(Facts([*KEYS, *(Fact(p.shortcut, f"{p.title} page") for p in pages if p.shortcut)]))
        layout.addWidget(heading("Words"))
        columns = (
            Column("Word", lambda entry: entry[0]),
            Column("What it means", lambda entry: entry[1], tip=lambda entry: entry[1]),
        )
        table = SearchTable(columns, "Glossary", filter_hint="Find a word", noun="word")
        table.set_rows(list(glossary.entries().items()))
        table.set_widths(150, 0)
        table.view.setWordWrap(True)
        table.view.resizeRowsToContents()
        layout.addWidget(table, 1)

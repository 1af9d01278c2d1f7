"""PlotPanel: title, what was found, the values under the pointer, one small menu, and the table twin."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QContextMenuEvent, QGuiApplication
from PySide6.QtWidgets import (
    QFileDialog,
    QHBoxLayout,
    QMenu,
    QSizePolicy,
    QStackedWidget,
    QTableView,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from quantgui.gui.plots import export
from quantgui.gui.plots.table_data import TableData
from quantgui.gui.plots.twin_model import TwinModel
from quantgui.gui.saving import save_file
from quantgui.gui.widgets.buttons import icon_button
from quantgui.gui.widgets.text import label, muted, small
from quantgui.types import UserError


class PlotPanel(QWidget):
    """Subclasses pull a snapshot in `refresh` and draw it on the canvas they gave; they hold nothing else."""

    failed = Signal(object)  # a UserError: an export could not be written

    def __init__(self, title: str, canvas: QWidget) -> None:
        super().__init__()
        self._canvas = canvas
        self._title_label = label(title, "strong")
        self._readout_label = small(wrap=False)
        self._readout_label.setTextInteractionFlags(Qt.TextInteractionFlag.NoTextInteraction)
        self._caption_label = small()
        self._readout_label.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self._readout_label.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        self._empty = muted()
        self._empty.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self._table = QTableView()
        self._table.setAccessibleName(f"{title}, as a table")
        self._table.setAlternatingRowColors(True)
        self._table.verticalHeader().hide()
        self._table.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Ignored)
        self._stack = QStackedWidget()
        for widget in (canvas, self._table, self._empty):
            self._stack.addWidget(widget)
        self._menu_button = icon_button("more", f"Export or show as table: {title}")
        self._menu_button.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        self._menu_button.setMenu(self._make_menu())
        canvas.setAccessibleName(title)
        self.setAccessibleName(title)
        self._lay_out()

    @property
    def title(self) -> str:
        """What the panel is called."""
        return self._title_label.text()

    @property
    def caption(self) -> str:
        """What was found, in one line."""
        return self._caption_label.text()

    @property
    def is_empty(self) -> bool:
        """Whether a sentence stands where the plot would."""
        return self._stack.currentWidget() is self._empty

    def refresh(self) -> None:
        """Pull the snapshot and draw it if it is another one."""
        raise NotImplementedError

    def table(self) -> TableData:
        """The numbers behind what is drawn now."""
        raise NotImplementedError

    def export_caption(self) -> str:
        """What stands below the title of a picture, which must say by itself what it shows."""
        return self.caption

    def reset_view(self) -> None:
        """Undo every zoom; nothing to do for a canvas that has none."""

    def show_plot(self, caption: str) -> None:
        """Something is drawn: show it with what was found."""
        self._set_caption(caption)
        if self.is_empty:
            self._stack.setCurrentWidget(self._canvas)
        elif self._stack.currentWidget() is self._table:
            self._fill_table()
        self._menu_button.setEnabled(True)

    def show_empty(self, sentence: str) -> None:
        """There is nothing to draw: say why."""
        self._set_caption("")
        self.set_readout("")
        self._empty.setText(sentence)
        self._stack.setCurrentWidget(self._empty)
        self._menu_button.setEnabled(False)

    def add_control(self, widget: QWidget) -> None:
        """Put a small control of the plot's own beside the menu."""
        self._top.insertWidget(self._top.count() - 1, widget)

    def set_readout(self, text: str) -> None:
        """The values under the pointer."""
        self._readout_label.setText(text)

    def toggle_table(self) -> None:
        """Show the table in the plot's place, or the plot again."""
        if self._stack.currentWidget() is self._table:
            self._stack.setCurrentWidget(self._canvas)
        else:
            self._fill_table()
            self._stack.setCurrentWidget(self._table)
            self._table.setFocus()
        is_table = self._stack.currentWidget() is self._table
        self._toggle.setText("Show as plot" if is_table else "Show as table")

    def save(self, path: Path) -> None:
        """Write the plot as its file name says: .csv, .svg, else PNG. Raises UserError."""
        match path.suffix.lower():
            case ".csv":
                save_file(path, self.table().to_csv().encode(), "The table")
            case ".svg":
                export.save_svg(self._canvas, path, self.title, self.export_caption())
            case _:
                export.save_png(self._canvas, path, self.title, self.export_caption())

    def contextMenuEvent(self, event: QContextMenuEvent) -> None:
        """The same menu on the right button."""
        if not self.is_empty:
            self._menu_button.menu().popup(event.globalPos())

    def _lay_out(self) -> None:
        self._top = top = QHBoxLayout()
        top.setSpacing(8)
        top.addWidget(self._title_label)
        top.addWidget(self._readout_label, 1)
        top.addWidget(self._menu_button)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(2)
        layout.addLayout(top)
        layout.addWidget(self._caption_label)
        layout.addWidget(self._stack, 1)

    def _make_menu(self) -> QMenu:
        menu = QMenu(self)
        menu.addAction("Copy as CSV", lambda: QGuiApplication.clipboard().setText(self.table().to_csv()))
        for kind, suffix in (("CSV", "csv"), ("PNG", "png"), ("SVG", "svg")):
            menu.addAction(f"Save {kind}…", lambda suffix=suffix: self._ask_and_save(suffix))
        menu.addSeparator()
        self._toggle = menu.addAction("Show as table", self.toggle_table)
        menu.addAction("Reset the view", self.reset_view)
        return menu

    def _ask_and_save(self, suffix: str) -> None:
        suggestion = str(Path.home() / f"{self.title.lower().replace(' ', '-')}.{suffix}")
        name, _ = QFileDialog.getSaveFileName(self, f"Save “{self.title}”", suggestion, f"*.{suffix}")
        if name:
            try:
                self.save(Path(name).with_suffix(f".{suffix}"))
            except UserError as error:
                self.failed.emit(error)

    def _fill_table(self) -> None:
        self._table.setModel(TwinModel(self.table(), self._table))
        self._table.resizeColumnsToContents()

    def _set_caption(self, caption: str) -> None:
        self._caption_label.setText(caption)
        self._caption_label.setToolTip(caption)
        self._canvas.setAccessibleDescription(caption)

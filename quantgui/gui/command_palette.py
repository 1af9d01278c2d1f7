"""Ctrl+K: type what you want, press Enter."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QEvent, QObject, QPoint, QSize, Qt
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import (
    QDialog,
    QFrame,
    QHeaderView,
    QLineEdit,
    QTreeWidget,
    QTreeWidgetItem,
    QVBoxLayout,
    QWidget,
)

from quantgui.gui.commands import Command, matching

WIDTH, HEIGHT, ROW_HEIGHT = 560, 420, 28
_KEYS_FOR_LIST = (Qt.Key.Key_Up, Qt.Key.Key_Down, Qt.Key.Key_PageUp, Qt.Key.Key_PageDown)


class CommandPalette(QDialog):
    """A list that narrows while one types; arrows move in it, Enter runs, Esc closes."""

    def __init__(self, commands: Sequence[Command], parent: QWidget) -> None:
        super().__init__(parent, Qt.WindowType.FramelessWindowHint | Qt.WindowType.Popup)
        self.setWindowTitle("Commands")
        self._commands = list(commands)
        self.setFixedSize(WIDTH, HEIGHT)
        frame = QFrame(self)
        frame.setProperty("role", "palette")
        frame.setFixedSize(self.size())
        self.input = QLineEdit()
        self.input.setPlaceholderText("Type a command")
        self.input.setAccessibleName("Command")
        self.input.textChanged.connect(self._narrow)
        self.input.returnPressed.connect(self._run)
        self.input.installEventFilter(self)
        self.list = QTreeWidget()
        self.list.setHeaderHidden(True)
        self.list.setRootIsDecorated(False)
        self.list.setColumnCount(2)
        self.list.header().setStretchLastSection(False)
        self.list.header().setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        self.list.header().setSectionResizeMode(1, QHeaderView.ResizeMode.ResizeToContents)
        self.list.setProperty("frameless", True)
        self.list.setAccessibleName("Commands")
        self.list.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.list.itemClicked.connect(lambda: self._run())
        layout = QVBoxLayout(frame)
        layout.addWidget(self.input)
        layout.addWidget(self.list, 1)
        self._narrow("")
        self.input.setFocus()

    def open_over(self, window: QWidget) -> None:
        """Show it in the upper middle of `window`."""
        self.move(window.mapToGlobal(QPoint((window.width() - WIDTH) // 2, 80)))
        self.show()
        self.input.setFocus()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Arrows typed into the field move in the list."""
        if isinstance(event, QKeyEvent) and event.type() is QEvent.Type.KeyPress and event.key() in _KEYS_FOR_LIST:
            self.list.keyPressEvent(event)
            return True
        return super().eventFilter(watched, event)

    def _narrow(self, text: str) -> None:
        self.list.clear()
        for command in matching(self._commands, text):
            item = QTreeWidgetItem([command.title, command.shortcut])
            item.setSizeHint(0, QSize(0, ROW_HEIGHT))
            item.setTextAlignment(1, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
            item.setData(0, Qt.ItemDataRole.UserRole, command)
            self.list.addTopLevelItem(item)
        self.list.setCurrentIndex(self.list.model().index(0, 0))

    def _run(self) -> None:
        item = self.list.currentItem()
        if item is None:
            return
        command: Command = item.data(0, Qt.ItemDataRole.UserRole)
        self.close()
        command.run()

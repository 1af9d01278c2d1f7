"""The frame: rail, top bar, pages. It assembles what it finds and holds no truth."""

from __future__ import annotations

from PySide6.QtCore import QByteArray, QSize, Qt
from PySide6.QtGui import QCloseEvent, QDragEnterEvent, QDropEvent, QKeySequence, QPixmap, QShortcut
from PySide6.QtWidgets import (
    QApplication,
    QFileDialog,
    QHBoxLayout,
    QMainWindow,
    QMessageBox,
    QStackedWidget,
    QVBoxLayout,
    QWidget,
)

from quantgui.gui.app_state import AppState
from quantgui.gui.command_palette import CommandPalette
from quantgui.gui.commands import Command, state_commands
from quantgui.gui.export.onnx_dialog import onnx_objection, show_onnx_dialog
from quantgui.gui.help_dialog import HelpDialog
from quantgui.gui.importance.dialog import show_importance_dialog
from quantgui.gui.message_bar import MessageBar
from quantgui.gui.pages import Startable, discover
from quantgui.gui.pickers.picker_dialog import hardware_dialog, model_dialog
from quantgui.gui.top_bar import TopBar
from quantgui.gui.widgets.rail import Rail
from quantgui.jobs.job import QuantizeJob

DESIGN_SIZE = QSize(1280, 800)
SMALLEST_SIZE = QSize(1024, 700)
_GEOMETRY = "window"


class MainWindow(QMainWindow):
    """Pages are made when they are first shown, so that the window appears at once."""

    def __init__(self, state: AppState) -> None:
        super().__init__()
        self._state = state
        self.pages = {page.id: page for page in discover()}
        self._made: dict[str, QWidget] = {}
        self._page_id = ""
        self.setWindowTitle("QuantGUI")
        self.setAcceptDrops(True)
        self.setMinimumSize(SMALLEST_SIZE)
        self.resize(DESIGN_SIZE)
        self._rail = Rail(list(self.pages.values()))
        self._rail.chosen.connect(state.request_page)
        self._top = TopBar(state)
        self._top.model_clicked.connect(self.choose_model)
        self._top.hardware_clicked.connect(self.choose_hardware)
        self._messages = MessageBar()
        self._stack = QStackedWidget()
        self.setCentralWidget(self._assemble())
        self._make_shortcuts()
        state.page_requested.connect(self.show_page)
        state.message.connect(self._messages.show_message)
        state.checkpoint_changed.connect(self._show_name)
        self._restore()

    @property
    def page_id(self) -> str:
        """The page that is shown."""
        return self._page_id

    def page(self, page_id: str) -> QWidget:
        """The widget of a page, made on first use."""
        if page_id not in self._made:
            widget = self.pages[page_id].make(self._state)
            self._made[page_id] = widget
            self._stack.addWidget(widget)
        return self._made[page_id]

    def show_page(self, page_id: str) -> None:
        """Bring a page to the front; an id without a page is ignored."""
        if page_id in self.pages:
            self._stack.setCurrentWidget(self.page(page_id))
            self._rail.show_page(page_id)
            self._page_id = page_id

    def grab_page(self, page_id: str) -> QPixmap:
        """A picture of the whole window with this page, for screenshots and tests."""
        self.show_page(page_id)
        QApplication.processEvents()
        return self.grab()

    def choose_model(self) -> None:
        """Open the model picker over the window."""
        model_dialog(self._state, self).open()

    def choose_hardware(self) -> None:
        """Open the hardware picker over the window."""
        hardware_dialog(self._state, self).open()

    def open_folder(self) -> None:
        """Ask the system's dialog for a model folder."""
        folder = QFileDialog.getExistingDirectory(self, "Open a model folder", self._state.settings.models_folder)
        if folder:
            self._state.open_model(folder)

    def show_commands(self) -> None:
        """Open the command palette."""
        own = [
            Command("Choose a model…", self.choose_model, "Ctrl+O"),
            Command("Open a model folder…", self.open_folder),
            Command("Choose hardware…", self.choose_hardware),
            Command("What is this?", self.show_help, "F1"),
        ]
        if self._state.importance.is_possible and not self._state.importance.objection:
            own.append(Command("Compute an importance matrix…", lambda: show_importance_dialog(self._state, self)))
        if not onnx_objection(self._state.checkpoint):
            own.append(Command("Export the open model as ONNX…", lambda: show_onnx_dialog(self._state, self)))
        commands = [*own, *state_commands(self._state, list(self.pages.values()))]
        palette = CommandPalette(commands, self)
        palette.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        palette.open_over(self)

    def show_help(self) -> None:
        """Open the help on the page that is shown."""
        dialog = HelpDialog(self.pages[self._page_id], list(self.pages.values()), self)
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.open()

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        """Accept one file or folder."""
        if len(event.mimeData().urls()) == 1 and event.mimeData().urls()[0].isLocalFile():
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent) -> None:
        """Open what was dropped as a model."""
        self._state.open_model(event.mimeData().urls()[0].toLocalFile())
        self._state.request_page("model")

    def closeEvent(self, event: QCloseEvent) -> None:
        """Ask before a running job is lost; then stop everything and remember the arrangement."""
        if self._state.is_running and not self._confirms("Quit and cancel the running job?", "Quit"):
            event.ignore()
            return
        self._state.remember(_GEOMETRY, bytes(self.saveGeometry().toBase64().data()).decode())
        self._state.close()
        event.accept()

    def _assemble(self) -> QWidget:
        column = QVBoxLayout()
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addWidget(self._top)
        column.addWidget(self._messages)
        column.addWidget(self._stack, 1)
        central = QWidget()
        row = QHBoxLayout(central)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(0)
        row.addWidget(self._rail)
        row.addLayout(column, 1)
        return central

    def _make_shortcuts(self) -> None:
        keys = {
            "Ctrl+O": self.choose_model,
            "Ctrl+K": self.show_commands,
            "Ctrl+R": self._run,
            "Ctrl+Z": self._state.undo_recipe,
            "Ctrl+Shift+Z": self._state.redo_recipe,
            "Esc": self._escape,
            "F1": self.show_help,
        }
        for key, action in keys.items():
            QShortcut(QKeySequence(key), self).activated.connect(action)
        for page in self.pages.values():
            if page.shortcut:
                shortcut = QShortcut(QKeySequence(page.shortcut), self)
                shortcut.activated.connect(lambda page=page: self._state.request_page(page.id))

    def _run(self) -> None:
        self._state.request_page("run")
        page = self._stack.currentWidget()
        if isinstance(page, Startable):
            page.start()

    def _escape(self) -> None:
        if (
            not self._messages.dismiss()
            and self._state.is_running
            and self._confirms("Cancel the running job?", "Cancel the job")
        ):
            self._state.cancel_run()

    def _confirms(self, question: str, action: str) -> bool:
        box = QMessageBox(QMessageBox.Icon.Question, "QuantGUI", question, parent=self)
        runs = self._state.runs
        writes = runs.at_work is not None and isinstance(runs.at_work.job, QuantizeJob)
        box.setInformativeText("Its output so far is removed." if writes else "")
        agree = box.addButton(action, QMessageBox.ButtonRole.DestructiveRole)
        box.setDefaultButton(box.addButton("Keep it running", QMessageBox.ButtonRole.RejectRole))
        ended = runs.changed.connect(
            lambda: None if runs.at_work else box.reject()
        )  # by itself: nothing is left to ask
        box.exec()
        runs.changed.disconnect(ended)
        return box.clickedButton() is agree

    def _show_name(self) -> None:
        checkpoint = self._state.checkpoint
        self.setWindowTitle("QuantGUI" if checkpoint is None else f"{checkpoint.name} – QuantGUI")

    def _restore(self) -> None:
        geometry = self._state.remembered(_GEOMETRY)
        if geometry:
            self.restoreGeometry(QByteArray.fromBase64(geometry.encode()))
        known = self._state.last_page in self.pages
        self.show_page(self._state.last_page if known else next(iter(self.pages)))
        self._stack.setFocus()

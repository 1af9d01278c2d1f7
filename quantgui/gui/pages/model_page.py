"""What is open: the facts of a checkpoint, its tensors, and ways to open another one."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import QModelIndex, Qt
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import (
    QFileDialog,
    QFrame,
    QHBoxLayout,
    QHeaderView,
    QLineEdit,
    QScrollArea,
    QStackedWidget,
    QTreeView,
    QVBoxLayout,
    QWidget,
)

from quantgui.gui import formatting
from quantgui.gui.app_state import AppState
from quantgui.gui.export.onnx_dialog import onnx_objection, show_onnx_dialog
from quantgui.gui.pages import Page
from quantgui.gui.pickers.model_picker import FILE_FILTER, ModelPicker
from quantgui.gui.pickers.picker_dialog import model_dialog
from quantgui.gui.tensor_tree import TensorTree, branches
from quantgui.gui.widgets.busy import Busy
from quantgui.gui.widgets.buttons import button, link
from quantgui.gui.widgets.card import Card
from quantgui.gui.widgets.facts import Fact, Facts
from quantgui.gui.widgets.page_frame import PageFrame
from quantgui.gui.widgets.text import small
from quantgui.types import Checkpoint, SourceKind

SIDE_WIDTH = 320
NARROW = 520  # below this width the tree leaves out what the size already tells
RECENT_SHOWN = 4
OPEN_BRANCHES = 2

SOURCES = {
    SourceKind.FOLDER: "Hugging Face folder",
    SourceKind.SAFETENSORS: "One safetensors file",
    SourceKind.GGUF: "GGUF file",
    SourceKind.TORCH: "PyTorch file",
    SourceKind.CONFIG: "Shapes from a config, no files",
}


class ModelPage(PageFrame):
    """Shows the open model; without one it is the picker."""

    def __init__(self, state: AppState) -> None:
        super().__init__("Choose a model")
        self._state = state
        self._busy = Busy()
        self._next = button("See what fits", lambda: state.request_page("fit"), primary=True)
        self.buttons.addWidget(self._busy)
        self.buttons.addWidget(button("Choose another…", self._choose, icon="search"))
        self.buttons.addWidget(self._next)
        self._facts = Facts()
        self._notes = small()
        self._recent = QVBoxLayout()
        self._recent.setSpacing(0)
        self._stack = QStackedWidget()
        self._stack.addWidget(self._opened_view())
        self.body.addWidget(self._stack)
        state.checkpoint_changed.connect(self._show)
        state.settings_changed.connect(self._show)
        self._shown: Checkpoint | None = None
        self._show()

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Names of tensors come before their counts."""
        super().resizeEvent(event)
        room = event.size().width() - SIDE_WIDTH - 100
        self._tree.setColumnHidden(3, room < NARROW)

    def _opened_view(self) -> QWidget:
        side = QVBoxLayout()
        side.setSpacing(14)
        facts = Card("Facts")
        facts.body.addWidget(self._facts)
        facts.body.addWidget(self._notes)
        side.addWidget(facts)
        side.addWidget(self._other_card())
        side.addWidget(self._elsewhere_card())
        side.addStretch(1)
        view = QWidget()
        row = QHBoxLayout(view)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(14)
        row.addWidget(_scrolling(side))
        row.addWidget(self._tensor_card(), 1)
        return view

    def _other_card(self) -> Card:
        card = Card("Open another")
        buttons = QHBoxLayout()
        buttons.addWidget(button("Folder…", self._open_folder, icon="folder"))
        buttons.addWidget(button("File…", self._open_file, icon="file"))
        buttons.addStretch(1)
        card.body.addLayout(buttons)
        card.body.addLayout(self._recent)
        card.body.addWidget(small("Or drop a folder or a file anywhere on the window."))
        return card

    def _elsewhere_card(self) -> Card:
        card = Card("Use it elsewhere")
        export = button("Export as ONNX…", lambda: show_onnx_dialog(self._state, self.window()))
        row = QHBoxLayout()
        row.addWidget(export)
        row.addStretch(1)
        card.body.addLayout(row)
        card.body.addWidget(small("With 8-bit weights, for onnxruntime."))
        self._elsewhere = card
        return card

    def _tensor_card(self) -> Card:
        self._tensors = TensorTree()
        self._tree = QTreeView()
        self._tree.setModel(self._tensors)
        self._tree.setAccessibleName("Tensors of the model")
        self._tree.setUniformRowHeights(True)
        self._tree.setAlternatingRowColors(True)
        self._tree.setProperty("frameless", True)
        self._tree.setIndentation(18)
        header = self._tree.header()
        header.setStretchLastSection(False)
        header.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        for column, width in ((1, 126), (2, 64), (3, 100), (4, 90)):
            header.resizeSection(column, width)
        self._tree.selectionModel().currentChanged.connect(self._select)
        self._filter = QLineEdit()
        self._filter.setPlaceholderText("Filter tensors")
        self._filter.setAccessibleName("Filter tensors")
        self._filter.setClearButtonEnabled(True)
        self._filter.setFixedWidth(220)
        self._filter.textChanged.connect(self._fill_tree)
        card = Card("Tensors")
        card.header.addWidget(self._filter)
        card.body.addWidget(self._tree)
        self._tensor_box = card
        return card

    def _show(self) -> None:
        state, checkpoint = self._state, self._state.checkpoint
        self._busy.setVisible(bool(state.checkpoint_busy))
        self.show_error(state.checkpoint_error, state.dismiss_error)
        self._next.setEnabled(checkpoint is not None)
        self._show_picker(checkpoint is None and state.checkpoint_error is not None)
        if checkpoint is None:
            self.set_title(f"Opening {state.checkpoint_busy} …" if state.checkpoint_busy else "Choose a model")
            return
        self.set_title(headline(checkpoint), f"Opening {state.checkpoint_busy} …" if state.checkpoint_busy else "")
        self._facts.set_facts(model_facts(checkpoint))
        self._notes.setText("\n".join(checkpoint.notes))
        self._notes.setVisible(bool(checkpoint.notes))
        self._elsewhere.setVisible(not onnx_objection(checkpoint))
        self._show_recent()
        if checkpoint is not self._shown:
            self._shown = checkpoint
            self._filter.clear()
            self._fill_tree()

    def _show_picker(self, shown: bool) -> None:
        """The picker reads the catalogue, so it is made only when there is nothing else to show."""
        if shown and self._stack.count() == 1:
            self._stack.addWidget(ModelPicker(self._state))
        self._stack.setCurrentIndex(1 if shown else 0)

    def _fill_tree(self) -> None:
        if self._shown is None:
            return
        query = self._filter.text()
        found = branches(self._shown.tensors, query)
        self._tensors.set_branches(found)
        shown = sum(len(branch.tensors) for branch in found)
        total = formatting.count(len(self._shown.tensors))
        self._tensor_box.set_title(f"{total} tensors" if not query else f"{formatting.count(shown)} of {total} tensors")
        if query and shown < 2000:
            self._tree.expandAll()
        else:
            for row in range(min(OPEN_BRANCHES, len(found))):
                self._tree.expand(self._tensors.index(row, 0))

    def _show_recent(self) -> None:
        while (item := self._recent.takeAt(0)) is not None:
            widget = item.widget()
            if widget is not None:
                widget.hide()  # it is deleted later, when others stand in its place
                widget.deleteLater()
        for reference in self._state.recent_models[1 : RECENT_SHOWN + 1]:
            name = Path(reference).name or reference
            self._recent.addWidget(
                link(name, lambda reference=reference: self._state.open_model(reference), tip=reference)
            )

    def _select(self, current: QModelIndex, previous: QModelIndex) -> None:
        tensor = self._tensors.tensor(current)
        if tensor is not None:
            self._state.select_tensor(tensor.name)

    def _choose(self) -> None:
        model_dialog(self._state, self.window()).open()

    def _open_folder(self) -> None:
        folder = QFileDialog.getExistingDirectory(self, "Open a model folder", self._state.settings.models_folder)
        if folder:
            self._state.open_model(folder)

    def _open_file(self) -> None:
        start = self._state.settings.models_folder
        file = QFileDialog.getOpenFileName(self, "Open a model file", start, FILE_FILTER)[0]
        if file:
            self._state.open_model(file)


def _scrolling(side: QVBoxLayout) -> QScrollArea:
    """The column at the left, which scrolls where the window is too low for it."""
    holder = QWidget()
    holder.setProperty("role", "plain")
    holder.setLayout(side)
    side.setContentsMargins(0, 0, 6, 0)
    area = QScrollArea()
    area.setWidgetResizable(True)
    area.setFrameShape(QFrame.Shape.NoFrame)
    area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
    area.setFixedWidth(SIDE_WIDTH)
    area.setAccessibleName("Facts of the model")
    area.setWidget(holder)
    return area


def headline(checkpoint: Checkpoint) -> str:
    """ "demo · 6.95 M parameters · BF16"."""
    name = checkpoint.name.rpartition("/")[2]
    return f"{name} · {formatting.parameters(checkpoint.parameters)} parameters · {checkpoint.dtype}"


def model_facts(checkpoint: Checkpoint) -> list[Fact]:
    """What headers and config tell; a fact that is not stated is left out."""
    config = checkpoint.config
    facts = [
        Fact("Name", checkpoint.name if "/" in checkpoint.name else ""),
        Fact("Source", SOURCES[checkpoint.kind], "Checkpoint", tip=checkpoint.path),
        Fact("Size", formatting.file_size(checkpoint.nbytes), "GB", tip=f"{checkpoint.nbytes} bytes of tensor data"),
        Fact("Precision", formatting.bits_per_weight(checkpoint.bits_per_weight), "Bits per weight"),
        Fact("Parameters", formatting.parameters(checkpoint.parameters), tip=str(checkpoint.parameters)),
    ]
    if config is None:
        return facts
    heads = f"{config.num_heads} query, {config.num_kv_heads} key/value" if config.num_heads else ""
    context = f"{formatting.count(config.context_length)} tokens" if config.context_length else ""
    return [
        *facts,
        Fact("Architecture", config.architecture or config.model_type),
        Fact("Layers", _stated(config.num_layers)),
        Fact("Hidden size", _stated(config.hidden_size)),
        Fact("Heads", heads),
        Fact("Vocabulary", f"{formatting.count(config.vocab_size)} tokens" if config.vocab_size else ""),
        Fact("Context length", context),
        Fact("Tied embeddings", "Yes" if config.tied_embeddings else "No"),
        Fact("Quantization", "" if checkpoint.kind is SourceKind.GGUF else config.quantization or ""),
    ]


def _stated(value: int | None) -> str:
    return "" if value is None else formatting.count(value)


PAGE = Page(
    id="model",
    title="Model",
    order=10,
    icon="model",
    make=ModelPage,
    tip="What is in this model, and how large is it?",
)

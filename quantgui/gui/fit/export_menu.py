"""Taking the estimates away: as a picture, as CSV, as JSON, and as the command line that runs the picked row."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QFileDialog, QMenu, QPushButton, QWidget

from quantgui.fit.commands import command_for
from quantgui.fit.export import estimate_json, estimates_csv
from quantgui.gui.app_state import AppState
from quantgui.gui.saving import file_name, save_file
from quantgui.gui.widgets.buttons import button
from quantgui.types import Checkpoint, UserError

Save = Callable[[Path], None]


def export_button(state: AppState, picked: Callable[[], str], save_picture: Save, parent: QWidget) -> QPushButton:
    """A button with the menu. `picked` gives the id of the row whose command is copied."""
    menu = QMenu(parent)
    menu.addAction("Save picture (PNG)…", lambda: _ask(state, parent, "png", save_picture))
    menu.addAction("Save table (CSV)…", lambda: _ask(state, parent, "csv", lambda path: _write(path, as_csv(state))))
    menu.addAction("Save everything (JSON)…", lambda: _ask(state, parent, "json", lambda p: _write(p, as_json(state))))
    menu.addSeparator()
    menu.addAction("Copy the command line", lambda: QGuiApplication.clipboard().setText(command(state, picked())))
    made = button("Export", icon="save", tip="Save the estimates, or copy the command that runs the picked row")
    made.setMenu(menu)
    return made


def command(state: AppState, scheme_id: str) -> str:
    """The command line of a row; "" where there is none."""
    return _commands(state).get(scheme_id, "")


def as_csv(state: AppState) -> str:
    """Every row with its command, as comma-separated text."""
    return estimates_csv(state.estimates, _commands(state))


def as_json(state: AppState) -> str:
    """Model, hardware, settings and every row with provenance and bands."""
    checkpoint, settings, commands = _checkpoint(state), state.fit_settings, _commands(state)
    answer = {
        "model": checkpoint.name,
        "hardware": state.hardware.name,
        "context": settings.context,
        "batch": settings.batch,
        "slots": settings.slots,
        "kv_dtype": settings.kv_dtype,
        "runtime": settings.runtime.value if settings.runtime else None,
        "rows": [estimate_json(estimate, commands[estimate.scheme_id]) for estimate in state.estimates],
    }
    return json.dumps(answer, ensure_ascii=False, indent=2)


def _commands(state: AppState) -> dict[str, str]:
    checkpoint = _checkpoint(state)
    return {e.scheme_id: command_for(e, checkpoint, state.hardware, state.fit_settings) for e in state.estimates}


def _checkpoint(state: AppState) -> Checkpoint:
    if state.checkpoint is None:
        raise UserError("No model is open.", hint="Open one on the Model page.")
    return state.checkpoint


def _ask(state: AppState, parent: QWidget, suffix: str, save: Save) -> None:
    name = file_name(f"{_checkpoint(state).name.split('/')[-1]}-on-{state.hardware.name}")
    chosen, _ = QFileDialog.getSaveFileName(parent, "Save the estimates", str(Path.home() / f"{name}.{suffix}"))
    if chosen:
        try:
            save(Path(chosen).with_suffix(f".{suffix}"))
        except UserError as error:
            state.message.emit(error)


def _write(path: Path, text: str) -> None:
    save_file(path, text.encode(), "The estimates")

"""What the command palette offers, as data: every command that the menus and shortcuts reach, and more."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from quantgui.checkpoint.resolve import DEMO
from quantgui.gui.app_state import AppState
from quantgui.gui.pages import Page
from quantgui.gui.recipe.plan import with_base
from quantgui.gui.settings import THEMES
from quantgui.quant.registry import file_rows, rows
from quantgui.schemes.recipe import SchemeSpec

RULES_REMOVED = (
    "The exceptions were removed: a GGUF file names its tensors and types differently. Undo brings them back."
)


@dataclass(frozen=True)
class Command:
    """Something that can be done by name."""

    title: str
    run: Callable[[], object]
    shortcut: str = ""


def state_commands(state: AppState, pages: Sequence[Page]) -> Iterator[Command]:
    """Commands that need no window: pages, models, precisions, themes, undo."""
    for page in pages:
        yield Command(f"Go to {page.title}", lambda page=page: state.request_page(page.id), page.shortcut)
    yield Command("Open the bundled model", lambda: state.open_model(DEMO))
    for reference in (r for r in state.recent_models if r != DEMO):
        yield Command(f"Open {reference}", lambda reference=reference: state.open_model(reference))
    yield Command("Use this machine as hardware", lambda: state.choose_hardware(state.machine))
    if state.is_running:
        yield Command("Cancel the running job", state.cancel_run)
    for row in (*rows(), *file_rows()):
        yield Command(f"Use {row.id} · {row.title}", lambda row=row: use_precision(state, row.id))
    if state.can_undo:
        yield Command("Undo the last change of the recipe", state.undo_recipe, "Ctrl+Z")
    if state.can_redo:
        yield Command("Redo the change of the recipe", state.redo_recipe, "Ctrl+Shift+Z")
    for theme in THEMES:
        yield Command(f"Theme: {theme}", lambda theme=theme: state.change_settings(theme=theme))


def use_precision(state: AppState, scheme_id: str) -> None:
    """Make a precision the recipe's base; its rules stay where they still mean something, and a message says if not."""
    before, after = state.recipe, with_base(state.recipe, SchemeSpec(scheme_id))
    state.set_recipe(after)
    if before.rules and not after.rules:
        state.message.emit(RULES_REMOVED)


def matching(commands: Iterable[Command], query: str) -> list[Command]:
    """Commands whose title contains every word of `query`, those that begin with it first."""
    words = query.lower().split()
    found = [command for command in commands if all(word in command.title.lower() for word in words)]
    return sorted(found, key=lambda command: not command.title.lower().startswith(query.lower()))

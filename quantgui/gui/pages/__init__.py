"""The pages of the window, one module each. A module with a `PAGE` is found by its place in this folder."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from PySide6.QtWidgets import QWidget

    from quantgui.gui.app_state import AppState


@dataclass(frozen=True)
class Page:
    """A step of the loop. `order` sorts the rail; `at_foot` puts it at the rail's foot, as Settings is."""

    id: str
    title: str
    order: int
    icon: str  # name of an SVG in resources/icons
    make: Callable[[AppState], QWidget]
    shortcut: str = ""  # of a page at the foot; the others have Ctrl and their place
    at_foot: bool = False
    tip: str = ""  # one sentence: what this page answers


@runtime_checkable
class Startable(Protocol):
    """A page whose main action Ctrl+R takes."""

    def start(self) -> None:
        """Begin."""


def discover() -> tuple[Page, ...]:
    """Every page of this folder in the order of the rail; Ctrl+1 is the first of its steps, and so on."""
    names = [info.name for info in pkgutil.iter_modules(__path__)]
    modules = [importlib.import_module(f"{__name__}.{name}") for name in names]
    pages = sorted((m.PAGE for m in modules if hasattr(m, "PAGE")), key=lambda page: page.order)
    steps = [page for page in pages if not page.at_foot]
    numbered = [replace(page, shortcut=f"Ctrl+{place}") for place, page in enumerate(steps, 1)]
    return (*numbered, *(page for page in pages if page.at_foot))

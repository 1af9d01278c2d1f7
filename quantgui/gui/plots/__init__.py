"""The plots of the Inspect page, one module each. A module with a `PLOT` is found by its place in this folder."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from quantgui.gui.plots.base import PlotPanel
    from quantgui.jobs.fold import RunState


class Source(Protocol):
    """Where plots pull their snapshot from; the AppState is one."""

    @property
    def run(self) -> RunState | None:
        """The run that is shown, None before the first one."""
        ...

    @property
    def selected_tensor(self) -> str | None:
        """Full name of the tensor that is shown."""
        ...

    def select_tensor(self, name: str | None) -> None:
        """Show another tensor."""
        ...


class Subject(StrEnum):
    """What a plot is about; the page groups by it."""

    MODEL = "model"
    TENSOR = "tensor"
    RUN = "run"


@dataclass(frozen=True)
class Plot:
    """One kind of plot. `order` sorts the plots of a subject."""

    id: str
    title: str
    order: int
    subject: Subject
    make: Callable[[Source], PlotPanel]


def discover() -> tuple[Plot, ...]:
    """Every plot of this folder, in order."""
    modules = [importlib.import_module(f"{__name__}.{info.name}") for info in pkgutil.iter_modules(__path__)]
    return tuple(sorted((m.PLOT for m in modules if hasattr(m, "PLOT")), key=lambda plot: plot.order))

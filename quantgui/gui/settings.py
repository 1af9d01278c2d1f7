"""What the person chose (Settings) and what the window remembers by itself (Session), each one JSON file."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from quantgui.fit.settings import FitSettings
from quantgui.jobs.codec import from_json, to_json
from quantgui.schemes.recipe import Recipe
from quantgui.types import HardwareTarget, UserError

T = TypeVar("T")
log = logging.getLogger(__name__)

THEMES = ("system", "light", "dark")
MEMORY_UNITS = ("GiB", "GB")
RECENT_MODELS = 10


@dataclass(frozen=True)
class Settings:
    """Choices of the Settings page. An empty folder means the default place; no thread count means all cores."""

    theme: str = "system"
    outputs_folder: str = ""
    models_folder: str = ""
    cache_folder: str = ""
    cache_limit_gb: float = 20.0
    device: str = "cpu"
    threads: int | None = None
    memory_unit: str = "GiB"


@dataclass(frozen=True)
class Session:
    """What was open when the window closed. `hardware` None means this machine; `ui` holds widths, folds and sorts."""

    model: str = ""
    recent_models: list[str] = field(default_factory=list)
    hardware: HardwareTarget | None = None
    fit: FitSettings | None = None
    contexts: dict[str, int] = field(default_factory=dict)  # that the person has set, by the model's reference
    recipe: Recipe | None = None
    page: str = ""
    ui: dict[str, str] = field(default_factory=dict)


def load(path: Path, cls: type[T]) -> T:
    """The object saved at `path`; a fresh one where there is none or it cannot be read (which the log then says)."""
    try:
        return from_json(path.read_bytes(), cls)
    except FileNotFoundError:
        return cls()
    except (OSError, ValueError, UserError) as error:
        log.warning("%s was ignored: %s", path, error)
        return cls()


def save(path: Path, value: object) -> None:
    """Write `value` whole or not at all. A full or read-only disk is logged: losing a preference stops nobody."""
    partial = path.with_name(path.name + ".partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.write_text(to_json(value, indent=2), encoding="utf-8")
        partial.replace(path)
    except OSError as error:
        log.warning("%s could not be saved: %s", path, error)

"""The corrections learnt from real runs, one JSON file beside the settings."""

from __future__ import annotations

import json
import logging
from pathlib import Path

from quantgui.fit.corrections import Corrections, from_json

log = logging.getLogger(__name__)


def load_corrections(path: Path) -> Corrections:
    """What was saved at `path`; none where there is no such file or it cannot be read (which the log then says)."""
    try:
        return from_json(json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return Corrections()
    except (OSError, ValueError) as error:
        log.warning("%s was ignored: %s", path, error)
        return Corrections()


def save_corrections(path: Path, corrections: Corrections) -> None:
    """Write them whole or not at all. A full or read-only disk is logged."""
    partial = path.with_name(path.name + ".partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.write_text(json.dumps(corrections.as_json(), indent=2), encoding="utf-8")
        partial.replace(path)
    except OSError as error:
        log.warning("%s could not be saved: %s", path, error)

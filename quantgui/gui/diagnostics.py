"""What somebody who helps wants to know: versions, platform, the end of the log."""

from __future__ import annotations

import logging
import platform
import sys
from importlib import metadata
from logging.handlers import RotatingFileHandler
from pathlib import Path

from quantgui import __version__

PACKAGES = (
    "PySide6_Essentials",
    "pyqtgraph",
    "numpy",
    "torch",
    "transformers",
    "safetensors",
    "compressed-tensors",
    "optimum",
)
MAX_LOG_BYTES = 1_000_000
KEPT_LOGS = 3
TAIL_LINES = 60

_log_file: Path | None = None


def start_log(path: Path) -> logging.Handler:
    """Write the log of all of QuantGUI to `path`, which starts anew at 1 MB; three older files are kept."""
    global _log_file
    path.parent.mkdir(parents=True, exist_ok=True)
    handler = RotatingFileHandler(path, maxBytes=MAX_LOG_BYTES, backupCount=KEPT_LOGS, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logger = logging.getLogger("quantgui")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    _log_file = path
    return handler


def stop_log(handler: logging.Handler) -> None:
    """Close the log file."""
    logging.getLogger("quantgui").removeHandler(handler)
    handler.close()


def collect() -> str:
    """Versions, platform and the log's last lines as text. Says nothing of the model's content."""
    lines = [
        f"QuantGUI {__version__}",
        f"Python {sys.version.split()[0]} on {platform.platform()}",
        *(f"{name} {_version(name)}" for name in PACKAGES),
        "",
        *_tail(),
    ]
    return "\n".join(lines)


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "is not installed"


def _tail() -> list[str]:
    if _log_file is None or not _log_file.is_file():
        return ["No log file."]
    text = _log_file.read_text(encoding="utf-8", errors="replace")
    return [f"End of {_log_file}:", *text.splitlines()[-TAIL_LINES:]]

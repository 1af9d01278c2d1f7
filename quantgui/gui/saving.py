"""Files that a person saves from the window: tables, pictures, estimates."""

from __future__ import annotations

import re
from pathlib import Path

from quantgui.types import UserError


def save_file(path: Path, data: bytes, what: str) -> None:
    """Writes `data`; `what` is the subject of the sentence if that fails ("The table"). Raises UserError."""
    try:
        path.write_bytes(data)
    except OSError as error:
        raise UserError(
            f"{what} could not be saved: {error.strerror or error}.",
            hint="Choose another folder or make room on the disk.",
            details=str(path),
        ) from error


def file_name(words: str) -> str:
    """`words` as the name of a file or folder: letters, digits, dots and dashes, none of them hidden."""
    return re.sub(r"[^\w.-]+", "-", words).lstrip(".")

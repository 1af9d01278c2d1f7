"""Where `resources/` is: beside the package in a checkout, inside it in a wheel, in the bundle of a frozen build."""

from __future__ import annotations

import sys
from functools import cache
from pathlib import Path


@cache
def resources() -> Path:
    """The resources folder. Raises FileNotFoundError where the installation is incomplete."""
    package = Path(__file__).resolve().parent
    candidates = [package / "_resources", package.parent / "resources"]
    frozen = getattr(sys, "_MEIPASS", None)
    if frozen:
        candidates.insert(0, Path(frozen) / "resources")
    for candidate in candidates:
        if (candidate / "hardware.json").is_file():
            return candidate
    raise FileNotFoundError(f"resources/ was not found in any of: {', '.join(map(str, candidates))}")


def resource(*parts: str) -> Path:
    """The path of one resource; it need not exist."""
    return resources().joinpath(*parts)

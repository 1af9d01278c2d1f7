"""Functions that numba compiles, in the child alone: what was compiled is kept in the cache folder for later runs."""

from __future__ import annotations

import hashlib
import importlib
import os
from contextlib import suppress
from functools import cache
from pathlib import Path
from types import ModuleType

from quantgui import __version__
from quantgui.home import find_home

CACHE_VARIABLE = "NUMBA_CACHE_DIR"
SOURCES = ("formats/gguf/kernels/vectorized/*.py", "inspection/fused.py")
"""Every file with functions that are compiled, below the package."""


def compiled_module(name: str) -> ModuleType:
    """Imports a module of compiled functions; they are kept in our folder unless $NUMBA_CACHE_DIR says otherwise.

    Raises ImportError without numba, RuntimeError where nothing can be kept.
    """
    from numba.core.config import reload_config

    os.environ.setdefault(CACHE_VARIABLE, str(compiled_folder()))
    reload_config()
    return importlib.import_module(name)


@cache
def compiled_folder() -> Path:
    """One folder for each state of the sources: numba looks at a function's own file, not at those that it calls."""
    digest = hashlib.sha256(__version__.encode())
    root = Path(__file__).parent
    for source in sorted(path for pattern in SOURCES for path in root.glob(pattern)):
        digest.update(source.read_bytes())
    chosen = os.environ.get(CACHE_VARIABLE)
    folder = Path(chosen) if chosen else find_home().cache / "kernels" / digest.hexdigest()[:16]
    with suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
    return folder


def compiled_mark(name: str) -> Path:
    """The file that says that `name` has been compiled: using it again takes a fraction of a second."""
    return compiled_folder() / f"{name}.compiled"

"""The shared libraries of llama.cpp and ggml in pinned wheels, opened with ctypes. Child process only.

`xllamacpp` has both in one library, which on Windows exports nothing; there ggml is the one of `pywhispercpp`.
"""

from __future__ import annotations

import ctypes
import os
from contextlib import AbstractContextManager, nullcontext
from functools import cache
from importlib import metadata
from pathlib import Path

from quantgui.types import UserError

PACKAGE = "xllamacpp"
WHISPER = "pywhispercpp"
REINSTALL = f"Install it again with: pip install {PACKAGE}"


@cache
def llama_library() -> ctypes.CDLL:
    """The library. Calls through it release the interpreter lock. Raises UserError where it cannot be had."""
    try:
        import xllamacpp.xllamacpp as extension  # its own loader finds the libraries that it depends on
    except (ImportError, OSError) as error:
        raise UserError(
            "The library that runs and quantizes GGUF files is not installed.", hint=REINSTALL, details=str(error)
        ) from error
    try:
        return ctypes.CDLL(str(extension.__file__))
    except OSError as error:
        raise UserError(f"{PACKAGE} cannot be opened.", hint=REINSTALL, details=str(error)) from error


@cache
def ggml_of_whisper() -> ctypes.CDLL:
    """The library of ggml's kernels alone. Raises UserError where it cannot be had."""
    try:
        files = metadata.files(WHISPER) or []
    except metadata.PackageNotFoundError:
        files = []
    found = [Path(str(file.locate())) for file in files if "ggml-base" in file.name]
    for path in (path for path in found if path.is_file()):
        try:
            with _search(path.parent):
                return ctypes.CDLL(str(path))
        except OSError:
            continue
    raise UserError("ggml's kernels are not installed.", hint=f"Install them with: pip install {WHISPER}")


def _search(folder: Path) -> AbstractContextManager[object]:
    """Windows looks for what a library depends on only where it is told to."""
    add = getattr(os, "add_dll_directory", None)
    return add(str(folder)) if add else nullcontext()


def library_version() -> str:
    """The version of the wheel ("2026.10.11549"), "" where it is not installed."""
    try:
        return metadata.version(PACKAGE)
    except metadata.PackageNotFoundError:
        return ""


def exported(library: ctypes.CDLL, name: str) -> bool:
    """Whether the library lets others call `name`: on Windows it exports nothing of ggml."""
    return hasattr(library, name)

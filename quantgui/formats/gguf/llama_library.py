"""The shared library of llama.cpp and ggml in the pinned `xllamacpp` wheel, opened with ctypes. Child process only."""

from __future__ import annotations

import ctypes
from functools import cache

from quantgui.types import UserError

PACKAGE = "xllamacpp"
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


def library_version() -> str:
    """The version of the wheel ("2026.10.11549"), "" where it is not installed."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(PACKAGE)
    except PackageNotFoundError:
        return ""


def exported(library: ctypes.CDLL, name: str) -> bool:
    """Whether the library lets others call `name`: on Windows it exports nothing of ggml."""
    return hasattr(library, name)

"""Whether blocks are counted by the compiled kernel (`fused.py`) or by torch: compiling takes seconds, once."""

from __future__ import annotations

from contextlib import suppress
from types import ModuleType

from quantgui.compiled import compiled_mark, compiled_module

WORTH_COMPILING = 250_000_000
WORTH_LOADING = 50_000_000
"""Weights from which compiling (about 2 seconds of CPU) or loading (0.4) is repaid: it saves 9 ns per weight."""

_NAME = "statistics"
_prepared: ModuleType | None = None


def prepare(weights: int) -> bool:
    """Compiles or loads the kernel where it is worth it for so many weights; returns whether blocks go through it.

    Call it once before threads count; without it they count with torch.
    """
    global _prepared
    is_worth_it = weights >= WORTH_COMPILING or (weights >= WORTH_LOADING and compiled_mark(_NAME).exists())
    if _prepared is None and is_worth_it:
        _prepared = _loaded()
    return _prepared is not None


def prepared() -> ModuleType | None:
    """The module of compiled functions, None where `prepare` has not loaded it."""
    return _prepared


def _loaded() -> ModuleType | None:
    import numpy as np

    try:
        fused = compiled_module("quantgui.inspection.fused")
        nothing, one = np.zeros(1, np.float32), np.float32(1)
        fused.add_moments(nothing, nothing, np.zeros(7))
        fused.count(nothing, nothing, one, one, one, one, np.zeros((3, 2), np.int64))
    except (ImportError, RuntimeError, OSError):  # no numba, or no place where the compiled functions can be kept
        return None
    with suppress(OSError):
        compiled_mark(_NAME).touch()
    return fused

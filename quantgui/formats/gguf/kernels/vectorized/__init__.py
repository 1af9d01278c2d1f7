"""K-quants, Q8_0 and Q4_0 with many blocks side by side: the bytes of ggml's scalar kernels, several times sooner.

numba compiles them in the child, only the types that a run needs, and keeps the result in the cache folder. The order
of operations within a sub-block is ggml's (ggml-quants.c of github.com/ggml-org/llama.cpp, MIT), and nothing may be
reassociated or fused, so on x86-64 the bytes are equal; the tests hold them against ggml's, also on extreme data.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np

from quantgui.compiled import compiled_mark, compiled_module
from quantgui.schemes.ggml_types import BY_NAME

Kernel = Callable[[np.ndarray, "np.ndarray | None", np.ndarray], None]
"""(flat float32 values, importance or None, uint8 blocks to write)."""

MODULES = {
    "Q2_K": "q2_k",
    "Q3_K": "q3_k",
    "Q4_K": "q4_k",
    "Q5_K": "q4_k",
    "Q6_K": "q6_k",
    "Q8_0": "q8_0",
    "Q4_0": "q4_0",
}
HIGHEST = {"Q4_K": (np.int32(15),), "Q5_K": (np.int32(31),)}
"""The types that share a module, by their highest code."""
ONLY_PLAIN = frozenset({"Q4_0"})
"""Types that ggml searches in another way where there is an importance matrix."""
WORTH_COMPILING = 60_000_000
WORTH_LOADING = 4_000_000
"""Weights from which compiling (about 5 seconds) or loading (0.3) is sooner than waiting for ggml's scalar kernel."""
WITHOUT_SEARCH = frozenset({"Q8_0", "Q4_0"})
"""Types whose scale is computed, not sought: about 1.5 ns per weight are saved, and compiling takes a second."""
FEWER_SAVED = 12
"""How many times more weights these need to be worth it."""


@cache
def vectorized_kernel(ggml_type: str, weighted: bool) -> Kernel | None:
    """The compiled kernel of a type, None where it cannot be had here. The first call takes seconds."""
    if ggml_type not in MODULES or (weighted and ggml_type in ONLY_PLAIN):
        return None
    try:
        module = compiled_module(f"{__name__}.{MODULES[ggml_type]}")
    except (ImportError, RuntimeError):  # missing, or no place where its cache can be
        return None
    highest = HIGHEST.get(ggml_type, ())

    def run(values: np.ndarray, importance: np.ndarray | None, out: np.ndarray) -> None:
        if weighted:
            module.quantize_weighted(values, importance, *highest, out)
        else:
            module.quantize(values, *highest, out)

    block = np.empty((1, BY_NAME[ggml_type].block_bytes), np.uint8)
    try:
        run(np.zeros(256, np.float32), np.zeros(256, np.float32), block)
    except OSError:  # what was compiled cannot be kept: a full disk, a folder of somebody else
        return None
    with contextlib.suppress(OSError):
        _mark(ggml_type, weighted).touch()
    return run


def is_worth_it(ggml_type: str, weighted: bool, weights: int) -> bool:
    """Whether so many weights repay compiling the kernel, or loading it from the cache."""
    if ggml_type in WITHOUT_SEARCH:
        weights //= FEWER_SAVED
    if weights < WORTH_LOADING or ggml_type not in MODULES:
        return False
    return weights >= WORTH_COMPILING or _mark(ggml_type, weighted).exists()


def _mark(ggml_type: str, weighted: bool) -> Path:
    return compiled_mark(f"{ggml_type}{'-weighted' if weighted else ''}")

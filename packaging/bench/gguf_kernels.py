"""The vectorized kernels beside ggml's scalar kernels, on normal weights, one thread; the bytes are compared."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from quantgui.formats.gguf.kernels import ggml
from quantgui.formats.gguf.kernels.vectorized import MODULES, ONLY_PLAIN, vectorized_kernel
from quantgui.schemes.ggml_types import BY_NAME

NAME = "gguf-kernels"
HELP = "million weights per CPU-second of each vectorized type, ours and ggml's, with and without an importance matrix"

ROWS, COLUMNS, SPREAD = 512, 2048, 0.02
ROUNDS = 3
"""The best of them counts: other programs only ever slow a round down."""
GOALS = {"Q4_K": 5.0}
"""Times ggml's speed, without an importance matrix."""


def run(work: Path) -> dict[str, Any]:
    """Speeds and their ratio by type; compiling is not counted. Raises RuntimeError where bytes differ."""
    random = np.random.default_rng(0)
    rows = random.normal(0, SPREAD, (ROWS, COLUMNS)).astype(np.float32)
    importance = random.random(COLUMNS).astype(np.float32)
    results: dict[str, Any] = {"goals": GOALS}
    for name in sorted(MODULES):
        results[name] = _measure(name, rows, None)
        if name not in ONLY_PLAIN:
            results[f"{name} with importance"] = _measure(name, rows, importance)
    return results


def _measure(name: str, rows: np.ndarray, importance: np.ndarray | None) -> dict[str, float]:
    library, kernel, kind = ggml.ggml_library(), vectorized_kernel(name, importance is not None), BY_NAME[name]
    if library is None or kernel is None:
        raise RuntimeError("it needs xllamacpp and numba")
    theirs = np.empty((len(rows), kind.nbytes(rows.shape[1])), np.uint8)
    ours = np.empty_like(theirs)
    scalar = _best(lambda: ggml.quantize(library, kind, rows, importance, theirs))
    fast = _best(lambda: kernel(rows.reshape(-1), importance, ours.reshape(-1, kind.block_bytes)))
    if not np.array_equal(theirs, ours):
        raise RuntimeError(f"the bytes of {name} differ")
    million = rows.size / 1e6
    return {"ggml": round(million / scalar, 1), "ours": round(million / fast, 1), "times": round(scalar / fast, 2)}


def _best(call: Callable[[], None]) -> float:
    """Least CPU seconds of a few calls."""
    found = []
    for _ in range(ROUNDS):
        before = time.process_time()
        call()
        found.append(time.process_time() - before)
    return min(found)

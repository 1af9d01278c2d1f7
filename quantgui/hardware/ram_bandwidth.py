"""How fast this machine's processor reads its RAM: measured in a tenth of a second, since no system tells it."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from functools import cache

import psutil

TOTAL_BYTES = 128 * 2**20
"""More than the caches of ordinary processors hold."""
LEAST_AVAILABLE = 2**30
"""With less free memory than this the measurement would be part of the problem."""
MOST_THREADS = 8
ROUNDS = 3


@cache
def ram_bandwidth(threads: int) -> float | None:
    """Bytes per second that `threads` threads read together, the best of three rounds; None where RAM is short.

    A reader of weights does the same: long sums over memory that is not cached. Summing in numpy lets go of Python's
    lock.
    """
    if psutil.virtual_memory().available < LEAST_AVAILABLE:
        return None
    import numpy as np

    threads = max(1, min(threads, MOST_THREADS))
    slices = np.array_split(np.ones(TOTAL_BYTES // 8, dtype=np.int64), threads)  # ones: zeros would not be in memory
    with ThreadPoolExecutor(threads) as pool:
        seconds = min(_round(pool, slices) for _ in range(ROUNDS))
    return TOTAL_BYTES / seconds


def _round(pool: ThreadPoolExecutor, slices: list) -> float:
    started = time.perf_counter()
    list(pool.map(lambda part: int(part.sum()), slices))
    return time.perf_counter() - started

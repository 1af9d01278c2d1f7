"""Strips of weights for the types with one scale per 32: long loops over 64 blocks become vector instructions.

Loops over a single block of 32 would not: they are unrolled before anything looks for vectors in them.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from quantgui.formats.gguf.kernels.vectorized.bits import half_bits

BLOCK = 32
"""Weights in a block."""
STRIP = 64
"""Blocks in a strip."""


@njit(error_model="numpy", nogil=True, cache=True)
def block_maxima(x, signs, work):
    """The largest `signs * value` of each block of flat x, into the first places of work [at least len(x) / 2]."""
    half = len(x) // 2
    for index in range(half):
        left, right = x[2 * index] * signs, x[2 * index + 1] * signs
        work[index] = left if left > right else right
    _halve(work, half)


@njit(error_model="numpy", nogil=True, cache=True)
def block_sizes(x, work):
    """The largest |value| of each block of flat x, into the first places of work [at least len(x) / 2]."""
    half = len(x) // 2
    for index in range(half):
        left, right = abs(x[2 * index]), abs(x[2 * index + 1])
        work[index] = left if left > right else right
    _halve(work, half)


@njit(error_model="numpy", nogil=True, cache=True)
def _halve(work, length):
    """Maxima of 16 neighbours each, in place."""
    for _ in range(4):
        length //= 2
        for index in range(length):
            left, right = work[2 * index], work[2 * index + 1]
            work[index] = left if left > right else right


@njit(error_model="numpy", nogil=True, cache=True)
def invert_scales(scales, halves, inverses):
    """Stores scales [blocks] as float16 in `halves`, and 1 / scale, or 0, for every weight in `inverses`."""
    for block in range(len(scales)):
        scale = scales[block]
        halves[block] = half_bits(scale)
        inverse = np.float32(1) / scale if scale != np.float32(0) else np.float32(0)
        for index in range(BLOCK):
            inverses[BLOCK * block + index] = inverse

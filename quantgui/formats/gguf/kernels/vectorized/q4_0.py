"""Q4_0: blocks of 32 weights, a float16 scale and 32 codes of 4 bits; the largest weight becomes -8."""

from __future__ import annotations

import numpy as np
from numba import njit

from quantgui.formats.gguf.kernels.vectorized.strips import BLOCK, STRIP, block_maxima, invert_scales


@njit(error_model="numpy", nogil=True, cache=True)
def quantize(values, out):
    """Blocks uint8 [n, 18] of flat float32 values: code i shares a byte with code i + 16."""
    highest = np.empty(BLOCK * STRIP // 2, np.float32)
    lowest = np.empty_like(highest)
    inverses = np.empty(BLOCK * STRIP, np.float32)
    codes = np.empty(BLOCK * STRIP, np.uint8)
    pairs = codes.view(np.uint16).reshape(STRIP, BLOCK // 2)
    halves = np.empty(STRIP, np.uint16)
    blocks = out.view(np.uint16)
    for first in range(0, len(out), STRIP):
        count = min(STRIP, len(out) - first)
        x = values[BLOCK * first : BLOCK * (first + count)]
        block_maxima(x, np.float32(1), highest)
        block_maxima(x, np.float32(-1), lowest)
        for block in range(count):
            largest = _largest(x[BLOCK * block : BLOCK * (block + 1)], highest[block], -lowest[block])
            highest[block] = largest / np.float32(-8)
        invert_scales(highest[:count], halves, inverses)
        for index in range(len(x)):
            code = np.int32(x[index] * inverses[index] + np.float32(8.5))
            codes[index] = code if code < 15 else 15
        for block in range(count):
            blocks[first + block, 0] = halves[block]
            for index in range(BLOCK // 4):
                blocks[first + block, 1 + index] = pairs[block, index] | pairs[block, BLOCK // 4 + index] << 4


@njit(error_model="numpy", inline="always")
def _largest(x, high, low):
    """The value furthest from zero, the first one of two; 0 is never -0."""
    if high != -low:
        return high if high > -low else low
    for value in x:
        if abs(value) == high and high > np.float32(0):
            return value
    return np.float32(0)

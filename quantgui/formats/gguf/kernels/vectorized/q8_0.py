"""Q8_0: blocks of 32 weights, a float16 scale and 32 codes of 8 bits."""

from __future__ import annotations

import numpy as np
from numba import njit

from quantgui.formats.gguf.kernels.vectorized.strips import BLOCK, STRIP, block_sizes, invert_scales

BELOW_HALF = np.float32(0.49999997)
"""The float32 before 0.5: added before cutting off, it rounds halves away from zero and nothing else up."""


@njit(error_model="numpy", nogil=True, cache=True)
def quantize(values, out):
    """Blocks uint8 [n, 34] of flat float32 values."""
    work = np.empty(BLOCK * STRIP // 2, np.float32)
    inverses = np.empty(BLOCK * STRIP, np.float32)
    codes = np.empty(BLOCK * STRIP, np.int8)
    pairs = codes.view(np.uint16).reshape(STRIP, BLOCK // 2)
    halves = np.empty(STRIP, np.uint16)
    blocks = out.view(np.uint16)
    for first in range(0, len(out), STRIP):
        count = min(STRIP, len(out) - first)
        x = values[BLOCK * first : BLOCK * (first + count)]
        block_sizes(x, work)
        for block in range(count):
            work[block] /= np.float32(127)
        invert_scales(work[:count], halves, inverses)
        for index in range(len(x)):
            value = x[index] * inverses[index]
            value += BELOW_HALF if value >= np.float32(0) else -BELOW_HALF
            codes[index] = np.int8(np.int32(value))
        for block in range(count):
            blocks[first + block, 0] = halves[block]
            for index in range(BLOCK // 2):
                blocks[first + block, 1 + index] = pairs[block, index]


@njit(error_model="numpy", nogil=True, cache=True)
def quantize_weighted(values, importance, out):
    """The same: ggml does not weigh the errors of this type."""
    quantize(values, out)

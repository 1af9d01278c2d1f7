"""What Q3_K and Q6_K share: each sub-block has a scale, a multiple of the super-block's, and codes around zero."""

from __future__ import annotations

import numpy as np
from numba import njit

from quantgui.formats.gguf.kernels.vectorized.bits import half_value, level
from quantgui.formats.gguf.kernels.vectorized.lanes import LANES

_ZERO = np.float32(0)


@njit(error_model="numpy", nogil=True, cache=True)
def weigh_by_square(x, w):
    """w [size, LANES] = x * x."""
    for index in range(len(x)):
        for lane in range(LANES):
            w[index, lane] = x[index, lane] * x[index, lane]


@njit(error_model="numpy", nogil=True, cache=True)
def choose_codes(x, searched, limit, scales, halves, codes):
    """The final codes + limit, uint8 [blocks, 256]: nearest to the scales as stored.

    `searched` [subs, size, LANES] are the codes of the search, which stay where the stored scale became 0.
    """
    subs, size, _ = x.shape
    step = np.empty(LANES, np.float32)
    chosen = np.empty((size, LANES), np.uint8)
    low, high = np.int32(-limit), np.int32(limit - 1)
    for group in range(subs):
        for lane in range(LANES):
            block, sub = (group * LANES + lane) // subs, lane % subs
            step[lane] = half_value(halves[block]) * np.float32(scales[sub, block])
        for index in range(size):
            for lane in range(LANES):
                code = level(x[group, index, lane] / step[lane], low, high)
                code = searched[group, index, lane] if step[lane] == _ZERO else code
                chosen[index, lane] = np.uint8(code + np.float32(limit))
        for lane in range(LANES):
            block, start = (group * LANES + lane) // subs, lane % subs * size
            if block < len(codes):
                for index in range(size):
                    codes[block, start + index] = chosen[index, lane]

"""Q6_K: super-blocks of 16 sub-blocks of 16 weights, each with a scale in 8 bits."""

from __future__ import annotations

import numpy as np
from numba import njit

from quantgui.formats.gguf.kernels.vectorized.around_zero import choose_codes, weigh_by_square
from quantgui.formats.gguf.kernels.vectorized.bits import half_bits, nearest
from quantgui.formats.gguf.kernels.vectorized.lanes import LANES, SUPER, load, load_importance, to_super_blocks
from quantgui.formats.gguf.kernels.vectorized.symmetric_scale import SMALLEST, search_symmetric

SUBS, SIZE = 16, 16
LIMIT = np.int32(32)
HIGH_BITS, SCALES, HALF = 128, 192, 208
"""Where the codes' upper two bits, the scales and the float16 begin in a block; the lower four bits come first."""
_ZERO = np.float32(0)


@njit(error_model="numpy", nogil=True, cache=True)
def quantize(values, out):
    """Blocks uint8 [n, 210] of flat float32 values."""
    _quantize(values, np.empty(0, np.float32), out)


@njit(error_model="numpy", nogil=True, cache=True)
def quantize_weighted(values, importance, out):
    """The same with an importance [columns] of the squared errors."""
    _quantize(values, importance, out)


@njit(error_model="numpy", inline="always")
def _quantize(values, importance, out):
    x = np.empty((SUBS, SIZE, LANES), np.float32)
    w = np.empty((SUBS, SIZE, LANES), np.float32)
    sizes = np.empty((SUBS, 1, LANES), np.float32)
    searched = np.empty((SUBS, SIZE, LANES), np.float32)
    scales = np.empty((SUBS, LANES), np.int32)
    halves = np.empty(LANES, np.int32)
    codes = np.empty((LANES, SUPER), np.uint8)
    for block in range(0, len(out), LANES):
        count = min(LANES, len(out) - block)
        load(values, block, count, x)
        if len(importance):
            load_importance(importance, block, w)
        for group in range(SUBS):
            if not len(importance):
                weigh_by_square(x[group], w[group])
            search_symmetric(x[group], w[group], LIMIT, sizes[group, 0], searched[group])
        zero = _round_scales(sizes, scales, halves)
        choose_codes(x, searched, LIMIT, scales, halves, codes[:count])
        for index in range(count):
            if zero[index]:
                out[block + index] = 0
            else:
                _pack(scales[:, index], halves[index], codes[index], out[block + index])


@njit(error_model="numpy", nogil=True, cache=True)
def _round_scales(sizes, scales, halves):
    """Codes of the scales in units of the largest / -128; whether a super-block's scales are all nearly zero."""
    size = np.empty((SUBS, LANES), np.float32)
    zero = np.empty(LANES, np.bool_)
    to_super_blocks(sizes, 0, np.float32(1), size)
    for lane in range(LANES):
        largest = _ZERO
        for sub in range(SUBS):
            largest = size[sub, lane] if abs(size[sub, lane]) > abs(largest) else largest
        zero[lane] = abs(largest) < SMALLEST
        inverse = np.float32(-128) / largest
        halves[lane] = half_bits(np.float32(1) / inverse)
        for sub in range(SUBS):
            scales[sub, lane] = min(127, nearest(inverse * size[sub, lane]))
    return zero


@njit(error_model="numpy", nogil=True, cache=True)
def _pack(scales, half, codes, out):
    """Lower four bits of two codes 64 apart in a byte, upper two bits of four codes 32 apart, scales, the float16."""
    for part in range(2):
        for index in range(32):
            start = 128 * part + index
            a, b, c, d = codes[start], codes[start + 32], codes[start + 64], codes[start + 96]
            out[64 * part + index] = (a & 15) | (c & 15) << 4
            out[64 * part + 32 + index] = (b & 15) | (d & 15) << 4
            out[HIGH_BITS + 32 * part + index] = (a >> 4) | (b >> 4) << 2 | (c >> 4) << 4 | (d >> 4) << 6
    for sub in range(SUBS):
        out[SCALES + sub] = scales[sub] & 0xFF
    out[HALF] = half & 0xFF
    out[HALF + 1] = half >> 8

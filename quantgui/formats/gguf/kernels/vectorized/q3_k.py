"""Q3_K: super-blocks of 16 sub-blocks of 16 weights, each with a scale in 6 bits."""

from __future__ import annotations

import numpy as np
from numba import njit

from quantgui.formats.gguf.kernels.vectorized.around_zero import choose_codes
from quantgui.formats.gguf.kernels.vectorized.bits import half_bits, nearest
from quantgui.formats.gguf.kernels.vectorized.lanes import (
    LANES,
    SUPER,
    load,
    load_importance,
    mean_squares,
    to_super_blocks,
)
from quantgui.formats.gguf.kernels.vectorized.symmetric_scale import search_by_turns, search_symmetric
from quantgui.formats.gguf.kernels.vectorized.with_minimum import weigh_by_importance

SUBS, SIZE = 16, 16
LIMIT, SCALE_LIMIT = np.int32(4), np.int32(32)
CODES, SCALES, HALF = 32, 96, 108
"""Where the codes' lower two bits, the scales and the float16 begin in a block; the third bits come first."""
_ZERO = np.float32(0)


@njit(error_model="numpy", nogil=True, cache=True)
def quantize(values, out):
    """Blocks uint8 [n, 110] of flat float32 values."""
    x = np.empty((SUBS, SIZE, LANES), np.float32)
    sizes = np.empty((SUBS, 1, LANES), np.float32)
    searched = np.empty((SUBS, SIZE, LANES), np.float32)
    scales = np.empty((SUBS, LANES), np.int32)
    halves = np.empty(LANES, np.int32)
    codes = np.empty((LANES, SUPER), np.uint8)
    for block in range(0, len(out), LANES):
        count = min(LANES, len(out) - block)
        load(values, block, count, x)
        for group in range(SUBS):
            search_by_turns(x[group], LIMIT, sizes[group, 0], searched[group])
        _round_scales(sizes, scales, halves)
        choose_codes(x, searched, LIMIT, scales, halves, codes[:count])
        for index in range(count):
            _pack(scales[:, index], halves[index], codes[index], out[block + index])


@njit(error_model="numpy", nogil=True, cache=True)
def quantize_weighted(values, importance, out):
    """The same with an importance [columns] of the squared errors."""
    x = np.empty((SUBS, SIZE, LANES), np.float32)
    w = np.empty((SUBS, SIZE, LANES), np.float32)
    sizes = np.empty((SUBS, 1, LANES), np.float32)
    sums = np.empty((SUBS, 1, LANES), np.float32)
    searched = np.empty((SUBS, SIZE, LANES), np.float32)
    means = np.empty(LANES, np.float32)
    scales = np.empty((SUBS, LANES), np.int32)
    halves = np.empty(LANES, np.int32)
    codes = np.empty((LANES, SUPER), np.uint8)
    for block in range(0, len(out), LANES):
        count = min(LANES, len(out) - block)
        load(values, block, count, x)
        load_importance(importance, block, w)
        mean_squares(values, block, count, np.float32(2), means)
        for group in range(SUBS):
            weigh_by_importance(x[group], means, group, SUBS, w[group], sums[group, 0])
            search_symmetric(x[group], w[group], LIMIT, sizes[group, 0], searched[group])
        _fit_scales(sizes, sums, scales, halves)
        choose_codes(x, searched, LIMIT, scales, halves, codes[:count])
        for index in range(count):
            _pack(scales[:, index], halves[index], codes[index], out[block + index])


@njit(error_model="numpy", nogil=True, cache=True)
def _round_scales(sizes, scales, halves):
    """Codes of the scales in units of the largest / -32."""
    size = np.empty((SUBS, LANES), np.float32)
    to_super_blocks(sizes, 0, np.float32(1), size)
    for lane in range(LANES):
        largest = _ZERO
        for sub in range(SUBS):
            largest = size[sub, lane] if abs(size[sub, lane]) > abs(largest) else largest
        inverse = np.float32(-32) / largest
        halves[lane] = half_bits(np.float32(1) / inverse) if largest != _ZERO else 0
        for sub in range(SUBS):
            code = max(-32, min(31, nearest(inverse * size[sub, lane])))
            scales[sub, lane] = code if largest != _ZERO else -32


@njit(error_model="numpy", nogil=True, cache=True)
def _fit_scales(sizes, sums, scales, halves):
    """The same, chosen by least squares; sums [SUBS, 1, LANES] are the weights of the sub-blocks."""
    size = np.empty((SUBS, LANES), np.float32)
    weights = np.empty((SUBS, LANES), np.float32)
    fitted = np.empty((SUBS, LANES), np.float32)
    super_scale = np.empty(LANES, np.float32)
    to_super_blocks(sizes, 0, np.float32(1), size)
    to_super_blocks(sums, 0, np.float32(1), weights)
    search_symmetric(size, weights, SCALE_LIMIT, super_scale, fitted)
    for lane in range(LANES):
        halves[lane] = half_bits(super_scale[lane])
        for sub in range(SUBS):
            scales[sub, lane] = np.int32(fitted[sub, lane])


@njit(error_model="numpy", nogil=True, cache=True)
def _pack(scales, half, codes, out):
    """Third bits of eight codes 32 apart in a byte, lower bits of four, scales of 6 bits in 12 bytes, the float16."""
    for index in range(32):
        bits = 0
        for step in range(8):
            bits |= (codes[32 * step + index] >> 2) << step
        out[index] = bits
    for half_block in range(2):
        for index in range(32):
            bits = 0
            for step in range(4):
                bits |= (codes[128 * half_block + 32 * step + index] & 3) << (2 * step)
            out[CODES + 32 * half_block + index] = bits
    for sub in range(8):
        out[SCALES + sub] = ((scales[sub] + 32) & 15) | ((scales[sub + 8] + 32) & 15) << 4
    for sub in range(4):
        bits = 0
        for step in range(4):
            bits |= ((scales[4 * step + sub] + 32) >> 4) << (2 * step)
        out[SCALES + 8 + sub] = bits
    out[HALF] = half & 0xFF
    out[HALF + 1] = half >> 8

"""Q4_K and Q5_K: super-blocks of 8 sub-blocks of 32 weights, each with a scale and a minimum in 6 bits."""

from __future__ import annotations

import numpy as np
from numba import njit

from quantgui.formats.gguf.kernels.vectorized.lanes import LANES, SUPER, load, load_importance, mean_squares
from quantgui.formats.gguf.kernels.vectorized.scale_and_minimum import search_32, search_32_weighted
from quantgui.formats.gguf.kernels.vectorized.with_minimum import (
    choose_levels,
    fit_scales,
    round_scales,
    weigh_by_importance,
    weigh_by_size,
)

SUBS, SIZE = 8, 32
SCALE_LIMIT = np.int32(63)
SCALES, CODES = 4, 16
"""Where a block's scales and its codes begin, in bytes; Q5_K has its fifth bits before the codes."""
WEIGHTED = (np.float32(-0.9), np.float32(0.05), 37)
"""(first, step, number) of the scales that are tried: with an importance matrix, and without."""
PLAIN_4 = (np.float32(-1.0), np.float32(0.1), 21)
PLAIN_5 = (np.float32(-0.5), np.float32(0.1), 16)


@njit(error_model="numpy", nogil=True, cache=True)
def quantize(values, highest, out):
    """Blocks uint8 [n, 144 or 176] of flat float32 values; `highest` is 15 or 31."""
    x = np.empty((SUBS, SIZE, LANES), np.float32)
    w = np.empty((SIZE, LANES), np.float32)
    rows = np.empty((SUBS, 5, LANES), np.float32)
    scales = np.empty((2, SUBS, LANES), np.int32)
    halves = np.empty((2, LANES), np.int32)
    codes = np.empty((LANES, SUPER), np.uint8)
    candidates = PLAIN_4 if highest == 15 else PLAIN_5
    for block in range(0, len(out), LANES):
        count = min(LANES, len(out) - block)
        load(values, block, count, x)
        for group in range(SUBS):
            weigh_by_size(x[group], w)
            search_32(x[group], w, highest, candidates, rows[group])
        round_scales(rows, SCALE_LIMIT, scales, halves)
        choose_levels(x, rows, highest, scales, halves, codes[:count])
        for index in range(count):
            _pack(scales[:, :, index], halves[:, index], codes[index], highest, out[block + index])


@njit(error_model="numpy", nogil=True, cache=True)
def quantize_weighted(values, importance, highest, out):
    """The same with an importance [columns] of the squared errors."""
    x = np.empty((SUBS, SIZE, LANES), np.float32)
    w = np.empty((SUBS, SIZE, LANES), np.float32)
    rows = np.empty((SUBS, 5, LANES), np.float32)
    sums = np.empty((SUBS, 1, LANES), np.float32)
    means = np.empty(LANES, np.float32)
    scales = np.empty((2, SUBS, LANES), np.int32)
    halves = np.empty((2, LANES), np.int32)
    codes = np.empty((LANES, SUPER), np.uint8)
    for block in range(0, len(out), LANES):
        count = min(LANES, len(out) - block)
        load(values, block, count, x)
        load_importance(importance, block, w)
        mean_squares(values, block, count, np.float32(2), means)
        for group in range(SUBS):
            weigh_by_importance(x[group], means, group, SUBS, w[group], sums[group, 0])
            search_32_weighted(x[group], w[group], highest, WEIGHTED, rows[group])
        fit_scales(rows, sums, SCALE_LIMIT, scales, halves)
        choose_levels(x, rows, highest, scales, halves, codes[:count])
        for index in range(count):
            _pack(scales[:, :, index], halves[:, index], codes[index], highest, out[block + index])


@njit(error_model="numpy", nogil=True, cache=True)
def _pack(scales, halves, codes, highest, out):
    """Two float16, 8 scales and 8 minimums of 6 bits in 12 bytes, fifth bits, pairs of codes 32 apart in a byte."""
    for kind in range(2):
        out[2 * kind] = halves[kind] & 0xFF
        out[2 * kind + 1] = halves[kind] >> 8
    for sub in range(4):
        scale, low, later_scale, later_low = scales[0, sub], scales[1, sub], scales[0, sub + 4], scales[1, sub + 4]
        out[SCALES + sub] = scale | (later_scale >> 4) << 6
        out[SCALES + sub + 4] = low | (later_low >> 4) << 6
        out[SCALES + sub + 8] = (later_scale & 15) | (later_low & 15) << 4
    start = CODES
    if highest == 31:
        for index in range(32):
            bits = 0
            for sub in range(8):
                bits |= (codes[32 * sub + index] >> 4) << sub
            out[CODES + index] = bits
        start += 32
    for pair in range(4):
        for index in range(32):
            first, second = codes[64 * pair + index], codes[64 * pair + 32 + index]
            out[start + 32 * pair + index] = (first & 15) | (second & 15) << 4

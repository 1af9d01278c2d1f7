"""Q2_K: super-blocks of 16 sub-blocks of 16 weights, each with a scale and a minimum in 4 bits."""

from __future__ import annotations

import numpy as np
from numba import njit

from quantgui.formats.gguf.kernels.vectorized.lanes import LANES, SUPER, load, load_importance, mean_squares
from quantgui.formats.gguf.kernels.vectorized.scale_and_minimum import search_16_absolute, search_16_weighted
from quantgui.formats.gguf.kernels.vectorized.with_minimum import (
    choose_levels,
    fit_scales,
    round_scales,
    weigh_by_importance,
)

SUBS, SIZE = 16, 16
HIGHEST, SCALE_LIMIT = np.int32(3), np.int32(15)
CODES, HALVES = 16, 80
"""Where a block's codes and its two float16 begin, in bytes; the scales come first."""
WEIGHTED = (np.float32(-0.9), np.float32(0.05), 37)
"""(first, step, number) of the scales that are tried: with an importance matrix, and without."""
PLAIN = (np.float32(-0.5), np.float32(0.1), 16)


@njit(error_model="numpy", nogil=True, cache=True)
def quantize(values, out):
    """Blocks uint8 [n, 84] of flat float32 values."""
    x = np.empty((SUBS, SIZE, LANES), np.float32)
    rows = np.empty((SUBS, 5, LANES), np.float32)
    scales = np.empty((2, SUBS, LANES), np.int32)
    halves = np.empty((2, LANES), np.int32)
    codes = np.empty((LANES, SUPER), np.uint8)
    for block in range(0, len(out), LANES):
        count = min(LANES, len(out) - block)
        load(values, block, count, x)
        for group in range(SUBS):
            search_16_absolute(x[group], np.abs(x[group]), HIGHEST, PLAIN, rows[group])
        round_scales(rows, SCALE_LIMIT, scales, halves)
        choose_levels(x, rows, HIGHEST, scales, halves, codes[:count])
        for index in range(count):
            _pack(scales[:, :, index], halves[:, index], codes[index], out[block + index])


@njit(error_model="numpy", nogil=True, cache=True)
def quantize_weighted(values, importance, out):
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
        mean_squares(values, block, count, np.float32(1), means)
        for group in range(SUBS):
            weigh_by_importance(x[group], means, group, SUBS, w[group], sums[group, 0])
            search_16_weighted(x[group], w[group], HIGHEST, WEIGHTED, rows[group])
        fit_scales(rows, sums, SCALE_LIMIT, scales, halves)
        _as_stored(scales)
        choose_levels(x, rows, HIGHEST, scales, halves, codes[:count])
        for index in range(count):
            _pack(scales[:, :, index], halves[:, index], codes[index], out[block + index])


@njit(error_model="numpy", nogil=True, cache=True)
def _as_stored(scales):
    """A negative scale, which strongly uneven importances can give, spills over into the minimum's bits in ggml."""
    for sub in range(SUBS):
        for lane in range(LANES):
            stored = (scales[0, sub, lane] | scales[1, sub, lane] << 4) & 0xFF
            scales[0, sub, lane] = stored & 15
            scales[1, sub, lane] = stored >> 4


@njit(error_model="numpy", nogil=True, cache=True)
def _pack(scales, halves, codes, out):
    """A byte per sub-block, then four codes 32 apart in a byte, then two float16."""
    for sub in range(SUBS):
        out[sub] = scales[0, sub] | scales[1, sub] << 4
    for half in range(2):
        for index in range(32):
            start = 128 * half + index
            low, high = codes[start] | codes[start + 32] << 2, codes[start + 64] | codes[start + 96] << 2
            out[CODES + 32 * half + index] = low | high << 4
    for kind in range(2):
        out[HALVES + 2 * kind] = halves[kind] & 0xFF
        out[HALVES + 2 * kind + 1] = halves[kind] >> 8

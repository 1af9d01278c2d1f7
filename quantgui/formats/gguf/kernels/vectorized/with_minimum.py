"""What Q2_K, Q4_K and Q5_K share: each sub-block has a scale and a minimum, both multiples of the super-block's.

A batch keeps `rows` [subs, 5, LANES], what the search found; `scales` int32 [2, subs, LANES] and `halves` int32
[2, LANES], the codes of scales and minimums and the bits of the two float16 they multiply, a lane being a super-block.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from quantgui.formats.gguf.kernels.vectorized.bits import half_bits, half_value, level, level_in_range, nearest
from quantgui.formats.gguf.kernels.vectorized.lanes import LANES, to_super_blocks
from quantgui.formats.gguf.kernels.vectorized.super_scales import fit_super_scales

INVERSE, LEVEL_LOW, IN_RANGE = 2, 3, 4
_ZERO = np.float32(0)


@njit(error_model="numpy", nogil=True, cache=True)
def weigh_by_size(x, w):
    """w [size, LANES] = root of the sub-block's mean square + |x|."""
    total = np.zeros(LANES, np.float32)
    for index in range(len(x)):
        for lane in range(LANES):
            total[lane] += x[index, lane] * x[index, lane]
    for lane in range(LANES):
        total[lane] = np.sqrt(total[lane] / np.float32(len(x)))
    for index in range(len(x)):
        for lane in range(LANES):
            w[index, lane] = total[lane] + abs(x[index, lane])


@njit(error_model="numpy", nogil=True, cache=True)
def weigh_by_importance(x, means, group, subs, w, sums):
    """Turns the importances in w [size, LANES] into weights of errors; sums [LANES] gets their sum."""
    mean = np.empty(LANES, np.float32)
    for lane in range(LANES):
        mean[lane] = means[(group * LANES + lane) // subs]
        sums[lane] = _ZERO
    for index in range(len(x)):
        for lane in range(LANES):
            weight = w[index, lane] * np.sqrt(mean[lane] + x[index, lane] * x[index, lane])
            w[index, lane] = weight
            sums[lane] += weight


@njit(error_model="numpy", nogil=True, cache=True)
def round_scales(rows, limit, scales, halves):
    """Codes of scales and minimums in units of the super-block's largest / limit."""
    size = np.empty((len(rows), LANES), np.float32)
    for kind in range(2):
        to_super_blocks(rows, kind, np.float32(1 - 2 * kind), size)
        for lane in range(LANES):
            largest = _ZERO
            for sub in range(len(rows)):
                largest = size[sub, lane] if size[sub, lane] > largest else largest
            inverse = np.float32(limit) / largest if largest > _ZERO else _ZERO
            for sub in range(len(rows)):
                scales[kind, sub, lane] = min(nearest(inverse * size[sub, lane]) & 0xFF, limit)
            halves[kind, lane] = half_bits(largest / np.float32(limit))


@njit(error_model="numpy", nogil=True, cache=True)
def fit_scales(rows, sums, limit, scales, halves):
    """The same, chosen by least squares; sums [subs, 1, LANES] are the weights of the sub-blocks."""
    weights = np.empty((len(rows), LANES), np.float32)
    size = np.empty((len(rows), LANES), np.float32)
    fitted = np.empty((len(rows), LANES), np.float32)
    super_scale = np.empty(LANES, np.float32)
    to_super_blocks(sums, 0, np.float32(1), weights)
    for kind in range(2):
        to_super_blocks(rows, kind, np.float32(1 - 2 * kind), size)
        fit_super_scales(size, weights, limit, fitted, super_scale)
        for lane in range(LANES):
            halves[kind, lane] = half_bits(super_scale[lane])
            for sub in range(len(rows)):
                scales[kind, sub, lane] = np.int32(fitted[sub, lane]) & 0xFF


@njit(error_model="numpy", nogil=True, cache=True)
def choose_levels(x, rows, highest, scales, halves, codes):
    """The final codes uint8 [blocks, 256]: nearest to the scales as stored; the search's where a scale became 0."""
    subs, size, _ = x.shape
    step = np.empty(LANES, np.float32)
    low = np.empty(LANES, np.float32)
    chosen = np.empty((size, LANES), np.uint8)
    for group in range(subs):
        for lane in range(LANES):
            block, sub = (group * LANES + lane) // subs, lane % subs
            step[lane] = half_value(halves[0, block]) * np.float32(scales[0, sub, block])
            low[lane] = half_value(halves[1, block]) * np.float32(scales[1, sub, block])
        for index in range(size):
            for lane in range(LANES):
                chosen[index, lane] = np.uint8(
                    level((x[group, index, lane] + low[lane]) / step[lane], np.int32(0), highest)
                )
        for lane in range(LANES):
            if step[lane] == _ZERO:
                _searched_levels(x[group], rows[group], highest, lane, chosen)
            block, start = (group * LANES + lane) // subs, lane % subs * size
            if block < len(codes):
                for index in range(size):
                    codes[block, start + index] = chosen[index, lane]


@njit(error_model="numpy", nogil=True, cache=True)
def _searched_levels(x, found, highest, lane, chosen):
    inverse, low, in_range = found[INVERSE, lane], found[LEVEL_LOW, lane], found[IN_RANGE, lane]
    for index in range(len(x)):
        position = inverse * (x[index, lane] - low)
        code = (
            level_in_range(position, np.float32(highest)) if in_range > _ZERO else level(position, np.int32(0), highest)
        )
        chosen[index, lane] = np.uint8(_ZERO if inverse == _ZERO else code)

"""The search of a sub-block's scale and minimum: Q2_K, Q4_K, Q5_K (ggml's `make_qkx2_quants`, `make_qkx3_quants`)."""

from __future__ import annotations

import numpy as np
from numba import njit

from quantgui.formats.gguf.kernels.vectorized.bits import level, level_in_range
from quantgui.formats.gguf.kernels.vectorized.lanes import LANES

UNROLL = 4
"""Weights whose partial sums stay in registers: the compiler unrolls this loop and vectorizes the one around it."""
LOW, HIGH, SUM_W, SUM_X, INVERSE, SCALE, BEST, SUM_L, SUM_L2, SUM_XL, NEW_SCALE, NEW_LOW, ERROR = range(13)
STATES = 13
_ZERO, _ONE = np.float32(0), np.float32(1)


@njit(error_model="numpy", nogil=True, cache=True)
def search_32(x, w, highest, candidates, results):
    """`_search` for sub-blocks of 32 weights: `make_qkx2_quants`."""
    _search(x, w, 32, highest, candidates, False, False, results)


@njit(error_model="numpy", nogil=True, cache=True)
def search_32_weighted(x, w, highest, candidates, results):
    """`_search` for sub-blocks of 32 weights with an importance: `make_qkx3_quants`."""
    _search(x, w, 32, highest, candidates, False, True, results)


@njit(error_model="numpy", nogil=True, cache=True)
def search_16_weighted(x, w, highest, candidates, results):
    """`_search` for sub-blocks of 16 weights with an importance: `make_qkx3_quants`."""
    _search(x, w, 16, highest, candidates, False, True, results)


@njit(error_model="numpy", nogil=True, cache=True)
def search_16_absolute(x, w, highest, candidates, results):
    """`_search` for sub-blocks of 16 weights and absolute errors: `make_qkx2_quants`."""
    _search(x, w, 16, highest, candidates, True, False, results)


@njit(error_model="numpy", inline="always")
def _search(x, w, size, highest, candidates, absolute, in_range, results):
    """The best scale and minimum for each lane of x [size, LANES] with the weights w of their errors.

    `candidates` is (first, step, number): scale i has the inverse (first + step * i + highest) / range. `results`
    [5, LANES] gets the scale, the minimum (at most 0), and how ggml computed the levels that it keeps: the inverse
    scale (0: all levels are 0), the minimum, and whether they were limited before rounding. `absolute` measures |error|
    instead of its square; `in_range` limits the candidates' levels before rounding them. Inlined, so that the compiler
    knows the size and both choices.
    """
    first, step, steps = candidates
    scale, low, level_inverse, level_low, limited = results[0], results[1], results[2], results[3], results[4]
    s = np.empty((STATES, LANES), np.float32)
    levels = np.empty((size, LANES), np.float32)
    flat = np.empty(LANES, np.bool_)
    _begin(x, w, size, highest, absolute, s, flat)
    for lane in range(LANES):
        level_inverse[lane] = s[INVERSE, lane]
        level_low[lane] = s[LOW, lane]
        limited[lane] = _ZERO
    for index in range(steps):
        factor = first + step * np.float32(index) + np.float32(highest)
        _candidate(x, w, size, highest, factor, absolute, in_range, s, levels)
        for lane in range(LANES):
            determinant = s[SUM_W, lane] * s[SUM_L2, lane] - s[SUM_L, lane] * s[SUM_L, lane]
            better = (determinant > _ZERO) & (s[ERROR, lane] < s[BEST, lane])
            level_inverse[lane] = s[INVERSE, lane] if better else level_inverse[lane]
            level_low[lane] = s[LOW, lane] if better else level_low[lane]
            limited[lane] = np.float32(in_range) if better else limited[lane]
            s[BEST, lane] = s[ERROR, lane] if better else s[BEST, lane]
            s[SCALE, lane] = s[NEW_SCALE, lane] if better else s[SCALE, lane]
            s[LOW, lane] = s[NEW_LOW, lane] if better else s[LOW, lane]
    for lane in range(LANES):
        scale[lane] = _ZERO if flat[lane] else s[SCALE, lane]
        low[lane] = s[HIGH, lane] if flat[lane] else s[LOW, lane]
        level_inverse[lane] = _ZERO if flat[lane] else level_inverse[lane]


@njit(error_model="numpy", inline="always")
def _begin(x, w, size, highest, absolute, s, flat):
    """Range and weighted sums of each lane; the scale that spans the range, and its error."""
    for lane in range(LANES):
        s[LOW, lane] = x[0, lane]
        s[HIGH, lane] = x[0, lane]
        s[SUM_W, lane] = w[0, lane]
        s[SUM_X, lane] = w[0, lane] * x[0, lane]
        s[BEST, lane] = _ZERO
    for index in range(1, size):
        for lane in range(LANES):
            value, weight = x[index, lane], w[index, lane]
            s[LOW, lane] = value if value < s[LOW, lane] else s[LOW, lane]
            s[HIGH, lane] = value if value > s[HIGH, lane] else s[HIGH, lane]
            s[SUM_W, lane] += weight
            s[SUM_X, lane] += weight * value
    for lane in range(LANES):
        s[LOW, lane] = _ZERO if s[LOW, lane] > _ZERO else s[LOW, lane]
        flat[lane] = s[HIGH, lane] == s[LOW, lane]
        s[INVERSE, lane] = np.float32(highest) / (s[HIGH, lane] - s[LOW, lane])
        s[SCALE, lane] = _ONE / s[INVERSE, lane]
    for index in range(size):
        for lane in range(LANES):
            value = x[index, lane]
            code = level(s[INVERSE, lane] * (value - s[LOW, lane]), np.int32(0), highest)
            difference = s[SCALE, lane] * code + s[LOW, lane] - value
            difference = abs(difference) if absolute else difference * difference
            s[BEST, lane] += w[index, lane] * difference


@njit(error_model="numpy", inline="always")
def _candidate(x, w, size, highest, factor, absolute, in_range, s, levels):
    """Levels of one candidate, the scale and minimum that fit them best (least squares), and their error."""
    for lane in range(LANES):
        s[INVERSE, lane] = factor / (s[HIGH, lane] - s[LOW, lane])
        s[SUM_L, lane] = _ZERO
        s[SUM_L2, lane] = _ZERO
        s[SUM_XL, lane] = _ZERO
        s[ERROR, lane] = _ZERO
    for start in range(0, size, UNROLL):
        for lane in range(LANES):
            sum_l, sum_l2, sum_xl = s[SUM_L, lane], s[SUM_L2, lane], s[SUM_XL, lane]
            inverse, low = s[INVERSE, lane], s[LOW, lane]
            for index in range(UNROLL):
                value = x[start + index, lane]
                position = inverse * (value - low)
                if in_range:
                    code = level_in_range(position, np.float32(highest))
                else:
                    code = level(position, np.int32(0), highest)
                levels[start + index, lane] = code
                weighted = w[start + index, lane] * code
                sum_l += weighted
                sum_l2 += weighted * code
                sum_xl += weighted * value
            s[SUM_L, lane], s[SUM_L2, lane], s[SUM_XL, lane] = sum_l, sum_l2, sum_xl
    _fit(s)
    for start in range(0, size, UNROLL):
        for lane in range(LANES):
            error, scale, low = s[ERROR, lane], s[NEW_SCALE, lane], s[NEW_LOW, lane]
            for index in range(UNROLL):
                difference = scale * levels[start + index, lane] + low - x[start + index, lane]
                difference = abs(difference) if absolute else difference * difference
                error += w[start + index, lane] * difference
            s[ERROR, lane] = error


@njit(error_model="numpy", inline="always")
def _fit(s):
    """Weighted least squares for value = scale * level + low, with low held at 0 where it would be positive."""
    for lane in range(LANES):
        sum_w, sum_x = s[SUM_W, lane], s[SUM_X, lane]
        sum_l, sum_l2, sum_xl = s[SUM_L, lane], s[SUM_L2, lane], s[SUM_XL, lane]
        determinant = sum_w * sum_l2 - sum_l * sum_l
        scale = (sum_w * sum_xl - sum_x * sum_l) / determinant
        low = (sum_l2 * sum_x - sum_l * sum_xl) / determinant
        positive = low > _ZERO
        s[NEW_SCALE, lane] = sum_xl / sum_l2 if positive else scale
        s[NEW_LOW, lane] = _ZERO if positive else low

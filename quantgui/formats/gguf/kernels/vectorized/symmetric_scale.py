"""The search of a sub-block's scale around zero: Q3_K and Q6_K (ggml's `make_qx_quants` and `make_q3_quants`)."""

from __future__ import annotations

import numpy as np
from numba import njit

from quantgui.formats.gguf.kernels.vectorized.bits import level
from quantgui.formats.gguf.kernels.vectorized.lanes import LANES

SMALLEST = np.float32(1e-15)
"""ggml's GROUP_MAX_EPS: groups below it count as zero."""
SIZE = 16
UNROLL = 4
ROUNDS = 5
LARGEST, SIZE_OF_LARGEST, INVERSE, SCALE, BEST, SUM_LX, SUM_L2 = range(7)
STATES = 7
_ZERO, _ONE = np.float32(0), np.float32(1)


@njit(error_model="numpy", nogil=True, cache=True)
def search_symmetric(x, w, limit, scale, codes):
    """The best of 19 scales for each lane of x [16, LANES] with the weights w of their squared errors.

    Codes float32 [16, LANES] lie in -limit … limit - 1. Zero lanes get a scale of 0 and codes of -limit.
    """
    inverse = np.empty(LANES, np.float32)
    s = np.empty((STATES, LANES), np.float32)
    _find_largest(x, s)
    for trial in range(19):
        offset = np.float32(0 if trial == 0 else trial - 10 if trial < 10 else trial - 9)
        factor = np.float32(limit) + np.float32(0.1) * offset
        for lane in range(LANES):
            s[INVERSE, lane] = -factor / s[LARGEST, lane]
            s[SUM_LX, lane] = _ZERO
            s[SUM_L2, lane] = _ZERO
        _add_up(x, w, np.int32(-limit), np.int32(limit - 1), s)
        for lane in range(LANES):
            sum_lx, sum_l2 = s[SUM_LX, lane], s[SUM_L2, lane]
            fitted = sum_lx / sum_l2 if sum_l2 != _ZERO else _ZERO
            better = (trial == 0) | ((sum_l2 > _ZERO) & (sum_lx * sum_lx > s[BEST, lane] * sum_l2))
            s[SCALE, lane] = fitted if better else s[SCALE, lane]
            s[BEST, lane] = fitted * sum_lx if better else s[BEST, lane]
            inverse[lane] = s[INVERSE, lane] if better else inverse[lane]
    for lane in range(LANES):
        scale[lane] = _ZERO if s[SIZE_OF_LARGEST, lane] < SMALLEST else s[SCALE, lane]
    for index in range(SIZE):
        for lane in range(LANES):
            code = level(inverse[lane] * x[index, lane], np.int32(-limit), np.int32(limit - 1))
            codes[index, lane] = np.float32(-limit) if s[SIZE_OF_LARGEST, lane] < SMALLEST else code


@njit(error_model="numpy", inline="always")
def _find_largest(x, s):
    """The first weight with the largest absolute value of each lane."""
    for lane in range(LANES):
        s[LARGEST, lane] = _ZERO
        s[SIZE_OF_LARGEST, lane] = _ZERO
    for index in range(SIZE):
        for lane in range(LANES):
            size = abs(x[index, lane])
            larger = size > s[SIZE_OF_LARGEST, lane]
            s[LARGEST, lane] = x[index, lane] if larger else s[LARGEST, lane]
            s[SIZE_OF_LARGEST, lane] = size if larger else s[SIZE_OF_LARGEST, lane]


@njit(error_model="numpy", inline="always")
def _add_up(x, w, low, high, s):
    """Sums of w * x * code and w * code * code at the present inverse scale."""
    for start in range(0, SIZE, UNROLL):
        for lane in range(LANES):
            sum_lx, sum_l2, inverse = s[SUM_LX, lane], s[SUM_L2, lane], s[INVERSE, lane]
            for index in range(UNROLL):
                value, weight = x[start + index, lane], w[start + index, lane]
                code = level(inverse * value, low, high)
                sum_lx += weight * value * code
                sum_l2 += weight * code * code
            s[SUM_LX, lane], s[SUM_L2, lane] = sum_lx, sum_l2


@njit(error_model="numpy", nogil=True, cache=True)
def search_by_turns(x, limit, scale, codes):
    """Scale and codes float32 [16, LANES] in -limit … limit - 1, each code moved in up to five rounds where that fits.

    Errors are weighted by x * x. Zero lanes get a scale of 0 and codes of -limit.
    """
    s = np.empty((STATES, LANES), np.float32)
    _find_largest(x, s)
    for lane in range(LANES):
        s[INVERSE, lane] = -np.float32(limit) / s[LARGEST, lane]
        s[SUM_LX, lane] = _ZERO
        s[SUM_L2, lane] = _ZERO
    for index in range(SIZE):
        for lane in range(LANES):
            value = x[index, lane]
            code = level(s[INVERSE, lane] * value, np.int32(-limit), np.int32(limit - 1))
            codes[index, lane] = code
            s[SUM_LX, lane] += value * value * value * code
            s[SUM_L2, lane] += value * value * code * code
    for _ in range(ROUNDS):
        if not _take_turns(x, limit, codes, s):
            break
    for lane in range(LANES):
        zero = s[SIZE_OF_LARGEST, lane] < SMALLEST
        sum_l2 = s[SUM_L2, lane]
        scale[lane] = s[SUM_LX, lane] / sum_l2 if (sum_l2 > _ZERO) & (not zero) else _ZERO
        for index in range(SIZE):
            codes[index, lane] = np.float32(-limit) if zero else codes[index, lane]


@njit(error_model="numpy", inline="always")
def _take_turns(x, limit, codes, s):
    """One round over the codes. Whether any moved: a lane without a move would not move in the next round either."""
    moved = 0
    for index in range(SIZE):
        for lane in range(LANES):
            value, code = x[index, lane], codes[index, lane]
            weight = value * value
            lx = s[SUM_LX, lane] - weight * value * code
            l2 = s[SUM_L2, lane] - weight * code * code
            new = level(value * l2 / lx, np.int32(-limit), np.int32(limit - 1))
            new_lx = lx + weight * value * new
            new_l2 = l2 + weight * new * new
            fits = new_lx * new_lx * s[SUM_L2, lane] > s[SUM_LX, lane] * s[SUM_LX, lane] * new_l2
            accept = (lx > _ZERO) & (new != code) & (new_l2 > _ZERO) & fits
            codes[index, lane] = new if accept else code
            s[SUM_LX, lane] = new_lx if accept else s[SUM_LX, lane]
            s[SUM_L2, lane] = new_l2 if accept else s[SUM_L2, lane]
            moved += accept
    return moved > 0

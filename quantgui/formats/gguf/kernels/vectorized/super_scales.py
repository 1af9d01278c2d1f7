"""The scales of a super-block in few bits, weighted by the importance (ggml's `make_qp_quants`)."""

from __future__ import annotations

import numpy as np
from numba import njit

from quantgui.formats.gguf.kernels.vectorized.bits import level
from quantgui.formats.gguf.kernels.vectorized.lanes import LANES

SMALLEST = np.float32(1e-15)
"""ggml's GROUP_MAX_EPS: groups below it count as zero."""
_ZERO, _ONE, _UNLIMITED = np.float32(0), np.float32(1), np.int32(-0x400000)
ROUNDS = 5


@njit(error_model="numpy", nogil=True, cache=True)
def fit_super_scales(x, w, highest, codes, scale):
    """Codes float32 [n, LANES] in 0 … `highest` and one scale per lane for x >= 0 [n, LANES] with weights w."""
    largest = np.zeros(LANES, np.float32)
    for index in range(len(x)):
        for lane in range(LANES):
            largest[lane] = x[index, lane] if x[index, lane] > largest[lane] else largest[lane]
    inverse = _best_inverse(x, w, highest, largest)
    sum_lx, sum_l2 = np.zeros(LANES, np.float32), np.zeros(LANES, np.float32)
    for index in range(len(x)):
        for lane in range(LANES):
            code = level(inverse[lane] * x[index, lane], _UNLIMITED, highest)
            codes[index, lane] = code
            sum_lx[lane] += w[index, lane] * x[index, lane] * code
            sum_l2[lane] += w[index, lane] * code * code
    for _ in range(ROUNDS):
        if not _improve(x, w, highest, codes, sum_lx, sum_l2):
            break
    for lane in range(LANES):
        zero = largest[lane] < SMALLEST
        scale[lane] = sum_lx[lane] / sum_l2[lane] if (sum_l2[lane] > _ZERO) & (not zero) else _ZERO
        for index in range(len(x)):
            codes[index, lane] = _ZERO if zero else codes[index, lane]


@njit(error_model="numpy", nogil=True, cache=True)
def _best_inverse(x, w, highest, largest):
    """Of nine inverse scales around highest / largest, the one with the smallest weighted squared error."""
    inverse = np.empty(LANES, np.float32)
    best = np.empty(LANES, np.float32)
    error = np.empty(LANES, np.float32)
    for trial in range(9):
        offset = (0, -4, -3, -2, -1, 1, 2, 3, 4)[trial]
        factor = np.float32(0.1) * np.float32(offset) + np.float32(highest)
        for lane in range(LANES):
            error[lane] = _ZERO
        for index in range(len(x)):
            for lane in range(LANES):
                tried = factor / largest[lane]
                code = level(tried * x[index, lane], _UNLIMITED, highest)
                difference = x[index, lane] - _ONE / tried * code
                error[lane] += w[index, lane] * difference * difference
        for lane in range(LANES):
            better = (trial == 0) | (error[lane] < best[lane])
            best[lane] = error[lane] if better else best[lane]
            inverse[lane] = factor / largest[lane] if better else inverse[lane]
    return inverse


@njit(error_model="numpy", nogil=True, cache=True)
def _improve(x, w, highest, codes, sum_lx, sum_l2):
    """One round over the codes, each moved where that fits better. Whether any moved."""
    moved = 0
    for index in range(len(x)):
        for lane in range(LANES):
            value, weight, code = x[index, lane], w[index, lane], codes[index, lane]
            lx = sum_lx[lane] - weight * value * code
            l2 = sum_l2[lane] - weight * code * code
            new = level(value * l2 / lx, _UNLIMITED, highest)
            new_lx = lx + weight * value * new
            new_l2 = l2 + weight * new * new
            fits = new_lx * new_lx * sum_l2[lane] > sum_lx[lane] * sum_lx[lane] * new_l2
            accept = (lx > _ZERO) & (l2 > _ZERO) & (new != code) & fits
            codes[index, lane] = new if accept else code
            sum_lx[lane] = new_lx if accept else sum_lx[lane]
            sum_l2[lane] = new_l2 if accept else sum_l2[lane]
            moved += accept
    return moved > 0

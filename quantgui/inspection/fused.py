"""What TensorStatistics counts of a block of weights and their dequantized values, in two passes over the cache.

Compiled by numba. The histograms and the largest error are torch's to the bit; sums are added in another order.
"""

from __future__ import annotations

import numpy as np
from numba import njit

CHUNK = 4096
"""Weights whose float32 sums are added up before they are added to the doubles."""
STRIP = 256
"""Weights whose bins are computed before they are counted."""
TABLES = 4
"""Tables of counts that take turns: two equal bins in a row would wait for each other."""


@njit(fastmath={"reassoc", "contract", "nsz"}, error_model="numpy", nogil=True, cache=True)
def add_moments(before, after, sums):
    """Adds to float64 sums [7]: w, w^2, w^3, w^4, (w - w^)^2, w w^, w^^2.

    Returns the largest |w - w^| and how many weights became zero.
    """
    largest, zeroed = np.float32(0), 0
    for first in range(0, len(before), CHUNK):
        a = b = c = d = error = dot = square = np.float32(0)
        for index in range(first, min(first + CHUNK, len(before))):
            w, v = before[index], after[index]
            ww, e = w * w, w - v
            a += w
            b += ww
            c += w * ww
            d += ww * ww
            error += e * e
            dot += w * v
            square += v * v
            largest = max(largest, abs(e))
            zeroed += (v == np.float32(0)) & (w != np.float32(0))
        for index, value in enumerate((a, b, c, d, error, dot, square)):
            sums[index] += value
    return largest, zeroed


@njit(error_model="numpy", nogil=True, cache=True)
def count(before, after, scale, shift, error_scale, error_shift, counts):
    """Adds to int64 counts [3, bins]: the weights, the dequantized ones, and their differences.

    The bin of a value is value * scale + shift, rounded after each step and cut off at the ends.
    """
    bins = counts.shape[1]
    top = np.float32(bins - 1)
    zero = np.float32(0)
    tables = np.zeros((3, TABLES, bins), np.int32)
    places = np.empty((3, STRIP), np.int32)
    for first in range(0, len(before), STRIP):
        length = min(STRIP, len(before) - first)
        for index in range(length):
            w, v = before[first + index], after[first + index]
            places[0, index] = np.int32(min(max(w * scale + shift, zero), top))
            places[1, index] = np.int32(min(max(v * scale + shift, zero), top))
            places[2, index] = np.int32(min(max((w - v) * error_scale + error_shift, zero), top))
        for index in range(length):
            table = index & (TABLES - 1)
            tables[0, table, places[0, index]] += 1
            tables[1, table, places[1, index]] += 1
            tables[2, table, places[2, index]] += 1
    for kind in range(3):
        for table in range(TABLES):
            for index in range(bins):
                counts[kind, index] += tables[kind, table, index]

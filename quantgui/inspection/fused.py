"""What TensorStatistics counts of a block of weights and their dequantized values, in two passes over the cache.

Compiled by numba. The histograms and the largest error are torch's to the bit; sums are added in another order. The
loops are written so that they become vector instructions: no branch, no index that could be negative, and the largest
error is sought among the bits, because a largest float is not recognized as one.
"""

from __future__ import annotations

import numpy as np
from numba import njit

STRIP = 512
"""Weights whose errors or bins are computed before they are compared or counted."""
CHUNK = 8 * STRIP
"""Weights whose float32 sums are added up before they are added to the doubles."""
TABLES = 2
"""Tables of counts that take turns: two equal bins in a row would wait for each other."""
_SIZE_BITS = np.int32(0x7FFFFFFF)


@njit(fastmath={"reassoc", "contract", "nsz"}, error_model="numpy", nogil=True, cache=True)
def add_moments(before, after, sums):
    """Adds to float64 sums [7]: w, w^2, w^3, w^4, (w - w^)^2, w w^, w^^2.

    Returns the largest |w - w^| and how many weights became zero.
    """
    zeroed, largest = 0, np.int32(0)
    errors = np.empty(STRIP, np.float32)
    bits = errors.view(np.int32)
    for start in range(0, len(before), CHUNK):
        a = b = c = d = error = dot = square = np.float32(0)
        for first in range(start, min(start + CHUNK, len(before)), STRIP):
            strip, other = before[first : first + STRIP], after[first : first + STRIP]
            length = strip.shape[0]
            for index in range(length):
                w, v = strip[index], other[index]
                ww, e = w * w, w - v
                errors[index] = e
                a += w
                b += ww
                c += w * ww
                d += ww * ww
                error += e * e
                dot += w * v
                square += v * v
                zeroed += (v == np.float32(0)) & (w != np.float32(0))
            for index in range(length):
                largest = max(largest, bits[index] & _SIZE_BITS)
        for index, value in enumerate((a, b, c, d, error, dot, square)):
            sums[index] += value
    bits[0] = largest
    return errors[0], zeroed


@njit(error_model="numpy", nogil=True, cache=True)
def count(before, after, scale, shift, error_scale, error_shift, counts):
    """Adds to int64 counts [3, bins]: the weights, the dequantized ones, and their differences.

    The bin of a value is value * scale + shift, rounded after each step and cut off at the ends.
    """
    bins = counts.shape[1]
    tables = np.zeros((3, TABLES * bins), np.int32)
    weights, dequantized, differences = tables[0], tables[1], tables[2]
    places = np.empty((3, STRIP), np.uint32)
    of_weights, of_dequantized, of_differences = places[0], places[1], places[2]
    for first in range(0, len(before), STRIP):
        strip, other = before[first : first + STRIP], after[first : first + STRIP]
        length = strip.shape[0]
        for index in range(length):
            w, v = strip[index], other[index]
            table = np.int32((index % TABLES) * bins)
            of_weights[index] = _bin(w * scale + shift, bins) + table
            of_dequantized[index] = _bin(v * scale + shift, bins) + table
            of_differences[index] = _bin((w - v) * error_scale + error_shift, bins) + table
        for index in range(length):
            weights[of_weights[index]] += 1
            dequantized[of_dequantized[index]] += 1
            differences[of_differences[index]] += 1
    for kind in range(3):
        for place in range(TABLES * bins):
            counts[kind, place % bins] += tables[kind, place]


@njit(error_model="numpy", inline="always")
def _bin(place, bins):
    """The bin of a place between the bins, as int32."""
    zero, top = np.float32(0), np.float32(bins - 1)
    inside = place if place > zero else zero
    return np.int32(inside if inside < top else top)

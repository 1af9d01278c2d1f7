"""Whole layers over several memories, as llama.cpp and accelerate deal them out."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate, pairwise


def split_layers(layers: Sequence[int], last: int, rooms: Sequence[int]) -> tuple[int, ...] | None:
    """How many consecutive layers each memory takes; None where they do not fit.

    `layers` are bytes, `last` those of the output layer, which lies behind the last layer; `rooms` the bytes that each
    memory has for them. In proportion to the rooms, as llama.cpp's default, else one memory after the other.
    """
    if any(room < 0 for room in rooms) or not rooms:
        return None
    if len(rooms) == 1:
        return (len(layers),) if sum(layers) + last <= rooms[0] else None
    ends = [0, *accumulate(layers)]
    return _in_proportion(ends, last, rooms) or _one_after_the_other(ends, last, rooms)


def _in_proportion(ends: Sequence[int], last: int, rooms: Sequence[int]) -> tuple[int, ...] | None:
    count, total = len(ends) - 1, sum(rooms)
    if not total:
        return None
    borders = [0, *(round(count * reached / total) for reached in accumulate(rooms))]
    for index, room in enumerate(rooms):
        taken = ends[borders[index + 1]] - ends[borders[index]]
        if taken + (last if index == len(rooms) - 1 else 0) > room:
            return None
    return tuple(after - before for before, after in pairwise(borders))


def _one_after_the_other(ends: Sequence[int], last: int, rooms: Sequence[int]) -> tuple[int, ...] | None:
    """Fills each memory; the first also for the output layer, so that a small one at the end need not hold it."""
    count, begin, taken = len(ends) - 1, 0, []
    for index, room in enumerate(rooms):
        left = room - (last if index == 0 else 0)
        if left < 0:
            return None
        end = min(count, bisect_right(ends, ends[begin] + left) - 1)
        taken.append(end - begin)
        begin = end
    return tuple(taken) if begin == count else None


def most_layers(layers: Sequence[int], rooms: Sequence[int]) -> tuple[int, ...]:
    """How many layers each memory takes, of the last ones, where not all fit: as many as do."""
    low, high = 0, len(layers)
    best: tuple[int, ...] = (0,) * len(rooms)
    while low < high:
        middle = (low + high + 1) // 2
        found = split_layers(layers[len(layers) - middle :], 0, rooms)
        if found is None:
            high = middle - 1
        else:
            low, best = middle, found
    return best

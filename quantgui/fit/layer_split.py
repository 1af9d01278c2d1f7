"""Whole layers over several memories, as llama.cpp and accelerate deal them out."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise


@dataclass(frozen=True, slots=True)
class LayerStack:
    """Layers one after the other, and what lies behind them (the output layer)."""

    ends: tuple[int, ...]  # bytes up to each layer, beginning with 0
    last: int

    @property
    def count(self) -> int:
        """How many layers."""
        return len(self.ends) - 1

    @property
    def total(self) -> int:
        """Bytes of everything."""
        return self.ends[-1] + self.last

    def held(self, counts: Sequence[int]) -> list[int]:
        """Bytes of the layers in each memory, where they take so many one after the other."""
        borders = [0, *accumulate(counts)]
        return [self.ends[after] - self.ends[before] for before, after in pairwise(borders)]

    def tail(self, count: int) -> LayerStack:
        """The last so many layers, without what lies behind them."""
        begin = self.count - count
        return LayerStack(tuple(end - self.ends[begin] for end in self.ends[begin:]), 0)


def stack_of(layers: Iterable[int], last: int) -> LayerStack:
    """Layers of so many bytes each."""
    return LayerStack((0, *accumulate(layers)), last)


def split_layers(stack: LayerStack, rooms: Sequence[int]) -> tuple[int, ...] | None:
    """How many consecutive layers each memory takes; None where they do not fit.

    `rooms` are the bytes that each memory has for them. In proportion to the rooms, as llama.cpp's default, else one
    memory after the other.
    """
    if not rooms or min(rooms) < 0 or stack.total > sum(rooms):
        return None
    if len(rooms) == 1:
        return (stack.count,)
    return _in_proportion(stack, rooms) or _one_after_the_other(stack, rooms)


def most_layers(stack: LayerStack, rooms: Sequence[int]) -> tuple[int, ...]:
    """How many layers each memory takes, of the last ones, where not all fit: as many as do."""
    low, high = 0, stack.count
    best: tuple[int, ...] = (0,) * len(rooms)
    while low < high:
        middle = (low + high + 1) // 2
        found = split_layers(stack.tail(middle), rooms)
        if found is None:
            high = middle - 1
        else:
            low, best = middle, found
    return best


def _in_proportion(stack: LayerStack, rooms: Sequence[int]) -> tuple[int, ...] | None:
    total = sum(rooms)
    if not total:
        return None
    borders = [0, *(round(stack.count * reached / total) for reached in accumulate(rooms))]
    counts = tuple(after - before for before, after in pairwise(borders))
    left = [room - held for room, held in zip(rooms, stack.held(counts), strict=True)]
    return counts if min(left) >= 0 and max(left) >= stack.last else None


def _one_after_the_other(stack: LayerStack, rooms: Sequence[int]) -> tuple[int, ...] | None:
    """Fills each memory; the first also for the output layer, so that a small one at the end need not hold it."""
    begin, taken = 0, []
    for index, room in enumerate(rooms):
        left = room - (stack.last if index == 0 else 0)
        if left < 0:
            return None
        end = min(stack.count, bisect_right(stack.ends, stack.ends[begin] + left) - 1)
        taken.append(end - begin)
        begin = end
    return tuple(taken) if begin == stack.count else None

"""Thinning out values for the screen. The largest of neighbours survives: a mean would hide the outliers."""

from __future__ import annotations

from collections.abc import Sequence

MAX_BINS = 512


def max_pool(values: Sequence[float], limit: int = MAX_BINS) -> list[float]:
    """At most `limit` values: the maximum of each run of neighbours."""
    size = -(-len(values) // limit) or 1
    return [max(values[start : start + size]) for start in range(0, len(values), size)]

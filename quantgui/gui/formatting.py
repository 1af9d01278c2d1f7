"""`quantgui.units` as the window uses it: memory in the unit that the Settings page chose, and words only it needs."""

from __future__ import annotations

from quantgui import units
from quantgui.types import GB, GIB
from quantgui.units import NBSP, bits_per_weight, count, decibels, digits, duration, file_size, parameters, shape

__all__ = [
    "NBSP",
    "about_tokens",
    "bandwidth",
    "bits_per_weight",
    "count",
    "decibels",
    "digits",
    "duration",
    "file_size",
    "memory",
    "memory_axis",
    "parameters",
    "shape",
    "tokens",
    "use_memory_unit",
]

_memory_unit = "GiB"


def use_memory_unit(unit: str) -> None:
    """Show memory in "GiB" (powers of two) or "GB" (powers of ten) from now on; files stay in GB."""
    global _memory_unit
    _memory_unit = unit


def memory(nbytes: int | None) -> str:
    """Bytes of memory in the unit the person chose, GiB at first: "11.8 GiB". A dash for None."""
    return units.memory(nbytes) if _memory_unit == "GiB" else units.file_size(nbytes)


def memory_axis(largest: float) -> tuple[float, str]:
    """Bytes per unit and the unit's name for an axis that ends at `largest` bytes."""
    scale, names = (1024, ("MiB", "GiB")) if _memory_unit == "GiB" else (1000, ("MB", "GB"))
    whole = GIB if _memory_unit == "GiB" else GB
    return (whole, names[1]) if largest >= whole / 2 else (whole / scale, names[0])


def bandwidth(value: float | None) -> str:
    """Bytes per second in powers of ten: "360 GB/s". A dash for None."""
    return "–" if value is None else f"{file_size(round(value))}/s"


def tokens(value: int) -> str:
    """A context length: "8k" for 8192, "1M" for 1048576, else the number itself."""
    if value >= 1 << 20 and value % (1 << 20) == 0:
        return f"{value >> 20}M"
    if value >= 1024 and value % 1024 == 0:
        return f"{value >> 10}k"
    return count(value)


def about_tokens(value: int) -> str:
    """Tokens that fit, rounded down: "23k" for 24,000, "1.2M"; numbers below 1024 as they are."""
    if value >= 1 << 20:
        return f"{(value * 10 >> 20) / 10:g}M"
    return f"{value >> 10}k" if value >= 1024 else count(value)

"""Numbers as people read them: three significant digits, a unit beside each. GB is 1e9 for files; memory is in GiB."""

from __future__ import annotations

import math

from quantgui.types import GB, GIB

_DECIMAL = ("B", "kB", "MB", "GB", "TB", "PB")
_BINARY = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")
_LARGE = ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k"))
NBSP = "\u00a0"
THIN = "\u202f"
_memory_unit = "GiB"


def use_memory_unit(unit: str) -> None:
    """Show memory in "GiB" (powers of two) or "GB" (powers of ten) from now on; files stay in GB."""
    global _memory_unit
    _memory_unit = unit


def digits(value: float, significant: int = 3) -> str:
    """`value` with so many significant digits and thousands separated: 3.42, 17.5, 1 234."""
    if not math.isfinite(value):
        return "–"
    if value == 0:
        return "0"
    decimals = max(0, significant - 1 - math.floor(math.log10(abs(value))))
    return f"{value:,.{min(decimals, 12)}f}".replace(",", THIN)


def file_size(nbytes: int | None) -> str:
    """Bytes of a file in powers of ten: "3.42 GB". A dash for None."""
    return _bytes(nbytes, 1000, _DECIMAL)


def memory(nbytes: int | None) -> str:
    """Bytes of memory in the unit the person chose, GiB at first: "11.8 GiB". A dash for None."""
    return _bytes(nbytes, *((1024, _BINARY) if _memory_unit == "GiB" else (1000, _DECIMAL)))


def memory_axis() -> tuple[float, str]:
    """Bytes per unit and the unit's name for the axis of a chart."""
    return (GIB, "GiB") if _memory_unit == "GiB" else (GB, "GB")


def count(value: int | None) -> str:
    """A whole number with its thousands separated: "12 345"."""
    return "–" if value is None else f"{value:,}".replace(",", THIN)


def parameters(value: int) -> str:
    """A number of parameters: "6.95 M", "1.71 B"."""
    for scale, letter in _LARGE:
        if value >= scale:
            return f"{digits(value / scale)}{NBSP}{letter}"
    return count(value)


def bits_per_weight(value: float | None) -> str:
    """Two decimals: "4.50 bits/weight"."""
    return "–" if value is None else f"{value:.2f}{NBSP}bits/weight"


def decibels(value: float | None) -> str:
    """One decimal: "24.1 dB"; "exact" where there is no error."""
    return "exact" if value is None else f"{value:.1f}{NBSP}dB"


def bandwidth(value: float | None) -> str:
    """Bytes per second in powers of ten: "360 GB/s"."""
    return "–" if value is None else f"{file_size(round(value))}/s"


def tokens(value: int) -> str:
    """A context length: "8k" for 8192, "1M" for 1048576, else the number itself."""
    if value >= 1 << 20 and value % (1 << 20) == 0:
        return f"{value >> 20}M"
    if value >= 1024 and value % 1024 == 0:
        return f"{value >> 10}k"
    return count(value)


def duration(seconds: float | None) -> str:
    """Time in the two largest units: "8 s", "3 min 5 s", "2 h 10 min". A dash for None."""
    if seconds is None or not math.isfinite(seconds):
        return "–"
    whole = round(seconds)
    if whole < 60:
        return f"{whole}{NBSP}s"
    if whole < 3600:
        return f"{whole // 60}{NBSP}min{NBSP}{whole % 60}{NBSP}s"
    return f"{whole // 3600}{NBSP}h{NBSP}{whole % 3600 // 60}{NBSP}min"


def shape(dimensions: tuple[int, ...]) -> str:
    """A shape with times signs: "4096 × 11008"; "scalar" for none."""
    return " × ".join(map(str, dimensions)) or "scalar"


def _bytes(nbytes: int | None, base: int, units: tuple[str, ...]) -> str:
    if nbytes is None:
        return "–"
    value, unit = float(nbytes), 0
    while abs(value) >= base and unit < len(units) - 1:
        value /= base
        unit += 1
    return f"{count(nbytes) if unit == 0 else digits(value)}{NBSP}{units[unit]}"

"""Numbers as people read them: three significant digits, a unit beside each. GB is 1e9 for files, GiB for memory.

Window, command line and report all print through these functions.
"""

from __future__ import annotations

import math

NBSP = "\u00a0"
THIN = "\u202f"
_DECIMAL = ("B", "kB", "MB", "GB", "TB", "PB")
_BINARY = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")
_LARGE = ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k"))


def digits(value: float, significant: int = 3) -> str:
    """`value` with so many significant digits and thousands separated: 3.42, 17.5, 1 234. A dash for NaN and Inf."""
    if not math.isfinite(value):
        return "–"
    if value == 0:
        return "0"
    rounded = float(f"{abs(value):.{significant - 1}e}")  # 999.7 has four digits before the point once rounded
    decimals = max(0, significant - 1 - math.floor(math.log10(rounded)))
    return f"{value:,.{min(decimals, 12)}f}".replace(",", THIN)


def scientific(value: float | None) -> str:
    """Three significant digits for numbers of any size: 0.0123, 1.23e-07. A dash for None, NaN and Inf."""
    if value is None or not math.isfinite(value):
        return "–"
    return f"{value:.3g}"


def file_size(nbytes: int | None) -> str:
    """Bytes of a file in powers of ten: "3.42 GB". A dash for None."""
    return _bytes(nbytes, 1000, _DECIMAL)


def memory(nbytes: int | None) -> str:
    """Bytes of memory in powers of two: "11.8 GiB". A dash for None."""
    return _bytes(nbytes, 1024, _BINARY)


def count(value: int | None) -> str:
    """A whole number with its thousands separated: "12 345". A dash for None."""
    return "–" if value is None else f"{value:,}".replace(",", THIN)


def parameters(value: int) -> str:
    """A number of parameters: "6.95 M", "1.71 B"."""
    for scale, letter in _LARGE:
        if value >= scale:
            return f"{digits(value / scale)}{NBSP}{letter}"
    return count(value)


def bits_per_weight(value: float | None) -> str:
    """Two decimals: "4.50 bits/weight". A dash for None."""
    return "–" if value is None else f"{value:.2f}{NBSP}bits/weight"


def decibels(value: float | None) -> str:
    """One decimal: "24.1 dB". A dash for None."""
    return "–" if value is None else f"{value:.1f}{NBSP}dB"


def percent(fraction: float | None) -> str:
    """A fraction as a percentage: "28 %", "0.31 %". A dash for None."""
    if fraction is None or not math.isfinite(fraction):
        return "–"
    value = 100 * fraction
    return f"{value:.0f}{NBSP}%" if value >= 10 or value == 0 else f"{digits(value, 2)}{NBSP}%"


def duration(seconds: float | None) -> str:
    """Time in the two largest units: "8 s", "3 min 5 s", "2 h 10 min". A dash for None."""
    if seconds is None or not math.isfinite(seconds):
        return "–"
    whole = round(seconds)
    if whole < 60:
        return f"{digits(seconds, 2)}{NBSP}s" if 0 < seconds < 9.5 else f"{whole}{NBSP}s"
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
    while abs(value) >= base - 0.5 and unit < len(units) - 1:  # 999.7 kB would be printed as 1 000 kB
        value /= base
        unit += 1
    return f"{count(nbytes) if unit == 0 else digits(value)}{NBSP}{units[unit]}"

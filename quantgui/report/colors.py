"""Cividis: even steps for the eye, the same for colour-blind eyes, readable in grey (Nuñez, Anderton, Renslow 2018)."""

from __future__ import annotations

_ANCHORS = (
    (0, 34, 78),
    (18, 53, 112),
    (59, 73, 108),
    (87, 93, 109),
    (112, 113, 115),
    (138, 134, 120),
    (165, 156, 116),
    (195, 179, 105),
    (225, 204, 85),
    (254, 232, 56),
)


def cividis(fraction: float) -> tuple[int, int, int]:
    """The colour at `fraction` of the map, 0 dark blue to 1 yellow; outside values are clamped."""
    position = min(1.0, max(0.0, fraction)) * (len(_ANCHORS) - 1)
    index = min(int(position), len(_ANCHORS) - 2)
    rest = position - index
    low, high = _ANCHORS[index], _ANCHORS[index + 1]
    return tuple(round(a + (b - a) * rest) for a, b in zip(low, high, strict=True))  # type: ignore[return-value]


def hex_color(color: tuple[int, int, int]) -> str:
    """`#rrggbb`."""
    return "#{:02x}{:02x}{:02x}".format(*color)


def text_on(color: tuple[int, int, int]) -> str:
    """Black or white, whichever has the higher contrast on `color` (WCAG 2 relative luminance)."""
    linear = [(c / 255 / 12.92) if c <= 10 else ((c / 255 + 0.055) / 1.055) ** 2.4 for c in color]
    luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    return "#000000" if luminance > 0.179 else "#ffffff"

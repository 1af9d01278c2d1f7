"""What makes a theme readable: contrast, and colours that are not the same."""

from __future__ import annotations

import pytest
from PySide6.QtGui import QColor

from quantgui.gui.theme import DARK, LIGHT, Theme, choose, style_sheet
from quantgui.types import MemoryKind, Verdict

THEMES = pytest.mark.parametrize("theme", [LIGHT, DARK], ids=lambda theme: theme.name)


def luminance(color: QColor) -> float:
    """Relative luminance as WCAG 2 defines it."""
    channels = (color.redF(), color.greenF(), color.blueF())
    parts = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]


def contrast(first: QColor, second: QColor) -> float:
    light, dark = sorted((luminance(first), luminance(second)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@THEMES
@pytest.mark.parametrize("text", ["text", "muted", "accent", *(v.value for v in Verdict)])
@pytest.mark.parametrize("ground", ["window", "surface"])
def test_words_reach_the_contrast_of_wcag_aa(theme: Theme, text: str, ground: str) -> None:
    assert contrast(theme.color(text), theme.color(ground)) >= 4.5


@THEMES
def test_the_primary_button_can_be_read(theme: Theme) -> None:
    assert contrast(theme.color("on_accent"), theme.color("accent")) >= 4.5


@THEMES
def test_meanings_have_colours_of_their_own(theme: Theme) -> None:
    colors = [theme.before, theme.after, theme.error, *(theme.memory(kind).name() for kind in MemoryKind)]
    assert len(set(colors)) == len(colors)


@THEMES
def test_the_style_sheet_has_every_value_filled_in(theme: Theme) -> None:
    assert "${" not in style_sheet(theme)
    assert theme.accent in style_sheet(theme)


def test_the_setting_decides_and_the_system_only_when_asked(qapp) -> None:
    assert choose("dark", qapp) is DARK
    assert choose("light", qapp) is LIGHT
    assert choose("system", qapp) in (LIGHT, DARK)

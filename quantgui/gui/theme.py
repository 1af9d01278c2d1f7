"""Explicit light and dark colours. Every colour in the window comes from here; none is told by the platform."""

from __future__ import annotations

from dataclasses import dataclass, fields
from string import Template

from PySide6.QtCore import Qt
from PySide6.QtGui import QColor, QFont, QFontDatabase, QPalette
from PySide6.QtWidgets import QApplication

from quantgui.resource_files import resource
from quantgui.types import MemoryKind, Verdict

FONT_FILES = ("Inter-Regular.otf", "Inter-Medium.otf", "Inter-SemiBold.otf")
TITLE, HEADING, BODY, SMALL = 20, 15, 13, 11
"""The four sizes of text, in device-independent pixels."""


@dataclass(frozen=True, slots=True)
class Theme:
    """Named colours. The data colours are those of Okabe and Ito, a set that colour-blind readers tell apart."""

    name: str
    window: str
    surface: str  # cards, tables, fields
    raised: str  # hover, headers, the rail
    border: str
    text: str
    muted: str
    accent: str  # primary action, selection, focus
    on_accent: str
    accent_soft: str  # background of what is selected
    before: str
    after: str
    error: str
    weights: str
    kv_cache: str
    compute: str
    overhead: str
    fits: str
    tight: str
    offload: str
    too_large: str
    grid: str

    @property
    def is_dark(self) -> bool:
        """Whether text is brighter than its background."""
        return self.name == "dark"

    def color(self, field: str) -> QColor:
        """A colour by its field name, as Qt wants it."""
        return QColor(getattr(self, field))

    def memory(self, kind: MemoryKind) -> QColor:
        """The fixed hue of one part of a model's memory."""
        return self.color(kind.value)

    def verdict(self, verdict: Verdict) -> QColor:
        """The colour that stands beside the verdict's word and icon."""
        return self.color(verdict.value)


LIGHT = Theme(
    name="light",
    window="#f5f6f8",
    surface="#ffffff",
    raised="#eceff3",
    border="#d5dae1",
    text="#1b2028",
    muted="#59636f",
    accent="#0f62a8",
    on_accent="#ffffff",
    accent_soft="#dceaf7",
    before="#0072b2",
    after="#d98200",
    error="#aa4499",
    weights="#56b4e9",
    kv_cache="#009e73",
    compute="#e6c700",
    overhead="#8f98a3",
    fits="#00785a",
    tight="#946200",
    offload="#b84a00",
    too_large="#b3261e",
    grid="#e3e7ec",
)

DARK = Theme(
    name="dark",
    window="#14171b",
    surface="#1c2026",
    raised="#262b33",
    border="#373e48",
    text="#e6e9ee",
    muted="#a2abb7",
    accent="#5aaeee",
    on_accent="#0b1620",
    accent_soft="#1f3a52",
    before="#4aa8e0",
    after="#f0a63c",
    error="#d583c6",
    weights="#56b4e9",
    kv_cache="#1fb88c",
    compute="#f0e442",
    overhead="#8c95a1",
    fits="#3ecf9f",
    tight="#e8b645",
    offload="#f58b45",
    too_large="#f2766d",
    grid="#2b313a",
)

_current = LIGHT


def current() -> Theme:
    """The theme in force. Widgets that paint ask at every paint; a change arrives as `QEvent.PaletteChange`."""
    return _current


def choose(setting: str, app: QApplication) -> Theme:
    """The theme of a setting: "light", "dark", or "system", which is light where the platform does not say."""
    dark = setting == "dark" or (setting == "system" and app.styleHints().colorScheme() is Qt.ColorScheme.Dark)
    return DARK if dark else LIGHT


def apply(app: QApplication, theme: Theme) -> None:
    """Dress the whole application."""
    global _current
    _current = theme
    app.setPalette(_palette(theme))
    app.setStyleSheet(style_sheet(theme))


def install_font(app: QApplication) -> None:
    """Use the bundled font with figures of equal width, so that numbers do not dance while a slider moves."""
    for file in FONT_FILES:
        QFontDatabase.addApplicationFont(str(resource("fonts", file)))
    font = QFont("Inter")
    font.setPixelSize(BODY)
    font.setFeature(QFont.Tag("tnum"), 1)
    app.setFont(font)


def font(size: int = BODY, weight: QFont.Weight = QFont.Weight.Normal) -> QFont:
    """The window's font for widgets that paint text themselves."""
    chosen = QFont(QApplication.font())
    chosen.setPixelSize(size)
    chosen.setWeight(weight)
    return chosen


def style_sheet(theme: Theme) -> str:
    """resources/style.qss with the theme's colours and the paths of its arrows and check mark."""
    values = {f.name: getattr(theme, f.name) for f in fields(theme)}
    values |= {"title": TITLE, "heading": HEADING, "body": BODY, "small": SMALL}
    values |= {f"arrow_{way}": resource("icons", f"arrow-{way}.svg").as_posix() for way in ("up", "down")}
    values["check_mark"] = resource("icons", f"check-{'dark' if theme.is_dark else 'light'}.svg").as_posix()
    return Template(resource("style.qss").read_text(encoding="utf-8")).substitute(values)


def _palette(theme: Theme) -> QPalette:
    palette = QPalette()
    role = QPalette.ColorRole
    for colour_role, field in (
        (role.Window, "window"),
        (role.WindowText, "text"),
        (role.Base, "surface"),
        (role.AlternateBase, "window"),
        (role.Text, "text"),
        (role.Button, "surface"),
        (role.ButtonText, "text"),
        (role.BrightText, "too_large"),
        (role.Highlight, "accent"),
        (role.HighlightedText, "on_accent"),
        (role.ToolTipBase, "surface"),
        (role.ToolTipText, "text"),
        (role.PlaceholderText, "muted"),
        (role.Link, "accent"),
        (role.Accent, "accent"),
        (role.Mid, "border"),
    ):
        palette.setColor(colour_role, theme.color(field))
    for colour_role in (role.WindowText, role.Text, role.ButtonText):
        faded = theme.color("muted")
        faded.setAlphaF(0.55)
        palette.setColor(QPalette.ColorGroup.Disabled, colour_role, faded)
    return palette

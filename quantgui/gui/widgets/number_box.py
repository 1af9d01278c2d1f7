"""Boxes for numbers with their unit, looking like the other fields."""

from __future__ import annotations

from typing import TypeVar

from PySide6.QtWidgets import QDoubleSpinBox, QSpinBox

Box = TypeVar("Box", QSpinBox, QDoubleSpinBox)

_LEFT_MARGIN = 7


def whole_number(name: str, low: int, high: int, value: int, *, unit: str = "", zero: str = "") -> QSpinBox:
    """A whole number; `zero` is the word shown in place of the lowest value."""
    made = QSpinBox()
    made.setRange(low, high)
    made.setValue(value)
    return _finish(made, name, unit, zero)


def decimal_number(
    name: str, low: float, high: float, value: float, *, unit: str = "", zero: str = "", decimals: int = 1
) -> QDoubleSpinBox:
    """A number with so many decimals; `zero` is the word shown in place of the lowest value."""
    made = QDoubleSpinBox()
    made.setDecimals(decimals)
    made.setRange(low, high)
    made.setValue(value)
    return _finish(made, name, unit, zero)


def _finish(box: Box, name: str, unit: str, zero: str) -> Box:
    box.setAccessibleName(name)
    box.setSuffix(f" {unit}" if unit else "")
    box.setSpecialValueText(zero)
    box.lineEdit().setTextMargins(_LEFT_MARGIN, 0, 0, 0)
    return box

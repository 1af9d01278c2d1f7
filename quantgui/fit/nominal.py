"""The rule of thumb: parameters times bits. What people expect before scales and unquantized parts are counted."""

from __future__ import annotations

import math

from quantgui.types import UserError


def nominal_bytes(parameters: float, bits: float) -> int:
    """`parameters` * `bits` / 8, rounded up. Raises UserError for negative or infinite values."""
    if not (0 <= parameters < math.inf and 0 < bits < math.inf):
        raise UserError(f"{parameters} parameters of {bits} bits are not possible.")
    return math.ceil(parameters * bits / 8)

from __future__ import annotations

import math

import pytest

from quantgui.fit.nominal import nominal_bytes
from quantgui.types import GB, UserError


@pytest.mark.parametrize(("bits", "gigabytes"), [(32, 280), (16, 140), (8, 70), (4, 35), (2, 17.5)])
def test_seventy_billion_parameters(bits: int, gigabytes: float) -> None:
    assert nominal_bytes(70e9, bits) == gigabytes * GB


@pytest.mark.parametrize(("parameters", "bits"), [(-1, 4), (1, 0), (math.nan, 4), (math.inf, 4), (1, math.nan)])
def test_nonsense_is_refused(parameters: float, bits: float) -> None:
    with pytest.raises(UserError):
        nominal_bytes(parameters, bits)

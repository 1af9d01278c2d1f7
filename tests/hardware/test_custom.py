from __future__ import annotations

import math

import pytest

from quantgui.hardware.custom import custom_target
from quantgui.types import GB, GIB, UserError


def test_what_was_typed_is_what_there_is() -> None:
    made = custom_target("My box", vram_gib=12, ram_gib=48, bandwidth_gb_s=360, count=2)
    assert made.device_bytes == 24 * GIB
    assert made.ram_bytes == 48 * GIB
    assert [gpu.bandwidth for gpu in made.accelerators] == [360 * GB] * 2


def test_without_a_gpu_the_bandwidth_is_the_rams() -> None:
    made = custom_target("", ram_gib=16, bandwidth_gb_s=50)
    assert (made.name, made.accelerators, made.ram_bandwidth) == ("Custom hardware", (), 50 * GB)


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"vram_gib": -1},
        {"ram_gib": math.nan},
        {"vram_gib": math.inf},
        {"vram_gib": 8, "bandwidth_gb_s": 0},
        {"vram_gib": 8, "bandwidth_gb_s": math.nan},
        {"vram_gib": 8, "count": 0},
        {"ram_gib": 1e12},
    ],
)
def test_impossible_values_are_refused(values: dict[str, float]) -> None:
    with pytest.raises(UserError):
        custom_target("x", **values)  # type: ignore[arg-type]

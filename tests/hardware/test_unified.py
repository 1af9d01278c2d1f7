from __future__ import annotations

import pytest

from quantgui.hardware.unified import app_limit_bytes, apple_working_set, gpu_limit_bytes
from quantgui.types import GIB


@pytest.mark.parametrize("size", [8, 16, 24, 32, 36, 48, 64, 128, 192, 512])
@pytest.mark.parametrize(
    ("vendor", "kind"), [("Apple", "unified SoC"), ("AMD", "integrated GPU"), ("NVIDIA", "unified SoC")]
)
def test_the_gpu_never_gets_more_than_there_is(vendor: str, kind: str, size: int) -> None:
    limit, note = gpu_limit_bytes(vendor, kind, size * GIB)
    assert size * GIB // 2 <= limit <= size * GIB
    assert note


def test_apples_stock_rule_lies_within_what_was_measured() -> None:
    """Seen: 10.67 and 11.84 GiB of 16, 17.76 of 24, 107.52 of 128."""
    for size, highest in ((16, 11.84), (24, 17.76), (128, 107.52)):
        assert apple_working_set(size * GIB) <= highest * GIB
    assert apple_working_set(16 * GIB) == pytest.approx(10.67 * GIB, rel=0.001)


def test_a_measured_range_gives_its_cautious_end_and_says_so() -> None:
    limit, note = gpu_limit_bytes("Apple", "unified SoC", 16 * GIB, (10.67, 11.84))
    assert limit == int(10.67 * GIB)
    assert "11.84" in note


def test_only_phones_limit_an_app() -> None:
    assert app_limit_bytes("CPU + system RAM", 32 * GIB) == (None, "")
    assert app_limit_bytes("phone SoC", 12 * GIB)[0] == 6 * GIB

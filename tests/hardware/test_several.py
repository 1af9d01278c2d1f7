from __future__ import annotations

import pytest

from quantgui.hardware.catalogue import parse_target, target
from quantgui.hardware.custom import custom_target
from quantgui.hardware.several import can_be_several, with_count
from quantgui.types import UserError


def test_counting_up_and_down_again_gives_the_same_target() -> None:
    one = target("RTX 4090")
    two = with_count(one, 2)
    assert two.name == parse_target("2xRTX 4090").name
    assert two.device_bytes == 2 * one.device_bytes
    assert with_count(two, 1) == one


@pytest.mark.parametrize("other", [target("Apple M4"), custom_target("x", 0, 16)], ids=lambda t: t.name)
def test_unified_memory_and_processors_cannot_be_several(other) -> None:
    assert not can_be_several(other)
    with pytest.raises(UserError):
        with_count(other, 2)


@pytest.mark.parametrize("count", [0, -1, 65])
def test_an_impossible_count_is_refused(count: int) -> None:
    with pytest.raises(UserError):
        with_count(target("RTX 4090"), count)

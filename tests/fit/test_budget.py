from __future__ import annotations

import pytest

from quantgui.fit.budget import budget_of
from quantgui.hardware.catalogue import target
from quantgui.hardware.custom import custom_target
from quantgui.types import GIB, Accelerator, HardwareTarget, UserError


def test_cards_and_ram_add_up() -> None:
    budget = budget_of(custom_target("x", vram_gib=12, ram_gib=32, count=2))
    assert (budget.device_bytes, budget.primary_bytes, budget.pooled_bytes) == (24 * GIB, 24 * GIB, 56 * GIB)


def test_without_a_card_the_ram_is_all_there_is() -> None:
    budget = budget_of(custom_target("x", ram_gib=32))
    assert (budget.primary_bytes, budget.pooled_bytes, budget.primary_name) == (32 * GIB, 32 * GIB, "RAM")


def test_unified_memory_is_not_counted_twice() -> None:
    budget = budget_of(target("Apple M4", memory_gb=32))
    assert budget.primary_bytes < budget.pooled_bytes == 32 * GIB


def test_what_is_free_now_counts() -> None:
    card = Accelerator("x", 12 * GIB, free_bytes=9 * GIB)
    machine = HardwareTarget("x", "this machine", (card,), ram_bytes=32 * GIB, ram_available_bytes=20 * GIB)
    assert (budget_of(machine).device_bytes, budget_of(machine).ram_bytes) == (9 * GIB, 20 * GIB)


def test_a_machine_of_unknown_memory_is_one_clear_sentence() -> None:
    with pytest.raises(UserError, match="not known"):
        budget_of(HardwareTarget("Box", "custom"))

from __future__ import annotations

from types import SimpleNamespace

import pytest

from quantgui.hardware import ram_bandwidth as module
from quantgui.hardware.probe import this_machine
from quantgui.types import GB


@pytest.fixture(autouse=True)
def measured_anew() -> None:
    module.ram_bandwidth.cache_clear()


def test_memory_is_read_at_a_speed_that_memory_has() -> None:
    speed = module.ram_bandwidth(1)
    assert speed is not None and 0.2 * GB < speed < 2000 * GB


def test_nothing_is_measured_where_memory_is_short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module.psutil, "virtual_memory", lambda: SimpleNamespace(available=2**20))
    assert module.ram_bandwidth(1) is None


def test_this_machine_states_what_was_measured() -> None:
    machine = this_machine()
    assert machine.ram_bandwidth == module.ram_bandwidth(machine.cpu_cores or 1)

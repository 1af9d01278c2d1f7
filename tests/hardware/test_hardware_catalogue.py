from __future__ import annotations

import math

import pytest

from quantgui.hardware.catalogue import CatalogueDevice, devices, find, parse_target, search, target
from quantgui.types import GIB, UserError


def test_the_catalogue_is_large_and_sound() -> None:
    assert len(devices()) >= 100
    assert len({device.name for device in devices()}) == len(devices())
    for device in devices():
        assert device.memory_gb == tuple(sorted(device.memory_gb)), device.name
        assert device.bandwidth_gb_s > 0
        assert device.source
        assert set(device.reported_mib) <= set(device.memory_gb)
        assert set(device.working_set_gib) <= set(device.memory_gb)
        for size, (low, high) in device.working_set_gib.items():
            assert 0.6 * size <= low <= high < size, device.name


@pytest.mark.parametrize("device", devices(), ids=lambda device: device.name)
def test_every_device_is_found_by_its_name_and_makes_targets(device: CatalogueDevice) -> None:
    assert find(device.name) is device
    for size in device.memory_gb:
        made = target(device.name, memory_gb=size)
        offered = made.device_bytes or made.ram_bytes or 0
        assert 0.9 * size * GIB < offered <= size * GIB, "a driver reports a little less than the box, never more"


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("rtx3060", "RTX 3060"),
        ("NVIDIA GeForce RTX 3060", "RTX 3060"),
        ("4090", "RTX 4090"),
        ("m4", "Apple M4"),
        ("7900 xtx", "RX 7900 XTX"),
        ("Tesla T4", "T4"),
        ("MacBook Pro M3 Pro", "Apple M3 Pro"),
        ("Mac Studio M2 Ultra", "Apple M2 Ultra"),
        ("NVIDIA A100-SXM4-80GB", "A100 80GB SXM"),
        ("NVIDIA GeForce RTX 4060 Laptop GPU", "RTX 4060 Laptop"),
        ("NVIDIA RTX 6000 Ada Generation", "RTX 6000 Ada"),
        ("AMD Instinct MI300X", "MI300X"),
    ],
)
def test_devices_are_found_as_people_and_drivers_write_them(written: str, name: str) -> None:
    assert find(written).name == name


def test_of_several_variants_the_smallest_is_promised() -> None:
    chosen = find("Apple M4 Max")
    variants = [device for device in devices() if device.name.startswith("Apple M4 Max")]
    assert len(variants) > 1
    assert chosen.memory_gb[0] == min(device.memory_gb[0] for device in variants)
    assert find("Apple M4 Max", memory_gb=128).memory_gb[-1] == 128


def test_unknown_names_are_answered_with_near_ones_and_series_with_a_list() -> None:
    with pytest.raises(UserError) as near:
        find("RTX 3061")
    assert "RTX 3060" in near.value.hint
    with pytest.raises(UserError, match="devices") as series:
        find("RTX")
    assert "RTX" in series.value.hint
    for nothing in ("", "   ", "NVIDIA"):
        with pytest.raises(UserError):
            find(nothing)


@pytest.mark.parametrize(
    ("written", "count", "name"),
    [
        ("2xRTX 4090", 2, "2 × RTX 4090 · 24 GB"),
        ("4 × rtx3060", 4, "4 × RTX 3060 · 12 GB"),
        ("RTX 5060 Ti 16GB", 1, "RTX 5060 Ti · 16 GB"),
        ("RTX 3080 12GB", 1, "RTX 3080 12GB"),
        ("2x A100 80GB SXM", 2, "2 × A100 80GB SXM"),
    ],
)
def test_targets_are_read_as_people_write_them(written: str, count: int, name: str) -> None:
    made = parse_target(written)
    assert (len(made.accelerators), made.name) == (count, name)


@pytest.mark.parametrize(
    "written", ["0x RTX 4090", "65 x RTX 4090", "2x Apple M4", "Apple M4 64GB", "999999x T4", "2x"]
)
def test_impossible_targets_are_one_clear_sentence(written: str) -> None:
    with pytest.raises(UserError):
        parse_target(written)


@pytest.mark.parametrize("ram", [-1, math.nan, math.inf])
def test_an_impossible_ram_is_refused(ram: float) -> None:
    with pytest.raises(UserError):
        parse_target("RTX 3060", ram)


def test_memory_adds_up_and_the_drivers_figure_is_used() -> None:
    one, two = target("RTX 4090", ram_gb=64), target("RTX 4090", 2, ram_gb=64)
    assert one.device_bytes == 24_564 * 2**20
    assert two.device_bytes == 2 * one.device_bytes
    assert one.ram_bytes == two.ram_bytes == 64 * GIB
    assert one.accelerators[0].marketed_gb == 24


def test_an_unknown_host_is_assumed_and_said() -> None:
    assumed, given = target("RTX 4090", 4), target("RTX 4090", 4, ram_gb=0)
    assert assumed.ram_bytes == 128 * GIB
    assert "assumed" in assumed.note
    assert given.ram_bytes == 0
    assert "assumed" not in given.note


def test_unified_memory_is_counted_once() -> None:
    mac = target("Apple M4", memory_gb=16)
    assert mac.is_unified
    assert mac.device_bytes == 0
    assert mac.ram_bytes == 16 * GIB
    assert mac.accelerators[0].memory_bytes == int(10.67 * GIB)


def test_a_phone_offers_half_its_memory_and_a_board_all_of_it() -> None:
    phone, board = target("Snapdragon 8 Elite", memory_gb=16), target("Raspberry Pi 5", memory_gb=16)
    assert (phone.accelerators, phone.ram_available_bytes) == ((), 8 * GIB)
    assert (board.accelerators, board.ram_available_bytes, board.ram_bytes) == ((), None, 16 * GIB)


def test_search_narrows_by_words_and_kind() -> None:
    assert search() == devices()
    assert {device.vendor for device in search("nvidia laptop")} == {"NVIDIA"}
    assert {device.kind for device in search(kind="phone SoC")} == {"phone SoC"}
    assert search("no such device") == ()

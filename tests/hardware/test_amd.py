from __future__ import annotations

import json
from pathlib import Path

import pytest

from quantgui.hardware import amd
from quantgui.types import GIB


def make_card(drm: Path, name: str, **files: object) -> None:
    device = drm / name / "device"
    device.mkdir(parents=True)
    for file, value in files.items():
        (device / file).write_text(f"{value}\n")


def test_a_card_is_read_from_the_kernels_files(tmp_path: Path) -> None:
    files = {"mem_info_vram_total": 24 * GIB, "mem_info_vram_used": GIB, "product_name": "Radeon RX 7900 XTX"}
    make_card(tmp_path, "card0", vendor="0x1002", **files)
    make_card(tmp_path, "card1", vendor="0x8086")
    make_card(tmp_path, "card0-HDMI-A-1", vendor="0x1002", **files)
    (card,) = amd.from_sysfs(tmp_path)
    assert (card.name, card.memory_bytes, card.free_bytes) == ("Radeon RX 7900 XTX", 24 * GIB, 23 * GIB)
    assert not card.unified


def test_an_apu_works_from_the_systems_memory(tmp_path: Path) -> None:
    make_card(
        tmp_path,
        "card0",
        vendor="0x1002",
        mem_info_vram_total=GIB // 2,
        mem_info_vram_used=0,
        mem_info_gtt_total=16 * GIB,
    )
    (card,) = amd.from_sysfs(tmp_path)
    assert (card.unified, card.memory_bytes) == (True, 16 * GIB)


def test_no_folder_means_no_card(tmp_path: Path) -> None:
    assert amd.from_sysfs(tmp_path / "absent") == ()
    assert amd.from_rocm_smi("") == ()


def test_rocm_smi_is_read() -> None:
    output = json.dumps(
        {
            "card0": {
                "VRAM Total Memory (B)": "206141652992",
                "VRAM Total Used Memory (B)": "283115520",
                "Card Series": "AMD Instinct MI300X",
            },
            "system": {"Driver version": "6.10"},
        }
    )
    (card,) = amd.from_rocm_smi(output)
    assert (card.name, card.memory_bytes, card.free_bytes) == ("AMD Instinct MI300X", 206_141_652_992, 205_858_537_472)


@pytest.mark.parametrize("output", ["not json", "[]", '{"card0": {"VRAM Total Memory (B)": "many"}}'])
def test_strange_output_is_an_error_for_the_caller_to_note(output: str) -> None:
    with pytest.raises((ValueError, KeyError)):
        amd.from_rocm_smi(output)

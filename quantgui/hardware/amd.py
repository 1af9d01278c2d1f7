"""AMD GPUs: memory from the kernel's files, names and systems without those files from rocm-smi."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from quantgui.hardware.system import run_command
from quantgui.types import GIB, Accelerator

DRM = Path("/sys/class/drm")
AMD_VENDOR = "0x1002"
ROCM_SMI = ["rocm-smi", "--showproductname", "--showmeminfo", "vram", "--json"]
APU_LARGEST_CARVE_OUT = GIB
"""An AMD GPU with at most this much memory of its own is part of the processor and works from the system's RAM."""


def gpus() -> tuple[Accelerator, ...]:
    """Every AMD GPU with total and free memory; () where there is none."""
    return from_sysfs(DRM) or from_rocm_smi(run_command(ROCM_SMI))


def from_sysfs(drm: Path) -> tuple[Accelerator, ...]:
    """GPUs of the amdgpu kernel driver under `drm`."""
    return tuple(_read_sysfs(drm))


def _read_sysfs(drm: Path) -> Iterator[Accelerator]:
    for device in sorted(drm.glob("card[0-9]*/device")):
        if "-" in device.parent.name or _text(device / "vendor") != AMD_VENDOR:
            continue
        total, used = _text(device / "mem_info_vram_total"), _text(device / "mem_info_vram_used")
        if not total.isdigit() or not used.isdigit():
            continue
        name = _text(device / "product_name") or "AMD GPU"
        yield _accelerator(name, int(total), int(used), _text(device / "mem_info_gtt_total"))


def from_rocm_smi(output: str) -> tuple[Accelerator, ...]:
    """GPUs of rocm-smi's JSON; "" means the tool is not installed. Raises ValueError for anything else."""
    if not output.strip():
        return ()
    cards = json.loads(output)
    if not isinstance(cards, dict):
        raise ValueError("rocm-smi did not answer with an object")
    return tuple(_from_card(card) for key, card in sorted(cards.items()) if key.startswith("card"))


def _from_card(card: dict[str, Any]) -> Accelerator:
    names = (card.get(key) for key in ("Card Series", "Card series", "Card Model", "Card model"))
    name = next((str(name) for name in names if name), "AMD GPU")
    total = int(card["VRAM Total Memory (B)"])
    return _accelerator(name, total, int(card["VRAM Total Used Memory (B)"]))


def _accelerator(name: str, total: int, used: int, gtt_total: str = "") -> Accelerator:
    if total <= APU_LARGEST_CARVE_OUT and gtt_total.isdigit():
        return Accelerator(name, int(gtt_total), None, vendor="AMD", unified=True)
    return Accelerator(name, total, max(0, total - used), vendor="AMD")


def _text(file: Path) -> str:
    try:
        return file.read_text(errors="replace").strip()
    except OSError:
        return ""

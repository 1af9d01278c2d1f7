"""The catalogue of devices in `resources/hardware.json`, and the hardware target that one or several of them make.

The size on a GPU's or a RAM module's box counts GiB although it says GB: a "24 GB" card has 24 GiB, of which its driver
reports a little less (24,564 MiB); the reported size is used where known. Bandwidths count 1e9 bytes.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from quantgui.hardware.matching import best_matches, near_matches
from quantgui.hardware.unified import app_limit_bytes, gpu_limit_bytes
from quantgui.resource_files import resource
from quantgui.types import GB, GIB, Accelerator, HardwareTarget, UserError

MIB = 2**20
MAX_COUNT = 64
MAX_VARIANTS = 4
"""A name that means more devices than this is a series, not a product."""
RAM_ONLY_KINDS = frozenset({"CPU + system RAM", "single board", "laptop SoC", "phone SoC"})
"""Kinds whose models run from system memory: no GPU of theirs is worth a memory of its own."""


@dataclass(frozen=True, slots=True)
class CatalogueDevice:
    """One device as sold. Sizes as on the box; `reported_mib` and `working_set_gib` by that size."""

    name: str
    vendor: str
    kind: str
    memory_gb: tuple[int, ...]  # ascending
    unified: bool
    bandwidth_gb_s: float
    fp16_tensor_tflops: float | None = None
    reported_mib: Mapping[int, int] = field(default_factory=dict, hash=False)
    working_set_gib: Mapping[int, tuple[float, float]] = field(default_factory=dict, hash=False)
    compute_capability: str | None = None
    release_year: int | None = None
    note: str = ""
    source: str = ""

    @property
    def has_gpu(self) -> bool:
        """Whether models run on an accelerator rather than from system memory."""
        return self.kind not in RAM_ONLY_KINDS

    def memory_bytes(self, memory_gb: int) -> int:
        """What the driver reports for this size, or the nominal GiB."""
        reported = self.reported_mib.get(memory_gb)
        return memory_gb * GIB if reported is None else reported * MIB


@cache
def devices() -> tuple[CatalogueDevice, ...]:
    """Every device of the catalogue, in its order: by vendor and generation."""
    data = json.loads(resource("hardware.json").read_text(encoding="utf-8"))
    return tuple(_device(entry) for entry in data["devices"])


def find(name: str, memory_gb: float | None = None) -> CatalogueDevice:
    """The device a person means by `name`, of those that come with `memory_gb` where given.

    Variants of one product ("A100", "Apple M4 Max") are taken as the one with the least memory and bandwidth, so that
    nothing is promised that a variant does not hold. Raises UserError for unknown names and for whole series.
    """
    by_name = {device.name: device for device in devices()}
    found = [by_name[match] for match in best_matches(name, tuple(by_name))]
    if not found:
        near = near_matches(name, tuple(by_name))
        hint = f"Did you mean {' or '.join(near)}?" if near else 'Write a name such as "RTX 3060" or "Apple M4".'
        raise UserError(f"There is no device called “{name}” in the catalogue.", hint=hint)
    if len(found) > MAX_VARIANTS:
        shown = ", ".join(device.name for device in found[:6])
        raise UserError(f"“{name}” names {len(found)} devices.", hint=f"Choose one, such as {shown}.")
    sized = [device for device in found if memory_gb is None or memory_gb in device.memory_gb]
    return min(sized or found, key=lambda device: (device.memory_gb[0], device.bandwidth_gb_s))


def search(text: str = "", kind: str | None = None) -> tuple[CatalogueDevice, ...]:
    """Devices whose vendor, name or kind contain every word of `text`, of one `kind` where given."""
    words = text.lower().split()
    return tuple(
        device
        for device in devices()
        if kind in (None, device.kind)
        and all(word in f"{device.vendor} {device.name} {device.kind}".lower() for word in words)
    )


def target(name: str, count: int = 1, memory_gb: float | None = None, ram_gb: float | None = None) -> HardwareTarget:
    """`count` of one device. `memory_gb` picks among its sizes (the smallest by default); `ram_gb` is the host's RAM.

    A discrete GPU needs a host: where its RAM is not given, as much as the GPUs hold is assumed, at least 32 GiB, and
    the note says so. Raises UserError for unknown names, sizes that do not exist and impossible counts.
    """
    device = find(name, memory_gb)
    if isinstance(count, bool) or not 1 <= count <= MAX_COUNT:
        raise UserError(f"{count} of one device is not possible.", hint=f"Choose between 1 and {MAX_COUNT}.")
    size = _chosen_size(device, memory_gb)
    if ram_gb is not None and not 0 <= ram_gb <= 1 << 20:
        raise UserError(f"{ram_gb} GiB of RAM is not possible.", hint="Give the host's RAM in GiB.")
    if device.unified or not device.has_gpu:
        if count > 1:
            raise UserError(f"Several {device.name} do not share one memory.", hint="Choose one.")
        return _whole_system(device, size)
    return _with_host(device, size, count, ram_gb)


def parse_target(text: str, ram_gb: float | None = None) -> HardwareTarget:
    """A target as people write it: "RTX 3060", "2xRTX 4090", "Apple M4 Max 64GB". Raises UserError."""
    stripped = text.strip()
    counted = re.fullmatch(r"(\d{1,6})\s*[x×*]\s*(\S.*)", stripped, re.IGNORECASE)
    count, name = (int(counted[1]), counted[2]) if counted else (1, stripped)
    sized = re.fullmatch(r"(.*\S)\s*?[ ,(](\d{1,6})\s*(?:gb|gib)\)?", name, re.IGNORECASE)
    if sized is not None:
        try:
            return target(name, count, ram_gb=ram_gb)  # the size may be part of the name: "RTX 3080 12GB"
        except UserError:
            return target(sized[1], count, int(sized[2]), ram_gb)
    return target(name, count, ram_gb=ram_gb)


def _device(entry: dict[str, Any]) -> CatalogueDevice:
    return CatalogueDevice(
        name=entry["name"],
        vendor=entry["vendor"],
        kind=entry["kind"],
        memory_gb=tuple(entry["memory_gb"]),
        unified=entry["unified"],
        bandwidth_gb_s=float(entry["bandwidth_gb_s"]),
        fp16_tensor_tflops=entry.get("fp16_tensor_tflops"),
        reported_mib={int(size): mib for size, mib in entry.get("reported_total_mib", {}).items()},
        working_set_gib={int(size): (low, high) for size, (low, high) in entry.get("working_set_gib", {}).items()},
        compute_capability=entry.get("compute_capability"),
        release_year=entry.get("release_year"),
        note=entry.get("note", ""),
        source=entry["source"],
    )


def _chosen_size(device: CatalogueDevice, memory_gb: float | None) -> int:
    if memory_gb is None:
        return device.memory_gb[0]
    if memory_gb in device.memory_gb:
        return int(memory_gb)
    sizes = ", ".join(f"{size} GB" for size in device.memory_gb)
    raise UserError(f"{device.name} does not come with {memory_gb:g} GB.", hint=f"It comes with {sizes}.")


def _whole_system(device: CatalogueDevice, size: int) -> HardwareTarget:
    """A computer, phone or board whose memory is the device's: unified, or a CPU with RAM."""
    memory = device.memory_bytes(size)
    name = _label(device, size)
    bandwidth = device.bandwidth_gb_s * GB
    if not device.has_gpu:
        available, note = app_limit_bytes(device.kind, memory)
        return HardwareTarget(
            name, device.kind, (), memory, available, bandwidth, cpu_name=device.name, note=_joined(note, device.note)
        )
    limit, note = gpu_limit_bytes(device.vendor, device.kind, memory, device.working_set_gib.get(size))
    gpu = Accelerator(device.name, limit, None, bandwidth, _flops(device), device.vendor, float(size), unified=True)
    return HardwareTarget(name, device.kind, (gpu,), memory, None, bandwidth, note=_joined(note, device.note))


def _with_host(device: CatalogueDevice, size: int, count: int, ram_gb: float | None) -> HardwareTarget:
    memory = device.memory_bytes(size)
    gpu = Accelerator(device.name, memory, None, device.bandwidth_gb_s * GB, _flops(device), device.vendor, float(size))
    note = device.note
    if ram_gb is None:
        ram_gb = max(32, 1 << (count * size - 1).bit_length())
        note = _joined(f"The host's RAM is not known; {ram_gb} GiB are assumed.", note)
    label = _label(device, size)
    name = label if count == 1 else f"{count} × {label}"
    return HardwareTarget(name, device.kind, (gpu,) * count, int(ram_gb * GIB), note=note)


def _label(device: CatalogueDevice, size: int) -> str:
    return device.name if f"{size}GB" in device.name else f"{device.name} · {size} GB"


def _flops(device: CatalogueDevice) -> float | None:
    return None if device.fp16_tensor_tflops is None else device.fp16_tensor_tflops * 1e12


def _joined(*sentences: str) -> str:
    return " ".join(sentence for sentence in sentences if sentence)

"""What this machine has, asked without torch: a CPU build of torch sees no card.

Every question has a time limit and none raises: what could not be read becomes a sentence in the target's note.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import TypeVar

from quantgui.hardware import amd, apple, nvidia, system
from quantgui.hardware.catalogue import CatalogueDevice, find
from quantgui.hardware.ram_bandwidth import ram_bandwidth
from quantgui.types import GB, GIB, Accelerator, HardwareTarget, Provenance, UserError

TIMEOUT_SECONDS = 5.0

T = TypeVar("T")


@dataclass
class _Findings:
    """Accelerators found so far, and sentences on what could not be read."""

    accelerators: list[Accelerator] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def this_machine(disk_folder: Path | None = None) -> HardwareTarget:
    """RAM, processor, GPUs and the free disk space at `disk_folder` (the home folder by default). Never raises.

    Memory limits of a container count where they are below what the machine has.
    """
    findings = _Findings()
    for vendor, question in (("NVIDIA", nvidia.gpus), ("AMD", amd.gpus), ("Apple", apple.gpus)):
        found = _ask(f"{vendor} GPUs", question, findings)
        findings.accelerators += [_with_catalogue_figures(gpu) for gpu in found or ()]
    memory = _ask("the memory", system.memory, findings)
    cpu = _ask("the processor", system.cpu, findings)
    bandwidth = _ask("the speed of the RAM", lambda: ram_bandwidth((cpu and cpu.cores) or 1), findings)
    disk = _ask("the disk", lambda: system.disk_free(disk_folder or Path.home()), findings)
    return HardwareTarget(
        name="This machine",
        kind="this machine",
        accelerators=tuple(findings.accelerators),
        ram_bytes=memory.total if memory else None,
        ram_available_bytes=memory.available if memory else None,
        ram_bandwidth=bandwidth,
        cpu_name=cpu.name if cpu else "",
        cpu_cores=cpu.cores if cpu else None,
        disk_free_bytes=disk,
        provenance=Provenance.MEASURED,
        note=" ".join([*findings.notes, *([memory.note] if memory and memory.note else [])]),
    )


def _ask(what: str, question: Callable[[], T], findings: _Findings) -> T | None:
    """The answer to `question`, or None with a note after an error or the time limit.

    The question runs in a thread of its own: a hanging driver cannot be interrupted, only left behind.
    """
    answer: list[T] = []
    trouble: list[str] = []

    def work() -> None:
        try:
            answer.append(question())
        except Exception as error:  # a probe must survive whatever a driver does
            trouble.append(f"{type(error).__name__}: {error}".strip(": "))

    thread = threading.Thread(target=work, name=f"probe {what}", daemon=True)
    thread.start()
    thread.join(TIMEOUT_SECONDS)
    if answer:
        return answer[0]
    reason = trouble[0] if trouble else f"no answer within {TIMEOUT_SECONDS:g} s"
    findings.notes.append(f"Could not read {what} ({reason}).")
    return None


@cache
def _catalogue_device(name: str) -> CatalogueDevice | None:
    try:
        return find(name)
    except UserError:
        return None


def _with_catalogue_figures(gpu: Accelerator) -> Accelerator:
    """Bandwidth and throughput, which drivers do not tell, from the catalogue's device of the same name."""
    device = _catalogue_device(gpu.name)
    if device is None:
        return gpu
    nominal = gpu.memory_bytes / GIB
    return replace(
        gpu,
        bandwidth=device.bandwidth_gb_s * GB,
        fp16_flops=None if device.fp16_tensor_tflops is None else device.fp16_tensor_tflops * 1e12,
        marketed_gb=gpu.marketed_gb or min(device.memory_gb, key=lambda size: abs(size - nominal)),
    )

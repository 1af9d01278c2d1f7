"""NVIDIA GPUs through NVML, the library behind nvidia-smi."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psutil

from quantgui.types import Accelerator


def gpus(nvml: Any = None) -> tuple[Accelerator, ...]:
    """Every GPU with total and free memory; () where there is no driver. `nvml` replaces the library in tests."""
    if nvml is None:
        import pynvml as nvml
    try:
        nvml.nvmlInit()
    except (nvml.NVMLError_LibraryNotFound, nvml.NVMLError_DriverNotLoaded):
        return ()
    try:
        return tuple(_read(nvml))
    finally:
        nvml.nvmlShutdown()


def _read(nvml: Any) -> Iterator[Accelerator]:
    for index in range(nvml.nvmlDeviceGetCount()):
        handle = nvml.nvmlDeviceGetHandleByIndex(index)
        name = nvml.nvmlDeviceGetName(handle)
        name = name.decode(errors="replace") if isinstance(name, bytes) else name
        try:
            memory = nvml.nvmlDeviceGetMemoryInfo(handle)
        except nvml.NVMLError_NotSupported:  # Jetson and GB10 share the system's memory and have none of their own
            yield Accelerator(name, psutil.virtual_memory().total, vendor="NVIDIA", unified=True)
        else:
            yield Accelerator(name, int(memory.total), int(memory.free), vendor="NVIDIA")

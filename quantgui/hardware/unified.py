"""How much of a shared memory a GPU or an app may use. The rest belongs to the system.

Apple: Metal's `recommendedMaxWorkingSetSize`; measured values where known (10.67 GiB of 16 on an M4, 17.76 of 24,
107.52 of 128 on an M5 Max), else the stock rule: two thirds up to 36 GiB, three quarters above. Integrated GPUs: half
of the RAM, the default of Windows and of Linux' GTT. Phones: about half of the RAM for one app.
"""

from __future__ import annotations

from quantgui.types import GIB

APPLE_SMALL_LIMIT = 36 * GIB


def apple_working_set(memory_bytes: int) -> int:
    """Stock GPU limit of an Apple computer with this much memory, where Metal cannot be asked."""
    return memory_bytes * 2 // 3 if memory_bytes <= APPLE_SMALL_LIMIT else memory_bytes * 3 // 4


def gpu_limit_bytes(
    vendor: str, kind: str, memory_bytes: int, measured_gib: tuple[float, float] | None = None
) -> tuple[int, str]:
    """Bytes the GPU may use of `memory_bytes`, the cautious end where a range was measured, and a note that says so."""
    if measured_gib is not None:
        low, high = measured_gib
        if low == high:
            return int(low * GIB), f"The GPU may use {low:g} GiB of it, as measured."
        return int(low * GIB), f"The GPU may use {low:g} to {high:g} GiB of it; the lower value counts here."
    if vendor == "Apple":
        limit = apple_working_set(memory_bytes)
        return limit, f"The GPU may use about {limit / GIB:.3g} GiB of it, unless iogpu.wired_limit_mb is raised."
    if vendor == "NVIDIA":  # Jetson, Grace: CUDA addresses all of it
        return memory_bytes, "CPU and GPU share this memory."
    return memory_bytes // 2, f"The GPU may use about half of the RAM, {memory_bytes / 2 / GIB:.3g} GiB."


def app_limit_bytes(kind: str, memory_bytes: int) -> tuple[int | None, str]:
    """Bytes one program may use of the RAM (None: all), and a note that says so."""
    if kind == "phone SoC":
        return memory_bytes // 2, f"One app may use about half of the RAM, {memory_bytes / 2 / GIB:.3g} GiB."
    return None, ""

"""The rules of thumb that people of the field know, as a sentence beside the numbers."""

from __future__ import annotations

from quantgui.types import GIB, HardwareTarget

LARGE_MODEL = 13_000_000_000
"""Above 13 B parameters, start at 4 bits."""
STRONG_GPU = 6 * GIB
DATACENTER = ("datacenter GPU",)
CONSUMER = ("consumer GPU", "laptop GPU", "workstation GPU")


def rule_of_thumb(hardware: HardwareTarget, parameters: int | None) -> str:
    """What people of the field would start with on this hardware; research on full precision is always mentioned."""
    large = parameters is not None and parameters > LARGE_MODEL
    if hardware.kind in DATACENTER or hardware.device_bytes >= 80 * GIB:
        start = "Production in the cloud: BF16 or FP16"
        if large:
            start += "; above 13 B parameters FP8 or 4 bits save GPUs"
    elif hardware.device_bytes >= STRONG_GPU:
        start = "Consumer GPU: 4 or 8 bits" if not large else "Consumer GPU, above 13 B parameters: start at 4 bits"
    elif hardware.is_unified:
        start = "Shared memory: 4 or 8 bits" if not large else "Shared memory, above 13 B parameters: start at 4 bits"
    else:
        start = "No strong GPU: Q4_K_M with llama.cpp"
    return f"{start}. Research that must not depend on rounding: FP32."

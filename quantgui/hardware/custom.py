"""Hardware that a person describes by hand."""

from __future__ import annotations

import math

from quantgui.types import GB, GIB, Accelerator, HardwareTarget, Provenance, UserError

MAX_GIB = 1 << 20


def custom_target(
    name: str, vram_gib: float = 0, ram_gib: float = 0, bandwidth_gb_s: float | None = None, count: int = 1
) -> HardwareTarget:
    """`count` GPUs of `vram_gib` each (0: none) in a computer with `ram_gib` of RAM.

    Raises UserError for negative, infinite or absurd values, and where there is no memory at all.
    """
    for label, value in (("GPU memory", vram_gib), ("RAM", ram_gib)):
        if not 0 <= value <= MAX_GIB or not math.isfinite(value):
            raise UserError(f"{label} of {value} GiB is not possible.", hint=f"Give 0 to {MAX_GIB:,} GiB.")
    if vram_gib == 0 and ram_gib == 0:
        raise UserError("Hardware without memory holds no model.", hint="Give GPU memory, RAM or both, in GiB.")
    if bandwidth_gb_s is not None and not (0 < bandwidth_gb_s < math.inf):
        raise UserError(f"A bandwidth of {bandwidth_gb_s} GB/s is not possible.", hint="Leave it empty if unknown.")
    if not 1 <= count <= 64:
        raise UserError(f"{count} GPUs are not possible.", hint="Choose between 1 and 64.")
    bandwidth = None if bandwidth_gb_s is None else bandwidth_gb_s * GB
    gpu = Accelerator(name, int(vram_gib * GIB), None, bandwidth, marketed_gb=vram_gib)
    return HardwareTarget(
        name=name.strip() or "Custom hardware",
        kind="custom",
        accelerators=(gpu,) * count if vram_gib else (),
        ram_bytes=int(ram_gib * GIB),
        ram_bandwidth=None if vram_gib else bandwidth,
        provenance=Provenance.DERIVED,
    )

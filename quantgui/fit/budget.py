"""How much memory a hardware target offers a model: the limit lines of the chart and the yardstick of the verdict."""

from __future__ import annotations

from dataclasses import dataclass

from quantgui.types import HardwareTarget, Provenance, UserError


@dataclass(frozen=True, slots=True)
class Memory:
    """One memory that a model can lie in."""

    name: str
    nbytes: int


@dataclass(frozen=True, slots=True)
class Budget:
    """Bytes a model may use. What is free now counts where it is known (this machine), else what is built in."""

    device_bytes: int  # all accelerators together; 0 where the model runs from RAM
    ram_bytes: int
    unified: bool = False  # the accelerator's bytes are part of the RAM's
    is_free_now: bool = False  # measured on this machine a moment ago
    gpus: tuple[Memory, ...] = ()  # each accelerator, the largest first; of a unified memory what the GPU may use
    is_apple: bool = False

    @property
    def primary_bytes(self) -> int:
        """Where a model should fit: the accelerators, or the RAM where there are none."""
        return self.device_bytes or self.ram_bytes

    @property
    def pooled_bytes(self) -> int:
        """Accelerators and RAM together."""
        return max(self.device_bytes, self.ram_bytes) if self.unified else self.device_bytes + self.ram_bytes

    @property
    def primary_name(self) -> str:
        """What `primary_bytes` is called."""
        if self.unified and self.device_bytes:
            return "memory that the GPU may use"
        name = "GPU memory" if self.device_bytes else "RAM"
        return f"free {name}" if self.is_free_now else name


def budget_of(hardware: HardwareTarget) -> Budget:
    """The budget of a target. Raises UserError where nothing is known of its memory."""
    ram = hardware.ram_bytes if hardware.ram_available_bytes is None else hardware.ram_available_bytes
    unified = hardware.is_unified
    gpus = [
        Memory(a.name, a.memory_bytes if a.free_bytes is None else min(a.free_bytes, a.memory_bytes))
        for a in hardware.accelerators
        if a.unified or not unified
    ]
    device = sum(gpu.nbytes for gpu in gpus)
    if unified and ram is not None:
        device = min(device, ram)
        gpus = [Memory(gpus[0].name, device)]
    if not device and not ram:
        raise UserError(f"The memory of {hardware.name} is not known.", hint="Give its GPU memory or RAM by hand.")
    return Budget(
        device_bytes=device,
        ram_bytes=ram or 0,
        unified=unified,
        is_free_now=hardware.provenance is Provenance.MEASURED,
        gpus=tuple(sorted((gpu for gpu in gpus if gpu.nbytes > 0), key=lambda gpu: -gpu.nbytes)),
        is_apple=any(a.vendor == "Apple" for a in hardware.accelerators),
    )

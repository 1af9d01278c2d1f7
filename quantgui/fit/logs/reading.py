"""What is read from a pasted log, whatever program wrote it."""

from __future__ import annotations

from dataclasses import dataclass

from quantgui.types import MemoryKind, Runtime

KIB, MIB, GIB = 2**10, 2**20, 2**30
UNITS = {"KB": KIB, "KIB": KIB, "MB": MIB, "MIB": MIB, "GB": GIB, "GIB": GIB}
"""These programs count in powers of two, even where old versions wrote MB or GB."""


@dataclass(frozen=True, slots=True)
class LogSize:
    """One size that a line states."""

    kind: MemoryKind
    device: str  # as the log calls it: "CUDA0", "CPU_Mapped"
    nbytes: int
    line: str
    on_host: bool = False  # in RAM rather than on an accelerator


@dataclass(frozen=True, slots=True)
class ParsedLog:
    """Everything a log tells. None and () where it does not say."""

    source: str  # "llama.cpp", "vLLM", "nvidia-smi"
    runtime: Runtime | None  # None for nvidia-smi, which does not know
    sizes: tuple[LogSize, ...] = ()
    device_names: tuple[str, ...] = ()  # as the driver calls them
    context: int | None = None  # tokens, of all slots together for llama.cpp and per sequence for vLLM
    slots: int | None = None
    kv_dtype: str = ""
    kv_pool_tokens: int | None = None  # tokens that vLLM's whole pool holds
    gpu_layers: int | None = None
    total_layers: int | None = None
    used_bytes: int | None = None  # of all GPUs, as the driver counts them
    notes: tuple[str, ...] = ()

    def nbytes(self, kind: MemoryKind, on_host: bool | None = None) -> int | None:
        """Sum of one kind, of accelerators or host alone where asked; None where no line states it."""
        found = [s.nbytes for s in self.sizes if s.kind is kind and on_host in (None, s.on_host)]
        return sum(found) if found else None


def size_in_bytes(number: str, unit: str) -> int:
    """Bytes of "4,685.30" "MiB"."""
    return round(float(number.replace(",", "")) * UNITS[unit.upper()])

"""The device that does the arithmetic: the one asked for, or the CPU when it runs out of memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from quantgui.jobs.events import Log
from quantgui.pipeline import Emit
from quantgui.types import UserError

if TYPE_CHECKING:
    import torch

T = TypeVar("T")


def choose_device(name: str) -> torch.device:
    """The torch device of "cpu", "cuda", "cuda:1" or "mps". Raises UserError where this machine has none such."""
    import torch

    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise UserError(
            f"The device “{name}” cannot be used on this machine.",
            hint="Choose the CPU; it works everywhere.",
            details=str(error),
        ) from None
    return device


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an exception says that a memory is full (CUDA's own class; the CPU, MPS and others by their words)."""
    import torch

    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    # cuBLAS and cuSOLVER have memory of their own, and words of their own for being without it.
    words = ("out of memory", "not enough memory", "can't allocate memory", "status_alloc_failed")
    return isinstance(error, RuntimeError) and any(word in str(error).lower() for word in words)


def _is_of_ram(error: BaseException) -> bool:
    return isinstance(error, MemoryError) or "DefaultCPUAllocator" in str(error)


class Fallback:
    """Computes on `device` until its memory is full, and on the CPU from then on."""

    def __init__(self, device: torch.device, emit: Emit) -> None:
        self.device, self._emit = device, emit

    def run(self, step: Callable[[], T], where: Callable[[], str], move: Callable[[], object]) -> T:
        """`step()`; where the device's memory runs out in it, `move()` and `step()` once more, on the CPU.

        `step` asks for `device` each time and can be done twice. `where` completes "ran out of memory …". Raises what
        `step` raises otherwise: a full RAM has nowhere to move to.
        """
        import torch

        cpu = torch.device("cpu")
        try:
            return step()
        except Exception as error:
            if self.device == cpu or not is_out_of_memory(error) or _is_of_ram(error):
                raise
        # Only here, after the error with its frames has been let go, is the memory free that the step had taken.
        self._emit(Log(f"{self.device} ran out of memory {where()}; the rest is computed on the CPU.", "warning"))
        self.device = cpu
        move()
        return step()

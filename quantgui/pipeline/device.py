"""The device that does the arithmetic: the one asked for, or the CPU when it runs out of memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

from quantgui.types import UserError

if TYPE_CHECKING:
    import torch


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
    words = ("out of memory", "not enough memory", "can't allocate memory")
    return isinstance(error, RuntimeError) and any(word in str(error).lower() for word in words)

"""Where a full memory is moved away from, and where there is nowhere to move to."""

import pytest
import torch

from quantgui.jobs.events import Event, Log
from quantgui.pipeline.device import Fallback

CPU, OTHER = torch.device("cpu"), torch.device("cpu:0")


def tried(device: torch.device, error: Exception) -> tuple[list[torch.device], list[Event]]:
    """The devices that a step was tried on, which raises `error` at first, and what was told."""
    devices: list[torch.device] = []
    events: list[Event] = []
    place = Fallback(device, events.append)

    def step() -> str:
        devices.append(place.device)
        if len(devices) == 1:
            raise error
        return "done"

    assert place.run(step, where=lambda: "at a", move=lambda: events.append(Log("moved"))) == "done"
    assert place.run(step, where=lambda: "at b", move=lambda: events.append(Log("moved"))) == "done"
    return devices, events


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("out of memory"),
        RuntimeError("MPS backend out of memory"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    ],
)
def test_a_full_device_is_left_for_good(error):
    devices, events = tried(OTHER, error)
    assert devices == [OTHER, CPU, CPU]
    told = Log("cpu:0 ran out of memory at a; the rest is computed on the CPU.", "warning")
    assert events == [told, Log("moved")]


@pytest.mark.parametrize(
    ("device", "error"),
    [
        (CPU, torch.OutOfMemoryError("out of memory")),
        (OTHER, MemoryError()),
        (OTHER, RuntimeError("DefaultCPUAllocator: can't allocate memory")),
        (OTHER, ValueError("another error")),
    ],
)
def test_other_errors_and_a_full_ram_are_not_tried_again(device, error):
    with pytest.raises(type(error)):
        tried(device, error)

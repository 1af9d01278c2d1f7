from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from quantgui.hardware import nvidia


class NVMLError(Exception):
    pass


class FakeNvml:
    """The functions of pynvml that are used, over a list of cards; `failure` is raised at the start."""

    NVMLError_LibraryNotFound = type("NVMLError_LibraryNotFound", (NVMLError,), {})
    NVMLError_DriverNotLoaded = type("NVMLError_DriverNotLoaded", (NVMLError,), {})
    NVMLError_NotSupported = type("NVMLError_NotSupported", (NVMLError,), {})

    def __init__(self, cards: list[tuple[Any, int | None, int]], failure: Exception | None = None) -> None:
        self.cards, self.failure, self.open = cards, failure, 0

    def nvmlInit(self) -> None:  # noqa: N802
        if self.failure:
            raise self.failure
        self.open += 1

    def nvmlShutdown(self) -> None:  # noqa: N802
        self.open -= 1

    def nvmlDeviceGetCount(self) -> int:  # noqa: N802
        return len(self.cards)

    def nvmlDeviceGetHandleByIndex(self, index: int) -> int:  # noqa: N802
        return index

    def nvmlDeviceGetName(self, handle: int) -> Any:  # noqa: N802
        return self.cards[handle][0]

    def nvmlDeviceGetMemoryInfo(self, handle: int) -> Any:  # noqa: N802
        _, total, free = self.cards[handle]
        if total is None:
            raise self.NVMLError_NotSupported
        return SimpleNamespace(total=total, free=free)


def test_every_card_with_total_and_free_memory() -> None:
    nvml = FakeNvml([("NVIDIA GeForce RTX 4090", 25_757_220_864, 24 * 10**9), (b"Tesla T4", 16 * 10**9, 15 * 10**9)])
    cards = nvidia.gpus(nvml)
    assert [(c.name, c.memory_bytes, c.free_bytes) for c in cards] == [
        ("NVIDIA GeForce RTX 4090", 25_757_220_864, 24 * 10**9),
        ("Tesla T4", 16 * 10**9, 15 * 10**9),
    ]
    assert nvml.open == 0, "NVML is closed again"


def test_a_board_without_memory_of_its_own_is_unified() -> None:
    (board,) = nvidia.gpus(FakeNvml([("Orin", None, 0)]))
    assert board.unified
    assert board.memory_bytes > 0


@pytest.mark.parametrize("failure", [FakeNvml.NVMLError_LibraryNotFound(), FakeNvml.NVMLError_DriverNotLoaded()])
def test_no_driver_means_no_card(failure: Exception) -> None:
    assert nvidia.gpus(FakeNvml([], failure)) == ()


def test_other_failures_are_for_the_caller_to_note() -> None:
    with pytest.raises(NVMLError):
        nvidia.gpus(FakeNvml([], NVMLError("driver and library differ")))

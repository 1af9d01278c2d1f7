from __future__ import annotations

from dataclasses import replace

import pytest

from quantgui.fit.logs import LogSize, ParsedLog, compare_log
from quantgui.fit.settings import FitSettings
from quantgui.types import GIB, MemoryEstimate, MemoryKind, MemoryPart, Runtime, Verdict


def estimate(**gib: float) -> MemoryEstimate:
    parts = tuple(MemoryPart(MemoryKind(kind), round(size * GIB)) for kind, size in gib.items())
    return MemoryEstimate("Q4_K_M", 4.9, parts, None, Verdict.FITS, "", Runtime.LLAMA_CPP)


def log(*sizes: tuple[MemoryKind, float, bool]) -> ParsedLog:
    stated = tuple(LogSize(kind, "x", round(gib * GIB), "", on_host) for kind, gib, on_host in sizes)
    return ParsedLog("llama.cpp", Runtime.LLAMA_CPP, stated)


def test_one_line_per_part_that_the_log_states_and_one_for_their_sum() -> None:
    parsed = log((MemoryKind.WEIGHTS, 4, False), (MemoryKind.COMPUTE, 0.5, False), (MemoryKind.COMPUTE, 9, True))
    lines = compare_log(estimate(weights=5, kv_cache=1, compute=0.4), parsed)
    assert [line.label for line in lines] == ["Weights", "Compute buffers", "Sum of these"]
    assert lines[0].error == pytest.approx(0.25)
    assert lines[1].real == 0.5 * GIB, "buffers in RAM belong to the overhead"
    assert lines[2].real == 4.5 * GIB


def test_without_a_gpu_the_buffers_in_ram_are_the_compute_buffers() -> None:
    (line,) = compare_log(estimate(compute=1), log((MemoryKind.COMPUTE, 2, True)))
    assert line.real == 2 * GIB


def test_a_differing_context_is_said() -> None:
    parsed = replace(log((MemoryKind.KV_CACHE, 1, False)), context=4096)
    same, other = (compare_log(estimate(kv_cache=1), parsed, FitSettings(n))[0].note for n in (4096, 8192))
    assert same == ""
    assert "8" in other


def test_of_a_pool_the_share_of_the_context_is_compared() -> None:
    parsed = replace(log((MemoryKind.KV_CACHE, 50, False)), kv_pool_tokens=400_000)
    (line,) = compare_log(estimate(kv_cache=1), parsed, FitSettings(8000))
    assert line.real == GIB


def test_memory_in_use_is_compared_with_the_total() -> None:
    parsed = ParsedLog("nvidia-smi", None, used_bytes=7 * GIB, notes=("Counted is everything.",))
    (line,) = compare_log(estimate(weights=5, kv_cache=1), parsed)
    assert (line.predicted, line.real, line.note) == (6 * GIB, 7 * GIB, "Counted is everything.")


def test_what_is_not_estimated_has_no_error() -> None:
    (line,) = compare_log(estimate(), log((MemoryKind.WEIGHTS, 1, False)))
    assert (line.predicted, line.error) == (None, None)

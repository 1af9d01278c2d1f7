from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantgui.fit.corrections import LARGEST_CORRECTION, Correction, Corrections, apply, correction_from, from_json
from quantgui.fit.logs import LogLine
from quantgui.types import GIB, MemoryEstimate, MemoryKind, MemoryPart, Provenance, Runtime, UserError, Verdict

MIB = 2**20
CARD, DATE = "RTX 3060", "2026-11-21"
ESTIMATE = MemoryEstimate(
    "Q4_K_M",
    4.9,
    (
        MemoryPart(MemoryKind.WEIGHTS, 5 * GIB, Provenance.DERIVED),
        MemoryPart(MemoryKind.KV_CACHE, GIB, Provenance.DERIVED),
        MemoryPart(MemoryKind.COMPUTE, 300 * MIB, Provenance.ESTIMATED, "Buffers.", 250 * MIB, 400 * MIB),
        MemoryPart(MemoryKind.OVERHEAD, 400 * MIB, Provenance.ESTIMATED),
    ),
    None,
    Verdict.FITS,
    "",
    Runtime.LLAMA_CPP,
)
BYTES = st.integers(-LARGEST_CORRECTION, LARGEST_CORRECTION)
ENTRIES = st.builds(
    Correction, st.text(max_size=20), st.sampled_from(list(Runtime)), BYTES, BYTES, st.just(DATE), st.text(max_size=9)
)


def lines(compute: int, real: int, weights: float = 1.0) -> list[LogLine]:
    return [
        LogLine("Weights", MemoryKind.WEIGHTS, 5 * GIB, int(5 * GIB * weights)),
        LogLine("Compute buffers", MemoryKind.COMPUTE, compute, real),
    ]


def test_after_a_correction_the_estimate_is_what_was_measured() -> None:
    correction = correction_from(lines(300 * MIB, 560 * MIB), CARD, Runtime.LLAMA_CPP, DATE, "llama.cpp")
    corrected = apply(Corrections((correction,)), ESTIMATE, CARD)
    assert corrected.part(MemoryKind.COMPUTE) == 560 * MIB
    assert corrected.part(MemoryKind.OVERHEAD) == 400 * MIB
    part = corrected.parts[2]
    assert part.provenance is Provenance.MEASURED
    assert DATE in part.note
    assert part.low is not None
    assert part.high is not None
    assert part.low <= 560 * MIB <= part.high


def test_a_second_log_corrects_the_corrected_estimate() -> None:
    first = correction_from(lines(300 * MIB, 560 * MIB), CARD, Runtime.LLAMA_CPP, DATE, "llama.cpp")
    second = correction_from(lines(560 * MIB, 500 * MIB), CARD, Runtime.LLAMA_CPP, DATE, "llama.cpp", previous=first)
    assert second.compute_bytes == 200 * MIB


def test_weights_and_cache_are_never_corrected() -> None:
    correction = Correction(CARD, Runtime.LLAMA_CPP, MIB, MIB, DATE, "x")
    corrected = apply(Corrections((correction,)), ESTIMATE, CARD)
    assert corrected.parts[:2] == ESTIMATE.parts[:2]


def test_other_devices_and_programs_stay_as_they_are() -> None:
    corrections = Corrections((Correction(CARD, Runtime.LLAMA_CPP, MIB, MIB, DATE, "x"),))
    assert apply(corrections, ESTIMATE, "RTX 4090") is ESTIMATE
    assert corrections.of(CARD, Runtime.VLLM) is None


def test_memory_in_use_corrects_the_overhead() -> None:
    used = [LogLine("In use", None, 6 * GIB, 7 * GIB)]
    correction = correction_from(used, CARD, Runtime.LLAMA_CPP, DATE, "nvidia-smi")
    assert (correction.compute_bytes, correction.overhead_bytes) == (0, GIB)


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (lines(0, 0, weights=1.5), "another model"),
        ([LogLine("Weights", MemoryKind.WEIGHTS, GIB, GIB)], "nothing that could be corrected"),
        ([LogLine("In use", None, 0, 20 * GIB)], "larger than 4"),
        ([], "nothing"),
    ],
)
def test_a_log_of_something_else_is_refused_in_words(found: list[LogLine], words: str) -> None:
    with pytest.raises(UserError, match=words) as refused:
        correction_from(found, CARD, Runtime.LLAMA_CPP, DATE, "llama.cpp")
    assert refused.value.hint


@given(st.lists(ENTRIES, max_size=5))
def test_what_is_saved_is_read_back(entries: list[Correction]) -> None:
    corrections = Corrections()
    for entry in entries:
        corrections = corrections.with_correction(entry)
    assert from_json(json.loads(json.dumps(corrections.as_json()))) == corrections
    for entry in entries:
        assert corrections.of(entry.device, entry.runtime) is not None
        assert corrections.without(entry.device, entry.runtime).of(entry.device, entry.runtime) is None


KEYS = st.sampled_from(["device", "runtime", "compute_bytes", "overhead_bytes", "date", "source"])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner),
    max_leaves=12,
)


@given(JSON)
def test_a_broken_settings_file_is_survived(data: object) -> None:
    for entry in from_json(data).entries:
        assert abs(entry.compute_bytes) <= LARGEST_CORRECTION


@given(ENTRIES)
def test_no_part_becomes_negative_and_bands_hold_their_middle(entry: Correction) -> None:
    corrected = apply(Corrections((entry,)), ESTIMATE, entry.device)
    for part in corrected.parts:
        assert part.nbytes is not None
        assert part.nbytes >= 0
        assert part.low is None or part.low <= part.nbytes
        assert part.high is None or part.high >= part.nbytes

from __future__ import annotations

from dataclasses import replace

import pytest

from quantgui.checkpoint.catalogue import find_entry
from quantgui.fit.budget import budget_of
from quantgui.fit.corrections import Correction, Corrections
from quantgui.fit.estimate import estimate_gguf, estimate_table
from quantgui.fit.questions import (
    best_precision_for_speed,
    compare,
    default_targets,
    longest_context,
    models_that_fit,
    most_slots,
    smallest_device,
)
from quantgui.fit.settings import FitSettings
from quantgui.hardware.catalogue import target
from quantgui.types import GIB, MemoryEstimate, Runtime, UserError, Verdict

MODEL = find_entry("Llama-3.1-8B-Instruct").checkpoint()
CARD = target("RTX 3060")
SETTINGS = FitSettings(8192)


def row(scheme_id: str, settings: FitSettings = SETTINGS) -> MemoryEstimate:
    return next(e for e in estimate_table(MODEL, CARD, settings) if e.scheme_id == scheme_id)


def test_the_longest_context_fits_and_is_said() -> None:
    answer = longest_context(row("Q4_K_M"))
    assert answer.value is not None
    assert row("Q4_K_M", FitSettings(int(answer.value))).verdict is Verdict.FITS
    assert row("Q4_K_M", FitSettings(int(answer.value) + 1024)).verdict is not Verdict.FITS
    assert "tokens" in answer.sentence


def test_an_unknown_longest_context_is_said() -> None:
    assert longest_context(replace(row("Q4_K_M"), longest_context=None)).value is None
    assert "No context" in longest_context(replace(row("Q4_K_M"), longest_context=0)).sentence


def test_the_most_slots_fit_and_one_more_does_not() -> None:
    answer = most_slots(MODEL, CARD, SETTINGS, "Q4_K_M")
    assert answer.value is not None
    slots = int(answer.value)
    assert row("Q4_K_M", FitSettings(8192, slots)).verdict is Verdict.FITS
    assert row("Q4_K_M", FitSettings(8192, slots + 1)).verdict is not Verdict.FITS
    assert most_slots(MODEL, CARD, SETTINGS, "BF16").value == 0


LEARNT = Corrections((Correction(CARD.name, Runtime.LLAMA_CPP, 0, 2 * GIB, "2026-11-21", "nvidia-smi"),))
"""llama.cpp took 2 GiB more on the card than estimated."""


def test_what_a_real_run_taught_counts_in_every_answer() -> None:
    slots = most_slots(MODEL, CARD, SETTINGS, "Q4_K_M", LEARNT).value
    plain = most_slots(MODEL, CARD, SETTINGS, "Q4_K_M").value
    assert slots is not None and plain is not None
    assert 0 < slots < plain
    (compared,) = compare(MODEL, (CARD,), SETTINGS, LEARNT)
    assert compared.estimates == estimate_table(MODEL, CARD, SETTINGS, LEARNT) != estimate_table(MODEL, CARD, SETTINGS)
    corrected = estimate_gguf(MODEL, CARD, SETTINGS, corrections=LEARNT)
    for more, less in zip(corrected, estimate_gguf(MODEL, CARD, SETTINGS), strict=True):
        assert more.total_bytes == less.total_bytes + 2 * GIB
    biggest = next(models_that_fit(CARD, SETTINGS, (find_entry("Llama-3.1-8B-Instruct"),), LEARNT))
    assert biggest.estimate in estimate_gguf(find_entry(biggest.model_id).checkpoint(), CARD, SETTINGS, False, LEARNT)


def test_a_correction_of_another_device_changes_nothing_and_a_large_one_asks_for_a_larger_device() -> None:
    other = Corrections((replace(LEARNT.entries[0], device="RTX 4090"),))
    assert compare(MODEL, (CARD,), SETTINGS, other) == compare(MODEL, (CARD,), SETTINGS)
    usual = smallest_device(MODEL, SETTINGS, "Q4_K_M", lambda device: device.kind == "consumer GPU").hardware
    assert usual is not None
    full = Corrections((replace(LEARNT.entries[0], device=usual.name, overhead_bytes=4 * GIB),))
    next_one = smallest_device(MODEL, SETTINGS, "Q4_K_M", lambda device: device.kind == "consumer GPU", full).hardware
    assert next_one is not None
    assert next_one.name != usual.name


def test_an_unknown_precision_is_refused_in_words() -> None:
    with pytest.raises(UserError, match="no precision"):
        most_slots(MODEL, CARD, SETTINGS, "Q9")


def test_the_smallest_device_runs_it_and_smaller_ones_do_not() -> None:
    answer = smallest_device(MODEL, SETTINGS, "Q4_K_M", lambda device: device.kind == "consumer GPU")
    assert answer.hardware is not None
    assert answer.estimate is not None
    assert answer.estimate.verdict is Verdict.FITS
    assert answer.hardware.name in answer.sentence
    for name in ("GTX 1660", "RTX 2060", "Arc A380"):
        rows = estimate_table(MODEL, target(name), SETTINGS)
        assert next(e for e in rows if e.scheme_id == "Q4_K_M").verdict is not Verdict.FITS


def test_where_no_device_is_large_enough_the_need_is_said() -> None:
    answer = smallest_device(MODEL, SETTINGS, "BF16", lambda device: device.kind == "single board")
    assert answer.hardware is None
    assert "GiB" in answer.sentence


def test_the_best_precision_is_fast_enough_and_a_slower_goal_never_gets_a_worse_one() -> None:
    estimates = estimate_table(MODEL, CARD, SETTINGS)
    fast = best_precision_for_speed(estimates, 40)
    assert fast.value is not None
    assert fast.value >= 40
    slow = best_precision_for_speed(estimates, 5)
    assert slow.rows[0].bits_per_weight >= fast.rows[0].bits_per_weight
    assert "Nothing is that fast" in best_precision_for_speed(estimates, 10_000).sentence


@pytest.mark.parametrize("goal", [0, -1, float("nan")])
def test_an_impossible_goal_is_refused(goal: float) -> None:
    with pytest.raises(UserError):
        best_precision_for_speed((), goal)


def test_without_speeds_nothing_is_claimed() -> None:
    blind = [replace(e, speed=None) for e in estimate_table(MODEL, CARD, SETTINGS)]
    assert best_precision_for_speed(blind, 5).value is None


def test_models_come_biggest_first_and_each_fits() -> None:
    names = ("Qwen3-0.6B", "Qwen2.5-72B-Instruct", "Llama-3.1-8B-Instruct", "Meta-Llama-3.1-8B-Instruct", "phi-2")
    laptop = target("RTX 4060 Laptop")
    found = list(models_that_fit(laptop, SETTINGS, tuple(find_entry(name) for name in names)))
    assert [candidate.model_id.rpartition("/")[2] for candidate in found] == [names[2], names[4], names[0]]
    for candidate in found:
        assert candidate.estimate.verdict is Verdict.FITS
        assert candidate.estimate.bits_per_weight >= 4
        assert candidate.estimate.total_bytes <= budget_of(laptop).primary_bytes
        assert candidate.model_id in candidate.sentence


def test_devices_are_compared_side_by_side_with_the_rule_of_thumb() -> None:
    this_machine = replace(CARD, name="This machine")
    targets = default_targets(this_machine)
    rows = compare(MODEL, targets, SETTINGS)
    assert rows[0].hardware is this_machine
    assert len(rows) == 7
    for compared in rows:
        assert compared.rule_of_thumb
        assert (compared.recommendation is None) == (compared.estimate is None)
        if compared.recommendation is not None and compared.estimate is not None:
            assert compared.recommendation.scheme_id == compared.estimate.scheme_id
            is_server = compared.hardware.kind == "datacenter GPU"
            assert (compared.estimate.runtime is Runtime.VLLM) == is_server, "servers run vLLM"


def test_a_runtime_that_is_asked_for_is_compared_everywhere() -> None:
    (compared,) = compare(MODEL, [target("A100")], FitSettings(runtime=Runtime.LLAMA_CPP))
    assert compared.estimate is not None
    assert compared.estimate.runtime is Runtime.LLAMA_CPP

from __future__ import annotations

from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantgui.checkpoint.catalogue import find_entry
from quantgui.fit.estimate import estimate_table
from quantgui.fit.quality_loss import NOTICEABLE, quality_loss, severity
from quantgui.fit.recommendation import Recommendation, recommend
from quantgui.fit.settings import FitSettings
from quantgui.hardware.catalogue import parse_target, target
from quantgui.types import GIB, Checkpoint, MemoryEstimate, MemoryKind, MemoryPart, Runtime, Verdict

CARD = target("RTX 3060")


@cache
def model(name: str) -> Checkpoint:
    return find_entry(name).checkpoint()


def row(
    scheme_id: str, bits: float, verdict: Verdict, gib: float = 8, kv_gib: float = 0.5, longest: int | None = None
) -> MemoryEstimate:
    parts = (
        MemoryPart(MemoryKind.WEIGHTS, int(gib * GIB)),
        MemoryPart(MemoryKind.KV_CACHE, int(kv_gib * GIB)),
    )
    return MemoryEstimate(
        scheme_id, bits, parts, None, verdict, "", Runtime.LLAMA_CPP, None, longest, None, quality_loss(scheme_id, bits)
    )


def chosen(name: str, hardware: str, context: int = 8192) -> Recommendation | None:
    where = parse_target(hardware)
    return recommend(estimate_table(model(name), where, FitSettings(context)), where)


@pytest.mark.parametrize(
    ("name", "hardware", "scheme_id"),
    [
        ("Llama-3.1-8B-Instruct", "RTX 3060", "Q8_0"),
        ("Llama-3.1-8B-Instruct", "A100", "BF16"),
        ("Llama-3.1-8B-Instruct", "Apple M4", "Q8_0"),
        ("Qwen3-0.6B", "RTX 3060", "BF16"),
        ("Qwen2.5-14B-Instruct", "RTX 4090", "Q8_0"),
        ("Qwen2.5-72B-Instruct", "RTX 4090", "Q4_K_M"),
    ],
)
def test_what_people_of_the_field_would_choose(name: str, hardware: str, scheme_id: str) -> None:
    recommendation = chosen(name, hardware)
    assert recommendation is not None
    assert recommendation.scheme_id == scheme_id


def test_without_a_gpu_a_large_model_gets_four_bits() -> None:
    recommendation = chosen("Llama-3.1-8B-Instruct", "Desktop CPU, DDR5-6000 dual channel")
    assert recommendation is not None
    assert recommendation.scheme_id == "Q4_K_M"


def test_without_a_gpu_a_small_model_gets_eight() -> None:
    recommendation = chosen("Qwen3-0.6B", "Raspberry Pi 5")
    assert recommendation is not None
    assert recommendation.scheme_id == "Q8_0"


@pytest.mark.parametrize("hardware", ["RTX 3060", "RTX 4090", "2xRTX 4090", "A100", "Apple M4", "Snapdragon 8 Elite"])
@pytest.mark.parametrize("name", ["Llama-3.1-8B-Instruct", "gpt-oss-20b", "Qwen2.5-72B-Instruct"])
def test_nothing_lossy_is_chosen_while_something_better_fits(name: str, hardware: str) -> None:
    where = parse_target(hardware)
    estimates = estimate_table(model(name), where)
    recommendation = recommend(estimates, where)
    if recommendation is None:
        assert all(e.verdict is Verdict.TOO_LARGE for e in estimates)
        return
    star = next(e for e in estimates if e.scheme_id == recommendation.scheme_id)
    better = [e for e in estimates if e.verdict is Verdict.FITS and severity(e.quality) < NOTICEABLE]
    if severity(star.quality) > NOTICEABLE:
        assert not better
    assert star.verdict is not Verdict.TOO_LARGE


def test_the_sentence_names_the_size_and_a_large_cache() -> None:
    rows = [row("Q8_0", 8.5, Verdict.FITS, gib=3, kv_gib=7)]
    assert recommend(rows, CARD) == Recommendation(
        "Q8_0", "Largest precision with hardly any loss that fits 12.0\u00a0GiB; the KV cache is 70\u00a0% of it."
    )


def test_what_would_make_it_fit_is_said() -> None:
    rows = [row("Q4_K_M", 4.9, Verdict.OFFLOAD, gib=5, kv_gib=8, longest=12_288)]
    recommendation = recommend(rows, CARD)
    assert recommendation is not None
    assert "12\u202f288 tokens of context or a q8_0 KV cache would fit" in recommendation.sentence


def test_four_bits_that_fit_come_before_eight_in_ram() -> None:
    rows = [row("Q8_0", 8.5, Verdict.OFFLOAD), row("Q4_K_M", 4.9, Verdict.FITS)]
    recommendation = recommend(rows, CARD)
    assert recommendation is not None
    assert recommendation.scheme_id == "Q4_K_M"


def test_the_worst_types_are_for_when_nothing_else_runs() -> None:
    bad, good = row("IQ1_S", 2.0, Verdict.FITS), row("Q4_K_M", 4.9, Verdict.OFFLOAD)
    for rows, scheme_id in (([bad, good], "Q4_K_M"), ([bad], "IQ1_S")):
        recommendation = recommend(rows, CARD)
        assert recommendation is not None
        assert recommendation.scheme_id == scheme_id


SCHEMES = st.sampled_from(
    [("BF16", 16.0), ("Q8_0", 8.5), ("Q4_K_M", 4.9), ("INT2", 3.0), ("stored", 4.2), ("FP32", 32.0)]
)


@given(st.lists(st.tuples(SCHEMES, st.sampled_from(list(Verdict)), st.floats(0.1, 50), st.floats(0, 50))))
def test_whatever_the_table_holds_something_that_runs_is_chosen_if_anything_does(
    rows: list[tuple[tuple[str, float], Verdict, float, float]],
) -> None:
    estimates = [row(*scheme, verdict, gib, kv) for scheme, verdict, gib, kv in rows]
    runs = {e.scheme_id for e in estimates if e.verdict is not Verdict.TOO_LARGE}
    recommendation = recommend(estimates, CARD)
    assert (recommendation is None) == (not runs)
    if recommendation is not None:
        assert recommendation.scheme_id in runs
        assert recommendation.sentence.endswith(".")


def test_a_precision_that_its_program_unpacks_again_is_not_recommended() -> None:
    estimates = estimate_table(
        find_entry("Qwen/Qwen3-8B").checkpoint(), target("RTX 4090"), FitSettings(runtime=Runtime.TRANSFORMERS)
    )
    chosen = recommend(estimates, target("RTX 4090"))
    assert chosen is not None
    whole = next(e for e in estimates if e.scheme_id == "BF16")
    starred = next(e for e in estimates if e.scheme_id == chosen.scheme_id)
    assert starred is whole or starred.total_bytes < whole.total_bytes

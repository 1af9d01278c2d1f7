from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quantgui.checkpoint.config import read_config
from quantgui.fit.budget import Budget
from quantgui.fit.kv_cache import KvCache, kv_cache
from quantgui.fit.settings import FitSettings
from quantgui.fit.verdict import Need, explain, judge
from quantgui.fit.weights import WeightBytes
from quantgui.types import GIB, Verdict

ORDER = list(Verdict)
CARD = Budget(12 * GIB, 32 * GIB)
UNIFIED = Budget(10 * GIB, 16 * GIB, unified=True)
RAM_ONLY = Budget(0, 16 * GIB)
SETTINGS = FitSettings(32_768)
LLAMA_8B = read_config(
    {
        "model_type": "llama",
        "hidden_size": 4096,
        "num_hidden_layers": 32,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
    }
)


def cache_8b() -> KvCache:
    cache, _ = kv_cache(LLAMA_8B)
    assert cache is not None
    return cache


def need(scheme_id: str, gib: float, cache: KvCache | None = None, settings: FitSettings = SETTINGS) -> Need:
    weights = WeightBytes(scheme_id, int(gib * GIB), None, None)
    return Need(weights, cache.nbytes(settings) if cache else None, cache)


@pytest.mark.parametrize(
    ("budget", "gib", "verdict"),
    [
        (CARD, 10.7, Verdict.FITS),
        (CARD, 10.9, Verdict.TIGHT),
        (CARD, 12, Verdict.TIGHT),
        (CARD, 12.1, Verdict.OFFLOAD),
        (CARD, 44, Verdict.OFFLOAD),
        (CARD, 44.1, Verdict.TOO_LARGE),
        (UNIFIED, 10, Verdict.TIGHT),
        (UNIFIED, 16, Verdict.OFFLOAD),
        (UNIFIED, 16.1, Verdict.TOO_LARGE),
        (RAM_ONLY, 14, Verdict.FITS),
        (RAM_ONLY, 16, Verdict.TIGHT),
        (RAM_ONLY, 16.1, Verdict.TOO_LARGE),
        (Budget(12 * GIB, 0), 13, Verdict.TOO_LARGE),
    ],
)
def test_where_the_verdicts_change(budget: Budget, gib: float, verdict: Verdict) -> None:
    assert judge(int(gib * GIB), budget) is verdict


@settings(deadline=None)
@given(
    total=st.integers(0, 100 * GIB), more=st.integers(0, 100 * GIB), budget=st.sampled_from([CARD, UNIFIED, RAM_ONLY])
)
def test_more_bytes_never_get_a_better_verdict(total: int, more: int, budget: Budget) -> None:
    assert ORDER.index(judge(total + more, budget)) >= ORDER.index(judge(total, budget))


def test_the_failing_resource_is_named() -> None:
    reasons = [explain(need("BF16", 50), [], budget, SETTINGS)[1] for budget in (CARD, UNIFIED, RAM_ONLY)]
    assert "GPU memory and RAM together are 44" in reasons[0]
    assert "16.0" in reasons[1]
    assert "of RAM" in reasons[2]


@settings(deadline=None)
@given(gib=st.floats(0.5, 40), context=st.integers(2048, 131_072))
def test_a_context_that_is_said_to_fit_fits_and_a_longer_one_does_not(gib: float, context: int) -> None:
    settings = FitSettings(context)
    row = need("INT4", gib, cache_8b(), settings)
    verdict, reason = explain(row, [row], CARD, settings)
    found = re.search(r"A context of (\S+) tokens would fit", reason)
    if found is None:
        return
    advised = int(re.sub(r"\D", "", found[1]))
    assert verdict is not Verdict.FITS
    assert advised < context
    assert judge(row.weights.nbytes + cache_8b().nbytes(FitSettings(advised)), CARD) is Verdict.FITS
    if advised + 256 < context:
        assert judge(row.weights.nbytes + cache_8b().nbytes(FitSettings(advised + 256)), CARD) is not Verdict.FITS


def test_the_next_smaller_precision_that_fits_is_named() -> None:
    rows = [need("BF16", 16), need("INT8", 9), need("INT4", 5)]
    assert explain(rows[0], rows, CARD, SETTINGS)[1].endswith("INT8 would fit.")


def test_where_nothing_fits_the_best_that_runs_at_all_is_named() -> None:
    rows = [need("BF16", 60), need("INT8", 30), need("INT4", 20)]
    assert "INT8 would run with part of it in RAM" in explain(rows[0], rows, CARD, SETTINGS)[1]
    assert "Even INT4 needs" in explain(rows[1], rows, CARD, SETTINGS)[1]
    assert "would be enough" in explain(rows[2], rows, CARD, SETTINGS)[1]


def test_an_unknown_cache_is_said() -> None:
    verdict, reason = explain(need("INT4", 5), [], CARD, SETTINGS)
    assert verdict is Verdict.FITS
    assert "KV cache is not estimated" in reason


def test_what_fits_says_how_much_stays_free() -> None:
    assert "7.00" in explain(need("INT4", 5), [], CARD, SETTINGS)[1]

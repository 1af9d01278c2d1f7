from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quantgui.checkpoint.config import read_config
from quantgui.fit.budget import Budget, budget_of
from quantgui.fit.demand import Demand
from quantgui.fit.kv_cache import kv_cache
from quantgui.fit.longest import Longest
from quantgui.fit.model_facts import ModelFacts, Shape
from quantgui.fit.placement import place
from quantgui.fit.runtimes import RULES
from quantgui.fit.settings import FitSettings
from quantgui.fit.situation import Situation
from quantgui.fit.verdict import Placed, explain, judge
from quantgui.fit.weights import WeightBytes
from quantgui.hardware.catalogue import target
from quantgui.hardware.custom import custom_target
from quantgui.types import GIB, Runtime, Verdict

ORDER = list(Verdict)
CARD = budget_of(custom_target("x", 12, 32))
SHARED = budget_of(target("Apple M4"))
RAM_ONLY = budget_of(custom_target("x", ram_gib=16))
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
FACTS = ModelFacts(Shape(4096, 14336, 128_256, 32), *kv_cache(LLAMA_8B))


def demand_of(settings: FitSettings = SETTINGS, runtime: Runtime = Runtime.LLAMA_CPP) -> Demand:
    return Demand(RULES[runtime], FACTS, settings)


def said_of(row: Placed, others: list[Placed], demand: Demand, budget: Budget) -> str:
    return explain(row, others, Situation(demand, budget, Longest(demand, budget)))


def placed(scheme_id: str, gib: float, demand: Demand, budget: Budget) -> Placed:
    weights = WeightBytes(scheme_id, int(gib * GIB), None, None)
    return Placed(weights, place(weights, demand, budget))


def reasons(budget: Budget, demand: Demand, **rows: float) -> dict[str, str]:
    listed = [placed(name, gib, demand, budget) for name, gib in rows.items()]
    return {row.weights.scheme_id: said_of(row, listed, demand, budget) for row in listed}


@pytest.mark.parametrize(
    ("budget", "gib", "verdict"),
    [
        (CARD, 10.7, Verdict.FITS),
        (CARD, 10.9, Verdict.TIGHT),
        (CARD, 12, Verdict.TIGHT),
        (CARD, 12.1, Verdict.OFFLOAD),
        (CARD, 44, Verdict.OFFLOAD),
        (CARD, 44.1, Verdict.TOO_LARGE),
        (Budget(10 * GIB, 16 * GIB, unified=True), 16, Verdict.OFFLOAD),
        (Budget(10 * GIB, 16 * GIB, unified=True), 16.1, Verdict.TOO_LARGE),
        (RAM_ONLY, 14, Verdict.FITS),
        (RAM_ONLY, 16, Verdict.TIGHT),
        (RAM_ONLY, 16.1, Verdict.TOO_LARGE),
        (Budget(12 * GIB, 0), 13, Verdict.TOO_LARGE),
    ],
)
def test_where_the_verdicts_on_plain_bytes_change(budget: Budget, gib: float, verdict: Verdict) -> None:
    assert judge(int(gib * GIB), budget) is verdict


@settings(deadline=None)
@given(
    gib=st.floats(0, 60),
    more=st.floats(0, 60),
    budget=st.sampled_from([CARD, SHARED, RAM_ONLY]),
    runtime=st.sampled_from(list(Runtime)),
)
def test_more_bytes_never_get_a_better_verdict(gib: float, more: float, budget: Budget, runtime: Runtime) -> None:
    demand = demand_of(runtime=runtime)
    light, heavy = (placed("x", size, demand, budget).outcome.verdict for size in (gib, gib + more))
    assert ORDER.index(heavy) >= ORDER.index(light)


def test_the_failing_resource_is_named() -> None:
    demand = demand_of()
    said = [reasons(budget, demand, BF16=50)["BF16"] for budget in (CARD, SHARED, RAM_ONLY)]
    assert "GPU memory and RAM together are 44" in said[0]
    assert "there are 16.0" in said[1]
    assert "of RAM" in said[2]


def test_a_runtime_that_uses_no_ram_says_so() -> None:
    demand = demand_of(runtime=Runtime.VLLM)
    row = placed("BF16", 16, demand, CARD)
    assert row.outcome.verdict is Verdict.TOO_LARGE
    assert "vLLM uses no RAM" in said_of(row, [row], demand, CARD)


@settings(deadline=None, max_examples=40)
@given(gib=st.floats(0.5, 40), context=st.integers(2048, 131_072))
def test_a_context_that_is_said_to_fit_fits_and_a_longer_one_does_not(gib: float, context: int) -> None:
    demand = demand_of(FitSettings(context))
    row = placed("Q4_K_M", gib, demand, CARD)
    found = re.search(r"[Aa] context of (\S+) tokens (?:would fit|or)", said_of(row, [row], demand, CARD))
    if found is None:
        return
    advised = int(re.sub(r"\D", "", found[1]))
    assert row.outcome.verdict is not Verdict.FITS
    assert advised < context
    assert place(row.weights, demand_of(FitSettings(advised)), CARD).verdict is Verdict.FITS
    if advised + 256 < context:
        assert place(row.weights, demand_of(FitSettings(advised + 256)), CARD).verdict is not Verdict.FITS


def test_a_cache_that_is_said_to_fit_fits() -> None:
    demand = demand_of(FitSettings(65_536))
    row = placed("Q4_K_M", 4.6, demand, CARD)
    reason = said_of(row, [row], demand, CARD).replace("\u00a0", " ").replace("\u202f", " ")
    assert "The KV cache is 62 % of it; a context of 49 152 tokens or a KV cache in q8_0 would fit." in reason
    assert place(row.weights, demand_of(FitSettings(65_536, kv_dtype="q8_0")), CARD).verdict is Verdict.FITS


def test_what_serves_people_well_is_named_before_the_largest_that_fits() -> None:
    said = reasons(CARD, demand_of(FitSettings(4096)), **{"BF16": 16, "LLM.int8": 8.6, "INT8": 8.5, "INT4": 5.3})
    assert said["BF16"].endswith("INT8 would fit.")


def test_a_sensible_row_with_less_context_is_named_before_an_odd_one() -> None:
    said = reasons(CARD, demand_of(FitSettings(65_536)), BF16=16, INT4=5.3, Binary=1.0)
    assert re.search(r"INT4 with a context of .* tokens would fit", said["BF16"])


def test_where_nothing_helps_the_smallest_and_what_would_be_enough_are_named() -> None:
    said = reasons(CARD, demand_of(FitSettings(1024)), BF16=60, INT8=50)
    assert "Even INT8 needs" in said["BF16"]
    assert "would be enough" in said["INT8"]


def test_apple_computers_are_told_how_to_raise_the_limit() -> None:
    demand = demand_of(FitSettings(1024))
    row = placed("Q8_0", 11, demand, SHARED)
    assert row.outcome.verdict is Verdict.OFFLOAD
    assert "iogpu.wired_limit_mb=" in said_of(row, [row], demand, SHARED)


def test_an_unknown_cache_is_said() -> None:
    demand = Demand(RULES[Runtime.LLAMA_CPP], ModelFacts(None, None, "Not known."), SETTINGS)
    row = placed("INT4", 5, demand, CARD)
    assert row.outcome.verdict is Verdict.FITS
    assert "KV cache is not estimated" in said_of(row, [row], demand, CARD)


def test_what_fits_says_how_much_stays_free() -> None:
    assert "stay free" in reasons(CARD, demand_of(FitSettings(1024)), INT4=5)["INT4"]

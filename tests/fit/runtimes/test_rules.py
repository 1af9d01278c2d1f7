"""Laws that hold for every runtime."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quantgui.checkpoint.catalogue import catalogue, checkpoint_from_config, find_entry
from quantgui.fit.demand import Demand
from quantgui.fit.model_facts import ModelFacts, facts_of
from quantgui.fit.runtimes import RULES, Site, SiteKind
from quantgui.fit.settings import KV_TYPES, FitSettings, bits_per_element
from quantgui.types import Checkpoint, MemoryKind, Provenance, Runtime, SourceKind

MODELS = (
    "meta-llama/Llama-3.1-8B-Instruct",
    "google/gemma-3-27b-it",
    "Qwen/Qwen3-30B-A3B",
    "deepseek-ai/DeepSeek-V3.2",
    "nvidia/Qwen3.6-27B-NVFP4",
    "EleutherAI/pythia-2.8b",
)
SITES = (Site(SiteKind.CUDA), Site(SiteKind.CUDA, 4), Site(SiteKind.METAL), Site(SiteKind.CPU))
RUNTIMES = st.sampled_from(list(Runtime))
USES = st.builds(
    FitSettings,
    context=st.integers(1, 10**6),
    batch=st.integers(1, 8),
    kv_dtype=st.sampled_from(list(KV_TYPES)),
    slots=st.integers(1, 8),
    flash_attention=st.booleans(),
    kv_unified=st.booleans(),
)


@cache
def facts(model: str) -> ModelFacts:
    return facts_of(checkpoint_from_config("", find_entry(model).config))


def total(runtime: Runtime, model: str, usage: FitSettings, site: Site) -> int:
    return Demand(RULES[runtime], facts(model), usage).load(site).total


@settings(deadline=None)
@given(model=st.sampled_from(MODELS), runtime=RUNTIMES, site=st.sampled_from(SITES), usage=USES)
def test_every_part_lies_in_its_band_and_says_its_rule(
    model: str, runtime: Runtime, site: Site, usage: FitSettings
) -> None:
    load = Demand(RULES[runtime], facts(model), usage).load(site)
    assert [part.kind for part in load.parts] == list(MemoryKind)[1:]
    assert load.total == sum(part.nbytes or 0 for part in load.parts)
    for part in load.parts:
        assert part.nbytes is not None
        low, high = part.nbytes if part.low is None else part.low, part.nbytes if part.high is None else part.high
        assert 0 <= low <= part.nbytes <= high
        assert (part.provenance is Provenance.DERIVED) == (part.low is None)
    assert load.compute.note and load.overhead.note


@settings(deadline=None)
@given(model=st.sampled_from(MODELS), runtime=RUNTIMES, site=st.sampled_from(SITES), usage=USES, data=st.data())
def test_more_of_anything_never_needs_less(
    model: str, runtime: Runtime, site: Site, usage: FitSettings, data: st.DataObject
) -> None:
    field = data.draw(st.sampled_from(["context", "batch", "slots"]))
    if field == "slots" and not usage.kv_unified:
        return  # the context is dealt out to the slots: windows may need less in all
    more = replace(usage, **{field: getattr(usage, field) + data.draw(st.integers(0, 9))})
    assert total(runtime, model, more, site) >= total(runtime, model, usage, site)


@pytest.mark.parametrize("runtime", Runtime)
def test_a_cache_of_fewer_bits_never_takes_more(runtime: Runtime) -> None:
    model = facts("google/gemma-3-27b-it")
    rules = RULES[runtime]
    by_bits = sorted(KV_TYPES, key=lambda name: bits_per_element(rules.kv_dtype(name)))
    sizes = [rules.kv_cache(model, FitSettings(kv_dtype=name)).nbytes or 0 for name in by_bits]
    assert sizes == sorted(sizes)


def test_every_model_of_the_catalogue_has_buffers_in_every_runtime() -> None:
    for entry in catalogue():
        model = facts_of(Checkpoint(entry.id, SourceKind.CONFIG, "", (), entry.config))
        assert model.cache is not None or "not estimated" in model.cache_note, entry.id
        for rules in RULES.values():
            load = Demand(rules, model, FitSettings()).load(Site(SiteKind.CUDA))
            assert load.compute.nbytes or model.shape is None, entry.id
            assert load.kv_bytes or model.cache is None or model.cache.is_empty, entry.id


@settings(deadline=None)
@given(capacity=st.integers(0, 2**40), more=st.integers(0, 2**40), runtime=RUNTIMES)
def test_what_is_comfortable_is_less_than_everything_and_grows(capacity: int, more: int, runtime: Runtime) -> None:
    comfortable = RULES[runtime].comfortable
    assert 0 <= comfortable(capacity) <= capacity
    assert comfortable(capacity + more) >= comfortable(capacity)

"""The memory model against logs and published tables: cache, compute buffers, whole programs."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from quantgui.checkpoint.catalogue import catalogue, checkpoint_from_config, find_entry
from quantgui.checkpoint.config import read_config
from quantgui.fit.gguf_weights import gguf_weights
from quantgui.fit.kv_cache import KvCache
from quantgui.fit.model_facts import ModelFacts, facts_of
from quantgui.fit.published_weights import published_weights
from quantgui.fit.runtimes import LLAMA_CPP, TRANSFORMERS, VLLM, Site, SiteKind
from quantgui.fit.runtimes.llama_cpp import buffers, older_buffers
from quantgui.fit.runtimes.transformers import old_logits_bytes, prefill_bytes
from quantgui.fit.settings import FitSettings
from quantgui.fit.weights import recipe_weights
from quantgui.schemes.recipe import Recipe, SchemeSpec
from quantgui.types import GIB, Checkpoint, Runtime

MIB = 2**20
DATA = Path(__file__).parent / "data" / "runtime_memory.json"
GENERATED = 2048
"""Tokens that Qwen's tables generate behind each prompt."""
OWN_BUILD = 2026
TIED_HEAD = "a tied head twice while loading"
LAST_TOKEN_LOGITS = (4, 45)
"""The first version of transformers that computes the logits of the last prompt token alone."""


@dataclass(frozen=True)
class Comparison:
    """One published number and ours, in MiB. `flag` says why it may be off: the estimate says so as well."""

    label: str
    published: float
    predicted: float
    flag: str = ""

    @property
    def error_percent(self) -> float:
        """Signed: positive where the prediction is too large."""
        return 100 * (self.predicted / self.published - 1)


@cache
def data() -> Mapping[str, Any]:
    """The published numbers."""
    return json.loads(DATA.read_text(encoding="utf-8"))


def parameter_counts() -> list[Comparison]:
    """Elements of every catalogue model whose published index states them; here in elements, not MiB."""
    return [
        Comparison(entry.id, entry.parameters, entry.checkpoint().parameters)
        for entry in catalogue()
        if entry.parameters is not None
    ]


def kv_caches() -> list[Comparison]:
    """llama.cpp's lines on its cache, and the pools of vLLM, whose sizes show two decimals of a GiB."""
    return [*_llama_caches(), *_vllm_pools()]


def compute_buffers() -> list[Comparison]:
    """llama.cpp's compute buffers, each by the rule of its year."""
    found = []
    for row in data()["compute"]:
        facts, settings = facts_of(_checkpoint(row["model"])), _settings(row)
        assert facts.shape is not None
        by_year = buffers(facts, settings) if row["build"] >= OWN_BUILD else older_buffers(facts.shape, settings)
        label = f"{row['model']} {row['context']} {row['kv_dtype']} x{row['slots']} {row['build']}"
        label += "" if row["flash_attention"] else " without flash attention"
        found.append(Comparison(label, row["mib"], by_year.nbytes / MIB, row["remark"]))
    return found


def totals() -> list[Comparison]:
    """Whole programs: Qwen's tables as PyTorch's allocator counts, and llama.cpp on a GPU."""
    return [*_qwen_tables(), *_llama_programs()]


def _llama_caches() -> Iterator[Comparison]:
    for row in data()["kv_cache"]:
        facts, settings = facts_of(_checkpoint(row["model"])), _settings(row)
        assert facts.cache is not None
        kept = replace(facts, cache=_part(facts.cache, row["part"]))
        nbytes = LLAMA_CPP.kv_cache(kept, settings).nbytes or 0
        shared = "" if row["kv_unified"] else " not unified"
        label = f"{row['model']} {row['context']} {row['kv_dtype']} x{row['slots']}{shared}, {row['part']}"
        yield Comparison(label, row["mib"], round(nbytes / MIB, 2))


def _vllm_pools() -> Iterator[Comparison]:
    for row in data()["vllm_pools"]:
        facts = facts_of(_checkpoint(row["model"]))
        nbytes = VLLM.kv_cache(facts, FitSettings(row["tokens"])).nbytes or 0
        yield Comparison(
            f"{row['model']} {row['tokens']} tokens in vLLM", row["gib"] * 1024, round(nbytes / GIB, 2) * 1024
        )


def _qwen_tables() -> Iterator[Comparison]:
    for row in data()["transformers"]:
        checkpoint, facts = _checkpoint(row["model"], row["format"]), facts_of(_checkpoint(row["model"]))
        weights = published_weights(checkpoint) or recipe_weights(checkpoint, Recipe(SchemeSpec("BF16")))
        settings = FitSettings(row["prompt"] + GENERATED)
        assert facts.shape is not None
        nbytes = weights.nbytes + (TRANSFORMERS.kv_cache(facts, settings).nbytes or 0)
        nbytes += prefill_bytes(facts.shape, row["prompt"])
        flag = TIED_HEAD if (weights.file_bytes or 0) > 1.01 * weights.nbytes else ""
        if tuple(map(int, row["transformers"].split(".")[:2])) < LAST_TOKEN_LOGITS:
            nbytes += old_logits_bytes(facts.shape, row["prompt"])
            flag = "logits of every prompt token; a tied head twice while loading"
        label = f"{row['model']} {row['format']} {row['prompt']} transformers {row['transformers']}"
        yield Comparison(label, row["mib"], nbytes / MIB, flag)


def _llama_programs() -> Iterator[Comparison]:
    site = Site(SiteKind.CUDA)
    for row in data()["llama_cpp"]:
        checkpoint, settings = _checkpoint(row["model"]), FitSettings(row["context"], kv_dtype=row["kv_dtype"])
        facts = facts_of(checkpoint)
        weights = next(w for w in gguf_weights(checkpoint) if w.scheme_id == row["file_type"])
        beside = (LLAMA_CPP.kv_cache(facts, settings), LLAMA_CPP.overhead(facts, settings, site))
        nbytes = weights.nbytes - LLAMA_CPP.host_weights(weights) + sum(part.nbytes or 0 for part in beside)
        nbytes += _buffers(facts, settings, row["build"]) - LLAMA_CPP.host_buffers(facts, settings)
        yield Comparison(f"{row['model']} {row['file_type']} {row['context']} llama.cpp", row["mib"], nbytes / MIB)


def _buffers(facts: ModelFacts, settings: FitSettings, build: int) -> int:
    assert facts.shape is not None
    by_year = buffers(facts, settings) if build >= OWN_BUILD else older_buffers(facts.shape, settings)
    return by_year.nbytes


def _part(kept: KvCache, part: str) -> KvCache:
    """The layers a line of the log is about."""
    if part == "state":
        return replace(kept, groups=())
    groups = kept.groups
    if part in ("full", "sliding"):
        groups = tuple(group for group in groups if (group.window is None) == (part == "full"))
    states = {} if part == "all" else {"convolution_elements": 0, "recurrent_elements": 0}
    return replace(kept, groups=groups, **states)


def _settings(row: Mapping[str, Any]) -> FitSettings:
    return FitSettings(
        context=row["context"],
        kv_dtype=row["kv_dtype"],
        slots=row["slots"],
        flash_attention=row.get("flash_attention", True),
        kv_unified=row.get("kv_unified", True),
        runtime=Runtime.LLAMA_CPP,
    )


@cache
def _checkpoint(model: str, form: str = "BF16") -> Checkpoint:
    described, quantization = data()["models"][model], data()["quantization"][form]
    base = find_entry(described["base"]).config.raw if "base" in described else {}
    raw = {**base, **described.get("config", {})}
    raw.pop("quantization_config", None)
    return checkpoint_from_config(
        "", read_config({**raw, "quantization_config": quantization} if quantization else raw)
    )

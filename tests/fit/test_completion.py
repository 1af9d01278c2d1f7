from __future__ import annotations

import pytest

from quantgui.checkpoint.catalogue import checkpoint_from_config, find_entry
from quantgui.checkpoint.config import read_config
from quantgui.fit.estimate import estimate_table
from quantgui.fit.recommendation import recommend
from quantgui.fit.settings import FitSettings
from quantgui.hardware.catalogue import target
from quantgui.hardware.custom import custom_target
from quantgui.types import Verdict

MODEL = find_entry("Llama-3.1-8B-Instruct").checkpoint()


def test_what_runs_has_a_speed_and_what_does_not_has_none() -> None:
    for estimate in estimate_table(MODEL, target("RTX 3060", ram_gb=16)):
        assert (estimate.speed is None) == (estimate.verdict is Verdict.TOO_LARGE), estimate.scheme_id
        assert estimate.quality is not None, estimate.scheme_id


def test_fewer_bytes_are_faster_and_a_longer_context_is_slower() -> None:
    def speeds(context: int) -> dict[str, float]:
        rows = estimate_table(MODEL, target("RTX 4090"), FitSettings(context))
        return {row.scheme_id: row.speed.tokens_per_second for row in rows if row.speed}

    short, long = speeds(1024), speeds(32_768)
    assert short["GGUF-BF16"] < short["Q8_0"] < short["Q6_K"] < short["Q4_K_M"]
    assert all(long[scheme] < speed for scheme, speed in short.items() if scheme in long)


def test_an_unknown_bandwidth_leaves_the_memory_and_the_quality() -> None:
    for estimate in estimate_table(MODEL, custom_target("Card", vram_gib=24, ram_gib=32)):
        assert estimate.speed is None
        assert estimate.quality is not None


@pytest.mark.parametrize("slots", [1, 4])
def test_slots_share_the_context(slots: int) -> None:
    rows = estimate_table(MODEL, target("RTX 4090"), FitSettings(8192, slots=slots))
    assert all(row.speed for row in rows if row.verdict is Verdict.FITS)


def test_weights_packed_as_they_were_published_lose_nothing() -> None:
    rows = {row.scheme_id: row for row in estimate_table(find_entry("gpt-oss-20b").checkpoint(), target("RTX 4090"))}
    quality = rows["MXFP4_MOE"].quality
    assert quality is not None
    assert quality.words == "no loss"
    recommendation = recommend(tuple(rows.values()), target("RTX 4090"))
    assert recommendation is not None
    assert recommendation.scheme_id == "MXFP4_MOE", "more bits add nothing"


def test_an_encoder_generates_nothing() -> None:
    config = {
        "model_type": "bert",
        "hidden_size": 768,
        "num_hidden_layers": 12,
        "num_attention_heads": 12,
        "intermediate_size": 3072,
        "vocab_size": 30_522,
        "max_position_embeddings": 512,
        "type_vocab_size": 2,
    }
    bert = checkpoint_from_config("bert", read_config(config))
    assert all(row.speed is None for row in estimate_table(bert, target("RTX 3060"), FitSettings(512)))

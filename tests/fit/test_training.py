"""Memory of fine-tuning against what Qwen published, and laws that hold for every model."""

from __future__ import annotations

import statistics
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quantgui.checkpoint.catalogue import checkpoint_from_config, find_entry
from quantgui.checkpoint.config import read_config
from quantgui.fit.training import (
    OPTIMIZER_BYTES,
    TrainingEstimate,
    TrainingKind,
    TrainingSettings,
    adapter_parameters,
    training_estimates,
)
from quantgui.hardware.catalogue import target
from quantgui.types import GIB, Checkpoint, UserError, Verdict

SEQUENCES = (256, 512, 1024, 2048, 4096, 8192)
PUBLISHED = {
    ("1.8B", "lora"): (6.7, 7.4, 8.4, 11.0, 16.2, 21.8),
    ("1.8B", "qlora"): (5.8, 6.0, 6.6, 7.8, 10.2, 15.8),
    ("7B", "lora"): (20.1, 20.4, 21.5, 23.8, 29.7, 36.6),
    ("7B", "qlora"): (11.5, 11.5, 12.3, 13.9, 16.9, 23.5),
    ("14B", "lora"): (34.6, 35.1, 35.3, 37.4, 42.5, 55.2),
    ("14B", "qlora"): (18.7, 18.4, 18.9, 19.9, 23.0, 27.9),
    ("72B", "qlora"): (61.4, 61.4, 62.9, 64.1, 68.0, 75.6),
}
"""GiB on one A100, rank 64, batch 1, checkpointing, a 32-bit master copy (github.com/QwenLM/Qwen, README)."""
PUBLISHED_IN_FULL = {
    "1.8B": ((256, 43.5), (512, 43.5), (1024, 43.5), (2048, 43.5), (4096, 47.1), (8192, 48.3)),
    "7B": ((256, 139.2), (512, 148.0), (1024, 162.0)),
}
"""The same of all parameters with DeepSpeed; 7B on two cards together."""
WIDTHS = {
    "1.8B": (2048, 24, 16, 5504, 151_936),
    "7B": (4096, 32, 32, 11_008, 151_936),
    "14B": (5120, 40, 40, 13_696, 151_936),
    "72B": (8192, 80, 64, 24_576, 152_064),
}


@cache
def qwen(size: str) -> Checkpoint:
    hidden, layers, heads, intermediate, vocab = WIDTHS[size]
    config = {
        "model_type": "qwen2",
        "hidden_size": hidden,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "num_key_value_heads": heads,
        "intermediate_size": intermediate,
        "vocab_size": vocab,
        "tie_word_embeddings": False,
        "torch_dtype": "bfloat16",
    }
    return checkpoint_from_config(size, read_config(config))


def estimates(checkpoint: Checkpoint, chosen: TrainingSettings) -> dict[TrainingKind, TrainingEstimate]:
    return {e.kind: e for e in training_estimates(checkpoint, target("RTX 4090"), chosen)}


def test_the_published_memory_is_met() -> None:
    ratios, within = [], 0
    for (size, kind), published in PUBLISHED.items():
        for sequence, gib in zip(SEQUENCES, published, strict=True):
            chosen = TrainingSettings(sequence, 1, 64, "adamw_fp32_master")
            estimate = estimates(qwen(size), chosen)[TrainingKind(kind)]
            ratios.append(estimate.total_bytes / GIB / gib)
            low, high = estimate.band
            within += low <= gib * GIB <= high
    assert statistics.median(ratios) == pytest.approx(1, abs=0.07)
    assert min(ratios) > 0.75
    assert max(ratios) < 1.2
    assert within / len(ratios) > 0.9


def test_what_was_published_of_full_training_lies_in_the_band() -> None:
    """Likely is less: gradients in 16 and 32 bits at once, and DeepSpeed's buffers, are only in the band."""
    for size, published in PUBLISHED_IN_FULL.items():
        for sequence, gib in published:
            chosen = TrainingSettings(sequence, 1, 64, "adamw_fp32_master")
            full = estimates(qwen(size), chosen)[TrainingKind.FULL]
            low, high = full.band
            assert low <= gib * GIB <= high, (size, sequence)
            assert 0.75 <= full.total_bytes / GIB / gib <= 1.05, (size, sequence)


def test_full_training_with_a_master_copy_takes_18_bytes_per_parameter() -> None:
    model = qwen("7B")
    full = estimates(model, TrainingSettings(optimizer="adamw_fp32_master"))[TrainingKind.FULL]
    parameters = {part.name: part.nbytes for part in full.parts}
    assert full.trainable == model.parameters
    assert sum(parameters[name] for name in ("weights", "gradients", "optimizer")) == 18 * model.parameters


def test_adapters_are_rank_times_inputs_and_outputs() -> None:
    model = find_entry("Llama-3.1-8B-Instruct").checkpoint()
    per_layer = 2 * (4096 + 4096) + 2 * (4096 + 1024) + 3 * (4096 + 14_336)
    assert adapter_parameters(model, 16) == 32 * 16 * per_layer == 41_943_040


def test_each_kind_needs_less_than_the_one_before() -> None:
    totals = [e.total_bytes for e in training_estimates(qwen("7B"), target("RTX 4090"))]
    assert totals == sorted(totals, reverse=True)


def test_an_8b_trains_with_qlora_on_a_consumer_card_and_not_in_full() -> None:
    model = find_entry("Llama-3.1-8B-Instruct").checkpoint()
    verdicts = {e.kind: e.verdict for e in training_estimates(model, target("RTX 3060"))}
    assert verdicts == {
        TrainingKind.FULL: Verdict.TOO_LARGE,
        TrainingKind.LORA: Verdict.TOO_LARGE,
        TrainingKind.QLORA: Verdict.FITS,
    }


@settings(deadline=None)
@given(
    sequence=st.integers(1, 10**6),
    more=st.integers(0, 10**6),
    batch=st.integers(1, 100),
    rank=st.integers(1, 1000),
    optimizer=st.sampled_from(list(OPTIMIZER_BYTES)),
    checkpointing=st.booleans(),
)
def test_more_never_needs_less_and_bands_hold_their_middle(
    sequence: int, more: int, batch: int, rank: int, optimizer: str, checkpointing: bool
) -> None:
    short = estimates(qwen("1.8B"), TrainingSettings(sequence, batch, rank, optimizer, checkpointing))
    long = estimates(qwen("1.8B"), TrainingSettings(sequence + more, batch, rank + 1, optimizer, checkpointing))
    for kind, estimate in short.items():
        assert estimate.total_bytes <= long[kind].total_bytes
        assert all(0 <= part.low <= part.nbytes <= part.high for part in estimate.parts)


def test_checkpointing_saves() -> None:
    with_it, without = (
        estimates(qwen("7B"), TrainingSettings(4096, checkpointing=value))[TrainingKind.LORA].total_bytes
        for value in (True, False)
    )
    assert with_it < without


@pytest.mark.parametrize(
    "impossible",
    [{"sequence": 0}, {"sequence": -1}, {"batch": 0}, {"rank": 0}, {"rank": True}, {"optimizer": "lion"}],
)
def test_impossible_settings_are_refused_in_words(impossible: dict[str, int]) -> None:
    with pytest.raises(UserError) as refused:
        TrainingSettings(**impossible)  # type: ignore[arg-type]
    assert refused.value.hint


def test_a_model_without_a_config_is_refused_in_words() -> None:
    from dataclasses import replace

    with pytest.raises(UserError, match="not estimated"):
        training_estimates(replace(qwen("7B"), config=None), target("RTX 4090"))

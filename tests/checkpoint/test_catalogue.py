from __future__ import annotations

from dataclasses import replace

import pytest

from quantgui.checkpoint.catalogue import catalogue, checkpoint_from_config, find_entry
from quantgui.checkpoint.config import read_config
from quantgui.types import Role, SourceKind, UserError


def test_the_catalogue_is_large_and_mostly_supported() -> None:
    entries = catalogue()
    assert len(entries) >= 150
    assert len({entry.id for entry in entries}) == len(entries)
    assert sum(entry.supported for entry in entries) >= 155


def test_a_real_70b_has_its_true_size() -> None:
    checkpoint = find_entry("meta-llama/Llama-3.1-70B-Instruct").checkpoint()
    assert checkpoint.kind is SourceKind.CONFIG
    assert (checkpoint.parameters, checkpoint.nbytes, checkpoint.dtype) == (70_553_706_496, 141_107_412_992, "BF16")
    assert {tensor.layer for tensor in checkpoint.tensors} == {None, *range(80)}


@pytest.mark.parametrize("written", ["Qwen/Qwen3-8B", "qwen/qwen3-8b", " Qwen3-8B "])
def test_entries_are_found_as_people_write_them(written: str) -> None:
    assert find_entry(written).id == "Qwen/Qwen3-8B"


def test_a_near_miss_is_answered_with_near_names() -> None:
    with pytest.raises(UserError) as caught:
        find_entry("meta-llama/Llama-3.1-8B-Instrukt")
    assert "meta-llama/Llama-3.1-8B-Instruct" in caught.value.hint


def test_tied_and_stored_heads_are_told_apart() -> None:
    tied, stored, untied = (find_entry(name).checkpoint() for name in ("Qwen3-4B", "Qwen3-0.6B", "Qwen3-8B"))
    heads = [any(t.role is Role.HEAD for t in c.tensors) for c in (tied, stored, untied)]
    assert heads == [False, True, True]
    assert [c.config.tied_embeddings for c in (tied, stored, untied) if c.config] == [True, True, False]
    assert any("second time" in note for note in stored.notes)


def test_a_published_quantization_is_said_and_its_weights_are_described_unquantized() -> None:
    checkpoint = find_entry("deepseek-ai/DeepSeek-R1").checkpoint()
    assert checkpoint.dtype == "BF16"
    assert checkpoint.config is not None
    assert checkpoint.config.quantization is None
    assert any("fp8" in note for note in checkpoint.notes)
    assert any("Multi-token-prediction" in note for note in checkpoint.notes)


def test_the_dtype_of_the_config_counts() -> None:
    entry = find_entry("Qwen3-8B")
    raw = {**entry.config.raw, "torch_dtype": "float32"}
    assert checkpoint_from_config("x", replace(entry.config, raw=raw)).nbytes == 2 * entry.checkpoint().nbytes
    unstated = checkpoint_from_config("x", replace(entry.config, raw={**raw, "torch_dtype": None}))
    assert unstated.dtype == "BF16"
    assert any("assumed" in note for note in unstated.notes)


def test_an_unsupported_entry_raises_one_sentence() -> None:
    entry = next(entry for entry in catalogue() if not entry.supported)
    with pytest.raises(UserError, match=r"cannot be derived|does not state"):
        entry.checkpoint()


def test_routers_experts_and_norms_have_their_roles() -> None:
    roles = {t.name.rpartition("layers.3.")[2]: t.role for t in find_entry("Mixtral-8x7B-v0.1").checkpoint().tensors}
    assert roles["block_sparse_moe.gate.weight"] is Role.ROUTER
    assert roles["block_sparse_moe.experts.7.w2.weight"] is Role.EXPERT
    assert roles["self_attn.q_proj.weight"] is Role.ATTENTION
    assert roles["input_layernorm.weight"] is Role.NORM


def test_an_assumed_architecture_is_said() -> None:
    raw = {**find_entry("Qwen3-4B").config.raw, "architectures": ["Qwen3ForCausalLM"]}
    del raw["model_type"]
    assert any("read as qwen3" in note for note in checkpoint_from_config("x", read_config(raw)).notes)


def test_a_vision_config_is_said() -> None:
    raw = {**find_entry("Qwen3-4B").config.raw, "vision_config": {"hidden_size": 8}}
    assert any("vision tower" in note for note in checkpoint_from_config("x", read_config(raw)).notes)

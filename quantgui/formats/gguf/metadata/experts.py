"""Keys of mixtures of experts."""

from __future__ import annotations

from collections.abc import Mapping

from quantgui.checkpoint.architectures import Keys
from quantgui.formats.gguf.key_values import KeyValue, u32
from quantgui.formats.gguf.metadata._shared import (
    Builder,
    dense_keys,
    expert_keys,
    head_keys,
    refuse_unless,
)


def _qwen2_moe(keys: Keys, prefix: str) -> list[KeyValue]:
    refuse_unless(not keys.flag("norm_topk_prob", False), "normalized weights of the chosen experts (norm_topk_prob)")
    return _qwen_moe(keys, prefix)


def _qwen3_moe(keys: Keys, prefix: str) -> list[KeyValue]:
    refuse_unless(keys.flag("norm_topk_prob", False), "experts whose weights are not normalized (norm_topk_prob)")
    return [*_qwen_moe(keys, prefix), *head_keys(keys, prefix)]


def _qwen_moe(keys: Keys, prefix: str) -> list[KeyValue]:
    every_layer = keys.size("decoder_sparse_step", default=1) == 1 and not keys.sequence("mlp_only_layers")
    refuse_unless(every_layer, "layers without experts (decoder_sparse_step, mlp_only_layers)")
    made = [*dense_keys(keys, prefix), *expert_keys(keys, prefix)]
    made.append(u32(f"{prefix}.expert_feed_forward_length", keys.size("moe_intermediate_size")))
    shared = keys.optional("shared_expert_intermediate_size")
    return made + ([u32(f"{prefix}.expert_shared_feed_forward_length", shared)] if shared else [])


BUILDERS: Mapping[str, Builder] = {"qwen2moe": _qwen2_moe, "qwen3moe": _qwen3_moe}
"""general.architecture -> its keys."""

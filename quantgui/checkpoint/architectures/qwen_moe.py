"""Qwen2-MoE, Qwen3-MoE and Qwen3-VL-MoE: Qwen attention, and in most layers a router over many small experts."""

from __future__ import annotations

from quantgui.checkpoint.architectures import qwen
from quantgui.checkpoint.architectures._blocks import decoder, experts, gated_mlp, linear, norm
from quantgui.checkpoint.architectures._family import Family, Shapes
from quantgui.checkpoint.architectures._keys import Keys


def tensors(keys: Keys) -> Shapes:
    """Weights of the checkpoint; Qwen2-MoE adds a gated shared expert."""
    dense_layers = set(keys.sequence("mlp_only_layers") or ())
    step = keys.size("decoder_sparse_step", default=1)

    def layer(prefix: str, index: int) -> Shapes:
        yield from norm(f"{prefix}.input_layernorm", keys.hidden)
        yield from qwen.self_attention(f"{prefix}.self_attn", keys)
        yield from norm(f"{prefix}.post_attention_layernorm", keys.hidden)
        if index in dense_layers or (index + 1) % step:
            yield from gated_mlp(f"{prefix}.mlp", keys.hidden, keys.size("intermediate_size"))
        else:
            yield from _experts(f"{prefix}.mlp", keys)

    return decoder(keys, layer, tied=False)


def _experts(prefix: str, keys: Keys) -> Shapes:
    hidden, count = keys.hidden, keys.size("num_experts", "num_local_experts")
    inner = keys.size("moe_intermediate_size")
    yield from linear(f"{prefix}.gate", count, hidden)
    if keys.model_type.startswith("qwen3_vl"):  # all experts in one parameter, [experts, inputs, outputs]
        yield f"{prefix}.experts.gate_up_proj", (count, hidden, 2 * inner)
        yield f"{prefix}.experts.down_proj", (count, inner, hidden)
        return
    yield from experts(f"{prefix}.experts", count, hidden, inner)
    if keys.model_type == "qwen2_moe":
        yield from gated_mlp(f"{prefix}.shared_expert", hidden, keys.size("shared_expert_intermediate_size"))
        yield from linear(f"{prefix}.shared_expert_gate", 1, hidden)


FAMILY = Family(("qwen2_moe", "qwen3_moe", "qwen3_vl_moe", "qwen3_vl_moe_text"), tensors, qwen.kept, extras=qwen.extras)

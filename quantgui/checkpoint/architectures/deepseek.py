"""DeepSeek V2, V3, V3.2, R1, Kimi K2: latent attention (MLA) and shared and routed experts after some dense layers."""

from __future__ import annotations

from quantgui.checkpoint.architectures._blocks import decoder, gated_mlp, linear, norm
from quantgui.checkpoint.architectures._family import AttentionLayer, Family, Shapes
from quantgui.checkpoint.architectures._keys import Keys


def tensors(keys: Keys) -> Shapes:
    """Weights of the main model; the multi-token-prediction layers behind it are not loaded for generation."""
    dense = keys.count("first_k_dense_replace")
    frequency = keys.size("moe_layer_freq", default=1)

    def layer(prefix: str, index: int) -> Shapes:
        yield from norm(f"{prefix}.input_layernorm", keys.hidden)
        yield from _latent_attention(f"{prefix}.self_attn", keys)
        yield from norm(f"{prefix}.post_attention_layernorm", keys.hidden)
        if index < dense or index % frequency:
            yield from gated_mlp(f"{prefix}.mlp", keys.hidden, keys.size("intermediate_size"))
        else:
            yield from _experts(f"{prefix}.mlp", keys)

    return decoder(keys, layer, tied=False)


def _latent_attention(prefix: str, keys: Keys) -> Shapes:
    hidden, heads, bias = keys.hidden, keys.heads, keys.flag("attention_bias", False)
    latent, rope, nope = keys.size("kv_lora_rank"), keys.size("qk_rope_head_dim"), keys.size("qk_nope_head_dim")
    value, query_rank = keys.size("v_head_dim"), keys.optional("q_lora_rank")
    if query_rank is None:
        yield from linear(f"{prefix}.q_proj", heads * (nope + rope), hidden)
    else:
        yield from linear(f"{prefix}.q_a_proj", query_rank, hidden, bias)
        yield from norm(f"{prefix}.q_a_layernorm", query_rank)
        yield from linear(f"{prefix}.q_b_proj", heads * (nope + rope), query_rank)
    yield from linear(f"{prefix}.kv_a_proj_with_mqa", latent + rope, hidden, bias)
    yield from norm(f"{prefix}.kv_a_layernorm", latent)
    yield from linear(f"{prefix}.kv_b_proj", heads * (nope + value), latent)
    yield from linear(f"{prefix}.o_proj", hidden, heads * value, bias)
    if keys.model_type == "deepseek_v32":
        yield from _indexer(f"{prefix}.indexer", keys)


def _indexer(prefix: str, keys: Keys) -> Shapes:
    """V3.2's sparse attention picks tokens with a small attention of its own."""
    heads, head_dim = keys.size("index_n_heads"), keys.size("index_head_dim")
    yield from linear(f"{prefix}.wq_b", heads * head_dim, keys.size("q_lora_rank"))
    yield from linear(f"{prefix}.wk", head_dim, keys.hidden)
    yield from norm(f"{prefix}.k_norm", head_dim, bias=True)
    yield from linear(f"{prefix}.weights_proj", heads, keys.hidden)


def _experts(prefix: str, keys: Keys) -> Shapes:
    hidden, count, inner = keys.hidden, keys.size("n_routed_experts"), keys.size("moe_intermediate_size")
    yield from linear(f"{prefix}.gate", count, hidden)
    if keys.model_type != "deepseek_v2":
        yield f"{prefix}.gate.e_score_correction_bias", (count,)
    for expert in range(count):
        yield from gated_mlp(f"{prefix}.experts.{expert}", hidden, inner)
    shared = keys.count("n_shared_experts")
    if shared:
        yield from gated_mlp(f"{prefix}.shared_experts", hidden, shared * inner)


def kept(keys: Keys) -> tuple[AttentionLayer, ...] | None:
    """The latent and the rotary key, once per token for all heads, as llama.cpp and vLLM keep them.

    None for V3.2: what its indexer keeps differs between runtimes.
    """
    if keys.model_type == "deepseek_v32":
        return None
    return (AttentionLayer(keys.size("kv_lora_rank") + keys.size("qk_rope_head_dim")),) * keys.layers


FAMILY = Family(("deepseek_v2", "deepseek_v3", "deepseek_v32", "kimi_k2"), tensors, kept)

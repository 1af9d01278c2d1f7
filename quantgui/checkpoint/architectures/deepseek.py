"""DeepSeek V2 to V3.2 and R1, Kimi K2, GLM-4.7-Flash, GLM-5: latent attention (MLA), shared and routed experts after
some dense layers."""

from __future__ import annotations

from quantgui.checkpoint.architectures._blocks import decoder, gated_mlp, linear, norm
from quantgui.checkpoint.architectures._family import AttentionLayer, Family, Shapes
from quantgui.checkpoint.architectures._keys import Keys
from quantgui.checkpoint.architectures._next_tokens import next_token_layers

INDEXED = frozenset({"deepseek_v32", "glm_moe_dsa"})
"""Model types whose attention is sparse: an indexer picks the tokens."""
GLM_DENSE_LAYERS = 3
"""What transformers takes where a GLM-5 config states no first_k_dense_replace."""


def tensors(keys: Keys) -> Shapes:
    """Weights of the main model."""
    dense = _dense_layers(keys)

    def layer(prefix: str, index: int) -> Shapes:
        return _layer(prefix, keys, index in dense)

    return decoder(keys, layer, tied=False)


def extras(keys: Keys) -> Shapes:
    """The layers that predict further tokens; GLM-5's use the main model's embedding and head."""
    shared = keys.model_type == "glm_moe_dsa"
    return next_token_layers(keys, lambda prefix: _layer(prefix, keys, is_dense=False), shared)


def _layer(prefix: str, keys: Keys, is_dense: bool) -> Shapes:
    yield from norm(f"{prefix}.input_layernorm", keys.hidden)
    yield from latent_attention(f"{prefix}.self_attn", keys)
    yield from norm(f"{prefix}.post_attention_layernorm", keys.hidden)
    if is_dense:
        yield from gated_mlp(f"{prefix}.mlp", keys.hidden, keys.size("intermediate_size"))
    else:
        yield from routed_experts(f"{prefix}.mlp", keys)


def _dense_layers(keys: Keys) -> frozenset[int]:
    kinds = keys.kinds("mlp_layer_types")
    if kinds is not None:
        return frozenset(index for index, kind in enumerate(kinds) if kind == "dense")
    first = keys.count(
        "first_k_dense_replace", {"glm_moe_dsa": GLM_DENSE_LAYERS, "glm4_moe_lite": 1}.get(keys.model_type, 0)
    )
    frequency = keys.size("moe_layer_freq", default=1)
    return frozenset(index for index in range(keys.layers) if index < first or index % frequency)


def latent_attention(prefix: str, keys: Keys) -> Shapes:
    """Multi-head latent attention, with an indexer where it is sparse."""
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
    if keys.model_type in INDEXED:
        yield from _indexer(f"{prefix}.indexer", keys)


def _indexer(prefix: str, keys: Keys) -> Shapes:
    """Sparse attention picks tokens with a small attention of its own."""
    heads, head_dim = keys.size("index_n_heads"), keys.size("index_head_dim")
    yield from linear(f"{prefix}.wq_b", heads * head_dim, keys.size("q_lora_rank"))
    yield from linear(f"{prefix}.wk", head_dim, keys.hidden)
    yield from norm(f"{prefix}.k_norm", head_dim, bias=True)
    yield from linear(f"{prefix}.weights_proj", heads, keys.hidden)


def routed_experts(prefix: str, keys: Keys) -> Shapes:
    """A router, its experts and the shared ones."""
    hidden, count, inner = keys.hidden, keys.size("n_routed_experts"), keys.size("moe_intermediate_size")
    yield from linear(f"{prefix}.gate", count, hidden)
    if keys.model_type != "deepseek_v2":
        yield f"{prefix}.gate.e_score_correction_bias", (count,)
    for expert in range(count):
        yield from gated_mlp(f"{prefix}.experts.{expert}", hidden, inner)
    shared = keys.count("n_shared_experts")
    if shared:
        yield from gated_mlp(f"{prefix}.shared_experts", hidden, shared * inner)


def kept(keys: Keys) -> tuple[AttentionLayer, ...]:
    """The latent and the rotary key, once per token for all heads, as llama.cpp and vLLM keep them.

    Sparse attention keeps the key of its indexer beside.
    """
    index = keys.size("index_head_dim") if keys.model_type in INDEXED else 0
    latent = keys.size("kv_lora_rank") + keys.size("qk_rope_head_dim")
    return (AttentionLayer(latent, None, index),) * keys.layers


FAMILY = Family(
    ("deepseek_v2", "deepseek_v3", "deepseek_v32", "kimi_k2", "kimi_k25", "glm4_moe_lite", "glm_moe_dsa"),
    tensors,
    kept,
    extras=extras,
)

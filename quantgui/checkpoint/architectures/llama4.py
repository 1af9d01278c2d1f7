"""Llama 4 (text): stacked experts and a shared one in every `interleave_moe_layer_step`-th layer, chunked attention."""

from __future__ import annotations

from quantgui.checkpoint.architectures import _llama_vision
from quantgui.checkpoint.architectures._blocks import attention, decoder, gated_mlp, linear, norm
from quantgui.checkpoint.architectures._family import AttentionLayer, Family, Shapes
from quantgui.checkpoint.architectures._keys import Keys

FULL_EVERY = 4
"""Every fourth layer has no rotary positions and attends to everything."""
CHUNK = 8192
"""What transformers takes where the config states no attention_chunk_size."""


def tensors(keys: Keys) -> Shapes:
    """Weights of the language model; expert matrices are [experts, inputs, outputs]."""
    hidden, head_dim, inner = keys.hidden, keys.head_dim(), keys.size("intermediate_size")
    count, bias = keys.size("num_local_experts"), keys.flag("attention_bias", False)
    step = keys.size("interleave_moe_layer_step", default=1)
    sparse = keys.indices("moe_layers")

    def layer(prefix: str, index: int) -> Shapes:
        yield from norm(f"{prefix}.input_layernorm", hidden)
        yield from attention(f"{prefix}.self_attn", keys, head_dim, bias, bias)
        yield from norm(f"{prefix}.post_attention_layernorm", hidden)
        root = f"{prefix}.feed_forward"
        if index in sparse if sparse is not None else (index + 1) % step == 0:
            yield from linear(f"{root}.router", count, hidden)
            yield f"{root}.experts.gate_up_proj", (count, hidden, 2 * inner)
            yield f"{root}.experts.down_proj", (count, inner, hidden)
            yield from gated_mlp(f"{root}.shared_expert", hidden, inner)
        else:
            yield from gated_mlp(root, hidden, keys.size("intermediate_size_mlp", default=2 * inner))

    return decoder(keys, layer, tied=False)


def kept(keys: Keys) -> tuple[AttentionLayer, ...]:
    """Keys and values; chunked layers never look back further than one chunk."""
    chunk = keys.size("attention_chunk_size", default=CHUNK)
    kinds = keys.kinds()
    every = keys.size("no_rope_layer_interval", default=FULL_EVERY)
    chunked = (
        [kind == "chunked_attention" for kind in kinds]
        if kinds
        else [(index + 1) % every != 0 for index in range(keys.layers)]
    )
    elements = 2 * keys.kv_heads * keys.head_dim()
    return tuple(AttentionLayer(elements, chunk if is_chunked else None) for is_chunked in chunked)


FAMILY = Family(("llama4_text", "llama4"), tensors, kept, extras=_llama_vision.tower)

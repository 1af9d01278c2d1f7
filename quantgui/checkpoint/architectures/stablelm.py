"""StableLM: Llama with LayerNorm, optional query/key/value biases and per-head query/key norms."""

from __future__ import annotations

from quantgui.checkpoint.architectures._blocks import attention, decoder, full_attention, gated_mlp, norm
from quantgui.checkpoint.architectures._family import AttentionLayer, Family, Shapes
from quantgui.checkpoint.architectures._keys import Keys


def tensors(keys: Keys) -> Shapes:
    """Weights of the checkpoint."""
    hidden, head_dim, inner = keys.hidden, keys.head_dim(), keys.size("intermediate_size")

    def layer(prefix: str, index: int) -> Shapes:
        yield from norm(f"{prefix}.input_layernorm", hidden, bias=True)
        yield from attention(f"{prefix}.self_attn", keys, head_dim, keys.flag("use_qkv_bias", False))
        if keys.flag("qk_layernorm", False):
            for head in range(keys.heads):
                yield from norm(f"{prefix}.self_attn.q_layernorm.norms.{head}", head_dim)
            for head in range(keys.kv_heads):
                yield from norm(f"{prefix}.self_attn.k_layernorm.norms.{head}", head_dim)
        if not keys.flag("use_parallel_residual", False):
            yield from norm(f"{prefix}.post_attention_layernorm", hidden, bias=True)
        yield from gated_mlp(f"{prefix}.mlp", hidden, inner)

    return decoder(keys, layer, tied=False, norm_bias=True)


def kept(keys: Keys) -> tuple[AttentionLayer, ...]:
    """Keys and values of every token."""
    return full_attention(keys, keys.head_dim())


FAMILY = Family(("stablelm",), tensors, kept)

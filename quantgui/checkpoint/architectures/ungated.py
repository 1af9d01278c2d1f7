"""Nemotron-4 and Minitron (LayerNorm) and Arcee (RMSNorm): Llama with a squared-ReLU MLP that has no gate."""

from __future__ import annotations

from quantgui.checkpoint.architectures._blocks import attention, decoder, full_attention, norm, plain_mlp
from quantgui.checkpoint.architectures._family import AttentionLayer, Family, Shapes
from quantgui.checkpoint.architectures._keys import Keys


def tensors(keys: Keys) -> Shapes:
    """Weights of the checkpoint."""
    head_dim, inner, shifted = keys.head_dim(), keys.size("intermediate_size"), keys.model_type == "nemotron"
    bias, mlp_bias = keys.flag("attention_bias", False), keys.flag("mlp_bias", False)

    def layer(prefix: str, index: int) -> Shapes:
        yield from norm(f"{prefix}.input_layernorm", keys.hidden, shifted)
        yield from attention(f"{prefix}.self_attn", keys, head_dim, bias, bias)
        yield from norm(f"{prefix}.post_attention_layernorm", keys.hidden, shifted)
        yield from plain_mlp(f"{prefix}.mlp", keys.hidden, inner, mlp_bias)

    return decoder(keys, layer, tied=False, norm_bias=shifted)


def kept(keys: Keys) -> tuple[AttentionLayer, ...]:
    """Keys and values of every token."""
    return full_attention(keys, keys.head_dim())


FAMILY = Family(("nemotron", "arcee"), tensors, kept)

"""Llama-Nemotron Super and Ultra (DeciLM): Llama layers of different widths, some without attention or without MLP.

Rules of the published modelling code: `ffn_mult` gives two thirds of itself times the hidden size, rounded up to 256.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from quantgui.checkpoint.architectures._blocks import decoder, gated_mlp, linear, norm
from quantgui.checkpoint.architectures._family import AttentionLayer, Family, Shapes
from quantgui.checkpoint.architectures._keys import Keys
from quantgui.types import UserError

MULTIPLE = 256
LINEAR = -1
"""In place of a count of KV heads or a width: one square matrix stands for the whole part."""


@dataclass(frozen=True, slots=True)
class _Block:
    """KV heads and feed-forward width of one layer; 0 where the layer has no such part."""

    kv_heads: int
    inner: int


def tensors(keys: Keys) -> Shapes:
    """Weights of the checkpoint."""
    hidden, head_dim, blocks = keys.hidden, keys.head_dim(), _blocks(keys)

    def layer(prefix: str, index: int) -> Shapes:
        block = blocks[index]
        if block.kv_heads:
            yield from norm(f"{prefix}.input_layernorm", hidden)
        if block.kv_heads == LINEAR:
            yield from linear(f"{prefix}.self_attn.linear_attn", hidden, hidden)
        elif block.kv_heads:
            yield from linear(f"{prefix}.self_attn.q_proj", keys.heads * head_dim, hidden)
            yield from linear(f"{prefix}.self_attn.k_proj", block.kv_heads * head_dim, hidden)
            yield from linear(f"{prefix}.self_attn.v_proj", block.kv_heads * head_dim, hidden)
            yield from linear(f"{prefix}.self_attn.o_proj", hidden, keys.heads * head_dim)
        if block.inner:
            yield from norm(f"{prefix}.post_attention_layernorm", hidden)
        if block.inner == LINEAR:
            yield from linear(f"{prefix}.mlp.linear_mlp", hidden, hidden)
        elif block.inner:
            yield from gated_mlp(f"{prefix}.mlp", hidden, block.inner)

    return decoder(keys, layer, tied=False)


def _blocks(keys: Keys) -> tuple[_Block, ...]:
    stated = keys.sequence("block_configs")
    if stated is None:
        raise UserError(
            "The config does not state block_configs, without which its layers are unknown.",
            hint="Use the model's complete config.json.",
        )
    if len(stated) != keys.layers or not all(isinstance(block, Mapping) for block in stated):
        raise UserError("The config's block_configs do not match its layers.", hint="Use the model's own config.json.")
    return tuple(_Block(_kv_heads(keys, block.get("attention")), _inner(keys, block.get("ffn"))) for block in stated)


def _kv_heads(keys: Keys, part: Any) -> int:
    part = _part(part)
    if part.get("no_op"):
        return 0
    if part.get("replace_with_linear"):
        return LINEAR
    group = part.get("n_heads_in_group")
    if isinstance(group, bool) or not isinstance(group, int) or group < 1 or keys.heads % group:
        raise UserError(f"The config's n_heads_in_group is {group!r}, which does not divide its {keys.heads} heads.")
    return keys.heads // group


def _inner(keys: Keys, part: Any) -> int:
    part = _part(part)
    if part.get("no_op"):
        return 0
    if part.get("replace_with_linear"):
        return LINEAR
    factor = part.get("ffn_mult")
    if isinstance(factor, bool) or not isinstance(factor, int | float) or not 0 < factor < 100:
        raise UserError(f"The config's ffn_mult is {factor!r}, which is not a possible factor.")
    return -(-int(2 * factor * keys.hidden / 3) // MULTIPLE) * MULTIPLE


def _part(part: Any) -> Mapping[str, Any]:
    if not isinstance(part, Mapping):
        raise UserError("The config's block_configs lack a layer's attention or ffn.")
    return part


def kept(keys: Keys) -> tuple[AttentionLayer, ...]:
    """Keys and values of the layers with attention."""
    counts = (block.kv_heads for block in _blocks(keys))
    return tuple(AttentionLayer(2 * count * keys.head_dim()) for count in counts if count > 0)


FAMILY = Family(("nemotron-nas",), tensors, kept)

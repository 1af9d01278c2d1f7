"""The vision tower of Gemma 4."""

from __future__ import annotations

from quantgui.checkpoint.architectures._blocks import linear, norm
from quantgui.checkpoint.architectures._family import Shapes
from quantgui.checkpoint.architectures._keys import Keys

COLOURS = 3
_NORMS = ("input_layernorm", "post_attention_layernorm", "pre_feedforward_layernorm", "post_feedforward_layernorm")


def tower(keys: Keys) -> Shapes:
    """Weights of the tower and of its projection; nothing where the config has no `vision_config`."""
    vision = keys.part("vision_config")
    if vision is None:
        return
    root, hidden, inner = "model.vision_tower", vision.hidden, vision.size("intermediate_size")
    head_dim = vision.head_dim()
    width, kv_width = vision.heads * head_dim, vision.kv_heads * head_dim
    patch = COLOURS * vision.size("patch_size", default=16) ** 2
    positions = vision.size("position_embedding_size", default=10240)
    yield from linear(f"{root}.patch_embedder.input_proj", hidden, patch)
    yield f"{root}.patch_embedder.position_embedding_table", (2, positions, hidden)
    for index in range(vision.layers):
        prefix = f"{root}.encoder.layers.{index}"
        for name in _NORMS:
            yield from norm(f"{prefix}.{name}", hidden)
        yield from linear(f"{prefix}.self_attn.q_proj.linear", width, hidden)
        yield from linear(f"{prefix}.self_attn.k_proj.linear", kv_width, hidden)
        yield from linear(f"{prefix}.self_attn.v_proj.linear", kv_width, hidden)
        yield from linear(f"{prefix}.self_attn.o_proj.linear", hidden, width)
        yield from norm(f"{prefix}.self_attn.q_norm", head_dim)
        yield from norm(f"{prefix}.self_attn.k_norm", head_dim)
        yield from linear(f"{prefix}.mlp.gate_proj.linear", inner, hidden)
        yield from linear(f"{prefix}.mlp.up_proj.linear", inner, hidden)
        yield from linear(f"{prefix}.mlp.down_proj.linear", hidden, inner)
    yield from linear("model.embed_vision.embedding_projection", keys.hidden, hidden)

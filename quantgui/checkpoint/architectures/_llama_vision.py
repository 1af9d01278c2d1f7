"""The vision tower of Llama 4."""

from __future__ import annotations

from quantgui.checkpoint.architectures._blocks import linear, norm
from quantgui.checkpoint.architectures._family import Shapes
from quantgui.checkpoint.architectures._keys import Keys


def tower(keys: Keys) -> Shapes:
    """Weights of the tower and of its projection; nothing where the config has no `vision_config`."""
    vision = keys.part("vision_config")
    if vision is None:
        return
    root, hidden, inner = "vision_model", vision.hidden, vision.size("intermediate_size")
    patch, image = vision.size("patch_size", default=14), vision.size("image_size", default=336)
    yield from linear(f"{root}.patch_embedding.linear", hidden, vision.size("num_channels", default=3) * patch**2)
    yield f"{root}.class_embedding", (hidden,)
    yield f"{root}.positional_embedding_vlm", ((image // patch) ** 2 + 1, hidden)
    yield from norm(f"{root}.layernorm_pre", hidden, bias=True)
    for index in range(vision.layers):
        prefix = f"{root}.model.layers.{index}"
        yield from norm(f"{prefix}.input_layernorm", hidden, bias=True)
        for part in ("q_proj", "k_proj", "v_proj", "o_proj"):
            yield from linear(f"{prefix}.self_attn.{part}", hidden, hidden, bias=True)
        yield from norm(f"{prefix}.post_attention_layernorm", hidden, bias=True)
        yield from linear(f"{prefix}.mlp.fc1", inner, hidden, bias=True)
        yield from linear(f"{prefix}.mlp.fc2", hidden, inner, bias=True)
    yield from norm(f"{root}.layernorm_post", hidden, bias=True)
    projected = vision.size("projector_output_dim", default=4096)
    yield from linear(f"{root}.vision_adapter.mlp.fc1", vision.size("projector_input_dim", default=4096), inner)
    yield from linear(f"{root}.vision_adapter.mlp.fc2", projected, projected)
    yield from linear(
        "multi_modal_projector.linear_1", keys.hidden, vision.size("vision_output_dim", default=projected)
    )

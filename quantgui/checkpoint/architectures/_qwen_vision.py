"""The vision tower of Qwen3-VL, Qwen3.5 and Qwen3.6."""

from __future__ import annotations

from quantgui.checkpoint.architectures._blocks import linear, norm
from quantgui.checkpoint.architectures._family import Shapes
from quantgui.checkpoint.architectures._keys import Keys


def tower(keys: Keys) -> Shapes:
    """Weights below `model.visual`; nothing where the config has no `vision_config`."""
    vision = keys.part("vision_config")
    if vision is None:
        return
    root, hidden, inner = "model.visual", vision.hidden, vision.size("intermediate_size")
    patch = vision.size("patch_size", default=16)
    kernel = (vision.size("in_channels", default=3), vision.size("temporal_patch_size", default=2), patch, patch)
    yield f"{root}.patch_embed.proj.weight", (hidden, *kernel)
    yield f"{root}.patch_embed.proj.bias", (hidden,)
    yield f"{root}.pos_embed.weight", (vision.size("num_position_embeddings", default=2304), hidden)
    for index in range(vision.size("depth")):
        prefix = f"{root}.blocks.{index}"
        yield from norm(f"{prefix}.norm1", hidden, bias=True)
        yield from linear(f"{prefix}.attn.qkv", 3 * hidden, hidden, bias=True)
        yield from linear(f"{prefix}.attn.proj", hidden, hidden, bias=True)
        yield from norm(f"{prefix}.norm2", hidden, bias=True)
        yield from linear(f"{prefix}.mlp.linear_fc1", inner, hidden, bias=True)
        yield from linear(f"{prefix}.mlp.linear_fc2", hidden, inner, bias=True)
    yield from _merger(f"{root}.merger", vision, merged_norm=False)
    for index in range(len(vision.sequence("deepstack_visual_indexes") or ())):
        yield from _merger(f"{root}.deepstack_merger_list.{index}", vision, merged_norm=True)


def _merger(prefix: str, vision: Keys, merged_norm: bool) -> Shapes:
    """Merges square groups of patches and projects them to the language model's width."""
    merged = vision.hidden * vision.size("spatial_merge_size", default=2) ** 2
    yield from norm(f"{prefix}.norm", merged if merged_norm else vision.hidden, bias=True)
    yield from linear(f"{prefix}.linear_fc1", merged, merged, bias=True)
    yield from linear(f"{prefix}.linear_fc2", vision.size("out_hidden_size"), merged, bias=True)

"""Heads of attention where configs state them in a way of their own."""

from __future__ import annotations

from quantgui.checkpoint.architectures import Keys

GEMMA4_GLOBAL_HEAD = 512
"""Width of a head that sees everything, where a Gemma 4 config does not state it."""


def falcon_kv_heads(keys: Keys) -> int:
    """Falcon's heads of keys and values: one in the first models, as stated in the later ones."""
    one = keys.flag("multi_query", True) and not keys.flag("new_decoder_architecture", False)
    return 1 if one else keys.kv_heads


def global_head_dim(keys: Keys) -> int:
    """Width of Gemma 4's heads in the layers that see everything."""
    kinds = keys.kinds() or ()
    stated = (keys.of_layer(index, "head_dim") for index, kind in enumerate(kinds) if kind == "full_attention")
    return next((width for width in stated if width), None) or keys.size("global_head_dim", default=GEMMA4_GLOBAL_HEAD)

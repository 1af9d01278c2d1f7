"""Multi-token prediction as DeepSeek V3 introduced it: layers stored behind the main ones, not loaded to generate."""

from __future__ import annotations

from collections.abc import Callable

from quantgui.checkpoint.architectures._blocks import linear, norm
from quantgui.checkpoint.architectures._family import Shapes
from quantgui.checkpoint.architectures._keys import Keys


def next_token_layers(keys: Keys, layer: Callable[[str], Shapes], shared: bool = False) -> Shapes:
    """`num_nextn_predict_layers` further layers, each with embedding and head once more unless they are shared."""
    hidden = keys.hidden
    for index in range(keys.count("num_nextn_predict_layers")):
        prefix = f"model.layers.{keys.layers + index}"
        if not shared:
            yield from linear(f"{prefix}.embed_tokens", keys.vocab, hidden)
        yield from norm(f"{prefix}.enorm", hidden)
        yield from norm(f"{prefix}.hnorm", hidden)
        yield from linear(f"{prefix}.eh_proj", hidden, 2 * hidden)
        yield from layer(prefix)
        yield from norm(f"{prefix}.shared_head.norm", hidden)
        if not shared:
            yield from linear(f"{prefix}.shared_head.head", keys.vocab, hidden)

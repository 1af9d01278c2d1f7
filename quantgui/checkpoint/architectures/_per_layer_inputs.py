"""Gemma 3n's and 4's embedding of every token for every layer, where the config switches it on."""

from __future__ import annotations

from quantgui.checkpoint.architectures._blocks import linear, norm
from quantgui.checkpoint.architectures._family import Shapes
from quantgui.checkpoint.architectures._keys import Keys

DEFAULT_WIDTH = 256
"""What transformers takes where the config states no hidden_size_per_layer_input."""


def _width(keys: Keys) -> int:
    return keys.count("hidden_size_per_layer_input", DEFAULT_WIDTH)


def model_input(keys: Keys) -> Shapes:
    """The table of embeddings for all layers, and its part made from the main embedding."""
    width = _width(keys)
    if not width:
        return
    rows = keys.size("vocab_size_per_layer_input", default=keys.vocab)
    yield "model.embed_tokens_per_layer.weight", (rows, keys.layers * width)
    yield from linear("model.per_layer_model_projection", keys.layers * width, keys.hidden)
    yield from norm("model.per_layer_projection_norm", width)


def layer_input(prefix: str, keys: Keys) -> Shapes:
    """What a layer does with its own embedding."""
    width = _width(keys)
    if not width:
        return
    yield from linear(f"{prefix}.per_layer_input_gate", width, keys.hidden)
    yield from linear(f"{prefix}.per_layer_projection", keys.hidden, width)
    yield from norm(f"{prefix}.post_per_layer_input_norm", keys.hidden)

"""Tiny checkpoints as transformers itself saves them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from safetensors import safe_open

from quantgui.checkpoint.config import read_config
from quantgui.types import ModelConfig

Shapes = dict[str, tuple[int, ...]]

TINY: dict[str, Any] = {
    "hidden_size": 48,
    "intermediate_size": 80,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "vocab_size": 64,
    "max_position_embeddings": 32,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}


def save_tiny(folder: Path, model_type: str, values: dict[str, Any], factory: str) -> tuple[ModelConfig, Shapes]:
    """A random model of this config, saved: the config that was written, and the names and shapes in the file."""
    import torch
    import transformers

    torch.set_num_threads(1)
    config = transformers.AutoConfig.for_model(model_type, **values)
    getattr(transformers, factory).from_config(config).save_pretrained(folder)
    with safe_open(folder / "model.safetensors", "np") as file:
        names = file.keys()
        shapes = {name: tuple(file.get_slice(name).get_shape()) for name in names}
    return read_config(json.loads((folder / "config.json").read_text())), shapes

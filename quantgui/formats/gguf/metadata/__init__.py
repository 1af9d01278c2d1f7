"""The keys of a GGUF file that describe the model: its name, its sizes, its positions, its pooling."""

from __future__ import annotations

from quantgui.checkpoint.architectures import Keys
from quantgui.formats.gguf.key_values import KeyValue, text
from quantgui.formats.gguf.metadata.architectures import BUILDERS
from quantgui.formats.gguf.metadata.pooling import pooling_keys
from quantgui.formats.gguf.names import layout_of
from quantgui.types import Checkpoint, UserError

__all__ = ["BUILDERS", "model_keys"]


def model_keys(checkpoint: Checkpoint) -> list[KeyValue]:
    """Everything but the tokenizer and the file type, from config.json and what lies beside it.

    Raises UserError for an architecture that is not converted here, and for a config that asks for what llama.cpp
    cannot do.
    """
    config = checkpoint.config
    architecture = layout_of(config).architecture
    assert config is not None  # layout_of refuses a checkpoint without one
    builder = BUILDERS.get(architecture)
    if builder is None:
        raise UserError(
            f"Models of the kind “{config.model_type}” cannot be converted to GGUF yet.",
            hint="Its sizes are known, its keys are not. Use llama.cpp's own converter.",
        )
    return [
        text("general.architecture", architecture),
        text("general.type", "model"),
        text("general.name", checkpoint.name),
        *builder(Keys(config), architecture),
        *pooling_keys(checkpoint, architecture),
    ]

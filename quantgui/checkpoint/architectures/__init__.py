"""From a config alone to the exact tensors of its checkpoint, one file per family of architectures.

A family's file defines `FAMILY`; a file in this folder is all it takes to be known. Files starting with an underscore
are shared parts.
"""

from __future__ import annotations

import importlib
import pkgutil
from dataclasses import replace
from functools import cache

from quantgui.checkpoint.architectures._experts import ExpertUse, experts_per_token
from quantgui.checkpoint.architectures._family import AttentionLayer, Family, Shapes, StateLayer
from quantgui.checkpoint.architectures._keys import Keys, hub_name
from quantgui.checkpoint.architectures._unnamed import guessed_model_type
from quantgui.types import ModelConfig, UserError

MAX_TENSORS = 500_000
"""More tensors than any real model has; a config that asks for more is nonsense and must not fill the memory."""


@cache
def families() -> dict[str, Family]:
    """Every family by `model_type`."""
    modules = [name for _, name, _ in pkgutil.iter_modules(__path__) if not name.startswith("_")]
    found = [importlib.import_module(f"{__name__}.{name}").FAMILY for name in sorted(modules)]
    return {model_type: family for family in found for model_type in family.model_types}


def is_supported(config: ModelConfig) -> bool:
    """Whether this architecture's tensors are known here; the config may still turn out incomplete."""
    return _known_family(config) is not None


def tensor_shapes(config: ModelConfig) -> tuple[tuple[str, tuple[int, ...]], ...]:
    """Name and shape of every weight, as the Hugging Face checkpoint of this config stores them before quantization.

    The language model alone, its names without the prefix that a model which also sees puts before them. Left out:
    rotary and mask buffers of old checkpoints, a tied head, and what `extra_tensors` lists.
    Raises UserError for an unknown architecture and for missing or impossible values.
    """
    return _limited(_family(config).tensors(_keys(config)))


def extra_tensors(config: ModelConfig) -> tuple[tuple[str, tuple[int, ...]], ...]:
    """What the checkpoint stores beside the language model, as far as the config tells: towers and layers for
    multi-token prediction.

    Raises UserError as `tensor_shapes` does.
    """
    return _limited(_family(config).extras(_keys(config)))


def attention_layers(config: ModelConfig) -> tuple[AttentionLayer, ...] | None:
    """What each attention layer keeps per token between steps; None where it is not known well enough.

    An encoder keeps nothing: (). Raises UserError for missing or impossible values.
    """
    family = _known_family(config)
    return None if family is None else family.attention(_keys(config))


def state_layers(config: ModelConfig) -> tuple[StateLayer, ...]:
    """What each state-space or linear-attention layer keeps per sequence; () for pure attention and the unknown.

    Raises UserError for missing or impossible values.
    """
    family = _known_family(config)
    return () if family is None else family.state(_keys(config))


def expert_use(config: ModelConfig) -> ExpertUse | None:
    """How many of how many routed experts a token passes through; None for dense models and where not stated.

    Raises UserError for impossible values.
    """
    return experts_per_token(_keys(config))


def assumed_model_type(config: ModelConfig) -> str:
    """What a config without a model_type is read as; "" where it states one or cannot be told."""
    return "" if config.model_type else guessed_model_type(config, families())


def _limited(shapes: Shapes) -> tuple[tuple[str, tuple[int, ...]], ...]:
    result = []
    for entry in shapes:
        result.append(entry)
        if len(result) > MAX_TENSORS:
            raise UserError(f"This config describes more than {MAX_TENSORS:,} tensors.", hint="Check its layer counts.")
    return tuple(result)


def _known_family(config: ModelConfig) -> Family | None:
    return families().get(hub_name(config.model_type) or assumed_model_type(config))


def _keys(config: ModelConfig) -> Keys:
    return Keys(replace(config, model_type=config.model_type or assumed_model_type(config)))


def _family(config: ModelConfig) -> Family:
    family = _known_family(config)
    if family is not None:
        return family
    kind = f"“{config.model_type}”" if config.model_type else "without a model_type"
    raise UserError(
        f"The architecture {kind} cannot be derived from its config yet.",
        hint="Open the model's folder or its .safetensors files instead: their headers list every tensor.",
    )

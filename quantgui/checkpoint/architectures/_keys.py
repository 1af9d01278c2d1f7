"""Checked reading of a config's values: missing, negative and absurd ones end in one clear sentence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from quantgui.types import ModelConfig, UserError

MAX_SIZE = 2**31
"""No width, count or vocabulary of a real model is larger."""
MAX_LAYERS = 10_000

_TEXT_CONFIGS = ("text_config", "llm_config", "language_config")
"""Where a model that also sees or hears keeps the config of its language model."""

_NORMALISED: Mapping[str, str] = {
    "hidden_size": "hidden_size",
    "num_hidden_layers": "num_layers",
    "num_attention_heads": "num_heads",
    "num_key_value_heads": "num_kv_heads",
    "head_dim": "head_dim",
    "intermediate_size": "intermediate_size",
    "vocab_size": "vocab_size",
}
"""config.json's usual key -> field of ModelConfig, for configs that did not come from a config.json (GGUF)."""


_GGUF: Mapping[str, str] = {
    "sliding_window": "attention.sliding_window",
    "kv_lora_rank": "attention.kv_lora_rank",
    "qk_rope_head_dim": "rope.dimension_count",
    "num_experts_per_tok": "expert_used_count",
    "num_experts": "expert_count",
}
"""config.json's key -> the GGUF key behind the architecture's name, for facts without a field in ModelConfig."""


_GGUF_NAMES: Mapping[str, str] = {
    "command-r": "cohere",
    "deepseek2": "deepseek_v2",
    "gemma3": "gemma3_text",
    "gpt-oss": "gpt_oss",
    "gptneox": "gpt_neox",
    "phi2": "phi",
    "qwen2moe": "qwen2_moe",
    "qwen3moe": "qwen3_moe",
}
"""`general.architecture` of GGUF files -> `model_type` of config.json, where they differ."""


def hub_name(model_type: str) -> str:
    """What config.json calls an architecture, whoever named it."""
    return _GGUF_NAMES.get(model_type, model_type)


class Keys:
    """The values of one config, under the names config.json uses, with the older names as alternatives."""

    def __init__(self, config: ModelConfig) -> None:
        self.model_type = hub_name(config.model_type)
        self.architecture = config.architecture
        self._config = config
        nested = (config.raw.get(name) for name in _TEXT_CONFIGS)
        text = next((part for part in nested if isinstance(part, Mapping)), {})
        tie = "tie_word_embeddings"  # of a nested config the outer word counts: the outer model owns the head
        outer = {tie: config.raw[tie]} if isinstance(config.raw.get(tie), bool) else {}
        self._raw: Mapping[str, Any] = {**config.raw, **text, **outer}
        self._is_config_json = "model_type" in self._raw or "architectures" in self._raw

    def value(self, *names: str) -> Any:
        """The first of `names` that is stated and not null, else None."""
        for name in names:
            if self._raw.get(name) is not None:
                return self._raw[name]
        if self._is_config_json:
            return None
        facts = [getattr(self._config, _NORMALISED[name]) for name in names if name in _NORMALISED]
        facts += [self._raw.get(f"{self._config.model_type}.{_GGUF[name]}") for name in names if name in _GGUF]
        return next((fact for fact in facts if fact is not None), None)

    def optional(self, *names: str) -> int | None:
        """A positive whole number, or None where not stated. Raises UserError for anything else."""
        value = self.value(*names)
        return None if value is None else self._checked(names[0], value, minimum=1)

    def size(self, *names: str, default: int | None = None) -> int:
        """As `optional`, with a default; without one a missing value raises UserError."""
        value = self.optional(*names)
        if value is not None:
            return value
        if default is not None:
            return default
        raise UserError(
            f"The config does not state {names[0]}, without which its size is unknown.",
            hint="Use the model's complete config.json.",
        )

    def count(self, name: str, default: int = 0) -> int:
        """A whole number that may be zero."""
        value = self.value(name)
        return default if value is None else self._checked(name, value, minimum=0)

    def flag(self, name: str, default: bool) -> bool:
        """A yes or no. Raises UserError for anything else."""
        value = self.value(name)
        if value is None:
            return default
        if not isinstance(value, bool):
            raise UserError(f"The config's {name} is {value!r}, but must be true or false.")
        return value

    def sequence(self, name: str) -> Sequence[Any] | None:
        """A list, None where not stated. Raises UserError for anything else."""
        value = self.value(name)
        if value is not None and not isinstance(value, list | tuple):
            raise UserError(f"The config's {name} is {value!r}, but must be a list.")
        return value

    def kinds(self, name: str = "layer_types") -> tuple[str, ...] | None:
        """One word per layer, None where not stated; entries behind the last layer (MTP) are dropped.

        Raises UserError where there are fewer words than layers.
        """
        kinds = self.sequence(name)
        if kinds is None:
            return None
        if len(kinds) < self.layers or not all(isinstance(kind, str) for kind in kinds):
            raise UserError(f"The config's {name} do not match its layers.", hint="Use the model's own config.json.")
        return tuple(kinds[: self.layers])

    def indices(self, name: str) -> frozenset[int] | None:
        """A list of layer numbers, None where not stated. Raises UserError for anything else."""
        numbers = self.sequence(name)
        return None if numbers is None else frozenset(self._checked(name, number, minimum=0) for number in numbers)

    def sizes(self, name: str) -> tuple[int, ...]:
        """One positive whole number per layer. Raises UserError for anything else."""
        values = self.sequence(name)
        if values is None or len(values) < self.layers:
            raise UserError(f"The config's {name} do not match its layers.", hint="Use the model's own config.json.")
        return tuple(self._checked(name, value, minimum=1) for value in values[: self.layers])

    def of_layer(self, index: int, name: str) -> int | None:
        """What `per_layer_config` states for one layer alone, as transformers 5 writes it; None where it does not."""
        layers = self.part("per_layer_config")
        layer = layers.part(str(index)) if layers else None
        return layer.optional(name) if layer else None

    def part(self, name: str) -> Keys | None:
        """The values of a nested config such as `vision_config`, None where there is none."""
        part = self.value(name)
        if not isinstance(part, Mapping):
            return None
        return Keys(replace(self._config, raw={"model_type": "", **part}))

    @property
    def layers(self) -> int:
        """Number of transformer blocks."""
        layers = self.size("num_hidden_layers", "n_layer", "n_layers", "num_layers")
        if layers > MAX_LAYERS:
            raise UserError(f"The config states {layers:,} layers, more than any model has.")
        return layers

    @property
    def hidden(self) -> int:
        """Width of the residual stream."""
        return self.size("hidden_size", "n_embd", "d_model", "dim")

    @property
    def heads(self) -> int:
        """Query heads."""
        return self.size("num_attention_heads", "n_head", "n_heads", "num_heads")

    @property
    def kv_heads(self) -> int:
        """Key and value heads; as many as query heads where not stated. Must divide the query heads."""
        kv_heads = self.size("num_key_value_heads", "num_kv_heads", "n_head_kv", default=self.heads)
        if self.heads % kv_heads:
            raise UserError(f"The config states {self.heads} attention heads, which {kv_heads} KV heads do not divide.")
        return kv_heads

    @property
    def vocab(self) -> int:
        """Rows of the embedding."""
        return self.size("vocab_size")

    def head_dim(self, default: int | None = None) -> int:
        """Width of one head: stated, else `default`, else hidden size / heads, which must divide."""
        stated = self.optional("head_dim") or default
        if stated:
            return stated
        if self.hidden % self.heads:
            raise UserError(f"The config's hidden size {self.hidden} is not divisible by its {self.heads} heads.")
        return self.hidden // self.heads

    def tied(self, default: bool) -> bool:
        """Whether the output head is the embedding; `default` is what the architecture does when nothing is said."""
        return self.flag("tie_word_embeddings", default)

    def _checked(self, name: str, value: Any, minimum: int) -> int:
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int) or not minimum <= value <= MAX_SIZE:
            raise UserError(f"The config's {name} is {value!r}, which is not a possible size.")
        return value

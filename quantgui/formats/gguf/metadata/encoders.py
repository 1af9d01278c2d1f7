"""Keys of encoders."""

from __future__ import annotations

from collections.abc import Mapping

from quantgui.checkpoint.architectures import Keys
from quantgui.formats.gguf.key_values import KeyValue, flag, u32
from quantgui.formats.gguf.metadata._shared import (
    Builder,
    layer_epsilon,
    refuse_unless,
    size_keys,
)
from quantgui.formats.gguf.metadata.rope import rope_keys, rope_of

BERT_EPSILON = 1e-12
"""What DistilBERT's configs do not state."""
MODERN_BERT_THETA = 160_000.0
NOMIC_THETA = 1000.0
_POSITIONS_AFTER_PADDING = frozenset({"roberta", "xlm-roberta", "camembert"})
"""Encoders that count positions from behind the padding token's id."""


def _bert(keys: Keys, prefix: str) -> list[KeyValue]:
    return [
        *size_keys(keys, prefix, unused_positions=keys.model_type in _POSITIONS_AFTER_PADDING),
        layer_epsilon(keys, prefix, BERT_EPSILON),
        flag(f"{prefix}.attention.causal", False),
        u32("tokenizer.ggml.token_type_count", keys.size("type_vocab_size", default=1)),
    ]


def _nomic_bert(keys: Keys, prefix: str) -> list[KeyValue]:
    plain = not keys.optional("moe_every_n_layers") and not keys.flag("prenorm", False)
    refuse_unless(plain, "experts, or norms before the layers")
    return [*_bert(keys, prefix), *rope_keys(keys, prefix, rope_of(keys, NOMIC_THETA))]


def _modern_bert(keys: Keys, prefix: str) -> list[KeyValue]:
    """Every third layer, from the first on, sees everything, the others a window around them."""
    every = keys.size("global_attn_every_n_layers", default=3)
    kinds = keys.kinds() or tuple("sliding_attention" if i % every else "full_attention" for i in range(keys.layers))
    wanted = tuple("sliding_attention" if i % 3 else "full_attention" for i in range(keys.layers))
    refuse_unless(kinds == wanted, "another order of layers with windows")
    biased = any(keys.flag(name, False) for name in ("norm_bias", "attention_bias", "mlp_bias"))
    refuse_unless(not biased, "biases (norm_bias, attention_bias, mlp_bias)")
    refuse_unless(keys.value("hidden_activation") in (None, "gelu"), "another activation than GELU")
    rope = rope_of(keys, MODERN_BERT_THETA)
    return [
        *size_keys(keys, prefix),
        layer_epsilon(keys, prefix),
        flag(f"{prefix}.attention.causal", False),
        *rope_keys(keys, prefix, rope),
        u32(f"{prefix}.attention.sliding_window", keys.size("local_attention", default=128)),
        u32(f"{prefix}.vocab_size", keys.vocab),
    ]


BUILDERS: Mapping[str, Builder] = {"bert": _bert, "modern-bert": _modern_bert, "nomic-bert": _nomic_bert}
"""general.architecture -> its keys."""

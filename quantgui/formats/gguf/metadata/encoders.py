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


BUILDERS: Mapping[str, Builder] = {"bert": _bert, "nomic-bert": _nomic_bert}
"""general.architecture -> its keys."""

"""What the runtimes' rules ask about a model beside its weights: widths, heads, what attention keeps."""

from __future__ import annotations

from dataclasses import dataclass

from quantgui.checkpoint.architectures import expert_use
from quantgui.fit.kv_cache import KvCache, kv_cache
from quantgui.fit.per_checkpoint import per_checkpoint
from quantgui.types import Checkpoint, ModelConfig, UserError

PARALLEL_BLOCKS = frozenset({"cohere", "cohere2", "command-r", "falcon", "gpt_neox", "gptneox", "gptj", "phi", "phi2"})
"""Architectures whose attention and feed-forward read the same input, so that both results are alive at once."""
LATENT_KEY = "kv_lora_rank"


@dataclass(frozen=True, slots=True)
class Shape:
    """Widths of a model; a token passes through `feed_forward` neurons in each layer."""

    hidden: int
    feed_forward: int
    vocab: int
    heads: int
    is_parallel: bool = False


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """One model as the runtimes' rules see it. What is None is not known and not estimated."""

    shape: Shape | None
    cache: KvCache | None
    cache_note: str
    trained_context: int | None = None
    is_latent: bool = False  # multi-head latent attention


@per_checkpoint
def facts_of(checkpoint: Checkpoint) -> ModelFacts:
    """The facts of a checkpoint, from its config."""
    config = checkpoint.config
    cache, note = kv_cache(config)
    if config is None:
        return ModelFacts(None, cache, note)
    return ModelFacts(_shape(config), cache, note, config.context_length, _is_latent(config))


def _shape(config: ModelConfig) -> Shape | None:
    try:
        experts = expert_use(config)
    except UserError:
        experts = None
    width = max(config.intermediate_size or 0, experts.width if experts else 0)
    if experts and experts.width:
        width = experts.width
    width = width or 4 * (config.hidden_size or 0)
    if not config.hidden_size or not config.vocab_size:
        return None
    return Shape(
        config.hidden_size, width, config.vocab_size, config.num_heads or 0, config.model_type in PARALLEL_BLOCKS
    )


def _is_latent(config: ModelConfig) -> bool:
    text = config.raw.get("text_config")
    nested = text.get(LATENT_KEY) if isinstance(text, dict) else None
    in_header = config.raw.get(f"{config.model_type}.attention.{LATENT_KEY}")
    return bool(config.raw.get(LATENT_KEY) or nested or in_header)

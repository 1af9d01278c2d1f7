"""What the runtimes' rules ask about a model beside its weights: widths, heads, what attention keeps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from quantgui.checkpoint.architectures import expert_use
from quantgui.fit.kv_cache import KvCache, kv_cache
from quantgui.fit.per_checkpoint import per_checkpoint
from quantgui.fit.weight_split import TOWERS
from quantgui.types import Checkpoint, ModelConfig, Role, UserError

PARALLEL_BLOCKS = frozenset({"cohere", "cohere2", "command-r", "falcon", "gpt_neox", "gptneox", "gptj", "phi", "phi2"})
"""Architectures whose attention and feed-forward read the same input, so that both results are alive at once."""
SEVERAL_STEPS = "gelu_new"
"""An activation that transformers computes in several steps, each with a tensor of its own."""
MOST_PREDICTION_LAYERS = 64


@dataclass(frozen=True, slots=True)
class Shape:
    """Widths of a model. Of a mixture, `feed_forward` counts the neurons of the experts that a token passes through."""

    hidden: int
    feed_forward: int
    vocab: int
    heads: int
    is_parallel: bool = False
    experts_used: int = 0  # of a mixture
    kv_heads: int = 0  # heads that keys and values have; 0 where they have none of their own (latent attention)
    alive: int = 3  # tensors of the feed-forward's width that are alive at its peak in eager PyTorch

    @property
    def eager_peak(self) -> int:
        """16-bit elements per token that are alive at once in eager PyTorch, the cache aside.

        Found by following every allocation of transformers 5.22 on the meta device, and confirmed by Qwen's table of
        Qwen2.5 (3.65 widths with 3.71 predicted, 3.44 with 3.74): gate, up and their product beside four hidden
        states; one more of the width where gate and up are one matrix; of a mixture three hidden states per expert.
        """
        beside = 3 * self.experts_used or (8 if self.is_parallel and self.alive == 3 else 4)
        return self.alive * self.feed_forward + beside * self.hidden


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """One model as the runtimes' rules see it. What is None is not known and not estimated."""

    shape: Shape | None
    cache: KvCache | None
    cache_note: str
    trained_context: int | None = None
    is_latent: bool = False  # multi-head latent attention
    prediction_layers: int = 0  # for multi-token prediction
    tower_bytes: int = 0  # what sees and hears, as llama.cpp's mmproj file holds it


@per_checkpoint
def facts_of(checkpoint: Checkpoint) -> ModelFacts:
    """The facts of a checkpoint, from its config."""
    config = checkpoint.config
    cache, note = kv_cache(config)
    towers = _tower_bytes(checkpoint)
    if config is None:
        return ModelFacts(None, cache, note, tower_bytes=towers)
    return ModelFacts(
        _shape(checkpoint, config),
        cache,
        note,
        config.context_length,
        _is_latent(config),
        _prediction_layers(config),
        towers,
    )


def _tower_bytes(checkpoint: Checkpoint) -> int:
    """Matrices of the towers and their projectors in 16 bits, vectors in 32: what llama.cpp's converter writes."""
    towers = (tensor for tensor in checkpoint.tensors if tensor.module.startswith(TOWERS))
    return sum(tensor.numel * (4 if len(tensor.shape) < 2 else 2) for tensor in towers)


def _shape(checkpoint: Checkpoint, config: ModelConfig) -> Shape | None:
    hidden, vocab = config.hidden_size, config.vocab_size
    if not hidden or not vocab:
        return None
    try:
        experts = expert_use(config)
    except UserError:  # said where the cache is not known
        experts = None
    return Shape(
        hidden=hidden,
        feed_forward=(experts.width if experts else 0) or config.intermediate_size or 4 * hidden,
        vocab=vocab,
        heads=config.num_heads or 0,
        is_parallel=config.model_type in PARALLEL_BLOCKS,
        experts_used=experts.used if experts else 0,
        kv_heads=0 if _is_latent(config) else config.num_kv_heads or 0,
        alive=4 if experts else _alive(checkpoint, config),
    )


def _alive(checkpoint: Checkpoint, config: ModelConfig) -> int:
    """Tensors of the feed-forward's width that eager PyTorch holds at once, of a dense model."""
    modules = {tensor.module for tensor in checkpoint.tensors if tensor.role is Role.MLP}
    gates = 2 if "mlp.gate_up" in modules else 1 if "mlp.gate" in modules else 0
    activation = config.raw.get("hidden_act") or config.raw.get("activation_function")
    return 2 + gates + (2 if activation == SEVERAL_STEPS else 0)


def _is_latent(config: ModelConfig) -> bool:
    return bool(_stated(config, "kv_lora_rank", "attention.kv_lora_rank"))


def _prediction_layers(config: ModelConfig) -> int:
    keys = ("num_nextn_predict_layers", "mtp_num_hidden_layers")
    found = (_stated(config, key, "nextn_predict_layers") for key in keys)
    return next((value for value in found if isinstance(value, int) and 0 < value <= MOST_PREDICTION_LAYERS), 0)


def _stated(config: ModelConfig, key: str, gguf_key: str) -> Any:
    """A value of config.json, of its text part, or of a GGUF header."""
    text = config.raw.get("text_config")
    nested = text.get(key) if isinstance(text, Mapping) else None
    return config.raw.get(key) or nested or config.raw.get(f"{config.model_type}.{gguf_key}")

"""What the layout of one architecture states about itself, and what all of them share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from quantgui.types import ModelConfig

Shape = tuple[int, ...]
Split = Callable[[Shape, ModelConfig], tuple[tuple[str, Shape], ...]]
"""Shape of one Hugging Face tensor -> name inside the layer and shape of each GGUF tensor made of it."""


@dataclass(frozen=True, slots=True)
class Layout:
    """How one architecture is stored. Keys are module names inside a layer, values GGUF's names inside `blk.N`."""

    architecture: str  # general.architecture
    modules: Mapping[str, str]
    stacks: Mapping[str, str] = field(default_factory=dict)  # "mlp.experts.*.up_proj": one 3-D tensor of many
    splits: Mapping[str, Split] = field(default_factory=dict)  # whole name inside the layer -> several tensors
    transposed: frozenset[str] = frozenset()  # modules stored [inputs, outputs]
    drops_tied_head: bool = False  # a head that is stored although it is tied is left out
    kv_heads_by_layer: bool = False  # stated per layer, with zero for layers without attention
    repeated: tuple[str, ...] = ()  # wanted in every layer, also unused: the first layer's stand for those not there
    outer_stacks: Mapping[str, str] = field(default_factory=dict)  # the same outside the layers
    outer_splits: Mapping[str, Split] = field(default_factory=dict)


TOP: Mapping[str, str] = {
    "embed_tokens": "token_embd",
    "wte": "token_embd",
    "word_embeddings": "token_embd",
    "embed_in": "token_embd",
    "tok_embeddings": "token_embd",
    "embeddings": "token_embd",
    "embeddings.word_embeddings": "token_embd",
    "embeddings.token_type_embeddings": "token_types",
    "embeddings.position_embeddings": "position_embd",
    "embeddings.LayerNorm": "token_embd_norm",
    "embeddings.tok_embeddings": "token_embd",
    "embeddings.norm": "token_embd_norm",
    "emb_ln": "token_embd_norm",
    "embedding_norm": "token_embd_norm",
    "word_embeddings_layernorm": "token_embd_norm",
    "final_norm": "output_norm",
    "embed_tokens_per_layer": "per_layer_token_embd",
    "per_layer_model_projection": "per_layer_model_proj",
    "per_layer_projection_norm": "per_layer_proj_norm",
    "wpe": "position_embd",
    "norm": "output_norm",
    "norm_f": "output_norm",
    "ln_f": "output_norm",
    "final_layer_norm": "output_norm",
    "final_layernorm": "output_norm",
    "lm_head": "output",
    "embed_out": "output",
    "output": "output",
}
"""Module outside the layers, without the names of the models around it -> its name in GGUF."""

DROPPED = (
    r"rotary_emb\.inv_freq$",
    r"(^|\.)(attn|attention)\.(bias|masked_bias)$",
    r"embeddings\.position_ids$",
    r"^((bert|roberta)\.)?pooler\.",
    r"^cls\.",
    r"^head\.(dense|norm)\.|^decoder\.bias$",
    r"(^|\.)(visual|vision_tower|vision_model|multi_modal_projector|audio_tower|mtp)\.",
    r"_proj_scales$",
)
"""Buffers, and parts that do not belong to the language model or (scales of packed experts) to another tensor."""

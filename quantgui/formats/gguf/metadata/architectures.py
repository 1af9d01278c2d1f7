"""The keys of each architecture that can be converted, and what its config may ask for that llama.cpp cannot do.

A builder gets the config and the architecture's name and returns its keys in the order of llama.cpp's converter.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import cycle, islice

from quantgui.checkpoint.architectures import Keys
from quantgui.formats.gguf.key_values import KeyValue, ValueKind, array_of, f32, flag, u32
from quantgui.formats.gguf.metadata._shared import (
    head_keys,
    layer_epsilon,
    number,
    rms_epsilon,
    size_keys,
)
from quantgui.formats.gguf.metadata.rope import Rope, original_context, rope_keys, rope_of
from quantgui.types import UserError

Builder = Callable[[Keys, str], list[KeyValue]]

GEMMA_HEAD = 256
"""Width of a head where a Gemma config does not state it."""
BERT_EPSILON = 1e-12
"""What DistilBERT's configs do not state."""
NOMIC_THETA = 1000.0
_POSITIONS_AFTER_PADDING = frozenset({"roberta", "xlm-roberta", "camembert"})
"""Encoders that count positions from behind the padding token's id."""


def _dense(keys: Keys, prefix: str) -> list[KeyValue]:
    """RMS norms and rotary positions over the whole head."""
    return [*size_keys(keys, prefix), *rope_keys(keys, prefix, rope_of(keys)), rms_epsilon(keys, prefix)]


def _llama(keys: Keys, prefix: str) -> list[KeyValue]:
    """Llama, Mistral and Mixtral."""
    made = [*_dense(keys, prefix), *head_keys(keys, prefix)]
    made += [u32(f"{prefix}.rope.dimension_count", keys.head_dim()), u32(f"{prefix}.vocab_size", keys.vocab)]
    return made + _expert_keys(keys, prefix)


def _expert_keys(keys: Keys, prefix: str) -> list[KeyValue]:
    experts = keys.optional("num_local_experts", "num_experts")
    if experts is None:
        return []
    used = keys.size("num_experts_per_tok")
    return [u32(f"{prefix}.expert_count", experts), u32(f"{prefix}.expert_used_count", used)]


def _qwen3(keys: Keys, prefix: str) -> list[KeyValue]:
    return [*_dense(keys, prefix), *head_keys(keys, prefix)]


def _qwen2_moe(keys: Keys, prefix: str) -> list[KeyValue]:
    _refuse_unless(not keys.flag("norm_topk_prob", False), "normalized weights of the chosen experts (norm_topk_prob)")
    return _qwen_moe(keys, prefix)


def _qwen3_moe(keys: Keys, prefix: str) -> list[KeyValue]:
    _refuse_unless(keys.flag("norm_topk_prob", False), "experts whose weights are not normalized (norm_topk_prob)")
    return [*_qwen_moe(keys, prefix), *head_keys(keys, prefix)]


def _qwen_moe(keys: Keys, prefix: str) -> list[KeyValue]:
    every_layer = keys.size("decoder_sparse_step", default=1) == 1 and not keys.sequence("mlp_only_layers")
    _refuse_unless(every_layer, "layers without experts (decoder_sparse_step, mlp_only_layers)")
    made = [*_dense(keys, prefix), *_expert_keys(keys, prefix)]
    made.append(u32(f"{prefix}.expert_feed_forward_length", keys.size("moe_intermediate_size")))
    shared = keys.optional("shared_expert_intermediate_size")
    return made + ([u32(f"{prefix}.expert_shared_feed_forward_length", shared)] if shared else [])


def _gemma(keys: Keys, prefix: str) -> list[KeyValue]:
    return [*size_keys(keys, prefix), rms_epsilon(keys, prefix), *head_keys(keys, prefix, GEMMA_HEAD)]


def _gemma2(keys: Keys, prefix: str) -> list[KeyValue]:
    _check_windows(keys, 2)
    _check_query_scale(keys, layers_of_27b=46)
    _refuse_unless(rope_of(keys).theta == 10_000, "another base frequency than 10,000")
    caps = {name: number(keys, f"{name}_logit_softcapping") for name in ("attn", "final")}
    made = _gemma(keys, prefix) + [f32(f"{prefix}.{name}_logit_softcapping", cap or 0) for name, cap in caps.items()]
    return [*made, u32(f"{prefix}.attention.sliding_window", keys.size("sliding_window", default=4096))]


def _gemma3(keys: Keys, prefix: str) -> list[KeyValue]:
    _check_windows(keys, 6)
    _check_query_scale(keys, layers_of_27b=62)
    made = _gemma(keys, prefix)
    cap = number(keys, "final_logit_softcapping")
    if cap:
        made.append(f32(f"{prefix}.final_logit_softcapping", cap))
    made.append(u32(f"{prefix}.attention.sliding_window", keys.size("sliding_window", default=4096)))
    return made + rope_keys(keys, prefix, rope_of(keys, default_theta=1_000_000.0))


def _check_windows(keys: Keys, pattern: int) -> None:
    """llama.cpp knows these architectures with full attention in every `pattern`-th layer and in no other."""
    kinds = keys.kinds()
    wanted = islice(cycle(["sliding_attention"] * (pattern - 1) + ["full_attention"]), keys.layers)
    fits = kinds == tuple(wanted) if kinds else keys.size("sliding_window_pattern", default=pattern) == pattern
    _refuse_unless(fits, "another order of layers with sliding windows")


def _check_query_scale(keys: Keys, layers_of_27b: int) -> None:
    """llama.cpp scales queries by the width of a head, except in the 27B model, which it tells by its layers."""
    head = keys.hidden // keys.heads if keys.layers == layers_of_27b else keys.head_dim(GEMMA_HEAD)
    scale = number(keys, "query_pre_attn_scalar")
    _refuse_unless(scale is None or scale == head, f"queries scaled by {scale} (query_pre_attn_scalar)")


def _phi3(keys: Keys, prefix: str) -> list[KeyValue]:
    rope = rope_of(keys)
    made = [*size_keys(keys, prefix), rms_epsilon(keys, prefix), *rope_keys(keys, prefix, rope)]
    if rope.kind != "longrope":
        made.append(u32(f"{prefix}.rope.scaling.original_context_length", original_context(keys, rope)))
    made.append(u32(f"{prefix}.rope.dimension_count", _rotated(keys, rope, 1.0)))
    # A window of zero is how llama.cpp tells Phi-4 from the others.
    return [*made, u32(f"{prefix}.attention.sliding_window", keys.count("sliding_window"))]


def _rotated(keys: Keys, rope: Rope, default: float) -> int:
    """Dimensions of a head that are rotated."""
    stated = rope.settings.get("partial_rotary_factor", keys.value("partial_rotary_factor", "rope_pct", "rotary_pct"))
    share = Rope(0, "", {"share": stated}).number("share", default)
    return int(share * keys.head_dim())


def _gpt2(keys: Keys, prefix: str) -> list[KeyValue]:
    plain = keys.flag("scale_attn_weights", True) and not keys.flag("scale_attn_by_inverse_layer_idx", False)
    _refuse_unless(plain, "another scale of attention")
    return [*size_keys(keys, prefix), layer_epsilon(keys, prefix)]


def _gpt_neox(keys: Keys, prefix: str) -> list[KeyValue]:
    """GPT-NeoX and StableLM: a part of each head is rotated, attention and MLP may stand side by side."""
    rope = rope_of(keys)
    return [
        *size_keys(keys, prefix),
        u32(f"{prefix}.rope.dimension_count", _rotated(keys, rope, 0.25)),
        *rope_keys(keys, prefix, rope),
        flag(f"{prefix}.use_parallel_residual", keys.flag("use_parallel_residual", True)),
        layer_epsilon(keys, prefix),
    ]


def _starcoder2(keys: Keys, prefix: str) -> list[KeyValue]:
    return [*size_keys(keys, prefix), *rope_keys(keys, prefix, rope_of(keys)), layer_epsilon(keys, prefix)]


def _olmo2(keys: Keys, prefix: str) -> list[KeyValue]:
    made = _dense(keys, prefix)
    window, kinds = keys.count("sliding_window"), keys.kinds()
    if not window or keys.model_type == "olmo2":
        return made
    slides = [kind == "sliding_attention" for kind in kinds] if kinds else [i % 4 != 3 for i in range(keys.layers)]
    made.append(u32(f"{prefix}.attention.sliding_window", window))
    return [*made, array_of(f"{prefix}.attention.sliding_window_pattern", ValueKind.BOOL, slides)]


def _bert(keys: Keys, prefix: str) -> list[KeyValue]:
    return [
        *size_keys(keys, prefix, unused_positions=keys.model_type in _POSITIONS_AFTER_PADDING),
        layer_epsilon(keys, prefix, BERT_EPSILON),
        flag(f"{prefix}.attention.causal", False),
        u32("tokenizer.ggml.token_type_count", keys.size("type_vocab_size", default=1)),
    ]


def _nomic_bert(keys: Keys, prefix: str) -> list[KeyValue]:
    plain = not keys.optional("moe_every_n_layers") and not keys.flag("prenorm", False)
    _refuse_unless(plain, "experts, or norms before the layers")
    return [*_bert(keys, prefix), *rope_keys(keys, prefix, rope_of(keys, NOMIC_THETA))]


def _refuse_unless(fits: bool, what: str) -> None:
    if not fits:
        raise UserError(
            f"This model's config asks for {what}, which llama.cpp does not do for this architecture.",
            hint="The file would load and answer wrongly, so it is not written.",
        )


BUILDERS: Mapping[str, Builder] = {
    "bert": _bert,
    "gemma": _gemma,
    "gemma2": _gemma2,
    "gemma3": _gemma3,
    "gpt2": _gpt2,
    "gptneox": _gpt_neox,
    "llama": _llama,
    "nomic-bert": _nomic_bert,
    "olmo2": _olmo2,
    "phi3": _phi3,
    "qwen2": _dense,
    "qwen2moe": _qwen2_moe,
    "qwen3": _qwen3,
    "qwen3moe": _qwen3_moe,
    "stablelm": _gpt_neox,
    "starcoder2": _starcoder2,
}
"""general.architecture -> its keys."""

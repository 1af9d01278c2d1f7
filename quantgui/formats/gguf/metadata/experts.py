"""Keys of mixtures of experts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from quantgui.checkpoint.architectures import Keys
from quantgui.formats.gguf.key_values import KeyValue, f32, flag, u32
from quantgui.formats.gguf.metadata._shared import (
    GLM_SHARE,
    VISION_THETA,
    Builder,
    Gating,
    check_windows,
    dense_keys,
    expert_keys,
    granite_scales,
    head_keys,
    number,
    refuse_unless,
    rms_epsilon,
    rotary_keys,
    rotated_dimensions,
    size_keys,
    vision_keys,
    window_keys,
)
from quantgui.formats.gguf.metadata.rope import DEFAULT_THETA, rope_keys, rope_of
from quantgui.types import UserError

GPT_OSS_THETA = 150_000.0
GPT_OSS_HEAD = 64
GPT_OSS_ALPHA, GPT_OSS_LIMIT = 1.702, 7.0
"""Of gpt-oss, where its config does not state them; llama.cpp's gate has no others."""
MINIMAX_THETA, MINIMAX_HEAD = 5_000_000.0, 128
"""Of MiniMax-M2, where its config does not state them."""
ERNIE_THETA = 500_000.0
LLAMA4_THETA = 500_000.0
LLAMA4_CHUNK, LLAMA4_SCALE = 8192, 0.1
LLAMA4_EXPERTS_WITHOUT_NORMS = 128
"""How llama.cpp tells Maverick, which has no norms of queries and keys, from Scout."""
LAYERS_WITH_WHOLE_QUERIES = (26, 27)
"""How llama.cpp tells the lite models, which project queries in one step."""


def _qwen2_moe(keys: Keys, prefix: str) -> list[KeyValue]:
    refuse_unless(not keys.flag("norm_topk_prob", False), "normalized weights of the chosen experts (norm_topk_prob)")
    return _qwen_moe(keys, prefix)


def _qwen3_moe(keys: Keys, prefix: str) -> list[KeyValue]:
    refuse_unless(keys.flag("norm_topk_prob", False), "experts whose weights are not normalized (norm_topk_prob)")
    return [*_qwen_moe(keys, prefix), *head_keys(keys, prefix)]


def _qwen3_vl_moe(keys: Keys, prefix: str) -> list[KeyValue]:
    refuse_unless(keys.flag("norm_topk_prob", True), "experts whose weights are not normalized (norm_topk_prob)")
    return [*_qwen_moe(keys, prefix, VISION_THETA), *head_keys(keys, prefix), *vision_keys(keys, prefix)]


def _qwen_moe(keys: Keys, prefix: str, default_theta: float = DEFAULT_THETA) -> list[KeyValue]:
    every_layer = keys.size("decoder_sparse_step", default=1) == 1 and not keys.sequence("mlp_only_layers")
    refuse_unless(every_layer, "layers without experts (decoder_sparse_step, mlp_only_layers)")
    made = [*dense_keys(keys, prefix, default_theta), *expert_keys(keys, prefix)]
    made.append(u32(f"{prefix}.expert_feed_forward_length", keys.size("moe_intermediate_size")))
    shared = keys.optional("shared_expert_intermediate_size")
    return made + ([u32(f"{prefix}.expert_shared_feed_forward_length", shared)] if shared else [])


def _gpt_oss(keys: Keys, prefix: str) -> list[KeyValue]:
    check_windows(keys, 2)
    refuse_unless(keys.flag("attention_bias", True), "attention without biases")
    gate = (number(keys, "swiglu_alpha") or GPT_OSS_ALPHA, number(keys, "swiglu_limit") or GPT_OSS_LIMIT)
    refuse_unless(gate == (GPT_OSS_ALPHA, GPT_OSS_LIMIT), "another gate of the experts (swiglu_alpha, swiglu_limit)")
    return [
        *dense_keys(keys, prefix, GPT_OSS_THETA),
        *head_keys(keys, prefix, GPT_OSS_HEAD),
        *window_keys(keys, prefix),
        *expert_keys(keys, prefix),
        u32(f"{prefix}.expert_feed_forward_length", keys.size("intermediate_size")),
    ]


def _minimax_m2(keys: Keys, prefix: str) -> list[KeyValue]:
    """Norms over all heads of queries and of keys together; sigmoids with a correction choose the experts."""
    rope, turned = rope_of(keys, MINIMAX_THETA), keys.optional("rotary_dim")
    refuse_unless(not keys.tied(False), "one embedding at both ends (tie_word_embeddings)")
    refuse_unless(keys.flag("use_qk_norm", True), "queries and keys without norms (use_qk_norm)")
    return [
        *size_keys(keys, prefix),
        rms_epsilon(keys, prefix),
        *head_keys(keys, prefix, MINIMAX_HEAD),
        u32(f"{prefix}.rope.dimension_count", turned or rotated_dimensions(keys, rope, 1.0)),
        *rope_keys(keys, prefix, rope),
        *expert_keys(keys, prefix),
        u32(f"{prefix}.expert_feed_forward_length", keys.size("intermediate_size")),
        u32(f"{prefix}.expert_gating_func", Gating.SIGMOID),
    ]


def _olmoe(keys: Keys, prefix: str) -> list[KeyValue]:
    plain = not keys.flag("norm_topk_prob", False) and not number(keys, "clip_qkv")
    refuse_unless(plain, "normalized weights of the chosen experts (norm_topk_prob), or limits (clip_qkv)")
    return [*dense_keys(keys, prefix), *expert_keys(keys, prefix)]


def _granite_moe(keys: Keys, prefix: str) -> list[KeyValue]:
    made = [*dense_keys(keys, prefix), *head_keys(keys, prefix), *granite_scales(keys, prefix)]
    made += [u32(f"{prefix}.vocab_size", keys.vocab), *expert_keys(keys, prefix)]
    shared = keys.optional("shared_intermediate_size")
    return made + ([u32(f"{prefix}.expert_shared_feed_forward_length", shared)] if shared else [])


def _sigmoid_experts(keys: Keys, prefix: str) -> list[KeyValue]:
    """Experts chosen by sigmoids with a correction, in groups, with experts beside them that every token uses."""
    groups = keys.size("n_group", default=1)
    made = [
        u32(f"{prefix}.leading_dense_block_count", leading_dense(keys)),
        *expert_keys(keys, prefix),
        u32(f"{prefix}.expert_feed_forward_length", keys.size("moe_intermediate_size")),
        u32(f"{prefix}.expert_shared_count", keys.count("n_shared_experts")),
        u32(f"{prefix}.expert_gating_func", Gating.SIGMOID),
        f32(f"{prefix}.expert_weights_scale", number(keys, "routed_scaling_factor") or 1.0),
        flag(f"{prefix}.expert_weights_norm", keys.flag("norm_topk_prob", True)),
    ]
    if groups > 1:
        made.append(u32(f"{prefix}.expert_group_count", groups))
        made.append(u32(f"{prefix}.expert_group_used_count", keys.size("topk_group")))
    return made


def leading_dense(keys: Keys) -> int:
    """Layers without experts before the others. Raises UserError where they stand elsewhere."""
    kinds = keys.kinds("mlp_layer_types")
    if kinds is None:
        return keys.count("first_k_dense_replace")
    dense = kinds.count("dense")
    refuse_unless("dense" not in kinds[dense:], "another order of layers with experts (mlp_layer_types)")
    return dense


def _glm4_moe(keys: Keys, prefix: str) -> list[KeyValue]:
    return [
        *size_keys(keys, prefix),
        rms_epsilon(keys, prefix),
        *head_keys(keys, prefix),
        *rotary_keys(keys, prefix, GLM_SHARE),
        *_sigmoid_experts(keys, prefix),
    ]


def _dots1(keys: Keys, prefix: str) -> list[KeyValue]:
    return [*dense_keys(keys, prefix), *head_keys(keys, prefix), *_sigmoid_experts(keys, prefix)]


def _ernie_moe(keys: Keys, prefix: str) -> list[KeyValue]:
    refuse_unless(not keys.flag("use_bias", False), "biases (use_bias)")
    first, step = keys.count("moe_layer_start_index", 1), keys.size("moe_layer_interval", default=1)
    last = keys.value("moe_layer_end_index")
    refuse_unless(step == 1 and last in (None, -1, keys.layers - 1), "another order of layers with experts")
    inner = keys.size("moe_intermediate_size")
    return [
        *dense_keys(keys, prefix, ERNIE_THETA),
        *head_keys(keys, prefix),
        *expert_keys(keys, prefix),
        u32(f"{prefix}.interleave_moe_layer_step", step),
        u32(f"{prefix}.leading_dense_block_count", first),
        u32(f"{prefix}.expert_feed_forward_length", inner),
        u32(f"{prefix}.expert_shared_feed_forward_length", inner * keys.count("moe_num_shared_experts")),
        u32(f"{prefix}.expert_shared_count", keys.count("moe_num_shared_experts")),
    ]


def _deepseek2(keys: Keys, prefix: str) -> list[KeyValue]:
    """Latent attention. llama.cpp computes it with the latent as the one key and value that all heads share."""
    refuse_unless(keys.flag("rope_interleave", True), "positions that are not interleaved (rope_interleave)")
    refuse_unless(not keys.flag("attention_bias", False), "biases in attention (attention_bias)")
    latent, turned, rest = (keys.size(name) for name in ("kv_lora_rank", "qk_rope_head_dim", "qk_nope_head_dim"))
    low_rank = keys.optional("q_lora_rank")
    fits = (low_rank is None) == (keys.layers in LAYERS_WITH_WHOLE_QUERIES)
    refuse_unless(fits, "this kind of queries (q_lora_rank) in a model of this depth")
    made = [
        *size_keys(keys, prefix, kv_heads=1),
        rms_epsilon(keys, prefix),
        u32(f"{prefix}.vocab_size", keys.vocab),
        *([u32(f"{prefix}.attention.q_lora_rank", low_rank)] if low_rank else []),
        u32(f"{prefix}.attention.kv_lora_rank", latent),
        u32(f"{prefix}.attention.key_length", latent + turned),
        u32(f"{prefix}.attention.value_length", latent),
        u32(f"{prefix}.attention.key_length_mla", rest + turned),
        u32(f"{prefix}.attention.value_length_mla", keys.size("v_head_dim")),
        u32(f"{prefix}.rope.dimension_count", turned),
        *_latent_rope(keys, prefix),
    ]
    softmax = keys.model_type == "deepseek_v2"
    return made + (_softmax_experts(keys, prefix) if softmax else _sigmoid_experts(keys, prefix))


def _latent_rope(keys: Keys, prefix: str) -> list[KeyValue]:
    """YaRN scales all of a query and key here, not their rotated part alone."""
    rope = rope_of(keys)
    if rope.kind != "yarn":
        return rope_keys(keys, prefix, rope)
    magnitude = rope.settings.get("mscale_all_dim")
    refuse_unless(magnitude is not None and rope.settings.get("mscale") == magnitude, "another scale of attention")
    plain = {name: value for name, value in rope.settings.items() if not name.startswith("mscale")}
    # A tenth, because llama.cpp multiplies this architecture's value by ten.
    multiplier = f32(f"{prefix}.rope.scaling.yarn_log_multiplier", 0.1 * rope.number("mscale_all_dim"))
    return [*rope_keys(keys, prefix, replace(rope, settings=plain)), multiplier]


def _softmax_experts(keys: Keys, prefix: str) -> list[KeyValue]:
    """DeepSeek V2's experts. Its groups, ranked by their best expert, are not those of llama.cpp."""
    in_groups = keys.value("topk_method") == "group_limited_greedy" and keys.size("n_group", default=1) > 1
    refuse_unless(not in_groups, "groups of experts that are ranked by their best one (group_limited_greedy)")
    return [
        u32(f"{prefix}.leading_dense_block_count", leading_dense(keys)),
        *expert_keys(keys, prefix),
        u32(f"{prefix}.expert_feed_forward_length", keys.size("moe_intermediate_size")),
        u32(f"{prefix}.expert_shared_count", keys.count("n_shared_experts")),
        u32(f"{prefix}.expert_gating_func", Gating.SOFTMAX),
        f32(f"{prefix}.expert_weights_scale", number(keys, "routed_scaling_factor") or 1.0),
    ]


def _llama4(keys: Keys, prefix: str) -> list[KeyValue]:
    """Its chunks of attention and what scales queries in long texts stand in llama.cpp itself."""
    step = keys.size("interleave_moe_layer_step", default=1)
    _check_llama4_layers(keys, step)
    lengths = ("attention_chunk_size", "floor_scale")
    fixed = all(keys.size(name, default=LLAMA4_CHUNK) == LLAMA4_CHUNK for name in lengths)
    fixed &= keys.flag("attn_temperature_tuning", True) and number(keys, "attn_scale") in (None, LLAMA4_SCALE)
    refuse_unless(fixed, "other chunks of attention, or another scale of queries in long texts")
    norms = keys.flag("use_qk_norm", True)
    fits = norms == (keys.size("num_local_experts") != LLAMA4_EXPERTS_WITHOUT_NORMS)
    refuse_unless(fits, "norms of queries and keys with so many experts (use_qk_norm)")
    return [
        *size_keys(keys, prefix, inner=keys.size("intermediate_size_mlp")),
        rms_epsilon(keys, prefix),
        *head_keys(keys, prefix),
        u32(f"{prefix}.rope.dimension_count", keys.head_dim()),
        *rope_keys(keys, prefix, rope_of(keys, LLAMA4_THETA)),
        u32(f"{prefix}.vocab_size", keys.vocab),
        *expert_keys(keys, prefix),
        u32(f"{prefix}.expert_feed_forward_length", keys.size("intermediate_size")),
        u32(f"{prefix}.interleave_moe_layer_step", step),
    ]


def _check_llama4_layers(keys: Keys, step: int) -> None:
    """Every fourth layer has no positions, every `step`-th has experts."""
    rotated = keys.sequence("no_rope_layers")  # 1 where there are positions
    wanted = [(layer + 1) % 4 != 0 for layer in range(keys.layers)]
    refuse_unless(not rotated or [bool(on) for on in rotated] == wanted, "another order of layers without positions")
    stated = keys.sequence("moe_layers")
    in_step = stated is None or list(stated) == list(range(step - 1, keys.layers, step))
    refuse_unless(in_step, "another order of layers with experts (moe_layers)")


def _phimoe(keys: Keys, prefix: str) -> list[KeyValue]:
    raise UserError(
        "Phi's experts are chosen by SparseMixer, and llama.cpp chooses them by a plain softmax.",
        hint="The file would load and answer differently, so it is not written.",
    )


BUILDERS: Mapping[str, Builder] = {
    "deepseek2": _deepseek2,
    "dots1": _dots1,
    "ernie4_5-moe": _ernie_moe,
    "glm4moe": _glm4_moe,
    "gpt-oss": _gpt_oss,
    "granitemoe": _granite_moe,
    "llama4": _llama4,
    "minimax-m2": _minimax_m2,
    "olmoe": _olmoe,
    "phimoe": _phimoe,
    "qwen2moe": _qwen2_moe,
    "qwen3moe": _qwen3_moe,
    "qwen3vlmoe": _qwen3_vl_moe,
}
"""general.architecture -> its keys."""

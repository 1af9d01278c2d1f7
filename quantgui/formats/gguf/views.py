"""How each architecture's weights are reordered and changed on their way into a GGUF file: strided views and formulas.

Sources: the `modify_tensors` of llama.cpp's converters.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING

from quantgui.checkpoint.architectures import Keys
from quantgui.formats.gguf.heads import falcon_kv_heads
from quantgui.formats.gguf.multipliers import MULTIPLIED, Multiplied, multiplied
from quantgui.formats.gguf.packed_blocks import PackedBlocks
from quantgui.types import UserError

if TYPE_CHECKING:
    import torch

View = Callable[["torch.Tensor", Keys], "torch.Tensor | tuple[torch.Tensor | Multiplied, ...]"]
"""A tensor of the checkpoint and the config -> views on it with the elements of the GGUF tensor, in their order."""
Change = Callable[["torch.Tensor"], "torch.Tensor"]
"""float32 values of the checkpoint -> those of the file."""


def inside_layer(name: str) -> str:
    """A GGUF name without the number of its layer and without "weight" and "bias": attn_q."""
    return re.sub(r"^blk\.\d+\.|\.(weight|bias)$", "", name)


def _rotary_pairs(heads: int, tensor: torch.Tensor) -> torch.Tensor:
    """Rows of each head in pairs: transformers rotates dimension i with i + half, llama.cpp's llama 2i with 2i + 1.

    [heads × 2 × half, …] -> [heads, half, 2, …].
    """
    if tensor.shape[0] % (2 * heads):
        raise UserError(f"{tensor.shape[0]} rows do not fit {heads} heads.")
    return tensor.view(heads, 2, tensor.shape[0] // heads // 2, *tensor.shape[1:]).transpose(1, 2)


def _query_pairs(tensor: torch.Tensor, keys: Keys) -> torch.Tensor:
    return _rotary_pairs(keys.heads, tensor)


def _key_pairs(tensor: torch.Tensor, keys: Keys) -> torch.Tensor:
    return _rotary_pairs(keys.kv_heads, tensor)


def _queries_then_keys_then_values(tensor: torch.Tensor, keys: Keys) -> torch.Tensor:
    """GPT-NeoX keeps query, key and value of a head together: [heads, 3, width, …] -> [3, heads, width, …]."""
    if tensor.shape[0] % (3 * keys.heads):
        raise UserError(f"{tensor.shape[0]} rows do not fit three times {keys.heads} heads.")
    return tensor.view(keys.heads, 3, tensor.shape[0] // keys.heads // 3, *tensor.shape[1:]).transpose(0, 1)


def _many_queries(tensor: torch.Tensor, keys: Keys) -> torch.Tensor:
    """GPT-BigCode stores queries, keys and values one after the other where all queries share one key, and head by
    head where each has its own."""
    return tensor if keys.flag("multi_query", True) else _queries_then_keys_then_values(tensor, keys)


def _queries_keys_values_by_group(tensor: torch.Tensor, keys: Keys) -> tuple[torch.Tensor, ...]:
    """Falcon keeps some queries with the key and value they share: [groups, queries + 2, width, …]."""
    groups = falcon_kv_heads(keys)
    together = keys.heads // groups + 2
    if tensor.shape[0] % (groups * together):
        raise UserError(f"{tensor.shape[0]} rows do not fit {keys.heads} + 2 × {groups} heads.")
    parts = tensor.view(groups, together, tensor.shape[0] // groups // together, *tensor.shape[1:])
    return parts[:, :-2], parts[:, -2], parts[:, -1]


def _turned(tensor: torch.Tensor, keys: Keys) -> torch.Tensor:
    """A matrix that is stored [inputs, outputs]; a bias stays."""
    return tensor.t() if tensor.ndim > 1 else tensor


def _text_rows(tensor: torch.Tensor, keys: Keys) -> torch.Tensor:
    """Rows of an embedding that stand for text; Gemma 3n has others behind them."""
    return tensor[: keys.size("vocab_size_per_layer_input")]


def _gate_rows(tensor: torch.Tensor, keys: Keys) -> torch.Tensor:
    """The first half of the outputs of a fused [experts, 2 × inner, inputs] or [2 × inner, inputs]."""
    return tensor.narrow(-2, 0, tensor.shape[-2] // 2)


def _up_rows(tensor: torch.Tensor, keys: Keys) -> torch.Tensor:
    return tensor.narrow(-2, tensor.shape[-2] // 2, tensor.shape[-2] // 2)


def _gate_alternating(tensor: torch.Tensor, keys: Keys) -> torch.Tensor:
    """gpt-oss alternates rows of gate and up: weights [experts, inputs, 2 × inner], biases [experts, 2 × inner]."""
    return _experts_turned(tensor, keys)[:, ::2]


def _up_alternating(tensor: torch.Tensor, keys: Keys) -> torch.Tensor:
    return _experts_turned(tensor, keys)[:, 1::2]


def _experts_turned(tensor: torch.Tensor, keys: Keys) -> torch.Tensor:
    """Experts that are stored [experts, inputs, outputs]; their biases stay."""
    return tensor.transpose(1, 2) if tensor.ndim == 3 else tensor


def _latent_keys(tensor: torch.Tensor, keys: Keys) -> torch.Tensor:
    """What takes queries into the latent space: [heads × (key + value), latent] -> [heads, latent, key]."""
    return _latent_heads(tensor, keys)[:, : keys.size("qk_nope_head_dim")].transpose(1, 2)


def _latent_values(tensor: torch.Tensor, keys: Keys) -> torch.Tensor:
    return _latent_heads(tensor, keys)[:, keys.size("qk_nope_head_dim") :]


def _latent_heads(tensor: torch.Tensor, keys: Keys) -> torch.Tensor:
    width = keys.size("qk_nope_head_dim") + keys.size("v_head_dim")
    if tensor.shape[0] != keys.heads * width:
        raise UserError(f"{tensor.shape[0]} rows do not fit {keys.heads} heads of {width}.")
    return tensor.view(keys.heads, width, tensor.shape[1])


def _expert_gate(tensor: torch.Tensor, keys: Keys) -> torch.Tensor:
    """Gate of fused experts [experts, 2 × inner, inputs]; one expert's own matrix stays."""
    return _gate_rows(tensor, keys) if tensor.ndim == 3 else tensor


def _expert_up(tensor: torch.Tensor, keys: Keys) -> torch.Tensor:
    return _up_rows(tensor, keys) if tensor.ndim == 3 else tensor


def _gate_turned(tensor: torch.Tensor, keys: Keys) -> torch.Tensor:
    """Gate of Llama 4's experts: [experts, inputs, 2 × inner]."""
    return _gate_rows(tensor.transpose(1, 2), keys)


def _up_turned(tensor: torch.Tensor, keys: Keys) -> torch.Tensor:
    return _up_rows(tensor.transpose(1, 2), keys)


def _hidden_at(place: int, tensor: torch.Tensor, keys: Keys) -> torch.Tensor:
    """Experts of Qwen3-VL, turned unless dimension `place` alone is the hidden size: they are published with inputs
    first, and saved by transformers 5 with outputs first."""
    if tensor.ndim < 3 or tensor.shape[place] == keys.hidden != tensor.shape[3 - place]:
        return tensor
    return tensor.transpose(1, 2)


def _gate_either_way(tensor: torch.Tensor, keys: Keys) -> torch.Tensor:
    return _expert_gate(_hidden_at(2, tensor, keys), keys)


def _up_either_way(tensor: torch.Tensor, keys: Keys) -> torch.Tensor:
    return _expert_up(_hidden_at(2, tensor, keys), keys)


def _down_either_way(tensor: torch.Tensor, keys: Keys) -> torch.Tensor:
    return _hidden_at(1, tensor, keys)


def _value_heads(tensor: torch.Tensor, keys: Keys) -> torch.Tensor:
    """Value heads of linear attention, which stand together with the key head they share: [keys, values, …] rows.

    llama.cpp repeats the keys as a whole, so the first value head of every key comes first.
    """
    groups, heads = keys.size("linear_num_key_heads"), keys.size("linear_num_value_heads")
    if tensor.shape[0] % heads or heads % groups:
        raise UserError(f"{tensor.shape[0]} rows do not fit {heads} value heads of {groups} key heads.")
    return tensor.view(groups, heads // groups, tensor.shape[0] // heads, *tensor.shape[1:]).transpose(0, 1)


def _value_columns(tensor: torch.Tensor, keys: Keys) -> torch.Tensor:
    """The same for the inputs of a matrix."""
    groups, heads = keys.size("linear_num_key_heads"), keys.size("linear_num_value_heads")
    return tensor.view(tensor.shape[0], groups, heads // groups, tensor.shape[1] // heads).transpose(1, 2)


def _values_last(tensor: torch.Tensor, keys: Keys) -> tuple[torch.Tensor, ...]:
    """Queries and keys in their order, then the value heads: rows of a projection, channels of a convolution."""
    both = 2 * keys.size("linear_num_key_heads") * keys.size("linear_key_head_dim")
    return tensor[:both], _value_heads(tensor[both:], keys)


def _together(tensor: torch.Tensor, keys: Keys) -> tuple[torch.Tensor, ...]:
    """Qwen3-Next's query, key, values and gates of each key head: [key heads, query + key + values + gates, …]."""
    groups, width = keys.size("linear_num_key_heads"), keys.size("linear_key_head_dim")
    values = keys.size("linear_num_value_heads") // groups * keys.size("linear_value_head_dim")
    if tensor.shape[0] != groups * 2 * (width + values):
        raise UserError(f"{tensor.shape[0]} rows do not fit {groups} key heads.")
    return tensor.view(groups, 2 * (width + values), *tensor.shape[1:]).split([width, width, values, values], 1)


def _without_gates(tensor: torch.Tensor, keys: Keys) -> tuple[torch.Tensor, ...]:
    return _together(tensor, keys)[:3]


def _gates_alone(tensor: torch.Tensor, keys: Keys) -> torch.Tensor:
    return _together(tensor, keys)[3]


_PAIRS: Mapping[str, View] = {"attn_q": _query_pairs, "attn_k": _key_pairs}
_TILED_VALUES: Mapping[str, View] = {
    **dict.fromkeys(("attn_gate", "ssm_alpha", "ssm_beta", "ssm_a", "ssm_dt"), _value_heads),
    "attn_qkv": _values_last,
    "ssm_conv1d": _values_last,
    "ssm_out": _value_columns,
}
_HALVES: Mapping[str, View] = {
    **dict.fromkeys(("ffn_gate_exps", "ffn_gate_shexp"), _gate_rows),
    **dict.fromkeys(("ffn_up_exps", "ffn_up_shexp"), _up_rows),
}
VIEWS: Mapping[str, Mapping[str, View]] = {
    "arcee": _PAIRS,
    "bloom": {"attn_qkv": _queries_then_keys_then_values},
    "deepseek2": {"attn_k_b": _latent_keys, "attn_v_b": _latent_values},
    "falcon-h1": {name: partial(multiplied, name) for name in MULTIPLIED},
    "falcon": {"attn_qkv": _queries_keys_values_by_group},
    "gpt2": dict.fromkeys(("attn_qkv", "attn_output", "ffn_up", "ffn_down"), _turned),
    "gptneox": {"attn_qkv": _queries_then_keys_then_values},
    "gemma3n": {"token_embd": _text_rows},
    "gpt-oss": {
        "ffn_gate_exps": _gate_alternating,
        "ffn_up_exps": _up_alternating,
        "ffn_down_exps": _experts_turned,
    },
    "granite": _PAIRS,
    "granitehybrid": {**_PAIRS, **_HALVES, "ffn_gate": _gate_rows, "ffn_up": _up_rows},
    "granitemoe": {**_PAIRS, **_HALVES},
    "llama": _PAIRS,
    "llama4": {"ffn_gate_exps": _gate_turned, "ffn_up_exps": _up_turned, "ffn_down_exps": _experts_turned},
    "mistral3": _PAIRS,
    "olmo": _PAIRS,
    "qwen35": _TILED_VALUES,
    "qwen35moe": {**_TILED_VALUES, "ffn_gate_exps": _expert_gate, "ffn_up_exps": _expert_up},
    "qwen3next": {"attn_qkv": _without_gates, "attn_gate": _gates_alone},
    "qwen3vlmoe": {
        "ffn_gate_exps": _gate_either_way,
        "ffn_up_exps": _up_either_way,
        "ffn_down_exps": _down_either_way,
    },
    "smollm3": _PAIRS,
    "starcoder": {"attn_qkv": _many_queries},
}
"""Architecture -> name inside the layer -> how it is reordered."""


def columns_view(architecture: str, name: str) -> View | None:
    """How the columns of the GGUF tensor `name` are reordered, None where they keep the order of the checkpoint."""
    view = VIEWS.get(architecture, {}).get(inside_layer(name))
    return view if view is _value_columns else None


_ALTERNATING: Mapping[str, int] = {"ffn_gate_exps": 0, "ffn_up_exps": 1}


def packed_view(inside: str, blocks: PackedBlocks) -> PackedBlocks:
    """The rows [experts, outputs, groups] of gate or up, which alternate in gpt-oss, or those of another tensor."""
    first = _ALTERNATING.get(inside)
    return blocks if first is None else blocks[:, first::2]


_SHIFTED_NORMS = frozenset({"gemma", "gemma2", "gemma3", "nemotron", "qwen35", "qwen35moe", "qwen3next"})
"""Architectures that store the weight of a norm less one."""


def change_of(architecture: str, name: str) -> Change | None:
    """What is computed with the values of the GGUF tensor `name`, None where they stay."""
    if name.endswith("ssm_a"):
        return _decay
    shifted = architecture in _SHIFTED_NORMS and name.endswith("norm.weight") and not name.endswith("ssm_norm.weight")
    return _plus_one if shifted else None


def _plus_one(values: torch.Tensor) -> torch.Tensor:
    return values + 1


def _decay(values: torch.Tensor) -> torch.Tensor:
    """State spaces store the logarithm of how fast a state decays."""
    return -values.exp()

"""Gemma 3n: several streams of hidden states, and a second embedding that every layer reads a part of."""

from __future__ import annotations

from collections.abc import Mapping

from quantgui.formats.gguf.layouts._layout import Layout, Shape, Split
from quantgui.formats.gguf.layouts._parts import LLAMA, PER_LAYER_INPUTS, POST_NORMS, renamed, whole_number
from quantgui.types import ModelConfig

_GEMMA3N: Mapping[str, str] = {
    **LLAMA,
    **POST_NORMS,
    **PER_LAYER_INPUTS,
    "altup.correction_coefs": "altup_correct_coef",
    "altup.prediction_coefs": "altup_predict_coef",
    "altup.modality_router": "altup_router",
    "altup.router_norm": "altup_router_norm",
    "laurel.linear_left": "laurel_l",
    "laurel.linear_right": "laurel_r",
    "laurel.post_laurel_norm": "laurel_post_norm",
}
_SPLITS: Mapping[str, Split] = {"altup.correct_output_scale": renamed("altup_correct_scale.weight")}
_STREAMS: Mapping[str, str] = {
    "altup_projections.*": "altup_proj",
    "altup_unembed_projections.*": "altup_unembd_proj",
}


def _text_rows(shape: Shape, config: ModelConfig) -> tuple[tuple[str, Shape], ...]:
    """llama.cpp wants as many rows as the second embedding has: those behind it stand for pictures and sounds."""
    rows = min(shape[0], whole_number(config, "vocab_size_per_layer_input"))
    return (("token_embd.weight", (rows, *shape[1:])),)


_LAYOUT = Layout(
    "gemma3n",
    _GEMMA3N,
    splits=_SPLITS,
    drops_tied_head=True,
    repeated=("attn_k.weight", "attn_v.weight", "attn_k_norm.weight"),
    outer_stacks=_STREAMS,
    outer_splits={"embed_tokens.weight": _text_rows},
)

LAYOUTS: Mapping[str, Layout] = {"gemma3n": _LAYOUT, "gemma3n_text": _LAYOUT}
"""`model_type` of config.json -> how llama.cpp stores it."""

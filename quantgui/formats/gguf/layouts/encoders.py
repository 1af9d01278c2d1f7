"""Encoders: models that turn a text into one vector."""

from __future__ import annotations

from collections.abc import Mapping

from quantgui.formats.gguf.layouts._layout import Layout, Shape, Split
from quantgui.types import ModelConfig

_BERT: Mapping[str, str] = {
    "attention.self.query": "attn_q",
    "attention.self.key": "attn_k",
    "attention.self.value": "attn_v",
    "attention.output.dense": "attn_output",
    "attention.output.LayerNorm": "attn_output_norm",
    "intermediate.dense": "ffn_up",
    "output.dense": "ffn_down",
    "output.LayerNorm": "layer_output_norm",
}
_DISTILBERT: Mapping[str, str] = {
    "attention.q_lin": "attn_q",
    "attention.k_lin": "attn_k",
    "attention.v_lin": "attn_v",
    "attention.out_lin": "attn_output",
    "sa_layer_norm": "attn_output_norm",
    "ffn.lin1": "ffn_up",
    "ffn.lin2": "ffn_down",
    "output_layer_norm": "layer_output_norm",
}
_MODERN_BERT: Mapping[str, str] = {
    "attn_norm": "attn_norm",
    "attn.Wqkv": "attn_qkv",
    "attn.Wo": "attn_output",
    "mlp_norm": "ffn_norm",
    "mlp.Wi": "ffn_up",
    "mlp.Wo": "ffn_down",
}
_NOMIC_BERT: Mapping[str, str] = {
    "attn.Wqkv": "attn_qkv",
    "attn.out_proj": "attn_output",
    "norm1": "attn_output_norm",
    "mlp.fc11": "ffn_up",
    "mlp.fc12": "ffn_gate",
    "mlp.fc2": "ffn_down",
    "norm2": "layer_output_norm",
}


def _positions_after_padding(shape: Shape, config: ModelConfig) -> tuple[tuple[str, Shape], ...]:
    """RoBERTa counts positions from the padding token's id on; the rows before are never read."""
    padding = config.raw.get("pad_token_id")
    unused = padding + 1 if isinstance(padding, int) else 0
    return (("position_embd.weight", (shape[0] - unused, *shape[1:])),)


_POSITIONS: Mapping[str, Split] = {"embeddings.position_embeddings.weight": _positions_after_padding}
_ROBERTA = Layout("bert", _BERT, outer_splits=_POSITIONS)

LAYOUTS: Mapping[str, Layout] = {
    "bert": Layout("bert", _BERT),
    "camembert": _ROBERTA,
    "distilbert": Layout("bert", _DISTILBERT),
    "modernbert": Layout("modern-bert", _MODERN_BERT),
    "nomic_bert": Layout("nomic-bert", _NOMIC_BERT),
    "roberta": _ROBERTA,
    "xlm-roberta": _ROBERTA,
}
"""`model_type` of config.json -> how llama.cpp stores it."""

"""How the field names its tensors: patterns over the part of a name behind the layer number, and what they mean.

Covers transformers (Llama, Mistral, Qwen, Gemma, Phi, GPT-2, GPT-NeoX, Falcon, OPT, BLOOM, MPT, StarCoder2, BERT, T5,
DeepSeek's attention, mixtures of experts, Mamba and linear attention) and GGUF. A new family adds its words.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from quantgui.types import Role

TOWERS = (
    (
        "vision",
        re.compile(
            r"^(?:v|mm)\.|(?:^|\.)(?:visual|vision\w*|image_\w+|embed_vision|mm_projector|multi_modal_projector)\."
        ),
    ),
    ("audio", re.compile(r"^a\.blk\.|(?:^|\.)(?:audio\w*|embed_audio)\.")),
)
"""Parts of a model that do not read text. Their tensors are Role.OTHER: a recipe for the language model leaves them."""

STACKS = (
    ("mtp", re.compile(r"(?:^|\.)(?:mtp|nextn)\b")),
    ("encoder", re.compile(r"(?:^|\.)encoder\.(?:layers|block)$|^enc\.blk$")),
)
"""Stacks with layer numbers of their own, beside the main one. (BERT's only stack is called `encoder.layer`.)"""


@dataclass(frozen=True, slots=True)
class Rule:
    """A module whose tail contains `pattern` at the border of a component has this role and short name."""

    role: Role
    module: str
    pattern: re.Pattern[str]


def _rules(role: Role, *rows: tuple[str, str]) -> list[Rule]:
    return [Rule(role, module, re.compile(rf"(?:^|\.)(?:{pattern})(?=\.|$)")) for module, pattern in rows]


def _norm_rules(*rows: tuple[str, str]) -> list[Rule]:
    """Norms end a name: a container called `norm_attn_norm` (DBRX) is none."""
    end = r"(?=(?:\.(?:weight|bias|scale|gamma|beta))?$)"
    return [Rule(Role.NORM, module, re.compile(rf"(?:^|\.)(?:{pattern}){end}")) for module, pattern in rows]


# Possessive (`++`) after a look-ahead: hostile names of a thousand characters take linear time.
_ANY_NORM = r"(?=\w*(?:[nN]orm|ln))\w++"
_IN_ATTENTION = r"(?=\w*(?:attn|[aA]ttention))\w++(?:\.\w++)?"
_IN_MLP = r"(?:mlp|ffn|feed_forward|DenseReluDense|moe|block_sparse_moe|mixer)"

LAYER_RULES: Sequence[Rule] = (
    *_norm_rules(
        ("indexer compressor norm", r"indexer\.compressor\.norm"),
        ("compressor norm", r"compressor\.norm"),
        ("indexer norm", r"indexer\.\w*norm"),
        ("post-self-attn norm", r"post_self_attn_layernorm"),
        ("cross norm", r"encoder_attn_layer_norm|cross_attn_norm"),
        ("norm 1", r"layer\.1\.layer_norm"),
        ("norm 2", r"layer\.2\.layer_norm"),
        (
            "post-attn norm",
            r"post_attention_\w*norm|attention\.output\.LayerNorm|attn_output_norm",
        ),
        (
            "post-mlp norm",
            r"post_feedforward_layernorm|post_ffw_norm|post_mlp_layernorm|output\.LayerNorm|\w*layer_output_norm|output_layer_norm",
        ),
        (
            "attn norm",
            r"input_layernorm|ln_1|ln_attn|norm_1|attn_norm|attention_norm|self_attn_layer_norm|sa_layer_norm|layer\.0\.layer_norm",
        ),
        (
            "mlp norm",
            r"ln_2|ln_mlp|norm_2|ffn_norm|mlp_norm|pre_feedforward_layernorm|pre_mlp_layernorm|final_layer_norm",
        ),
        ("q norm", r"q_norm|q_layernorm|query_norm|attn_q_norm"),
        ("k norm", r"k_norm|k_layernorm|key_norm|attn_k_norm"),
        ("q_a norm", r"q_a_layernorm|attn_q_a_norm"),
        ("kv_a norm", r"kv_a_layernorm|attn_kv_a_norm"),
        ("ssm norm", r"(?:mixer|mamba|linear_attn)\.norm|ssm_norm"),
        ("", _ANY_NORM),
    ),
    *_rules(
        Role.ROUTER,
        ("shared expert · router", r"shared_expert_gate|ffn_gate_inp_shexp"),
        ("router", rf"{_IN_MLP}\.(?:gate|router)(?:\.(?:wg|layer))?|router|gate\.wg|ffn_gate_inp|exp_probs_b"),
        ("router score bias", r"e_score_correction_bias|moe_statics|expert_bias|moe\.router_bias"),
    ),
    *_rules(
        Role.STATE,
        ("ssm.in", r"(?:mixer|mamba|linear_attn)\.in_proj|ssm_in"),
        ("ssm.in_qkvz", r"in_proj_qkvz"),
        ("ssm.in_qkv", r"in_proj_qkv"),
        ("ssm.in_ba", r"in_proj_ba|ssm_ba|ssm_beta_alpha"),
        ("ssm.in_z", r"in_proj_z"),
        ("ssm.in_a", r"in_proj_a|ssm_alpha"),
        ("ssm.in_b", r"in_proj_b|ssm_beta"),
        ("ssm.out", r"(?:mixer|mamba|linear_attn)\.out_proj|ssm_out"),
        ("ssm.x", r"(?:mixer|mamba)\.x_proj|ssm_x"),
        ("ssm.dt", r"(?:mixer|mamba)\.dt_proj|ssm_dt|dt_bias"),
        ("ssm.conv", r"conv1d|ssm_conv1d|shortconv\.conv|conv\.conv"),
        ("conv.in", r"conv\.in_proj|shortconv\.in_proj"),
        ("conv.out", r"conv\.out_proj|shortconv\.out_proj"),
        ("ssm.a", r"A_log|ssm_a"),
        ("ssm.d", r"(?:mixer|mamba)\.D|ssm_d"),
        ("ssm.q_conv", r"q_conv1d"),
        ("ssm.k_conv", r"k_conv1d"),
        ("ssm.v_conv", r"v_conv1d"),
        ("ssm.f_a", r"f_a_proj"),
        ("ssm.f_b", r"f_b_proj"),
        ("ssm.g_a", r"g_a_proj"),
        ("ssm.g_b", r"g_b_proj"),
        ("ssm.b", r"b_proj"),
    ),
    *_rules(
        Role.OTHER,
        ("rope", r"rotary_emb\.\w+|rope_freqs|rope_factors_\w+"),
        ("attn mask", r"attn\.masked_bias|attention\.masked_bias"),
        ("position bias", r"relative_attention_bias|attn_rel_b"),
    ),
    *_rules(
        Role.ATTENTION,
        ("attn.qkv", r"qkv_proj|query_key_value|c_attn|W_pack|[wW]qkv|qkv|attn_qkv"),
        ("indexer compressor.kv", r"indexer\.compressor\.wkv"),
        ("indexer compressor.gate", r"indexer\.compressor\.wgate"),
        ("compressor.kv", r"compressor\.wkv"),
        ("compressor.gate", r"compressor\.wgate"),
        ("attn.kv", r"attn\.wkv"),
        ("attn.o_a", r"wo_a"),
        ("attn.o_b", r"wo_b"),
        ("indexer.q", r"index_q_proj"),
        ("indexer.k", r"index_k_proj"),
        ("attn.q_a", r"q_a_proj|attn_q_a|wq_a"),
        ("attn.q_b", r"q_b_proj|attn_q_b|wq_b"),
        ("attn.kv_a", r"kv_a_proj_with_mqa|kv_a_proj|attn_kv_a_mqa"),
        ("attn.kv_b", r"kv_b_proj|attn_kv_b"),
        ("attn.k_b", r"attn_k_b"),
        ("attn.v_b", r"attn_v_b"),
        ("attn.q", rf"q_proj|query|attn_q|wq|q_lin|cross_attn_q|{_IN_ATTENTION}\.q"),
        ("attn.k", rf"k_proj|key|attn_k|wk|k_lin|cross_attn_k|{_IN_ATTENTION}\.k"),
        ("attn.v", rf"v_proj|value|attn_v|wv|v_lin|cross_attn_v|{_IN_ATTENTION}\.v"),
        (
            "attn.o",
            rf"o_proj|attn_output|attn_out|wo(?<!Dense\.wo)|out_lin|out_proj|cross_attn_o|attention\.output\.dense"
            rf"|{_IN_ATTENTION}\.(?:dense|c_proj|Wo|o)",
        ),
        ("attn.sinks", r"sinks|attn_sinks?|attention_sink_bias"),
        ("indexer.weights", r"indexer\.weights_proj|indexer\.proj"),
        ("attn.gate", r"attn_gate|self_attn\.g_proj"),
    ),
    *_rules(Role.HEAD, ("head", r"shared_head\.head")),  # multi-token prediction layers repeat both
    *_rules(
        Role.EMBEDDING,
        ("embed", r"embed_tokens"),
        ("indexer compressor.positions", r"indexer\.compressor\.ape"),
        ("compressor.positions", r"compressor\.ape"),
    ),
    *_rules(
        Role.MLP,
        ("gate_up", r"gate_up_proj|ffn_gate_up|mlp\.Wi|input_linear"),
        ("latent_in", r"fc1_latent_proj"),
        ("latent_out", r"fc2_latent_proj"),
        ("gate", r"gate_proj|w1|ffn_gate|wi_0|c_fc_0|linear_fc1_gate"),
        ("down", r"down_proj|w2|ffn_down|fc2|dense_4h_to_h|output\.dense|lin2|fc_out|output_linear|c_proj|wo|mlp\.Wo"),
        ("up", r"up_proj|w3|v1|ffn_up|fc1|c_fc|c_fc_1|dense_h_to_4h|intermediate\.dense|lin1|fc_in|wi|wi_1"),
    ),
)
"""First match wins. Names of the MLP lack their prefix, which depends on the expert they stand in."""

MODEL_RULES: Sequence[Rule] = (
    *_norm_rules(
        (
            "embed norm",
            r"embeddings\.LayerNorm|emb_ln|word_embeddings_layernorm|layernorm_embedding|embed_norm|token_embd_norm|embeddings\.norm",
        ),
        ("head norm", r"cls\.predictions\.transform\.LayerNorm|lm_head\.layer_norm|head\.norm|vocab_layer_norm"),
        ("encoder norm", r"encoder\.(?:final_layer_norm|layer_norm|norm)|enc\.output_norm"),
        (
            "mtp norm",
            r"mtp\.norm",
        ),
        (
            "final norm",
            r"norm|norm_f|ln_f|final_layer_?norm|final_norm|output_norm|dec\.output_norm|model\.decoder\.layer_norm",
        ),
        ("", _ANY_NORM),
    ),
    *_rules(
        Role.HEAD,
        (
            "head",
            r"lm_head|embed_out|output_layer|output|cls\.predictions\.decoder|decoder(?!\.\w+\.)|score|classifier|vocab_projector"
            r"|head(?!\.(?:dense|norm))",
        ),
    ),
    *_rules(
        Role.EMBEDDING,
        ("positions", r"wpe|position_embeddings?|embed_positions|position_embd"),
        ("token types", r"token_type_embeddings|token_types"),
        ("project in", r"project_in"),
        ("project out", r"project_out"),
        ("embed per layer", r"embed_tokens_per_layer|per_layer_token_embd"),
        (
            "embed",
            r"embed|embed_tokens|wte|word_embeddings|embed_in|token_embd|tok_embeddings|embeddings?(?!\.(?!weight|bias))|shared",
        ),
    ),
    *_rules(
        Role.OTHER,
        ("position ids", r"position_ids"),
        ("rope", r"rotary_emb\.\w+|rope_freqs|rope_factors_\w+"),
        ("pooler", r"pooler\.dense"),
        ("head transform", r"cls\.predictions\.transform\.dense|lm_head\.dense|head\.dense|vocab_transform"),
    ),
)

SUFFIXES = {
    "#": "",
    "weight": "",
    "qweight": "",
    "weight_packed": "",
    "blocks": "",
    "weight_scale_inv": "scale",
    "weight_zero_point": "zero point",
    "qzeros": "zero points",
    "e_score_correction_bias": "score bias",
}
"""What stands behind the module's name. The weight itself, in whatever packing, needs no word."""

"""Dense decoders."""

from __future__ import annotations

from collections.abc import Mapping

from quantgui.formats.gguf.layouts._layout import Layout, Shape
from quantgui.formats.gguf.layouts._parts import LLAMA, POST_NORMS
from quantgui.types import ModelConfig, UserError

_PHI: Mapping[str, str] = {
    **LLAMA,
    "self_attn.dense": "attn_output",
    "mlp.fc1": "ffn_up",
    "mlp.fc2": "ffn_down",
}
_PHI3: Mapping[str, str] = {**LLAMA, "self_attn.qkv_proj": "attn_qkv", "mlp.gate_up_proj": "ffn_up"}
_GPT2: Mapping[str, str] = {
    "ln_1": "attn_norm",
    "attn.c_attn": "attn_qkv",
    "attn.c_proj": "attn_output",
    "ln_2": "ffn_norm",
    "mlp.c_fc": "ffn_up",
    "mlp.c_proj": "ffn_down",
}
_GPT_NEOX: Mapping[str, str] = {
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
    "attention.query_key_value": "attn_qkv",
    "attention.dense": "attn_output",
    "mlp.dense_h_to_4h": "ffn_up",
    "mlp.dense_4h_to_h": "ffn_down",
}
_FALCON: Mapping[str, str] = {
    "input_layernorm": "attn_norm",
    "ln_mlp": "attn_norm",
    "ln_attn": "attn_norm_2",
    "self_attention.query_key_value": "attn_qkv",
    "self_attention.dense": "attn_output",
    "mlp.dense_h_to_4h": "ffn_up",
    "mlp.dense_4h_to_h": "ffn_down",
}
_INTERNLM2: Mapping[str, str] = {
    "attention.wo": "attn_output",
    "attention_norm": "attn_norm",
    "ffn_norm": "ffn_norm",
    "feed_forward.w1": "ffn_gate",
    "feed_forward.w2": "ffn_down",
    "feed_forward.w3": "ffn_up",
}
_GLM4: Mapping[str, str] = {
    **LLAMA,
    "mlp.gate_up_proj": "ffn_up",
    "post_self_attn_layernorm": "post_attention_norm",
    "post_mlp_layernorm": "post_ffw_norm",
}
_STABLELM_STACKS: Mapping[str, str] = {
    "self_attn.q_layernorm.norms.*": "attn_q_norm",
    "self_attn.k_layernorm.norms.*": "attn_k_norm",
}


def _fused_rows(shape: Shape, config: ModelConfig) -> tuple[tuple[str, Shape], ...]:
    """InternLM2's query, key and value in one matrix."""
    heads, kv_heads = config.num_heads or 0, config.num_kv_heads or 0
    head_dim, rest = divmod(shape[0], max(heads + 2 * kv_heads, 1))
    if rest or not heads:
        raise UserError(f"{shape[0]} rows of a fused query, key and value do not fit {heads} + 2 × {kv_heads} heads.")
    rows = {"attn_q": heads * head_dim, "attn_k": kv_heads * head_dim, "attn_v": kv_heads * head_dim}
    return tuple((f"{name}.weight", (count, *shape[1:])) for name, count in rows.items())


_BLOOM: Mapping[str, str] = {**_FALCON, "input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm"}
_MPT: Mapping[str, str] = {
    "norm_1": "attn_norm",
    "attn.Wqkv": "attn_qkv",
    "attn.out_proj": "attn_output",
    "attn.q_ln": "attn_q_norm",
    "attn.k_ln": "attn_k_norm",
    "norm_2": "ffn_norm",
    "ffn.up_proj": "ffn_up",
    "ffn.down_proj": "ffn_down",
}
_HUNYUAN: Mapping[str, str] = {
    **LLAMA,
    "self_attn.query_layernorm": "attn_q_norm",
    "self_attn.key_layernorm": "attn_k_norm",
}
_GEMMA3 = Layout("gemma3", {**LLAMA, **POST_NORMS}, drops_tied_head=True)

LAYOUTS: Mapping[str, Layout] = {
    "arcee": Layout("arcee", LLAMA),
    "bloom": Layout("bloom", _BLOOM),
    "cohere": Layout("command-r", LLAMA, drops_tied_head=True),
    "cohere2": Layout("cohere2", LLAMA, drops_tied_head=True),
    "ernie4_5": Layout("ernie4_5", LLAMA),
    "exaone4": Layout("exaone4", {**LLAMA, **POST_NORMS}),
    "falcon": Layout("falcon", _FALCON),
    "gemma": Layout("gemma", LLAMA, drops_tied_head=True),
    "gemma2": Layout("gemma2", {**LLAMA, **POST_NORMS}, drops_tied_head=True),
    "gemma3": _GEMMA3,
    "gemma3_text": _GEMMA3,
    "glm": Layout("chatglm", {**LLAMA, "mlp.gate_up_proj": "ffn_up"}),
    "glm4": Layout("glm4", _GLM4),
    "gpt2": Layout("gpt2", _GPT2, transposed=frozenset({"attn.c_attn", "attn.c_proj", "mlp.c_fc", "mlp.c_proj"})),
    "gpt_bigcode": Layout("starcoder", _GPT2),
    "gpt_neox": Layout("gptneox", _GPT_NEOX),
    "granite": Layout("granite", LLAMA),
    "hunyuan_v1_dense": Layout("hunyuan-dense", _HUNYUAN),
    "internlm2": Layout("internlm2", _INTERNLM2, splits={"attention.wqkv.weight": _fused_rows}),
    "llama": Layout("llama", LLAMA),
    "mimo": Layout("qwen2", LLAMA),
    "ministral3": Layout("mistral3", LLAMA),
    "mistral": Layout("llama", LLAMA),
    "mpt": Layout("mpt", _MPT),
    "nemotron": Layout("nemotron", LLAMA),
    "olmo": Layout("olmo", LLAMA),
    "olmo2": Layout("olmo2", {**LLAMA, **POST_NORMS}),
    "olmo3": Layout("olmo2", {**LLAMA, **POST_NORMS}),
    "phi": Layout("phi2", _PHI),
    "phi-msft": Layout("phi2", _PHI),
    "phi3": Layout("phi3", _PHI3),
    "qwen2": Layout("qwen2", LLAMA),
    "qwen3": Layout("qwen3", LLAMA),
    "qwen3_vl": Layout("qwen3vl", LLAMA),
    "qwen3_vl_text": Layout("qwen3vl", LLAMA),
    "seed_oss": Layout("seed_oss", {**LLAMA, "post_attention_layernorm": "post_attention_norm"}),
    "smollm3": Layout("smollm3", LLAMA),
    "stablelm": Layout("stablelm", LLAMA, _STABLELM_STACKS),
    "starcoder2": Layout("starcoder2", {**LLAMA, "mlp.c_fc": "ffn_up", "mlp.c_proj": "ffn_down"}),
}
"""`model_type` of config.json -> how llama.cpp stores it."""

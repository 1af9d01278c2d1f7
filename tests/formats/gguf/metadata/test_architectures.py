"""What configs ask for that llama.cpp cannot do is refused, not written wrongly; pooling comes from the folder."""

import json

import pytest

from quantgui.checkpoint.architectures import Keys
from quantgui.formats.gguf.layouts import LAYOUTS
from quantgui.formats.gguf.metadata import BUILDERS, model_keys, model_warnings
from quantgui.formats.gguf.metadata.pooling import pooling_keys
from quantgui.types import Checkpoint, ModelConfig, SourceKind, UserError

SIZES = {
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 6,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "vocab_size": 320,
    "max_position_embeddings": 256,
    "rms_norm_eps": 1e-5,
}
EXPERTS = {"num_experts": 8, "num_experts_per_tok": 2, "moe_intermediate_size": 32}
LINEAR = {
    "linear_num_key_heads": 2,
    "linear_num_value_heads": 4,
    "linear_key_head_dim": 16,
    "linear_value_head_dim": 16,
    "linear_conv_kernel_dim": 4,
}
MAMBA = {"intermediate_size": 128}
FALCON_H1 = {"mamba_d_ssm": 96, "mamba_n_heads": 6, "mamba_d_head": 16}
WINDOWS = ["sliding_attention"] * 5 + ["full_attention"]


def built(architecture, model_type=None, **raw):
    model_type = model_type or next(name for name, layout in LAYOUTS.items() if layout.architecture == architecture)
    keys = BUILDERS[architecture](Keys(ModelConfig(model_type, raw={"model_type": model_type, **SIZES, **raw})), "x")
    return {key.key: key.value for key in keys}


@pytest.mark.parametrize(
    ("architecture", "raw"),
    [
        ("qwen3moe", {**EXPERTS, "norm_topk_prob": False}),
        ("qwen2moe", {**EXPERTS, "norm_topk_prob": True}),
        ("qwen2moe", {**EXPERTS, "mlp_only_layers": [0]}),
        ("gemma2", {"query_pre_attn_scalar": 100}),
        ("gemma2", {"layer_types": ["full_attention"] * 6}),
        ("gemma3", {"sliding_window_pattern": 2}),
        ("command-r", {"use_qk_norm": True, "layer_norm_eps": 1e-5}),
        ("cohere2", {"layer_types": ["full_attention"] * 6, "layer_norm_eps": 1e-5}),
        ("deepseek2", {"rope_interleave": False}),
        ("ernie4_5", {"use_bias": True}),
        ("exaone4", {"sliding_window": 8}),
        ("falcon", {"alibi": True}),
        ("gpt-oss", {"swiglu_limit": 10.0}),
        ("olmoe", {**EXPERTS, "clip_qkv": 8.0}),
        ("phi2", {"qk_layernorm": True}),
        ("smollm3", {"no_rope_layers": [1] * 6}),
        ("gemma4", {"num_kv_shared_layers": 3, "layer_types": WINDOWS}),
        ("gemma3n", {"num_kv_shared_layers": 3, "layer_types": WINDOWS}),
        ("granitehybrid", {"mamba_n_groups": 2}),
        ("granitehybrid", {"time_step_limit": [0.0, 1.0]}),
        ("lfm2", {"conv_bias": True}),
        ("llama4", {"num_local_experts": 128}),
        ("llama4", {"num_local_experts": 16, "attention_chunk_size": 1024}),
        ("modern-bert", {"norm_bias": True, "norm_eps": 1e-5}),
        ("nemotron_h_moe", {"hybrid_override_pattern": "M-E*"}),
        ("qwen35", {"layer_types": ["linear_attention"] * 2 + ["full_attention"] * 4, **LINEAR}),
        ("mamba", {"intermediate_size": 96}),
        ("mamba", {**MAMBA, "use_conv_bias": False}),
        ("mamba", {**MAMBA, "use_bias": True}),
        ("mamba", {**MAMBA, "hidden_act": "gelu"}),
        ("mamba2", {**MAMBA, "num_heads": 8, "head_dim": 16, "n_groups": 2}),
        ("mamba2", {**MAMBA, "num_heads": 8, "head_dim": 16, "n_groups": 1, "time_step_limit": [0.0, 1.0]}),
        ("mamba2", {**MAMBA, "num_heads": 4, "head_dim": 16, "n_groups": 1}),
        ("falcon-h1", {**FALCON_H1, "attention_bias": True}),
        ("falcon-h1", {**FALCON_H1, "mamba_proj_bias": True}),
        ("falcon-h1", {**FALCON_H1, "projectors_bias": True}),
        ("falcon-h1", {**FALCON_H1, "mamba_rms_norm": True, "mamba_norm_before_gate": True}),
        ("falcon-h1", {**FALCON_H1, "ssm_multipliers": [1.0]}),
        ("falcon-h1", {**FALCON_H1, "embedding_multiplier": 2.0, "tie_word_embeddings": True}),
        ("falcon-h1", {**FALCON_H1, "rope_scaling": {"rope_type": "llama3", "factor": 8.0}}),
        ("jamba", {"mamba_expand": 3}),
        ("jamba", {"head_dim": 32}),
        ("minimax-m2", {**EXPERTS, "tie_word_embeddings": True}),
        ("bloom", {"apply_residual_connection_post_layernorm": True}),
        ("mpt", {"attn_config": {"alibi": False}}),
        ("mpt", {"attn_config": {"alibi_bias_max": 16}}),
        ("mpt", {"attn_config": {"softmax_scale": 0.5}}),
        ("mpt", {"attn_config": {"prefix_lm": True}}),
        ("mpt", {"attn_config": {"qk_ln": True}}),
        ("mpt", {"logit_scale": 2.0}),
        ("starcoder", {"scale_attn_weights": False}),
        ("gpt2", {"scale_attn_by_inverse_layer_idx": True, "layer_norm_epsilon": 1e-5}),
    ],
)
def test_what_llama_cpp_would_compute_otherwise_is_refused(architecture, raw):
    with pytest.raises(UserError, match="does not do"):
        built(architecture, **raw)


def test_experts_that_llama_cpp_chooses_otherwise_are_refused():
    with pytest.raises(UserError, match="SparseMixer"):
        built("phimoe", **EXPERTS)


def test_experts_behind_dense_layers_again_are_refused():
    kinds = ["dense", "sparse", "dense", "sparse", "sparse", "sparse"]
    with pytest.raises(UserError, match="mlp_layer_types"):
        built("glm4moe", **EXPERTS, mlp_layer_types=kinds)


def test_what_llama_cpp_wants_to_know_of_a_state_space():
    keys = built("mamba", "mamba", **MAMBA, time_step_rank=5, state_size=12)
    sizes = {key.removeprefix("x.ssm."): value for key, value in keys.items() if ".ssm." in key}
    expected = {"conv_kernel": 4, "state_size": 12, "inner_size": 128, "time_step_rank": 5, "dt_b_c_rms": False}
    assert sizes == expected
    assert built("mamba", "falcon_mamba", **MAMBA)["x.ssm.dt_b_c_rms"]
    assert built("mamba2", **MAMBA, num_heads=8, head_dim=16, n_groups=1)["x.ssm.time_step_rank"] == 8
    assert built("jamba", attn_layer_period=3, attn_layer_offset=1)["x.attention.head_count_kv"] == [0, 2, 0, 0, 2, 0]


def test_heads_of_keys_of_gpt_bigcode():
    assert built("starcoder")["x.attention.head_count_kv"] == 1
    assert built("starcoder", multi_query=False, num_key_value_heads=None)["x.attention.head_count_kv"] == 4


def test_a_width_of_heads_of_its_own():
    assert built("qwen3", head_dim=32)["x.attention.key_length"] == 32
    assert built("gemma3", layer_types=WINDOWS)["x.attention.key_length"] == 256


def test_experts_and_windows():
    keys = built("qwen3moe", **EXPERTS, norm_topk_prob=True)
    assert (keys["x.expert_count"], keys["x.expert_used_count"], keys["x.expert_feed_forward_length"]) == (8, 2, 32)
    assert built("phi3")["x.attention.sliding_window"] == 0  # how llama.cpp tells Phi-4
    assert "x.expert_count" not in built("llama")


def test_an_incomplete_config_is_named():
    with pytest.raises(UserError, match="rms_norm_eps"):
        built("llama", rms_norm_eps=None)
    with pytest.raises(UserError, match="hidden_size"):
        built("llama", hidden_size=None)


def test_an_architecture_without_keys_is_refused_although_its_sizes_are_known():
    with pytest.raises(UserError, match="cannot be converted"):
        model_keys(Checkpoint("m", SourceKind.CONFIG, "", (), ModelConfig("internlm2", raw={})), ())


PHI3 = ["<unk>", "<s>", "</s>", "<|endoftext|>"]


@pytest.mark.parametrize(
    ("name", "tokens", "written"),
    [
        ("Phi-3-mini", [*PHI3, "a"], "Phi-3-mini"),
        ("Phi-3-mini", PHI3[:3], "Phi 3-mini"),
        ("my-PHI3-tune", [], "my-PHI 3-tune"),
        ("Llama-3", [], "Llama-3"),
    ],
)
def test_a_name_that_llama_cpp_takes_for_phi_3_is_kept_for_its_tokens_alone(name, tokens, written):
    raw = {"model_type": "llama", **SIZES}
    keys = model_keys(Checkpoint(name, SourceKind.FOLDER, "", (), ModelConfig("llama", raw=raw)), tokens)
    assert next(key.value for key in keys if key.key == "general.name") == written


@pytest.mark.parametrize(
    ("model_type", "raw", "warned"),
    [
        ("mistral", {"sliding_window": 64}, True),
        ("mistral", {"sliding_window": 256}, False),
        ("mistral", {"sliding_window": None}, False),
        ("qwen2_moe", {"sliding_window": 0}, False),
        ("qwen2", {"sliding_window": 64, "use_sliding_window": False}, False),
        ("gemma2", {"sliding_window": 64}, False),
        ("gpt_oss", {"rope_parameters": {"rope_type": "yarn", "factor": 4.0, "truncate": False}}, True),
        ("gpt_oss", {"rope_parameters": {"rope_type": "yarn", "factor": 4.0}}, False),
        ("falcon_mamba", {"layer_norm_epsilon": 1e-5, "mixer_rms_eps": 1e-6}, True),
        ("falcon_mamba", {"layer_norm_epsilon": 1e-5}, True),
        ("falcon_mamba", {"layer_norm_epsilon": 1e-5, "mixer_rms_eps": 1e-5}, False),
        ("mamba", {"layer_norm_epsilon": 1e-5}, False),
    ],
)
def test_what_llama_cpp_does_a_little_otherwise_is_said(model_type, raw, warned):
    config = ModelConfig(model_type, context_length=256, raw={"model_type": model_type, **raw})
    assert bool(model_warnings(Checkpoint("m", SourceKind.CONFIG, "", (), config))) is warned


@pytest.mark.parametrize(
    ("settings", "kind"),
    [
        ({"pooling_mode_mean_tokens": True}, 1),
        ({"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False}, 2),
        ({"pooling_mode_lasttoken": True}, 3),
        ({"pooling_mode": "cls"}, 2),
    ],
)
def test_pooling_as_sentence_transformers_states_it(tmp_path, settings, kind):
    checkpoint = Checkpoint("m", SourceKind.FOLDER, str(tmp_path), ())
    assert pooling_keys(checkpoint, "bert") == []
    (tmp_path / "modules.json").write_text(json.dumps([{"type": "a.Pooling", "path": "1_Pooling"}]))
    (tmp_path / "1_Pooling").mkdir()
    (tmp_path / "1_Pooling" / "config.json").write_text(json.dumps(settings))
    assert [(key.key, key.value) for key in pooling_keys(checkpoint, "bert")] == [("bert.pooling_type", kind)]


@pytest.mark.parametrize(
    "modules", ['[{"type": "a.Pooling", "path": "../elsewhere"}]', "[", '[{"type": "a.Pooling", "path": "none"}]']
)
def test_a_damaged_pooling_is_one_sentence(tmp_path, modules):
    (tmp_path / "modules.json").write_text(modules)
    with pytest.raises(UserError):
        pooling_keys(Checkpoint("m", SourceKind.FOLDER, str(tmp_path), ()), "bert")

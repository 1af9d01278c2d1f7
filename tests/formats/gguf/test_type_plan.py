"""The type plan: what holds for every file type, and the places where llama.cpp's mixtures differ."""

import pytest

from quantgui.checkpoint.catalogue import find_entry
from quantgui.formats.gguf.file_types import FILE_TYPES, file_type
from quantgui.formats.gguf.mixtures import ModelFacts
from quantgui.formats.gguf.names import GgufTensor, gguf_tensors
from quantgui.formats.gguf.source import facts_of
from quantgui.formats.gguf.type_plan import KEPT_TYPE, PlanOptions, fallback, is_quantizable, needs_imatrix, plan_types
from quantgui.schemes.ggml_types import BY_NAME
from quantgui.types import UserError

MODELS = (
    "meta-llama/Llama-3.1-8B-Instruct",
    "meta-llama/Llama-3.2-1B-Instruct",  # tied
    "mistralai/Mixtral-8x7B-v0.1",
    "tiiuae/falcon-7b-instruct",  # rows of 4544 = 142 * 32
    "microsoft/Phi-3.5-mini-instruct",  # fused query, key and value
    "Qwen/Qwen2.5-0.5B-Instruct",  # rows of 896
    "deepseek-ai/DeepSeek-V2-Lite",
    "openai/gpt-oss-20b",
)


def plan(model: str, name: str, **options) -> dict[str, str]:
    checkpoint = find_entry(model).checkpoint()
    tensors = gguf_tensors(checkpoint)
    types = plan_types(tensors, facts_of(checkpoint, tensors), file_type(name), PlanOptions(**options))
    return {tensor.name: chosen for tensor, chosen in zip(tensors, types, strict=True)}


@pytest.mark.parametrize("model", MODELS)
def test_every_type_fits_its_rows_and_small_tensors_stay(model):
    checkpoint = find_entry(model).checkpoint()
    tensors = gguf_tensors(checkpoint)
    facts = facts_of(checkpoint, tensors)
    for chosen in FILE_TYPES.values():
        for tensor, name in zip(tensors, plan_types(tensors, facts, chosen), strict=True):
            assert tensor.shape[-1] % BY_NAME[name].block_elements == 0
            if len(tensor.shape) == 1 or "norm" in tensor.name or "gate_inp" in tensor.name:
                assert name == KEPT_TYPE


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("name", sorted(FILE_TYPES))
def test_pure_is_the_base_type_wherever_rows_allow_it(model, name):
    base = FILE_TYPES[name].base
    tensors = {t.name: t for t in gguf_tensors(find_entry(model).checkpoint())}
    for tensor_name, chosen in plan(model, name, pure=True).items():
        tensor = tensors[tensor_name]
        if is_quantizable(tensor, PlanOptions()):
            assert chosen == fallback(base, tensor.shape[-1])


def test_rows_that_do_not_fill_blocks_fall_back_to_blocks_of_32_then_to_f16():
    for name, block_type in BY_NAME.items():
        if block_type.block_elements == 256 and name != "Q8_K":
            assert fallback(name, 512) == name
            assert BY_NAME[fallback(name, 96)].block_elements == 32
            assert BY_NAME[fallback(name, 96)].bits_per_weight >= block_type.bits_per_weight
        if block_type.is_quantized:
            assert fallback(name, 100) == "F16"


def test_the_head_or_the_embedding_in_its_place_gets_more_bits():
    assert plan("meta-llama/Llama-3.2-1B-Instruct", "Q4_K_S")["token_embd.weight"] == "Q6_K"
    untied = plan("meta-llama/Llama-3.1-8B-Instruct", "Q4_K_S")
    assert (untied["token_embd.weight"], untied["output.weight"]) == ("Q4_K", "Q6_K")
    assert plan("tiiuae/falcon-7b-instruct", "Q4_K_S")["output.weight"] == "Q8_0"


def test_eight_experts_keep_keys_and_values_at_eight_bits():
    types = plan("mistralai/Mixtral-8x7B-v0.1", "Q4_K_M")
    assert {types[f"blk.{i}.{part}.weight"] for i in range(32) for part in ("attn_k", "attn_v")} == {"Q8_0"}
    assert types["blk.5.attn_output.weight"] == "Q5_K"


def test_k_m_lifts_the_same_layers_of_down_as_of_value():
    types = plan("meta-llama/Llama-3.1-8B-Instruct", "Q4_K_M")
    lifted = [i for i in range(32) if types[f"blk.{i}.ffn_down.weight"] == "Q6_K"]
    assert lifted == [i for i in range(32) if types[f"blk.{i}.attn_v.weight"] == "Q6_K"]
    assert lifted[:6] == [0, 1, 2, 3, 6, 9]
    assert lifted[-4:] == [28, 29, 30, 31]


def test_an_importance_matrix_changes_only_the_mixes_that_ask_for_it():
    model = "meta-llama/Llama-3.1-8B-Instruct"
    changed = {name for name in FILE_TYPES if plan(model, name) != plan(model, name, imatrix=True)}
    assert changed == {"Q4_0", "Q5_0", "IQ4_NL", "IQ4_XS", "IQ3_XXS"}


def test_which_file_types_need_an_importance_matrix():
    checkpoint = find_entry("meta-llama/Llama-3.1-8B-Instruct").checkpoint()
    tensors = gguf_tensors(checkpoint)
    facts = facts_of(checkpoint, tensors)
    needed = {n for n, t in FILE_TYPES.items() if needs_imatrix(tensors, plan_types(tensors, facts, t), t)}
    assert needed == {"Q2_K_S", "IQ3_XS", "IQ3_XXS", "IQ2_M", "IQ2_S", "IQ2_XS", "IQ2_XXS", "IQ1_M", "IQ1_S"}


def test_older_files_differ_only_where_query_key_and_value_are_fused():
    assert plan("Qwen/Qwen3-4B", "Q5_K_M") == plan("Qwen/Qwen3-4B", "Q5_K_M", fused_apart=True)
    fused = {f"blk.{i}.attn_qkv.weight" for i in range(32)}
    older = plan("microsoft/Phi-3.5-mini-instruct", "Q5_K_M", fused_apart=True)
    assert {older[name] for name in fused} == {"Q6_K"}
    today = plan("microsoft/Phi-3.5-mini-instruct", "Q5_K_M")
    assert {name for name in today if today[name] != older[name]} < fused


def test_overrides_win_and_patterns_still_fall_back():
    types = plan(
        "Qwen/Qwen2.5-0.5B-Instruct",
        "Q4_0",
        embedding_type="Q8_0",
        patterns=(("attn_q", "Q6_K"), (r"attn_[qk]", "F16")),
    )
    assert types["token_embd.weight"] == "Q8_0"
    assert types["blk.0.attn_q.weight"] == "Q8_0"  # Q6_K, but rows of 896 do not fill blocks of 256
    assert types["blk.0.attn_k.weight"] == "F16"
    kept = plan("meta-llama/Llama-3.1-8B-Instruct", "Q4_0", leave_output=True, source_type="F16")
    assert kept["output.weight"] == "F16"


@pytest.mark.parametrize("options", [{"output_type": "Q9"}, {"patterns": (("(", "Q8_0"),)}])
def test_impossible_overrides_are_refused_in_words(options):
    with pytest.raises(UserError):
        plan("meta-llama/Llama-3.1-8B-Instruct", "Q4_0", **options)


def test_only_experts_of_mxfp4_moe_are_mxfp4():
    types = plan("openai/gpt-oss-20b", "MXFP4_MOE")
    assert {name for name, chosen in types.items() if chosen == "MXFP4"} == {
        f"blk.{i}.ffn_{part}_exps.weight" for i in range(24) for part in ("gate", "up", "down")
    }


def test_seventy_billion_is_told_by_its_layers():
    tensors = [GgufTensor(f"blk.{i}.attn_v.weight", (1024, 8192), layer=i) for i in range(80)]
    for heads, kv_heads, expected in ((64, 8, "Q5_K"), (64, 64, "Q4_K")):
        facts = ModelFacts("llama", layers=80, heads=heads, kv_heads=kv_heads)
        assert plan_types(tensors, facts, file_type("q4_k_s"))[-1] == expected


def test_an_unknown_file_type_is_refused_in_words():
    with pytest.raises(UserError, match="Q4_K_Z"):
        file_type("Q4_K_Z")

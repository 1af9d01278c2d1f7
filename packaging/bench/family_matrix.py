"""Random tiny models of many architectures, each quantized and reloaded by transformers: what loads, what is kept."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from quantgui.jobs.child import ChildProcess
from quantgui.jobs.events import Event, Failed, Finished, TensorDone
from quantgui.jobs.job import QuantizeJob
from quantgui.schemes.recipe import Recipe, Rule, SchemeSpec

NAME = "family-matrix"
HELP = "tiny random models of many architectures, quantized and reloaded by transformers (about 6 s each)"

_SIZES = {
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "vocab_size": 96,
    "max_position_embeddings": 64,
}
_EXPERTS = {"num_experts": 4, "num_experts_per_tok": 2}
_T5 = {"d_model": 64, "d_kv": 16, "d_ff": 128, "num_layers": 2, "num_heads": 4, "vocab_size": 96}
FAMILIES: dict[str, tuple[str, dict[str, Any]]] = {
    "bert": ("BertModel", {**_SIZES}),
    "falcon": ("FalconForCausalLM", _SIZES),
    "gemma2": ("Gemma2ForCausalLM", _SIZES | {"head_dim": 16}),
    "gpt2": ("GPT2LMHeadModel", {"n_embd": 64, "n_layer": 2, "n_head": 4, "vocab_size": 96, "n_positions": 64}),
    "gpt_neox": ("GPTNeoXForCausalLM", _SIZES),
    "gpt_oss": ("GptOssForCausalLM", _SIZES | {"num_local_experts": 4, "head_dim": 16}),
    "mistral": ("MistralForCausalLM", _SIZES),
    "mixtral": ("MixtralForCausalLM", _SIZES | {"num_local_experts": 4}),
    "opt": ("OPTForCausalLM", _SIZES | {"ffn_dim": 128, "word_embed_proj_dim": 64}),
    "phi": ("PhiForCausalLM", _SIZES),
    "qwen2": ("Qwen2ForCausalLM", _SIZES | {"tie_word_embeddings": True}),
    "qwen3_moe": ("Qwen3MoeForCausalLM", _SIZES | _EXPERTS | {"moe_intermediate_size": 64, "head_dim": 16}),
    "stablelm": ("StableLmForCausalLM", _SIZES),
    "t5": ("T5ForConditionalGeneration", _T5),
}
RECIPES = {
    "INT4": Recipe(SchemeSpec("INT4", {"group_size": 32})),
    "INT8": Recipe(SchemeSpec("INT8")),
    "FP8": Recipe(SchemeSpec("FP8")),
    "mix": Recipe(SchemeSpec("INT4", {"group_size": 32}), (Rule("*att*", SchemeSpec("FP8")),)),
}


def _save(model_type: str, class_name: str, sizes: dict[str, Any], folder: Path) -> None:
    import torch
    import transformers

    torch.manual_seed(0)
    config = transformers.AutoConfig.for_model(model_type, **sizes)
    getattr(transformers, class_name)(config).to(torch.bfloat16).save_pretrained(folder)


def _outcome(job: QuantizeJob) -> dict[str, Any]:
    event: Event | None = None
    quantized = 0
    for event in ChildProcess(job).events():
        if isinstance(event, TensorDone):
            quantized += event.report.scheme_id is not None
    if isinstance(event, Finished) and event.quantized is not None:
        check = event.quantized.verification
        return {"status": check.status, "quantized": quantized, "compared": check.tensors_compared}
    return {"status": "refused", "why": f"{event.message} {event.hint}" if isinstance(event, Failed) else str(event)}


def run(work: Path) -> dict[str, Any]:
    """The outcome of each recipe on each family: verified, or refused with the reason."""
    results: dict[str, Any] = {}
    for model_type, (class_name, sizes) in FAMILIES.items():
        source = work / model_type
        _save(model_type, class_name, sizes, source)
        results[model_type] = {
            label: _outcome(QuantizeJob(str(source), str(work / "out" / f"{model_type}-{label}"), recipe))
            for label, recipe in RECIPES.items()
        }
    return results

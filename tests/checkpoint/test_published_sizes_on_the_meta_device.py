"""The closed forms against transformers at full size: published configs, instantiated without their weights."""

from __future__ import annotations

import math

import pytest

from quantgui.checkpoint.architectures import tensor_shapes
from quantgui.checkpoint.catalogue import find_entry

pytestmark = pytest.mark.slow

MODELS = (
    "01-ai/Yi-34B",
    "CohereForAI/aya-23-8B",
    "EleutherAI/pythia-2.8b",
    "MiniMaxAI/MiniMax-M2.5",
    "Qwen/Qwen2.5-0.5B-Instruct",
    "Qwen/Qwen3-0.6B",
    "XiaomiMiMo/MiMo-V2-Flash",
    "allenai/OLMo-2-1124-13B-Instruct",
    "bigcode/starcoder2-7b",
    "deepseek-ai/DeepSeek-R1",
    "deepseek-ai/DeepSeek-V3.2",
    "google/gemma-2-27b-it",
    "google/gemma-2b",
    "google/gemma-3-12b-it",
    "meta-llama/Llama-4-Maverick-17B-128E-Instruct",
    "microsoft/Phi-3-mini-4k-instruct",
    "mistralai/Mistral-7B-Instruct-v0.2",
    "mistralai/Mixtral-8x22B-Instruct-v0.1",
    "nvidia/GLM-5-NVFP4",
    "nvidia/Nemotron-H-56B-Base-8K",
    "nvidia/Qwen3-235B-A22B-NVFP4",
    "nvidia/Qwen3.5-122B-A10B-NVFP4",
    "nvidia/Qwen3.6-27B-NVFP4",
    "openai/gpt-oss-120b",
    "stabilityai/stablelm-2-zephyr-1_6b",
)
"""One of each architecture whose config in the catalogue is complete."""


@pytest.mark.parametrize("model_id", MODELS)
def test_the_parameters_of_a_published_model(model_id: str) -> None:
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    described = find_entry(model_id).config
    raw = {key: value for key, value in described.raw.items() if key not in ("architectures", "quantization_config")}
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(AutoConfig.for_model(**raw))
    stored = {id(tensor): tensor.numel() for tensor in model.state_dict(keep_vars=True).values()}  # tied ones once
    assert sum(math.prod(shape) for _, shape in tensor_shapes(described)) == sum(stored.values())

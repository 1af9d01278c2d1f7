"""What the hub counts in published checkpoints, explained to the last element: language model, extras, scales."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any

import pytest

from quantgui.checkpoint.architectures import extra_tensors, state_layers, tensor_shapes
from quantgui.checkpoint.catalogue import find_entry
from quantgui.checkpoint.config import read_config
from quantgui.types import ModelConfig

Shape = tuple[int, ...]
Rule = Callable[[str, Shape], int]
"""Elements that a checkpoint stores for one weight."""

QWEN_VISION = {
    "depth": 27,
    "hidden_size": 1152,
    "intermediate_size": 4304,
    "num_heads": 16,
    "num_position_embeddings": 2304,
    "patch_size": 16,
    "spatial_merge_size": 2,
    "temporal_patch_size": 2,
}
DEEPSTACK = {**QWEN_VISION, "deepstack_visual_indexes": [8, 16, 24]}
GEMMA_VISION = {
    "hidden_size": 1152,
    "intermediate_size": 4304,
    "num_hidden_layers": 27,
    "num_attention_heads": 16,
    "num_key_value_heads": 16,
    "head_dim": 72,
}
LLAMA_VISION = {"hidden_size": 1408, "intermediate_size": 5632, "num_hidden_layers": 34, "num_attention_heads": 16}
SMALL = {**DEEPSTACK, "depth": 24, "hidden_size": 1024, "intermediate_size": 4096}
MTP = {"mtp_num_hidden_layers": 1}
UNSCALED = re.compile(r"norm|embed|head|\.gate\.|bias|eh_proj|indexer\.weights_proj|compressor|hc_|attn_sink|\.ape$")


def plain(name: str, shape: Shape) -> int:
    """As the architecture has it."""
    return math.prod(shape)


def block_fp8(name: str, shape: Shape) -> int:
    """One scale for every 128 x 128 block of a linear layer."""
    scaled = len(shape) == 2 and not UNSCALED.search(name)
    return math.prod(shape) + (math.ceil(shape[0] / 128) * math.ceil(shape[1] / 128) if scaled else 0)


def mxfp4_experts(name: str, shape: Shape) -> int:
    """Experts two to a byte with one scale for 32 weights, everything else as in block FP8."""
    if ".experts." in name:
        return math.prod(shape) // 2 + math.prod(shape) // 32
    return block_fp8(name, shape)


def packed_experts(name: str, shape: Shape) -> int:
    """Experts two to a byte; the hub's total of these files counts neither their scales nor float32 scalars."""
    if "layer_scalar" in name or name.endswith("e_score_correction_bias"):
        return 0
    return math.prod(shape) // (2 if ".experts." in name else 1)


def without_layer_scalars(name: str, shape: Shape) -> int:
    """The hub's total leaves out Gemma 4's scalar per layer."""
    return 0 if "layer_scalar" in name else math.prod(shape)


def without_router_biases(name: str, shape: Shape) -> int:
    """The hub's total of the main dtype leaves out the routers' score biases, which are float32."""
    return 0 if name.endswith("e_score_correction_bias") else math.prod(shape)


TOTALS: dict[str, tuple[int, dict[str, Any], Rule]] = {
    "Qwen/Qwen3-VL-2B-Instruct": (2_127_532_032, {"vision_config": SMALL}, plain),
    "Qwen/Qwen3-VL-4B-Instruct": (4_437_815_808, {"vision_config": SMALL}, plain),
    "Qwen/Qwen3-VL-8B-Instruct": (8_767_123_696, {"vision_config": DEEPSTACK}, plain),
    "Qwen/Qwen3-VL-32B-Instruct": (33_357_390_064, {"vision_config": DEEPSTACK}, plain),
    "Qwen/Qwen3-VL-235B-A22B-Instruct": (235_670_022_896, {"vision_config": DEEPSTACK}, plain),
    "Qwen/Qwen3.5-27B": (27_781_427_952, {"vision_config": QWEN_VISION, **MTP}, plain),
    "Qwen/Qwen3.5-35B-A3B": (35_951_822_704, {"vision_config": QWEN_VISION, **MTP}, plain),
    "Qwen/Qwen3.5-122B-A10B": (125_086_497_008, {"vision_config": QWEN_VISION, **MTP}, plain),
    "Qwen/Qwen3.5-397B-A17B": (403_397_928_944, {"vision_config": QWEN_VISION, **MTP}, plain),
    "XiaomiMiMo/MiMo-7B-Base": (7_833_409_536, {}, plain),
    "zai-org/GLM-5": (753_864_139_008, {}, plain),
    "zai-org/GLM-5-FP8": (753_910_024_032, {}, block_fp8),
    "MiniMaxAI/MiniMax-M2.5": (228_703_644_928, {}, block_fp8),
    "deepseek-ai/DeepSeek-V3": (684_531_386_000, {}, block_fp8),
    "deepseek-ai/DeepSeek-V3.2": (685_396_921_376, {}, block_fp8),
    "deepseek-ai/DeepSeek-V4-Flash": (158_069_433_298, {}, mxfp4_experts),
    "deepseek-ai/DeepSeek-V4-Pro": (861_608_274_846, {}, mxfp4_experts),
    "nvidia/NVIDIA-Nemotron-3-Nano-30B-A3B-BF16": (31_577_937_344, {}, without_router_biases),
    "nvidia/NVIDIA-Nemotron-3-Super-120B-A12B-FP8": (123_611_012_096, {}, without_router_biases),
    "nvidia/Gemma-4-26B-A4B-NVFP4": (14_386_941_232, {"vision_config": GEMMA_VISION}, packed_experts),
    "nvidia/MiniMax-M2.5-NVFP4": (116_349_510_656, {}, packed_experts),
    "meta-llama/Llama-4-Maverick-17B-128E-Instruct": (401_583_781_376, {"vision_config": LLAMA_VISION}, plain),
    "Qwen/Qwen3-235B-A22B-FP8": (235_107_904_512, {}, block_fp8),
}


def _described(model_id: str, extra: dict[str, Any]) -> ModelConfig:
    config = find_entry(model_id).config
    if "vision_config" in extra:
        extra = {**extra, "vision_config": {**extra["vision_config"], "out_hidden_size": config.hidden_size}}
    return read_config({**config.raw, **extra})


@pytest.mark.parametrize("model_id", TOTALS)
def test_published_totals_are_explained_exactly(model_id: str) -> None:
    total, extra, rule = TOTALS[model_id]
    config = _described(model_id, extra)
    assert sum(rule(name, shape) for name, shape in (*tensor_shapes(config), *extra_tensors(config))) == total


def test_the_hub_counts_gemma_4s_tied_head_a_second_time() -> None:
    config = _described("google/gemma-4-26B-A4B", {"vision_config": GEMMA_VISION})
    parts = (*tensor_shapes(config), *extra_tensors(config), ("lm_head.weight", (262_144, 2816)))
    assert sum(without_layer_scalars(name, shape) for name, shape in parts) == 26_544_131_376


def test_a_published_total_with_everything_stored_twice() -> None:
    """GLM-4.5-Air keeps embedding and head once more in its prediction layer."""
    config = read_config(
        {
            "model_type": "glm4_moe",
            "vocab_size": 151_552,
            "hidden_size": 4096,
            "num_hidden_layers": 46,
            "num_attention_heads": 96,
            "num_key_value_heads": 8,
            "head_dim": 128,
            "intermediate_size": 10_944,
            "moe_intermediate_size": 1408,
            "n_routed_experts": 128,
            "n_shared_experts": 1,
            "first_k_dense_replace": 1,
            "attention_bias": True,
            "use_qk_norm": False,
            "num_nextn_predict_layers": 1,
        }
    )
    assert sum(math.prod(shape) for _, shape in (*tensor_shapes(config), *extra_tensors(config))) == 110_468_824_832


@pytest.mark.parametrize(
    ("model_id", "mebibytes"),
    [("nvidia/NVIDIA-Nemotron-3-Nano-30B-A3B-BF16", 47.62), ("nvidia/Qwen3.6-27B-NVFP4", 598.50 / 4)],
)
def test_the_state_per_sequence_is_that_of_llama_cpps_logs(model_id: str, mebibytes: float) -> None:
    elements = sum(layer.elements for layer in state_layers(find_entry(model_id).config))
    assert 4 * elements / 2**20 == pytest.approx(mebibytes, abs=0.005)

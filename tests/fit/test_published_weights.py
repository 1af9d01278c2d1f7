"""Quantized repositories from their config alone, against what is published."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quantgui.checkpoint.catalogue import checkpoint_from_config, find_entry
from quantgui.checkpoint.config import read_config
from quantgui.fit.published_weights import packing_of, published_weights
from quantgui.fit.weights import STORED, WeightBytes
from quantgui.types import GB

AWQ = {"quant_method": "awq", "bits": 4, "group_size": 128}
FP8 = {"quant_method": "fp8", "weight_block_size": [128, 128]}
TINY: dict[str, Any] = {
    "model_type": "llama",
    "hidden_size": 256,
    "intermediate_size": 512,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "vocab_size": 1000,
    "torch_dtype": "bfloat16",
}


def published(base: str | dict[str, Any], quantization: dict[str, Any] | None = None) -> WeightBytes:
    raw = dict(find_entry(base).config.raw) if isinstance(base, str) else base
    if quantization is not None:
        raw = {**raw, "quantization_config": quantization}
    found = published_weights(checkpoint_from_config("", read_config(raw)))
    assert found is not None
    assert found.scheme_id == STORED
    return found


@pytest.mark.parametrize(
    ("model", "nbytes"), [("openai/gpt-oss-120b", 65_248_815_744), ("openai/gpt-oss-20b", 13_761_264_768)]
)
def test_gpt_oss_to_the_byte(model: str, nbytes: int) -> None:
    assert published(model).nbytes == nbytes


@pytest.mark.parametrize(
    ("quantization", "gigabytes"),
    [
        ({"quant_method": "gptq", "bits": 4, "group_size": -1}, 35.332),
        ({"quant_method": "gptq", "bits": 4, "group_size": 128}, 36.65),
        ({"quant_method": "gptq", "bits": 4, "group_size": 64}, 37.99),
        ({"quant_method": "gptq", "bits": 4, "group_size": 32}, 40.66),
        (AWQ, 36.61),
    ],
)
def test_the_published_files_of_llama_2_70b(quantization: dict[str, Any], gigabytes: float) -> None:
    file_bytes = published("meta-llama/Llama-2-70b-hf", quantization).file_bytes
    assert file_bytes == pytest.approx(gigabytes * GB, rel=0.0005)


def test_a_tied_head_is_stored_once_more_by_awq_and_fp8() -> None:
    head = 2 * 151_936 * 2560
    plain = published("Qwen/Qwen3-4B", {**FP8, "quant_method": "gptq", "bits": 8, "group_size": 128})
    assert "head" not in plain.note
    awq, fp8 = published("Qwen/Qwen3-4B", AWQ), published("Qwen/Qwen3-4B", FP8)
    assert "dropped once the model is loaded" in awq.note
    assert "stays in memory" in fp8.note
    for stored, kept in ((awq, 0), (fp8, head)):
        assert (stored.file_bytes or 0) - stored.nbytes == pytest.approx(head - kept, abs=200_000)


def test_modules_left_alone_stay_in_16_bits() -> None:
    linear = 2 * (4 * 256 * 256 + 3 * 256 * 512)
    whole = published(TINY, FP8).nbytes
    kept = published(TINY, {**FP8, "modules_to_not_convert": ["mlp.down_proj"]}).nbytes
    assert kept - whole == pytest.approx(2 * 256 * 512, rel=0.01)
    assert published(TINY, {**FP8, "ignore": ["re:.*"]}).nbytes - whole == pytest.approx(linear, rel=0.01)
    assert published(TINY, {**FP8, "ignore": ["model.layers.0*"]}).nbytes - whole == pytest.approx(linear / 2, rel=0.01)


@pytest.mark.parametrize(
    ("quantization", "bits"),
    [
        ({"quant_method": "bitsandbytes", "load_in_4bit": True, "bnb_4bit_use_double_quant": True}, 4),
        ({"quant_method": "bitsandbytes", "load_in_8bit": True}, 8),
        ({"quant_method": "modelopt", "quant_algo": "NVFP4"}, 4),
        ({"quant_algo": "FP8"}, 8),
        ({"bits": 6, "group_size": 64}, 6),
        (
            {
                "quant_method": "compressed-tensors",
                "config_groups": {"group_0": {"weights": {"num_bits": 4, "type": "int", "group_size": 128}}},
            },
            4,
        ),
    ],
)
def test_methods_are_told_from_their_config(quantization: dict[str, Any], bits: int) -> None:
    packing = packing_of(quantization)
    assert packing is not None
    assert packing.bits == bits


def test_an_unknown_method_and_a_plain_config_have_none() -> None:
    assert published_weights(checkpoint_from_config("", read_config(TINY))) is None
    raw = {**TINY, "quantization_config": {"quant_method": "secret"}}
    assert published_weights(checkpoint_from_config("", read_config(raw))) is None


VALUES = st.none() | st.integers() | st.text(max_size=5) | st.booleans() | st.lists(st.integers(), max_size=3)


@settings(deadline=None)
@given(
    method=st.sampled_from(["awq", "gptq", "fp8", "mxfp4", "bitsandbytes", "compressed-tensors", "modelopt", ""]),
    values=st.dictionaries(
        st.sampled_from(["bits", "group_size", "weight_block_size", "ignore", "config_groups", "quant_algo"]), VALUES
    ),
)
def test_nonsense_ends_in_bytes_or_in_none(method: str, values: dict[str, Any]) -> None:
    raw = {**TINY, "quantization_config": {"quant_method": method, **values}}
    found = published_weights(checkpoint_from_config("", read_config(raw)))
    assert found is None or found.nbytes > 0

from __future__ import annotations

from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from quantgui.checkpoint import open_checkpoint
from quantgui.checkpoint.catalogue import checkpoint_from_config, find_entry
from quantgui.checkpoint.config import read_config
from quantgui.fit.weights import STORED, is_quantized, parameters, recipe_weights, weights_per_row
from quantgui.quant.assignment import assign
from quantgui.quant.registry import rows
from quantgui.schemes.recipe import Recipe, Rule, SchemeSpec
from quantgui.types import Checkpoint, ModelConfig, SourceKind, TensorInfo

LLAMA = read_config(
    {
        "model_type": "llama",
        "hidden_size": 512,
        "intermediate_size": 1024,
        "num_hidden_layers": 2,
        "num_attention_heads": 8,
        "num_key_value_heads": 4,
        "vocab_size": 1000,
        "torch_dtype": "bfloat16",
    }
)


@pytest.fixture(scope="module")
def llama() -> Checkpoint:
    return checkpoint_from_config("tiny", LLAMA)


def test_one_result_per_row_in_the_registrys_order(llama: Checkpoint) -> None:
    assert [w.scheme_id for w in weights_per_row(llama)] == [row.id for row in rows()]


def test_casts_are_exact(llama: Checkpoint) -> None:
    by_id = {w.scheme_id: w for w in weights_per_row(llama)}
    assert by_id["BF16"].nbytes == by_id["FP16"].nbytes == llama.nbytes == 2 * llama.parameters
    assert by_id["FP32"].nbytes == 2 * llama.nbytes
    assert by_id["FP32"].bits_per_weight == 32


def test_more_bits_never_take_fewer_bytes(llama: Checkpoint) -> None:
    """Within one format: another may also quantize the embeddings. Equal bits may differ by their scales."""
    by_id = {w.scheme_id: w for w in weights_per_row(llama)}
    for fewer, more in product(rows(), repeat=2):
        if fewer.format == more.format and fewer.bits < more.bits:
            assert by_id[fewer.id].nbytes <= by_id[more.id].nbytes, (fewer.id, more.id)


def test_the_size_is_that_of_the_recipe_that_would_run(llama: Checkpoint) -> None:
    recipe = Recipe(SchemeSpec("INT4"), (Rule("*.mlp.*", SchemeSpec("INT8")), Rule("*.k_proj.weight")))
    mixed = recipe_weights(llama, recipe)
    assert mixed.nbytes == sum(a.nbytes for a in assign(llama, recipe))
    plain = recipe_weights(llama, Recipe(SchemeSpec("INT4")))
    assert mixed.nbytes > plain.nbytes
    assert (mixed.file_bytes or 0) > mixed.nbytes


def test_scales_and_kept_parts_are_counted() -> None:
    """A real 70B at INT4 takes more than its nominal 35 GB: scales, embeddings and head."""
    checkpoint = find_entry("Llama-3.1-70B-Instruct").checkpoint()
    int4 = recipe_weights(checkpoint, Recipe(SchemeSpec("INT4")))
    assert 1.1 * checkpoint.parameters / 2 < int4.nbytes < 1.2 * checkpoint.parameters / 2


def test_a_precision_that_hardly_changes_the_size_says_so() -> None:
    mixtral = find_entry("Mixtral-8x7B-v0.1").checkpoint()
    experts_kept = recipe_weights(mixtral, Recipe(SchemeSpec("INT4"), (Rule("*experts*"),)))
    assert experts_kept.note.startswith("97")
    assert recipe_weights(mixtral, Recipe(SchemeSpec("FP16"))).note == ""


def test_an_already_quantized_checkpoint_has_its_own_bytes_alone(llama: Checkpoint) -> None:
    packed = TensorInfo("model.layers.0.mlp.up_proj.qweight", (64, 1024), "I32", 262_144)
    quantized = replace(llama, tensors=(packed,), config=replace(LLAMA, quantization="gptq"))
    (own,) = weights_per_row(quantized)
    assert (own.scheme_id, own.nbytes) == (STORED, 262_144)
    assert "gptq" in own.note
    assert own.parameters == llama.parameters, "the config tells how many weights are packed in there"


def test_packed_tensors_without_a_config_have_no_bits_per_weight() -> None:
    packed = TensorInfo("w.qweight", (64, 1024), "I32", 262_144)
    bare = Checkpoint("x", SourceKind.SAFETENSORS, "/x", (packed,))
    assert is_quantized(bare)
    assert parameters(bare) is None
    assert weights_per_row(bare)[0].bits_per_weight == 0


def test_a_quantized_gguf_states_its_weights() -> None:
    tensor = TensorInfo("blk.0.ffn_up.weight", (1024, 256), "Q4_K", 147_456)
    gguf = Checkpoint("x", SourceKind.GGUF, "/x.gguf", (tensor,), ModelConfig("llama"))
    (own,) = weights_per_row(gguf)
    assert own.bits_per_weight == 4.5


def test_an_already_quantized_file_has_its_own_size(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    save_file({"a.qweight": np.zeros((64, 128), np.int32), "a.scales": np.zeros((4, 128), np.float16)}, path)
    checkpoint = open_checkpoint(path)
    (own,) = weights_per_row(checkpoint)
    assert own.file_bytes == path.stat().st_size > own.nbytes

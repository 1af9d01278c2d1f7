"""The checkpoints that tests are made of are what they say."""

from __future__ import annotations

import json

import numpy as np
from safetensors import safe_open
from safetensors.numpy import load_file


def test_a_sharded_checkpoint_holds_the_same_weights(tiny_llama_folder, tiny_llama_sharded):
    whole = load_file(tiny_llama_folder / "model.safetensors")
    index = json.loads((tiny_llama_sharded / "model.safetensors.index.json").read_text())
    assert set(index["weight_map"]) == set(whole)
    assert index["metadata"]["total_size"] == sum(value.nbytes for value in whole.values())
    for name, file in index["weight_map"].items():
        np.testing.assert_array_equal(load_file(tiny_llama_sharded / file)[name], whole[name])


def test_bf16_is_the_nearest_value(tiny_llama_folder, tiny_llama_bf16):
    exact = load_file(tiny_llama_folder / "model.safetensors")["model.layers.0.mlp.up_proj.weight"]
    with safe_open(tiny_llama_bf16 / "model.safetensors", framework="np") as file:
        assert file.get_slice("model.layers.0.mlp.up_proj.weight").get_dtype() == "BF16"
    raw = (tiny_llama_bf16 / "model.safetensors").read_bytes()
    size = int.from_bytes(raw[:8], "little")
    begin, end = json.loads(raw[8 : 8 + size])["model.layers.0.mlp.up_proj.weight"]["data_offsets"]
    bits = np.frombuffer(raw[8 + size + begin : 8 + size + end], np.uint16).astype(np.uint32) << 16
    restored = bits.view(np.float32).reshape(exact.shape)
    assert np.all(np.abs(restored - exact) <= np.abs(exact) * 2**-8)
    assert not np.array_equal(restored, exact)

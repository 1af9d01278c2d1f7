"""Small models to convert: random weights, with a tokenizer beside them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from quantgui.formats.gguf.imatrix import ImportanceMatrix, TensorImportance, write_imatrix
from quantgui.formats.gguf.names import GgufTensor
from tests.conftest import TINY_CONFIG, write_checkpoint

BYTES = [chr(n) if chr(n).isprintable() and not chr(n).isspace() and n < 127 else chr(256 + n) for n in range(256)]
"""A token for each of 256 bytes, about as byte-level vocabularies write them."""
WIDE: dict[str, Any] = {
    **TINY_CONFIG,
    "hidden_size": 256,
    "intermediate_size": 512,
    "head_dim": 64,
    "vocab_size": 320,
    "num_hidden_layers": 2,
    "tie_word_embeddings": False,
}
"""A Llama whose rows fill blocks of 256."""


def write_byte_tokenizer(folder: Path, tokens: int = 256) -> None:
    """A byte-level tokenizer of `tokens` tokens without merges."""
    model = {"type": "BPE", "vocab": {text: index for index, text in enumerate(BYTES[:tokens])}, "merges": []}
    steps = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    data = {
        "version": "1.0",
        "added_tokens": [],
        "normalizer": None,
        "pre_tokenizer": steps,
        "post_processor": None,
        "decoder": steps,
        "model": model,
    }
    (folder / "tokenizer.json").write_text(json.dumps(data))
    (folder / "tokenizer_config.json").write_text(json.dumps({"bos_token": None, "add_bos_token": False}))


def write_wide_llama(folder: Path, dtype: str = "BF16") -> Path:
    """The Llama of `WIDE` with its tokenizer."""
    random = np.random.default_rng(0)

    def matrix(rows: int, columns: int) -> np.ndarray:
        return random.normal(0, 0.02, (rows, columns)).astype(np.float32)

    hidden, inner, keys, vocab = 256, 512, 128, 320
    tensors = {"model.embed_tokens.weight": matrix(vocab, hidden), "lm_head.weight": matrix(vocab, hidden)}
    for layer in range(2):
        shapes = {
            "self_attn.q_proj": (hidden, hidden),
            "self_attn.k_proj": (keys, hidden),
            "self_attn.v_proj": (keys, hidden),
            "self_attn.o_proj": (hidden, hidden),
            "mlp.gate_proj": (inner, hidden),
            "mlp.up_proj": (inner, hidden),
            "mlp.down_proj": (hidden, inner),
        }
        for name, shape in shapes.items():
            tensors[f"model.layers.{layer}.{name}.weight"] = matrix(*shape)
        for name in ("input_layernorm", "post_attention_layernorm"):
            tensors[f"model.layers.{layer}.{name}.weight"] = np.ones(hidden, np.float32)
    tensors["model.norm.weight"] = np.ones(hidden, np.float32)
    write_checkpoint(folder, tensors, WIDE, dtype=dtype)
    write_byte_tokenizer(folder)
    return folder


def write_importance(path: Path, tensors: tuple[GgufTensor, ...]) -> Path:
    """An importance matrix with random values for every matrix inside the layers."""
    random = np.random.default_rng(1)

    def entry(tensor: GgufTensor) -> TensorImportance:
        *outer, columns = tensor.shape
        matrices = outer[0] if len(outer) > 1 else 1
        sums = random.gamma(1.0, 1.0, (matrices, columns)).astype(np.float32)
        return TensorImportance(sums, np.full(matrices, 64, np.float32))

    entries = {t.name: entry(t) for t in tensors if t.layer is not None and len(t.shape) > 1}
    write_imatrix(path, ImportanceMatrix(entries, "text.txt", 2, 32))
    return path

from __future__ import annotations

import struct
from pathlib import Path

import msgspec
import pytest

from quantgui.checkpoint.gguf_checkpoint import check_is_model, open_gguf, part_files
from quantgui.types import Checkpoint, Role, SourceKind, UserError
from tests.checkpoint import files
from tests.checkpoint.files import array, gguf_bytes, key, tensor, text


def _number(name: str, value: int) -> bytes:
    return key(name, files.U32, struct.pack("<I", value))


LLAMA_KEYS = [
    key("general.architecture", files.STRING, text("llama")),
    _number("llama.block_count", 2),
    _number("llama.context_length", 4096),
    _number("llama.embedding_length", 64),
    _number("llama.feed_forward_length", 128),
    _number("llama.attention.head_count", 4),
    key("llama.attention.head_count_kv", files.ARRAY, array(files.I32, 2, struct.pack("<2i", 0, 2))),
    key("tokenizer.ggml.tokens", files.ARRAY, array(files.STRING, 3, text("a") * 3)),
]


def _write(path: Path, keys: list[bytes], names: list[str], kind: int = 0) -> Path:
    tensors = [tensor(name, [32, 2], kind, 256 * i) for i, name in enumerate(names)]
    path.write_bytes(gguf_bytes(keys, tensors, b"\0" * 256 * len(names)))
    return path


def test_the_keys_become_a_config(tmp_path: Path) -> None:
    checkpoint = open_gguf(_write(tmp_path / "tiny.gguf", LLAMA_KEYS, ["token_embd.weight", "blk.0.attn_q.weight"]))
    config = checkpoint.config
    assert config is not None
    assert (checkpoint.name, checkpoint.kind) == ("tiny", SourceKind.GGUF)
    assert (config.model_type, config.num_layers, config.hidden_size, config.num_heads) == ("llama", 2, 64, 4)
    assert (config.num_kv_heads, config.head_dim, config.intermediate_size) == (2, 16, 128)
    assert (config.vocab_size, config.context_length) == (3, 4096)
    assert [t.role for t in checkpoint.tensors] == [Role.EMBEDDING, Role.ATTENTION]
    assert checkpoint.tensors[0].shape == (2, 32), "torch's order: rows first"


def test_without_an_output_tensor_the_embedding_is_the_head(tmp_path: Path) -> None:
    tied = open_gguf(_write(tmp_path / "a.gguf", LLAMA_KEYS, ["token_embd.weight"])).config
    untied = open_gguf(_write(tmp_path / "b.gguf", LLAMA_KEYS, ["token_embd.weight", "output.weight"])).config
    assert tied is not None
    assert untied is not None
    assert (tied.tied_embeddings, untied.tied_embeddings) == (True, False)


@pytest.mark.parametrize(("kind", "expected"), [(0, None), (8, "gguf")])
def test_block_types_mean_that_it_is_quantized(tmp_path: Path, kind: int, expected: str | None) -> None:
    config = open_gguf(_write(tmp_path / "a.gguf", LLAMA_KEYS, ["token_embd.weight"], kind)).config
    assert config is not None
    assert config.quantization == expected


def test_a_checkpoint_can_be_sent_to_another_process(tmp_path: Path) -> None:
    checkpoint = open_gguf(_write(tmp_path / "a.gguf", LLAMA_KEYS, ["token_embd.weight"]))
    assert msgspec.json.decode(msgspec.json.encode(checkpoint), type=Checkpoint) == checkpoint


def test_keys_alone_open_with_notes(tmp_path: Path) -> None:
    checkpoint = open_gguf(_write(tmp_path / "vocab.gguf", [], []))
    assert checkpoint.config is None
    assert "no tensors" in checkpoint.notes[0]
    assert "architecture" in checkpoint.notes[1]


@pytest.mark.parametrize(("kind", "word"), [("mmproj", "mmproj"), ("adapter", "LoRA"), ("imatrix", "importance")])
def test_what_is_no_model_is_named_as_such(kind: str, word: str, tmp_path: Path) -> None:
    keys = [key("general.type", files.STRING, text(kind))]
    checkpoint = open_gguf(_write(tmp_path / "other.gguf", keys, ["blk.0.attn_q.weight"]))
    assert word in checkpoint.notes[0]
    with pytest.raises(UserError, match="not a language model") as caught:
        check_is_model(checkpoint)
    assert word in caught.value.hint


def test_a_model_is_one(tmp_path: Path) -> None:
    check_is_model(open_gguf(_write(tmp_path / "model.gguf", LLAMA_KEYS, ["token_embd.weight"])))


def test_parts_are_read_together(tmp_path: Path) -> None:
    _write(tmp_path / "big-00001-of-00002.gguf", LLAMA_KEYS, ["token_embd.weight"])
    second = _write(tmp_path / "big-00002-of-00002.gguf", [], ["output.weight"])
    checkpoint = open_gguf(second)
    assert checkpoint.name == "big"
    assert [path.name for path in part_files(second)] == ["big-00001-of-00002.gguf", "big-00002-of-00002.gguf"]
    assert [(t.name, t.file) for t in checkpoint.tensors] == [
        ("token_embd.weight", "big-00001-of-00002.gguf"),
        ("output.weight", "big-00002-of-00002.gguf"),
    ]
    assert checkpoint.config is not None


def test_a_missing_part_is_named(tmp_path: Path) -> None:
    first = _write(tmp_path / "big-00001-of-00003.gguf", LLAMA_KEYS, ["token_embd.weight"])
    with pytest.raises(UserError, match=r"“big-00002-of-00003\.gguf” is missing"):
        open_gguf(first)


def test_a_tensor_in_two_parts_is_refused(tmp_path: Path) -> None:
    first = _write(tmp_path / "big-00001-of-00002.gguf", LLAMA_KEYS, ["token_embd.weight"])
    _write(tmp_path / "big-00002-of-00002.gguf", [], ["token_embd.weight"])
    with pytest.raises(UserError, match="both hold the tensor"):
        open_gguf(first)


@pytest.mark.parametrize("name", ["a-00003-of-00002.gguf", "a-00000-of-00002.gguf", "a-00001-of-99999.gguf"])
def test_impossible_part_numbers_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(UserError, match="impossible part numbers"):
        open_gguf(_write(tmp_path / name, LLAMA_KEYS, ["token_embd.weight"]))

from __future__ import annotations

import struct
from dataclasses import replace
from pathlib import Path

import gguf
import numpy as np
import pytest

from quantgui.formats.gguf.imatrix import (
    ImportanceMatrix,
    TensorImportance,
    read_facts,
    read_imatrix,
    write_imatrix,
)
from quantgui.formats.gguf.names import GgufTensor
from quantgui.types import UserError


def some_matrix() -> ImportanceMatrix:
    random = np.random.default_rng(0)
    sums = random.random((3, 64)).astype(np.float32) * 100
    return ImportanceMatrix(
        {
            "blk.0.attn_q.weight": TensorImportance(sums[:1], np.array([50], np.float32)),
            "blk.0.ffn_up_exps.weight": TensorImportance(sums, np.array([10, 0, 4], np.float32)),
        },
        dataset="täxt.txt",
        chunks=5,
        chunk_tokens=512,
    )


def write_with_gguf(path: Path, **changes: object) -> Path:
    """A file as llama-imatrix writes it, made by another library, with some parts changed or (None) left out."""
    parts = {
        "general.type": "imatrix",
        "imatrix.datasets": ["calibration.txt"],
        "imatrix.chunk_count": 7,
        "imatrix.chunk_size": 512,
        "sums": np.ones((2, 32), np.float32),
        "counts": np.array([[2], [4]], np.float32),
    } | changes
    writer = gguf.GGUFWriter(path, "unused")
    del writer.kv_data[0]["general.architecture"]
    for key, value in parts.items():
        if isinstance(value, str):
            writer.add_string(key, value)
        elif isinstance(value, int):
            writer.add_uint32(key, value)
        elif isinstance(value, list):
            writer.add_array(key, value)
    for key, suffix in (("sums", "in_sum2"), ("counts", "counts"), ("in_sum", "in_sum")):
        values = parts.get(key)
        if isinstance(values, np.ndarray):
            writer.add_tensor(f"blk.0.ffn_up.weight.{suffix}", values)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def test_what_is_written_comes_back(tmp_path: Path) -> None:
    matrix = some_matrix()
    write_imatrix(tmp_path / "a.gguf", matrix)
    found = read_imatrix(tmp_path / "a.gguf")
    assert (found.dataset, found.chunks, found.chunk_tokens) == ("täxt.txt", 5, 512)
    assert found.entries.keys() == matrix.entries.keys()
    for name, entry in matrix.entries.items():
        np.testing.assert_array_equal(found.entries[name].sums, entry.sums)
        np.testing.assert_array_equal(found.entries[name].counts, entry.counts)


def test_the_header_alone_tells_what_it_is_about(tmp_path: Path) -> None:
    write_imatrix(tmp_path / "a.gguf", replace(some_matrix(), model="demo"))
    facts = read_facts(tmp_path / "a.gguf")
    assert (facts.dataset, facts.chunks, facts.chunk_tokens, facts.model) == ("täxt.txt", 5, 512, "demo")
    assert facts.shapes == {"blk.0.attn_q.weight": (1, 64), "blk.0.ffn_up_exps.weight": (3, 64)}
    assert read_facts(write_with_gguf(tmp_path / "b.gguf")).model == ""


def test_a_matrix_of_another_model_does_not_fit(tmp_path: Path) -> None:
    write_imatrix(tmp_path / "a.gguf", some_matrix())
    facts = read_facts(tmp_path / "a.gguf")
    fitting = [GgufTensor("blk.0.attn_q.weight", (8, 64)), GgufTensor("blk.0.ffn_up_exps.weight", (3, 8, 64))]
    assert facts.misfit([*fitting, GgufTensor("blk.7.attn_q.weight", (8, 9))]) == ""
    assert facts.misfit([GgufTensor("blk.0.attn_q.weight", (8, 128))]) == "blk.0.attn_q.weight"
    assert facts.misfit([GgufTensor("blk.0.ffn_up_exps.weight", (4, 8, 64))]) == "blk.0.ffn_up_exps.weight"
    assert facts.misfit([GgufTensor("blk.0.ffn_up_exps.weight", (8, 3 * 64))]) == "blk.0.ffn_up_exps.weight"


def test_a_full_disk_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_imatrix(tmp_path / "a.gguf", some_matrix())
    assert not list(tmp_path.iterdir())


def test_another_library_reads_what_is_written(tmp_path: Path) -> None:
    write_imatrix(tmp_path / "a.gguf", some_matrix())
    reader = gguf.GGUFReader(tmp_path / "a.gguf")
    shapes = {tensor.name: tensor.shape.tolist() for tensor in reader.tensors}
    assert shapes == {
        "blk.0.attn_q.weight.in_sum2": [64],
        "blk.0.attn_q.weight.counts": [1],
        "blk.0.ffn_up_exps.weight.in_sum2": [64, 3],
        "blk.0.ffn_up_exps.weight.counts": [1, 3],
    }


def test_what_another_library_writes_is_read(tmp_path: Path) -> None:
    matrix = read_imatrix(write_with_gguf(tmp_path / "a.gguf"))
    assert (matrix.dataset, matrix.chunks) == ("calibration.txt", 7)
    values = matrix.values([GgufTensor("blk.0.ffn_up.weight", (2, 8, 32)), GgufTensor("blk.0.attn_q.weight", (8, 32))])
    assert values.keys() == {"blk.0.ffn_up.weight"}
    np.testing.assert_array_equal(values["blk.0.ffn_up.weight"], [[0.5] * 32, [0.25] * 32])


def test_a_stack_may_be_stored_as_a_single_matrix(tmp_path: Path) -> None:
    """As llama-imatrix stores the heads of latent attention: all columns in one row, one count."""
    sums = np.arange(64, dtype=np.float32)
    path = write_with_gguf(tmp_path / "a.gguf", sums=sums[None], counts=np.array([[2]], np.float32))
    heads, other = GgufTensor("blk.0.ffn_up.weight", (4, 8, 16)), GgufTensor("blk.0.ffn_up.weight", (4, 8, 32))
    assert read_facts(path).misfit([heads]) == ""
    assert read_facts(path).misfit([other]) == other.name
    np.testing.assert_array_equal(read_imatrix(path).values([heads])[heads.name], sums.reshape(4, 16) / 2)
    with pytest.raises(ValueError, match="reshape"):
        read_imatrix(path).values([other])


def test_further_statistics_are_passed_over(tmp_path: Path) -> None:
    """As `llama-imatrix --activation-statistics` adds them."""
    path = write_with_gguf(tmp_path / "a.gguf", in_sum=np.full((2, 32), -1, np.float32))
    assert read_facts(path).shapes == {"blk.0.ffn_up.weight": (2, 32)}
    assert read_imatrix(path).entries.keys() == {"blk.0.ffn_up.weight"}


def test_the_importance_is_the_mean_and_one_where_nothing_arrived() -> None:
    values = some_matrix().entries["blk.0.ffn_up_exps.weight"]
    np.testing.assert_allclose(values.values[0], values.sums[0] / 10)
    np.testing.assert_array_equal(values.values[1], np.ones(64))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"general.type": "model"}, "not an importance matrix"),
        ({"imatrix.chunk_count": None}, "not an importance matrix"),
        ({"imatrix.chunk_size": "512"}, "not an importance matrix"),
        ({"counts": None}, "lacks half"),
        ({"counts": np.ones((3, 1), np.float32)}, "unexpected shape"),
        ({"sums": np.ones((2, 32), np.float16)}, "unexpected shape or type"),
        ({"sums": -np.ones((2, 32), np.float32)}, "negative or infinite"),
        ({"sums": np.full((2, 32), np.nan, np.float32)}, "negative or infinite"),
        ({"counts": np.array([[2], [np.inf]], np.float32)}, "negative or infinite"),
        ({"sums": None, "counts": None}, "without entries"),
    ],
)
def test_damaged_matrices_are_refused(changes: dict[str, object], words: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=words):
        read_imatrix(write_with_gguf(tmp_path / "a.gguf", **changes))


def test_a_truncated_file_is_refused(tmp_path: Path) -> None:
    path = write_with_gguf(tmp_path / "a.gguf")
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(UserError):
        read_imatrix(path)


def test_notes_in_the_quantized_file_are_those_of_llama_quantize() -> None:
    keys = {key.key: key for key in some_matrix().keys("x" * 200)}
    assert keys["quantize.imatrix.file"].value == "x" * 127
    assert keys["quantize.imatrix.entries_count"].encode().endswith(struct.pack("<II", 4, 2))
    assert keys["quantize.imatrix.chunks_count"].value == 5

from __future__ import annotations

import struct
import warnings
from pathlib import Path

import gguf
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from quantgui.checkpoint.gguf_header import MAX_GGUF_TENSORS, MAX_KEYS, MAX_STRINGS, SkippedValue, read_gguf
from quantgui.schemes.ggml_types import BY_NAME
from quantgui.types import UserError
from tests.checkpoint import files
from tests.checkpoint.files import array, gguf_bytes, key, tensor, text

NEAR_2_63 = 2**63 - 1

VALID = gguf_bytes(
    [
        key("general.architecture", files.STRING, text("llama")),
        key("llama.block_count", files.U32, struct.pack("<I", 2)),
        key("flags", files.ARRAY, array(files.BOOL, 2, b"\0\1")),
        key("tokens", files.ARRAY, array(files.STRING, 2, text("a") + text("bc"))),
    ],
    [tensor("token_embd.weight", [4, 2], 0, 0), tensor("output_norm.weight", [4], 0, 32)],
    b"x" * 48,
)


def _write(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def _library_file(path: Path) -> None:
    """A file by the reference writer, with every kind of value and several tensor types."""
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_block_count(3)
    writer.add_rope_freq_base(10000.0)
    writer.add_add_bos_token(True)
    writer.add_array("numbers", [1, 2, 3])
    writer.add_array("long", list(range(5000)))
    writer.add_token_list([f"token {i}" * (i % 50) for i in range(3000)])
    writer.add_chat_template("x" * 100_000)
    writer.add_tensor("token_embd.weight", np.zeros((6, 64), np.float32))
    writer.add_tensor("output_norm.weight", np.ones(64, np.float32))
    for kind in (gguf.GGMLQuantizationType.Q8_0, gguf.GGMLQuantizationType.Q4_K):
        nbytes = gguf.GGML_QUANT_SIZES[kind][1]
        raw = np.zeros((4, 3 * nbytes), np.uint8)
        writer.add_tensor(f"blk.{kind.value}.attn_q.weight", raw, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def test_reads_what_the_reference_writer_wrote_as_its_reader_does(tmp_path: Path) -> None:
    path = tmp_path / "model.gguf"
    _library_file(path)
    ours = read_gguf(path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = gguf.GGUFReader(path)
    assert [(t.name, t.dtype, t.shape, t.offset, t.nbytes) for t in ours.tensors] == [
        (t.name, t.tensor_type.name, tuple(map(int, reversed(t.shape))), t.data_offset, t.n_bytes)
        for t in theirs.tensors
    ]
    assert set(ours.keys) == {name for name in theirs.fields if not name.startswith("GGUF.")}


def test_values_are_kept_when_short_and_counted_when_long(tmp_path: Path) -> None:
    path = tmp_path / "model.gguf"
    _library_file(path)
    keys = read_gguf(path).keys
    assert keys["llama.block_count"] == 3
    assert keys["llama.rope.freq_base"] == 10000.0
    assert keys["tokenizer.ggml.add_bos_token"] is True
    assert keys["numbers"] == [1, 2, 3]
    assert keys["long"] == SkippedValue(5000)
    assert keys["tokenizer.ggml.tokens"] == SkippedValue(3000)
    assert keys["tokenizer.chat_template"] == SkippedValue(100_000)


def test_texts_longer_than_a_read_are_passed_over(tmp_path: Path) -> None:
    """A vocabulary of several megabytes, with one string larger than a chunk, ends where the next key begins."""
    strings = [b"x" * (n % 37) for n in range(200_000)] + [b"y" * 3_000_000] + [b"z"] * 10
    payload = array(files.STRING, len(strings), b"".join(text(s) for s in strings))
    data = gguf_bytes([key("a", files.ARRAY, payload), key("after", files.U8, b"\x07")])
    keys = read_gguf(_write(tmp_path / "m.gguf", data)).keys
    assert keys == {"a": SkippedValue(len(strings)), "after": 7}


def test_version_2_and_another_alignment(tmp_path: Path) -> None:
    alignment = key("general.alignment", files.U32, struct.pack("<I", 64))
    data = gguf_bytes([alignment], [tensor("a", [8], 24, 64)], b"x" * 72, version=2, alignment=64)
    (info,) = read_gguf(_write(tmp_path / "m.gguf", data)).tensors
    assert (info.offset % 64, info.nbytes, info.dtype) == (0, 8, "I8")


def _keys(*entries: bytes) -> bytes:
    return gguf_bytes(entries)


def _tensors(*entries: bytes, data: bytes = b"x" * 64) -> bytes:
    return gguf_bytes([], entries, data)


def _strings(count: int, payload: bytes = b"") -> bytes:
    return _keys(key("a", files.ARRAY, array(files.STRING, count, payload)))


BROKEN: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "is empty"),
    "magic alone": (b"GGUF", "is cut off"),
    "other magic": (b"GGUX" + VALID[4:], "is not a GGUF file"),
    "version 0": (gguf_bytes(version=0), "version 0"),
    "version 1": (gguf_bytes(version=1), "version 1"),
    "version 99": (gguf_bytes(version=99), "version 99"),
    "big-endian": (b"GGUF" + struct.pack(">IQQ", 3, 0, 0), "big-endian"),
    "ten million keys": (gguf_bytes(key_count=10_000_000), "claims 10,000,000 keys"),
    "keys beyond the cap": (_keys(*[b"\0" * 13] * (MAX_KEYS + 1)), "keys, which cannot be"),
    "keys near 2^63": (gguf_bytes(key_count=NEAR_2_63), "keys, which cannot be"),
    "tensors near 2^63": (gguf_bytes(tensor_count=NEAR_2_63), "tensors, which cannot be"),
    "tensors beyond the cap": (
        _tensors(*[b"\0" * 25] * (MAX_GGUF_TENSORS + 1), data=b""),
        "tensors, which cannot be",
    ),
    "the 49 bytes that hang the gguf package": (
        b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + text("a") + struct.pack("<IIQ", files.ARRAY, files.STRING, NEAR_2_63),
        "which cannot be",
    ),
    "key longer than the file": (b"GGUF" + struct.pack("<IQQQ", 3, 0, 1, NEAR_2_63) + b"a" * 40, "is cut off"),
    "endless key": (_keys(key("k" * 5000, files.U8, b"\0")), "holds a key of 5,000 bytes"),
    "key that is not UTF-8": (_keys(key(b"\xff\xfe", files.U8, b"\0")), "not UTF-8"),
    "key twice": (_keys(*[key("a", files.U8, b"\0")] * 2), "“a” twice"),
    "unknown value type": (_keys(key("a", 13, b"\0" * 8)), "unknown type (13)"),
    "unknown element type": (_keys(key("a", files.ARRAY, array(77, 1, b"\0" * 8))), "unknown type (77)"),
    "yes or no that is neither": (_keys(key("a", files.BOOL, b"\x02")), "neither"),
    "text longer than the file": (_keys(key("a", files.STRING, struct.pack("<Q", 2**40))), "is cut off"),
    "array longer than the file": (_keys(key("a", files.ARRAY, array(files.U64, 2**40))), "is cut off"),
    "array near 2^63": (_keys(key("a", files.ARRAY, array(files.U8, NEAR_2_63))), "is cut off"),
    "more texts than a vocabulary has": (_strings(MAX_STRINGS + 1), "texts in the key"),
    "more texts than bytes": (_strings(1000), "is cut off"),
    "texts that run out of the file": (_strings(2, text("a") + struct.pack("<Q", 2**62)), "is cut off"),
    "text with a length of 2^64 - 1": (_strings(2, struct.pack("<Q", 2**64 - 1) + b"\0" * 8), "is cut off"),
    "array of arrays": (_keys(key("a", files.ARRAY, array(files.ARRAY, 1, array(files.U8, 1, b"\0")))), "nests arrays"),
    "arrays nested to death": (
        _keys(key("a", files.ARRAY, array(files.ARRAY, 1) * 100_000)),
        "nests arrays",
    ),
    "alignment of 0": (_keys(key("general.alignment", files.U32, struct.pack("<I", 0))), "power of two"),
    "alignment of 48": (_keys(key("general.alignment", files.U32, struct.pack("<I", 48))), "power of two"),
    "alignment of 2^31": (_keys(key("general.alignment", files.U32, struct.pack("<I", 2**31))), "power of two"),
    "alignment that is text": (_keys(key("general.alignment", files.STRING, text("32"))), "power of two"),
    "tensor twice": (_tensors(tensor("a", [4], 0, 0), tensor("a", [4], 0, 32)), "“a” twice"),
    "endless tensor name": (_tensors(tensor("n" * 300, [4])), "holds a tensor name of 300 bytes"),
    "tensor name with an escape": (_tensors(tensor("a\x1b[2J", [4])), "unprintable"),
    "tensor name that is not UTF-8": (_tensors(tensor(b"\xc3", [4])), "not UTF-8"),
    "five dimensions": (_tensors(tensor("a", [1] * 5)), "5 dimensions"),
    "4 thousand million dimensions": (_tensors(tensor("a", [1], dimensions=2**32 - 1)), "dimensions"),
    "size near 2^64": (_tensors(tensor("a", [2**64 - 1])), "elements, which cannot be"),
    "product that overflows": (_tensors(tensor("a", [2**32, 2**32])), "elements, which cannot be"),
    "unknown tensor type": (_tensors(tensor("a", [32], 99)), "unknown type (number 99)"),
    "retired tensor type": (_tensors(tensor("a", [32], 4)), "unknown type (number 4)"),
    "row of half a block": (_tensors(tensor("a", [48, 2], BY_NAME["Q4_0"].id)), "do not divide"),
    "offset that is not aligned": (_tensors(tensor("a", [4], 0, 5)), "no multiple of 32"),
    "offset near 2^64": (_tensors(tensor("a", [4], 0, 2**64 - 32)), "is cut off"),
    "overlap": (_tensors(tensor("a", [16], 0, 0), tensor("b", [4], 0, 32)), "“a” and “b” overlap"),
    "same place twice": (_tensors(tensor("a", [4]), tensor("b", [4])), "overlap"),
    "cut off in the data": (_tensors(tensor("a", [64])), "is cut off: the tensor “a” ends at byte"),
    "cut off in the tensor list": (VALID[:-100], "is cut off"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_file_is_one_clear_sentence(tmp_path: Path, case: str) -> None:
    data, expected = BROKEN[case]
    with pytest.raises(UserError) as caught:
        read_gguf(_write(tmp_path / "bad.gguf", data))
    assert expected in caught.value.message
    assert "bad.gguf" in caught.value.message
    assert caught.value.message.endswith(".")
    assert "\n" not in caught.value.message
    assert caught.value.hint


def test_a_huge_file_of_zeros_is_not_read(tmp_path: Path) -> None:
    """Skipping an array of 4 GB moves the position; the file is sparse, reading it would show in the memory."""
    path = tmp_path / "sparse.gguf"
    path.write_bytes(_keys(key("a", files.ARRAY, array(files.U8, 2**32))))
    with path.open("r+b") as stream:
        stream.truncate(2**32 + 2**20)
    assert read_gguf(path).keys["a"] == SkippedValue(2**32)


def test_every_prefix_of_a_valid_file_is_refused(tmp_path: Path) -> None:
    for length in range(len(VALID)):
        with pytest.raises(UserError):
            read_gguf(_write(tmp_path / "cut.gguf", VALID[:length]))


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(edits=st.lists(st.tuples(st.integers(0, len(VALID) - 1), st.integers(0, 255)), min_size=1, max_size=6))
def test_any_mutation_opens_or_is_a_user_error(tmp_path: Path, edits: list[tuple[int, int]]) -> None:
    data = bytearray(VALID)
    for place, value in edits:
        data[place] = value
    try:
        header = read_gguf(_write(tmp_path / "mutant.gguf", bytes(data)))
    except UserError:
        return
    assert all(t.offset + t.nbytes <= len(data) for t in header.tensors)

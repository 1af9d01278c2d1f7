from __future__ import annotations

import contextlib
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from quantgui.checkpoint.limits import MAX_NAME, MAX_SAFETENSORS_HEADER, MAX_TENSORS
from quantgui.checkpoint.safetensors_header import DTYPE_BITS, read_safetensors
from quantgui.types import UserError
from tests.checkpoint.files import entry, safetensors_bytes

VALID = safetensors_bytes(
    {"__metadata__": {"format": "pt"}, "a": entry("F32", [2, 2], 0, 16), "b": entry("U8", [3], 16, 19)}, b"x" * 19
)


def _write(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def test_reads_what_the_library_wrote(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    tensors = {
        "model.layers.0.mlp.up_proj.weight": np.arange(12, dtype=np.float32).reshape(3, 4),
        "scalar": np.array(7, dtype=np.int64),
        "empty": np.zeros((0, 5), dtype=np.float16),
        "flags": np.array([True, False]),
    }
    save_file(tensors, path)
    content = path.read_bytes()
    found = {tensor.name: tensor for tensor in read_safetensors(path)}
    assert found.keys() == tensors.keys()
    for name, value in tensors.items():
        info = found[name]
        assert info.shape == value.shape
        assert content[info.offset : info.offset + info.nbytes] == value.tobytes()
        assert info.file == "model.safetensors"


@pytest.mark.parametrize("dtype", sorted(DTYPE_BITS))
def test_every_dtype_of_the_library_is_known_with_its_size(tmp_path: Path, dtype: str) -> None:
    nbytes = 8 * DTYPE_BITS[dtype] // 8
    path = _write(tmp_path / "m.safetensors", safetensors_bytes({"x": entry(dtype, [8], 0, nbytes)}, b"\0" * nbytes))
    with safe_open(path, "np") as theirs:
        assert theirs.get_slice("x").get_dtype() == dtype
    (ours,) = read_safetensors(path)
    assert (ours.dtype, ours.nbytes) == (dtype, nbytes)


def test_tensors_come_in_the_order_of_their_data(tmp_path: Path) -> None:
    header = {"z": entry("U8", [4], 0, 4), "a": entry("U8", [4], 8, 12), "m": entry("U8", [4], 4, 8)}
    path = _write(tmp_path / "m.safetensors", safetensors_bytes(header, b"\0" * 12))
    assert [tensor.name for tensor in read_safetensors(path)] == ["z", "m", "a"]


def test_a_file_without_tensors_is_valid(tmp_path: Path) -> None:
    assert read_safetensors(_write(tmp_path / "m.safetensors", safetensors_bytes({}))) == ()


def _one(**changes: Any) -> bytes:
    return safetensors_bytes({"a": entry("F32", [2, 2], 0, 16) | changes}, b"x" * 16)


BROKEN: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "is empty"),
    "shorter than a length": (b"\x10\0\0", "3 bytes long"),
    "cut off in the header": (VALID[:40], "is cut off"),
    "cut off in the data": (VALID[:-5], "is cut off"),
    "one byte too many": (VALID + b"\0", "1 bytes that belong to no tensor"),
    "header length beyond the cap": (struct.pack("<Q", MAX_SAFETENSORS_HEADER + 1) + b"{}", "claims a header"),
    "header length near 2^64": (struct.pack("<Q", 2**64 - 1) + b"{}", "claims a header"),
    "header length beyond the file": (safetensors_bytes({}, length=5000), "is cut off"),
    "header of length zero": (safetensors_bytes(b""), "does not start"),
    "header that starts with a space": (safetensors_bytes(b" {}"), "does not start"),
    "header that is a list": (safetensors_bytes(b"[]"), "does not start"),
    "header that is no JSON": (safetensors_bytes(b"{nope}"), "damaged header"),
    "header that is not UTF-8": (safetensors_bytes(b'{"\xff":1}'), "not UTF-8"),
    "header with NaN": (safetensors_bytes(b'{"a":NaN}'), "not a JSON number"),
    "header nested to death": (safetensors_bytes(b'{"a":' * 100_000), "nested too deeply"),
    "header of millions of values": (safetensors_bytes(b'{"a":[' + b"1," * 4_100_000 + b"1]}"), "more than"),
    "two tensors of one name": (
        safetensors_bytes(b"{" + b",".join([b'"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}'] * 2) + b"}", b"x"),
        "appears twice",
    ),
    "one key twice in a tensor": (
        safetensors_bytes(b'{"a":{"dtype":"U8","dtype":"I8","shape":[1],"data_offsets":[0,1]}}', b"x"),
        "appears twice",
    ),
    "metadata that is a list": (safetensors_bytes({"__metadata__": []}), "metadata"),
    "metadata with a number": (safetensors_bytes({"__metadata__": {"a": 1}}), "metadata"),
    "tensor that is a number": (safetensors_bytes({"a": 1}), "not a table"),
    "tensor without a dtype": (_one(dtype=None), "unknown type"),
    "unknown dtype": (_one(dtype="Q7"), "unknown type, 'Q7'"),
    "dtype that is a list": (_one(dtype=["F32"]), "unknown type"),
    "shape that is text": (_one(shape="2,2"), "impossible shape"),
    "negative shape": (_one(shape=[-2, -2]), "impossible shape"),
    "shape with a yes": (_one(shape=[True, 4]), "impossible shape"),
    "shape with a fraction": (_one(shape=[2.0, 2]), "impossible shape"),
    "shape beyond 64 bits": (_one(shape=[2**64, 0]), "impossible shape"),
    "shape of thousands of digits": (_one(shape=[10**4000]), "4,001 digits"),
    "shape whose product overflows": (_one(shape=[2**32, 2**32]), "which is not what"),
    "65 dimensions": (_one(shape=[1] * 65), "impossible shape"),
    "one offset": (_one(data_offsets=[0]), "impossible place"),
    "offsets backwards": (_one(data_offsets=[16, 0]), "impossible place"),
    "negative offset": (_one(data_offsets=[-16, 0]), "impossible place"),
    "bytes that the shape does not take": (_one(data_offsets=[0, 12]), "which is not what"),
    "half a byte": (safetensors_bytes({"a": entry("F4", [3], 0, 1)}, b"x"), "which is not what"),
    "overlap": (
        safetensors_bytes({"a": entry("U8", [8], 0, 8), "b": entry("U8", [8], 4, 12)}, b"x" * 12),
        "“a” and “b” overlap",
    ),
    "same place twice": (
        safetensors_bytes({"a": entry("U8", [8], 0, 8), "b": entry("U8", [8], 0, 8)}, b"x" * 8),
        "overlap",
    ),
    "gap": (
        safetensors_bytes({"a": entry("U8", [4], 0, 4), "b": entry("U8", [4], 8, 12)}, b"x" * 12),
        "4 unused bytes",
    ),
    "data that does not start at zero": (safetensors_bytes({"a": entry("U8", [4], 4, 8)}, b"x" * 8), "4 unused bytes"),
    "endless name": (safetensors_bytes({"a" * (MAX_NAME + 1): entry("U8", [0], 0, 0)}), "characters long"),
    "name with a line break": (safetensors_bytes({"a\nb": entry("U8", [0], 0, 0)}), "unprintable"),
    "name with half a character": (
        safetensors_bytes(b'{"\\ud800":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}}'),
        "unprintable",
    ),
    "too many tensors": (
        safetensors_bytes({str(i): entry("U8", [0], 0, 0) for i in range(MAX_TENSORS + 1)}),
        "more than the",
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_file_is_one_clear_sentence(tmp_path: Path, case: str) -> None:
    data, expected = BROKEN[case]
    with pytest.raises(UserError) as caught:
        read_safetensors(_write(tmp_path / "bad.safetensors", data))
    assert expected in caught.value.message
    assert "bad.safetensors" in caught.value.message
    assert caught.value.message.endswith(".")
    assert "\n" not in caught.value.message
    assert caught.value.hint


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(edits=st.lists(st.tuples(st.integers(0, len(VALID) - 1), st.integers(0, 255)), min_size=1, max_size=6))
def test_any_mutation_opens_or_is_refused_as_the_library_would(tmp_path: Path, edits: list[tuple[int, int]]) -> None:
    data = bytearray(VALID)
    for place, value in edits:
        data[place] = value
    path = _write(tmp_path / "mutant.safetensors", bytes(data))
    try:
        ours = {tensor.name: tensor.shape for tensor in read_safetensors(path)}
    except UserError:
        return
    try:
        with safe_open(path, "np") as file:
            theirs = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
    except SafetensorError as error:
        pytest.fail(f"we opened what the library refuses: {error}")
    assert ours == theirs


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.binary(max_size=200))
def test_random_bytes_never_raise_anything_else(tmp_path: Path, data: bytes) -> None:
    with contextlib.suppress(UserError):
        read_safetensors(_write(tmp_path / "noise.safetensors", data))

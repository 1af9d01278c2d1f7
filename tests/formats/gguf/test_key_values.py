"""The bytes of keys against the reader and the writer of the gguf library."""

import gguf
import pytest

from quantgui.formats.gguf.key_values import KeyValue, ValueKind, array_of, encode_keys, f32, flag, text, u32
from quantgui.types import UserError

PAIRS = [
    (u32("a.number", 2**32 - 1), ("add_uint32", 2**32 - 1)),
    (f32("a.fraction", 1e-6), ("add_float32", 1e-6)),
    (flag("a.flag", True), ("add_bool", True)),
    (text("a.text", "né中"), ("add_string", "né中")),
    (array_of("a.texts", ValueKind.STRING, ["", "Ġb"]), ("add_array", ["", "Ġb"])),
    (array_of("a.numbers", ValueKind.INT32, [-1, 5]), ("add_array", [-1, 5])),
    (array_of("a.fractions", ValueKind.FLOAT32, [0.5, -1e9]), ("add_array", [0.5, -1e9])),
    (array_of("a.flags", ValueKind.BOOL, [True, False]), ("add_array", [True, False])),
    (array_of("a.bytes", ValueKind.UINT8, b"\x00\xff"), ("add_array", b"\x00\xff")),
]


@pytest.mark.parametrize(("key", "call"), PAIRS, ids=lambda value: value.key if isinstance(value, KeyValue) else "")
def test_the_bytes_are_those_of_the_library(tmp_path, key, call):
    path = tmp_path / "x.gguf"
    writer = gguf.GGUFWriter(path, "llama")
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    before = path.stat().st_size
    writer.close()
    writer = gguf.GGUFWriter(path, "llama")
    getattr(writer, call[0])(key.key, call[1])
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.close()
    assert encode_keys([key]) == path.read_bytes()[before:]


def test_what_does_not_fit_is_an_error_and_half_a_character_is_not():
    for key in (
        u32("a", -1),
        f32("a", 1e300),
        array_of("a", ValueKind.INT32, [2**31]),
        array_of("a", ValueKind.FLOAT32, [1e300]),
    ):
        with pytest.raises(UserError, match="a value for a that a GGUF file cannot hold"):
            key.encode()
    assert text("a", "x\ud800").encode().endswith(b"x?")


def test_an_entry_of_another_file_is_copied_as_it_is():
    assert KeyValue("a", ValueKind.STRING, raw=b"anything").encode() == b"anything"

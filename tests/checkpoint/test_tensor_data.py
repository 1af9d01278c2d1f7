"""Files of weights are mapped, not read."""

import sys

import psutil
import pytest

from quantgui.checkpoint.tensor_data import TensorData, _private_map
from quantgui.types import UserError


@pytest.mark.skipif(
    sys.platform != "linux", reason="other systems reserve no memory for a private mapping, or always do"
)
def test_a_file_may_be_larger_than_the_memory(tmp_path):
    size = psutil.virtual_memory().total + psutil.swap_memory().total + (4 << 30)
    with (tmp_path / "model.gguf").open("w+b") as stream:
        try:
            stream.truncate(size)
        except OSError:
            pytest.skip("no files with holes here")
        with _private_map(stream.fileno()) as mapped:
            assert len(mapped) == size
            assert mapped[-1] == 0


def test_a_file_that_cannot_be_mapped_is_one_sentence(tiny_llama_bf16, monkeypatch):
    from quantgui.checkpoint import open_checkpoint

    def refuse(descriptor):
        raise OSError(12, "Cannot allocate memory")

    monkeypatch.setattr("quantgui.checkpoint.tensor_data._private_map", refuse)
    checkpoint = open_checkpoint(tiny_llama_bf16)
    with TensorData(checkpoint) as data, pytest.raises(UserError, match="cannot be mapped"):
        data.tensor(checkpoint.tensors[0])

"""A file is complete or the writer says so."""

import os

import pytest
import torch

from quantgui.formats.planning import PlannedFile, PlannedTensor
from quantgui.formats.shard_writer import ShardWriter

PLAN = PlannedFile(
    "x.safetensors", b"HEADER00", (PlannedTensor("a", "U8", (4,), 4, 0), PlannedTensor("b", "U8", (2,), 2, 4))
)


@pytest.mark.parametrize("positioned", [True, False])
def test_rows_may_come_in_any_order(tmp_path, monkeypatch, positioned):
    if not positioned:  # as on Windows
        monkeypatch.delattr(os, "pwrite", raising=False)
    writer = ShardWriter(tmp_path, PLAN)
    writer.write("b", 0, torch.tensor([5, 6], dtype=torch.uint8))
    writer.write("a", 2, torch.tensor([3, 4], dtype=torch.uint8))
    writer.write("a", 0, torch.tensor([1, 2], dtype=torch.uint8))
    writer.close()
    assert (tmp_path / "x.safetensors").read_bytes() == b"HEADER00" + bytes([1, 2, 3, 4, 5, 6])


def test_a_missing_byte_is_an_error(tmp_path):
    writer = ShardWriter(tmp_path, PLAN)
    writer.write("a", 0, torch.zeros(4, dtype=torch.uint8))
    with pytest.raises(ValueError, match="not completely written: b"):
        writer.close()


def test_writing_beyond_a_tensor_is_an_error(tmp_path):
    writer = ShardWriter(tmp_path, PLAN)
    with pytest.raises(ValueError, match="do not fit"):
        writer.write("a", 3, torch.zeros(2, dtype=torch.uint8))
    writer.abandon()

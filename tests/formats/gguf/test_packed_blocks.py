"""gpt-oss's MXFP4 blocks in ggml's order: the same values, however they are cut."""

import gguf
import numpy as np
import pytest
import torch

from quantgui.formats.gguf.names import GgufTensor
from quantgui.formats.gguf.packed_blocks import PackedBlocks, holds_blocks
from quantgui.formats.gguf.transform import transformed_rows
from quantgui.types import Checkpoint, ModelConfig, SourceKind, TensorInfo, UserError

CONFIG = ModelConfig("gpt_oss", raw={"model_type": "gpt_oss"}, quantization="mxfp4")
LEVELS = torch.tensor([0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0, -0.0, -0.5, -1.0, -1.5, -2.0, -3.0, -4.0, -6.0])


def packed(experts=3, rows=8, groups=2):
    generator = torch.Generator().manual_seed(0)
    codes = torch.randint(256, (experts, rows, groups, 16), dtype=torch.uint8, generator=generator)
    scales = torch.randint(110, 130, (experts, rows, groups), dtype=torch.uint8, generator=generator)
    return codes, scales


def values(codes, scales):
    """What transformers makes of them: the low half of a byte first."""
    both = torch.stack((LEVELS[(codes & 15).long()], LEVELS[(codes >> 4).long()]), -1).flatten(-2)
    return (both * torch.exp2(scales.float() - 127).unsqueeze(-1)).flatten(-2)


def test_blocks_hold_the_same_values():
    codes, scales = packed()
    blocks = PackedBlocks(codes, scales).repacked()
    found = gguf.quants.dequantize(blocks.numpy(), gguf.GGMLQuantizationType.MXFP4)
    np.testing.assert_array_equal(found, values(codes, scales))


@pytest.mark.parametrize("elements", [1, 100, 10**6])
@pytest.mark.parametrize(
    ("name", "rows"), [("ffn_gate_exps", slice(0, None, 2)), ("ffn_up_exps", slice(1, None, 2)), ("ffn_down_exps", ...)]
)
def test_rows_of_gate_and_up_alternate(elements, name, rows):
    codes, scales = packed()
    expected = values(codes, scales)[:, rows].flatten(0, 1)
    shape = (3, len(expected) // 3, 64)
    made = GgufTensor(f"blk.0.{name}.weight", shape, ("x_blocks", "x_scales"), 0, "MXFP4")
    view = transformed_rows(made, [codes, scales], "gpt-oss", CONFIG)
    parts = list(view.blocks(elements))
    assert torch.equal(torch.cat([view.values(block) for _, block in parts]), expected)
    bytes_read = torch.cat([view.stored(block) for _, block in parts])
    assert bytes_read.shape == (len(expected), 34)
    assert [first for first, _ in parts] == sorted({first for first, _ in parts})
    assert {first for first, _ in parts} >= {0, shape[1], 2 * shape[1]}  # no block holds rows of two experts


def test_blocks_that_do_not_fill_the_tensor_are_refused():
    made = GgufTensor("blk.0.ffn_down_exps.weight", (3, 8, 96), ("x_blocks", "x_scales"), 0, "MXFP4")
    with pytest.raises(UserError, match="unexpected shape"):
        transformed_rows(made, packed(), "gpt-oss", CONFIG)


def test_what_is_packed_so():
    blocks = TensorInfo("model.layers.0.mlp.experts.down_proj_blocks", (1, 1, 1, 16), "U8", 16)
    assert holds_blocks(Checkpoint("", SourceKind.FOLDER, "", (blocks,), CONFIG))
    assert not holds_blocks(Checkpoint("", SourceKind.FOLDER, "", (), CONFIG))
    assert not holds_blocks(Checkpoint("", SourceKind.FOLDER, "", (blocks,), ModelConfig("gpt_oss")))

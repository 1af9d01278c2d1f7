"""The GPTQ format: what transformers (with optimum and gptqmodel) and vLLM load.

Layout as gptqmodel and AutoGPTQ write it, checked by reloading. A weight [outputs O, inputs I] of b bits in groups of
g: `qweight` int32 [I*b/32, O], packed along the inputs; `qzeros` int32 [I/g, O*b/32], packed along the outputs;
`scales` float16 [I/g, O]; `g_idx` int32 [I], the group of each input. Packing is one stream of bits, the least
significant first, at every width: three words hold 32 codes of 3 bits, of which two straddle words.
w = scale * (code - zero), codes and zeros unsigned. Version 1 stores zeros less one, version 2 as they are.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from quantgui import __version__
from quantgui.formats.bit_packing import BLOCK, pack_rows, unpack_rows
from quantgui.formats.format import Format
from quantgui.formats.gptqmodel_library import prepare_library, with_dense_layers
from quantgui.formats.linear_only import group_objection, linear_objection
from quantgui.schemes.assignment import Assignment
from quantgui.schemes.quantized_rows import EncodedPart, QuantizedRows
from quantgui.schemes.scheme import Granularity, Scheme, StoredPart
from quantgui.types import ModelConfig, TensorInfo

if TYPE_CHECKING:
    import torch

EXPERTS = "transformers joins the experts into one 3-D parameter, which GPTQ layers cannot be loaded into"
GROUP_SIZES = (16, 32, 64, 128, 256, 512, 1024)
"""What gptqmodel's kernels take, besides one group per output channel."""
_LAYER = re.compile(r"^(?P<blocks>.+?)\.\d+\.")


@dataclass(frozen=True, slots=True)
class GptqLayout:
    """GPTQ's tensors; `version` 1 is what most programs load, 2 also holds zero-points of 0."""

    version: int = 1
    format: str = "gptq"

    def objection(self, scheme: Scheme, tensor: TensorInfo, config: ModelConfig | None) -> str:
        """Why `tensor` cannot be held, "" where it can."""
        if reason := linear_objection(tensor, config, "gptqmodel", EXPERTS):
            return reason
        if not _LAYER.match(tensor.name):
            return "the format holds the linear layers of numbered blocks only"
        rows, columns = tensor.shape
        if rows % BLOCK or columns % BLOCK:
            return f"its {rows} x {columns} weights are not multiples of {BLOCK} both ways"
        return group_objection(scheme, tensor, "gptqmodel", GROUP_SIZES)

    def parts(self, scheme: Scheme, shape: tuple[int, ...], dtype: str) -> tuple[StoredPart, ...]:
        """Codes, zero-points, scales and the group of each input."""
        rows, columns = shape
        groups = scheme.scale_shape(shape)[1]
        return (
            StoredPart("qweight", "I32", (columns * scheme.bits // 32, rows)),
            StoredPart("qzeros", "I32", (groups, rows * scheme.bits // 32)),
            StoredPart("scales", "F16", (groups, rows)),
            StoredPart("g_idx", "I32", (columns,)),
        )

    def encode(
        self, scheme: Scheme, quantized: QuantizedRows, first_row: int, shape: tuple[int, ...], dtype: str
    ) -> list[EncodedPart]:
        """The whole weight at once: outputs are the innermost dimension. Raises ValueError for a part of it."""
        import torch

        if quantized.codes.shape != shape:
            raise ValueError("GPTQ lays outputs side by side, so a weight is encoded as a whole")
        assert quantized.scale is not None
        middle = 1 << (scheme.bits - 1)
        codes = quantized.codes.to(torch.int16) + middle
        zeros = torch.zeros_like(quantized.scale, dtype=torch.int16)
        if quantized.zero_point is not None:
            zeros = quantized.zero_point.to(torch.int16)
        stored_zeros = (zeros + middle - int(self.version == 1)) & ((1 << scheme.bits) - 1)
        index = quantized.group_index
        if index is None:
            index = consecutive_groups(scheme, shape)
        return [
            EncodedPart("qweight", 0, pack_rows(codes, scheme.bits).T.contiguous()),
            EncodedPart("qzeros", 0, pack_rows(stored_zeros.T.contiguous(), scheme.bits)),
            EncodedPart("scales", 0, quantized.scale.T.contiguous()),
            EncodedPart("g_idx", 0, index),
        ]

    def decode(self, scheme: Scheme, stored: Mapping[str, torch.Tensor], shape: tuple[int, ...]) -> QuantizedRows:
        """Signed codes, scales and zero-points of the whole weight."""
        import torch

        rows, columns = shape
        middle = 1 << (scheme.bits - 1)
        codes = unpack_rows(stored["qweight"].T.contiguous(), scheme.bits, columns).to(torch.int16) - middle
        zeros = unpack_rows(stored["qzeros"], scheme.bits, rows).to(torch.int16) + int(self.version == 1) - middle
        index = stored["g_idx"]
        return QuantizedRows(
            codes.to(torch.int8),
            stored["scales"].T.contiguous(),
            None if scheme.symmetric else zeros.to(torch.int8).T.contiguous(),
            group_index=None if torch.equal(index, consecutive_groups(scheme, shape)) else index,
        )


def consecutive_groups(scheme: Scheme, shape: tuple[int, ...]) -> torch.Tensor:
    """`g_idx` int32 [columns] where groups are consecutive inputs."""
    import torch

    columns = shape[1]
    size = scheme.group_size if scheme.granularity is Granularity.GROUP else columns
    return (torch.arange(columns) // (size or columns)).to(torch.int32)


def quantization_config(assignments: Sequence[Assignment]) -> dict[str, Any]:
    """The `quantization_config` of config.json: one scheme, and the modules that have it where others are kept."""
    packed = [a for a in assignments if is_packed(a)]
    scheme = packed[0].scheme
    assert scheme is not None
    assert isinstance(scheme.storage, GptqLayout)
    name = "gptq" if scheme.storage.version == 1 else "gptq_v2"
    settings = dict(scheme.settings)
    return {
        "quant_method": "gptq",
        "bits": scheme.bits,
        "group_size": scheme.group_size if scheme.granularity is Granularity.GROUP else -1,
        "desc_act": scheme.act_order,
        "sym": scheme.symmetric,
        "lm_head": False,
        "true_sequential": settings.get("true_sequential", True),
        "damp_percent": settings.get("damping", 0.01),
        "pack_dtype": "int32",
        "checkpoint_format": name,
        "format": name,
        "block_name_to_quantize": _blocks(packed[0]),
        "modules_in_block_to_quantize": [sorted(a.tensor.name.removesuffix(".weight") for a in packed)],
        "meta": {"quantizer": [f"quantgui:{__version__}"]},
    }


def is_packed(assignment: Assignment) -> bool:
    """Whether the tensor is written in this format."""
    return assignment.scheme is not None and isinstance(assignment.scheme.storage, GptqLayout)


def _blocks(assignment: Assignment) -> str:
    match = _LAYER.match(assignment.tensor.name)
    assert match is not None
    return match["blocks"]


def mix_objection(assignments: Sequence[Assignment]) -> str:
    """transformers reads one scheme and one stack of blocks from a GPTQ checkpoint."""
    packed = [a for a in assignments if is_packed(a)]
    schemes = {(a.scheme, a.scheme.storage) for a in packed if a.scheme is not None}
    if len(schemes) > 1:
        ids = sorted({scheme.id for scheme, _ in schemes})
        return f"a GPTQ checkpoint holds one scheme with one set of settings, not {' and '.join(ids)} in several"
    stacks = sorted({_blocks(a) for a in packed})
    return f"a GPTQ checkpoint holds one stack of layers, not {' and '.join(stacks)}" if len(stacks) > 1 else ""


def dense_model(load: Callable[..., Any]) -> Any:
    """The model as the library loads it, its layers replaced by dense ones with the weights the library computes."""
    prepare_library()
    return with_dense_layers(load(), lambda module: module.dequantize_weight().T)


def dense_layer(scheme: Scheme, parts: Mapping[str, torch.Tensor]) -> torch.Tensor:
    """One weight as gptqmodel dequantizes it."""
    prepare_library()
    from gptqmodel.nn_modules.qlinear.torch import TorchLinear
    from gptqmodel.utils.model import convert_gptq_v1_to_v2_format_module

    columns, rows = len(parts["g_idx"]), parts["qweight"].shape[1]
    size = scheme.group_size if scheme.granularity is Granularity.GROUP else -1
    layer = TorchLinear(scheme.bits, size or -1, scheme.symmetric, scheme.act_order, columns, rows)
    layer.load_state_dict(dict(parts))
    assert isinstance(scheme.storage, GptqLayout)
    if scheme.storage.version == 1:
        convert_gptq_v1_to_v2_format_module(layer, scheme.bits, layer.pack_dtype)
    return layer.dequantize_weight().T


FORMAT = Format("gptq", "gptqmodel", quantization_config, mix_objection, dense_model, dense_layer, loads_on_meta=False)

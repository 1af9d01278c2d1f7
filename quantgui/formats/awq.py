"""The AWQ format ("gemm"): what transformers (with gptqmodel), vLLM and most servers load.

Layout as AutoAWQ writes it, checked by reloading. A weight [outputs O, inputs I] of 4 bits in groups of g: `qweight`
int32 [I, O/8], eight outputs a word in the order `ORDER`, the first in the lowest bits; `qzeros` int32 [I/g, O/8]
likewise; `scales` float16 [I/g, O]. w = scale * (code - zero), codes and zeros unsigned.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from quantgui.formats.bit_packing import pack_rows, unpack_rows
from quantgui.formats.format import Format
from quantgui.formats.gptqmodel_library import prepare_library, with_dense_layers
from quantgui.formats.linear_only import group_objection, linear_objection
from quantgui.schemes.assignment import Assignment
from quantgui.schemes.quantized_rows import EncodedPart, QuantizedRows
from quantgui.schemes.scheme import Granularity, Scheme, StoredPart
from quantgui.types import ModelConfig, Role, TensorInfo

if TYPE_CHECKING:
    import torch

BITS = 4
MIDDLE = 1 << (BITS - 1)
ORDER = (0, 2, 4, 6, 1, 3, 5, 7)
"""Which of a word's eight outputs each of its nibbles holds: what the first CUDA kernels unpacked fastest."""
OUTPUTS_PER_WORD = len(ORDER)
GROUP_SIZES = (16, 32, 64, 128)
"""What gptqmodel's kernels take, besides one group per output channel."""
EXPERTS = "transformers joins the experts into one 3-D parameter, which AWQ layers cannot be loaded into"


@dataclass(frozen=True, slots=True)
class AwqLayout:
    """AWQ's tensors. Symmetric codes are stored with the zero-point 8."""

    format: str = "awq"

    def objection(self, scheme: Scheme, tensor: TensorInfo, config: ModelConfig | None) -> str:
        """Why `tensor` cannot be held, "" where it can."""
        if reason := linear_objection(tensor, config, "gptqmodel", EXPERTS):
            return reason
        if tensor.role is Role.HEAD:
            return "transformers always loads the output head as it is"
        rows = tensor.shape[0]
        if rows % OUTPUTS_PER_WORD:
            return f"its {rows} outputs are not a multiple of {OUTPUTS_PER_WORD}"
        return group_objection(scheme, tensor, "gptqmodel", GROUP_SIZES)

    def parts(self, scheme: Scheme, shape: tuple[int, ...], dtype: str) -> tuple[StoredPart, ...]:
        """Codes, zero-points and scales."""
        rows, columns = shape
        groups = scheme.scale_shape(shape)[1]
        return (
            StoredPart("qweight", "I32", (columns, rows // OUTPUTS_PER_WORD)),
            StoredPart("qzeros", "I32", (groups, rows // OUTPUTS_PER_WORD)),
            StoredPart("scales", "F16", (groups, rows)),
        )

    def encode(
        self, scheme: Scheme, quantized: QuantizedRows, first_row: int, shape: tuple[int, ...], dtype: str
    ) -> list[EncodedPart]:
        """The whole weight at once: outputs are the innermost dimension. Raises ValueError for a part of it."""
        import torch

        if quantized.codes.shape != shape:
            raise ValueError("AWQ lays outputs side by side, so a weight is encoded as a whole")
        assert quantized.scale is not None
        zeros = quantized.zero_point
        if zeros is None:
            zeros = torch.zeros(quantized.scale.shape, dtype=torch.int8)
        return [
            EncodedPart("qweight", 0, _packed(quantized.codes)),
            EncodedPart("qzeros", 0, _packed(zeros)),
            EncodedPart("scales", 0, quantized.scale.T.contiguous()),
        ]

    def decode(self, scheme: Scheme, stored: Mapping[str, torch.Tensor], shape: tuple[int, ...]) -> QuantizedRows:
        """Signed codes, scales and zero-points of the whole weight."""
        zeros = None if scheme.symmetric else _unpacked(stored["qzeros"])
        return QuantizedRows(_unpacked(stored["qweight"]), stored["scales"].T.contiguous(), zeros)


def _packed(codes: torch.Tensor) -> torch.Tensor:
    """Signed codes [outputs, n] as words [n, outputs / 8]."""
    words = (codes.T + MIDDLE).reshape(-1, OUTPUTS_PER_WORD)[:, list(ORDER)]
    return pack_rows(words.reshape(codes.shape[1], -1), BITS)


def _unpacked(words: torch.Tensor) -> torch.Tensor:
    """The inverse of `_packed`."""
    import torch

    places = [ORDER.index(output) for output in range(OUTPUTS_PER_WORD)]
    codes = unpack_rows(words, BITS, words.shape[1] * OUTPUTS_PER_WORD).view(-1, OUTPUTS_PER_WORD)[:, places]
    return (codes.reshape(len(words), -1).T.to(torch.int8) - MIDDLE).contiguous()


def quantization_config(assignments: Sequence[Assignment]) -> dict[str, Any]:
    """The `quantization_config` of config.json. All quantized layers share one scheme; the others are named."""
    scheme = next(a.scheme for a in assignments if a.scheme is not None and _is_packed(a))
    kept = [
        a.tensor.name.rpartition(".")[0]
        for a in assignments
        if not _is_packed(a) and len(a.tensor.shape) == 2 and a.tensor.role not in (Role.EMBEDDING, Role.HEAD)
    ]
    return {
        "quant_method": "awq",
        "bits": BITS,
        "group_size": scheme.group_size if scheme.granularity is Granularity.GROUP else -1,
        "zero_point": True,
        "version": "gemm",
        "modules_to_not_convert": kept or None,
    }


def _is_packed(assignment: Assignment) -> bool:
    return assignment.scheme is not None and isinstance(assignment.scheme.storage, AwqLayout)


def mix_objection(assignments: Sequence[Assignment]) -> str:
    """AWQ has one group size for a whole checkpoint."""
    sizes = sorted({a.scheme.group_size or 0 for a in assignments if a.scheme is not None and _is_packed(a)})
    return f"an AWQ checkpoint holds one group size, not {' and '.join(map(str, sizes))}" if len(sizes) > 1 else ""


def dense_model(load: Callable[..., Any]) -> Any:
    """The model as the library loads it, its layers replaced by dense ones with the weights the library computes.

    Of its kernels the one in torch is taken: others lay the weights out anew while they load them.
    """
    prepare_library()
    from transformers import AwqConfig
    from transformers.utils.quantization_config import AwqBackend

    model = load(quantization_config=AwqConfig(backend=AwqBackend.TORCH_AWQ))
    return with_dense_layers(model, lambda module: _library_weight(vars(module)["_buffers"], module.group_size))


def dense_layer(scheme: Scheme, parts: Mapping[str, torch.Tensor]) -> torch.Tensor:
    """One weight as gptqmodel dequantizes it."""
    prepare_library()
    return _library_weight(parts, scheme.group_size or -1)


def _library_weight(parts: Mapping[str, torch.Tensor], group_size: int) -> torch.Tensor:
    from gptqmodel.quantization.awq.utils.packing_utils import dequantize_gemm

    size = group_size if group_size > 0 else len(parts["qweight"])
    return dequantize_gemm(parts["qweight"], parts["qzeros"], parts["scales"], BITS, size).T


FORMAT = Format("awq", "gptqmodel", quantization_config, mix_objection, dense_model, dense_layer, loads_on_meta=False)

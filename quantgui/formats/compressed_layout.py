"""What the layouts of compressed-tensors share: which tensors they cannot hold, and how scales lie in the file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from quantgui.formats.linear_only import linear_objection
from quantgui.schemes.quantized_rows import EncodedPart, QuantizedRows
from quantgui.schemes.scheme import Granularity, Scheme, StoredPart
from quantgui.types import ModelConfig, TensorInfo

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, slots=True)
class CompressedLayout:
    """What the layouts share: which tensors they cannot hold, and where scales lie."""

    def objection(self, scheme: Scheme, tensor: TensorInfo, config: ModelConfig | None) -> str:
        """Why `tensor` cannot be held, "" where it can."""
        experts = (
            "" if self.holds_experts(scheme) else "transformers joins experts from symmetric packed codes or FP8 only"
        )
        if reason := linear_objection(tensor, config, "compressed-tensors", experts):
            return reason
        if _has_input_scale(scheme) and tensor.layer is None:
            return "calibration finds scales for the inputs of numbered layers only"
        try:
            scheme.scale_shape(tensor.shape)
        except ValueError as error:
            return str(error)
        return ""

    def holds_experts(self, scheme: Scheme) -> bool:
        """Whether transformers can join the experts of a mixture from this layout."""
        return False

    def scale_parts(self, scheme: Scheme, shape: tuple[int, ...], dtype: str) -> tuple[StoredPart, ...]:
        """The scales of the weight, and that of the inputs where calibration finds one."""
        weight = self.scale_part(scheme, shape, dtype)
        return (weight, StoredPart("input_scale", dtype, (1,))) if _has_input_scale(scheme) else (weight,)

    def scale_part(self, scheme: Scheme, shape: tuple[int, ...], dtype: str) -> StoredPart:
        """The scales of the weight."""
        per_tensor = scheme.granularity is Granularity.TENSOR
        return StoredPart("weight_scale", dtype, (1,) if per_tensor else scheme.scale_shape((shape[0], shape[1])))

    def encode_scale(self, scheme: Scheme, quantized: QuantizedRows, first_row: int) -> list[EncodedPart]:
        """Scales of the rows from `first_row` on, each with its place."""
        assert quantized.scale is not None
        parts = []
        if first_row == 0 and _has_input_scale(scheme):
            assert quantized.input_scale is not None
            parts.append(EncodedPart("input_scale", 0, quantized.input_scale))
        if scheme.granularity is Granularity.TENSOR:
            return [*parts, EncodedPart("weight_scale", 0, quantized.scale)] if first_row == 0 else parts
        bytes_per_row = quantized.scale.shape[1] * quantized.scale.element_size()
        rows_per_scale = scheme.group_size or 1 if scheme.granularity is Granularity.BLOCK else 1
        return [*parts, EncodedPart("weight_scale", first_row // rows_per_scale * bytes_per_row, quantized.scale)]

    def decode_scale(self, scheme: Scheme, stored: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """The scales [rows or 1, groups] of the whole weight."""
        scale = stored["weight_scale"]
        return scale.view(1, 1) if scheme.granularity is Granularity.TENSOR else scale


def _has_input_scale(scheme: Scheme) -> bool:
    return scheme.activations is not None and not scheme.activations.dynamic

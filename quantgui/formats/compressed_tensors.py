"""The compressed-tensors format: what vLLM, llm-compressor and transformers (with the library) load.

Layouts as documented by the library (github.com/vllm-project/compressed-tensors, Apache-2.0), checked by reloading.
A weight is [rows, columns] = [outputs, inputs]; codes are signed and stored with an offset of 2^(bits-1) where packed.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from quantgui.formats.bit_packing import pack_rows, unpack_rows
from quantgui.formats.format import Format
from quantgui.formats.linear_only import ROUTED_EXPERT, linear_objection
from quantgui.schemes.assignment import Assignment
from quantgui.schemes.quantized_rows import EncodedPart, QuantizedRows
from quantgui.schemes.scheme import Granularity, Scheme, StoredPart
from quantgui.types import ModelConfig, Role, TensorInfo

if TYPE_CHECKING:
    import torch

DENSE_INIT_MODEL_TYPES = frozenset(
    {"falcon", "falcon_mamba", "longt5", "mamba", "mamba2", "mt5", "pix2struct", "pop2piano", "recurrent_gemma"}
    | {"switch_transformers", "t5", "udop", "umt5"}
)
"""Architectures whose initialization in transformers reads `weight` of a linear layer, which packed layers lack."""


@dataclass(frozen=True, slots=True)
class _Layout:
    """What the three layouts share: which tensors they cannot hold, and the shape of the scales."""

    def objection(self, scheme: Scheme, tensor: TensorInfo, config: ModelConfig | None) -> str:
        """Why `tensor` cannot be held, "" where it can."""
        experts = (
            "" if self.holds_experts(scheme) else "transformers joins experts from symmetric packed codes or FP8 only"
        )
        if reason := linear_objection(tensor, config, "compressed-tensors", experts):
            return reason
        try:
            scheme.scale_shape(tensor.shape)
        except ValueError as error:
            return str(error)
        return ""

    def holds_experts(self, scheme: Scheme) -> bool:
        """Whether transformers can join the experts of a mixture from this layout."""
        return False

    def _scale(self, scheme: Scheme, shape: tuple[int, ...], dtype: str) -> StoredPart:
        per_tensor = scheme.granularity is Granularity.TENSOR
        return StoredPart("weight_scale", dtype, (1,) if per_tensor else scheme.scale_shape((shape[0], shape[1])))

    def _encode_scale(self, scheme: Scheme, quantized: QuantizedRows, first_row: int) -> list[EncodedPart]:
        assert quantized.scale is not None
        if scheme.granularity is Granularity.TENSOR:
            return [EncodedPart("weight_scale", 0, quantized.scale)] if first_row == 0 else []
        bytes_per_row = quantized.scale.shape[1] * quantized.scale.element_size()
        return [EncodedPart("weight_scale", first_row * bytes_per_row, quantized.scale)]

    def _decode_scale(self, scheme: Scheme, stored: Mapping[str, torch.Tensor]) -> torch.Tensor:
        scale = stored["weight_scale"]
        return scale.view(1, 1) if scheme.granularity is Granularity.TENSOR else scale


@dataclass(frozen=True, slots=True)
class PackQuantized(_Layout):
    """`pack-quantized`: codes of 2 to 8 bits packed densely into int32 along the columns."""

    format: str = "compressed_tensors"
    library_name: str = "pack-quantized"

    def objection(self, scheme: Scheme, tensor: TensorInfo, config: ModelConfig | None) -> str:
        """Besides what no layout holds: families that transformers cannot load packed."""
        if config is not None and config.model_type in DENSE_INIT_MODEL_TYPES:
            return f"transformers cannot load packed weights of {config.model_type}; FP8 and INT8 without groups work"
        return _Layout.objection(self, scheme, tensor, config)

    def holds_experts(self, scheme: Scheme) -> bool:
        """Symmetric codes only: the library's joining knows no zero-points."""
        return scheme.symmetric

    def parts(self, scheme: Scheme, shape: tuple[int, ...], dtype: str) -> tuple[StoredPart, ...]:
        """Packed codes, scales, the true shape, and packed zero-points where asymmetric."""
        rows, columns = shape
        scale = self._scale(scheme, shape, dtype)
        parts = [
            StoredPart("weight_packed", "I32", (rows, math.ceil(columns * scheme.bits / 32))),
            scale,
            StoredPart("weight_shape", "I64", (2,)),
        ]
        if not scheme.symmetric:
            parts.append(self._zero_point(scheme, scale.shape))
        return tuple(parts)

    def encode(
        self, scheme: Scheme, quantized: QuantizedRows, first_row: int, shape: tuple[int, ...], dtype: str
    ) -> list[EncodedPart]:
        """Packed codes and scales of these rows; zero-points are packed along the rows."""
        import torch

        offset = 1 << (scheme.bits - 1)
        packed = pack_rows(quantized.codes.to(torch.int16) + offset, scheme.bits)
        parts = [EncodedPart("weight_packed", first_row * packed.shape[1] * 4, packed)]
        if first_row == 0:
            parts.append(EncodedPart("weight_shape", 0, torch.tensor(shape, dtype=torch.int64)))
        parts += self._encode_scale(scheme, quantized, first_row)
        if quantized.zero_point is not None:
            parts += self._encode_zero_point(scheme, quantized.zero_point, first_row)
        return parts

    def _zero_point(self, scheme: Scheme, scale_shape: tuple[int, ...]) -> StoredPart:
        if scheme.granularity is Granularity.TENSOR:  # the library packs zero-points of channels and groups only
            return StoredPart("weight_zero_point", "I8", (1,))
        return StoredPart("weight_zero_point", "I32", (math.ceil(scale_shape[0] * scheme.bits / 32), scale_shape[1]))

    def _encode_zero_point(self, scheme: Scheme, zero_point: torch.Tensor, first_row: int) -> list[EncodedPart]:
        import torch

        if scheme.granularity is Granularity.TENSOR:
            return [EncodedPart("weight_zero_point", 0, zero_point)] if first_row == 0 else []
        offset = 1 << (scheme.bits - 1)
        words = pack_rows((zero_point.to(torch.int16) + offset).T, scheme.bits).T.contiguous()
        return [EncodedPart("weight_zero_point", first_row * scheme.bits // 32 * words.shape[1] * 4, words)]

    def decode(self, scheme: Scheme, stored: Mapping[str, torch.Tensor], shape: tuple[int, ...]) -> QuantizedRows:
        """Signed codes, scales and zero-points of the whole weight."""
        import torch

        rows, columns = shape
        offset = 1 << (scheme.bits - 1)
        codes = (unpack_rows(stored["weight_packed"], scheme.bits, columns).to(torch.int16) - offset).to(torch.int8)
        zeros = None
        if not scheme.symmetric and scheme.granularity is Granularity.TENSOR:
            zeros = stored["weight_zero_point"].view(1, 1)
        elif not scheme.symmetric:
            unpacked = unpack_rows(stored["weight_zero_point"].T.contiguous(), scheme.bits, rows).T
            zeros = (unpacked.to(torch.int16) - offset).to(torch.int8).contiguous()
        return QuantizedRows(codes, self._decode_scale(scheme, stored), zeros)


@dataclass(frozen=True, slots=True)
class IntQuantized(_Layout):
    """`int-quantized`: one int8 per weight, a scale per tensor or output channel."""

    format: str = "compressed_tensors"
    library_name: str = "int-quantized"

    def parts(self, scheme: Scheme, shape: tuple[int, ...], dtype: str) -> tuple[StoredPart, ...]:
        """Codes, scales, and int8 zero-points where asymmetric."""
        scale = self._scale(scheme, shape, dtype)
        parts = [StoredPart("weight", "I8", shape), scale]
        if not scheme.symmetric:
            parts.append(StoredPart("weight_zero_point", "I8", scale.shape))
        return tuple(parts)

    def encode(
        self, scheme: Scheme, quantized: QuantizedRows, first_row: int, shape: tuple[int, ...], dtype: str
    ) -> list[EncodedPart]:
        """Codes, scales and zero-points of these rows."""
        parts = [EncodedPart("weight", first_row * shape[1], quantized.codes)]
        parts += self._encode_scale(scheme, quantized, first_row)
        if quantized.zero_point is not None and (first_row == 0 or scheme.granularity is not Granularity.TENSOR):
            parts.append(EncodedPart("weight_zero_point", first_row, quantized.zero_point))
        return parts

    def decode(self, scheme: Scheme, stored: Mapping[str, torch.Tensor], shape: tuple[int, ...]) -> QuantizedRows:
        """Codes, scales and zero-points of the whole weight."""
        scale = self._decode_scale(scheme, stored)
        zeros = None if scheme.symmetric else stored["weight_zero_point"].view(scale.shape)
        return QuantizedRows(stored["weight"], scale, zeros)


@dataclass(frozen=True, slots=True)
class FloatQuantized(_Layout):
    """`float-quantized`: FP8 (e4m3) weights with a scale per tensor or output channel."""

    format: str = "compressed_tensors"
    library_name: str = "float-quantized"

    def holds_experts(self, scheme: Scheme) -> bool:
        """Always."""
        return True

    def parts(self, scheme: Scheme, shape: tuple[int, ...], dtype: str) -> tuple[StoredPart, ...]:
        """FP8 weights and scales."""
        return (StoredPart("weight", "F8_E4M3", shape), self._scale(scheme, shape, dtype))

    def encode(
        self, scheme: Scheme, quantized: QuantizedRows, first_row: int, shape: tuple[int, ...], dtype: str
    ) -> list[EncodedPart]:
        """FP8 codes and scales of these rows."""
        codes = EncodedPart("weight", first_row * shape[1], quantized.codes)
        return [codes, *self._encode_scale(scheme, quantized, first_row)]

    def decode(self, scheme: Scheme, stored: Mapping[str, torch.Tensor], shape: tuple[int, ...]) -> QuantizedRows:
        """FP8 codes and scales of the whole weight."""
        return QuantizedRows(stored["weight"], self._decode_scale(scheme, stored))


Layout = PackQuantized | IntQuantized | FloatQuantized


def quantization_config(assignments: Sequence[Assignment]) -> dict[str, Any]:
    """The `quantization_config` of config.json: one config group per distinct scheme, kept linear layers ignored.

    Groups name their modules by exact regular expressions unless a single scheme covers every linear layer.
    """
    by_scheme: dict[Scheme, list[str]] = {}
    ignore = []
    # transformers unpacks experts by the first group that names some: theirs goes before a shared expert's.
    for assignment in sorted(assignments, key=lambda a: not ROUTED_EXPERT.search(a.tensor.name)):
        module = assignment.tensor.name.rpartition(".")[0]
        if is_packed(assignment):
            assert assignment.scheme is not None
            by_scheme.setdefault(assignment.scheme, []).append(module)
        elif len(assignment.tensor.shape) == 2 and assignment.tensor.role is not Role.EMBEDDING:
            ignore.append(module)
    if not any(a.tensor.role is Role.HEAD and is_packed(a) for a in assignments):
        # A tied head is a Linear module without a tensor; GPT-NeoX's `embed_out` is `lm_head` to transformers.
        ignore += [] if "lm_head" in ignore else ["lm_head"]
    groups = {}
    for index, (scheme, modules) in enumerate(by_scheme.items()):
        targets = ["Linear"] if len(by_scheme) == 1 else [_exact_target(module) for module in modules]
        groups[f"group_{index}"] = config_group(scheme, targets)
    formats = {group["format"] for group in groups.values()}
    return {
        "quant_method": "compressed-tensors",
        "format": formats.pop() if len(formats) == 1 else "mixed-precision",
        "quantization_status": "compressed",
        "global_compression_ratio": None,
        "kv_cache_scheme": None,
        "ignore": ignore,
        "config_groups": groups,
    }


def is_packed(assignment: Assignment) -> bool:
    """Whether the tensor is written in one of this format's layouts."""
    return assignment.scheme is not None and isinstance(assignment.scheme.storage, Layout)


def mix_objection(assignments: Sequence[Assignment]) -> str:
    """Why transformers could not join the experts of a mixture that is written like this, "" where it can.

    It unpacks all experts by one scheme; left as they are, they load only beside FP8.
    """
    schemes = {a.scheme if is_packed(a) else None for a in assignments if ROUTED_EXPERT.search(a.tensor.name)}
    packed = [a.scheme.storage for a in assignments if a.scheme is not None and is_packed(a)]
    if not schemes or not packed or (len(schemes) == 1 and None not in schemes):
        return ""
    if schemes == {None} and all(isinstance(storage, FloatQuantized) for storage in packed):
        return ""
    return "transformers joins the experts of a layer while it loads them, and can do so only if all have one scheme"


def _exact_target(module: str) -> str:
    """Matches one module, also where a model without head drops the first part of its name (`bert.`, `model.`)."""
    first, _, rest = module.partition(".")
    return f"re:^({re.escape(first)}\\.)?{re.escape(rest)}$" if rest else f"re:^{re.escape(module)}$"


def config_group(scheme: Scheme, targets: list[str]) -> dict[str, Any]:
    """One config group as the library's `QuantizationScheme` reads it."""
    assert isinstance(scheme.storage, Layout)
    return {
        "targets": targets,
        "format": scheme.storage.library_name,
        "weights": {
            "num_bits": scheme.bits,
            "type": scheme.number,
            "symmetric": scheme.symmetric,
            "strategy": scheme.granularity.value,
            "group_size": scheme.group_size if scheme.granularity is Granularity.GROUP else None,
            "dynamic": False,
            "observer": "minmax",
        },
        "input_activations": None,
        "output_activations": None,
    }


def dense_model(load: Callable[..., Any]) -> Any:
    """The model, dequantized by the library while it loads."""
    from transformers import CompressedTensorsConfig

    return load(quantization_config=CompressedTensorsConfig(dequantize=True))


def dense_layer(scheme: Scheme, parts: Mapping[str, torch.Tensor]) -> torch.Tensor:
    """One weight as the library decompresses it."""
    from compressed_tensors.compressors import BaseCompressor
    from compressed_tensors.quantization import QuantizationScheme

    group = config_group(scheme, ["Linear"])
    compressor = BaseCompressor.get_value_from_registry(group["format"])
    weight = compressor.decompress(dict(parts), QuantizationScheme.model_validate(group))["weight"]
    assert weight is not None
    return weight


FORMAT = Format(
    "compressed_tensors", "compressed-tensors", quantization_config, mix_objection, dense_model, dense_layer
)

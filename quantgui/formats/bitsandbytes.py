"""The bitsandbytes formats: what transformers loads with `load_in_4bit` and `load_in_8bit`.

Layouts as the library writes them (github.com/bitsandbytes-foundation/bitsandbytes, MIT), checked by reloading. A 4-bit
weight is a flat stream of blocks of 64 values over the whole matrix, two codes a byte, the first in the high half.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from quantgui.formats.format import Format
from quantgui.formats.linear_only import linear_objection
from quantgui.schemes.assignment import Assignment
from quantgui.schemes.quantized_rows import EncodedPart, NestedScale, QuantizedRows
from quantgui.schemes.scheme import Scheme, StoredPart
from quantgui.types import ModelConfig, Role, TensorInfo

if TYPE_CHECKING:
    import torch

FUSED = "transformers fuses the experts into one 3-D parameter, which bitsandbytes cannot load"
BLOCK = 64
NESTED_BLOCK = 256
OFFSET_WIDTH = 24
"""Characters kept for the nested offset, padded with spaces, so that a file's size does not depend on its weights."""
OUTLIER_THRESHOLD = 6.0
DTYPE_NAMES = {"F64": "float32", "F32": "float32", "F16": "float16", "BF16": "bfloat16"}

NF4 = (
    *(-1.0, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453, -0.28444138169288635),
    *(-0.18477343022823334, -0.09105003625154495, 0.0, 0.07958029955625534, 0.16093020141124725),
    *(0.24611230194568634, 0.33791524171829224, 0.44070982933044434, 0.5626170039176941, 0.7229568362236023, 1.0),
)
"""Quantiles of a normal distribution (Dettmers et al. 2023, "QLoRA", arXiv:2305.14314, appendix E)."""
_FP4_MAGNITUDES = (0.0, 0.0625, 8.0, 12.0, 4.0, 6.0, 2.0, 3.0)
FP4 = tuple(sign * m / 12.0 + 0.0 for sign in (1.0, -1.0) for m in _FP4_MAGNITUDES)  # + 0.0: there is no minus zero
"""The library's 4-bit float: sign, two exponent bits, one mantissa bit, in the order of its codes."""
CODEBOOKS: Mapping[str, tuple[float, ...]] = {"nf4": NF4, "fp4": FP4}


@dataclass(frozen=True, slots=True)
class FourBit:
    """NF4 or FP4 codes; `double_quant` stores the blocks' scales in 8 bits themselves."""

    quant_type: str  # "nf4" or "fp4"
    double_quant: bool = False
    format: str = "bitsandbytes"

    def objection(self, scheme: Scheme, tensor: TensorInfo, config: ModelConfig | None) -> str:
        """Why `tensor` cannot be held, "" where it can."""
        if reason := linear_objection(tensor, config, "bitsandbytes", FUSED):
            return reason
        return "its number of input columns is odd" if tensor.shape[1] % 2 else ""

    def parts(self, scheme: Scheme, shape: tuple[int, ...], dtype: str) -> tuple[StoredPart, ...]:
        """Codes, scales of the blocks, the codebook, and the state as JSON."""
        elements = math.prod(shape)
        blocks = math.ceil(elements / BLOCK)
        state = len(self._state(shape, dtype, 0.0))
        parts = [
            StoredPart("weight", "U8", (math.ceil(elements / 2), 1)),
            StoredPart("weight.absmax", "U8" if self.double_quant else "F32", (blocks,)),
            StoredPart("weight.quant_map", "F32", (16,)),
            StoredPart(self._state_suffix, "U8", (state,)),
        ]
        if self.double_quant:
            parts.append(StoredPart("weight.nested_absmax", "F32", (math.ceil(blocks / NESTED_BLOCK),)))
            parts.append(StoredPart("weight.nested_quant_map", "F32", (256,)))
        return tuple(parts)

    @property
    def _state_suffix(self) -> str:
        return f"weight.quant_state.bitsandbytes__{self.quant_type}"

    def _state(self, shape: tuple[int, ...], dtype: str, offset: float) -> bytes:
        state: dict[str, Any] = {"quant_type": self.quant_type, "blocksize": BLOCK, "dtype": DTYPE_NAMES[dtype]}
        state["shape"] = list(shape)
        if not self.double_quant:
            return json.dumps(state).encode()
        text = json.dumps(state | {"nested_blocksize": NESTED_BLOCK, "nested_dtype": "float32"})
        return f'{text[:-1]}, "nested_offset": {offset!r:<{OFFSET_WIDTH}}}}'.encode()

    def encode(
        self, scheme: Scheme, quantized: QuantizedRows, first_row: int, shape: tuple[int, ...], dtype: str
    ) -> list[EncodedPart]:
        """Codes and scales of these rows; with the first rows everything that belongs to the whole weight."""
        import torch

        assert quantized.scale is not None
        codes = quantized.codes.reshape(-1).to(torch.uint8)
        start = first_row * shape[1]
        scale_bytes = quantized.scale.element_size()
        parts = [
            EncodedPart("weight", start // 2, (codes[0::2] << 4) | codes[1::2]),
            EncodedPart("weight.absmax", start // BLOCK * scale_bytes, quantized.scale),
        ]
        if first_row:
            return parts
        nested = quantized.nested
        state = self._state(shape, dtype, nested.offset if nested else 0.0)
        parts.append(EncodedPart(self._state_suffix, 0, torch.tensor(list(state), dtype=torch.uint8)))
        parts.append(EncodedPart("weight.quant_map", 0, torch.tensor(CODEBOOKS[self.quant_type])))
        if nested is not None:
            parts.append(EncodedPart("weight.nested_absmax", 0, nested.absmax))
            parts.append(EncodedPart("weight.nested_quant_map", 0, nested.codebook))
        return parts

    def decode(self, scheme: Scheme, stored: Mapping[str, torch.Tensor], shape: tuple[int, ...]) -> QuantizedRows:
        """Codes and scales of the whole weight."""
        import torch

        packed = stored["weight"].reshape(-1)
        codes = torch.stack((packed >> 4, packed & 15), 1).view(shape)
        nested = None
        if self.double_quant:
            state = json.loads(bytes(stored[self._state_suffix].tolist()))
            nested = NestedScale(
                stored["weight.nested_absmax"], stored["weight.nested_quant_map"], state["nested_offset"]
            )
        return QuantizedRows(codes, stored["weight.absmax"], nested=nested)


@dataclass(frozen=True, slots=True)
class EightBit:
    """LLM.int8(): one int8 per weight and the absmax of each output row (`SCB`), w^ = code * SCB / 127."""

    format: str = "bitsandbytes"

    def objection(self, scheme: Scheme, tensor: TensorInfo, config: ModelConfig | None) -> str:
        """Why `tensor` cannot be held, "" where it can."""
        return linear_objection(tensor, config, "bitsandbytes", FUSED)

    def parts(self, scheme: Scheme, shape: tuple[int, ...], dtype: str) -> tuple[StoredPart, ...]:
        """Codes, row scales, and the marker of the row-major layout."""
        return (
            StoredPart("weight", "I8", shape),
            StoredPart("SCB", "F32", (shape[0],)),
            StoredPart("weight_format", "U8", ()),
        )

    def encode(
        self, scheme: Scheme, quantized: QuantizedRows, first_row: int, shape: tuple[int, ...], dtype: str
    ) -> list[EncodedPart]:
        """Codes and scales of these rows."""
        import torch

        assert quantized.scale is not None
        parts = [
            EncodedPart("weight", first_row * shape[1], quantized.codes),
            EncodedPart("SCB", first_row * 4, quantized.scale.view(-1)),
        ]
        if first_row == 0:
            parts.append(EncodedPart("weight_format", 0, torch.zeros(1, dtype=torch.uint8)))
        return parts

    def decode(self, scheme: Scheme, stored: Mapping[str, torch.Tensor], shape: tuple[int, ...]) -> QuantizedRows:
        """Codes and scales of the whole weight."""
        return QuantizedRows(stored["weight"], stored["SCB"].view(-1, 1))


Layout = FourBit | EightBit


def quantization_config(assignments: Sequence[Assignment]) -> dict[str, Any]:
    """The `quantization_config` of config.json. Quantized layers share one layout; the others are skipped by name."""
    layouts = {a.scheme.storage for a in assignments if a.scheme is not None and isinstance(a.scheme.storage, Layout)}
    (layout,) = layouts  # two layouts in one checkpoint were refused before the start
    skipped = [
        a.tensor.name.rpartition(".")[0]
        for a in assignments
        if a.scheme is None and len(a.tensor.shape) == 2 and a.tensor.role is not Role.EMBEDDING
    ]
    if not any(a.tensor.role is Role.HEAD for a in assignments):
        skipped.append("lm_head")
    common = {"quant_method": "bitsandbytes", "llm_int8_skip_modules": skipped}
    if isinstance(layout, EightBit):
        return common | {"load_in_8bit": True, "load_in_4bit": False, "llm_int8_threshold": OUTLIER_THRESHOLD}
    dtype = next(a.tensor.dtype for a in assignments if a.scheme is not None)
    return common | {
        "load_in_8bit": False,
        "load_in_4bit": True,
        "bnb_4bit_quant_type": layout.quant_type,
        "bnb_4bit_use_double_quant": layout.double_quant,
        "bnb_4bit_quant_storage": "uint8",
        "bnb_4bit_compute_dtype": DTYPE_NAMES[dtype],
    }


def mix_objection(assignments: Sequence[Assignment]) -> str:
    """bitsandbytes has one setting for a whole checkpoint."""
    ids = sorted({a.scheme.id for a in assignments if a.scheme is not None and isinstance(a.scheme.storage, Layout)})
    return f"bitsandbytes holds one scheme per checkpoint, not {' and '.join(ids)}" if len(ids) > 1 else ""


def dense_model(load: Callable[..., Any]) -> Any:
    """The model as the library loads it, then dequantized by transformers."""
    return load().dequantize()


def dense_layer(scheme: Scheme, parts: Mapping[str, torch.Tensor]) -> torch.Tensor:
    """One weight as bitsandbytes dequantizes it."""
    import torch
    from bitsandbytes import functional

    if isinstance(scheme.storage, EightBit):
        return parts["weight"].float() * (parts["SCB"].unsqueeze(1) / 127.0)
    state = functional.QuantState.from_dict(
        {suffix.removeprefix("weight."): part for suffix, part in parts.items() if suffix != "weight"},
        device=torch.device("cpu"),
    )
    return functional.dequantize_4bit(parts["weight"], state)


FORMAT = Format(
    "bitsandbytes",
    "bitsandbytes",
    quantization_config,
    mix_objection,
    dense_model,
    dense_layer,
    loads_on_meta=False,
)

"""NF4 and FP4: four-bit codebooks with a scale per block of 64 values, as in QLoRA.

w^ = absmax * codebook[code], code = the codebook's nearest value to w / absmax (Dettmers et al. 2023,
arXiv:2305.14314). Double quantization stores the scales in 8 bits: their mean is subtracted, blocks of 256 scales share
an absmax, and the codes index the dynamic 8-bit data type of Dettmers et al. 2021 (arXiv:2110.02861). Bytes equal the
library's, except that its CPU kernel looks nested codes up in a table and misses the nearest one about once in 1,000.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from quantgui.formats.bitsandbytes import BLOCK, CODEBOOKS, NESTED_BLOCK, FourBit
from quantgui.quant.method import Kind, Method, RowArithmetic, SchemeRow, ValueRange
from quantgui.schemes.quantized_rows import NestedScale, QuantizedRows
from quantgui.schemes.scheme import Granularity, Scheme

if TYPE_CHECKING:
    import torch

RUNTIMES = ("transformers",)
SMALLEST = 1e-38


def dynamic_codebook() -> torch.Tensor:
    """The 256 values of the signed dynamic 8-bit type: seven decades, each split finer than the one below."""
    import torch

    values = [0.0, 1.0]
    for exponent in range(7):
        borders = torch.linspace(0.1, 1, 2**exponent + 1, dtype=torch.float32)
        means = 10.0 ** (exponent - 6) * ((borders[:-1] + borders[1:]) / 2)
        values += means.tolist() + (-means).tolist()
    return torch.tensor(sorted(values), dtype=torch.float32)


def nearest(values: torch.Tensor, sorted_codebook: torch.Tensor) -> torch.Tensor:
    """Index int32 of the nearest entry of an ascending codebook; a value on a border takes the lower entry."""
    import torch

    borders = (sorted_codebook[:-1] + sorted_codebook[1:]) / 2
    return torch.bucketize(values, borders, out_int32=True)


def in_blocks(values: torch.Tensor, size: int) -> torch.Tensor:
    """A flat tensor as [blocks, size], the last block filled up with zeros."""
    import torch

    return torch.nn.functional.pad(values, (0, -values.numel() % size)).view(-1, size)


class FourBitCodebook(RowArithmetic):
    """Codes of a 16-entry codebook; the rows are one flat stream of blocks."""

    def __init__(self, scheme: Scheme) -> None:
        import torch

        assert isinstance(scheme.storage, FourBit)
        self.surveys = scheme.storage.double_quant
        self.codebook = torch.tensor(CODEBOOKS[scheme.storage.quant_type])
        self.sorted, order = self.codebook.sort(stable=True)
        self.order = order.to(torch.uint8)
        self.nested: NestedScale | None = None
        self._nested_codes = torch.empty(0)

    def survey(self, rows: torch.Tensor) -> Any:
        """absmax float32 of each block."""
        return in_blocks(rows.reshape(-1), BLOCK).abs().amax(dim=1)

    def conclude(self, surveys: list[Any]) -> None:
        """Quantizes all scales of the weight to 8 bits."""
        import torch

        absmax = torch.cat(surveys)
        offset = absmax.mean()
        centred = absmax - offset
        blocks = in_blocks(centred, NESTED_BLOCK)
        nested_absmax = blocks.abs().amax(dim=1)
        scaled = (blocks * (1.0 / nested_absmax.clamp(min=SMALLEST)).unsqueeze(1)).clamp_(-1, 1)
        codebook = dynamic_codebook()
        self._nested_codes = nearest(scaled.view(-1)[: len(absmax)], codebook).to(torch.uint8)
        self.nested = NestedScale(nested_absmax, codebook, float(offset))

    def quantize(
        self, rows: torch.Tensor, scale_dtype: torch.dtype, whole: ValueRange | None, first_row: int = 0
    ) -> QuantizedRows:
        """Codes uint8 [rows, columns] in 0..15; scales per block, float32 or the 8-bit codes of them."""
        blocks = in_blocks(rows.reshape(-1), BLOCK)
        absmax = blocks.abs().amax(dim=1)
        scaled = (blocks * (1.0 / absmax.clamp(min=SMALLEST)).unsqueeze(1)).clamp_(-1, 1)
        index = nearest(scaled.view(-1)[: rows.numel()], self.sorted.to(rows.device))
        codes = self.order.to(rows.device)[index.long()].view(rows.shape)
        if self.nested is None:
            return QuantizedRows(codes, absmax)
        first = first_row * rows.shape[1] // BLOCK
        return QuantizedRows(
            codes, self._nested_codes[first : first + len(absmax)], nested=self.nested.starting_at(first)
        )

    def dequantize(self, quantized: QuantizedRows) -> torch.Tensor:
        """absmax * codebook[code], in float32."""
        assert quantized.scale is not None
        scale = quantized.scale if quantized.nested is None else quantized.nested.values(quantized.scale, NESTED_BLOCK)
        values = self.codebook.to(quantized.codes.device)[quantized.codes.reshape(-1).long()]
        scaled = in_blocks(values, BLOCK) * scale.to(values.device).unsqueeze(1)
        return scaled.view(-1)[: values.numel()].view(quantized.codes.shape)

    def levels(self, quantized: QuantizedRows) -> tuple[float, ...]:
        """The codebook times the median scale."""
        assert quantized.scale is not None
        scale = quantized.scale if quantized.nested is None else quantized.nested.values(quantized.scale, NESTED_BLOCK)
        return tuple((self.sorted * float(scale.median())).tolist())


def make(scheme_id: str, quant_type: str, double_quant: bool) -> Scheme:
    """The NF4 or FP4 scheme."""
    storage = FourBit(quant_type, double_quant)
    return Scheme(scheme_id, "four_bit", "codebook", 4, storage, Granularity.GROUP, BLOCK)


def _row(scheme_id: str, title: str, summary: str) -> SchemeRow:
    quant_type, double = scheme_id.split("-")[0].lower(), scheme_id.endswith("-DQ")
    maker = partial(make, scheme_id, quant_type, double)
    return SchemeRow(scheme_id, title, summary, 4, "bitsandbytes", RUNTIMES, maker)


METHOD = Method(
    id="four_bit",
    title="NF4 and FP4",
    rows=(
        _row("NF4", "4-bit normal float", "4-bit levels where weights really lie; what QLoRA fine-tunes on."),
        _row("NF4-DQ", "4-bit normal float, 8-bit scales", "NF4, double quantization: 8-bit scales save 0.37 bits."),
        _row("FP4", "4-bit float", "A 4-bit float with a scale per 64 weights; NF4 is usually closer."),
        _row("FP4-DQ", "4-bit float, 8-bit scales", "FP4, double quantization: 8-bit scales save 0.37 bits."),
    ),
    arithmetic=FourBitCodebook,
    kind=Kind.FLOAT,
)

"""Closed forms of published formats against what QuantGUI's own writers store, and against published files."""

from __future__ import annotations

from typing import Any

import pytest

from quantgui.fit import packed_sizes
from quantgui.fit.packed_sizes import Packing
from quantgui.quant.registry import build
from quantgui.schemes.recipe import SchemeSpec

SHAPES = [(256, 512), (1024, 256), (384, 128)]
SAME: list[tuple[Packing, str, dict[str, Any]]] = [
    (packed_sizes.gptq(4, 128), "GPTQ-4", {"group_size": 128}),
    (packed_sizes.gptq(8, 128), "GPTQ-8", {"group_size": 128}),
    (packed_sizes.gptq(3, 128), "GPTQ-3", {"group_size": 128}),
    (packed_sizes.int8_rows(), "LLM.int8", {}),
    (packed_sizes.integer_groups(4, 128), "INT4", {"group_size": 128}),
]


@pytest.mark.parametrize(("packing", "scheme_id", "parameters"), SAME)
@pytest.mark.parametrize("shape", SHAPES)
def test_what_is_written_here_too_has_the_same_size(
    packing: Packing, scheme_id: str, parameters: dict[str, Any], shape: tuple[int, int]
) -> None:
    written = build(SchemeSpec(scheme_id, parameters)).nbytes(shape)
    assert packing.nbytes(shape) == pytest.approx(written, abs=64), "a shape or a format word at most"


@pytest.mark.parametrize("double", [False, True])
def test_bitsandbytes_adds_its_table_of_values_and_a_description(double: bool) -> None:
    written = build(SchemeSpec("NF4-DQ" if double else "NF4")).nbytes((1024, 1024))
    assert 0 < written - packed_sizes.four_bit(double).nbytes((1024, 1024)) < 2048


@pytest.mark.parametrize(
    ("packing", "bits"),
    [
        (packed_sizes.MXFP4, 4.25),
        (packed_sizes.NVFP4, 4.5),
        (packed_sizes.mlx(4), 4.5),
        (packed_sizes.mlx(2), 2.5),
        (packed_sizes.awq(4, 128), 4.15625),
        (packed_sizes.four_bit(False), 4.5),
        (packed_sizes.four_bit(True), 4.127),
        (packed_sizes.float8(block=(128, 128)), 8.002),
        (packed_sizes.gptq(8, 128), 8.1875),
    ],
)
def test_bits_per_weight(packing: Packing, bits: float) -> None:
    assert 8 * packing.nbytes((8192, 8192)) / 8192**2 == pytest.approx(bits, rel=0.001)


@pytest.mark.parametrize(
    "packing", [packed_sizes.MXFP4, packed_sizes.NVFP4, packed_sizes.mlx(4), packed_sizes.awq(4, 64)]
)
def test_experts_are_packed_one_by_one(packing: Packing) -> None:
    assert packing.nbytes((7, 256, 512)) == 7 * packing.nbytes((256, 512))

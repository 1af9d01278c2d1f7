from __future__ import annotations

import pytest
from gguf.constants import GGML_QUANT_SIZES, GGMLQuantizationType

from quantgui.schemes.ggml_types import BY_ID, BY_NAME, GGML_TYPES


def test_every_id_name_and_size_is_ggmls_own() -> None:
    ours = {t.name: (t.id, t.block_elements, t.block_bytes) for t in GGML_TYPES}
    theirs = {t.name: (t.value, *GGML_QUANT_SIZES[t]) for t in GGMLQuantizationType}
    assert ours == theirs


def test_ids_and_names_are_unique() -> None:
    assert len(BY_ID) == len(BY_NAME) == len(GGML_TYPES)


@pytest.mark.parametrize(
    ("name", "bits"),
    [("Q8_0", 8.5), ("Q4_0", 4.5), ("Q2_K", 2.625), ("Q6_K", 6.5625), ("IQ4_XS", 4.25), ("MXFP4", 4.25)],
)
def test_bits_per_weight_counts_the_scales(name: str, bits: float) -> None:
    assert BY_NAME[name].bits_per_weight == bits


def test_a_partial_block_has_no_size() -> None:
    assert BY_NAME["Q4_K"].nbytes(512) == 288
    with pytest.raises(ValueError, match="whole blocks"):
        BY_NAME["Q4_K"].nbytes(300)

"""Packing is the inverse of unpacking, and equals the library's."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from quantgui.formats.bit_packing import pack_rows, unpack_rows


@settings(deadline=None, max_examples=60)
@given(bits=st.integers(1, 8), rows=st.integers(1, 5), columns=st.integers(1, 130), seed=st.integers(0, 2**31))
def test_round_trip_at_any_width(bits, rows, columns, seed):
    codes = torch.randint(0, 1 << bits, (rows, columns), generator=torch.Generator().manual_seed(seed))
    assert torch.equal(unpack_rows(pack_rows(codes, bits), bits, columns).long(), codes)


@pytest.mark.slow
@pytest.mark.parametrize("bits", [2, 3, 4, 5, 6, 7, 8])
@pytest.mark.parametrize("columns", [32, 7, 100, 256])
def test_equals_compressed_tensors(bits, columns):
    from compressed_tensors.compressors.pack_quantized.helpers import pack_to_int32

    codes = torch.randint(0, 1 << bits, (9, columns), generator=torch.Generator().manual_seed(bits))
    theirs = pack_to_int32((codes - (1 << (bits - 1))).to(torch.int8), bits)
    assert torch.equal(pack_rows(codes, bits), theirs)

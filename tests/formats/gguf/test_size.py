"""Sizes against llama-quantize (tensor data of Llama 3.1 8B, exact) and against files that the gguf library writes."""

import gguf
import numpy as np
import pytest

from quantgui.checkpoint.catalogue import find_entry
from quantgui.formats.gguf.header_size import FIXED_BYTES, tensor_infos_nbytes
from quantgui.formats.gguf.names import GgufTensor
from quantgui.formats.gguf.size import gguf_rows
from quantgui.formats.gguf.tensor_size import padded, tensor_nbytes

LLAMA_31_8B = {
    "F32": 32121045248,
    "F16": 16061055232,
    "BF16": 16061055232,
    "Q8_0": 8532934912,
    "Q6_K": 6588170496,
    "Q5_K_M": 5725151488,
    "Q5_K_S": 5591458048,
    "Q5_1": 6060499200,
    "Q5_0": 5591458048,
    "Q4_K_M": 4912898304,
    "Q4_K_S": 4684833024,
    "Q4_1": 5122416896,
    "Q4_0": 4653375744,
    "IQ4_NL": 4699513088,
    "IQ4_XS": 4476526848,
    "Q3_K_L": 4314120448,
    "Q3_K_M": 4011081984,
    "Q3_K_S": 3656663296,
    "IQ3_M": 3776987392,
    "IQ3_S": 3674489088,
    "IQ3_XS": 3510911232,
    "IQ3_XXS": 3386351872,
    "Q2_K": 3171295488,
    "Q2_K_S": 2980978944,
    "IQ2_M": 2940444928,
    "IQ2_S": 2750652672,
    "IQ2_XS": 2597945600,
    "IQ2_XXS": 2391376128,
    "IQ1_M": 2154135808,
    "IQ1_S": 2011791616,
    "TQ2_0": 2526863616,
    "TQ1_0": 2199707904,
}
WITH_IMATRIX = {
    "Q5_0": 5606138112,
    "Q4_0": 4668055808,
    "IQ4_NL": 4670152960,
    "IQ4_XS": 4439826688,
    "IQ3_XXS": 3267076352,
}
"""Bytes of tensor data that llama-quantize writes."""

LARGER_FIRST = (
    ["F32", "F16", "Q8_0", "Q6_K", "Q5_K_S", "Q4_K_S", "Q3_K_S", "Q2_K_S", "IQ1_S"],
    ["Q5_1", "Q5_0", "Q4_1", "Q4_0"],
    ["Q5_K_M", "Q5_K_S"],
    ["Q4_K_M", "Q4_K_S"],
    ["Q3_K_L", "Q3_K_M", "Q3_K_S"],  # a large 3-bit mixture may exceed a small 4-bit one
    ["IQ3_M", "IQ3_S", "IQ3_XS", "IQ3_XXS"],
    ["IQ2_M", "IQ2_S", "IQ2_XS", "IQ2_XXS"],
)


@pytest.mark.parametrize("imatrix", [False, True])
def test_tensor_data_of_llama_31_8b_is_exact_for_every_type(imatrix):
    rows = gguf_rows(find_entry("meta-llama/Llama-3.1-8B-Instruct").checkpoint(), imatrix)
    expected = LLAMA_31_8B | (WITH_IMATRIX if imatrix else {})
    assert {name: weights for name, weights, _ in rows if name in expected} == expected


@pytest.mark.parametrize("model", ["google/gemma-2-2b-it", "Qwen/Qwen3-30B-A3B", "EleutherAI/pythia-2.8b"])
def test_larger_types_make_larger_files(model):
    rows = gguf_rows(find_entry(model).checkpoint())
    weights = {name: nbytes for name, nbytes, _ in rows}
    for order in LARGER_FIRST:
        sizes = [weights[name] for name in order]
        assert sizes == sorted(sizes, reverse=True)
    assert weights["F16"] == weights["BF16"]
    headers = {file_bytes - nbytes for _, nbytes, file_bytes in rows}
    assert len(headers) == 1  # the header does not depend on the types
    assert headers.pop() % 32 == 0


def test_a_scalar_takes_one_padded_element():
    assert padded(tensor_nbytes((), "F32")) == 32
    with pytest.raises(ValueError, match="whole blocks"):
        tensor_nbytes((2, 100), "Q4_K")


def test_the_header_is_what_the_library_writes(tmp_path):
    tensors = [GgufTensor("token_embd.weight", (40, 32)), GgufTensor("blk.0.attn_norm.weight", (33,), layer=0)]
    path = tmp_path / "small.gguf"
    writer = gguf.GGUFWriter(path, "llama")
    for tensor in tensors:
        writer.add_tensor(tensor.name, np.zeros(tensor.shape, np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    keys = path.stat().st_size - FIXED_BYTES
    writer.write_tensors_to_file()
    writer.close()
    data = sum(padded(tensor_nbytes(tensor.shape, "F32")) for tensor in tensors)
    assert path.stat().st_size == padded(FIXED_BYTES + keys + tensor_infos_nbytes(tensors)) + data

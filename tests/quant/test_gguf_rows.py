"""GGUF's file types as rows: found by name, apart from the schemes of tensors, with settings that reach the plan."""

import pytest

from quantgui.checkpoint import open_checkpoint
from quantgui.fit.gguf_weights import gguf_weights
from quantgui.formats.gguf.file_types import FILE_TYPES
from quantgui.quant.assignment import assign, is_gguf
from quantgui.quant.gguf_assignment import tensor_type
from quantgui.quant.method import Kind
from quantgui.quant.registry import arithmetic, build, file_rows, row, row_method, rows, rows_by_kind
from quantgui.schemes.recipe import Recipe, Rule, SchemeSpec
from quantgui.types import UserError


def test_ids_are_those_of_the_fit_table_and_collide_with_no_scheme(tiny_llama_bf16):
    ids = {row.id for row in file_rows()}
    assert len(ids) == len(FILE_TYPES)
    assert ids == {weights.scheme_id for weights in gguf_weights(open_checkpoint(tiny_llama_bf16))}
    assert not ids & {row.id for row in rows()}
    assert rows_by_kind()[Kind.GGUF] == file_rows()


def test_a_name_is_found_in_any_case_with_its_settings():
    assert row("q4_k_m").id == "Q4_K_M"
    assert row_method("Q4_K_M").kind is Kind.GGUF
    assert is_gguf(Recipe(SchemeSpec("gguf-f16")))
    assert not is_gguf(Recipe(SchemeSpec("FP16")))
    with pytest.raises(UserError, match="no setting"):
        build(SchemeSpec("GGUF-F16", {"pure": True}))
    with pytest.raises(UserError, match="Output head"):
        build(SchemeSpec("Q4_0", {"output_type": "INT4"}))


def test_rules_name_types_of_tensors():
    assert tensor_type("q6_k") == "Q6_K"
    assert tensor_type("Q4_K_M") == "Q4_K"
    assert tensor_type("GGUF-BF16") == "BF16"
    with pytest.raises(UserError, match="not a type"):
        tensor_type("INT4")


def test_assignments_account_for_every_byte_of_the_source(tiny_llama_bf16):
    checkpoint = open_checkpoint(tiny_llama_bf16)
    assigned = assign(checkpoint, Recipe(SchemeSpec("Q8_0"), (Rule("*attn_v*"),)))
    assert sum(a.tensor.nbytes for a in assigned) == checkpoint.nbytes
    schemes = {a.tensor.name: a.scheme.id for a in assigned if a.scheme}
    assert schemes["blk.0.attn_v.weight"] == "BF16"
    assert schemes["blk.0.attn_norm.weight"] == "F32"
    assert next(a for a in assigned if a.tensor.name == "blk.0.attn_norm.weight").why


def test_the_arithmetic_gives_back_what_llama_cpp_computes_with():
    import torch

    scheme = build(SchemeSpec("Q8_0"))
    weights = torch.randn(3, 64, generator=torch.Generator().manual_seed(0))
    quantized = arithmetic(scheme).quantize(weights, torch.float32, None)
    assert quantized.codes.shape == (3, 68)
    assert (arithmetic(scheme).dequantize(quantized) - weights).abs().max() < weights.abs().max() / 127
    stored = {"": quantized.codes.reshape(-1)}
    assert torch.equal(scheme.storage.decode(scheme, stored, (3, 64)).codes, quantized.codes)

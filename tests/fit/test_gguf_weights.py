"""GGUF rows of `fit`: llama.cpp's own figures, names that do not collide, nothing where nothing is known."""

from dataclasses import replace

from quantgui.checkpoint.catalogue import find_entry
from quantgui.fit.estimate import estimate_all, estimate_gguf
from quantgui.fit.gguf_weights import gguf_weights
from quantgui.hardware.catalogue import target
from quantgui.types import Checkpoint, MemoryKind, SourceKind

LLAMA_8B = find_entry("meta-llama/Llama-3.1-8B-Instruct").checkpoint()


def test_the_tensor_bytes_are_those_of_llama_quantize():
    rows = {row.scheme_id: row for row in gguf_weights(LLAMA_8B)}
    assert rows["Q4_K_M"].nbytes == 4_912_898_304
    assert rows["GGUF-F16"].nbytes == 16_061_055_232
    with_matrix = {row.scheme_id: row for row in gguf_weights(LLAMA_8B, imatrix=True)}
    assert with_matrix["IQ4_XS"].nbytes == 4_439_826_688
    assert all((row.file_bytes or 0) > row.nbytes for row in rows.values())


def test_ids_do_not_collide_with_the_other_rows():
    hardware = target("RTX 3060")
    ids = [e.scheme_id for e in (*estimate_all(LLAMA_8B, hardware), *estimate_gguf(LLAMA_8B, hardware))]
    assert len(ids) == len(set(ids))
    assert {"Q2_K", "Q8_0", "GGUF-F32", "GGUF-BF16"} <= set(ids)


def test_estimates_carry_the_cache_and_a_verdict():
    rows = {e.scheme_id: e for e in estimate_gguf(LLAMA_8B, target("RTX 3060"))}
    assert rows["Q4_K_M"].part(MemoryKind.KV_CACHE) == 8192 * 131_072
    assert rows["Q4_K_M"].verdict == "fits"
    assert rows["GGUF-F32"].verdict == "offload"


def test_experts_that_a_config_says_are_packed_are_counted_packed():
    """As OpenAI publishes them: every mixture copies them, so none is much smaller than the others."""
    published = find_entry("openai/gpt-oss-20b").checkpoint()
    assert published.config is not None
    raw = {key: value for key, value in published.config.raw.items() if key != "quantization_config"}
    dense = replace(published, config=replace(published.config, raw=raw))
    packed = {row.scheme_id: row for row in gguf_weights(published)}
    plain = {row.scheme_id: row for row in gguf_weights(dense)}
    assert packed["GGUF-F16"].nbytes == plain["GGUF-F16"].nbytes  # dequantized
    assert packed["MXFP4_MOE"].nbytes == plain["MXFP4_MOE"].nbytes
    assert 11e9 < packed["Q2_K"].nbytes <= packed["Q8_0"].nbytes < 13e9 < plain["Q8_0"].nbytes
    assert packed["Q8_0"].parameters == plain["Q8_0"].parameters


def test_an_unknown_architecture_has_no_rows():
    assert gguf_weights(Checkpoint("bare", SourceKind.SAFETENSORS, "", ())) == ()

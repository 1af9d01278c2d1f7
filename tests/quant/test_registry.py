"""One test walks every row: what the table, the form, the command line and the writers all rely on."""

import pytest
import torch

from quantgui.quant.method import SchemeRow, ValueRange
from quantgui.quant.registry import all_methods, arithmetic, build, row, rows
from quantgui.schemes.recipe import SchemeSpec
from quantgui.schemes.scheme import Granularity
from quantgui.types import ModelConfig, Role, TensorInfo, UserError

SHAPE = (160, 256)
CONFIG = ModelConfig("llama")


def variants(entry: SchemeRow) -> list[SchemeSpec]:
    """The defaults, and every single choice of every parameter."""
    specs = [SchemeSpec(entry.id)]
    for parameter in entry.parameters:
        choices = (True, False) if isinstance(parameter.default, bool) else parameter.choices
        specs += [SchemeSpec(entry.id, {parameter.name: choice}) for choice in choices]
    return specs


ALL = [spec for entry in rows() for spec in variants(entry)]


@pytest.mark.parametrize("spec", ALL, ids=lambda s: f"{s.id}-{'-'.join(map(str, s.parameters.values()))}")
def test_estimated_bytes_are_the_encoded_bytes_and_decoding_gives_the_same_weights(spec):
    scheme = build(spec)
    tensor = TensorInfo(
        "model.layers.0.mlp.up_proj.weight", SHAPE, "BF16", 2 * SHAPE[0] * SHAPE[1], role=Role.MLP, layer=0
    )
    assert scheme.storage.objection(scheme, tensor, CONFIG) == ""
    weight = torch.randn(SHAPE, generator=torch.Generator().manual_seed(5))
    method = arithmetic(scheme)
    whole = ValueRange(float(weight.min()), float(weight.max()))
    parts = {p.suffix: bytearray(p.nbytes) for p in scheme.parts(SHAPE, "BF16")}
    written = dict.fromkeys(parts, 0)
    expected = []
    if method.surveys:
        method.conclude([method.survey(weight[first : first + 64]) for first in range(0, SHAPE[0], 64)])
    step = max(64, method.row_multiple)
    for first in range(0, SHAPE[0], step):  # in blocks, as the pipeline does; the last one is shorter
        quantized = method.quantize(weight[first : first + step], torch.bfloat16, whole, first)
        expected.append(method.dequantize(quantized))
        for part in scheme.storage.encode(scheme, quantized, first, SHAPE, "BF16"):
            raw = part.data.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()
            parts[part.suffix][part.offset : part.offset + len(raw)] = raw
            written[part.suffix] += len(raw)
    assert sum(written.values()) == scheme.nbytes(SHAPE, "BF16")
    dtypes = {"I32": torch.int32, "I64": torch.int64, "I8": torch.int8, "BF16": torch.bfloat16, "F32": torch.float32}
    dtypes |= {"U8": torch.uint8, "F16": torch.float16, "F8_E4M3": torch.float8_e4m3fn}
    stored = {
        p.suffix: torch.frombuffer(parts[p.suffix], dtype=torch.uint8).view(dtypes[p.dtype]).view(p.shape)
        for p in scheme.parts(SHAPE, "BF16")
    }
    decoded = method.dequantize(scheme.storage.decode(scheme, stored, SHAPE))
    assert torch.equal(decoded, torch.cat(expected))


def test_rows_say_what_the_form_and_the_table_need():
    ids = [entry.id for entry in rows()]
    assert len(ids) == len(set(ids))
    for entry in rows():
        assert entry.title
        assert entry.summary.endswith(".")
        assert entry.runtimes
        assert build(SchemeSpec(entry.id)).id == entry.id
        assert build(SchemeSpec(entry.id)).method in all_methods()
        assert entry.bits <= 8 * build(SchemeSpec(entry.id)).nbytes((1024, 1024)) / 1024**2 < entry.bits + 0.51


def test_the_ids_of_the_first_release_are_there():
    assert {"FP32", "FP16", "BF16", "FP8", "INT8", "INT4", "INT3", "INT2"} <= {entry.id for entry in rows()}


def test_case_does_not_matter_and_unknown_ids_suggest_near_ones():
    assert row("int4").id == "INT4"
    with pytest.raises(UserError, match="INT44") as caught:
        row("INT44")
    assert "INT4" in caught.value.hint


@pytest.mark.parametrize(
    "parameters", [{"group_size": 0}, {"group_size": "many"}, {"granularity": "layer"}, {"symmetric": 1}, {"colour": 3}]
)
def test_bad_settings_are_refused_in_words(parameters):
    with pytest.raises(UserError):
        build(SchemeSpec("INT4", parameters))


def test_more_groups_more_bytes():
    sizes = [build(SchemeSpec("INT4", {"group_size": g})).nbytes((512, 1024)) for g in (256, 128, 64, 32)]
    assert sizes == sorted(sizes)
    assert build(SchemeSpec("INT4", {"granularity": "channel"})).granularity is Granularity.CHANNEL

"""GGUF files written in one pass: their size to the byte, their tensors, what is refused, and what is left behind."""

import hashlib
import json
import platform
from pathlib import Path

import gguf
import numpy as np
import pytest

from quantgui.checkpoint import open_checkpoint
from quantgui.formats.gguf.file_types import FILE_TYPES
from quantgui.formats.gguf.kernels import dequantize_rows, quantize_rows
from quantgui.formats.gguf.size import gguf_rows
from quantgui.formats.gguf.source import tensors_of
from quantgui.jobs.child import ChildProcess
from quantgui.jobs.events import (
    Cancelled,
    Event,
    Finished,
    Progress,
    QuantizeResult,
    Started,
    TensorDone,
    Verification,
    VerificationStatus,
)
from quantgui.jobs.job import QuantizeJob, VerifyJob
from quantgui.jobs.run_library import delete_run, finished_runs
from quantgui.jobs.run_record import read_run, record_folder
from quantgui.pipeline import run
from quantgui.pipeline.gguf_preflight import check_early
from quantgui.quant.assignment import assign
from quantgui.quant.gguf_rows import row_id
from quantgui.quant.registry import file_rows
from quantgui.schemes.recipe import Recipe, Rule, SchemeSpec
from quantgui.types import ErrorStats, UserError
from tests.pipeline.gguf_models import write_byte_tokenizer, write_importance, write_wide_llama


@pytest.fixture(scope="module")
def wide(tmp_path_factory) -> Path:
    return write_wide_llama(tmp_path_factory.mktemp("models") / "wide")


@pytest.fixture(scope="module")
def importance(wide) -> Path:
    return write_importance(wide.parent / "importance.gguf", tensors_of(open_checkpoint(wide)))


def recipe(scheme_id: str, *rules: Rule, **settings) -> Recipe:
    return Recipe(SchemeSpec(scheme_id, settings), rules)


def convert(source: Path, output: Path, what: Recipe, **options) -> list[Event]:
    events: list[Event] = []
    run(QuantizeJob(str(source), str(output), what, **{"verify": False, **options}), events.append)
    return events


def result_of(events: list[Event]) -> QuantizeResult:
    assert isinstance(events[-1], Finished)
    assert events[-1].quantized is not None
    return events[-1].quantized


def arrays(path: Path) -> dict[str, tuple[str, np.ndarray]]:
    """Type and bytes of every tensor, as the gguf library reads them."""
    return {t.name: (t.tensor_type.name, np.array(t.data)) for t in gguf.GGUFReader(path).tensors}


@pytest.mark.parametrize("scheme_id", [row.id for row in file_rows()])
def test_the_predicted_size_is_the_written_one_for_every_type(scheme_id, wide, importance, tmp_path):
    path = tmp_path / "x.gguf"
    what = recipe(scheme_id, **({} if scheme_id.startswith("GGUF-") else {"imatrix": str(importance)}))
    result = result_of(convert(wide, path, what))
    assert result.file_bytes == path.stat().st_size
    written = open_checkpoint(path)
    assert written.nbytes == result.bytes_after == sum(a.nbytes for a in assign(open_checkpoint(wide), what))
    assert gguf.GGUFReader(path).fields["general.file_type"].contents() == next(
        kind.id for kind in FILE_TYPES.values() if row_id(kind) == scheme_id
    )


def test_without_a_matrix_the_size_is_what_fit_shows(wide, tmp_path):
    shown = {name: nbytes for name, _, nbytes in gguf_rows(open_checkpoint(wide))}
    for name in ("Q8_0", "Q4_K_M"):
        path = tmp_path / f"{name}.gguf"
        convert(wide, path, recipe(name))
        assert path.stat().st_size == shown[name]


DATA_SHA256 = {
    "Q8_0": "1872b4b35373b29e73bfb2e460defb85fc8ca010dec4ed582701e04961b4e345",
    "Q4_0": "1301e9a9a6cec396812c41656675f3beceaff83e1f1dd37403bc144b5449e244",
    "Q4_K_M": "454bf980daae0aa8e1d155efbb2ec8d1b7a25ddcd004479518c76e04bb0511cc",
    "Q6_K": "d0fbb8d6e9b81c447deee27141ad06bc1b388e0ca86637fdd80508173ebb15bd",
    "Q2_K": "3eb2d5161ba427b95dcb0993b632adaf6cbdf27bc56f16382a4710afa9527ef7",
    "IQ4_XS": "bad0fe8dc261404e1a35e883e6816c294acd2c9561f589d9ee7267ba4e0575aa",
}
"""Of the tensor data that ggml's scalar kernels write for the wide Llama, in llama-quantize's order."""


@pytest.mark.skipif(platform.machine() != "x86_64", reason="other processors fuse multiplications and additions")
@pytest.mark.parametrize("name", DATA_SHA256)
def test_the_tensor_data_is_the_reference_s(name, wide, tmp_path):
    path = tmp_path / "x.gguf"
    convert(wide, path, recipe(name))
    start = min(tensor.offset for tensor in open_checkpoint(path).tensors)
    assert hashlib.sha256(path.read_bytes()[start:]).hexdigest() == DATA_SHA256[name]


def test_another_file_s_alignment_numbers_and_earlier_matrix(importance, tmp_path):
    writer = gguf.GGUFWriter(tmp_path / "odd.gguf", "llama")
    writer.add_custom_alignment(128)
    writer.add_string("quantize.imatrix.file", "an earlier one")
    writer.add_tokenizer_model("none")
    writer.add_block_count(1)
    places = np.arange(12, dtype=np.int32).reshape(3, 4)
    wide_rows = np.random.default_rng(0).normal(size=(5, 256)).astype(np.float32)
    writer.add_tensor("blk.0.ffn_gate_tid2eid.weight", places)
    writer.add_tensor("token_embd.weight", wide_rows)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    convert(tmp_path / "odd.gguf", tmp_path / "x.gguf", recipe("Q8_0", imatrix=str(importance)))
    found = gguf.GGUFReader(tmp_path / "x.gguf")
    assert "general.alignment" not in found.fields
    assert found.fields["quantize.imatrix.file"].contents() == importance.name
    by_name = {tensor.name: tensor.data for tensor in found.tensors}
    np.testing.assert_array_equal(by_name["blk.0.ffn_gate_tid2eid.weight"], places)
    np.testing.assert_array_equal(by_name["token_embd.weight"], quantize_rows("Q8_0", wide_rows))


def test_rows_that_do_not_fill_blocks_are_announced(tiny_llama_bf16, tmp_path):
    write_byte_tokenizer(tiny_llama_bf16, 90)
    events = convert(tiny_llama_bf16, tmp_path / "x.gguf", recipe("Q4_K_M"))
    (started,) = [event for event in events if isinstance(event, Started)]
    assert any("stored as Q5_0 instead of Q4_K" in warning for warning in started.warnings)
    assert arrays(tmp_path / "x.gguf")["blk.0.attn_q.weight"][0] == "Q5_0"


def test_events_reports_and_record_agree(wide, tmp_path):
    path = tmp_path / "x.gguf"
    events = convert(wide, path, recipe("Q4_K_S"))
    (started,) = [event for event in events if isinstance(event, Started)]
    reports = [event.report for event in events if isinstance(event, TensorDone)]
    assert [event.done_bytes for event in events if isinstance(event, Progress)][-1] == started.total_bytes
    assert sum(report.bytes_before for report in reports) == started.total_bytes == open_checkpoint(wide).nbytes
    assert len(reports) == started.total_tensors
    written = arrays(path)
    for report in reports:
        assert report.error is not None
        kind, data = written[report.name]
        assert report.scheme_id == kind
        if report.name == "blk.1.ffn_down.weight":
            values = dequantize_rows(kind, data.reshape(report.shape[0], -1).view(np.uint8), report.shape[1])
            assert report.error.max_abs > 0
            assert report.channel_max == pytest.approx(abs(values).max(1), rel=0.2)
        if len(report.shape) == 1:
            assert report.error.max_abs == 0
    record, saved = read_run(path)
    assert [report.name for report in saved] == [report.name for report in reports]
    assert record.sha256 == {"x.gguf": hashlib.sha256(path.read_bytes()).hexdigest()}
    assert record.result.output == str(path)


def test_rules_and_options_reach_the_tensors(wide, tmp_path):
    what = recipe(
        "Q4_0",
        Rule("blk.0.ffn_down.weight", SchemeSpec("Q6_K")),
        Rule(r"re:attn_[qk]\.", SchemeSpec("GGUF-F16")),
        Rule("*attn_v*", None),
        Rule("*nothing*", SchemeSpec("Q8_0")),
        Rule("*norm*", SchemeSpec("Q6_K")),
        Rule("output_norm*", None),
        output_type="Q5_0",
        embedding_type="Q8_0",
    )
    events = convert(wide, tmp_path / "x.gguf", what)
    kinds = {name: kind for name, (kind, _) in arrays(tmp_path / "x.gguf").items()}
    assert kinds["blk.0.ffn_down.weight"] == "Q6_K"
    assert kinds["blk.1.ffn_down.weight"] == "Q4_0"
    assert (kinds["blk.0.attn_q.weight"], kinds["blk.1.attn_k.weight"], kinds["blk.0.attn_v.weight"]) == (
        "F16",
        "F16",
        "BF16",
    )
    assert (kinds["output.weight"], kinds["token_embd.weight"]) == ("Q5_0", "Q8_0")
    (started,) = [event for event in events if isinstance(event, Started)]
    idle = [warning for warning in started.warnings if "changes nothing" in warning]
    assert len(idle) == 2
    assert "*nothing*" in idle[0]
    assert idle[0].endswith("look like blk.0.attn_k.weight.")
    assert "*norm* matches only tensors that are left as they are" in idle[1]
    convert(wide, tmp_path / "y.gguf", recipe("Q4_K_M", pure=True))
    pure = {kind for name, (kind, _) in arrays(tmp_path / "y.gguf").items() if "norm" not in name}
    assert pure == {"Q4_K"}


def test_another_gguf_file_is_quantized_like_its_model(wide, tmp_path):
    convert(wide, tmp_path / "bf16.gguf", recipe("GGUF-BF16"))
    convert(tmp_path / "bf16.gguf", tmp_path / "two.gguf", recipe("Q4_K_M"))
    convert(wide, tmp_path / "one.gguf", recipe("Q4_K_M"))
    assert (tmp_path / "two.gguf").read_bytes() == (tmp_path / "one.gguf").read_bytes()
    with pytest.raises(UserError, match="already quantized"):
        convert(tmp_path / "two.gguf", tmp_path / "three.gguf", recipe("Q8_0"))
    events = convert(tmp_path / "two.gguf", tmp_path / "three.gguf", recipe("Q8_0"), allow_requantize=True)
    (started,) = [event for event in events if isinstance(event, Started)]
    assert any("measured against “two”" in warning for warning in started.warnings)
    name = "blk.0.ffn_up.weight"
    kind, data = arrays(tmp_path / "two.gguf")[name]
    again = quantize_rows("Q8_0", dequantize_rows(kind, data.reshape(512, -1), 256))
    np.testing.assert_array_equal(arrays(tmp_path / "three.gguf")[name][1].reshape(512, -1), again)


def test_a_matrix_is_needed_and_must_fit(wide, importance, tmp_path):
    with pytest.raises(UserError, match="needs an importance matrix"):
        convert(wide, tmp_path / "x.gguf", recipe("IQ2_XXS"))
    tensors = tuple(t for t in tensors_of(open_checkpoint(wide)) if t.name != "blk.1.ffn_up.weight")
    partial = write_importance(tmp_path / "partial.gguf", tensors)
    with pytest.raises(UserError, match=r"no entry for blk\.1\.ffn_up\.weight"):
        convert(wide, tmp_path / "x.gguf", recipe("IQ2_XXS", imatrix=str(partial)))
    events = convert(wide, tmp_path / "x.gguf", recipe("Q4_K_M", imatrix=str(partial)))
    (started,) = [event for event in events if isinstance(event, Started)]
    assert any("says nothing about 1 tensor" in warning for warning in started.warnings)
    fields = gguf.GGUFReader(tmp_path / "x.gguf").fields
    assert fields["quantize.imatrix.file"].contents() == "partial.gguf"
    assert not list(tmp_path.glob("*.partial-*"))


def test_the_matrix_changes_the_bytes_of_its_tensors(wide, importance, tmp_path):
    convert(wide, tmp_path / "with.gguf", recipe("Q4_K_S", imatrix=str(importance)))
    convert(wide, tmp_path / "without.gguf", recipe("Q4_K_S"))
    weighted, plain = arrays(tmp_path / "with.gguf"), arrays(tmp_path / "without.gguf")
    same = {name for name in plain if np.array_equal(plain[name][1], weighted[name][1])}
    assert "token_embd.weight" in same
    assert "blk.1.ffn_up.weight" not in same


@pytest.mark.parametrize("name", ["x.bin", "x", "folder.gguf"])
def test_a_place_that_cannot_be_written_is_said_first(wide, tmp_path, name):
    (tmp_path / "folder.gguf").mkdir()
    with pytest.raises(UserError):
        convert(wide, tmp_path / name, recipe("Q8_0"))
    assert [path.name for path in tmp_path.iterdir()] == ["folder.gguf"]


def test_only_our_own_file_is_replaced(wide, tmp_path):
    path = tmp_path / "x.gguf"
    path.write_bytes(b"somebody's")
    with pytest.raises(UserError, match="already exists"):
        convert(wide, path, recipe("Q8_0"), overwrite=True)
    assert path.read_bytes() == b"somebody's"
    path.unlink()
    convert(wide, path, recipe("Q8_0"))
    with pytest.raises(UserError, match="already exists"):
        convert(wide, path, recipe("Q4_0"))
    convert(wide, path, recipe("Q4_0"), overwrite=True)
    assert read_run(path)[0].result.job.recipe.base.id == "Q4_0"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["x.gguf", "x.gguf.quantgui"]


def test_what_others_put_there_in_the_meantime_stays(wide, tmp_path):
    """The names are looked at once more when the file is complete: it may have taken hours."""
    path = tmp_path / "x.gguf"
    events = []

    def somebody(event: Event) -> None:
        events.append(event)
        if isinstance(event, Started):
            path.write_bytes(b"somebody's")

    with pytest.raises(UserError, match="already exists"):
        run(QuantizeJob(str(wide), str(path), recipe("Q8_0"), verify=False), somebody)
    assert any(isinstance(event, TensorDone) for event in events)
    assert path.read_bytes() == b"somebody's"
    assert [entry.name for entry in tmp_path.iterdir()] == ["x.gguf"]


def test_a_folder_with_the_name_of_the_record_is_said_first(wide, tmp_path):
    record_folder(tmp_path / "x.gguf").mkdir()
    (record_folder(tmp_path / "x.gguf") / "notes.txt").touch()
    events = []
    with pytest.raises(UserError, match=r"x\.gguf\.quantgui already exists"):
        run(QuantizeJob(str(wide), str(tmp_path / "x.gguf"), recipe("Q8_0"), verify=False), events.append)
    assert not any(isinstance(event, Started) for event in events)
    assert [entry.name for entry in tmp_path.iterdir()] == ["x.gguf.quantgui"]


def test_a_run_is_found_and_deleted_with_its_file(wide, tmp_path):
    convert(wide, tmp_path / "x.gguf", recipe("Q8_0"))
    (found,) = finished_runs([tmp_path])
    assert found.record is not None
    assert found.record.result.output == str(tmp_path / "x.gguf")
    delete_run(record_folder(tmp_path / "x.gguf"))
    assert not list(tmp_path.iterdir())


def test_weights_that_are_not_numbers_leave_nothing(wide, tmp_path):
    from safetensors.numpy import load_file, save_file

    source = tmp_path / "broken"
    write_wide_llama(source, "F32")
    weights = load_file(source / "model.safetensors")
    weights["model.layers.1.mlp.up_proj.weight"][3, 3] = np.inf
    save_file(weights, source / "model.safetensors")
    with pytest.raises(UserError, match=r"blk\.1\.ffn_up\.weight contains 1 infinite"):
        convert(source, tmp_path / "new" / "x.gguf", recipe("Q8_0"))
    with pytest.raises(UserError) as refused:
        convert(source, tmp_path / "new" / "x.gguf", recipe("Q8_0", Rule("blk.1.ffn_up.weight", SchemeSpec("F32"))))
    assert "rule" not in refused.value.hint  # none would help
    weights["model.layers.1.mlp.up_proj.weight"][3, 3] = 1e6
    save_file(weights, source / "model.safetensors")
    with pytest.raises(UserError, match="too large"):
        convert(source, tmp_path / "new" / "x.gguf", recipe("GGUF-F16"))
    assert [path.name for path in tmp_path.iterdir()] == ["broken"]


def test_a_folder_without_a_tokenizer_or_of_another_kind_is_refused(tiny_llama_folder, tmp_path):
    with pytest.raises(UserError, match="tokenizer files"):
        convert(tiny_llama_folder, tmp_path / "x.gguf", recipe("Q8_0"))
    config = json.loads((tiny_llama_folder / "config.json").read_text())
    (tiny_llama_folder / "config.json").write_text(json.dumps({**config, "model_type": "mimo_v2_flash"}))
    with pytest.raises(UserError, match="cannot be converted"):
        convert(tiny_llama_folder, tmp_path / "x.gguf", recipe("Q8_0"))


def gguf_with(path: Path, **keys: str) -> Path:
    """A GGUF file of one matrix with these keys ("_" for ".")."""
    writer = gguf.GGUFWriter(path, "llama")
    for key, value in keys.items():
        writer.add_string(key.replace("_", "."), value)
    writer.add_tensor("blk.0.attn_q.weight", np.ones((32, 32), np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def test_files_that_llama_cpp_would_not_run_as_models_are_refused(wide, importance, tmp_path):
    adapter = gguf_with(tmp_path / "adapter.gguf", general_type="adapter", tokenizer_ggml_model="gpt2")
    projector = gguf_with(tmp_path / "mmproj.gguf", general_type="mmproj", tokenizer_ggml_model="gpt2")
    for path in (adapter, projector, importance):
        with pytest.raises(UserError, match="not a language model"):
            convert(path, tmp_path / "x.gguf", recipe("Q8_0"))
    with pytest.raises(UserError, match="no tokenizer"):
        convert(gguf_with(tmp_path / "bare.gguf"), tmp_path / "x.gguf", recipe("Q8_0"))
    convert(gguf_with(tmp_path / "none.gguf", tokenizer_ggml_model="none"), tmp_path / "x.gguf", recipe("Q8_0"))
    job = QuantizeJob(str(adapter), str(tmp_path / "y.gguf"), recipe("Q8_0"))
    with pytest.raises(UserError, match="not a language model"):
        check_early(job, open_checkpoint(adapter), ())


def verdict(source: Path, output: Path, what: Recipe, errors: dict[str, ErrorStats]) -> Verification:
    events: list[Event] = []
    run(VerifyJob(str(output), str(source), what, errors), events.append)
    assert isinstance(events[-1], Finished)
    assert events[-1].verification is not None
    return events[-1].verification


def test_the_check_notices_one_changed_byte(wide, tmp_path):
    path, what = tmp_path / "x.gguf", recipe("Q8_0")
    events = convert(wide, path, what)
    errors = {e.report.name: e.report.error for e in events if isinstance(e, TensorDone) and e.report.error}
    good = verdict(wide, path, what, errors)
    assert good.status is VerificationStatus.VERIFIED
    assert "same tokens" in good.summary
    place = next(t for t in open_checkpoint(path).tensors if t.name == "blk.1.attn_k.weight")
    data = bytearray(path.read_bytes())
    data[place.offset + 10] ^= 0x40
    path.write_bytes(data)
    bad = verdict(wide, path, what, errors)
    assert bad.status is VerificationStatus.FAILED
    assert "blk.1.attn_k.weight" in bad.summary


@pytest.mark.slow
def test_a_run_in_a_child_is_checked_by_another_and_a_cancelled_one_leaves_nothing(wide, tmp_path):
    events = list(ChildProcess(QuantizeJob(str(wide), str(tmp_path / "x.gguf"), recipe("Q4_K_M"))).events())
    assert result_of(events).verification.status is VerificationStatus.VERIFIED
    child = ChildProcess(QuantizeJob(str(wide), str(tmp_path / "y.gguf"), recipe("Q4_K_M")))
    seen: list[Event] = []
    for event in child.events():
        seen.append(event)
        if isinstance(event, TensorDone):
            child.cancel()
    assert isinstance(seen[-1], Cancelled)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["x.gguf", "x.gguf.quantgui"]

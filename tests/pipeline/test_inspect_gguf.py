"""Measuring GGUF files: against the folder they were made from as the conversion did, against other files, alone."""

from pathlib import Path

import gguf
import numpy as np
import pytest

from quantgui.checkpoint.gguf_header import read_gguf
from quantgui.jobs.events import Event, TensorDone
from quantgui.jobs.job import InspectJob, QuantizeJob
from quantgui.pipeline import run
from quantgui.schemes.ggml_types import BY_NAME
from quantgui.schemes.recipe import Recipe, SchemeSpec
from quantgui.types import TensorReport, UserError
from tests.pipeline.gguf_models import write_wide_llama

Reports = dict[str, TensorReport]


def reports_of(job: InspectJob | QuantizeJob) -> Reports:
    events: list[Event] = []
    run(job, events.append)
    return {event.report.name: event.report for event in events if isinstance(event, TensorDone)}


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return write_wide_llama(tmp_path_factory.mktemp("models") / "wide")


@pytest.fixture(scope="module")
def written(folder) -> dict[str, tuple[Path, Reports]]:
    """Files of several types, with what the conversion reported."""

    def convert(scheme_id: str) -> tuple[Path, Reports]:
        path = folder.parent / f"{scheme_id}.gguf"
        job = QuantizeJob(str(folder), str(path), Recipe(SchemeSpec(scheme_id)), verify=False)
        return path, reports_of(job)

    return {scheme_id: convert(scheme_id) for scheme_id in ("Q4_K_M", "Q8_0", "GGUF-BF16")}


@pytest.mark.parametrize("scheme_id", ["Q4_K_M", "Q8_0", "GGUF-BF16"])
def test_against_its_folder_a_file_has_the_errors_that_its_conversion_counted(scheme_id, folder, written):
    path, converted = written[scheme_id]
    found = reports_of(InspectJob(str(path), against=str(folder)))
    assert found.keys() == converted.keys()
    for name, expected in converted.items():
        report = found[name]
        assert report.error == expected.error, name
        assert (report.before, report.after, report.difference) == (
            expected.before,
            expected.after,
            expected.difference,
        )
        assert report.levels == expected.levels
        assert (report.offset, report.bytes_before, report.bytes_after, report.bits, report.dtype_before) == (
            expected.offset,
            expected.bytes_before,
            expected.bytes_after,
            expected.bits,
            expected.dtype_before,
        )


def test_places_and_sizes_are_those_of_the_file(written):
    path, converted = written["Q4_K_M"]
    stored = {tensor.name: (int(tensor.data_offset), int(tensor.n_bytes)) for tensor in gguf.GGUFReader(path).tensors}
    found = reports_of(InspectJob(str(path)))
    for reports in (found, converted):
        assert {name: (report.offset, report.bytes_after) for name, report in reports.items()} == stored
    assert list(found) == sorted(stored, key=lambda name: stored[name])


def test_a_file_from_before_the_rounding_stands_in_for_the_folder(folder, written):
    path, plain = written["Q4_K_M"][0], written["GGUF-BF16"][0]
    by_folder = reports_of(InspectJob(str(path), against=str(folder)))
    by_file = reports_of(InspectJob(str(path), against=str(plain)))
    assert {name: report.error for name, report in by_file.items()} == {
        name: report.error for name, report in by_folder.items()
    }


def test_two_quantized_files_are_compared(written):
    (coarse, _), (fine, _) = written["Q4_K_M"], written["Q8_0"]
    report = reports_of(InspectJob(str(coarse), against=str(fine), tensor="blk.0.ffn_up.weight"))["blk.0.ffn_up.weight"]
    assert (report.dtype_before, report.scheme_id) == ("Q8_0", "Q4_K")
    assert report.error is not None and report.error.sqnr_db is not None
    assert report.error.sqnr_db > 15
    same = reports_of(InspectJob(str(coarse), against=str(coarse)))
    assert all(report.error and report.error.mse == 0 for report in same.values())


def test_the_file_is_what_was_made_whichever_is_called_the_original(folder, written):
    path = written["Q4_K_M"][0]
    one = reports_of(InspectJob(str(folder), against=str(path), tensor="output_norm.weight"))
    assert one == reports_of(InspectJob(str(path), against=str(folder), tensor="output_norm.weight"))


def test_alone_a_file_has_distributions_types_and_levels_but_no_errors(written):
    path = written["Q4_K_M"][0]
    for name, report in reports_of(InspectJob(str(path))).items():
        kind = BY_NAME[next(t.dtype for t in read_gguf(path).tensors if t.name == name)]
        assert (report.scheme_id, report.bits) == (kind.name, kind.bits_per_weight)
        assert report.before is not None and sum(report.before.counts) == np.prod(report.shape)
        assert (report.error, report.after) == (None, None)
        assert len(report.levels) == (16 if kind.name == "Q4_K" else 0)
        assert report.channel_max


def write_file(path: Path, **tensors: np.ndarray) -> Path:
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_block_count(1)
    for name, values in tensors.items():
        writer.add_tensor(name, values)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def test_what_the_original_lacks_is_measured_alone(tmp_path):
    values = np.linspace(-1, 1, 64, dtype=np.float32).reshape(2, 32)
    original = write_file(tmp_path / "a.gguf", common=values)
    more = write_file(tmp_path / "b.gguf", common=values, other=values)
    found = reports_of(InspectJob(str(more), against=str(original)))
    assert found["common"].error is not None
    assert found["other"].error is None and found["other"].before is not None
    assert "no such tensor" in found["other"].why_kept


def test_integers_and_values_that_are_not_finite_have_no_statistics(tmp_path):
    broken = np.full((2, 32), np.nan, np.float32)
    path = write_file(tmp_path / "a.gguf", broken=broken, numbers=np.arange(4, dtype=np.int32))
    found = reports_of(InspectJob(str(path)))
    assert found["broken"].before is None and "not finite" in found["broken"].why_kept
    assert found["numbers"].before is None


def test_other_models_are_refused(tmp_path):
    values = np.zeros((2, 32), np.float32)
    first = write_file(tmp_path / "a.gguf", weight=values)
    with pytest.raises(UserError, match="no tensors in common"):
        run(InspectJob(str(first), against=str(write_file(tmp_path / "b.gguf", other=values))), lambda _: None)
    with pytest.raises(UserError, match="another shape"):
        other = write_file(tmp_path / "c.gguf", weight=np.zeros((1, 64), np.float32))
        run(InspectJob(str(first), against=str(other)), lambda _: None)
    with pytest.raises(UserError, match="no tensor called"):
        run(InspectJob(str(first), tensor="nothing"), lambda _: None)

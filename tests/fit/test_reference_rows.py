from __future__ import annotations

import pytest

from quantgui.checkpoint.catalogue import find_entry
from quantgui.fit.estimate import estimate_table
from quantgui.fit.reference_rows import REFERENCE_ROWS, reference_weights
from quantgui.fit.settings import FitSettings
from quantgui.hardware.catalogue import parse_target
from quantgui.hardware.custom import custom_target
from quantgui.quant.registry import rows
from quantgui.types import GB, Checkpoint, Runtime, UserError


@pytest.fixture(scope="module")
def llama() -> Checkpoint:
    return find_entry("meta-llama/Llama-3.2-3B-Instruct").checkpoint()


def test_none_of_them_is_written_here() -> None:
    assert not {row.id for row in REFERENCE_ROWS} & {row.id for row in rows()}


def test_a_published_mlx_file_has_this_size(llama: Checkpoint) -> None:
    """Published with two digits of GB, its shards rounded: 1.7 to 1.8."""
    mlx4 = next(row for row in reference_weights(llama, Runtime.MLX) if row.scheme_id == "MLX-4")
    assert mlx4.file_bytes == pytest.approx(1.8 * GB, rel=0.03)
    assert "does not write" in mlx4.note


def test_more_bits_take_more(llama: Checkpoint) -> None:
    sizes = [row.nbytes for row in reference_weights(llama, Runtime.MLX)]
    assert sizes == sorted(sizes, reverse=True)


def test_each_row_shows_where_its_program_runs(llama: Checkpoint) -> None:
    def ids(name: str) -> set[str]:
        return {estimate.scheme_id for estimate in estimate_table(llama, parse_target(name))}

    assert {"MLX-4", "Q4_K_M", "BF16"} <= ids("Apple M4 Max")
    assert "NVFP4" not in ids("Apple M4 Max")
    assert "NVFP4" in ids("RTX 4090")
    assert "MLX-4" not in ids("RTX 4090")
    no_gpu = {estimate.scheme_id for estimate in estimate_table(llama, custom_target("x", ram_gib=32))}
    assert not {"NVFP4", "MLX-4"} & no_gpu


def test_a_runtime_keeps_what_it_loads(llama: Checkpoint) -> None:
    card, mac = parse_target("RTX 4090"), parse_target("Apple M4 Max")
    for runtime, hardware in ((Runtime.VLLM, card), (Runtime.TRANSFORMERS, card), (Runtime.MLX, mac)):
        estimates = estimate_table(llama, hardware, FitSettings(runtime=runtime))
        assert estimates
        assert {estimate.runtime for estimate in estimates} == {runtime}
    in_vllm = {e.scheme_id for e in estimate_table(llama, card, FitSettings(runtime=Runtime.VLLM))}
    assert {"BF16", "NVFP4", "MXFP4"} <= in_vllm
    assert "Q4_K_M" not in in_vllm
    in_llama = {e.scheme_id for e in estimate_table(llama, card, FitSettings(runtime=Runtime.LLAMA_CPP))}
    assert {"GGUF-BF16", "Q4_K_M"} <= in_llama
    assert "BF16" not in in_llama


def test_mlx_runs_on_apple_computers_only(llama: Checkpoint) -> None:
    with pytest.raises(UserError, match="Apple"):
        estimate_table(llama, parse_target("RTX 4090"), FitSettings(runtime=Runtime.MLX))

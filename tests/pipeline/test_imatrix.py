"""Importance matrices: computed on a small model, against the definition, and used to quantize it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM

from quantgui.calibration.text import calibration_samples
from quantgui.formats.gguf.imatrix import read_imatrix
from quantgui.jobs.events import Event
from quantgui.jobs.job import Calibration, ImatrixJob
from quantgui.pipeline.imatrix import compute_imatrix
from quantgui.types import UserError
from tests.pipeline.gguf_models import write_wide_llama

pytestmark = pytest.mark.slow

CALIBRATION = Calibration(samples=3, length=32)
NAMES = {
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}


def ignore(event: Event) -> None:
    pass


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return write_wide_llama(tmp_path / "model", "F32")


def test_sums_are_those_of_the_squared_inputs(model: Path, tmp_path: Path) -> None:
    output = tmp_path / "new" / "a.gguf"
    result = compute_imatrix(ImatrixJob(str(model), str(output), CALIBRATION), ignore)
    assert (result.entries, result.tokens, result.unreached) == (14, 96, ())
    assert result.missing == ()
    matrix = read_imatrix(output)
    assert (matrix.chunks, matrix.chunk_tokens, matrix.dataset) == (3, 32, "calibration.txt")

    expected: dict[str, torch.Tensor] = {}
    loaded = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32)
    for layer in range(2):
        for short, long in NAMES.items():
            name = f"blk.{layer}.{short}.weight"
            expected[name] = torch.zeros(1)

            def add(module: torch.nn.Module, inputs: tuple[torch.Tensor], name: str = name) -> None:
                expected[name] = expected[name] + inputs[0].flatten(0, -2).square().sum(0)

            loaded.get_submodule(f"model.layers.{layer}.{long}").register_forward_pre_hook(add)
    with torch.no_grad():
        loaded(calibration_samples(model, None, CALIBRATION.samples, CALIBRATION.length))
    assert matrix.entries.keys() == expected.keys()
    for name, sums in expected.items():
        np.testing.assert_allclose(matrix.entries[name].sums[0], sums.numpy(), rtol=1e-3)
        assert matrix.entries[name].counts.tolist() == [96]


def test_only_another_matrix_is_replaced(model: Path, tmp_path: Path) -> None:
    output = tmp_path / "a.gguf"
    job = ImatrixJob(str(model), str(output), Calibration(samples=1, length=8))
    compute_imatrix(job, ignore)
    assert compute_imatrix(job, ignore).entries == 14
    for precious in ("notes.txt", "model.safetensors", "weights.gguf", "link.gguf"):
        path = model / precious
        if precious == "link.gguf":
            path.symlink_to("nowhere")
        elif not path.exists():
            path.write_bytes(b"GGUF precious")
        with pytest.raises(UserError, match="is not an importance matrix"):
            compute_imatrix(ImatrixJob(str(model), str(path), CALIBRATION), ignore)
    assert (model / "weights.gguf").read_bytes() == b"GGUF precious"


def test_what_cannot_be_computed_is_told(model: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is a folder"):
        compute_imatrix(ImatrixJob(str(model), str(tmp_path), CALIBRATION), ignore)
    with pytest.raises(UserError, match="cannot be run"):
        compute_imatrix(ImatrixJob(str(model / "model.safetensors"), str(tmp_path / "a.gguf"), CALIBRATION), ignore)
    config = json.loads((model / "config.json").read_text())
    (model / "config.json").write_text(json.dumps({**config, "quantization_config": {"quant_method": "gptq"}}))
    with pytest.raises(UserError, match="already quantized"):
        compute_imatrix(ImatrixJob(str(model), str(tmp_path / "a.gguf"), CALIBRATION), ignore)

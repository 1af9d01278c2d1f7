"""ONNX with 8-bit weights for onnxruntime: traced by torch, rounded by onnxruntime, loaded again in a new process.

Weights are int8 per output channel, activations are rounded per tensor while the model runs (dynamic quantization).
Weights use 7 of 8 bits (`reduce_range`): processors without VNNI add two products in 16 bits, which would overflow.
The graph is the plain forward pass over whole sequences, without a key-value cache: right for encoders and for scoring
text, slow for generating long answers. torch and onnxruntime have no KV-cache export of their own.
"""

from __future__ import annotations

import importlib.util
import json
import time
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

from quantgui.formats.folder import copy_companions, output_config
from quantgui.jobs.child import ChildProcess
from quantgui.jobs.events import ExportResult, Failed, Finished, Log, Stage, Verification, VerificationStatus
from quantgui.jobs.job import ExportJob, VerifyOnnxJob
from quantgui.pipeline import Emit
from quantgui.pipeline.library_model import load_model
from quantgui.pipeline.onnx_check import is_causal
from quantgui.pipeline.partial_folder import partial_folder
from quantgui.pipeline.source import open_source, source_folder
from quantgui.types import GIB, Checkpoint, SourceKind, UserError

if TYPE_CHECKING:
    import torch

MODULES = ("onnx", "onnxruntime", "onnxscript")
MODEL_FILE = "model.onnx"
LARGEST_INLINE = 1_500_000_000
"""Bytes of float32 weights up to which they lie inside the .onnx file, whose format ends at 2 GiB."""
EXAMPLE = (2, 16)
"""Sequences and tokens that the model is traced with; both stay free in the graph."""


def export_onnx(job: ExportJob, emit: Emit) -> ExportResult:
    """Writes `job.output`/model.onnx with tokenizer and config. Raises UserError; nothing is left behind then."""
    started = time.monotonic()
    emit(Stage("Reading the model"))
    checkpoint = open_source(job.source)
    _check(job, checkpoint)
    with partial_folder(job) as partial:
        source = source_folder(checkpoint)
        emit(Stage("Tracing the model", "torch follows one forward pass and writes it down as a graph."))
        _trace(source, partial / "float.onnx")
        emit(Stage("Rounding to 8 bits"))
        _round(partial)
        (partial / "config.json").write_text(json.dumps(output_config(checkpoint, ()), indent=2) + "\n", "utf-8")
        for left_out in copy_companions(source, partial):
            emit(Log(left_out, "warning"))
        verification = _verify(job, emit)
        size = sum(path.stat().st_size for path in partial.glob("*.onnx*"))
        _publish(job)
    return ExportResult(job, job.output, checkpoint.nbytes, size, time.monotonic() - started, verification)


def _check(job: ExportJob, checkpoint: Checkpoint) -> None:
    missing = [name for name in MODULES if importlib.util.find_spec(name) is None]
    if missing:
        raise UserError(
            f"The ONNX export needs {' and '.join(missing)}.", hint="“pip install quantgui[onnx]” adds what is missing."
        )
    config = checkpoint.config
    if checkpoint.kind is not SourceKind.FOLDER or config is None:
        raise UserError(f"“{checkpoint.name}” cannot be exported.", hint="Open the Hugging Face folder of the model.")
    if config.quantization:
        raise UserError(
            f"“{checkpoint.name}” is already quantized ({config.quantization}).", hint="Export the original model."
        )
    if config.raw.get("is_encoder_decoder"):
        raise UserError(
            f"“{checkpoint.name}” is an encoder-decoder, which this export does not know.",
            hint="Decoders with a language-model head and encoders can be exported.",
        )
    output = Path(job.target)
    if output.is_file() or (output.is_dir() and any(output.iterdir())):
        raise UserError(f"{output.name} already exists and is not empty.", hint="Choose another output folder.")
    needed, available = 12 * checkpoint.parameters, psutil.virtual_memory().available
    if needed > available:
        raise UserError(
            f"Tracing takes about {needed / GIB:.1f} GiB of memory, and {available / GIB:.1f} GiB are free.",
            hint="Close other programs, or export a smaller model.",
        )


def _trace(folder: Path, path: Path) -> None:
    """The float32 graph of the model: ids and attention mask in, logits (or the last hidden state) out."""
    import torch

    model = load_model(folder).float()
    causal = is_causal(model)
    inputs = ("input_ids", "attention_mask")
    ids = torch.arange(EXAMPLE[0] * EXAMPLE[1]).view(EXAMPLE) % model.config.vocab_size
    free = {0: "batch", 1: "sequence"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter tells of its own deprecated parts
        program = torch.onnx.export(
            _plain_forward(model, causal),
            (ids, torch.ones_like(ids)),
            dynamo=True,
            verbose=False,
            input_names=inputs,
            output_names=["logits" if causal else "last_hidden_state"],
            dynamic_shapes=dict.fromkeys(inputs, free),
        )
    assert program is not None
    size = 4 * sum(parameter.numel() for parameter in model.parameters())
    program.save(path, external_data=size > LARGEST_INLINE)


def _plain_forward(model: Any, causal: bool) -> torch.nn.Module:
    """The model with tensors in and one tensor out, as a graph has them."""
    import torch

    class PlainForward(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
            if causal:
                return self.model(input_ids=input_ids, attention_mask=attention_mask, use_cache=False).logits
            return self.model(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state

    return PlainForward().eval()


def _round(folder: Path) -> None:
    """Turns float.onnx into model.onnx with int8 weights and removes the former."""
    from onnxruntime.quantization import QuantType, quantize_dynamic

    traced = folder / "float.onnx"
    quantize_dynamic(
        traced,
        folder / MODEL_FILE,
        per_channel=True,
        weight_type=QuantType.QInt8,
        reduce_range=True,
        use_external_data_format=traced.with_name("float.onnx.data").exists(),
    )
    for path in folder.glob("float.onnx*"):
        path.unlink()


def _verify(job: ExportJob, emit: Emit) -> Verification:
    outcome = None
    for event in ChildProcess(VerifyOnnxJob(job.partial_output, job.source)).events():
        if isinstance(event, Stage | Log):
            emit(event)
        outcome = event
    if isinstance(outcome, Finished) and outcome.verification is not None:
        if outcome.verification.status is not VerificationStatus.FAILED:
            return outcome.verification
        raise UserError(outcome.verification.summary, hint="Nothing was kept. Please report this.")
    assert isinstance(outcome, Failed)
    raise UserError(
        f"The written model could not be loaded back: {outcome.message}",
        hint="Nothing was kept. Please report this with the details.",
        details=outcome.details,
    )


def _publish(job: ExportJob) -> None:
    target = Path(job.target)
    if target.exists():
        target.rmdir()  # empty, or the preflight would have refused
    Path(job.partial_output).rename(target)

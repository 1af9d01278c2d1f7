"""Loads an exported model with onnxruntime, in a process of its own, and compares its outputs with the original's."""

from __future__ import annotations

import importlib.metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from quantgui.jobs.events import Stage, Verification, VerificationStatus
from quantgui.jobs.job import VerifyOnnxJob
from quantgui.pipeline import Emit
from quantgui.pipeline.library_model import load_model
from quantgui.pipeline.source import open_source, source_folder
from quantgui.quality.text import bundled_text, read_text, tokenize
from quantgui.types import UserError

if TYPE_CHECKING:
    import torch

SHAPES = ((1, 48), (3, 16))
"""Sequences and tokens of the comparison: other ones than the model was traced with."""
MEAN_COSINE = 0.98
"""What 8 bits keep at least, in the mean over the output vectors; small encoders lose most by rounded activations."""
TEXT_CHARACTERS = 4000


def is_causal(model: Any) -> bool:
    """Whether the model predicts tokens; others give hidden states."""
    return model.get_output_embeddings() is not None


def check_onnx(job: VerifyOnnxJob, emit: Emit) -> Verification:
    """The verdict on `job.output`/model.onnx, by the cosine of its output vectors with the float model's."""
    import onnxruntime
    import torch

    emit(Stage("Checking in a new process", "onnxruntime loads the result, and its outputs are compared."))
    folder = source_folder(open_source(job.source))
    session = onnxruntime.InferenceSession(Path(job.output) / "model.onnx", providers=["CPUExecutionProvider"])
    model = load_model(folder).float()
    ids = _ids(folder, int(model.config.vocab_size))
    cosines = []
    for shape in SHAPES:
        some = ids[: shape[0] * shape[1]].view(shape)
        mask = torch.ones_like(some)
        (found,) = session.run(None, {"input_ids": some.numpy(), "attention_mask": mask.numpy()})
        with torch.no_grad():
            output = model(input_ids=some, attention_mask=mask)
        wanted = output.logits if is_causal(model) else output.last_hidden_state
        cosines.append(torch.nn.functional.cosine_similarity(torch.as_tensor(found), wanted, dim=-1).flatten())
    mean, smallest = (float(value) for value in (torch.cat(cosines).mean(), torch.cat(cosines).min()))
    library = f"onnxruntime {importlib.metadata.version('onnxruntime')}"
    words = f"a cosine of {mean:.4f} with the original's in the mean, and at least {smallest:.4f}"
    if not mean >= MEAN_COSINE:  # NaN is no pass
        summary = f"The reload check failed: the outputs have {words}."
        return Verification(VerificationStatus.FAILED, summary, library)
    summary = f"onnxruntime loaded the result in a new process; its outputs have {words}."
    return Verification(VerificationStatus.VERIFIED, summary, library)


def _ids(folder: Path, vocabulary: int) -> torch.Tensor:
    """Token ids [n] of a real text, or of nothing in particular for a model without tokenizer."""
    import torch

    needed = max(rows * columns for rows, columns in SHAPES)
    try:
        ids = tokenize(folder, read_text(bundled_text("evaluation"))[:TEXT_CHARACTERS])
    except UserError:
        ids = torch.arange(needed) % vocabulary
    return ids[:needed]

"""Perplexity of GGUF files in llama.cpp, beside that of the same weights, dequantized by us, in transformers.

Both score the same tokens in the same windows (`quality.perplexity.score` and `pipeline.score_gguf`): what remains is
how each computes. llama.cpp rounds activations to 8 or 16 bits in every product, transformers runs in float32.
"""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

from quantgui.checkpoint import open_checkpoint
from quantgui.checkpoint.resolve import demo_checkpoint
from quantgui.checkpoint.tensor_data import TensorData
from quantgui.formats.gguf.runtime.llama import LlamaModel
from quantgui.formats.gguf.source import architecture_of, tensors_of
from quantgui.formats.gguf.transform import ordered_sources, transformed_rows
from quantgui.jobs.job import QuantizeJob
from quantgui.pipeline import run as run_job
from quantgui.pipeline.gguf_rows import RowSource
from quantgui.pipeline.library_model import load_model
from quantgui.pipeline.score_gguf import score_gguf
from quantgui.quality.perplexity import LikelihoodSum, paired_difference, score
from quantgui.quality.text import bundled_text, read_text, tokenize
from quantgui.schemes.recipe import Recipe, SchemeSpec
from quantgui.types import Checkpoint

if TYPE_CHECKING:
    import torch

NAME = "gguf-perplexity"
HELP = "perplexity of the bundled model's GGUF files in llama.cpp, beside transformers with the same weights"

TYPES = ("GGUF-F16", "Q8_0", "Q6_K", "Q5_K_M", "Q4_K_M", "Q3_K_M", "Q2_K")
CONTEXT = 512
TOKENS = 64 * CONTEXT
BLOCK = 1 << 18
"""Weights that are dequantized at once."""
GOALS = {"largest difference": 0.01, "is monotone": True}


def run(work: Path) -> dict[str, Any]:
    """Perplexities by type, how far apart they are, and whether none is surely better than the type before it."""
    import torch

    torch.set_num_threads(psutil.cpu_count(logical=False) or 1)
    ids = tokenize(Path(demo_checkpoint().path), read_text(bundled_text("evaluation")))[:TOKENS]
    scores = {scheme: both_scores(convert(work, scheme), ids, CONTEXT) for scheme in TYPES}
    results: dict[str, Any] = {"tokens": len(ids), "context": CONTEXT, "goals": GOALS}
    for scheme, (ours, theirs) in scores.items():
        results[scheme] = {
            "transformers": round(ours.perplexity, 4),
            "llama.cpp": round(theirs.perplexity, 4),
            "standard error": round(theirs.perplexity_se, 4),
            "difference": round(relative_difference(ours, theirs), 5),
            "nats above F16, standard error": [round(n, 5) for n in paired_difference(theirs, scores[TYPES[0]][1])],
        }
    results["largest difference"] = round(max(abs(relative_difference(*pair)) for pair in scores.values()), 5)
    found = [theirs for _, theirs in scores.values()]
    results["is monotone"] = not any(is_better(smaller, larger) for larger, smaller in itertools.pairwise(found))
    return results


def is_better(one: LikelihoodSum, other: LikelihoodSum) -> bool:
    """Whether one model is surely better: by two standard errors of their difference, paired token by token."""
    difference, error = paired_difference(one, other)
    return difference < -2 * error


def convert(work: Path, scheme: str) -> Path:
    """The bundled model's GGUF file of one type."""
    path = work / f"{scheme}.gguf"
    job = QuantizeJob(demo_checkpoint().path, str(path), Recipe(SchemeSpec(scheme)), verify=False)
    run_job(job, lambda event: None)
    return path


def both_scores(path: Path, ids: torch.Tensor, context: int) -> tuple[LikelihoodSum, LikelihoodSum]:
    """A GGUF file of the bundled model in transformers, dequantized to float32, and in llama.cpp."""
    source = demo_checkpoint()
    model = load_model(Path(source.path)).float()
    fill(model.state_dict(), source, open_checkpoint(path))
    ours = score(model, ids, context, lambda tokens: None)
    with LlamaModel(path) as loaded:
        return ours, score_gguf(loaded, ids, context, lambda tokens: None)


def fill(weights: dict[str, torch.Tensor], source: Checkpoint, file: Checkpoint) -> None:
    """Writes the values of a GGUF file into float32 `weights`, which have the names and shapes of its source.

    The converter's views on a source work both ways: what is written into them lies where it came from. Raises
    ValueError for tensors that the converter changes beyond their order.
    """
    import torch

    architecture, config = architecture_of(source), source.config
    assert config is not None
    with TensorData(file) as data, torch.no_grad():
        stored = RowSource(file, data)
        for tensor in tensors_of(source):
            targets = [weights[name] for name in ordered_sources(tensor)]
            views = transformed_rows(tensor, targets, architecture, config)
            if views.change is not None:
                raise ValueError(f"{tensor.name} cannot be turned back")
            rows = stored.rows(tensor)
            values = torch.cat([rows.values(block).flatten() for _, block in rows.blocks(BLOCK)])
            for view, part in zip(views.views, values.split([view.numel() for view in views.views]), strict=True):
                assert isinstance(view, torch.Tensor)
                view.copy_(part.view(view.shape))


def relative_difference(ours: LikelihoodSum, theirs: LikelihoodSum) -> float:
    """llama.cpp's perplexity over that of transformers, less one."""
    return theirs.perplexity / ours.perplexity - 1

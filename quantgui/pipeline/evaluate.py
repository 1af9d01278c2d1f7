"""Evaluates a checkpoint as its users run it: by transformers with the library it names, a GGUF file by llama.cpp."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from quantgui.formats.gguf.runtime.llama import LlamaModel
from quantgui.jobs.events import Evaluation, Log, PairedScore, Stage, Started
from quantgui.jobs.job import EvaluateJob
from quantgui.jobs.run_record import keep_quality, read_record
from quantgui.pipeline import Emit
from quantgui.pipeline.device import choose_device
from quantgui.pipeline.generate import check_memory, check_runs
from quantgui.pipeline.library_model import load_model
from quantgui.pipeline.progress import ProgressTeller
from quantgui.pipeline.score_gguf import score_gguf
from quantgui.pipeline.source import open_source, source_folder
from quantgui.quality.perplexity import LikelihoodSum, paired_difference, score
from quantgui.quality.text import bundled_text, read_text, tokenize
from quantgui.types import Checkpoint, SourceKind, UserError

if TYPE_CHECKING:
    import torch

MINIMUM_CONTEXT = 2


def evaluate(job: EvaluateJob, emit: Emit) -> Evaluation:
    """Perplexity of `job.source` on `job.text`, and of `job.against` on the same tokens where one is given.

    Raises UserError for models without a head, tokenizer or room, and for two that do not speak of the same tokens.
    """
    started = time.monotonic()
    emit(Stage("Reading the model"))
    checkpoints = [open_source(reference) for reference in (job.source, job.against) if reference]
    for checkpoint in checkpoints:
        _check(checkpoint, job.context)
    text = Path(job.text) if job.text else bundled_text("evaluation")
    ids = _same_tokens(checkpoints, read_text(text))
    if len(ids) < MINIMUM_CONTEXT:
        raise UserError(f"{text.name} has {len(ids)} tokens; at least {MINIMUM_CONTEXT} are needed.")
    context = min(job.context or 512, *(_longest(checkpoint) or len(ids) for checkpoint in checkpoints))
    _check_context(checkpoints, context)
    emit(Started(job.id, len(ids) * len(checkpoints), 0))
    teller = ProgressTeller(emit)
    sums = [_score(checkpoint, ids, context, job.device, teller, emit) for checkpoint in checkpoints]
    teller.finish("")
    evaluation = Evaluation(
        tokens=sums[0].tokens,
        perplexity=sums[0].perplexity,
        perplexity_se=sums[0].perplexity_se,
        context=context,
        text=text.name,
        seconds=time.monotonic() - started,
        against=_paired(job.against, *sums) if job.against else None,
    )
    if len(checkpoints) > 1:
        _keep(evaluation, checkpoints[0], checkpoints[1], emit)
    return evaluation


def _keep(evaluation: Evaluation, result: Checkpoint, original: Checkpoint, emit: Emit) -> None:
    """Add the measurement to the record of the run that made `result` out of `original`, if there is one."""
    try:
        source = open_source(read_record(result.path).result.job.source)
    except UserError:  # no run of ours, or of a model that is gone
        return
    if os.path.realpath(source.path) != os.path.realpath(original.path):
        return
    try:
        keep_quality(result.path, evaluation)
    except OSError as error:
        emit(Log(f"The measurement could not be kept with the run: {error}", "warning"))


def _score(
    checkpoint: Checkpoint, ids: torch.Tensor, context: int, device: str, teller: ProgressTeller, emit: Emit
) -> LikelihoodSum:
    """One model after the other: each is gone before the next is loaded."""
    emit(Stage("Loading the model", checkpoint.name))

    def done(tokens: int) -> None:
        teller.add(tokens, "")

    if checkpoint.kind is SourceKind.GGUF:
        with LlamaModel(checkpoint.path) as opened:
            emit(Stage("Scoring the text", checkpoint.name))
            return score_gguf(opened, ids, context, done)
    model = load_model(source_folder(checkpoint)).to(choose_device(device))
    emit(Stage("Scoring the text", checkpoint.name))
    return score(model, ids, context, done)


def _same_tokens(checkpoints: Sequence[Checkpoint], text: str) -> torch.Tensor:
    """Token ids of the text, which must be the same for all models."""
    import torch

    ids = [_tokens(checkpoint, text) for checkpoint in checkpoints]
    if any(not torch.equal(other, ids[0]) for other in ids[1:]):
        raise UserError(
            "The two models cut the text into different tokens, so they cannot be compared token by token.",
            hint="Compare a model with the one it was made from.",
        )
    return ids[0]


def _tokens(checkpoint: Checkpoint, text: str) -> torch.Tensor:
    """Token ids int64 [n] without special tokens, by the file's own tokenizer where it is GGUF."""
    import torch

    if checkpoint.kind is not SourceKind.GGUF:
        return tokenize(source_folder(checkpoint), text)
    with LlamaModel(checkpoint.path) as model:
        return torch.tensor(model.tokenize(text), dtype=torch.int64)


def _paired(source: str, after: LikelihoodSum, before: LikelihoodSum) -> PairedScore:
    difference, error = paired_difference(after, before)
    return PairedScore(source, before.perplexity, before.perplexity_se, difference, error)


def _longest(checkpoint: Checkpoint) -> int | None:
    return checkpoint.config.context_length if checkpoint.config is not None else None


def _check(checkpoint: Checkpoint, context: int | None) -> None:
    if context is not None and context < MINIMUM_CONTEXT:
        raise UserError(f"A context of {context} tokens is not possible.", hint="Give at least 2.")
    check_runs(checkpoint)


def _check_context(checkpoints: Sequence[Checkpoint], context: int) -> None:
    """Raises UserError for a model that sees one token at a time, and where llama.cpp's cache is more than is free."""
    if context < MINIMUM_CONTEXT:
        raise UserError(
            f"The model was trained for a context of {context} token, so no token can be scored given others.",
            hint=f"Choose a model that takes at least {MINIMUM_CONTEXT}.",
        )
    for checkpoint in checkpoints:
        if checkpoint.kind is SourceKind.GGUF:  # transformers keeps no cache for it
            check_memory(checkpoint, context)

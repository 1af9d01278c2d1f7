"""Evaluates a checkpoint as its users run it: loaded by transformers with the library it names, scored on a text."""

from __future__ import annotations

import time
from pathlib import Path

import psutil

from quantgui.jobs.events import Evaluation, Progress, Stage, Started
from quantgui.jobs.job import EvaluateJob
from quantgui.pipeline import Emit
from quantgui.pipeline.device import choose_device
from quantgui.pipeline.library_model import load_model
from quantgui.pipeline.source import open_source, source_folder
from quantgui.quality.perplexity import score
from quantgui.quality.text import bundled_text, read_text, tokenize
from quantgui.types import GIB, Checkpoint, SourceKind, UserError

MINIMUM_CONTEXT = 2


def evaluate(job: EvaluateJob, emit: Emit) -> Evaluation:
    """Perplexity of `job.source` on `job.text`. Raises UserError for models without a head, tokenizer or room."""
    started = time.monotonic()
    emit(Stage("Reading the model"))
    checkpoint = open_source(job.source)
    _check(checkpoint, job.context)
    folder = source_folder(checkpoint)
    text = Path(job.text) if job.text else bundled_text("evaluation")
    ids = tokenize(folder, read_text(text))
    if len(ids) < MINIMUM_CONTEXT:
        raise UserError(f"{text.name} has {len(ids)} tokens; at least {MINIMUM_CONTEXT} are needed.")
    context = min(job.context or 512, _longest(checkpoint) or len(ids))
    emit(Stage("Loading the model"))
    model = load_model(folder).to(choose_device(job.device))
    emit(Started(job.id, len(ids), 0))
    emit(Stage("Scoring the text"))
    done = 0

    def on_tokens(count: int) -> None:
        nonlocal done
        done += count
        emit(Progress(done))

    sums = score(model, ids, context, on_tokens)
    return Evaluation(
        tokens=sums.tokens,
        perplexity=sums.perplexity,
        perplexity_se=sums.perplexity_se,
        context=context,
        text=text.name,
        seconds=time.monotonic() - started,
    )


def _longest(checkpoint: Checkpoint) -> int | None:
    return checkpoint.config.context_length if checkpoint.config is not None else None


def _check(checkpoint: Checkpoint, context: int | None) -> None:
    if context is not None and context < MINIMUM_CONTEXT:
        raise UserError(f"A context of {context} tokens is not possible.", hint="Give at least 2.")
    if checkpoint.kind not in (SourceKind.FOLDER, SourceKind.TORCH):
        raise UserError(
            f"“{checkpoint.name}” cannot be evaluated yet.", hint="Open the Hugging Face folder of the model instead."
        )
    architecture = checkpoint.config.architecture if checkpoint.config is not None else ""
    if not architecture.endswith(("ForCausalLM", "LMHeadModel")):
        raise UserError(
            f"“{checkpoint.name}” does not predict text ({architecture or 'no architecture stated'}).",
            hint="Perplexity is defined for causal language models.",
        )
    needed, available = 2 * checkpoint.nbytes, psutil.virtual_memory().available
    if needed > available:
        raise UserError(
            f"Loading the model takes about {needed / GIB:.1f} GiB, and {available / GIB:.1f} GiB are free.",
            hint="Close other programs, or evaluate it on a machine with more memory.",
        )

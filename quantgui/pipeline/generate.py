"""Continues a prompt and tells the text as it comes, with speed and memory."""

from __future__ import annotations

import time
from contextlib import AbstractContextManager
from pathlib import Path

import psutil

from quantgui.checkpoint.gguf_checkpoint import check_is_model
from quantgui.fit.kv_cache import kv_cache
from quantgui.jobs.events import Generation, Stage, Started, TextPiece
from quantgui.jobs.job import GenerateJob
from quantgui.pipeline import Emit
from quantgui.pipeline.llama_check import predicts_text
from quantgui.pipeline.progress import ProgressTeller
from quantgui.pipeline.source import open_source, source_folder
from quantgui.pipeline.speakers import Speaker, llama_speaker, transformers_speaker
from quantgui.quality.sampling import Sampler
from quantgui.types import GIB, Checkpoint, SourceKind, UserError

LONGEST_PROMPT = 1 << 20
"""Characters."""


def generate(job: GenerateJob, emit: Emit) -> Generation:
    """The continuation of `job.prompt`, as far as the model's context goes.

    Raises UserError for models that predict no text, and for prompts that are longer than the context or the memory.
    """
    started = time.monotonic()
    emit(Stage("Loading the model"))
    checkpoint = open_source(job.source)
    _check(job, checkpoint)
    with _speaker(job, checkpoint) as speaker:
        prompt = speaker.begin(job.prompt)
        if not prompt:
            raise UserError("The prompt has no tokens.", hint="Write a few words to be continued.")
        most = _most_tokens(job, checkpoint, len(prompt))
        speaker.make_room(len(prompt) + most - 1)
        loaded = time.monotonic()
        emit(Started(job.id, 0, 0))
        return _write(job, speaker, prompt, most, loaded - started, emit)


def _most_tokens(job: GenerateJob, checkpoint: Checkpoint, prompt: int) -> int:
    """How many tokens follow a prompt of so many; the last one need not be read, so it takes no place.

    Raises UserError where the prompt alone is too long, and for too little memory.
    """
    context = checkpoint.config.context_length if checkpoint.config is not None else None
    if context is not None and prompt > context:
        raise UserError(
            f"The prompt has {prompt:,} tokens, and is longer than the context of {context:,} tokens that the model "
            "was trained for.",
            hint="Shorten it.",
        )
    most = job.tokens if context is None else min(job.tokens, context - prompt + 1)
    check_memory(checkpoint, prompt + most)
    return most


def _write(
    job: GenerateJob, speaker: Speaker, prompt: list[int], most: int, load_seconds: float, emit: Emit
) -> Generation:
    """Up to `most` tokens, told as they come."""
    teller, process, sampler = ProgressTeller(emit), psutil.Process(), Sampler(job.temperature, job.seed)
    pieces: list[str] = []
    begun = time.monotonic()
    first = last = begun
    peak, count, tokens = 0, 0, prompt
    while count < most:
        token = sampler.choose(speaker.logits(tokens))
        last = time.monotonic()
        first = last if not count else first
        if speaker.ends(token):
            break
        count += 1
        tokens = [token]
        if piece := speaker.text(token):
            pieces.append(piece)
            emit(TextPiece(piece))
        teller.add(1, "")
        if count % 16 == 1:
            peak = max(peak, process.memory_info().rss)
    teller.finish("")
    return Generation(
        text="".join(pieces),
        tokens=count,
        prompt_tokens=len(prompt),
        seconds=last - first,
        prompt_seconds=first - begun,
        load_seconds=load_seconds,
        peak_rss_bytes=max(peak, process.memory_info().rss),
        fills_context=count == most < job.tokens,
    )


def _speaker(job: GenerateJob, checkpoint: Checkpoint) -> AbstractContextManager[Speaker]:
    threads = job.threads or psutil.cpu_count(logical=False) or 1
    if checkpoint.kind is SourceKind.GGUF:
        return llama_speaker(Path(checkpoint.path), threads)
    return transformers_speaker(source_folder(checkpoint), job.device, threads)


def _check(job: GenerateJob, checkpoint: Checkpoint) -> None:
    if job.tokens < 1:
        raise UserError(f"{job.tokens} tokens cannot be written.", hint="Ask for at least one.")
    if not 0 <= job.temperature <= 10:
        raise UserError(f"A temperature of {job.temperature:g} is not possible.", hint="Use 0 to 2.")
    if len(job.prompt) > LONGEST_PROMPT:
        raise UserError("The prompt is too long.", hint="Shorten it.")
    check_runs(checkpoint)


def check_runs(checkpoint: Checkpoint) -> None:
    """Raises UserError for what holds no complete model, for models that predict no text, and for too little memory."""
    if checkpoint.kind not in (SourceKind.FOLDER, SourceKind.TORCH, SourceKind.GGUF):
        raise UserError(
            f"“{checkpoint.name}” is not a complete model.", hint="Open the model's folder, or its GGUF file."
        )
    check_is_model(checkpoint)
    architecture = checkpoint.config.architecture if checkpoint.config is not None else ""
    if checkpoint.kind is SourceKind.GGUF:
        speaks = predicts_text(checkpoint)
    else:
        speaks = architecture.endswith(("ForCausalLM", "LMHeadModel"))
    if not speaks:
        raise UserError(
            f"“{checkpoint.name}” does not predict text ({architecture or 'no architecture stated'}).",
            hint="Choose a causal language model.",
        )
    check_memory(checkpoint)


def check_memory(checkpoint: Checkpoint, tokens: int = 0) -> None:
    """Raises UserError where the model, and what attention keeps of a text of so many tokens, are more than is free."""
    is_gguf = checkpoint.kind is SourceKind.GGUF
    weights = checkpoint.nbytes if is_gguf else 2 * checkpoint.nbytes  # llama.cpp maps the file, transformers copies it
    cache, _ = kv_cache(checkpoint.config)
    dtype = "f32" if checkpoint.dtype == "F32" and not is_gguf else "f16"
    needed = weights + (cache.nbytes_for(tokens, 1, dtype) if cache is not None and tokens else 0)
    available = psutil.virtual_memory().available
    if needed <= available:
        return
    if weights <= available:
        what, hint = f"A text of {tokens:,} tokens", "Ask for a shorter one, or close other programs."
    else:
        what, hint = "Loading the model", "Close other programs, or use a machine with more memory."
    raise UserError(f"{what} takes about {needed / GIB:.1f} GiB, and {available / GIB:.1f} GiB are free.", hint=hint)

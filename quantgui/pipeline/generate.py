"""Continues a prompt and tells the text as it comes, with speed and memory."""

from __future__ import annotations

import time
from contextlib import AbstractContextManager
from pathlib import Path

import psutil

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
    """The continuation of `job.prompt`. Raises UserError for models that predict no text and prompts without room."""
    started = time.monotonic()
    emit(Stage("Loading the model"))
    checkpoint = open_source(job.source)
    _check(job, checkpoint)
    with _speaker(job, checkpoint) as speaker:
        prompt = speaker.begin(job.prompt)
        if not prompt:
            raise UserError("The prompt has no tokens.", hint="Write a few words to be continued.")
        loaded = time.monotonic()
        emit(Started(job.id, 0, 0))
        return _write(job, speaker, prompt, loaded - started, emit)


def _write(job: GenerateJob, speaker: Speaker, prompt: list[int], load_seconds: float, emit: Emit) -> Generation:
    teller, process, sampler = ProgressTeller(emit), psutil.Process(), Sampler(job.temperature, job.seed)
    pieces: list[str] = []
    begun = time.monotonic()
    first = last = begun
    peak, count, tokens = 0, 0, prompt
    while count < job.tokens:
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
    )


def _speaker(job: GenerateJob, checkpoint: Checkpoint) -> AbstractContextManager[Speaker]:
    threads = job.threads or psutil.cpu_count(logical=False) or 1
    if checkpoint.kind is SourceKind.GGUF:
        # A token has at least one byte; the tokens that a model adds by itself are few.
        room = len(job.prompt.encode()) + job.tokens + 8
        return llama_speaker(Path(checkpoint.path), room, threads)
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
    # transformers copies the weights, llama.cpp maps the file.
    needed = checkpoint.nbytes if checkpoint.kind is SourceKind.GGUF else 2 * checkpoint.nbytes
    available = psutil.virtual_memory().available
    if needed > available:
        raise UserError(
            f"Loading the model takes about {needed / GIB:.1f} GiB, and {available / GIB:.1f} GiB are free.",
            hint="Close other programs, or use a machine with more memory.",
        )

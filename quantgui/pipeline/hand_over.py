"""Gives a GGUF file to another program: Ollama by a Modelfile, LM Studio by a place in its folder of models."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from quantgui.checkpoint.gguf_checkpoint import part_files
from quantgui.checkpoint.gguf_header import SkippedValue, read_gguf, read_raw_keys
from quantgui.formats.gguf.handover import (
    is_foreign,
    llama_command,
    lm_studio_path,
    modelfile,
    modelfile_path,
    ollama_command,
    ollama_name,
)
from quantgui.jobs.events import HandOverResult, Stage
from quantgui.jobs.job import HandOverJob, Program
from quantgui.pipeline import Emit
from quantgui.pipeline.source import open_source
from quantgui.types import Checkpoint, SourceKind, UserError

CREATE_SECONDS = 3600
TEMPLATE_KEY = "tokenizer.chat_template"


def hand_over(job: HandOverJob, emit: Emit) -> HandOverResult:
    """Does what the program needs. Raises UserError for other files, names it cannot take, and where it says no."""
    emit(Stage("Reading the file"))
    checkpoint = open_source(job.source)
    if checkpoint.kind is not SourceKind.GGUF:
        raise UserError(f"“{checkpoint.name}” is not a GGUF file.", hint="Quantize the model to a GGUF type first.")
    path = Path(checkpoint.path)
    match job.program:
        case Program.OLLAMA:
            return _to_ollama(job, checkpoint, path, emit)
        case Program.LM_STUDIO:
            return _to_lm_studio(job, checkpoint, path, emit)
        case Program.LLAMA_CPP:
            return HandOverResult(str(path), llama_command(path), "This command serves the file with llama.cpp.")


def _to_ollama(job: HandOverJob, checkpoint: Checkpoint, path: Path, emit: Emit) -> HandOverResult:
    if len(part_files(path)) > 1:
        raise UserError(
            f"“{checkpoint.name}” lies in several files, and a Modelfile names one.",
            hint="Make it one file first: quantize it here, or merge it with llama-gguf-split --merge.",
        )
    name = ollama_name(job.name or path.stem)
    context = checkpoint.config.context_length if checkpoint.config is not None else None
    written = modelfile_path(path)
    if not job.overwrite and is_foreign(written):
        raise UserError(
            f"There is a {written.name} already, and it is not as QuantGUI wrote it.",
            hint="Rename it, or allow it to be replaced with --overwrite.",
            details=str(written),
        )
    written.write_text(modelfile(path, _chat_template(path), context), encoding="utf-8")
    command = ollama_command(name, written)
    program = shutil.which("ollama")
    if program is None:
        return HandOverResult(str(written), command, "Ollama is not installed here; this command adds the model to it.")
    emit(Stage("Adding the model to Ollama"))
    try:
        done = subprocess.run(
            [program, "create", name, "-f", str(written)],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=CREATE_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise UserError("Ollama did not finish within an hour.", hint=f"Run it yourself: {command}") from None
    if done.returncode:
        raise UserError(
            "Ollama did not take the model.",
            hint="Is it running? Start it with “ollama serve”, then try again.",
            details=(done.stderr or done.stdout)[-4000:],
        )
    return HandOverResult(str(written), f"ollama run {name}", f"Ollama knows the model as {name}.")


def _to_lm_studio(job: HandOverJob, checkpoint: Checkpoint, path: Path, emit: Emit) -> HandOverResult:
    models = Path(job.folder).expanduser() if job.folder else Path.home() / ".lmstudio" / "models"
    if not models.is_dir():
        raise UserError(
            f"LM Studio's folder of models is not at {models}.", hint="Install LM Studio, or name its folder."
        )
    targets = {lm_studio_path(models, checkpoint.name, file.name): file for file in part_files(path)}
    for target in targets:
        if os.path.lexists(target):
            raise UserError(f"LM Studio has a file at {target} already.", hint="Delete it there first.")
    emit(Stage("Adding the model to LM Studio"))
    first = next(iter(targets))
    first.parent.mkdir(parents=True, exist_ok=True)
    for target, file in reversed(targets.items()):  # a split model is listed by its first file: when all are there
        _place(file, target)
    return HandOverResult(str(first), "", f"LM Studio lists the model under {first.parent.parent.name}.")


def _place(file: Path, target: Path) -> None:
    """The file under another name: without a second copy where both lie on one disk."""
    try:
        os.link(file.resolve(), target)  # the file itself: a link to a cache's relative link would lead nowhere
    except OSError:
        partial = target.with_name(f"{target.name}.partial")
        try:
            shutil.copyfile(file, partial)
            partial.replace(target)
        finally:
            partial.unlink(missing_ok=True)


def _chat_template(path: Path) -> str | None:
    """The template of the file; a long one lies in its bytes only."""
    value = read_gguf(path).keys.get(TEMPLATE_KEY)
    if isinstance(value, SkippedValue):
        entry = dict(read_raw_keys(path))[TEMPLATE_KEY]
        return entry[-value.length :].decode("utf-8", "replace")
    return value if isinstance(value, str) else None

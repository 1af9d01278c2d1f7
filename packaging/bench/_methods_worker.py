"""One contestant of the benchmark `methods` in a process of its own: quantizes the bundled model, or scores a result.

python -m bench._methods_worker quantize CONTESTANT OUT SCHEME-AS-JSON    prints seconds and peak memory as JSON
python -m bench._methods_worker score FOLDER OUT                          writes the text's values token by token
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("GPTQMODEL_CPU_WORKERS", "2")  # read while gptqmodel is imported
os.environ.setdefault("TORCHDYNAMO_DISABLE", "1")

from quantgui.calibration.text import calibration_samples
from quantgui.checkpoint.resolve import resolve
from quantgui.jobs.codec import from_json
from quantgui.schemes.recipe import Recipe, SchemeSpec

CONTEXT = 512


def demo_folder() -> Path:
    """The bundled model's folder."""
    return Path(resolve("demo").path)


def ours(spec: SchemeSpec, output: Path) -> None:
    """The whole run as people start it, without the reload check."""
    from quantgui.jobs.job import QuantizeJob
    from quantgui.pipeline import run

    run(QuantizeJob("demo", str(output), Recipe(spec), verify=False), lambda event: None)


def gptqmodel(spec: SchemeSpec, output: Path) -> None:
    """gptqmodel's GPTQ with its own defaults, on the same samples, bits, group size and symmetry."""
    from gptqmodel import GPTQModel, QuantizeConfig

    samples = calibration_samples(demo_folder(), None, int(spec.parameters["samples"]), CONTEXT)
    config = QuantizeConfig(bits=int(spec.id.rpartition("-")[2]), group_size=128, sym=True, desc_act=False)
    model = GPTQModel.load(str(demo_folder()), config, device="cpu")
    model.quantize([{"input_ids": row.tolist(), "attention_mask": [1] * len(row)} for row in samples], batch_size=1)
    model.save(str(output))


def bitsandbytes(spec: SchemeSpec, output: Path) -> None:
    """bitsandbytes' NF4 through transformers."""
    import torch
    from transformers import AutoModelForCausalLM, BitsAndBytesConfig

    config = BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=torch.bfloat16)
    model = AutoModelForCausalLM.from_pretrained(demo_folder(), quantization_config=config, dtype="auto")
    model.save_pretrained(output)


def quanto(spec: SchemeSpec, output: Path) -> None:
    """optimum-quanto's int8 weights and activations with static scales, calibrated on the same samples, in float32."""
    import torch
    from optimum.quanto import Calibration, QuantizedModelForCausalLM, freeze, qint8, quantize
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(demo_folder(), dtype=torch.float32).eval()
    quantize(model, weights=qint8, activations=qint8, exclude="lm_head")
    samples = calibration_samples(demo_folder(), None, int(spec.parameters["samples"]), CONTEXT)
    with torch.no_grad(), Calibration():
        for row in samples:
            model(row.unsqueeze(0))
    freeze(model)
    QuantizedModelForCausalLM(model).save_pretrained(output)


CONTESTANTS: dict[str, Callable[[SchemeSpec, Path], None]] = {
    "ours": ours,
    "gptqmodel": gptqmodel,
    "bitsandbytes": bitsandbytes,
    "quanto": quanto,
}


def score_folder(folder: Path, output: Path) -> None:
    """Negative log-likelihoods of the evaluation text, token by token, float32, with dense weights as the library has
    them: how fast or in which dtype it computes is not what is compared."""
    import torch

    from quantgui.formats.registry import all_formats
    from quantgui.pipeline.library_model import in_float32, load_dense
    from quantgui.quality.perplexity import score
    from quantgui.quality.text import bundled_text, read_text, tokenize

    if (folder / "quanto_qmap.json").is_file():
        from optimum.quanto import QuantizedModelForCausalLM

        model = QuantizedModelForCausalLM.from_pretrained(str(folder))
    else:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        method = config.get("quantization_config", {}).get("quant_method", "")
        model = in_float32(load_dense(folder, all_formats().get(method.replace("-", "_")))[0])
    ids = tokenize(demo_folder(), read_text(bundled_text("evaluation")))
    sums = score(model, ids, CONTEXT, lambda tokens: None)
    torch.save(torch.cat(sums.parts), output)


def peak_bytes() -> int:
    """Most memory this process has had, resident."""
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def main(arguments: list[str]) -> dict[str, Any]:
    """Does one of the two; what it returns is the last line of the output."""
    if arguments[0] == "score":
        score_folder(Path(arguments[1]), Path(arguments[2]))
        return {}
    _, contestant, output, spec = arguments
    started = time.perf_counter()
    CONTESTANTS[contestant](from_json(spec, SchemeSpec), Path(output))
    return {"seconds": time.perf_counter() - started, "peak_mib": peak_bytes() / 2**20}


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1:])))

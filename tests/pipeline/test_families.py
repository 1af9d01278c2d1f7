"""Architectures whose layers are not plain Linear modules under the checkpoint's names: what is written loads.

The whole list is the benchmark `family-matrix`; these are the ones that once were written and could not be loaded.
"""

from pathlib import Path

import pytest

from quantgui.jobs.events import Event, Finished, TensorDone, VerificationStatus
from quantgui.jobs.job import QuantizeJob
from quantgui.pipeline import run
from quantgui.schemes.recipe import Recipe, Rule, SchemeSpec

SIZES = {
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 1,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "vocab_size": 96,
    "max_position_embeddings": 64,
}
INT4 = SchemeSpec("INT4", {"group_size": 32})


def saved(folder: Path, model_type: str, class_name: str, **sizes) -> Path:
    import torch
    import transformers

    torch.manual_seed(0)
    config = transformers.AutoConfig.for_model(model_type, **(SIZES | sizes))
    getattr(transformers, class_name)(config).to(torch.bfloat16).save_pretrained(folder)
    return folder


def quantized(source: Path, output: Path, recipe: Recipe) -> list[Event]:
    """The events of a run in this process; its check still starts one of its own."""
    events: list[Event] = []
    run(QuantizeJob(str(source), str(output), recipe), events.append)
    return events


@pytest.mark.parametrize(
    ("model_type", "class_name", "sizes", "recipe"),
    [
        ("mixtral", "MixtralForCausalLM", {"num_local_experts": 4}, Recipe(INT4)),
        ("mixtral", "MixtralForCausalLM", {"num_local_experts": 4}, Recipe(INT4, (Rule("*attn*", SchemeSpec("FP8")),))),
        ("gpt_neox", "GPTNeoXForCausalLM", {}, Recipe(INT4)),  # its head has another name in transformers
        ("bert", "BertForMaskedLM", {}, Recipe(INT4, (Rule("*attention*", SchemeSpec("INT8")),))),  # loses its prefix
    ],
    ids=["experts", "experts in a mix", "renamed head", "dropped prefix"],
)
def test_what_is_written_loads(tmp_path, model_type, class_name, sizes, recipe):
    source = saved(tmp_path / "model", model_type, class_name, **sizes)
    events = quantized(source, tmp_path / "out", recipe)
    finished = events[-1]
    assert isinstance(finished, Finished), finished
    assert finished.quantized is not None
    assert finished.quantized.verification.status is VerificationStatus.VERIFIED
    names = [e.report.name for e in events if isinstance(e, TensorDone) and e.report.scheme_id]
    assert len(names) >= 4
    assert ("experts" in str(names)) == (model_type == "mixtral")


@pytest.mark.parametrize(
    ("model_type", "architecture"), [("llama", "NoSuchForCausalLM"), ("nobody_knows", "NobodyForCausalLM")]
)
def test_a_model_that_transformers_cannot_load_either_is_written_and_not_called_verified(
    make_llama, tmp_path, model_type, architecture
):
    source = make_llama(model_type=model_type, architectures=[architecture])
    finished = quantized(source, tmp_path / "out", Recipe(INT4))[-1]
    assert isinstance(finished, Finished), finished
    assert finished.quantized is not None
    known = model_type == "llama"  # AutoModel goes by the model type alone
    expected = VerificationStatus.VERIFIED if known else VerificationStatus.NOT_VERIFIED
    assert finished.quantized.verification.status is expected

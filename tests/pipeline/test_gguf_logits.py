"""A converted F32 file in llama.cpp against transformers: the same predictions for every architecture."""

import json
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from quantgui.checkpoint import open_checkpoint
from quantgui.formats.gguf.plan import plan_gguf
from quantgui.formats.gguf.runtime.llama import LlamaModel
from quantgui.formats.gguf.size import gguf_rows
from quantgui.jobs.job import QuantizeJob
from quantgui.pipeline import run
from quantgui.pipeline.llama_check import TEXTS
from quantgui.quant.gguf_assignment import gguf_order
from quantgui.resource_files import resource
from quantgui.schemes.recipe import Recipe, SchemeSpec
from tests.formats.gguf.tokenizer.test_tekken import PATTERN, by_rank, tekken, trained
from tests.formats.gguf.tokenizer.test_tekken import TEXTS as RANKED
from tests.pipeline.gguf_architectures import MODELS
from tests.pipeline.gguf_models import write_byte_tokenizer

pytestmark = pytest.mark.slow

LIMIT = 1e-3
"""Largest difference of a logit. Most architectures stay below 1e-5, those with GELU below 5e-4."""
LIMITS = {"gemma3n": 5e-3}
"""Its 25 layers need not be less: rounding GELU alone moves the logits of transformers by 0.016."""
TOKENS = 100
UNUSED = ("k_proj", "v_proj", "k_norm")
"""Of Gemma 3n's last layers."""


def is_encoder(class_name: str) -> bool:
    """Whether the model turns a text into vectors."""
    return class_name.lower().endswith("bertconfig") or class_name == "RobertaConfig"


def saved(folder: Path, class_name: str, sizes: dict[str, Any]) -> Any:
    """A model with random weights (norms, biases, corrections), saved by transformers with a tokenizer beside it."""
    import torch
    import transformers

    torch.manual_seed(0)
    config = getattr(transformers, class_name)(**sizes)
    make = transformers.AutoModel if is_encoder(class_name) else transformers.AutoModelForCausalLM
    if "VL" in class_name:
        make = transformers.AutoModelForImageTextToText
    model = make.from_config(config).float().eval()
    with torch.no_grad():
        for parameter in model.state_dict().values():
            noise = torch.randn_like(parameter)
            parameter.copy_(parameter + 0.1 * noise if parameter.ndim == 1 else 0.03 * noise)
    model.save_pretrained(folder)
    if class_name == "Gemma3nTextConfig":
        add_unused_keys(folder / "model.safetensors", sizes)
    write_byte_tokenizer(folder)
    return model


def add_unused_keys(file: Path, sizes: dict[str, Any]) -> None:
    """Gemma 3n's last layers use the keys and values of earlier ones; Google's files hold their own all the same, and
    llama.cpp wants them."""
    from safetensors.torch import load_file, save_file

    tensors = load_file(file)
    layers, shared = sizes["num_hidden_layers"], sizes["num_kv_shared_layers"]
    for layer in range(layers - shared, layers):
        for part in UNUSED:
            name = "model.layers.{}.self_attn." + part + ".weight"
            tensors[name.format(layer)] = tensors[name.format(0)].clone()
    save_file(tensors, file, metadata={"format": "pt"})


def compute_as_ggml(model: Any) -> None:
    """Makes the model round where ggml does: GELU is looked up in a table of 16-bit floats, and Gemma 3n's sparse
    layers take the standard deviation of a sample."""
    import torch

    def sparse(module: Any, inputs: Any) -> Any:
        deviations = torch.distributions.Normal(0.0, 1.0).icdf(torch.tensor(module.activation_sparsity))
        mean, deviation = inputs.mean(-1, keepdim=True), inputs.std(-1, keepdim=True)
        return torch.relu(inputs - (mean + deviation * deviations))

    for module in model.modules():
        if "gelu" in type(module).__name__.lower():
            module.register_forward_pre_hook(lambda module, inputs: (inputs[0].half().float(),))
            module.register_forward_hook(lambda module, inputs, output: output.half().float())
        if hasattr(module, "_gaussian_topk"):
            module._gaussian_topk = partial(sparse, module)


def convert(source: Path, output: Path, scheme_id: str = "GGUF-F32") -> None:
    job = QuantizeJob(str(source), str(output), Recipe(SchemeSpec(scheme_id)), verify=False)
    run(job, lambda event: None)


@pytest.mark.filterwarnings("ignore:.*torch.jit.*:DeprecationWarning")
@pytest.mark.parametrize("name", MODELS)
def test_llama_cpp_predicts_what_transformers_predicts(name, tmp_path):
    import torch

    class_name, sizes = MODELS[name]
    model = saved(tmp_path / "source", class_name, sizes)
    convert(tmp_path / "source", tmp_path / "x.gguf")
    checkpoint = open_checkpoint(tmp_path / "source")
    predicted = {kind: size for kind, _, size in gguf_rows(checkpoint)}
    assert (tmp_path / "x.gguf").stat().st_size == predicted["F32"]
    order = gguf_order(checkpoint, Recipe(SchemeSpec("Q4_K_M")), {})
    assert plan_gguf(checkpoint, order.file_type, order.options, "x.gguf").file.nbytes == predicted["Q4_K_M"]
    tokens = [(37 * i + 11) % 280 + 5 for i in range(TOKENS)]  # none of them is padding
    compute_as_ggml(model)
    with torch.no_grad():
        output = model(torch.tensor([tokens]))
    with LlamaModel(tmp_path / "x.gguf") as loaded:
        if is_encoder(class_name):
            with loaded.encoder(128) as context:
                found, expected = context.embeddings(tokens), output.last_hidden_state[0]
        else:
            with loaded.context(256, cache_type="F32", flash_attention=False) as context:
                found, expected = context.logits(tokens, every=True), output.logits[0]
    assert found.shape == tuple(expected.shape)
    assert float(expected.abs().max()) > 0.5
    assert np.abs(found - expected.numpy()).max() <= LIMITS.get(name, LIMIT)


def test_gemma_3n_answers_the_same_without_the_keys_it_does_not_use(tmp_path):
    """transformers does not save them, and llama.cpp loads no file without them."""
    from safetensors.torch import load_file, save_file

    class_name, sizes = MODELS["gemma3n"]
    saved(tmp_path / "source", class_name, sizes)
    answers = []
    for name in ("published.gguf", "saved.gguf"):
        convert(tmp_path / "source", tmp_path / name)
        with LlamaModel(tmp_path / name) as loaded, loaded.context(64, cache_type="F32") as context:
            answers.append(context.logits(list(range(5, 37))))
        stored = load_file(file := tmp_path / "source" / "model.safetensors")
        own = sizes["num_hidden_layers"] - sizes["num_kv_shared_layers"]
        unused = {f"model.layers.{i}.self_attn.{part}.weight" for i in range(own, 25) for part in UNUSED}
        save_file({key: value for key, value in stored.items() if key not in unused}, file, metadata={"format": "pt"})
    assert np.array_equal(*answers)


def test_a_model_named_like_phi_3_loads(tmp_path):
    saved(tmp_path / "my-Phi-3-tune", *MODELS["llama tied"])
    convert(tmp_path / "my-Phi-3-tune", tmp_path / "x.gguf")
    with LlamaModel(tmp_path / "x.gguf") as loaded:
        assert loaded.tokenize("a")


def test_texts_become_the_same_tokens(tmp_path):
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(resource("demo_model", "tokenizer.json")))
    convert(resource("demo_model"), tmp_path / "x.gguf", "Q8_0")
    with LlamaModel(tmp_path / "x.gguf") as loaded:
        for text in (*TEXTS, "<|endoftext|>", "a<|endoftext|> b", "\u2028 \u00a0x\u200b", "0123456789" * 9, "'S 'll'D"):
            assert loaded.tokenize(text, parse_special=True) == tokenizer.encode(text).ids
        assert not loaded.adds_bos


def test_a_tekken_file_makes_the_tokens_that_its_ranks_make(tmp_path):
    import regex

    source, vocab = tmp_path / "source", trained(24)
    saved(source, *MODELS["llama tied"])
    (source / "tokenizer.json").unlink()
    (source / "tokenizer_config.json").unlink()
    (source / "tekken.json").write_text(json.dumps(tekken(vocab)))
    convert(source, tmp_path / "x.gguf")
    with LlamaModel(tmp_path / "x.gguf") as loaded:
        for text in (*TEXTS, *RANKED):
            pieces = [part for piece in regex.findall(PATTERN, text) for part in by_rank(piece.encode(), vocab)]
            assert loaded.tokenize(text) == [8 + vocab.index(piece) for piece in pieces]
        assert (loaded.bos, loaded.eos, loaded.adds_bos) == (1, 2, True)

"""Entries of importance matrices for every architecture: their shapes, their order, and what they are sums of."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from quantgui.checkpoint import open_checkpoint
from quantgui.formats.gguf.imatrix import ImportanceMatrix, TensorImportance, entry_shape, read_imatrix
from quantgui.formats.gguf.names import GgufTensor, gguf_tensors
from quantgui.formats.gguf.source import architecture_of
from quantgui.formats.gguf.transform import transformed_rows
from quantgui.jobs.events import Event, ImatrixResult, Started
from quantgui.jobs.job import Calibration, ImatrixJob, QuantizeJob
from quantgui.pipeline import run
from quantgui.pipeline.imatrix import compute_imatrix
from quantgui.pipeline.input_sums import entries_of
from quantgui.schemes.recipe import Recipe, SchemeSpec
from quantgui.types import Checkpoint, UserError
from tests.pipeline.gguf_architectures import MODELS
from tests.pipeline.test_gguf_logits import saved

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore:.*torch.jit.*:DeprecationWarning")]

IDS = torch.randint(5, 280, (2, 24), generator=torch.Generator().manual_seed(0))
TOKENS = IDS.numel()
UNSEEN = {
    "nomic_bert": {"attn_qkv"},
    "llama4": {"ffn_gate_exps", "ffn_up_exps", "ffn_down_exps"},
    **{name: {"ssm_dt"} for name in ("falcon_mamba", "jamba", "jamba dense", "mamba")},
}
"""What transformers joins, splits, computes at once or multiplies from the left, so that its inputs are not seen."""
LATENT = [name for name in MODELS if name.startswith(("deepseek", "glm4_moe_lite"))]
FUSED = ["gpt_oss", "granitemoe", "granitemoehybrid", "qwen3_vl_moe"]


@pytest.fixture(autouse=True)
def random_text(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not all of the models know the tokens that a text becomes."""
    monkeypatch.setattr("quantgui.pipeline.imatrix.calibration_samples", lambda *_: IDS)


def computed(folder: Path) -> tuple[ImatrixResult, ImportanceMatrix]:
    output = folder.parent / "a.imatrix.gguf"
    result = compute_imatrix(ImatrixJob(str(folder), str(output), Calibration()), lambda event: None)
    return result, read_imatrix(output)


@pytest.mark.parametrize("name", [name for name in MODELS if name != "gemma3n"])
def test_every_weight_of_the_layers_has_an_entry_of_its_shape_and_order(name: str, tmp_path: Path) -> None:
    saved(tmp_path / "model", *MODELS[name])
    result, matrix = computed(tmp_path / "model")
    checkpoint = open_checkpoint(tmp_path / "model")
    tensors = gguf_tensors(checkpoint)
    by_name = {tensor.name: tensor for tensor in tensors}
    for entry_name, entry in matrix.entries.items():
        shape = entry_shape(by_name[entry_name])
        assert (entry.sums.shape, entry.counts.shape) == (shape, shape[:1])
    assert {missing.split(".")[2] for missing in result.missing} == UNSEEN.get(name, set())
    numbered = numbered_columns(checkpoint, tensors)
    assert checkpoint.config is not None
    entries = entries_of(tensors, numbered, architecture_of(checkpoint), checkpoint.config)
    for tensor in tensors:
        if tensor.name in entries and tensor.sources[0] in numbered and len(tensor.shape) == 2:
            in_file = columns_in_file(checkpoint, tensor)  # multiplied, where a factor of the config goes into weights
            np.testing.assert_array_equal(entries[tensor.name].sums[0].argsort(), in_file.argsort())


def numbered_columns(checkpoint: Checkpoint, tensors: tuple[GgufTensor, ...]) -> dict[str, TensorImportance]:
    """Sums that are the number of the column in the checkpoint, for every matrix of the layers."""
    widths = {tensor.sources[0]: tensor.shape[-1] for tensor in tensors if tensor.layer is not None and tensor.sources}
    matrices = {info.name for info in checkpoint.tensors if len(info.shape) == 2 and info.name.endswith("weight")}
    return {
        name: TensorImportance(np.arange(width, dtype=np.float64)[None], np.ones(1))
        for name, width in widths.items()
        if name in matrices
    }


def columns_in_file(checkpoint: Checkpoint, tensor: GgufTensor) -> np.ndarray:
    """The number that each column of a tensor in the file has in the checkpoint, by way of the conversion itself."""
    (info,) = [info for info in checkpoint.tensors if info.name == tensor.sources[0]]
    columns = torch.arange(tensor.shape[-1])
    inputs_first = architecture_of(checkpoint) == "gpt2"
    source = columns[:, None].expand(info.shape) if inputs_first else columns.expand(info.shape)
    assert checkpoint.config is not None
    rows = transformed_rows(tensor, [source], architecture_of(checkpoint), checkpoint.config)
    _, first = next(rows.blocks(tensor.shape[-1]))
    return rows.values(first)[0].numpy()


def test_a_model_that_cannot_be_walked_is_refused(tmp_path: Path) -> None:
    saved(tmp_path / "model", *MODELS["gemma3n"])
    with pytest.raises(UserError, match="do not simply follow"):
        computed(tmp_path / "model")


@pytest.mark.parametrize("name", LATENT)
def test_heads_of_latent_attention_have_what_they_multiply(name: str, tmp_path: Path) -> None:
    """By the definition: queries without position, and latents weighed by the attention of each head."""
    model = saved(tmp_path / "model", *MODELS[name])
    _, matrix = computed(tmp_path / "model")
    model.set_attn_implementation("eager")
    attention = model.model.layers[1].self_attn
    seen: dict[str, Any] = {}
    made = attention.q_proj if attention.q_lora_rank is None else attention.q_b_proj
    made.register_forward_hook(lambda module, inputs, output: seen.update(queries=output))
    attention.kv_a_layernorm.register_forward_hook(lambda module, inputs, output: seen.update(latents=output))
    attention.register_forward_hook(lambda module, inputs, output: seen.update(probabilities=output[1]))
    with torch.no_grad():
        model(IDS)
    heads, width = attention.num_heads, attention.qk_nope_head_dim
    queries = seen["queries"].view(TOKENS, heads, -1)[..., :width]
    means = seen["probabilities"] @ seen["latents"].view(len(IDS), 1, IDS.shape[1], -1)
    expected = {"attn_k_b": queries.square().sum(0), "attn_v_b": means.square().sum((0, 2))}
    for part, sums in expected.items():
        entry = matrix.entries[f"blk.1.{part}.weight"]
        np.testing.assert_allclose(entry.sums, sums.numpy(), rtol=1e-3)
        assert entry.counts.tolist() == [TOKENS] * heads


@pytest.mark.parametrize("name", ["deepseek_v3", "gpt_oss", "gemma4 with shared keys"])
def test_a_model_is_quantized_with_its_own_matrix(name: str, tmp_path: Path) -> None:
    saved(tmp_path / "model", *MODELS[name])
    result, _ = computed(tmp_path / "model")
    recipe = Recipe(SchemeSpec("Q4_0", {"imatrix": result.output}))
    events: list[Event] = []
    run(QuantizeJob(str(tmp_path / "model"), str(tmp_path / "x.gguf"), recipe, verify=False), events.append)
    (started,) = [event for event in events if isinstance(event, Started)]
    assert not any("importance" in warning for warning in started.warnings)


@pytest.mark.parametrize("name", FUSED)
def test_experts_of_one_tensor_have_what_is_routed_to_them(name: str, tmp_path: Path) -> None:
    """All tokens go to as many experts as the config says, each as the router sees it."""
    model = saved(tmp_path / "model", *MODELS[name])
    _, matrix = computed(tmp_path / "model")
    chosen = model.config.get_text_config().num_experts_per_tok
    router = matrix.entries["blk.0.ffn_gate_inp.weight"]
    for part in ("gate", "up", "down"):
        assert matrix.entries[f"blk.0.ffn_{part}_exps.weight"].counts.sum() == chosen * TOKENS
    for part in ("gate", "up"):
        sums = matrix.entries[f"blk.0.ffn_{part}_exps.weight"].sums.sum(0)
        np.testing.assert_allclose(sums, chosen * router.sums[0], rtol=1e-3)


def test_each_expert_has_its_own_inputs(tmp_path: Path) -> None:
    model = saved(tmp_path / "model", *MODELS["granitemoe"])
    _, matrix = computed(tmp_path / "model")
    experts = model.model.layers[0].block_sparse_moe.experts
    seen: list[tuple[torch.Tensor, ...]] = []
    experts.register_forward_pre_hook(lambda module, inputs: seen.append(inputs))
    with torch.no_grad():
        model(IDS)
    hidden, indices = seen[0][:2]
    for number in range(experts.num_experts):
        inputs = hidden[(indices == number).any(-1)]
        gate, up = (inputs @ experts.gate_up_proj[number].T).chunk(2, dim=-1)
        inner = experts.act_fn(gate) * up
        for part, expected in (("gate", inputs), ("up", inputs), ("down", inner)):
            entry = matrix.entries[f"blk.0.ffn_{part}_exps.weight"]
            squares = expected.square().sum(0).detach().numpy()
            np.testing.assert_allclose(entry.sums[number], squares, rtol=1e-3, atol=1e-9)
            assert entry.counts[number] == len(inputs)

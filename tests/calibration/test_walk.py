"""The walk equals the whole model, for every kind of architecture, and shows each linear layer what it multiplies."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from quantgui.calibration.walk import Walk
from quantgui.checkpoint import open_checkpoint
from quantgui.checkpoint.tensor_data import TensorData
from quantgui.pipeline.library_model import load_model
from quantgui.types import UserError
from tests.calibration.models import ARCHITECTURES, saved

CPU = torch.device("cpu")
GEMMA3N = {"head_dim": 16, "intermediate_size": [128] * 2, "num_kv_shared_layers": 0, "vocab_size_per_layer_input": 96}
IDS = torch.randint(3, 96, (3, 24), generator=torch.Generator().manual_seed(0))


def walk_of(folder: Path, ids: torch.Tensor = IDS) -> Walk:
    checkpoint = open_checkpoint(folder)
    return Walk(checkpoint, ids, CPU, TensorData(checkpoint).tensor)


def whole_model(folder: Path, sample: int) -> torch.Tensor:
    with torch.no_grad():
        output = load_model(folder).float()(input_ids=IDS[sample : sample + 1])
    return next(value for value in output.values() if isinstance(value, torch.Tensor))[0]


@pytest.mark.parametrize(("model_type", "class_name", "sizes"), ARCHITECTURES, ids=[a[0] for a in ARCHITECTURES])
def test_block_by_block_is_the_whole_model(model_type, class_name, sizes, tmp_path):
    folder = saved(tmp_path / "model", model_type, class_name, **sizes)
    walk = walk_of(folder)
    visited: dict[str, int] = {}
    for block in walk:
        block.capture(lambda name, inputs: visited.update({name: visited.get(name, 0) + len(inputs)}))
        assert {name for group in block.input_groups() for name in group} == set(block.linears)
    torch.testing.assert_close(walk.logits(1), whole_model(folder, 1), rtol=1e-4, atol=1e-5)
    matrices = {t.name for t in open_checkpoint(folder).tensors if len(t.shape) == 2 and t.layer is not None}
    assert set(walk.block_tensors()) == matrices
    dense = {name: tokens for name, tokens in visited.items() if ".experts." not in name}
    assert set(dense.values()) == {IDS.numel()}


def test_only_one_block_is_in_memory(tmp_path):
    walk = walk_of(saved(tmp_path / "model", "llama", "LlamaForCausalLM"))
    for block in walk:
        held = {index for index in range(len(walk)) if not any(p.is_meta for p in walk._blocks[index].parameters())}
        assert held == {block.index}


@pytest.mark.parametrize(
    ("model_type", "class_name", "sizes"),
    [ARCHITECTURES[0], next(a for a in ARCHITECTURES if a[0] == "gpt2"), ARCHITECTURES[-1]],
    ids=["Linear", "Conv1D", "experts"],
)
def test_a_changed_weight_is_seen_by_all_that_follows(model_type, class_name, sizes, tmp_path):
    """Halving every matrix of block 0 in the walk equals halving them in the file: the views are the weights."""
    folder = saved(tmp_path / "model", model_type, class_name, **sizes)
    walk = walk_of(folder)
    changed = set()
    for block in walk:
        if block.index == 0:
            changed |= set(block.linears)
            for weight in block.linears.values():
                weight.mul_(0.5)
    tensors = load_file(folder / "model.safetensors")
    for name in changed:
        tensors[name] *= 0.5
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    torch.testing.assert_close(walk.logits(2), whole_model(folder, 2), rtol=1e-4, atol=1e-5)


def test_what_is_captured_is_what_is_multiplied(tmp_path):
    """The last linear of a block, applied to its captured inputs, gives what the block adds to the residual stream."""
    walk = walk_of(saved(tmp_path / "model", "llama", "LlamaForCausalLM"))
    for block in walk:
        groups = block.input_groups()
        assert [[name.split(".")[-2] for name in group] for group in groups] == [
            ["q_proj", "k_proj", "v_proj"],
            ["o_proj"],
            ["gate_proj", "up_proj"],
            ["down_proj"],
        ]
        (down,) = groups[-1]
        inputs: list[torch.Tensor] = []
        block.capture(lambda name, rows, inputs=inputs: inputs.append(rows), [down])
        assert len(inputs) == len(IDS)
        with_down = block.output(0)
        added = inputs[0] @ block.linears[down].T
        block.linears[down].zero_()
        torch.testing.assert_close(with_down - block.output(0), added, rtol=1e-4, atol=1e-5)


def test_experts_work_at_the_same_stage(tmp_path):
    folder = saved(tmp_path / "model", "mixtral", "MixtralForCausalLM", num_local_experts=4)
    for block in walk_of(folder, IDS[:, :2]):  # two tokens do not reach all experts
        stages = block.stages()
        names = [{name.split(".")[-2] for group in stage for name in group} for stage in stages]
        assert names[:3] == [{"q_proj", "k_proj", "v_proj"}, {"o_proj"}, {"gate"}]
        assert names[3:] == [{"w1", "w3"}, {"w2"}]
        assert {name for stage in stages for group in stage for name in group} == set(block.linears)


def test_another_weight_than_the_stored_one_can_be_simulated(tmp_path):
    folder = saved(tmp_path / "model", "llama", "LlamaForCausalLM")
    checkpoint = open_checkpoint(folder)
    with TensorData(checkpoint) as data:
        walk = Walk(checkpoint, IDS, CPU, lambda info: data.tensor(info).bfloat16())
        for _ in walk:
            pass
        tensors = {name: tensor.bfloat16().float() for name, tensor in load_file(folder / "model.safetensors").items()}
        save_file(tensors, folder / "model.safetensors", {"format": "pt"})
        torch.testing.assert_close(walk.logits(0), whole_model(folder, 0), rtol=1e-4, atol=1e-5)


def test_activations_that_are_not_finite_are_told_with_the_layers_name(make_llama, tmp_path):
    tensors = load_file(make_llama() / "model.safetensors")
    tensors["model.layers.0.mlp.up_proj.weight"].fill_(1e30)
    tensors["model.layers.0.mlp.gate_proj.weight"].fill_(1e30)
    folder = make_llama("broken", tensors={name: tensor.numpy() for name, tensor in tensors.items()})
    with pytest.raises(UserError, match="The outputs of layer 0 are not finite"):
        for _ in walk_of(folder):
            pass
    with pytest.raises(UserError, match=r"The inputs of model\.layers\.0\.mlp\.down_proj\.weight"):
        for block in walk_of(folder):
            block.capture(lambda name, inputs: None)


@pytest.mark.parametrize(
    ("model_type", "class_name", "sizes", "words"),
    [
        ("t5", "T5ForConditionalGeneration", {"d_model": 64}, "encoder-decoder"),
        ("albert", "AlbertModel", {"embedding_size": 32}, "do not simply follow"),
        ("gemma3n_text", "Gemma3nForCausalLM", GEMMA3N, "do not simply follow"),
    ],
)
def test_architectures_that_cannot_be_walked_are_refused_in_words(model_type, class_name, sizes, words, tmp_path):
    folder = saved(tmp_path / "model", model_type, class_name, **sizes)
    with pytest.raises(UserError, match=words):
        for _ in walk_of(folder):
            pass


def test_tokens_that_the_model_does_not_know_are_refused(tiny_llama_folder):
    with pytest.raises(UserError, match=r"gives token 96"):
        next(iter(walk_of(tiny_llama_folder, torch.full((1, 8), 96))))


def test_a_lacking_weight_is_named(make_llama, tmp_path):
    tensors = load_file(make_llama() / "model.safetensors")
    del tensors["model.layers.1.mlp.up_proj.weight"]
    folder = make_llama("lacking", tensors={name: tensor.numpy() for name, tensor in tensors.items()})
    with pytest.raises(UserError, match=r"lacks model\.layers\.1\.mlp\.up_proj\.weight"):
        for _ in walk_of(folder):
            pass

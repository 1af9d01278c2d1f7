"""Which scales can be folded where, architecture by architecture; folding them changes nothing."""

import pytest
import torch

from quantgui.calibration.scale_pairs import find_pairs, multiply_source
from quantgui.calibration.walk import Walk
from quantgui.checkpoint import open_checkpoint
from quantgui.checkpoint.tensor_data import TensorData
from tests.calibration.models import ARCHITECTURES, saved

IDS = torch.randint(3, 96, (2, 24), generator=torch.Generator().manual_seed(0))
LLAMA = {
    "input_layernorm": {"q_proj", "k_proj", "v_proj"},
    "v_proj": {"o_proj"},
    "post_attention_layernorm": {"gate_proj", "up_proj"},
    "up_proj": {"down_proj"},
}
EXPECTED = {
    "llama": LLAMA,
    "qwen2": LLAMA,
    "qwen3": LLAMA,
    "mistral": LLAMA,
    "gemma": LLAMA,
    "gemma2": LLAMA | {"pre_feedforward_layernorm": {"gate_proj", "up_proj"}, "post_attention_layernorm": None},
    "phi": {"input_layernorm": {"q_proj", "k_proj", "v_proj", "fc1"}, "v_proj": {"dense"}},
    "phi3": {
        "input_layernorm": {"qkv_proj"},
        "qkv_proj": {"o_proj"},
        "post_attention_layernorm": {"gate_up_proj"},
        "gate_up_proj": {"down_proj"},
    },
    "gpt2": {"ln_1": {"c_attn"}, "c_attn": {"c_proj"}, "ln_2": {"c_fc"}},
    "gpt_neox": {
        "input_layernorm": {"query_key_value"},
        "query_key_value": {"dense"},
        "post_attention_layernorm": {"dense_h_to_4h"},
    },
    "opt": {
        "self_attn_layer_norm": {"q_proj", "k_proj", "v_proj"},
        "v_proj": {"out_proj"},
        "final_layer_norm": {"fc1"},
        "fc1": {"fc2"},
    },
    "bert": {"value": {"dense"}},  # what follows a norm there is also what the residual stream carries on
}


def part(name: str) -> str:
    return name.split(".")[-2]


@pytest.mark.parametrize("model_type", EXPECTED)
def test_pairs_are_found_and_folding_changes_nothing(model_type, tmp_path):
    architecture = next(a for a in ARCHITECTURES if a[0] == model_type)
    folder = saved(tmp_path / "model", *architecture[:2], **architecture[2])
    checkpoint = open_checkpoint(folder)
    walk = Walk(checkpoint, IDS, torch.device("cpu"), TensorData(checkpoint).tensor)
    expected = {source: linears for source, linears in EXPECTED[model_type].items() if linears}
    for block in walk:
        before = {name: tensor.clone() for name, tensor in (block.linears | block.vectors).items()}
        pairs = find_pairs(block)
        assert {part(p.source): {part(name) for name in p.linears} for p in pairs} == expected
        assert all(torch.equal(tensor, before[name]) for name, tensor in (block.linears | block.vectors).items())
        assert {p.offset for p in pairs if p.is_norm} <= ({1.0} if model_type.startswith("gemma") else {0.0})
        output = block.output(1)
        for pair in pairs:
            scales = pair.shared(torch.rand(len(pair.rows)) + 0.5)
            for name in pair.linears:
                block.linears[name].mul_(scales)
            multiply_source({**block.linears, **block.vectors}, pair, scales)
        assert not all(torch.equal(tensor, before[name]) for name, tensor in block.linears.items())
        torch.testing.assert_close(block.output(1), output, rtol=1e-3, atol=1e-5)

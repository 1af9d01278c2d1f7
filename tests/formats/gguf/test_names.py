"""Names against llama.cpp's own map, for every architecture of the catalogue that it covers."""

import contextlib
import math
import re
from dataclasses import replace

import gguf
import pytest

from quantgui.checkpoint.catalogue import catalogue, checkpoint_from_config, find_entry
from quantgui.checkpoint.config import read_config
from quantgui.formats.gguf.layouts import LAYOUTS
from quantgui.formats.gguf.names import GgufTensor, gguf_tensors, layout_of
from quantgui.types import Checkpoint, SourceKind, TensorInfo, UserError
from tests.formats.gguf.tiny_configs import CONFIGS

ARCHITECTURES = {name: number for number, name in gguf.MODEL_ARCH_NAMES.items()}
NEWER_THAN_THE_LIBRARY = {"deepseek_v32"}
MADE_ANEW = re.compile(
    r"attn_[kv]_b\.|attn_(q|k|v|qkv)\.|exp_probs_b|attn_sinks|ffn_(gate|up|down|gate_up)_exps|ffn_gate_inp\.scale"
    r"|layer_output_scale|ssm_dt|attn_gate|ffn_(gate|up)_shexp|altup_(unembd_)?proj|altup_correct_scale"
)
"""Tensors that the converter cuts or names itself, before or without the map."""


def _one_of_each() -> dict[str, Checkpoint]:
    found: dict[str, Checkpoint] = {}
    for entry in catalogue():
        model_type = entry.config.model_type
        if entry.supported and model_type in LAYOUTS and model_type not in found:
            with contextlib.suppress(UserError):  # a config of the catalogue may be incomplete
                found[model_type] = entry.checkpoint()
    for model_type, values in CONFIGS.items():
        if model_type not in found:
            found[model_type] = checkpoint_from_config(model_type, read_config({"model_type": model_type, **values}))
    return found


ONE_OF_EACH = _one_of_each()


@pytest.mark.parametrize("model_type", sorted(ONE_OF_EACH.keys() - NEWER_THAN_THE_LIBRARY))
def test_every_name_is_the_one_llama_cpp_maps_to(model_type):
    checkpoint = ONE_OF_EACH[model_type]
    assert checkpoint.config is not None
    layers = checkpoint.config.num_layers or 0
    names = gguf.get_tensor_name_map(ARCHITECTURES[layout_of(checkpoint.config).architecture], layers)
    for tensor in gguf_tensors(checkpoint):
        for source in () if _stands_in(tensor) else tensor.sources:
            whole = re.sub(r"(experts|norms)\.\d+\.", r"\1.", source).replace("layernorm.norms", "layernorm")
            plain = whole.removeprefix("transformer.") if "bloom" in model_type else whole  # as its converter does
            mapped = names.get_name(plain, try_suffixes=(".weight", ".bias"))
            assert mapped == tensor.name or MADE_ANEW.search(tensor.name), (source, tensor.name, mapped)


@pytest.mark.parametrize("model_type", sorted(ONE_OF_EACH))
def test_no_weight_is_lost_and_none_invented(model_type):
    checkpoint = ONE_OF_EACH[model_type]
    made = [tensor for tensor in gguf_tensors(checkpoint) if tensor.sources and not _stands_in(tensor)]
    used = {source for tensor in made for source in tensor.sources}
    kept = [t for t in checkpoint.tensors if t.name in used]
    unread = 0
    if "roberta" in model_type:
        unread = 2 * checkpoint.tensors[0].shape[-1]  # positions before the padding's
    if "gemma3n" in model_type:
        assert checkpoint.config is not None
        raw = checkpoint.config.raw  # tokens of pictures and sounds
        unread = (raw["vocab_size"] - raw["vocab_size_per_layer_input"]) * raw["hidden_size"]
    assert sum(math.prod(t.shape) for t in made) == sum(t.numel for t in kept) - unread
    dropped = {t.name for t in checkpoint.tensors} - used
    assert all(name.startswith(("pooler.", "lm_head.")) for name in dropped)


def test_the_order_is_layer_then_name():
    names = [t.name for t in gguf_tensors(find_entry("meta-llama/Llama-3.1-8B-Instruct").checkpoint())]
    assert names[:4] == ["output.weight", "output_norm.weight", "rope_freqs.weight", "token_embd.weight"]
    layers = [int(name.split(".")[1]) for name in names if name.startswith("blk.")]
    assert layers == sorted(layers)  # blk.10 after blk.9, not after blk.1


def test_buffers_are_left_out_and_biases_of_similar_names_are_not():
    falcon = find_entry("tiiuae/falcon-40b-instruct").checkpoint()
    buffer = TensorInfo("transformer.h.0.attn.bias", (1, 1, 4, 4), "BF16", 32)
    names = {t.name for t in gguf_tensors(replace(falcon, tensors=(*falcon.tensors, buffer)))}
    assert names == {t.name for t in gguf_tensors(falcon)}
    assert "blk.0.attn_norm_2.bias" in names


def test_layers_behind_the_last_are_left_out():
    checkpoint = find_entry("deepseek-ai/DeepSeek-V3").checkpoint()
    assert checkpoint.config is not None
    name = f"model.layers.{checkpoint.config.num_layers}.eh_proj.weight"
    more = TensorInfo(name, (7168, 14336), "BF16", 2 * 7168 * 14336)
    with_more = replace(checkpoint, tensors=(*checkpoint.tensors, more))
    assert _shapes(gguf_tensors(with_more)) == _shapes(gguf_tensors(checkpoint))


def test_experts_become_one_tensor_and_the_router_stays():
    tensors = {t.name: t for t in gguf_tensors(find_entry("mistralai/Mixtral-8x7B-v0.1").checkpoint())}
    assert tensors["blk.0.ffn_down_exps.weight"].shape == (8, 4096, 14336)
    assert len(tensors["blk.0.ffn_down_exps.weight"].sources) == 8
    assert tensors["blk.0.ffn_gate_inp.weight"].shape == (8, 4096)


def test_packed_experts_of_gpt_oss_are_the_same_tensors():
    plain = ONE_OF_EACH["gpt_oss"]
    packed = []
    for tensor in plain.tensors:
        if tensor.name.endswith("_proj") and "experts" in tensor.name:
            experts, inputs, outputs = tensor.shape
            shape = (experts, outputs, inputs // 32, 16)
            packed.append(TensorInfo(f"{tensor.name}_blocks", shape, "U8", math.prod(shape)))
            packed.append(TensorInfo(f"{tensor.name}_scales", shape[:-1], "U8", math.prod(shape[:-1])))
        else:
            packed.append(tensor)
    as_published = Checkpoint("", SourceKind.CONFIG, "", tuple(packed), plain.config)
    assert _shapes(gguf_tensors(as_published)) == _shapes(gguf_tensors(plain))


def test_keys_that_gemma_3n_does_not_use_are_there_also_where_they_were_not_saved():
    saved = ONE_OF_EACH["gemma3n_text"]
    tensors = {tensor.name: tensor for tensor in saved.tensors}
    unused = []
    for layer in (8, 9):
        for part in ("k_proj", "v_proj", "k_norm"):
            name = "model.layers.{}.self_attn." + part + ".weight"
            assert name.format(layer) not in tensors
            unused.append(replace(tensors[name.format(0)], name=name.format(layer)))
    published = gguf_tensors(replace(saved, tensors=(*saved.tensors, *unused)))
    found = gguf_tensors(saved)
    assert _shapes(found) == _shapes(published)
    assert sum(map(_stands_in, found)) == len(unused)
    assert not any(map(_stands_in, published))


def test_a_tied_head_that_is_stored_is_left_out_where_the_converter_leaves_it_out():
    entry = find_entry("google/gemma-2-2b-it")
    stored = checkpoint_from_config("", entry.config, stores_tied_head=True)
    assert _shapes(gguf_tensors(stored)) == _shapes(gguf_tensors(entry.checkpoint()))


def test_what_has_no_place_is_named():
    checkpoint = find_entry("Qwen/Qwen3-4B").checkpoint()
    odd = TensorInfo("model.layers.0.self_attn.brand_new.weight", (4, 4), "BF16", 32)
    with pytest.raises(UserError, match="brand_new"):
        gguf_tensors(Checkpoint("", SourceKind.CONFIG, "", (*checkpoint.tensors, odd), checkpoint.config))
    flat = TensorInfo("model.layers.0.mlp.experts.down_proj", (4,), "BF16", 8)
    with pytest.raises(UserError, match="unexpected shape"):
        gguf_tensors(Checkpoint("", SourceKind.CONFIG, "", (flat,), ONE_OF_EACH["gpt_oss"].config))
    unknown = Checkpoint("", SourceKind.CONFIG, "", (), read_config({"model_type": "no_such"}))
    with pytest.raises(UserError, match="no_such"):
        gguf_tensors(unknown)
    with pytest.raises(UserError, match=r"no config\.json with a model_type"):
        gguf_tensors(Checkpoint("", SourceKind.SAFETENSORS, "", ()))


def _stands_in(tensor: GgufTensor) -> bool:
    """Whether a tensor is made of another layer's."""
    return tensor.layer is not None and f".{tensor.layer}." not in tensor.sources[0]


def _shapes(tensors: tuple[GgufTensor, ...]) -> dict[str, tuple[int, ...]]:
    return {tensor.name: tensor.shape for tensor in tensors}

"""The answers follow the hardware, name precisions that exist, and fit."""

from __future__ import annotations

import pytest
from PySide6.QtWidgets import QPushButton

from quantgui.checkpoint import open_checkpoint
from quantgui.checkpoint.resolve import resolve
from quantgui.fit.estimate import estimate_all, estimate_table
from quantgui.fit.settings import FitSettings
from quantgui.fit.weights import recipe_weights
from quantgui.formats.gguf.tensor_size import tensor_nbytes
from quantgui.gui.recipe import advice
from quantgui.gui.recipe.advice import answers
from quantgui.gui.recipe.advice_card import AdviceCard
from quantgui.hardware.custom import custom_target
from quantgui.quant.registry import build
from quantgui.schemes.recipe import Recipe, SchemeSpec
from quantgui.types import Checkpoint, ModelConfig, Role, Runtime, SourceKind, TensorInfo


@pytest.fixture
def model(tiny_llama_bf16):
    return open_checkpoint(tiny_llama_bf16)


def answered(model, *, vram_gib: float, ram_gib: float = 16, runtime: Runtime | None = None):
    target = custom_target("here", vram_gib=vram_gib, ram_gib=ram_gib)
    return answers(model, target, estimate_all(model, target, FitSettings(context=64)), runtime)


def test_every_precision_that_is_named_can_be_built(model):
    for answer in (*answered(model, vram_gib=8), *answered(model, vram_gib=0)):
        if answer.spec is not None:
            assert build(answer.spec).id == answer.spec.id
            assert answer.sentence.startswith(answer.spec.id)


def test_with_a_gpu_the_most_precise_that_fits(model):
    by_purpose = {answer.purpose: answer for answer in answered(model, vram_gib=8)}
    assert by_purpose["Serve with vLLM"].spec == SchemeSpec("BF16")
    assert "Run on the processor" not in by_purpose


def test_without_a_gpu_the_processor_is_answered(model):
    by_purpose = {answer.purpose: answer for answer in answered(model, vram_gib=0)}
    assert "Serve with vLLM" not in by_purpose
    assert by_purpose["Run on the processor"].spec == SchemeSpec("LLM.int8")


def test_what_the_processor_is_advised_stays_packed_in_memory(model):
    purpose = next(purpose for purpose in advice._PURPOSES if purpose.title == "Run on the processor")
    for id_ in purpose.candidates:
        assert recipe_weights(model, Recipe(SchemeSpec(id_))).unpacked is None


def test_what_fits_nowhere_is_said(model):
    found = answered(model, vram_gib=0.001, ram_gib=0.001)
    (nothing,) = [answer for answer in found if "fits here" in answer.sentence]
    assert nothing.sentence.startswith("Nothing that they run well"), "once for all purposes"
    assert nothing.spec is None and {"Serve with vLLM", "Fine-tune later"} <= set(nothing.purpose.split(" · "))


def test_llama_cpp_can_use_the_ram_beside_a_small_gpu():
    mixtral = resolve("mistralai/Mixtral-8x7B-v0.1")
    target = custom_target("here", vram_gib=12, ram_gib=64)
    by_purpose = {a.purpose: a for a in answers(mixtral, target, estimate_table(mixtral, target, FitSettings()))}
    answer = by_purpose["Ollama, LM Studio, llama.cpp"]
    assert answer.spec == SchemeSpec("Q4_K_M") and "RAM" in answer.sentence


@pytest.mark.parametrize(("kind", "quantization"), [("F16", None), ("Q8_0", "gguf")])
def test_a_gguf_file_is_advised_what_it_can_become(kind, quantization):
    nbytes = tensor_nbytes((256, 256), kind)
    tensors = (
        TensorInfo("token_embd.weight", (256, 256), kind, nbytes, role=Role.EMBEDDING, module="embed"),
        TensorInfo("blk.0.ffn_up.weight", (256, 256), kind, nbytes, role=Role.MLP, layer=0, module="mlp.up"),
    )
    config = ModelConfig(
        "llama", hidden_size=256, num_layers=1, num_heads=4, head_dim=64, vocab_size=256, quantization=quantization
    )
    file = Checkpoint("x", SourceKind.GGUF, "/x.gguf", tensors, config)
    target = custom_target("here", vram_gib=8, ram_gib=16)
    (answer,) = answers(file, target, estimate_table(file, target, FitSettings(context=64)))
    assert answer.spec == (None if quantization else SchemeSpec("Q8_0"))
    assert ("open the original" in answer.sentence) is (quantization is not None)


def test_the_chosen_runtime_comes_first(model):
    assert answered(model, vram_gib=8, runtime=Runtime.VLLM)[0].purpose == "Serve with vLLM"
    assert answered(model, vram_gib=8, runtime=Runtime.TRANSFORMERS)[0].purpose == "Use with transformers"


def test_an_answer_is_taken_with_its_button(qtbot, model):
    card = AdviceCard(is_open=True, remember=lambda how: None)
    qtbot.addWidget(card)
    card.show_answers(answered(model, vram_gib=8))
    use = next(b for b in card.findChildren(QPushButton) if b.accessibleName().startswith("Fine-tune"))
    with qtbot.waitSignal(card.chosen, check_params_cb=lambda spec: spec == SchemeSpec("NF4-DQ")):
        use.click()
    card.show_answers(())
    assert card.isHidden()

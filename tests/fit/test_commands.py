from __future__ import annotations

import ast
import shlex
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantgui.checkpoint.catalogue import find_entry
from quantgui.fit.commands import command_for, llama_server, mlx_generate, transformers_snippet, vllm_serve
from quantgui.fit.estimate import estimate_table
from quantgui.fit.settings import FitSettings
from quantgui.hardware.catalogue import target
from quantgui.types import (
    Checkpoint,
    DeviceLoad,
    HardwareTarget,
    MemoryEstimate,
    Placement,
    Runtime,
    SourceKind,
    TensorInfo,
    Verdict,
)

MODEL = find_entry("Llama-3.1-8B-Instruct").checkpoint()
CARD = target("RTX 3060")
SETTINGS = FitSettings(8192)
HOSTILE = "$(rm -rf ~); `x` 'y' \"z\" \\ \n end"


def row(
    scheme_id: str = "Q4_K_M", runtime: Runtime = Runtime.LLAMA_CPP, placement: Placement | None = None
) -> MemoryEstimate:
    return MemoryEstimate(scheme_id, 4.9, (), None, Verdict.FITS, "", runtime, placement)


def options(command: str) -> dict[str, str]:
    """Option -> value of a command line, as a shell would split it."""
    words = shlex.split(command)
    return {word: words[i + 1] for i, word in enumerate(words[:-1]) if word.startswith("-")}


def test_llama_server_says_what_was_estimated() -> None:
    command = llama_server(row(), MODEL, CARD, FitSettings(8192, 2, "q8_0"))
    assert command.startswith("llama-server -m Llama-3.1-8B-Instruct-Q4_K_M.gguf")
    found = options(command)
    assert (found["-ngl"], found["-c"], found["-np"]) == ("99", "16384", "2")
    assert (found["-ctk"], found["-ctv"], found["-fa"]) == ("q8_0", "q8_0", "on")
    assert "-ts" not in found


def test_a_gguf_file_is_named_for_its_own_type_and_others_by_what_they_would_be_called() -> None:
    file = Checkpoint("m-F16", SourceKind.GGUF, "/m-F16.gguf", (TensorInfo("w", (2, 2), "F16", 8),))
    for own in ("stored", "GGUF-F16"):
        assert options(llama_server(row(own), file, CARD, SETTINGS))["-m"] == "/m-F16.gguf"
    assert options(llama_server(row("Q8_0"), file, CARD, SETTINGS))["-m"] == "m-F16-Q8_0.gguf"


def test_slots_share_the_context() -> None:
    found = options(llama_server(row(), MODEL, CARD, FitSettings(8192, slots=4)))
    assert (found["-c"], found["-np"]) == ("8192", "4")


def test_offload_and_unequal_gpus_are_passed_on() -> None:
    small, large = target("RTX 3060").accelerators[0], target("RTX 4090").accelerators[0]
    both = HardwareTarget("two", "custom", (large, small), 64 * 2**30)
    found = options(llama_server(row(placement=Placement((), "", 20, 33)), MODEL, both, SETTINGS))
    assert found["-ngl"] == "20"
    assert found["-ts"] == "24,12"
    loads = tuple(DeviceLoad(gpu.name, 1, gpu.memory_bytes, n) for gpu, n in ((large, 23), (small, 10)))
    placed = options(llama_server(row(placement=Placement(loads, "", 33, 33)), MODEL, both, SETTINGS))
    assert placed["-ts"] == "23,10"
    experts = options(llama_server(row(placement=Placement((), "", 33, 33, 12)), MODEL, CARD, SETTINGS))
    assert (experts["-ngl"], experts["--n-cpu-moe"]) == ("99", "12")
    assert "-ngl" not in llama_server(row(), MODEL, target("Raspberry Pi 5"), SETTINGS)


def test_vllm_serves_with_the_context_and_all_gpus() -> None:
    command = vllm_serve(row("BF16", Runtime.VLLM), MODEL, target("RTX 4090", 2), FitSettings(4096, 8, "fp8"))
    found = options(command)
    assert command.startswith("vllm serve meta-llama/Llama-3.1-8B-Instruct ")
    assert (found["--max-model-len"], found["--max-num-seqs"]) == ("4096", "8")
    assert (found["--kv-cache-dtype"], found["--tensor-parallel-size"], found["--dtype"]) == ("fp8", "2", "bfloat16")
    assert found["--gpu-memory-utilization"] == "0.9"


def test_vllm_works_on_as_many_gpus_as_were_estimated() -> None:
    """Three cards cannot share 32 heads: the command names two, which vLLM starts on."""
    three = target("RTX 4090", 3)
    estimate = next(
        e for e in estimate_table(MODEL, three, FitSettings(4096, 32, runtime=Runtime.VLLM)) if e.scheme_id == "BF16"
    )
    assert estimate.verdict is Verdict.FITS
    found = options(vllm_serve(estimate, MODEL, three, FitSettings(4096)))
    assert found["--tensor-parallel-size"] == "2"


def test_mlx_takes_the_length_and_bits_of_its_cache() -> None:
    found = options(mlx_generate(row("4-bit", Runtime.MLX), MODEL, FitSettings(4096, kv_dtype="q4_0")))
    assert (found["--max-kv-size"], found["--kv-bits"]) == ("4096", "4")


@pytest.mark.parametrize("scheme_id", ["BF16", "INT4", "NF4-DQ", "LLM.int8", "FP32", "stored"])
def test_the_snippet_is_python(scheme_id: str) -> None:
    snippet = transformers_snippet(row(scheme_id, Runtime.TRANSFORMERS), MODEL)
    ast.parse(snippet)
    assert "from_pretrained" in snippet
    assert ("BitsAndBytesConfig" in snippet) == (scheme_id in ("NF4-DQ", "LLM.int8"))


@given(name=st.text(min_size=1, max_size=40) | st.just(HOSTILE), runtime=st.sampled_from(list(Runtime)))
def test_no_name_becomes_code(name: str, runtime: Runtime) -> None:
    command = command_for(row("Q4_K_M", runtime), replace(MODEL, name="m"), CARD, SETTINGS, path=name)
    if runtime is Runtime.TRANSFORMERS:
        literals = [node.value for node in ast.walk(ast.parse(command)) if isinstance(node, ast.Constant)]
        assert literals.count(name) >= 2
    else:
        assert name in shlex.split(command)

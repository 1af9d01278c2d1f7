from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from quantgui.cli.main import main
from quantgui.quant.registry import rows
from quantgui.types import GIB, MemoryKind, Verdict

ROW_KEYS = {
    "id",
    "bits_per_weight",
    "weights_bytes",
    "kv_cache_bytes",
    "compute_bytes",
    "overhead_bytes",
    "total_bytes",
    "file_bytes",
    "verdict",
}


DEEPSEEK_V32 = {
    "model_type": "deepseek_v32",
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "vocab_size": 64,
    "first_k_dense_replace": 2,
    "q_lora_rank": 32,
    "kv_lora_rank": 16,
    "qk_rope_head_dim": 8,
    "qk_nope_head_dim": 8,
    "v_head_dim": 16,
    "index_n_heads": 2,
    "index_head_dim": 16,
}


def fit(capsys: pytest.CaptureFixture[str], *arguments: str) -> Any:
    assert main(["fit", *arguments, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_the_json_has_the_agreed_shape(capsys: pytest.CaptureFixture[str]) -> None:
    said = fit(capsys, "Qwen/Qwen3-8B", "--hardware", "2xRTX 3060", "--context", "4096", "--batch", "2")
    assert said["model"] == "Qwen/Qwen3-8B"
    assert said["parameters"] == 8_190_735_360
    assert said["hardware"]["memory_bytes"] == 24 * GIB
    assert len(said["hardware"]["accelerators"]) == 2
    ids = [row["id"] for row in said["rows"]]
    assert ids[: len(rows())] == [row.id for row in rows()]
    assert {"GGUF-BF16", "Q8_0", "Q4_K_M", "Q2_K"} <= set(ids)
    for row in said["rows"]:
        assert row.keys() >= ROW_KEYS
        assert row["verdict"] in list(Verdict)
        assert row["total_bytes"] == sum(row[f"{kind.value}_bytes"] for kind in MemoryKind)
        assert row["kv_cache_bytes"] == 2 * 4096 * 36 * 2 * 8 * 128 * 2


def test_what_is_assumed_of_sparse_attention_is_said(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """DeepSeek V3.2 keeps an index beside its latent, which runtimes hold differently."""
    path = tmp_path / "config.json"
    path.write_text(json.dumps(DEEPSEEK_V32))
    said = fit(capsys, str(path), "--hardware", "T4")
    assert any("index of sparse attention" in note for note in said["notes"])


def test_a_bare_config_is_enough(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    config = {"model_type": "llama", "hidden_size": 128, "intermediate_size": 256, "num_hidden_layers": 1}
    path = tmp_path / "config.json"
    path.write_text(json.dumps({**config, "num_attention_heads": 2, "vocab_size": 64}))
    said = fit(capsys, str(path), "--hardware", "T4")
    assert said["parameters"] == 2 * 64 * 128 + 4 * 128 * 128 + 3 * 128 * 256 + 3 * 128


def test_the_default_context_is_what_the_model_was_made_for(capsys: pytest.CaptureFixture[str]) -> None:
    assert fit(capsys, "Llama-2-7b-hf", "--hardware", "T4")["context"] == 4096


def test_the_table_has_units_and_words(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fit", "Qwen3-8B", "--hardware", "RTX 3060", "--ram", "8"]) == 0
    said = capsys.readouterr().out
    for word in ("GiB", "GB", "fits", "too large", "KV cache", "INT4", "would fit"):
        assert word in said
    assert "assumed" not in said


def test_what_a_few_rows_say_is_said_with_their_names(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fit", "Qwen3-8B", "--hardware", "RTX 3060"]) == 0
    notes = [line for line in capsys.readouterr().out.splitlines() if line.startswith("note: ")]
    assert any(note.startswith("note: NVFP4: Estimated for comparison") for note in notes)
    assert any(note.startswith("note: GGUF rows: ") for note in notes)


@pytest.mark.parametrize(
    "arguments",
    [
        ("no-such-model",),
        ("Qwen3-8B", "--hardware", "no such device"),
        ("Qwen3-8B", "--hardware", "T4", "--context", "0"),
        ("Qwen3-8B", "--hardware", "T4", "--context", "-3"),
        ("Qwen3-8B", "--hardware", "T4", "--batch", "999999999"),
        ("Qwen3-8B", "--ram", "16"),
        ("Qwen3-8B", "--hardware", "T4", "--ram", "nan"),
    ],
)
def test_nonsense_ends_with_one_sentence_and_a_failure(
    capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...]
) -> None:
    assert main(["fit", *arguments]) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("error: ")


def test_every_line_says_where_it_comes_from(capsys: pytest.CaptureFixture[str]) -> None:
    said = fit(capsys, "Qwen/Qwen3-8B", "--hardware", "RTX 3060")
    for row in said["rows"]:
        assert row["total_low_bytes"] <= row["total_bytes"] <= row["total_high_bytes"]
        assert {part["kind"] for part in row["parts"]} >= {"weights", "kv_cache"}
        assert {part["provenance"] for part in row["parts"]} <= {"measured", "derived", "estimated"}
        assert row["command"]
    assert said["recommendation"]["id"] in {row["id"] for row in said["rows"]}


@pytest.mark.parametrize(("runtime", "there", "not_there"), [("llama.cpp", "Q4_K_M", "BF16"), ("vllm", "INT4", "Q8_0")])
def test_a_runtime_keeps_what_it_loads(
    capsys: pytest.CaptureFixture[str], runtime: str, there: str, not_there: str
) -> None:
    said = fit(capsys, "Qwen/Qwen3-8B", "--hardware", "RTX 3060", "--runtime", runtime)
    ids = {row["id"] for row in said["rows"]}
    assert there in ids and not_there not in ids
    assert {row["runtime"] for row in said["rows"]} == {runtime}


def test_questions_are_answered(capsys: pytest.CaptureFixture[str]) -> None:
    asked = ("longest-context", "most-slots", "smallest-device", "best-precision")
    arguments = [word for question in asked for word in ("--ask", question)]
    said = fit(capsys, "Qwen/Qwen3-0.6B", "--hardware", "RTX 3060", "--row", "Q4_K_M", *arguments)
    assert [answer["question"] for answer in said["answers"]] == list(asked)
    assert all("Q4_K_M" in answer["sentence"] for answer in said["answers"][:3])


def test_devices_stand_side_by_side(capsys: pytest.CaptureFixture[str]) -> None:
    said = fit(capsys, "Qwen/Qwen3-0.6B", "--hardware", "RTX 3060", "--compare", "RTX 4090", "2xRTX 4090")
    assert len(said["comparison"]) == 3


def test_a_log_is_held_against_the_estimate(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = tmp_path / "log.txt"
    path.write_text("load_tensors: CUDA0 model buffer size = 4685.30 MiB\n")
    arguments = ("Qwen/Qwen3-8B", "--hardware", "RTX 3060", "--row", "Q4_K_M", "--log", str(path))
    (line, *_) = fit(capsys, *arguments)["log"]
    assert line["real_bytes"] == round(4685.30 * 2**20)
    assert main(["fit", *arguments]) == 0
    assert "predicted" in capsys.readouterr().out


def test_csv_has_a_line_per_row(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fit", "Qwen/Qwen3-0.6B", "--hardware", "RTX 3060", "--csv"]) == 0
    header, *lines = capsys.readouterr().out.splitlines()
    assert header.startswith("id,runtime,") and any(line.startswith("Q4_K_M,llama.cpp,") for line in lines)

"""llama.cpp on files with which it would end the process: models with an encoder, and those without a tokenizer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import gguf
import numpy as np
import pytest

from quantgui.checkpoint import open_checkpoint
from quantgui.jobs.events import Event
from quantgui.jobs.job import EvaluateJob, GenerateJob
from quantgui.pipeline.evaluate import evaluate
from quantgui.pipeline.generate import generate
from quantgui.pipeline.llama_check import check_in_llama
from quantgui.types import UserError

HIDDEN, INNER, HEADS, WIDTH, TOKENS, POSITIONS = 32, 64, 2, 16, 300, 128
T5_STACKS = {"t5": ("enc", "dec"), "t5encoder": ("enc",)}


def ignore(event: Event) -> None:
    pass


USES: tuple[Callable[[Path], object], ...] = (
    lambda path: generate(GenerateJob(str(path), "t1 t2 t3", 4), ignore),
    lambda path: evaluate(EvaluateJob(str(path)), ignore),
)
"""What asks a model to continue a text."""


def t5_tensors(stacks: tuple[str, ...]) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Names and shapes of a T5 of one layer."""
    yield "token_embd.weight", (TOKENS, HIDDEN)
    if "dec" in stacks:
        yield "output.weight", (TOKENS, HIDDEN)
    for stack in stacks:
        block = f"{stack}.blk.0."
        yield f"{stack}.output_norm.weight", (HIDDEN,)
        yield f"{block}attn_rel_b.weight", (32, HEADS)
        for attention in ("attn", "cross_attn") if stack == "dec" else ("attn",):
            yield f"{block}{attention}_norm.weight", (HIDDEN,)
            for matrix in "qkvo":
                yield f"{block}{attention}_{matrix}.weight", (HIDDEN, HIDDEN)
        yield f"{block}ffn_norm.weight", (HIDDEN,)
        yield f"{block}ffn_up.weight", (INNER, HIDDEN)
        yield f"{block}ffn_down.weight", (HIDDEN, INNER)


def write_t5(path: Path, architecture: str) -> Path:
    """A T5 with random weights, whole or its encoder alone."""
    writer = gguf.GGUFWriter(path, architecture)
    writer.add_context_length(POSITIONS)
    writer.add_embedding_length(HIDDEN)
    writer.add_feed_forward_length(INNER)
    writer.add_block_count(1)
    writer.add_head_count(HEADS)
    writer.add_key_length(WIDTH)
    writer.add_value_length(WIDTH)
    writer.add_relative_attn_buckets_count(32)
    writer.add_layer_norm_eps(1e-6)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_decoder_start_token_id(0)
    writer.add_tokenizer_model("t5")
    writer.add_token_list(["<pad>", "</s>", "<unk>", *(f"t{index}" for index in range(TOKENS - 3))])
    writer.add_token_scores([0.0, 0.0, 0.0, *(-float(index) for index in range(TOKENS - 3))])
    writer.add_token_types([3, 3, 2, *[1] * (TOKENS - 3)])
    writer.add_eos_token_id(1)
    writer.add_unk_token_id(2)
    writer.add_pad_token_id(0)
    random = np.random.default_rng(0)
    for name, shape in t5_tensors(T5_STACKS[architecture]):
        writer.add_tensor(name, random.normal(0, 0.1, shape).astype(np.float32))
    return written(writer, path)


def write_llama(path: Path) -> Path:
    """A Llama of one layer with random weights and no tokenizer."""
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_context_length(POSITIONS)
    writer.add_embedding_length(HIDDEN)
    writer.add_feed_forward_length(INNER)
    writer.add_block_count(1)
    writer.add_head_count(HEADS)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_vocab_size(TOKENS)
    writer.add_tokenizer_model("none")
    random = np.random.default_rng(0)
    square, wide = (HIDDEN, HIDDEN), (INNER, HIDDEN)
    shapes = {
        "token_embd": (TOKENS, HIDDEN),
        "output": (TOKENS, HIDDEN),
        "output_norm": (HIDDEN,),
        **{f"blk.0.{norm}_norm": (HIDDEN,) for norm in ("attn", "ffn")},
        **{f"blk.0.attn_{matrix}": square for matrix in ("q", "k", "v", "output")},
        "blk.0.ffn_gate": wide,
        "blk.0.ffn_up": wide,
        "blk.0.ffn_down": wide[::-1],
    }
    for name, shape in shapes.items():
        writer.add_tensor(f"{name}.weight", random.normal(0, 0.1, shape).astype(np.float32))
    return written(writer, path)


def written(writer: gguf.GGUFWriter, path: Path) -> Path:
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


@pytest.mark.parametrize("architecture", T5_STACKS)
def test_a_model_with_an_encoder_is_checked_by_encoding(architecture: str, tmp_path: Path) -> None:
    path = write_t5(tmp_path / "t5.gguf", architecture)
    findings = check_in_llama(path, open_checkpoint(path))
    assert findings.failures == () and "computed" in findings.words


@pytest.mark.parametrize("architecture", T5_STACKS)
@pytest.mark.parametrize("use", USES)
def test_a_model_with_an_encoder_continues_no_text(
    use: Callable[[Path], object], architecture: str, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match="with an encoder"):
        use(write_t5(tmp_path / "t5.gguf", architecture))


@pytest.mark.parametrize("use", USES)
def test_a_file_without_a_tokenizer_can_be_checked_but_not_talked_to(
    use: Callable[[Path], object], tmp_path: Path
) -> None:
    path = write_llama(tmp_path / "mute.gguf")
    assert check_in_llama(path, open_checkpoint(path)).failures == ()
    with pytest.raises(UserError, match="no tokenizer"):
        use(path)


@pytest.mark.parametrize("use", USES)
def test_an_importance_matrix_is_named_as_what_it_is(use: Callable[[Path], object], tmp_path: Path) -> None:
    writer = gguf.GGUFWriter(tmp_path / "matrix.gguf", "llama")
    writer.add_type("imatrix")
    writer.add_tensor("blk.0.attn_q.weight.in_sum2", np.zeros((1, HIDDEN), np.float32))
    with pytest.raises(UserError, match="not a language model"):
        use(written(writer, tmp_path / "matrix.gguf"))

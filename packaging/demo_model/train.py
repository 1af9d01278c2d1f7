"""Trains the bundled demo model and writes it with its texts into `resources/`.

    python packaging/demo_model/train.py --work /tmp/demo-model           # about an hour on two cores; resumes
    python packaging/demo_model/train.py --work /tmp/demo-model --export  # writes resources/ from the last checkpoint

The recipe: a Llama-architecture decoder, Muon (torch.optim.Muon) for the hidden matrices, AdamW for embedding and
norms, BF16 autocast, linear warm-up and linear decay to zero, sequences of 512 tokens and of 1,024 for the last sixth.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from pathlib import Path

import numpy as np
import torch
from corpus import documents_by_split
from export import export
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM

VOCABULARY_SIZE = 4096
END_OF_TEXT = "<|endoftext|>"
STEPS = 950
TOKENS_PER_STEP = 8192
WARMUP_STEPS = 60
LONG_FROM_STEP = STEPS - STEPS // 6
CHECKPOINT_EVERY = 50
VALIDATE_EVERY = 100


def train_tokenizer(texts: list[str], path: Path) -> Tokenizer:
    """A byte-level BPE with GPT-2's split, so that llama.cpp's `gpt-2` pre-tokenizer reads it."""
    if path.exists():
        return Tokenizer.from_file(str(path))
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY_SIZE,
        special_tokens=[END_OF_TEXT],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.save(str(path))
    return tokenizer


def encode_split(tokenizer: Tokenizer, texts: list[str], path: Path) -> np.ndarray:
    """Token ids of all texts, each ended by END_OF_TEXT, as uint16 and cached in `path`."""
    if not path.exists():
        end = tokenizer.token_to_id(END_OF_TEXT)
        ids = [np.array([*e.ids, end], dtype=np.uint16) for e in tokenizer.encode_batch(texts)]
        np.save(path, np.concatenate(ids))
    return np.load(path)


def build_model() -> LlamaForCausalLM:
    """About 6.95 M parameters; every linear width is a multiple of 256, so K-quants apply to every matrix."""
    torch.manual_seed(20261121)
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=VOCABULARY_SIZE,
            hidden_size=256,
            intermediate_size=768,
            num_hidden_layers=6,
            num_attention_heads=8,
            num_key_value_heads=4,
            head_dim=64,
            max_position_embeddings=1024,
            tie_word_embeddings=True,
            bos_token_id=0,
            eos_token_id=0,
        )
    )


def optimizers(model: LlamaForCausalLM) -> list[torch.optim.Optimizer]:
    """Muon for the matrices inside the layers, AdamW for everything else."""
    matrices = [p for n, p in model.named_parameters() if p.ndim == 2 and "embed" not in n]
    others = [p for n, p in model.named_parameters() if p.ndim != 2 or "embed" in n]
    return [
        torch.optim.Muon(matrices, lr=5e-3, weight_decay=0.05, adjust_lr_fn="match_rms_adamw"),
        torch.optim.AdamW(others, lr=4e-3, betas=(0.9, 0.98), weight_decay=0.0),
    ]


def learning_rate_factor(step: int) -> float:
    """Linear warm-up, then linear decay to zero."""
    return min((step + 1) / WARMUP_STEPS, (STEPS - step) / (STEPS - WARMUP_STEPS))


def batch(tokens: np.ndarray, step: int) -> torch.Tensor:
    """The windows of one step, drawn with a generator seeded by the step so that a resumed run draws the same."""
    length = 1024 if step >= LONG_FROM_STEP else 512
    starts = np.random.default_rng(step).integers(0, len(tokens) - length, TOKENS_PER_STEP // length)
    return torch.from_numpy(np.stack([tokens[s : s + length] for s in starts]).astype(np.int64))


@torch.no_grad()
def perplexity(model: LlamaForCausalLM, tokens: np.ndarray, length: int = 512) -> float:
    """exp of the mean negative log-likelihood over non-overlapping windows."""
    count = len(tokens) // length
    windows = torch.from_numpy(tokens[: count * length].astype(np.int64)).view(count, length)
    losses = [model(input_ids=w[None], labels=w[None]).loss.item() for w in windows]
    return math.exp(sum(losses) / len(losses))


def train(work: Path) -> None:
    """Runs or resumes the training; appends a JSON line to `work/training.log` now and then."""
    work.mkdir(parents=True, exist_ok=True)
    splits = {name: [d.text for d in docs] for name, docs in documents_by_split().items()}
    tokenizer = train_tokenizer(splits["train"], work / "tokenizer.json")
    tokens = encode_split(tokenizer, splits["train"], work / "train.npy")
    validation = encode_split(tokenizer, splits["validation"], work / "validation.npy")[:40_960]
    model = build_model()
    optimizer_list = optimizers(model)
    base_rates = [o.param_groups[0]["lr"] for o in optimizer_list]
    first, seconds = resume(work / "checkpoint.pt", model, optimizer_list)
    print(f"{model.num_parameters():,} parameters, {len(tokens):,} training tokens, from step {first}", flush=True)
    started = time.monotonic()
    for step in range(first, STEPS):
        for optimizer, rate in zip(optimizer_list, base_rates, strict=True):
            optimizer.param_groups[0]["lr"] = rate * learning_rate_factor(step)
        loss = training_step(model, optimizer_list, batch(tokens, step))
        done, spent = step + 1, seconds + time.monotonic() - started
        if done % 10 == 0:
            record: dict[str, float] = {"step": done, "loss": round(loss, 4), "tokens": done * TOKENS_PER_STEP}
            if done % VALIDATE_EVERY == 0:
                record["validation_perplexity"] = round(perplexity(model, validation), 3)
            record["seconds"] = round(spent)
            with (work / "training.log").open("a") as log:
                log.write(json.dumps(record) + "\n")
            print(record, flush=True)
        if done % CHECKPOINT_EVERY == 0 or done == STEPS:
            save(work / "checkpoint.pt", model, optimizer_list, done, spent)


def training_step(model: LlamaForCausalLM, optimizer_list: list[torch.optim.Optimizer], ids: torch.Tensor) -> float:
    """One step on token ids [sequences, length]; returns the loss in nats per token."""
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = model(input_ids=ids, labels=ids, use_cache=False).loss
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    for optimizer in optimizer_list:
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
    return loss.item()


def resume(path: Path, model: LlamaForCausalLM, optimizer_list: list[torch.optim.Optimizer]) -> tuple[int, float]:
    """Loads the last checkpoint where there is one; returns the steps done and the seconds spent."""
    if not path.exists():
        return 0, 0.0
    saved = torch.load(path, weights_only=True)
    model.load_state_dict(saved["model"])
    for optimizer, state in zip(optimizer_list, saved["optimizers"], strict=True):
        optimizer.load_state_dict(state)
    return saved["step"], saved["seconds"]


def save(
    path: Path, model: LlamaForCausalLM, optimizer_list: list[torch.optim.Optimizer], step: int, seconds: float
) -> None:
    """Writes a checkpoint beside the old one and renames it."""
    optimizer_states = [o.state_dict() for o in optimizer_list]
    state = {"model": model.state_dict(), "optimizers": optimizer_states, "step": step, "seconds": seconds}
    torch.save(state, path.with_suffix(".tmp"))
    path.with_suffix(".tmp").replace(path)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description="Trains the bundled demo model.")
    parser.add_argument("--work", type=Path, required=True, help="folder for tokens, checkpoint and log")
    parser.add_argument("--export", action="store_true", help="write resources/ from the last checkpoint")
    arguments = parser.parse_args()
    if not arguments.export:
        train(arguments.work)
    export(arguments.work, build_model())


if __name__ == "__main__":
    main()

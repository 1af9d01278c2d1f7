"""Writes the trained model, its texts, licence and model card into `resources/`; every figure in the card is computed."""

from __future__ import annotations

import json
import math
import platform
import shutil
import sysconfig
from pathlib import Path

import numpy as np
import torch
from corpus import SHIPPED_CHARACTERS, documents_by_split, shipped_text
from tokenizers import Tokenizer
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

RESOURCES = Path(__file__).resolve().parents[2] / "resources"
END_OF_TEXT = "<|endoftext|>"
SPLIT_OF_TEXT = {"training": "train", "calibration": "calibration", "evaluation": "evaluation"}
PROMPTS = ("def read_lines(path):\n", "class Stack:\n    def __init__(self", "The \"with\" statement is used to")

CARD = """---
license: apache-2.0
library_name: transformers
language: en
tags: [demo, python]
---
# QuantGUI demo model

A small Llama-architecture language model of Python source code and documentation, trained from scratch so that QuantGUI
works without a network. It is a demonstration object: its point is that its quality visibly suffers at 2 bits and hardly
at 8. It is not useful for writing code.

| | |
|---|---|
| parameters | {parameters:,} (tied embeddings) |
| shape | {layers} layers, hidden {hidden}, MLP {mlp}, {heads} query heads and {kv_heads} key/value heads of {head_dim} |
| tokenizer | byte-level BPE, {vocabulary:,} tokens |
| context | {context} tokens |
| training | {steps:,} steps of {tokens_per_step:,} tokens ({tokens_seen:,} in all) over {training_tokens:,} distinct tokens, {minutes:.0f} minutes on two CPU cores |
| data | sources and documentation topics of the Python {python} standard library (PSF licence) |

## Perplexity

Held-out documents, {validation_tokens:,} tokens, windows of 512; all models see the same tokens.

| model | perplexity |
|---|---|
| unigram (add-one) | {unigram:.1f} |
| bigram (interpolated with the unigram, weight chosen on the data) | {bigram:.1f} |
| this model, BF16 | {model:.2f} |

Evaluation text shipped with QuantGUI ({evaluation_tokens:,} tokens, disjoint from the training text): {evaluation:.2f}.

## Samples

Temperature 0.7, top-k 40, fixed seed.

{samples}

## Licence

The weights are released under Apache-2.0. The texts are parts of the Python standard library and documentation,
Copyright © 2001-2023 Python Software Foundation, under the PSF licence (`../text/LICENSE-PSF.txt`).
"""


def unigram_counts(tokens: np.ndarray, size: int) -> np.ndarray:
    """Add-one smoothed probabilities [size]."""
    counts = np.bincount(tokens, minlength=size) + 1.0
    return counts / counts.sum()


def bigram_perplexity(train: np.ndarray, test: np.ndarray, size: int) -> tuple[float, float]:
    """Perplexities of the unigram and of the best interpolated bigram, both estimated on `train`."""
    unigram = unigram_counts(train, size)
    pairs = np.zeros((size, size), dtype=np.float64)
    np.add.at(pairs, (train[:-1].astype(np.int64), train[1:].astype(np.int64)), 1.0)
    totals = pairs.sum(1)
    first, second = test[:-1].astype(np.int64), test[1:].astype(np.int64)
    conditional = pairs[first, second] / np.maximum(totals[first], 1)
    single = unigram[second]
    best = min(
        math.exp(-np.log(weight * conditional + (1 - weight) * single).mean()) for weight in np.linspace(0.05, 0.99, 48)
    )
    return math.exp(-np.log(single).mean()), best


@torch.no_grad()
def window_perplexity(model: LlamaForCausalLM, tokens: np.ndarray, length: int = 512) -> float:
    """exp of the mean negative log-likelihood over non-overlapping windows."""
    count = len(tokens) // length
    windows = torch.from_numpy(tokens[: count * length].astype(np.int64)).view(count, length)
    return math.exp(sum(model(input_ids=w[None], labels=w[None]).loss.item() for w in windows) / count)


@torch.no_grad()
def samples(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast) -> str:
    """A continuation of each prompt as Markdown code blocks."""
    blocks = []
    for prompt in PROMPTS:
        torch.manual_seed(1)
        ids = tokenizer(prompt, return_tensors="pt").input_ids
        out = model.generate(ids, max_new_tokens=120, do_sample=True, temperature=0.7, top_k=40, pad_token_id=0)
        blocks.append("```python\n" + tokenizer.decode(out[0], skip_special_tokens=True).rstrip() + "\n```")
    return "\n\n".join(blocks)


def write_texts(tokenizer: Tokenizer) -> dict[str, str]:
    """Writes the shipped texts with their licence; returns them by name."""
    folder = RESOURCES / "text"
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(Path(sysconfig.get_paths()["stdlib"]) / "LICENSE.txt", folder / "LICENSE-PSF.txt")
    splits = documents_by_split()
    texts = {name: shipped_text(splits[split], SHIPPED_CHARACTERS[name]) for name, split in SPLIT_OF_TEXT.items()}
    lines = ["Excerpts of the Python standard library and its documentation (PSF licence, see LICENSE-PSF.txt).", ""]
    for name, text in texts.items():
        (folder / f"{name}.txt").write_text(text, encoding="utf-8")
        lines.append(f"- `{name}.txt`: {len(tokenizer.encode(text).ids):,} tokens of the demo model's tokenizer.")
    lines += ["", "The three come from different documents: `training.txt` from the documents the demo model was trained on,"]
    lines += ["`calibration.txt` and `evaluation.txt` from documents it has never seen.", ""]
    (folder / "README.md").write_text("\n".join(lines), encoding="utf-8")
    return texts


def export(work: Path, model: LlamaForCausalLM) -> None:
    """Writes `resources/demo_model` and `resources/text` from the last checkpoint in `work`."""
    torch.set_num_threads(1)
    saved = torch.load(work / "checkpoint.pt", weights_only=True)
    model.load_state_dict(saved["model"])
    model = model.to(torch.bfloat16).float().eval()  # figures are those of the stored BF16 weights
    raw = Tokenizer.from_file(str(work / "tokenizer.json"))
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=raw, bos_token=END_OF_TEXT, eos_token=END_OF_TEXT, model_max_length=1024
    )
    folder = RESOURCES / "demo_model"
    folder.mkdir(parents=True, exist_ok=True)
    texts = write_texts(raw)
    train, validation = np.load(work / "train.npy"), np.load(work / "validation.npy")[:81_920]
    evaluation = np.array(raw.encode(texts["evaluation"]).ids)
    unigram, bigram = bigram_perplexity(train, validation, raw.get_vocab_size())
    config = model.config
    card = CARD.format(
        parameters=model.num_parameters(),
        layers=config.num_hidden_layers,
        hidden=config.hidden_size,
        mlp=config.intermediate_size,
        heads=config.num_attention_heads,
        kv_heads=config.num_key_value_heads,
        head_dim=config.head_dim,
        vocabulary=config.vocab_size,
        context=config.max_position_embeddings,
        steps=saved["step"],
        tokens_per_step=8192,
        tokens_seen=saved["step"] * 8192,
        training_tokens=len(train),
        minutes=saved["seconds"] / 60,
        python=platform.python_version(),
        validation_tokens=len(validation),
        unigram=unigram,
        bigram=bigram,
        model=window_perplexity(model, validation),
        evaluation_tokens=len(evaluation),
        evaluation=window_perplexity(model, evaluation),
        samples=samples(model, tokenizer),
    )
    model.to(torch.bfloat16).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    settings = json.loads((folder / "tokenizer_config.json").read_text())
    settings["tokenizer_class"] = "PreTrainedTokenizerFast"  # the name that transformers 4, vLLM and others know too
    (folder / "tokenizer_config.json").write_text(json.dumps(settings, indent=2) + "\n")
    (folder / "model.safetensors").chmod(0o644)
    (folder / "README.md").write_text(card, encoding="utf-8")
    shutil.copy(RESOURCES.parent / "LICENSE", folder / "LICENSE")
    shutil.copy(work / "training.log", Path(__file__).parent / "training.log")
    print(json.dumps({"unigram": unigram, "bigram": bigram}), card)

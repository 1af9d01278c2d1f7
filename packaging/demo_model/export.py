"""Writes the trained model, its texts, licence and model card into `resources/`; the card's figures are computed."""

from __future__ import annotations

import json
import math
import platform
import shutil
import sysconfig
from pathlib import Path
from typing import Any

import numpy as np
import torch
from corpus import SHIPPED_CHARACTERS, documents_by_split, shipped_text
from tokenizers import Tokenizer
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from quantgui.quant.registry import arithmetic, build
from quantgui.schemes.recipe import SchemeSpec

RESOURCES = Path(__file__).resolve().parents[2] / "resources"
END_OF_TEXT = "<|endoftext|>"
SPLIT_OF_TEXT = {"training": "train", "calibration": "calibration", "evaluation": "evaluation"}
PROMPTS = ("def read_lines(path):\n", "class Stack:\n    def __init__(self", 'The "with" statement is used to')

CARD = Path(__file__).with_name("card.md")


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
def round_to_bfloat16(model: LlamaForCausalLM) -> None:
    """Rounds every parameter to the nearest BF16 value, in place; the dtype stays float32."""
    for parameter in model.parameters():
        parameter.copy_(parameter.to(torch.bfloat16).float())


def perplexity_by_precision(model: LlamaForCausalLM, tokens: np.ndarray) -> str:
    """Rows of a table: perplexity as it is, and with every linear layer rounded by QuantGUI's own arithmetic."""
    original = {name: value.clone() for name, value in model.state_dict().items()}
    lines = [f"| BF16 | {window_perplexity(model, tokens):.2f} |"]
    for scheme_id in ("INT8", "INT4", "INT3", "INT2"):
        method = arithmetic(build(SchemeSpec(scheme_id)))
        rounded = dict(original)
        for name, module in model.named_modules():
            if isinstance(module, torch.nn.Linear) and name != "lm_head":
                weight = original[f"{name}.weight"]
                rounded[f"{name}.weight"] = method.dequantize(method.quantize(weight, torch.bfloat16, None))
        model.load_state_dict(rounded)
        lines.append(f"| {scheme_id} | {window_perplexity(model, tokens):.2f} |")
    model.load_state_dict(original)
    return "\n".join(lines)


@torch.no_grad()
def samples(model: Any, tokenizer: PreTrainedTokenizerFast) -> str:
    """A continuation of each prompt as Markdown code blocks."""
    blocks = []
    for prompt in PROMPTS:
        torch.manual_seed(1)
        ids = tokenizer(prompt, return_tensors="pt").input_ids
        out: torch.Tensor = model.generate(
            ids, max_new_tokens=120, do_sample=True, temperature=0.9, top_k=50, pad_token_id=0
        )
        blocks.append("```python\n" + str(tokenizer.decode(out[0], skip_special_tokens=True)).rstrip() + "\n```")
    return "\n\n".join(blocks)


def write_texts(tokenizer: Tokenizer) -> dict[str, str]:
    """Writes the shipped texts with their licence; returns them by name."""
    folder = RESOURCES / "text"
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(Path(sysconfig.get_paths()["stdlib"]) / "LICENSE.txt", folder / "LICENSE-PSF.txt")
    splits = documents_by_split()
    texts = {}
    for name, split in SPLIT_OF_TEXT.items():
        seen = [] if split == "train" else splits["train"]
        texts[name] = shipped_text(splits[split], SHIPPED_CHARACTERS[name], seen)
    lines = ["Excerpts of the Python standard library and its documentation (PSF licence, see LICENSE-PSF.txt).", ""]
    for name, text in texts.items():
        (folder / f"{name}.txt").write_text(text, encoding="utf-8")
        lines.append(f"- `{name}.txt`: {len(tokenizer.encode(text).ids):,} tokens of the demo model's tokenizer.")
    lines += [
        "",
        "The three come from different documents: `training.txt` from the documents the demo model was trained on,",
    ]
    lines += ["`calibration.txt` and `evaluation.txt` from documents it has never seen.", ""]
    (folder / "README.md").write_text("\n".join(lines), encoding="utf-8")
    return texts


def export(work: Path, model: LlamaForCausalLM) -> None:
    """Writes `resources/demo_model` and `resources/text` from the last checkpoint in `work`."""
    torch.set_num_threads(1)
    saved = torch.load(work / "checkpoint.pt", weights_only=True)
    model.load_state_dict(saved["model"])
    round_to_bfloat16(model)  # the figures are those of the weights as they are stored
    model.eval()
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
    card = CARD.read_text(encoding="utf-8").format(
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
        precisions=perplexity_by_precision(model, evaluation),
        samples=samples(model, tokenizer),
    )
    torch.nn.Module.to(model, torch.bfloat16)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    settings = json.loads((folder / "tokenizer_config.json").read_text())
    settings["tokenizer_class"] = "PreTrainedTokenizerFast"  # the name that transformers 4, vLLM and others know too
    (folder / "tokenizer_config.json").write_text(json.dumps(settings, indent=2) + "\n")
    (folder / "model.safetensors").chmod(0o644)
    (folder / "README.md").write_text(card, encoding="utf-8")
    shutil.copy(RESOURCES.parent / "LICENSE", folder / "LICENSE")
    shutil.copy(work / "training.log", Path(__file__).parent / "training.log")
    print(json.dumps({"unigram": unigram, "bigram": bigram}), card)

"""Small tokenizers of every kind that GGUF files hold, trained on the bundled text, and a model to carry one."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

from quantgui.formats.gguf.tokenizer.algorithms import SPACE
from quantgui.quality.text import bundled_text
from tests.conftest import TINY_CONFIG, write_checkpoint

TOKENS = 1000
BYTE_LEVEL_TOKENS = 2000
SPECIAL = ("<unk>", "<s>", "</s>")
BYTE_TOKENS = [f"<0x{byte:02X}>" for byte in range(256)]
WORD_PIECE_SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789éàüßσς漢字中文שלом"
OUT_OF_REACH = "ĠcamelCase"
"""A token that no merges make: only those who look whole words up first (`ignore_merges`) find it."""
TEXTS = (
    "",
    " ",
    "        ",
    "The quick brown fox jumps over the lazy dog.",
    "漢字とかな。中文混排test、ไทย",
    "👩‍👩‍👧 🇩🇪 👍🏽 ❤️ x😀y 𝔘𝔫𝔦 𐍈 𠜎 🂡",
    "a\u0308\u0323 n\u0303 Ångström ﬁne e\u0301",
    "שלום עולם مرحبا \u200f abc \u200e",
    "a\u00a0b\u2009c\u3000d\u2028e\u2029f",
    "zero\u200bwidth\u200cjoin\u200dx\ufeffy\u00adz a\x01b\x7fc\x1bd",
    "def f(x):\n\treturn {\r\n\t\t'a': [1,2,3],\r\n\t}\n\n\n# end\n\n",
    "a  b   c    d          e",
    "  leading and trailing   ",
    "\n\n\n \n  \n\t\n",
    "0123456789 3.14159 1,000,000 2024-01-31 1e-5 ²³ ½ ४५६ 12345678901234567890",
    "I'm can't WON'T they'LL we've you'd he's 'S 'll'D it’s",
    "ÉCOLE Straße İstanbul ΣΊΣΥΦΟΣ NAÏVE café résumé ﬀ Ǆ",
    "ÖffnenÖl",
    "Ankara'dan 'Snow  12 y'lle",
    "...!!!??? --- (a)[b]{c} <d> /e\\ f|g ~`@#$%^&*_+= «q» “r” ‚s’ …",
    "https://example.com/a_b-c?d=e&f=%20g#h user@mail.org",
    "HelloWorld camelCase snake_case __init__ 3rd 4K ABCdef XMLHttpRequest",
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa aaaaaaaaaaaaaaaaaaaaaaaa",
)
"""What tokenizers differ in: scripts, marks, invisible characters, code, spaces, numbers, contractions, case."""
Rules = Mapping[str, str]
NMT_NFKC: Rules = {
    **dict.fromkeys("\t\n\r\u0085\u00a0\u2009\u2028\u2029\u200b\u3000", " "),
    **dict.fromkeys("\x01\x1b\x7f\u00ad\ufeff", ""),
    "ﬁ": "fi",
    "ﬀ": "ff",
    "²": "2",
    "³": "3",
    "½": "1⁄2",
    "…": "...",
    "e\u0301": "é",
}
"""A few of the rules that most SentencePiece models apply to a text."""


@cache
def training_text() -> str:
    """The beginning of the bundled training text."""
    return bundled_text("training").read_text(encoding="utf-8")[:60_000]


@cache
def _byte_level_model() -> str:
    """Merges across words, digits and line ends, most of them of TEXTS: how a text is cut shows in its tokens."""
    pieces = pre_tokenizers.Split(Regex(r"[\s\S]{12}"), "isolated")
    return trained_byte_level([pieces, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]).to_str()


def trained_byte_level(steps: Sequence[Any]) -> Tokenizer:
    """Byte-level BPE whose merges were made of TEXTS cut by `steps`."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(list(steps))
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=BYTE_LEVEL_TOKENS,
        special_tokens=["<|endoftext|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator([training_text(), *TEXTS * 99], trainer)
    return tokenizer


def byte_level(
    steps: Sequence[Any], *, ignore_merges: bool = False, normalizer: Any = None, added: Sequence[AddedToken] = ()
) -> Tokenizer:
    """Byte-level BPE that cuts a text by `steps`, with a text's beginning, a tool's and a turn's token."""
    data = json.loads(_byte_level_model())
    data["model"]["ignore_merges"] = ignore_merges
    data["model"]["vocab"][OUT_OF_REACH] = BYTE_LEVEL_TOKENS
    tokenizer = Tokenizer.from_str(json.dumps(data))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(list(steps)) if len(steps) > 1 else steps[0]
    tokenizer.decoder = decoders.ByteLevel()
    if normalizer is not None:
        tokenizer.normalizer = normalizer
    tokenizer.add_tokens([AddedToken("<tool>", normalized=False), *added])
    tokenizer.add_special_tokens(["<|im_end|>"])
    start = tokenizer.token_to_id("<|endoftext|>")
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<|endoftext|> $A", special_tokens=[("<|endoftext|>", start)]
    )
    return tokenizer


@cache
def _sentence_piece_model() -> str:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.Replace(" ", SPACE)
    tokenizer.pre_tokenizer = pre_tokenizers.Split(SPACE, "merged_with_next")
    trainer = trainers.BpeTrainer(
        vocab_size=TOKENS, special_tokens=[*SPECIAL, *BYTE_TOKENS], initial_alphabet=[SPACE], show_progress=False
    )
    tokenizer.train_from_iterator([training_text()], trainer)
    return tokenizer.to_str()


def sentence_piece(
    normalizer: Any, pre_tokenizer: Any = None, *, runs: int = 1, added: Sequence[AddedToken] = ()
) -> Tokenizer:
    """BPE with byte fallback as Llama's; with tokens of up to `runs` spaces as Gemma's."""
    data = json.loads(_sentence_piece_model())
    model = data["model"]
    model |= {"unk_token": "<unk>", "byte_fallback": True, "fuse_unk": True}
    spaces = [SPACE * count for count in range(2, runs + 1)]
    model["vocab"] |= {text: len(model["vocab"]) + index for index, text in enumerate(spaces)}
    first = [[text[:cut], text[cut:]] for text in spaces for cut in range(1, len(text))]
    model["merges"] = first + model["merges"]
    data["added_tokens"] = [_added(index, text, special=True) for index, text in enumerate(SPECIAL)]
    data["added_tokens"] += [_added(model["vocab"][text], text, special=False) for text in spaces]
    tokenizer = Tokenizer.from_str(json.dumps(data))
    tokenizer.normalizer = normalizer
    tokenizer.pre_tokenizer = pre_tokenizer
    tokenizer.add_tokens([AddedToken("<tool>", normalized=False), AddedToken("\n\n", normalized=False)])
    tokenizer.add_special_tokens([AddedToken("<|im_end|>", normalized=False, special=True), *added])
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    return tokenizer


@cache
def _unigram_model() -> str:
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    trainer = trainers.UnigramTrainer(
        vocab_size=TOKENS, special_tokens=[*SPECIAL], unk_token="<unk>", show_progress=False
    )
    tokenizer.train_from_iterator(training_text().split("\n"), trainer)
    return tokenizer.to_str()


def unigram(pre_tokenizer: Any, *, strip: bool = True) -> Tokenizer:
    """Unigram with a map of characters, as T5's and XLM-RoBERTa's."""
    tokenizer = Tokenizer.from_str(_unigram_model())
    steps: list[Any] = [normalizers.Precompiled(character_map(NMT_NFKC))]
    if strip:
        steps += [normalizers.Strip(left=False, right=True), normalizers.Replace(Regex(" {2,}"), SPACE)]
    tokenizer.normalizer = normalizers.Sequence(steps)
    tokenizer.pre_tokenizer = pre_tokenizer
    tokenizer.add_special_tokens([AddedToken("<mask>", lstrip=True, normalized=False)])
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 1), ("</s>", 2)]
    )
    return tokenizer


def word_piece(**settings: bool) -> Tokenizer:
    """WordPiece with the settings of its BertNormalizer."""
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(**settings)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    trainer = trainers.WordPieceTrainer(
        vocab_size=TOKENS, special_tokens=[*WORD_PIECE_SPECIAL], initial_alphabet=list(LETTERS), show_progress=False
    )
    tokenizer.train_from_iterator([training_text()], trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return tokenizer


def character_map(rules: Rules) -> bytes:
    """SentencePiece's `precompiled_charsmap`: a trie of the texts to replace as a double array, and what they become.

    A unit of the array has the byte that leads to it, whether a text ends there, and how far its children are
    (by exclusive or); the child of byte 0 has the place of the replacement (Darts-clone, sentencepiece/normalizer.cc).
    """
    replacements, trie = b"", {}
    for text, replacement in rules.items():
        node: dict[int, Any] = trie
        for byte in text.encode():
            node = node.setdefault(byte, {})
        node[0] = len(replacements)
        replacements += replacement.encode() + b"\0"
    units: dict[int, int] = {0: 0}

    def place(index: int, node: dict[int, Any]) -> None:
        base = next(base for base in range(1, 1 << 16) if not any(base ^ byte in units for byte in node))
        units[index] |= (index ^ base) << 10 | (0x100 if 0 in node else 0)
        units.update({base ^ byte: byte or node[0] | 1 << 31 for byte in node})
        for byte, child in node.items():
            if byte:
                place(base ^ byte, child)

    place(0, trie)
    count = -(-(max(units) + 1) // 256) * 256
    array = struct.pack(f"<{count}I", *(units.get(index, 0) for index in range(count)))
    return struct.pack("<I", len(array)) + array + replacements


def write_model(folder: Path, tokenizer: Tokenizer, settings: Mapping[str, Any]) -> Path:
    """The smallest Llama with this tokenizer: which model carries a tokenizer makes no difference to llama.cpp."""
    random, rows, hidden = np.random.default_rng(0), tokenizer.get_vocab_size(), 32
    config = {**TINY_CONFIG, "hidden_size": hidden, "intermediate_size": hidden, "vocab_size": rows}
    config |= {"num_hidden_layers": 1, "num_attention_heads": 2, "head_dim": 16}
    matrices = ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj")
    matrices += ("mlp.gate_proj", "mlp.up_proj", "mlp.down_proj")
    shapes = {f"layers.0.{name}": (hidden, hidden) for name in matrices} | {"embed_tokens": (rows, hidden)}
    norms = ("layers.0.input_layernorm", "layers.0.post_attention_layernorm", "norm")
    tensors = {f"model.{name}.weight": random.normal(0, 0.02, shape) for name, shape in shapes.items()}
    tensors |= {f"model.{name}.weight": np.ones(hidden) for name in norms}
    write_checkpoint(folder, tensors, config)
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(json.dumps(dict(settings)), encoding="utf-8")
    return folder


def _added(index: int, text: str, *, special: bool) -> dict[str, Any]:
    flags = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
    return {"id": index, "content": text, **flags, "special": special}

"""Mistral's tekken.json: the merges derived from ranks make the tokens that merging by rank makes."""

import base64
import json
import random
from itertools import pairwise

import pytest

from quantgui.formats.gguf.tokenizer import read_vocabulary
from quantgui.formats.gguf.tokenizer.tekken import byte_text, tekken_as_tokenizer_json
from quantgui.formats.gguf.tokenizer.vocabulary import TokenKind
from quantgui.types import UserError

LETTERS = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
PATTERN = (
    rf"[^\r\n\p{{L}}\p{{N}}]?{LETTERS[0]}*{LETTERS[1]}+|[^\r\n\p{{L}}\p{{N}}]?{LETTERS[0]}+{LETTERS[1]}*"
    r"|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
TEXTS = ("the cat sat on the thing", "aaaa aaaaa", " then  théâtre", "Hé\n\n  x1234", "日本語 ok", "thethethe")


def trained(merges=30):
    """Tokens by rank: all bytes, then what is most common, as byte-pair encoding finds it in the texts."""
    vocab = [bytes([byte]) for byte in range(256)]
    words = [[bytes([byte]) for byte in text.encode()] for text in TEXTS]
    for _ in range(merges):
        pairs = [pair for word in words for pair in pairwise(word)]
        left, right = max(sorted(set(pairs)), key=pairs.count)
        vocab.append(left + right)
        words = [merged(word, left + right) for word in words]
    return list(dict.fromkeys(vocab))


def merged(word, token):
    made = []
    for part in word:
        if made and made[-1] + part == token:
            made[-1] = token
        else:
            made.append(part)
    return made


def by_rank(text, vocab):
    """tiktoken's way: the neighbours whose bytes together have the lowest rank, the leftmost first."""
    ranks = {token: rank for rank, token in enumerate(vocab)}
    if text in ranks:
        return [text]
    parts = [bytes([byte]) for byte in text]
    while len(parts) > 1:
        found = [(ranks.get(parts[i] + parts[i + 1], len(ranks)), i) for i in range(len(parts) - 1)]
        rank, at = min(found)
        if rank == len(ranks):
            break
        parts[at : at + 2] = [parts[at] + parts[at + 1]]
    return parts


def tekken(vocab, reserved=8, **more):
    entries = [
        {"rank": rank, "token_bytes": base64.b64encode(token).decode(), "token_str": None}
        for rank, token in enumerate(vocab)
    ]
    config = {
        "pattern": PATTERN,
        "default_vocab_size": len(vocab) + reserved,
        "default_num_special_tokens": reserved,
        "version": "v7",
    }
    special = [{"rank": i, "token_str": text, "is_control": True} for i, text in enumerate(("<unk>", "<s>", "</s>"))]
    return {"config": config, "vocab": entries, "special_tokens": special, **more}


def test_merges_make_the_tokens_that_ranks_make():
    from tokenizers import Tokenizer

    vocab = trained()
    data = tekken_as_tokenizer_json(tekken(vocab))
    steps = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": False, "use_regex": False}
    alone = {"version": "1.0", **data, "added_tokens": [], "pre_tokenizer": steps, "decoder": steps}
    whole = Tokenizer.from_str(json.dumps(alone))
    generator = random.Random(0)
    texts = [*TEXTS, *("".join(generator.choices("the aésiтн", k=40)) for _ in range(50))]
    for text in texts:
        ids = whole.encode(text).ids
        assert [vocab[token - 8] for token in ids] == by_rank(text.encode(), vocab)


def test_ids_begin_behind_the_special_tokens(tmp_path):
    vocab = trained()
    (tmp_path / "tekken.json").write_text(json.dumps(tekken(vocab)))
    made = read_vocabulary(tmp_path, {}, len(vocab) + 10)
    assert (made.model, made.pre) == ("gpt2", "tekken")
    assert [token.text for token in made.tokens[:5]] == ["<unk>", "<s>", "</s>", "<SPECIAL_3>", "<SPECIAL_4>"]
    assert made.tokens[8].text == byte_text(b"\0") == "Ā"
    assert {token.kind for token in made.tokens[:8]} == {TokenKind.CONTROL}
    assert made.tokens[8 + vocab.index(b"th")].text == "th"
    assert made.tokens[-1].kind is TokenKind.UNUSED
    assert (made.special, made.adds) == ({"bos": 1, "eos": 2, "unk": 0}, {"bos": True, "eos": False})


def test_the_first_versions_do_not_list_their_special_tokens(tmp_path):
    data = tekken(trained(), reserved=24)
    del data["special_tokens"]
    (tmp_path / "tekken.json").write_text(json.dumps(data))
    made = read_vocabulary(tmp_path, {}, 300)
    assert made.tokens[3].text == "[INST]"
    assert made.tokens[20].text == "<SPECIAL_20>"
    assert made.special["pad"] == 11


def test_a_tokenizer_json_beside_it_counts(tmp_path):
    (tmp_path / "tekken.json").write_text(json.dumps(tekken(trained())))
    steps = {"type": "ByteLevel", "add_prefix_space": False, "use_regex": True}
    model = {"type": "BPE", "vocab": {"a": 0}, "merges": []}
    (tmp_path / "tokenizer.json").write_text(json.dumps({"model": model, "pre_tokenizer": steps}))
    made = read_vocabulary(tmp_path, {}, 1)
    assert ([token.text for token in made.tokens], made.adds["bos"]) == (["a"], False)


def test_a_vocabulary_longer_than_the_model_uses_is_cut(tmp_path):
    data = tekken(trained())
    data["config"]["default_vocab_size"] = 8 + 256
    (tmp_path / "tekken.json").write_text(json.dumps(data))
    made = read_vocabulary(tmp_path, {}, 8 + 256)
    assert (len(made.tokens), made.merges) == (264, [])


@pytest.mark.parametrize(
    "broken",
    [
        {},
        {**tekken(trained(0)), "vocab": [{"rank": 5, "token_bytes": "AA=="}]},
        {**tekken(trained(0)), "vocab": [{"rank": 0, "token_bytes": "A"}]},
        {**tekken(trained(0)), "special_tokens": [{"rank": 99, "token_str": "x"}]},
        {**tekken(trained(0)), "config": {"default_num_special_tokens": 2**40, "default_vocab_size": 1}},
    ],
)
def test_a_damaged_file_is_one_sentence(tmp_path, broken):
    (tmp_path / "tekken.json").write_text(json.dumps(broken))
    with pytest.raises(UserError, match="damaged"):
        read_vocabulary(tmp_path, {}, 300)

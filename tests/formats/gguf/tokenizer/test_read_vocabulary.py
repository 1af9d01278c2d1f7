"""Tokenizers of every kind, as GGUF holds them: from tokenizer.json, SentencePiece models and older files."""

import base64
import json
import struct

import pytest

from quantgui.formats.gguf.tokenizer import read_vocabulary
from quantgui.formats.gguf.tokenizer.vocabulary import LOWEST_SCORE, TokenKind
from quantgui.types import UserError

BYTE_TOKENS = [f"<0x{byte:02X}>" for byte in range(256)]
BYTE_LEVEL = {"type": "ByteLevel", "add_prefix_space": False, "use_regex": True}


def write(folder, **files):
    for name, content in files.items():
        (folder / name.replace("__", ".")).write_text(content if isinstance(content, str) else json.dumps(content))
    return folder


def texts(vocabulary):
    return [token.text for token in vocabulary.tokens]


def kinds(vocabulary):
    return [token.kind for token in vocabulary.tokens]


def test_byte_level_tokens_keep_their_ids_and_gaps_are_padding(tmp_path):
    data = {
        "model": {"type": "BPE", "vocab": {"b": 1, "a": 0, "ab": 3}, "merges": [["a", "b"], ["a", "b c"]]},
        "pre_tokenizer": BYTE_LEVEL,
        "added_tokens": [
            {"id": 4, "content": "<|im_start|>", "special": False},
            {"id": 5, "content": "▁▁", "special": False},
        ],
    }
    made = read_vocabulary(write(tmp_path, tokenizer__json=data), {}, 7)
    assert (made.model, made.pre, made.merges) == ("gpt2", "gpt-2", ["a b", "a bĠc"])
    assert texts(made) == ["a", "b", "[PAD2]", "ab", "<|im_start|>", "  ", "[PAD6]"]
    assert made.special == {}
    normal, control, defined, unused = TokenKind.NORMAL, TokenKind.CONTROL, TokenKind.USER_DEFINED, TokenKind.UNUSED
    assert kinds(made) == [normal, normal, unused, normal, control, defined, unused]


def test_tokens_without_a_row_are_left_out_with_a_word(tmp_path):
    data = {"model": {"type": "BPE", "vocab": {"a": 0, "b": 1, "c": 2}, "merges": []}, "pre_tokenizer": BYTE_LEVEL}
    settings = {"bos_token": "c", "eos_token": "a"}
    made = read_vocabulary(write(tmp_path, tokenizer__json=data, tokenizer_config__json=settings), {}, 2)
    assert texts(made) == ["a", "b"]
    assert made.special == {"eos": 0}
    assert "1 tokens" in made.warnings[0]


def test_a_text_of_two_tokens_stays_with_the_first(tmp_path):
    data = {
        "model": {"type": "BPE", "vocab": {"x": 0}, "merges": []},
        "pre_tokenizer": BYTE_LEVEL,
        "added_tokens": [{"id": 1, "content": "x", "special": True}],
    }
    assert texts(read_vocabulary(write(tmp_path, tokenizer__json=data), {}, 2)) == ["x", "[PAD1]"]


def test_sentence_piece_scores_follow_the_merges(tmp_path):
    texts_in_order = ["<unk>", *BYTE_TOKENS, "a", "b", "ab", "aba"]
    vocab = {text: index for index, text in enumerate(texts_in_order)}
    model = {"type": "BPE", "vocab": vocab, "merges": ["a b", "ab a"], "byte_fallback": True, "unk_token": "<unk>"}
    steps = [{"type": "Prepend", "prepend": "▁"}, {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}]
    data = {"model": model, "normalizer": {"type": "Sequence", "normalizers": steps}, "pre_tokenizer": None}
    made = read_vocabulary(write(tmp_path, tokenizer__json=data), {}, len(vocab))
    assert (made.model, made.adds_space) == ("llama", True)
    assert kinds(made)[:2] + kinds(made)[-2:] == [
        TokenKind.UNKNOWN,
        TokenKind.BYTE,
        TokenKind.NORMAL,
        TokenKind.NORMAL,
    ]
    scores = {token.text: token.score for token in made.tokens}
    assert scores["ab"] > scores["aba"] > scores["a"]


def test_unigrams_bring_their_scores_and_their_map_of_characters(tmp_path):
    data = {
        "model": {"type": "Unigram", "unk_id": 1, "vocab": [["a", -1.5], ["<unk>", 0.0]]},
        "normalizer": {"type": "Precompiled", "precompiled_charsmap": base64.b64encode(b"map!").decode()},
        "pre_tokenizer": {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always"},
        "added_tokens": [{"id": 2, "content": "</s>", "special": True}],
    }
    made = read_vocabulary(write(tmp_path, tokenizer__json=data), {}, 3)
    assert (made.model, made.normalization, made.adds_space, made.removes_spaces) == ("t5", b"map!", True, False)
    assert [token.score for token in made.tokens] == [-1.5, 0.0, LOWEST_SCORE]


@pytest.mark.parametrize("lowercases", [True, False])
def test_word_pieces_are_marked_where_words_begin(tmp_path, lowercases):
    settings = {"do_lower_case": lowercases, "cls_token": "[CLS]", "sep_token": "[SEP]"}
    write(tmp_path, vocab__txt="[CLS]\n[SEP]\nword\n##s\n", tokenizer_config__json=settings)
    made = read_vocabulary(tmp_path, {}, 4)
    assert (made.model, texts(made)) == ("bert", ["[CLS]", "[SEP]", "▁word", "s"])
    assert made.lowercases is (None if lowercases else False)
    assert {name: made.special[name] for name in ("bos", "eos", "cls", "sep")} == {
        "bos": 0,
        "eos": 1,
        "cls": 0,
        "sep": 1,
    }


def test_the_older_files_of_gpt2_stand_for_a_tokenizer_json(tmp_path):
    write(
        tmp_path,
        vocab__json={"a": 0, "b": 1, "ab": 2},
        merges__txt="#version: 0.2\na b\n",
        added_tokens__json={"<x>": 3},
    )
    made = read_vocabulary(tmp_path, {"eos_token_id": 2}, 4)
    assert (made.pre, made.merges, made.special, texts(made)) == ("gpt-2", ["a b"], {"eos": 2}, ["a", "b", "ab", "<x>"])


def test_what_stands_around_every_text(tmp_path):
    single = [{"SpecialToken": {"id": "<s>"}}, {"Sequence": {"id": "A"}}, {"SpecialToken": {"id": "<end>"}}]
    data = {
        "model": {"type": "BPE", "vocab": {"<s>": 0, "</s>": 1, "<end>": 2}, "merges": []},
        "pre_tokenizer": BYTE_LEVEL,
        "post_processor": {"type": "Sequence", "processors": [{"type": "TemplateProcessing", "single": single}]},
    }
    settings = {"bos_token": {"content": "<s>"}, "eos_token": "</s>"}
    made = read_vocabulary(write(tmp_path, tokenizer__json=data, tokenizer_config__json=settings), {}, 3)
    assert made.adds == {"bos": True, "eos": True}
    assert made.special == {"bos": 0, "eos": 2, "eot": 1}  # the token behind a text ends it, the stated one ends a turn
    write(tmp_path, tokenizer_config__json={})
    assert read_vocabulary(tmp_path, {"bos_token_id": 1}, 3).special == {"bos": 0, "eos": 2}
    write(tmp_path, tokenizer_config__json={**settings, "add_bos_token": False})
    assert read_vocabulary(tmp_path, {}, 3).adds["bos"] is False


def test_llama_cpp_adds_one_token_at_each_end_of_a_text(tmp_path):
    single = [{"SpecialToken": {"id": "[gMASK]"}}, {"SpecialToken": {"id": "<sop>"}}, {"Sequence": {"id": "A"}}]
    data = {
        "model": {"type": "BPE", "vocab": {"[gMASK]": 0, "<sop>": 1}, "merges": []},
        "pre_tokenizer": BYTE_LEVEL,
        "post_processor": {"type": "TemplateProcessing", "single": single},
    }
    made = read_vocabulary(write(tmp_path, tokenizer__json=data), {"eos_token_id": 1}, 2)
    assert (made.special, made.adds) == ({"bos": 0, "eos": 1}, {"bos": True, "eos": False})
    assert "also puts <sop> around" in made.warnings[0]


def twelve_tokens(folder, **settings):
    vocab = {letter: index for index, letter in enumerate("abcdefghijkl")}
    data = {"model": {"type": "BPE", "vocab": vocab, "merges": []}, "pre_tokenizer": BYTE_LEVEL}
    return write(folder, tokenizer__json=data, tokenizer_config__json=settings)


def test_of_several_ends_the_first_is_the_texts(tmp_path):
    twelve_tokens(tmp_path)
    assert read_vocabulary(tmp_path, {"eos_token_id": [0, 5]}, 12).special == {"eos": 0, "eot": 5}
    four = {"eos_token_id": [0, 5, 7, 8], "pad_token_id": 5}
    assert read_vocabulary(tmp_path, four, 12).special == {"eos": 0, "eot": 5, "eom": 7, "pad": 5}
    assert read_vocabulary(tmp_path, {"eos_token_id": [], "bos_token_id": -1}, 12).special == {}
    twelve_tokens(tmp_path, eos_token="f")
    assert read_vocabulary(tmp_path, {"eos_token_id": [0, 5]}, 12).special == {"eos": 5, "eot": 0}
    assert read_vocabulary(tmp_path, {"eos_token_id": 2}, 12).special == {"eos": 5}


def test_a_tokenizer_without_an_end_adds_none_and_says_where_llama_cpp_stops(tmp_path):
    made = read_vocabulary(twelve_tokens(tmp_path, add_eos_token=True, add_bos_token=True), {}, 12)
    assert (made.special, made.adds) == ({}, {"bos": False, "eos": False})
    assert "token 11 (“l”)" in made.warnings[0]
    assert "token 11" not in "".join(read_vocabulary(tmp_path, {}, 11).warnings)  # there is no such token to take
    assert read_vocabulary(tmp_path, {"eos_token_id": 3}, 12).adds == {"bos": False, "eos": True}


def test_chat_templates_by_name(tmp_path):
    data = {"model": {"type": "BPE", "vocab": {"a": 0}, "merges": []}, "pre_tokenizer": BYTE_LEVEL}
    stated = [{"name": "default", "template": "D"}, {"name": "tool_use", "template": "T"}]
    write(tmp_path, tokenizer__json=data, tokenizer_config__json={"chat_template": stated})
    assert read_vocabulary(tmp_path, {}, 1).templates == {"": "D", "tool_use": "T"}
    write(tmp_path, chat_template__jinja="from the file")
    assert read_vocabulary(tmp_path, {}, 1).templates == {"": "from the file"}


def field(number, payload):
    """A length-delimited field of a protocol buffer."""
    return bytes([number << 3 | 2, len(payload)]) + payload


def piece(text, score, kind=1):
    return field(1, field(1, text.encode()) + bytes([2 << 3 | 5]) + struct.pack("<f", score) + bytes([3 << 3, kind]))


def test_a_sentence_piece_model_alone(tmp_path):
    trainer, normalizer = field(2, bytes([3 << 3, 2])), field(3, bytes([3 << 3, 0]))
    pieces = piece("<unk>", 0, 2) + piece("<s>", 0, 3) + piece("▁a", -1)
    model = pieces + b"".join(piece(text, 0, 6) for text in BYTE_TOKENS) + trainer + normalizer
    (tmp_path / "tokenizer.model").write_bytes(model)
    made = read_vocabulary(tmp_path, {"bos_token_id": 1}, 259)
    assert (made.model, made.adds_space, texts(made)) == ("llama", False, ["<unk>", "<s>", "▁a", *BYTE_TOKENS])
    assert kinds(made)[:4] == [TokenKind.UNKNOWN, TokenKind.CONTROL, TokenKind.NORMAL, TokenKind.BYTE]
    assert (made.special, made.adds) == ({"unk": 0, "bos": 1}, {"bos": True, "eos": False})
    assert "token 2 (“▁a”)" in made.warnings[0]  # what SentencePiece means by default, but it is a word here
    assert not read_vocabulary(tmp_path, {"eos_token_id": 1}, 259).warnings
    (tmp_path / "tokenizer.model").write_bytes(model[:-3])
    with pytest.raises(UserError, match="damaged"):
        read_vocabulary(tmp_path, {}, 4)


@pytest.mark.parametrize(
    "model",
    [
        piece("a", 0) + field(3, bytes([2 << 3, 5])),  # a number as the map of characters
        field(1, b"") * 3_000_000,  # pieces without a text
        piece("a", 0) + bytes([4 << 3, 0]) * 3_000_000,  # fields that nobody knows
        field(1, field(1, b"a") + bytes([9 << 3, 0]) * 60),  # within a piece
        bytes([3 << 3, 0]) + piece("a", 0),  # a number in the place of the normalizer
    ],
)
def test_a_hostile_sentence_piece_model_takes_no_time(tmp_path, model):
    (tmp_path / "tokenizer.model").write_bytes(model)
    with pytest.raises(UserError, match="damaged"):
        read_vocabulary(tmp_path, {}, 4)


def test_a_sentence_piece_model_has_no_more_pieces_than_any_published_one(tmp_path, monkeypatch):
    monkeypatch.setattr("quantgui.formats.gguf.tokenizer.sentence_piece.MAX_PIECES", 3)
    (tmp_path / "tokenizer.model").write_bytes(b"".join(piece(f"a{index}", 0) for index in range(3 + 65)))
    with pytest.raises(UserError, match="damaged"):
        read_vocabulary(tmp_path, {}, 4)


@pytest.mark.parametrize(
    "content",
    [
        "[]",
        "{}",
        '{"model": {"type": "BPE", "vocab": {"a": -5}, "merges": []}, "pre_tokenizer": {"type": "ByteLevel"}}',
        "[" * 99_999,
    ],
)
def test_a_damaged_tokenizer_is_one_sentence(tmp_path, content):
    with pytest.raises(UserError):
        read_vocabulary(write(tmp_path, tokenizer__json=content), {}, 1)


@pytest.mark.parametrize(
    "files",
    [
        {"added_tokens__json": {"x": [1]}},
        {"added_tokens__json": {"x": "²"}},
        {"tokenizer_config__json": {"added_tokens_decoder": {"9" * 5000: {"content": "x"}}}},
    ],
)
def test_older_files_that_are_damaged_are_one_sentence(tmp_path, files):
    with pytest.raises(UserError, match="damaged"):
        read_vocabulary(write(tmp_path, vocab__json={"a": 0}, merges__txt="", **files), {}, 1)


def test_a_folder_without_a_tokenizer_is_refused(tmp_path):
    with pytest.raises(UserError, match="tokenizer files"):
        read_vocabulary(tmp_path, {}, 1)

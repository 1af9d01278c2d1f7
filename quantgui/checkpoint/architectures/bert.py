"""BERT, RoBERTa, XLM-R and CamemBERT, alone as embedding models store them and with the masked-language-model head."""

from __future__ import annotations

from collections.abc import Mapping

from quantgui.checkpoint.architectures._blocks import linear, norm
from quantgui.checkpoint.architectures._encoder import headless, no_cache
from quantgui.checkpoint.architectures._family import Family, Shapes
from quantgui.checkpoint.architectures._keys import Keys

_CLASSES: Mapping[str, str] = {
    "bert": "Bert",
    "roberta": "Roberta",
    "xlm-roberta": "XLMRoberta",
    "camembert": "Camembert",
}
"""`model_type` -> how the names of its classes start."""


def tensors(keys: Keys) -> Shapes:
    """Weights of the checkpoint. Raises UserError for heads other than masked language modelling."""
    if headless(keys, _CLASSES[keys.model_type]):
        yield from _encoder("", keys)
        yield from linear("pooler.dense", keys.hidden, keys.hidden, bias=True)
    elif keys.model_type == "bert":
        yield from _encoder("bert.", keys)
        yield "cls.predictions.bias", (keys.vocab,)
        yield from linear("cls.predictions.transform.dense", keys.hidden, keys.hidden, bias=True)
        yield from norm("cls.predictions.transform.LayerNorm", keys.hidden, bias=True)
    else:
        yield from _encoder("roberta.", keys)
        yield "lm_head.bias", (keys.vocab,)
        yield from linear("lm_head.dense", keys.hidden, keys.hidden, bias=True)
        yield from norm("lm_head.layer_norm", keys.hidden, bias=True)


def _encoder(root: str, keys: Keys) -> Shapes:
    hidden, inner = keys.hidden, keys.size("intermediate_size")
    yield f"{root}embeddings.word_embeddings.weight", (keys.vocab, hidden)
    yield f"{root}embeddings.position_embeddings.weight", (keys.size("max_position_embeddings"), hidden)
    yield f"{root}embeddings.token_type_embeddings.weight", (keys.size("type_vocab_size", default=2), hidden)
    yield from norm(f"{root}embeddings.LayerNorm", hidden, bias=True)
    for index in range(keys.layers):
        prefix = f"{root}encoder.layer.{index}"
        for part in ("query", "key", "value"):
            yield from linear(f"{prefix}.attention.self.{part}", hidden, hidden, bias=True)
        yield from linear(f"{prefix}.attention.output.dense", hidden, hidden, bias=True)
        yield from norm(f"{prefix}.attention.output.LayerNorm", hidden, bias=True)
        yield from linear(f"{prefix}.intermediate.dense", inner, hidden, bias=True)
        yield from linear(f"{prefix}.output.dense", hidden, inner, bias=True)
        yield from norm(f"{prefix}.output.LayerNorm", hidden, bias=True)


FAMILY = Family(tuple(_CLASSES), tensors, no_cache)

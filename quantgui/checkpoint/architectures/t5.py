"""T5 and mT5: an encoder and a decoder with relative positions; version 1.1 on with a gated feed-forward."""

from __future__ import annotations

from quantgui.checkpoint.architectures._blocks import linear, norm
from quantgui.checkpoint.architectures._family import AttentionLayer, Family, Shapes
from quantgui.checkpoint.architectures._keys import Keys


def tensors(keys: Keys) -> Shapes:
    """Weights of the checkpoint; encoder-only checkpoints lack the decoder."""
    yield "shared.weight", (keys.vocab, keys.hidden)
    yield from _stack("encoder", keys, keys.layers, is_decoder=False)
    if not keys.architecture.endswith("EncoderModel"):
        yield from _stack("decoder", keys, _decoder_layers(keys), is_decoder=True)
    if "ForConditionalGeneration" in keys.architecture and not keys.tied(True):
        yield from linear("lm_head", keys.vocab, keys.hidden)


def _stack(root: str, keys: Keys, layers: int, is_decoder: bool) -> Shapes:
    hidden, inner, width = keys.hidden, keys.size("d_ff"), keys.heads * keys.size("d_kv", default=64)
    gated = str(keys.value("feed_forward_proj") or "relu").startswith("gated") or keys.flag("is_gated_act", False)
    for index in range(layers):
        prefix = f"{root}.block.{index}.layer"
        parts = ["SelfAttention", "EncDecAttention"] if is_decoder else ["SelfAttention"]
        for number, part in enumerate(parts):
            for matrix in ("q", "k", "v"):
                yield from linear(f"{prefix}.{number}.{part}.{matrix}", width, hidden)
            yield from linear(f"{prefix}.{number}.{part}.o", hidden, width)
            if number == 0 and (index == 0 or keys.model_type == "umt5"):
                buckets = keys.size("relative_attention_num_buckets", default=32)
                yield f"{prefix}.0.SelfAttention.relative_attention_bias.weight", (buckets, keys.heads)
            yield from norm(f"{prefix}.{number}.layer_norm", hidden)
        last = f"{prefix}.{len(parts)}"
        for matrix in ("wi_0", "wi_1") if gated else ("wi",):
            yield from linear(f"{last}.DenseReluDense.{matrix}", inner, hidden)
        yield from linear(f"{last}.DenseReluDense.wo", hidden, inner)
        yield from norm(f"{last}.layer_norm", hidden)
    yield from norm(f"{root}.final_layer_norm", hidden)


def _decoder_layers(keys: Keys) -> int:
    return keys.size("num_decoder_layers", default=keys.layers)


def kept(keys: Keys) -> tuple[AttentionLayer, ...]:
    """Every layer of the decoder keeps keys and values of its own tokens and, once computed, of all that the encoder
    has read. An encoder alone keeps nothing."""
    if keys.architecture.endswith("EncoderModel"):
        return ()
    elements = 2 * keys.heads * keys.size("d_kv", default=64)
    return (AttentionLayer(elements), AttentionLayer(elements, of_encoder=True)) * _decoder_layers(keys)


FAMILY = Family(("t5", "mt5", "umt5"), tensors, kept)

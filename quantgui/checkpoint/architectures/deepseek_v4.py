"""DeepSeek V4: one shared key-value head, compressed and indexed long-range attention, hyper-connections, first layers
routed by token. Names are those of the published checkpoints."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from quantgui.checkpoint.architectures._blocks import linear, norm, numbered_experts
from quantgui.checkpoint.architectures._family import AttentionLayer, Family, Shapes
from quantgui.checkpoint.architectures._keys import Keys
from quantgui.types import UserError

INDEXED_RATIO, HEAVY_RATIO, STREAMS, HASH_LAYERS = 4, 128, 4, 3
"""What transformers takes where the config states none: tokens per compressed entry in indexed and in heavily
compressed layers, residual streams, layers routed by token."""
_RATIOS: Mapping[str, int] = {
    "sliding_attention": 0,
    "compressed_sparse_attention": INDEXED_RATIO,
    "heavily_compressed_attention": HEAVY_RATIO,
}


@dataclass(frozen=True, slots=True)
class _Sizes:
    """The sizes that attention needs."""

    hidden: int
    heads: int
    head_dim: int
    query_rank: int
    groups: int
    output_rank: int


def tensors(keys: Keys) -> Shapes:
    """Weights of the main model."""
    hidden, streams = keys.hidden, keys.size("hc_mult", default=STREAMS)
    ratios, hashed = _ratios(keys), _hash_layers(keys)
    yield "embed.weight", (keys.vocab, hidden)
    for index in range(keys.layers):
        yield from _layer(f"layers.{index}", keys, ratios[index], index < hashed)
    yield from norm("norm", hidden)
    yield from _stream_head("hc_head", streams, hidden)
    if not keys.tied(False):
        yield from linear("head", keys.vocab, hidden)


def extras(keys: Keys) -> Shapes:
    """The layers that predict further tokens; they use the main model's embedding and head."""
    hidden, streams = keys.hidden, keys.size("hc_mult", default=STREAMS)
    for index in range(keys.count("num_nextn_predict_layers")):
        prefix = f"mtp.{index}"
        yield from _layer(prefix, keys, 0, is_hashed=False)
        yield from linear(f"{prefix}.e_proj", hidden, hidden)
        yield from linear(f"{prefix}.h_proj", hidden, hidden)
        for name in ("enorm", "hnorm", "norm"):
            yield from norm(f"{prefix}.{name}", hidden)
        yield from _stream_head(f"{prefix}.hc_head", streams, hidden)


def _layer(prefix: str, keys: Keys, ratio: int, is_hashed: bool) -> Shapes:
    hidden, streams = keys.hidden, keys.size("hc_mult", default=STREAMS)
    yield from norm(f"{prefix}.attn_norm", hidden)
    yield from _attention(f"{prefix}.attn", keys, ratio)
    yield from norm(f"{prefix}.ffn_norm", hidden)
    yield from _experts(f"{prefix}.ffn", keys, is_hashed)
    for part in ("attn", "ffn"):
        mixed = (2 + streams) * streams
        yield f"{prefix}.hc_{part}_fn", (mixed, streams * hidden)
        yield f"{prefix}.hc_{part}_base", (mixed,)
        yield f"{prefix}.hc_{part}_scale", (3,)


def _stream_head(prefix: str, streams: int, hidden: int) -> Shapes:
    yield f"{prefix}_fn", (streams, streams * hidden)
    yield f"{prefix}_base", (streams,)
    yield f"{prefix}_scale", (1,)


def _attention(prefix: str, keys: Keys, ratio: int) -> Shapes:
    sizes = _sizes(keys)
    yield f"{prefix}.attn_sink", (sizes.heads,)
    yield from linear(f"{prefix}.wq_a", sizes.query_rank, sizes.hidden)
    yield from norm(f"{prefix}.q_norm", sizes.query_rank)
    yield from linear(f"{prefix}.wq_b", sizes.heads * sizes.head_dim, sizes.query_rank)
    yield from linear(f"{prefix}.wkv", sizes.head_dim, sizes.hidden)
    yield from norm(f"{prefix}.kv_norm", sizes.head_dim)
    output = sizes.groups * sizes.output_rank
    yield from linear(f"{prefix}.wo_a", output, sizes.heads * sizes.head_dim // sizes.groups)
    yield from linear(f"{prefix}.wo_b", sizes.hidden, output)
    if ratio:
        yield from _compressor(f"{prefix}.compressor", sizes.head_dim, sizes.hidden, ratio)
    if ratio == INDEXED_RATIO:
        heads, index_dim = keys.size("index_n_heads"), keys.size("index_head_dim")
        yield from linear(f"{prefix}.indexer.wq_b", heads * index_dim, sizes.query_rank)
        yield from linear(f"{prefix}.indexer.weights_proj", heads, sizes.hidden)
        yield from _compressor(f"{prefix}.indexer.compressor", index_dim, sizes.hidden, ratio)


def _compressor(prefix: str, width: int, hidden: int, ratio: int) -> Shapes:
    """Merges `ratio` tokens into one entry; indexed layers let the groups overlap, which doubles the projections."""
    projected = 2 * width if ratio == INDEXED_RATIO else width
    yield f"{prefix}.ape", (ratio, projected)
    yield from norm(f"{prefix}.norm", width)
    yield from linear(f"{prefix}.wkv", projected, hidden)
    yield from linear(f"{prefix}.wgate", projected, hidden)


def _experts(prefix: str, keys: Keys, is_hashed: bool) -> Shapes:
    hidden, count, inner = keys.hidden, keys.size("n_routed_experts"), keys.size("moe_intermediate_size")
    yield from linear(f"{prefix}.gate", count, hidden)
    if is_hashed:
        yield f"{prefix}.gate.tid2eid", (keys.vocab, keys.size("num_experts_per_tok"))
    else:
        yield f"{prefix}.gate.bias", (count,)
    yield from numbered_experts(f"{prefix}.experts", count, hidden, inner)
    width = keys.size("n_shared_experts", default=1) * inner
    yield from linear(f"{prefix}.shared_experts.w1", width, hidden)
    yield from linear(f"{prefix}.shared_experts.w3", width, hidden)
    yield from linear(f"{prefix}.shared_experts.w2", hidden, width)


def _sizes(keys: Keys) -> _Sizes:
    sizes = _Sizes(
        keys.hidden,
        keys.heads,
        keys.head_dim(512),
        keys.size("q_lora_rank"),
        keys.size("o_groups", default=8),
        keys.size("o_lora_rank", default=1024),
    )
    if sizes.heads * sizes.head_dim % sizes.groups:
        raise UserError(f"The config's o_groups, {sizes.groups}, do not divide the width of its heads.")
    return sizes


def _ratios(keys: Keys) -> tuple[int, ...]:
    """Tokens per compressed entry of each layer, 0 where attention only slides."""
    stated, kinds = keys.sequence("compress_ratios"), keys.kinds()
    if kinds is not None:
        ratios = tuple(_RATIOS.get(kind, -1) for kind in kinds)
    elif stated is not None:
        ratios = tuple(stated[: keys.layers])
    else:
        ratios = tuple(HEAVY_RATIO if index < 2 or index % 2 == 0 else INDEXED_RATIO for index in range(keys.layers))
    if len(ratios) != keys.layers or not all(ratio in _RATIOS.values() for ratio in ratios):
        raise UserError(
            "The config's compress_ratios do not match its layers.", hint="Use the model's own config.json."
        )
    return ratios


def _hash_layers(keys: Keys) -> int:
    kinds = keys.kinds("mlp_layer_types")
    return keys.count("num_hash_layers", HASH_LAYERS) if kinds is None else kinds.count("hash_moe")


def kept(keys: Keys) -> tuple[AttentionLayer, ...] | None:
    """None: the compressed entries grow with a fraction of the tokens, and runtimes keep them in different dtypes."""
    return None


FAMILY = Family(("deepseek_v4", "deepseek_ref"), tensors, kept, extras=extras)

"""MiniMax M2 (norms over the whole width of query and key) and M3 (norms per head, dense first layers, shared experts,
block-sparse attention)."""

from __future__ import annotations

from quantgui.checkpoint.architectures._blocks import (
    attention,
    decoder,
    gated_mlp,
    head_norms,
    linear,
    norm,
    numbered_experts,
)
from quantgui.checkpoint.architectures._family import AttentionLayer, Family, Shapes
from quantgui.checkpoint.architectures._keys import Keys

M3_DENSE_INNER, M3_SHARED_INNER, M3_INDEX_HEADS, M3_INDEX_DIM = 12288, 3072, 4, 128
"""What transformers takes for MiniMax-M3 where the config states none."""


def tensors(keys: Keys) -> Shapes:
    """Weights of the language model."""
    hidden, head_dim = keys.hidden, keys.head_dim()
    is_m3, dense, indexed = _is_m3(keys), _dense_layers(keys), _indexed_layers(keys)

    def layer(prefix: str, index: int) -> Shapes:
        yield from norm(f"{prefix}.input_layernorm", hidden)
        yield from attention(f"{prefix}.self_attn", keys, head_dim)
        if is_m3:
            yield from head_norms(f"{prefix}.self_attn", head_dim)
        else:
            yield from norm(f"{prefix}.self_attn.q_norm", keys.heads * head_dim)
            yield from norm(f"{prefix}.self_attn.k_norm", keys.kv_heads * head_dim)
        if indexed[index]:
            yield from _indexer(f"{prefix}.self_attn", keys)
        yield from norm(f"{prefix}.post_attention_layernorm", hidden)
        if index in dense:
            inner = keys.size("dense_intermediate_size", default=M3_DENSE_INNER)
            yield from gated_mlp(f"{prefix}.mlp", hidden, inner)
        else:
            yield from _experts(f"{prefix}.block_sparse_moe", keys)

    return decoder(keys, layer, tied=False)


def _experts(prefix: str, keys: Keys) -> Shapes:
    hidden, count, inner = keys.hidden, keys.size("num_local_experts"), keys.size("intermediate_size")
    yield from linear(f"{prefix}.gate", count, hidden)
    yield f"{prefix}.e_score_correction_bias", (count,)
    yield from numbered_experts(f"{prefix}.experts", count, hidden, inner)
    shared = keys.count("n_shared_experts", 1 if _is_m3(keys) else 0)
    if shared:
        width = shared * keys.size("shared_intermediate_size", default=M3_SHARED_INNER)
        yield from gated_mlp(f"{prefix}.shared_experts", hidden, width)


def _indexer(prefix: str, keys: Keys) -> Shapes:
    """A small attention of its own that picks the blocks of tokens to attend to."""
    heads, head_dim = _index_heads(keys), _index_dim(keys)
    yield from linear(f"{prefix}.index_q_proj", heads * head_dim, keys.hidden)
    yield from linear(f"{prefix}.index_k_proj", head_dim, keys.hidden)
    yield from norm(f"{prefix}.index_q_norm", head_dim)
    yield from norm(f"{prefix}.index_k_norm", head_dim)


def _is_m3(keys: Keys) -> bool:
    return keys.model_type.startswith("minimax_m3")


def _dense_layers(keys: Keys) -> frozenset[int]:
    """M3's layers without experts, by either of the two names this goes by."""
    kinds = keys.kinds("mlp_layer_types")
    if kinds is not None:
        return frozenset(index for index, kind in enumerate(kinds) if kind == "dense")
    flags = keys.sequence("moe_layer_freq") if _is_m3(keys) else None
    return frozenset(index for index, is_sparse in enumerate(flags or ()) if not is_sparse)


def _indexed_layers(keys: Keys) -> tuple[bool, ...]:
    kinds, sparse = keys.kinds(), keys.part("sparse_attention_config")
    if kinds is not None:
        return tuple(kind == "minimax_m3_sparse" for kind in kinds)
    flags = sparse.sequence("sparse_attention_freq") if sparse else None
    return tuple(bool(flags and index < len(flags) and flags[index]) for index in range(keys.layers))


def _index_heads(keys: Keys) -> int:
    sparse = keys.part("sparse_attention_config")
    stated = sparse.optional("sparse_num_index_heads") if sparse else None
    return stated or keys.size("index_n_heads", default=M3_INDEX_HEADS)


def _index_dim(keys: Keys) -> int:
    sparse = keys.part("sparse_attention_config")
    stated = sparse.optional("sparse_index_dim") if sparse else None
    return stated or keys.size("index_head_dim", default=M3_INDEX_DIM)


def kept(keys: Keys) -> tuple[AttentionLayer, ...]:
    """Keys and values, and in sparse layers the key of the index."""
    elements = 2 * keys.kv_heads * keys.head_dim()
    return tuple(
        AttentionLayer(elements, None, _index_dim(keys) if indexed else 0) for indexed in _indexed_layers(keys)
    )


FAMILY = Family(
    ("minimax_m2", "minimax_m3", "minimax_m3_text", "minimax_m3_vl", "minimax_m3_vl_text"),
    tensors,
    kept,
)

"""What each head of latent attention multiplies its own matrices with, where they are not applied to the latents first.

A checkpoint's `kv_b_proj` makes the keys and values of all heads from one latent vector. llama.cpp multiplies in the
other order (DeepSeek-V2, arXiv:2405.04434, section 2.1.2): a head's query with its matrix of keys, and the mean of the
latents that the head attends to with its matrix of values. No model of transformers computes these means: they are what
attention gives with the latents as values.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

SeenHeads = Callable[["torch.Tensor", "torch.Tensor"], None]
"""Told the queries [heads, tokens, width of keys] and the means of latents [heads, tokens, latent] of a sample."""


def watching_heads(weight: torch.Tensor, seen: SeenHeads) -> Any:
    """A context manager; within it `seen` is called for the attention whose keys and values are made with `weight`.

    Queries begin with the part that has no rotary position, which alone meets the latents. Attention that is not
    torch's `scaled_dot_product_attention` is not seen.
    """
    import torch
    from torch.overrides import TorchFunctionMode

    class Watch(TorchFunctionMode):
        latents: torch.Tensor | None = None  # [..., tokens, latent], between their projection and the attention

        def __torch_function__(self, func: Any, types: Any, args: tuple = (), kwargs: Any = None) -> Any:
            kwargs = kwargs or {}
            if func is torch.nn.functional.linear and args[1].data_ptr() == weight.data_ptr():
                self.latents = args[0]
            elif func is torch.nn.functional.scaled_dot_product_attention and self.latents is not None:
                query, key = args[:2]
                values = self.latents.reshape(1, 1, *self.latents.shape[-2:]).expand(1, key.shape[1], -1, -1)
                seen(query[0], func(query, key, values, *args[3:], **kwargs)[0])
                self.latents = None
            return func(*args, **kwargs)

    return Watch()

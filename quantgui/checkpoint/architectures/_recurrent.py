"""Layers that keep a state of constant size instead of keys and values: Mamba 1 and 2, gated delta net.

Sizes of the state: the (kernel - 1) inputs still inside the causal convolution, and one state per channel or head.
Mamba 2 as in llama.cpp's logs of Nemotron-3-Nano (47.62 MiB per sequence in float32), gated delta net as in its logs of
Qwen3.6-27B (598.50 MiB for four).
"""

from __future__ import annotations

from dataclasses import dataclass

from quantgui.checkpoint.architectures._blocks import linear, norm
from quantgui.checkpoint.architectures._family import Shapes, StateLayer


@dataclass(frozen=True, slots=True)
class Mamba2:
    """Sizes of a Mamba-2 mixer: `heads` heads of `head_dim` channels, `groups` of B and C with `state` entries each."""

    heads: int
    head_dim: int
    state: int
    groups: int
    kernel: int
    inner: int | None = None  # heads * head_dim unless stated
    conv_bias: bool = True
    proj_bias: bool = False
    normed: bool = True

    @property
    def channels(self) -> int:
        """Width of the mixer inside."""
        return self.inner or self.heads * self.head_dim

    @property
    def convolved(self) -> int:
        """Channels of the convolution: inputs, B and C."""
        return self.channels + 2 * self.groups * self.state

    def tensors(self, prefix: str, hidden: int) -> Shapes:
        """Weights of one mixer."""
        yield from linear(f"{prefix}.in_proj", self.channels + self.convolved + self.heads, hidden, self.proj_bias)
        yield f"{prefix}.conv1d.weight", (self.convolved, 1, self.kernel)
        if self.conv_bias:
            yield f"{prefix}.conv1d.bias", (self.convolved,)
        yield f"{prefix}.A_log", (self.heads,)
        yield f"{prefix}.D", (self.heads,)
        yield f"{prefix}.dt_bias", (self.heads,)
        if self.normed:
            yield from norm(f"{prefix}.norm", self.channels)
        yield from linear(f"{prefix}.out_proj", hidden, self.channels, self.proj_bias)

    def kept(self) -> StateLayer:
        """State of one mixer."""
        return StateLayer((self.kernel - 1) * self.convolved, self.channels * self.state)


@dataclass(frozen=True, slots=True)
class Mamba1:
    """Sizes of a Mamba-1 mixer; `rank` is that of the step size dt."""

    inner: int
    state: int
    rank: int
    kernel: int
    conv_bias: bool = True
    proj_bias: bool = False
    normed: bool = False  # Jamba norms dt, B and C

    def tensors(self, prefix: str, hidden: int) -> Shapes:
        """Weights of one mixer."""
        yield from linear(f"{prefix}.in_proj", 2 * self.inner, hidden, self.proj_bias)
        yield f"{prefix}.conv1d.weight", (self.inner, 1, self.kernel)
        if self.conv_bias:
            yield f"{prefix}.conv1d.bias", (self.inner,)
        yield from linear(f"{prefix}.x_proj", self.rank + 2 * self.state, self.inner)
        yield from linear(f"{prefix}.dt_proj", self.inner, self.rank, bias=True)
        yield f"{prefix}.A_log", (self.inner, self.state)
        yield f"{prefix}.D", (self.inner,)
        if self.normed:
            yield from norm(f"{prefix}.dt_layernorm", self.rank)
            yield from norm(f"{prefix}.b_layernorm", self.state)
            yield from norm(f"{prefix}.c_layernorm", self.state)
        yield from linear(f"{prefix}.out_proj", hidden, self.inner, self.proj_bias)

    def kept(self) -> StateLayer:
        """State of one mixer."""
        return StateLayer((self.kernel - 1) * self.inner, self.inner * self.state)


@dataclass(frozen=True, slots=True)
class GatedDelta:
    """Sizes of a gated delta net: a [key, value] matrix of state per value head."""

    key_heads: int
    value_heads: int
    key_dim: int
    value_dim: int
    kernel: int
    joint_inputs: bool = False  # Qwen3-Next projects q, k, v and z at once, and b with a

    @property
    def value_width(self) -> int:
        """Width of all value heads."""
        return self.value_heads * self.value_dim

    @property
    def convolved(self) -> int:
        """Channels of the convolution: queries, keys and values."""
        return 2 * self.key_heads * self.key_dim + self.value_width

    def tensors(self, prefix: str, hidden: int) -> Shapes:
        """Weights of one layer."""
        if self.joint_inputs:
            yield from linear(f"{prefix}.in_proj_qkvz", self.convolved + self.value_width, hidden)
            yield from linear(f"{prefix}.in_proj_ba", 2 * self.value_heads, hidden)
        else:
            yield from linear(f"{prefix}.in_proj_qkv", self.convolved, hidden)
            yield from linear(f"{prefix}.in_proj_z", self.value_width, hidden)
            yield from linear(f"{prefix}.in_proj_a", self.value_heads, hidden)
            yield from linear(f"{prefix}.in_proj_b", self.value_heads, hidden)
        yield f"{prefix}.conv1d.weight", (self.convolved, 1, self.kernel)
        yield f"{prefix}.A_log", (self.value_heads,)
        yield f"{prefix}.dt_bias", (self.value_heads,)
        yield from norm(f"{prefix}.norm", self.value_dim)
        yield from linear(f"{prefix}.out_proj", hidden, self.value_width)

    def kept(self) -> StateLayer:
        """State of one layer."""
        return StateLayer((self.kernel - 1) * self.convolved, self.value_width * self.key_dim)

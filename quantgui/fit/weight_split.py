"""How the bytes of the weights lie: by role, by layer, and which of them a generated token reads."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from quantgui.checkpoint.architectures import expert_use
from quantgui.fit.per_checkpoint import per_checkpoint
from quantgui.types import Checkpoint, Role, TensorInfo, UserError

TOWERS = ("vision ·", "audio ·")
"""How the short names of tensors begin that see and hear."""
_BESIDE_THE_STACK = (*TOWERS, "mtp ·")
"""Short names of what has layer numbers of its own: towers and prediction layers."""
_SHARED = "shared expert"


@dataclass(frozen=True, slots=True)
class WeightSplit:
    """Bytes of the weights in parts. The layers' sum is less than the total: embedding, head and towers lie outside."""

    role_bytes: Mapping[Role, int] = field(default_factory=dict)
    layer_bytes: tuple[int, ...] = ()  # of each transformer layer
    expert_layer_bytes: tuple[int, ...] = ()  # of these, the routed experts
    lookup_bytes: int = 0  # embeddings that only give a row per token; a tied one is also the head and not among them
    expert_share: float = 1.0  # of the routed experts, the part one token passes through


@dataclass(frozen=True, slots=True)
class _Place:
    """Where the bytes of one tensor are counted."""

    role: Role
    layer: int | None
    is_routed: bool
    is_lookup: bool


@dataclass(frozen=True, slots=True)
class SplitPlan:
    """The places of a list of tensors; adding up their bytes under one precision is then one short loop."""

    places: tuple[_Place, ...]  # each once
    index: tuple[int, ...]  # of each tensor, its place
    layers: int
    expert_share: float

    def split(self, nbytes: Sequence[int]) -> WeightSplit:
        """The parts for `nbytes`, one number per tensor in the plan's order."""
        sums = [0] * len(self.places)
        for index, size in zip(self.index, nbytes, strict=True):
            sums[index] += size
        roles: Counter[Role] = Counter()
        layers, experts, lookup = [0] * self.layers, [0] * self.layers, 0
        for place, size in zip(self.places, sums, strict=True):
            roles[place.role] += size
            lookup += size if place.is_lookup else 0
            if place.layer is not None:
                layers[place.layer] += size
                experts[place.layer] += size if place.is_routed else 0
        return WeightSplit(dict(roles), tuple(layers), tuple(experts), lookup, self.expert_share)


def plan_split(tensors: Iterable[TensorInfo], expert_share: float, layers: int | None = None) -> SplitPlan:
    """Where each tensor's bytes are counted. Layers beyond `layers`, where it is given, only predict further tokens."""
    listed = list(tensors)
    has_head = any(tensor.role is Role.HEAD and not tensor.module.startswith("mtp") for tensor in listed)
    places: dict[_Place, int] = {}
    index = tuple(places.setdefault(_place(tensor, has_head, layers), len(places)) for tensor in listed)
    count = 1 + max((place.layer for place in places if place.layer is not None), default=-1)
    return SplitPlan(tuple(places), index, count, expert_share)


@per_checkpoint
def checkpoint_plan(checkpoint: Checkpoint) -> SplitPlan:
    """The plan for a checkpoint's own tensors."""
    layers = checkpoint.config.num_layers if checkpoint.config else None
    return plan_split(checkpoint.tensors, share_of_experts(checkpoint), layers)


def share_of_experts(checkpoint: Checkpoint) -> float:
    """Part of the routed experts that one token passes through; 1 for dense models and where it is not stated."""
    try:
        use = expert_use(checkpoint.config) if checkpoint.config else None
    except UserError:  # the KV cache says what is wrong with such a config
        return 1.0
    return use.used / use.count if use else 1.0


def _place(tensor: TensorInfo, has_head: bool, layers: int | None) -> _Place:
    layer = tensor.layer
    if tensor.module.startswith(_BESIDE_THE_STACK) or (layers is not None and layer is not None and layer >= layers):
        layer = None
    routed = tensor.role is Role.EXPERT and not tensor.module.startswith(_SHARED) and layer is not None
    is_lookup = tensor.role is Role.EMBEDDING and layer is None and (has_head or tensor.module != "embed")
    return _Place(tensor.role, layer, routed, is_lookup)

"""Runs calibration text through a model block by block: one block's weights and the hidden states are in memory.

    walk = Walk(checkpoint, samples, device)
    for block in walk:                            # in the order of the model
        for group in block.input_groups():        # q, k and v share their inputs; then o; then gate and up; then down
            block.capture(visit, [group[0]])      # visit(name, inputs [tokens, in_features]) for every sample
        block.linears[name].copy_(quantized)      # what follows sees the change
    logits = walk.logits()                        # of one sample, by the changed model

When the loop goes on, the block runs once more with the weights it has then: the next block's inputs include the error
of everything before. The blocks are found by structure and fed with what the model itself would feed them: its own
forward pass runs with stand-ins in their places.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from quantgui.calibration.block import Block, Stop, is_finite, not_finite
from quantgui.calibration.blocks import find_blocks
from quantgui.calibration.skeleton import build_skeleton
from quantgui.calibration.sources import parameter_sources
from quantgui.calibration.weights import Read, WeightLoader
from quantgui.types import Checkpoint, UserError

if TYPE_CHECKING:
    import torch

_Fed = tuple["torch.Tensor", tuple, dict]
"""Hidden states, the other positional arguments and the named ones of a block."""


_SHARED = "shared_kv_states"
"""The argument with which Gemma 3n and 4 hand keys and values from a block to later ones."""


def _cannot_follow(model: Any) -> UserError:
    return UserError(
        f"The layers of this model ({model.config.model_type}) do not simply follow each other, "
        "so it cannot be calibrated yet.",
        hint="Choose a precision that needs no calibration.",
    )


class Walk:
    """See the module's words. `samples` are token ids int64 [samples, length] of equal length, without padding.

    `read` gives the weight that the simulated model has for a stored tensor, by default the stored one; so what
    another method makes of a tensor can be part of the simulation. Iterate once; a loop that an error has ended can be
    taken up again, after a `move` too: it begins with the block that it ended in, whose weights are read anew.
    """

    def __init__(self, checkpoint: Checkpoint, samples: torch.Tensor, device: torch.device, read: Read) -> None:
        path = Path(checkpoint.path)
        self.samples, self.device = samples, device
        self.model = build_skeleton(path if path.is_dir() else path.parent)
        self.prefix, self._blocks = find_blocks(self.model)
        self.model.config.get_text_config().use_cache = False
        self._loader = WeightLoader(self.model, parameter_sources(self.model, checkpoint.tensors), read, device)
        self._hidden: torch.Tensor | None = None  # float32 [samples, length, hidden], on the CPU
        self.finished = 0  # blocks that the hidden states have passed
        self._as_tuple = False  # whether a block returns (hidden states, ...)
        self._shared: dict[int, dict[Any, tuple[torch.Tensor, torch.Tensor]]] = {}
        """By sample, keys and values that later blocks use again."""
        _widen_embeddings(self.model)

    def __len__(self) -> int:
        """Number of blocks."""
        return len(self._blocks)

    def tensors_of_blocks(self) -> dict[str, int]:
        """Names of all stored tensors that make up the blocks, with the number of their block."""
        found = {}
        for index in range(len(self)):
            for name in self._loader.names_in(f"{self.prefix}.{index}"):
                found |= {tensor.name: index for tensor in self._loader.tensors_of(name)}
        return found

    def block_tensors(self) -> dict[str, int]:
        """Names of the matrices that can be calibrated, with the number of their block. Nothing is loaded."""
        found = {}
        for index in range(len(self)):
            names = self._loader.names_in(f"{self.prefix}.{index}")
            found |= dict.fromkeys(self._loader.linears(names), index)
        return found

    def __iter__(self) -> Iterator[Block]:
        """The blocks in order, each loaded when its turn comes and freed when the loop goes on."""
        import torch

        self._check_vocabulary()
        with torch.no_grad():
            if self._hidden is None:
                self._loader.load(self._outside(head=False))
                first = [self._fed(sample, 0)[0].cpu() for sample in range(len(self.samples))]
                if first[0].ndim != 3:  # Gemma 3n predicts its hidden states several times over
                    raise _cannot_follow(self.model)
                self._hidden = torch.cat(first)
            for index in range(self.finished, len(self)):
                prefix = f"{self.prefix}.{index}"
                names = self._loader.names_in(prefix)
                if missing := self._loader.load(names):
                    raise UserError(f"The checkpoint lacks {missing[0]}, so no text can be run through it.")
                run = self._runner(index)
                if index == 0:
                    run(0)  # shows what blocks return, which the stand-ins imitate
                    self._check_order()
                linears, vectors = self._loader.linears(names), self._loader.vectors(names)
                samples, finish = len(self.samples), partial(self._advance, index=index)
                block = Block(index, len(self), prefix, self._blocks[index], linears, vectors, run, samples, finish)
                block.experts = self._loader.experts(names)
                yield block
                if self.finished == index:
                    self._advance(block.run, index)
                self._loader.unload(names)

    def move(self, device: torch.device) -> None:
        """Computes on `device` from now on; the block at work is let go."""
        if self.finished < len(self):
            self._loader.unload(self._loader.names_in(f"{self.prefix}.{self.finished}"))
        self._loader.move(device)
        for kept in self._shared.values():
            kept |= {key: (keys.to(device), values.to(device)) for key, (keys, values) in kept.items()}
        self.device = device

    def logits(self, sample: int = 0) -> torch.Tensor:
        """What the model as it was walked gives for one sample: float32 [length, vocabulary] on the CPU.

        Call it after the loop. A model without a head gives its last hidden states.
        """
        import torch

        assert self._hidden is not None
        self._loader.load(self._outside(head=True))
        ends = self._hidden[sample : sample + 1].to(self.device)
        with torch.no_grad(), self._stand_ins(lambda index, args, kwargs: ends):
            output = self._forward(sample)
        result = next(value for value in output.values() if isinstance(value, torch.Tensor))
        return result[0].float().cpu()

    def _check_vocabulary(self) -> None:
        """Raises UserError where the text has tokens that the model does not know."""
        known = self.model.get_input_embeddings().num_embeddings
        largest = int(self.samples.max())
        if largest >= known:
            raise UserError(
                f"The tokenizer gives token {largest:,}, and the model knows {known:,} tokens.",
                hint="Copy the tokenizer files that belong to this model into its folder.",
            )

    def _check_order(self) -> None:
        """Raises UserError where the model does not run each block once, one after another, and nothing in between."""
        order: list[int] = []
        passed: list[torch.Tensor] = []

        def answer(index: int, args: tuple, kwargs: dict) -> torch.Tensor:
            hidden = _fed_from(args, kwargs)[0]
            order.append(index if not passed or hidden is passed[-1] else -1)
            passed.append(hidden)
            if index == len(self) - 1:
                raise Stop
            return hidden

        with self._stand_ins(answer), suppress(Stop):
            self._forward(0)
        declared = getattr(self.model.config.get_text_config(), "num_hidden_layers", len(self))
        if order != list(range(len(self))) or declared != len(self):  # ALBERT runs one group of layers many times
            raise _cannot_follow(self.model)

    def _outside(self, *, head: bool) -> list[str]:
        """Parameters outside of the blocks: those of the output head, or all others."""
        output = self.model.get_output_embeddings()
        of_head = {id(parameter) for parameter in output.parameters()} if output is not None else set()
        names = [name for name in self.model.state_dict() if not name.startswith(f"{self.prefix}.")]
        owned = dict(self.model.named_parameters(remove_duplicate=False))
        return [name for name in names if (id(owned.get(name)) in of_head) is head]

    def _forward(self, sample: int) -> Any:
        return self.model(input_ids=self.samples[sample : sample + 1].to(self.device))

    @contextmanager
    def _stand_ins(self, answer: Callable[[int, tuple, dict], torch.Tensor]) -> Iterator[None]:
        """Within it each block returns `answer(index, its arguments)` instead of computing."""

        def stand_in(index: int) -> Callable[..., Any]:
            def forward(*args: Any, **kwargs: Any) -> Any:
                hidden = answer(index, args, kwargs)
                return (hidden,) if self._as_tuple else hidden

            return forward

        for index, block in enumerate(self._blocks):
            block.forward = stand_in(index)
        try:
            yield
        finally:
            for block in self._blocks:
                del block.forward

    def _fed(self, sample: int, index: int) -> _Fed:
        """What the model's own forward pass hands to block `index`: hidden states first, then everything else."""
        caught: list[_Fed] = []

        def answer(at: int, args: tuple, kwargs: dict) -> torch.Tensor:
            fed = _fed_from(args, kwargs)
            if at == index:
                caught.append(fed)
                raise Stop
            return fed[0]

        with self._stand_ins(answer), suppress(Stop):
            self._forward(sample)
        return caught[0]

    def _runner(self, index: int) -> Callable[[int], torch.Tensor]:
        """`run(sample)`: the output [1, length, hidden] of the block for the sample's hidden states."""
        block, hidden = self._blocks[index], self._hidden
        assert hidden is not None
        _, args, kwargs = self._fed(0, index)
        # Positions and masks are the same for all samples; a few architectures hand on something of each sample too.
        alike = _alike((args, kwargs), self._fed(len(self.samples) - 1, index)[1:])

        def run(sample: int) -> torch.Tensor:
            rest, named = (args, kwargs) if alike else self._fed(sample, index)[1:]
            if _SHARED in named:  # that of a pass with stand-ins is empty
                named = named | {_SHARED: self._shared.setdefault(sample, {})}
            output = block(hidden[sample : sample + 1].to(self.device), *rest, **named)
            self._as_tuple = isinstance(output, tuple)
            return output[0] if isinstance(output, tuple) else output

        return run

    def _advance(self, run: Callable[[int], torch.Tensor], index: int) -> None:
        """Replaces the hidden states by the block's outputs. Raises UserError where one is not finite."""
        import torch

        assert self._hidden is not None
        # Where a memory other than the CPU's runs out, the block begins anew and needs what it was fed with.
        outputs = self._hidden if self.device == torch.device("cpu") else torch.empty_like(self._hidden)
        for sample in range(len(self.samples)):
            output = run(sample)
            if not is_finite(output):
                raise not_finite(f"The outputs of layer {index}")
            outputs[sample] = output[0].cpu()
        self._hidden, self.finished = outputs, index + 1


def _fed_from(args: tuple, kwargs: dict) -> _Fed:
    """A block's arguments with the hidden states taken out."""
    if args:
        return args[0], args[1:], kwargs
    rest = dict(kwargs)
    return rest.pop("hidden_states"), (), rest


def _alike(first: Any, second: Any) -> bool:
    """Whether two structures of arguments hold the same values."""
    import torch

    if isinstance(first, torch.Tensor):
        return isinstance(second, torch.Tensor) and torch.equal(first, second)
    if isinstance(first, dict):
        return (
            isinstance(second, dict) and first.keys() == second.keys() and _alike([*first.values()], [*second.values()])
        )
    if isinstance(first, list | tuple):
        return len(first) == len(second) and all(map(_alike, first, second))
    return type(first) is type(second)


def _widen_embeddings(model: Any) -> None:
    """Embeddings stay in their stored dtype, as views on the file; what they give out becomes float32."""
    import torch

    for module in model.modules():
        if type(module) is torch.nn.Embedding:
            module.register_forward_hook(lambda module, inputs, output: output.float())

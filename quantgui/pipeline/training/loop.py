"""The training itself: AdamW with a warm-up and a cosine, on windows of a text in a seeded order.

Deterministic: the same seed, text and number of threads give the same weights on the same machine, whether or not the
training was stopped and taken up again in between. Dropout is off.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from quantgui.jobs.events import TrainingStep
from quantgui.pipeline.training.saved import TrainingTensors
from quantgui.pipeline.training.settings import TrainingSettings
from quantgui.types import UserError

if TYPE_CHECKING:
    import torch

WARMUP_STEPS = 10
BETAS = (0.9, 0.95)
GRADIENT_NORM = 1.0
SAVE_SECONDS = 20.0
"""How often a training is saved; what is lost by a kill is at most that."""


@dataclass
class Training:
    """A student whose `weights` (by tensor name) learn; `teacher` is the float model, None to learn from the text."""

    student: Any
    weights: Mapping[str, torch.nn.Parameter]
    teacher: Any | None
    windows: torch.Tensor  # token ids int64 [windows, context]
    settings: TrainingSettings

    def __post_init__(self) -> None:
        import torch

        self.step = 0
        self.losses: list[float] = []
        self._optimizer = torch.optim.AdamW(self.weights.values(), lr=0.0, betas=BETAS, weight_decay=0.0)

    def run(
        self,
        tell: Callable[[TrainingStep], None],
        keep: Callable[[], None],
        should_stop: Callable[[], bool],
    ) -> None:
        """Steps to the end or until `should_stop`. `keep` is called now and then, between two steps, to save.

        Raises UserError where the loss is no longer finite.
        """
        saved = time.monotonic()
        while self.step < self.settings.steps and not should_stop():
            rate = self._one_step()
            tell(TrainingStep(self.step, self.settings.steps, self.losses[-1], rate))
            if time.monotonic() - saved >= SAVE_SECONDS and self.step < self.settings.steps:
                keep()
                saved = time.monotonic()

    def tensors(self) -> TrainingTensors:
        """What has to be saved to go on later."""
        moments = {name: self._optimizer.state[weight] for name, weight in self.weights.items()}
        return TrainingTensors(
            self.weights,
            {name: state["exp_avg"] for name, state in moments.items() if state},
            {name: state["exp_avg_sq"] for name, state in moments.items() if state},
        )

    def take_up(self, step: int, losses: tuple[float, ...], saved: TrainingTensors) -> None:
        """Goes on where a saved training stood."""
        import torch

        self.step, self.losses = step, list(losses)
        with torch.no_grad():
            for name, weight in self.weights.items():
                weight.copy_(saved.weights[name])
                self._optimizer.state[weight] = {
                    "step": torch.tensor(float(step)),
                    "exp_avg": saved.first_moments[name].to(weight.device),
                    "exp_avg_sq": saved.second_moments[name].to(weight.device),
                }

    def _one_step(self) -> float:
        """One update; returns its learning rate."""
        import torch

        rate = learning_rate(self.step, self.settings)
        for group in self._optimizer.param_groups:
            group["lr"] = rate
        loss = self._loss(batch(self.windows, self.step, self.settings))
        if not math.isfinite(value := loss.item()):
            raise UserError(
                f"The training broke at step {self.step + 1}: the loss is no longer a number.",
                hint="Use a smaller learning rate.",
            )
        self._optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.weights.values(), GRADIENT_NORM)
        self._optimizer.step()
        self.step += 1
        self.losses.append(value)
        return rate

    def _loss(self, ids: torch.Tensor) -> torch.Tensor:
        """Nats per token: cross entropy with the text, or the Kullback-Leibler divergence from the teacher."""
        import torch

        logits = self.student(input_ids=ids, use_cache=False).logits[:, :-1].float().flatten(0, 1)
        if self.teacher is None:
            return torch.nn.functional.cross_entropy(logits, ids[:, 1:].flatten())
        with torch.no_grad():
            wanted = self.teacher(input_ids=ids, use_cache=False).logits[:, :-1].float().flatten(0, 1)
        return torch.nn.functional.kl_div(
            logits.log_softmax(-1), wanted.log_softmax(-1), log_target=True, reduction="batchmean"
        )


def learning_rate(step: int, settings: TrainingSettings) -> float:
    """Linear over the first steps (ten, or a tenth of a short training), then half a cosine towards zero."""
    warmup = max(1, min(WARMUP_STEPS, settings.steps // 10))
    if step < warmup:
        return settings.learning_rate * (step + 1) / warmup
    done = (step - warmup) / max(1, settings.steps - warmup)
    return settings.learning_rate * 0.5 * (1 + math.cos(math.pi * done))


def batch(windows: torch.Tensor, step: int, settings: TrainingSettings) -> torch.Tensor:
    """The windows [batch, context] of one step: every window once per epoch, each epoch in another order."""
    import torch

    count = len(windows)
    chosen = []
    for index in range(step * settings.batch, (step + 1) * settings.batch):
        epoch, place = divmod(index, count)
        chosen.append(_order(count, settings.seed + epoch)[place])
    return windows[torch.stack(chosen)]


@lru_cache(maxsize=2)
def _order(count: int, seed: int) -> torch.Tensor:
    import torch

    return torch.randperm(count, generator=torch.Generator().manual_seed(seed))

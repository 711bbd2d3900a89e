"""The training loop of both drafters: float32 weights, an average of them to ship, and matrix products in the type in
which the processor is fast.

The average (EMA) stands in for a long decay of the learning rate, so that training may go on for as long as there is
time and ship good weights at any moment.
"""

from __future__ import annotations

import copy
import itertools
import random
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from demos.drafters.batches import Batch, epoch_batches
from demos.drafters.pace import Pace
from demos.drafters.target import COMPUTE
from demos.drafters.walk import Acceptance

RATE = 1e-3
CHECKPOINT_SECONDS = 120.0
REPORT_STEPS = 25


class Task(Protocol):
    """A drafter with its loss."""

    @property
    def name(self) -> str: ...

    @property
    def model(self) -> nn.Module: ...

    def initialise(self, batches: list[Batch]) -> None: ...

    def loss(self, batch: Batch, rng: random.Random) -> tuple[Tensor, dict[str, float]]: ...

    def acceptance(self, batch: Batch, k: int) -> Acceptance: ...


@dataclass(frozen=True, slots=True)
class Plan:
    """How a drafter is trained. ``steps`` is where the learning rate has gone down to zero; 0 means never. ``muon``
    trains the matrices with Muon at AdamW's step size, the rest with AdamW."""

    rate: float = RATE
    muon: bool = True
    warmup: int = 100
    steps: int = 0
    decay_share: float = 0.25
    ema: float = 0.998
    weight_decay: float = 0.01
    seed: int = 0

    def rate_at(self, step: int) -> float:
        rate = self.rate * min(1.0, (step + 1) / self.warmup)
        if self.steps:
            rate *= min(1.0, max(0.0, (self.steps - step) / (self.decay_share * self.steps)))
        return rate


class Trainer:
    """Trains a task on shards, from its last checkpoint on; without one from the state ``begin``, or from the task's
    own start values.

    Attributes:
        step: Batches done.
        tokens: Answer tokens seen, epochs after the first included.
        average: The task's model with the averaged weights: what is shipped.
    """

    def __init__(
        self, task: Task, shards: list[Path], directory: Path, plan: Plan, begin: dict[str, Tensor] | None = None
    ) -> None:
        self.task = task
        self.plan = plan
        self._file = checkpoint(task, directory)
        directory.mkdir(parents=True, exist_ok=True)
        self.step = self.tokens = self.epoch = self.batch = 0
        self.seconds = 0.0
        self._shards = shards
        self._epoch_shards = shards
        if self._file.exists():
            self._start(torch.load(self._file, weights_only=True))
        elif begin is not None:
            task.model.load_state_dict(begin)
            self._start(None)
        else:
            task.initialise(list(itertools.islice(epoch_batches(shards, plan.seed, -1), 20)))
            self._start(None)

    def _start(self, saved: dict[str, Any] | None) -> None:
        model = self.task.model
        if saved is not None:
            model.load_state_dict(saved["model"])
        self.average = copy.deepcopy(model)
        self._optimizers = _optimizers(model, self.plan)
        if saved is None:
            return
        self.average.load_state_dict(saved["average"])
        for optimizer, state in zip(self._optimizers, saved["optimizers"], strict=True):
            optimizer.load_state_dict(state)
        self.step, self.tokens, self.epoch, self.batch = saved["place"]
        self.seconds = saved["seconds"]
        # New shards join at the next epoch, so that the batches of this one keep their numbers.
        names = set(saved["shards"])
        self._epoch_shards = [path for path in self._shards if path.name in names]

    @property
    def done(self) -> bool:
        """Whether the plan's last step is done."""
        return bool(self.plan.steps) and self.step >= self.plan.steps

    def run(self, *, minutes: float, report: Callable[[str], None]) -> bool:
        """Train for ``minutes`` of work at most; whether the plan's last step is done."""
        if self.done:
            return True
        pace = Pace()
        before, saved = self.seconds, 0.0
        sums: dict[str, list[float]] = defaultdict(list)
        for batch in self._batches():
            for name, value in self._learn(batch).items():
                sums[name].append(value)
            self.seconds = before + pace.tick()
            if self.step % REPORT_STEPS == 0:
                report(self._line(sums))
                sums.clear()
            if pace.seconds - saved > CHECKPOINT_SECONDS:
                self.save()
                saved = pace.seconds
            if self.done or pace.seconds > minutes * 60:
                break
        self.save()
        return self.done

    def _batches(self) -> Iterator[Batch]:
        while True:
            skip = self.batch
            for number, batch in enumerate(epoch_batches(self._epoch_shards, self.plan.seed, self.epoch)):
                if number >= skip:
                    self.batch = number + 1
                    yield batch
            self.epoch += 1
            self.batch = 0
            self._epoch_shards = self._shards

    def _learn(self, batch: Batch) -> dict[str, float]:
        model = self.task.model
        for optimizer in self._optimizers:
            for group in optimizer.param_groups:
                group["lr"] = self.plan.rate_at(self.step)
        with multiplying():
            loss, accuracy = self.task.loss(batch, random.Random(f"{self.plan.seed}/{self.step}"))
        model.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        norm = nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimizer in self._optimizers:
            optimizer.step()
        self.step += 1
        self.tokens += batch.answer_tokens
        with torch.no_grad():
            share = min(self.plan.ema, self.step / (self.step + 10))
            averaged: list[Tensor] = list(self.average.parameters())
            torch._foreach_lerp_(averaged, [*model.parameters()], 1 - share)
        return {"loss": float(loss.detach()), "gradient": float(norm), **accuracy}

    def _line(self, sums: dict[str, list[float]]) -> str:
        means = ", ".join(f"{name} {sum(v) / len(v):.3f}" for name, v in sums.items() if v)
        return (
            f"{self.task.name}: step {self.step}, epoch {self.epoch}, {self.tokens:,} tokens, "
            f"{self.seconds / 60:.1f} min, {means}"
        )

    def save(self) -> None:
        temporary = self._file.with_suffix(".partial")
        torch.save(
            {
                "model": self.task.model.state_dict(),
                "average": self.average.state_dict(),
                "optimizers": [optimizer.state_dict() for optimizer in self._optimizers],
                "place": [self.step, self.tokens, self.epoch, self.batch],
                "seconds": self.seconds,
                "shards": [path.name for path in self._epoch_shards],
            },
            temporary,
        )
        temporary.replace(self._file)


def multiplying() -> torch.autocast:
    """Matrix products in `COMPUTE`."""
    return torch.autocast("cpu", torch.bfloat16, enabled=torch.bfloat16 == COMPUTE)


def checkpoint(task: Task, directory: Path) -> Path:
    """Where the task's training is kept."""
    return directory / f"{task.name}.checkpoint"


def load_average(task: Task, directory: Path) -> int:
    """Put the averaged weights of the task's checkpoint into its model; the checkpoint's step."""
    saved = torch.load(checkpoint(task, directory), weights_only=True)
    task.model.load_state_dict(saved["average"])
    return int(saved["place"][0])


def _optimizers(model: nn.Module, plan: Plan) -> list[torch.optim.Optimizer]:
    matrices = [p for p in model.parameters() if plan.muon and p.ndim == 2]
    rest = [p for p in model.parameters() if not (plan.muon and p.ndim == 2)]
    adam = torch.optim.AdamW(rest, lr=0.0, betas=(0.9, 0.98), weight_decay=plan.weight_decay)
    if not matrices:
        return [adam]
    return [
        torch.optim.Muon(matrices, lr=0.0, weight_decay=plan.weight_decay, adjust_lr_fn="match_rms_adamw"),
        adam,
    ]


@torch.no_grad()
def predicted_acceptance(task: Task, batches: list[Batch], k: int) -> Acceptance:
    """What vLLM would measure with the weights of the task's model on held-out answers."""
    total = Acceptance()
    with multiplying():
        for batch in batches:
            total.merge(task.acceptance(batch, k))
    return total

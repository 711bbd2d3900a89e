"""The target's own answers with their hidden states: greedy and sampled, resumable at any moment."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from demos.drafters.capture import HiddenCapture
from demos.drafters.engine import Batcher, Finished, batch_engine
from demos.drafters.pace import Pace
from demos.drafters.shards import Sequence, answered, shard_paths, write_shard

LAYERS = (5, 13, 20, 25, 28)
"""Decoder layers whose outputs are kept for DFlash; 28 is the last one whose output vLLM can hand to a drafter."""

SHARD_SEQUENCES = 200
PARTS = 4
LONGEST_PROMPT = 900
DRAIN_SECONDS = 45.0
"""How long before the end no request is started any more: about the time of an answer."""


@dataclass(frozen=True, slots=True)
class Question:
    """A prompt as ids, and how to answer it. ``temperature`` 0 is greedy; ``past_end`` goes on after the end token, as
    measurements with a fixed number of tokens do."""

    number: int
    ids: tuple[int, ...]
    temperature: float
    max_tokens: int
    past_end: bool = False


def answer(
    target: Path,
    questions: list[Question],
    directory: Path,
    *,
    minutes: float,
    batch: int,
    report: Callable[[str], None],
) -> bool:
    """Answer what has no answer yet, for ``minutes`` at most; whether all are answered.

    A killed run loses the answers since its last shard, no more.
    """
    directory.mkdir(parents=True, exist_ok=True)
    done, tokens = answered(directory)
    waiting = sorted((q for q in questions if q.number not in done), key=_place)
    waiting = [q for q in waiting if len(q.ids) <= LONGEST_PROMPT]
    if not waiting:
        return True
    return _Run(target, waiting, directory, batch, tokens, report).run(minutes)


def _place(question: Question) -> tuple[int, bool, int]:
    """The order of asking: a run that ends early has asked some of everything, and yet greedy and sampled answers keep
    apart, since sampling costs every row of a batch."""
    part = random.Random(question.number).randrange(PARTS)
    return part, question.temperature > 0, question.number


class _Run:
    def __init__(
        self,
        target: Path,
        waiting: list[Question],
        directory: Path,
        batch: int,
        tokens: int,
        report: Callable[[str], None],
    ) -> None:
        engine = batch_engine(target, batch=batch)
        self._batcher = Batcher(engine)
        self._capture = HiddenCapture(engine, LAYERS)
        self._waiting = waiting[::-1]
        self._directory = directory
        self._batch = batch
        self._report = report
        self._engine_ids: dict[str, str] = {}
        self._kept: list[Sequence] = []
        self._tokens = tokens
        self._new = 0

    def run(self, minutes: float) -> bool:
        pace = Pace()
        last_start = minutes * 60 - DRAIN_SECONDS
        while self._batcher.running or (self._waiting and pace.tick() < last_start):
            while self._waiting and self._batcher.running < self._batch and pace.tick() < last_start:
                self._ask(self._waiting.pop())
            for finished in self._batcher.step():
                self._keep(finished)
            if len(self._kept) >= SHARD_SEQUENCES:
                self._write(pace.tick())
        self._write(pace.tick())
        return not self._waiting

    def _ask(self, question: Question) -> None:
        name = str(question.number)
        parameters: dict[str, Any] = {
            "temperature": question.temperature,
            "max_tokens": question.max_tokens,
            "ignore_eos": question.past_end,
        }
        self._engine_ids[name] = self._batcher.add(name, question.ids, parameters)

    def _keep(self, finished: Finished) -> None:
        rows = self._capture.take(self._engine_ids.pop(finished.name))
        if len(rows) != len(finished.ids) - 1:
            raise RuntimeError(f"prompt {finished.name}: {len(rows)} hidden rows for {len(finished.ids)} tokens")
        hidden = torch.cat([rows, rows.new_zeros(1, rows.shape[1])]).to(torch.bfloat16)
        ids = torch.tensor(finished.ids)
        self._kept.append(Sequence(int(finished.name), ids, finished.prompt_length, hidden))
        self._new += len(finished.ids) - finished.prompt_length

    def _write(self, seconds: float) -> None:
        if not self._kept:
            return
        write_shard(self._directory / f"{len(shard_paths(self._directory)):05}.safetensors", self._kept)
        self._kept.clear()
        self._report(
            f"answers: {self._tokens + self._new:,} tokens ({self._new / seconds:.0f} per second), "
            f"{len(self._waiting)} prompts to go"
        )

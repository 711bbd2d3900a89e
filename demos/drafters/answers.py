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
    measurements with a fixed number of tokens do. The last ``known`` of the ids are the beginning of the answer
    already, and ``hard`` are the places of tokens that a drafter had wrong; None if that is not known."""

    number: int
    ids: tuple[int, ...]
    temperature: float
    max_tokens: int
    past_end: bool = False
    known: int = 0
    hard: tuple[int, ...] | None = None


def answer(
    target: Path,
    questions: list[Question],
    directory: Path,
    *,
    minutes: float,
    batch: int,
    report: Callable[[str], None],
    prefix: str = "",
) -> bool:
    """Answer what has no answer yet, for ``minutes`` at most; whether all are answered. Names of shards begin with
    ``prefix``.

    A killed run loses the answers since its last shard, no more.
    """
    directory.mkdir(parents=True, exist_ok=True)
    done, tokens = answered(directory)
    waiting = sorted((q for q in questions if q.number not in done), key=_place)
    waiting = [q for q in waiting if len(q.ids) <= LONGEST_PROMPT]
    if not waiting:
        return True
    return _Run(target, waiting, directory, batch, tokens, report, prefix).run(minutes)


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
        prefix: str,
    ) -> None:
        engine = batch_engine(target, batch=batch)
        self._batcher = Batcher(engine)
        self._capture = HiddenCapture(engine, LAYERS)
        self._waiting = waiting[::-1]
        self._directory = directory
        self._batch = batch
        self._report = report
        self._prefix = prefix
        self._asked: dict[str, tuple[str, Question]] = {}
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
        self._asked[name] = self._batcher.add(name, question.ids, parameters), question

    def _keep(self, finished: Finished) -> None:
        engine_id, question = self._asked.pop(finished.name)
        rows = self._capture.take(engine_id)
        if len(rows) != len(finished.ids) - 1:
            raise RuntimeError(f"prompt {finished.name}: {len(rows)} hidden rows for {len(finished.ids)} tokens")
        hidden = torch.cat([rows, rows.new_zeros(1, rows.shape[1])]).to(torch.bfloat16)
        ids = torch.tensor(finished.ids)
        hard = None
        if question.hard is not None:
            hard = torch.zeros(len(ids), dtype=torch.bool)
            hard[list(question.hard)] = True
        prompt_length = finished.prompt_length - question.known
        self._kept.append(Sequence(question.number, ids, prompt_length, hidden, hard))
        self._new += len(finished.ids) - finished.prompt_length

    def _write(self, seconds: float) -> None:
        if not self._kept:
            return
        write_shard(self._directory / f"{self._prefix}{len(shard_paths(self._directory)):05}.safetensors", self._kept)
        self._kept.clear()
        self._report(
            f"answers: {self._tokens + self._new:,} tokens ({self._new / seconds:.0f} per second), "
            f"{len(self._waiting)} prompts to go"
        )

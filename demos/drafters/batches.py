"""Batches of whole sequences for the trainers: shuffled by seed and epoch, padded at the end, resumable by number."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from demos.drafters.shards import Sequence, read_shard
from demos.drafters.target import COMPUTE

BATCH_TOKENS = 3072
LONGEST_ANSWER = 160
"""Answer tokens of a sequence that are trained on: what comes later is easier, and rarely looked at in a race."""

SHARDS_TOGETHER = 4
"""So many shards lie in memory and are shuffled together: about 1 GB."""


@dataclass(frozen=True, slots=True)
class Batch:
    """B sequences padded to T.

    Attributes:
        ids: int64 [B, T].
        hidden: `COMPUTE` [B, T, (layers + 1) * H]; zero where nothing is known.
        lengths: int64 [B], tokens of each sequence.
        prompt_lengths: int64 [B].
        hard: bool [B, T], tokens that a drafter had wrong, as far as that is known.
    """

    ids: Tensor
    hidden: Tensor
    lengths: Tensor
    prompt_lengths: Tensor
    hard: Tensor

    @property
    def answer_tokens(self) -> int:
        return int((self.lengths - self.prompt_lengths).sum())


def collate(sequences: list[Sequence]) -> Batch:
    longest = max(len(s.ids) for s in sequences)
    ids = torch.zeros(len(sequences), longest, dtype=torch.int64)
    hidden = torch.zeros(len(sequences), longest, sequences[0].hidden.shape[1], dtype=COMPUTE)
    hard = torch.zeros(len(sequences), longest, dtype=torch.bool)
    for row, sequence in enumerate(sequences):
        if sequence.hard is not None:
            hard[row, : len(sequence.ids)] = sequence.hard
        ids[row, : len(sequence.ids)] = sequence.ids
        hidden[row, : len(sequence.ids)] = sequence.hidden
    lengths = torch.tensor([len(s.ids) for s in sequences])
    return Batch(ids, hidden, lengths, torch.tensor([s.prompt_length for s in sequences]), hard)


def epoch_batches(paths: list[Path], seed: int, epoch: int, tokens: int = BATCH_TOKENS) -> Iterator[Batch]:
    """All sequences once; the same arguments give the same batches."""
    rng = random.Random(f"{seed}/{epoch}")
    paths = rng.sample(paths, len(paths))
    for start in range(0, len(paths), SHARDS_TOGETHER):
        sequences = [_cropped(s) for path in paths[start : start + SHARDS_TOGETHER] for s in read_shard(path)]
        # An answer of one token has nothing to draft.
        sequences = [s for s in sequences if len(s.ids) >= s.prompt_length + 2]
        groups = _groups(sequences, rng, tokens)
        rng.shuffle(groups)
        for group in groups:
            yield collate(group)


def _cropped(sequence: Sequence) -> Sequence:
    length = sequence.prompt_length + LONGEST_ANSWER
    hard = None if sequence.hard is None else sequence.hard[:length]
    return replace(sequence, ids=sequence.ids[:length], hidden=sequence.hidden[:length], hard=hard)


def _groups(sequences: list[Sequence], rng: random.Random, tokens: int) -> list[list[Sequence]]:
    """Sequences of about the same length together, so that little is padding."""
    ordered = sorted(sequences, key=lambda s: len(s.ids) + rng.uniform(0, 16))
    groups: list[list[Sequence]] = [[]]
    longest = 0
    for sequence in ordered:
        longest = max(longest, len(sequence.ids))
        if groups[-1] and longest * (len(groups[-1]) + 1) > tokens:
            groups.append([])
            longest = len(sequence.ids)
        groups[-1].append(sequence)
    return [group for group in groups if group]

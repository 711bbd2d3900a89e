"""The training data on disk: shards of whole sequences with the target's hidden states.

A shard is a safetensors file: ``ids`` int32 [N], ``hidden`` bfloat16 [N, (layers + 1) * H] (the last row of each
sequence is zero, because its token never went through the target), ``lengths`` and ``prompt_lengths`` int32
[sequences], and ``prompts`` int32 [sequences], which prompt each one answers. Some have ``hard`` bool [N].
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file


@dataclass(frozen=True, slots=True)
class Sequence:
    """A prompt with its answer.

    Attributes:
        ids: int64 [T].
        prompt_length: How many of them are the prompt.
        hidden: bfloat16 [T, (layers + 1) * H], the last row zero.
        hard: bool [T], the tokens that a drafter had wrong; None if that is not known.
    """

    prompt: int
    ids: torch.Tensor
    prompt_length: int
    hidden: torch.Tensor
    hard: torch.Tensor | None = None


def write_shard(path: Path, sequences: Iterable[Sequence]) -> None:
    """Write a whole shard or nothing."""
    sequences = list(sequences)
    temporary = path.with_suffix(".partial")
    known = (
        {"hard": torch.cat([s.hard for s in sequences if s.hard is not None])} if sequences[0].hard is not None else {}
    )
    save_file(
        {
            **known,
            "ids": torch.cat([s.ids for s in sequences]).int(),
            "hidden": torch.cat([s.hidden for s in sequences]),
            "lengths": torch.tensor([len(s.ids) for s in sequences], dtype=torch.int32),
            "prompt_lengths": torch.tensor([s.prompt_length for s in sequences], dtype=torch.int32),
            "prompts": torch.tensor([s.prompt for s in sequences], dtype=torch.int32),
        },
        temporary,
    )
    temporary.replace(path)


def shard_paths(directory: Path) -> list[Path]:
    return sorted(directory.glob("*.safetensors"))


def read_shard(path: Path) -> Iterator[Sequence]:
    """The sequences of a shard; ``hidden`` lies in mapped memory and is read when it is used."""
    with safe_open(path, "pt") as file:
        ids = file.get_tensor("ids").long()
        hidden = file.get_tensor("hidden")
        lengths = file.get_tensor("lengths").tolist()
        prompt_lengths = file.get_tensor("prompt_lengths").tolist()
        prompts = file.get_tensor("prompts").tolist()
        hard = file.get_tensor("hard") if "hard" in file.keys() else None  # noqa: SIM118 - not a dict
    start = 0
    for length, prompt_length, prompt in zip(lengths, prompt_lengths, prompts, strict=True):
        own = slice(start, start + length)
        yield Sequence(prompt, ids[own], prompt_length, hidden[own], None if hard is None else hard[own])
        start += length


def answered(directory: Path) -> tuple[set[int], int]:
    """Which prompts have their answer, and how many answer tokens there are."""
    done: set[int] = set()
    tokens = 0
    for path in shard_paths(directory):
        with safe_open(path, "pt") as file:
            done.update(file.get_tensor("prompts").tolist())
            tokens += int((file.get_tensor("lengths") - file.get_tensor("prompt_lengths")).sum())
    return done, tokens

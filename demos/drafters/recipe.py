"""Sizes and places of the recipe."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import platformdirs

SEED = 0
BAR_K = {"mtp": 3, "dflash": 5}
"""The K at which each drafter's acceptance is predicted and measured."""


@dataclass(frozen=True, slots=True)
class Size:
    """How much of everything.

    Attributes:
        template_prompts: Prompts composed from templates.
        own_prompts: Prompts that the target is asked to make up; about half of them are kept.
        batch: Requests at once in vLLM; 192 was the fastest of 64, 192 and 384 on two cores.
        vocabulary: Frequent tokens that the loss is taken over.
        mtp_steps: Batches of training; the learning rate falls to zero at the last one.
        dflash_steps: The same for DFlash.
        heldout: Held-out prompts per category that are evaluated.
    """

    template_prompts: int
    own_prompts: int
    batch: int
    vocabulary: int
    mtp_steps: int
    dflash_steps: int
    heldout: int


DEFAULT = Size(
    template_prompts=5200,
    own_prompts=5000,
    batch=192,
    vocabulary=8192,
    mtp_steps=1500,
    dflash_steps=2000,
    heldout=10,
)
SMOKE = Size(template_prompts=44, own_prompts=22, batch=66, vocabulary=2048, mtp_steps=12, dflash_steps=12, heldout=1)


@dataclass(frozen=True, slots=True)
class Workplace:
    """Where the stages leave what the next ones need."""

    root: Path

    @property
    def template_prompts(self) -> Path:
        return self.root / "prompts-templates.jsonl"

    @property
    def own_prompts(self) -> Path:
        return self.root / "prompts-own.jsonl"

    @property
    def prompt_files(self) -> list[Path]:
        return [path for path in (self.template_prompts, self.own_prompts) if path.exists()]

    @property
    def answers(self) -> Path:
        return self.root / "answers"

    @property
    def heldout(self) -> Path:
        return self.root / "heldout"

    @property
    def vocabulary(self) -> Path:
        return self.root / "vocabulary.json"

    @property
    def training(self) -> Path:
        return self.root / "training"

    def drafter(self, name: str) -> Path:
        return self.root / "drafters" / name


def default_root() -> Path:
    return platformdirs.user_cache_path("spectui") / "drafters"

"""Sizes and places of the recipe."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from spectui.places import cache_folder

SEED = 0
HARD_WEIGHT = 3.0
BAR_K = {"mtp": 3, "dflash": 5}
"""The K at which each drafter's acceptance is predicted and measured."""


@dataclass(frozen=True, slots=True)
class Size:
    """How much of everything.

    Attributes:
        template_prompts: Prompts composed from templates.
        own_prompts: Prompts that the target is asked to make up in a round; somewhat more than half of them are kept.
        own_rounds: Rounds of them, a file each, so that more can be added behind those that have answers.
        batch: Requests at once in vLLM; 192 was the fastest of 64, 192 and 384 on two cores.
        vocabulary: Frequent tokens that the loss is taken over.
        drafted: Frequent tokens that DFlash can draft; so many that its file stays below 30 MB.
        mtp_steps: Batches of training; the learning rate falls to zero at the last one.
        dflash_steps: The same for DFlash.
        heldout: Held-out prompts per category that are evaluated.
    """

    template_prompts: int
    own_prompts: int
    own_rounds: int
    batch: int
    vocabulary: int
    drafted: int
    mtp_steps: int
    dflash_steps: int
    heldout: int


DEFAULT = Size(
    template_prompts=3000,
    own_prompts=2500,
    own_rounds=4,
    batch=192,
    vocabulary=8192,
    drafted=4608,
    mtp_steps=1500,
    dflash_steps=2000,
    heldout=10,
)
SMOKE = Size(
    template_prompts=22,
    own_prompts=11,
    own_rounds=1,
    batch=33,
    vocabulary=2048,
    drafted=1024,
    mtp_steps=4,
    dflash_steps=4,
    heldout=1,
)


@dataclass(frozen=True, slots=True)
class Workplace:
    """Where the stages leave what the next ones need."""

    root: Path

    @property
    def template_prompts(self) -> Path:
        return self.root / "prompts-templates.jsonl"

    def own_prompts(self, number: int) -> Path:
        return self.root / f"prompts-own-{number}.jsonl"

    @property
    def prompt_files(self) -> list[Path]:
        """In the order in which prompts are numbered."""
        return [self.template_prompts, *sorted(self.root.glob("prompts-own-*.jsonl"))]

    @property
    def answers(self) -> Path:
        return self.root / "answers"

    def hard(self, digest: str) -> Path:
        """What the target reads at the hard positions of the file with this SHA-256."""
        return self.root / f"hard-{digest[:12]}"

    @property
    def heldout(self) -> Path:
        return self.root / "heldout"

    @property
    def vocabulary(self) -> Path:
        return self.root / "vocabulary.json"

    @property
    def training(self) -> Path:
        return self.root / "training"

    @property
    def report(self) -> Path:
        return self.root / "report"

    def drafter(self, name: str) -> Path:
        return self.root / "drafters" / name


def default_root() -> Path:
    return cache_folder() / "drafters"

"""What a benchmark measures: every lane at every K, on every combination of concurrency, category and context."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import groupby
from typing import Literal, TypeAlias

from spectui.protocol.events import Sampling

ProtocolName: TypeAlias = Literal["fixed", "natural"]
"""``fixed``: a fixed number of completion tokens, whatever the model says. ``natural``: each answer to its own end."""

FIXED_TOKENS = 512
NATURAL_TOKENS = 1024
"""Completion tokens of a request: exactly so many with ``fixed``, at most so many with ``natural``."""

LEAST_REPETITIONS = 3


@dataclass(frozen=True, slots=True)
class Variant:
    """A lane at one K.

    Attributes:
        lane: The lane's name.
        method: vLLM's name of the method; ``"ar"`` for no drafting.
        title: The method's usual spelling, such as ``"DFlash"``.
        k: Tokens that may be drafted per step; 0 without a drafter.
        auto: Whether the lane chooses its K after every step, from 0 to ``k``.
    """

    lane: str
    method: str
    title: str
    k: int
    auto: bool = False

    @property
    def choice(self) -> int | None:
        """The K that the lane keeps; None if it chooses by itself."""
        return None if self.auto else self.k

    @property
    def k_text(self) -> str:
        """What comes after ``K=``."""
        return "auto" if self.auto else str(self.k)

    @property
    def name(self) -> str:
        """What the variant is called: unique within a matrix."""
        return f"{self.lane} K={self.k_text}" if self.drafts else self.lane

    @property
    def drafts(self) -> bool:
        """Whether it has a drafter: K = 0 with one is not the same as none. A diffusion model has none either."""
        return self.method not in ("ar", "diffusion")

    @property
    def plain(self) -> bool:
        """Whether it is AR, which the others are compared with."""
        return self.method == "ar"


@dataclass(frozen=True, slots=True)
class Block:
    """One combination on which all variants take turns.

    Attributes:
        concurrency: Requests in flight.
        category: The category of its prompts.
        context: Tokens that every prompt is padded to; None for prompts as they are.
    """

    concurrency: int
    category: str
    context: int | None = None

    @property
    def name(self) -> str:
        """What the block is called: unique within a matrix."""
        padded = "" if self.context is None else f", context {self.context}"
        return f"{self.category}, {self.concurrency} in flight{padded}"


@dataclass(frozen=True, slots=True)
class Matrix:
    """The whole benchmark: every variant on every block; a variant on a block is a cell.

    Attributes:
        variants: The lanes at their K; the first plain one is what the others are compared with.
        blocks: The combinations in the order in which they are measured.
        protocol: How an answer ends.
        sampling: How every lane samples; its length is that of the protocol.
        repetitions: How often every cell is measured.
        requests: Requests of one repetition; None for as many as are in flight.
    """

    variants: tuple[Variant, ...]
    blocks: tuple[Block, ...]
    protocol: ProtocolName
    sampling: Sampling
    repetitions: int = LEAST_REPETITIONS
    requests: int | None = None

    def requests_of(self, block: Block) -> int:
        """How many requests one repetition of a cell has: never fewer than are to be in flight."""
        return max(self.requests or 0, block.concurrency)

    def prompts_of(self, block: Block, turn: int, count: int) -> tuple[int, ...]:
        """The numbers of the prompts of one repetition, of ``count`` in the category.

        Every repetition takes the next prompts of the category, so that a cell covers as many as possible; all variants
        take the same ones. The category starts again from the front when its prompts are used up.
        """
        requests = self.requests_of(block)
        return tuple((turn * requests + place) % count for place in range(requests))

    @property
    def reference(self) -> Variant | None:
        """The variant that the others are compared with; None without AR."""
        return next((variant for variant in self.variants if variant.plain), None)


def blocks_of(
    concurrencies: tuple[int, ...], categories: tuple[str, ...], contexts: tuple[int | None, ...]
) -> tuple[Block, ...]:
    """Every combination: by context, then concurrency, then category."""
    return tuple(
        Block(concurrency, category, context)
        for context in contexts
        for concurrency in concurrencies
        for category in categories
    )


def kept_evenly(count: int, most: int) -> tuple[int, ...]:
    """The places of ``most`` of ``count`` things, spread evenly from the first to the last."""
    if most >= count:
        return tuple(range(count))
    if most <= 1:
        return (0,)
    return tuple(round(place * (count - 1) / (most - 1)) for place in range(most))


def with_fewer(matrix: Matrix, categories: int, ks: int) -> Matrix:
    """Thin a matrix to so many categories, and so many K of each lane, both spread evenly.

    Every concurrency and context keeps the same categories, so that its rows can still be compared with each other.
    """
    names = list(dict.fromkeys(block.category for block in matrix.blocks))
    kept = {names[place] for place in kept_evenly(len(names), categories)}
    variants: list[Variant] = []
    for _, lane in groupby(matrix.variants, key=lambda variant: variant.lane):
        own = list(lane)
        variants += [own[place] for place in kept_evenly(len(own), ks)]
    return replace(
        matrix,
        variants=tuple(variants),
        blocks=tuple(block for block in matrix.blocks if block.category in kept),
    )

"""What was sampled after what, and which drafts were accepted where."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import TypeAlias

from spectui.core.lossless.chances import Chances

Context: TypeAlias = tuple[int, ...]
"""A prompt's number, then the tokens that follow the prompt."""

POSITIONS = 3
"""Output tokens whose distribution is tested. The first follows from the prompt alone, and no draft is ever involved;
the second may be a first drafted token, the third a second one."""

LEAST_SAMPLES = 40
"""Samples after one context from which their distribution is tested."""


class Tally:
    """The samples of one lane.

    Attributes:
        tokens: How often each token was sampled after a context.
        drafts: After a context with a drafted token: how often that draft was accepted, and how often it was verified.
    """

    def __init__(self) -> None:
        self.tokens: dict[Context, Counter[int]] = defaultdict(Counter)
        self.drafts: dict[tuple[Context, int], list[int]] = defaultdict(lambda: [0, 0])

    def answer(self, prompt: int, ids: Sequence[int], most: int = POSITIONS) -> None:
        """Count the first ``most`` tokens of a finished answer."""
        for place, token in enumerate(ids[:most]):
            self.tokens[(prompt, *ids[:place])][token] += 1

    def step(self, prompt: int, before: Sequence[int], drafted: Sequence[int], accepted: int) -> None:
        """Count a verification: each draft up to the first refused one was verified after those before it."""
        for place, token in enumerate(drafted[: accepted + 1]):
            count = self.drafts[(prompt, *before, *drafted[:place]), token]
            count[0] += place < accepted
            count[1] += 1

    def contexts(self, least: int = LEAST_SAMPLES) -> list[Context]:
        """The contexts that tests can use, the most frequent first.

        Among equally frequent ones it is the first. How often a context was met, and when, says nothing about what came
        after it, so leaving others out is no bias.

        Args:
            least: Samples that a context needs, unless it has drafts.
        """
        met: Counter[Context] = Counter()
        for context, tokens in self.tokens.items():
            if (count := tokens.total()) >= least:
                met[context] = count
        drafted: Counter[Context] = Counter()
        for (context, _), (_, verified) in self.drafts.items():
            drafted[context] += verified
        for context, count in drafted.items():
            met[context] = max(met[context], count)
        return [context for context, _ in met.most_common()]

    def pretend(self, known: Mapping[Context, Chances]) -> None:
        """Take the target's likeliest token after each context for a draft, and samples of it for accepted ones: so
        a lane without a drafter can take the test of drafts."""
        for context, tokens in self.tokens.items():
            if (here := known.get(context)) is not None and here.known:
                likeliest = max(here.known, key=lambda token: here.known[token])
                self.drafts[context, likeliest] = [tokens[likeliest], tokens.total()]


def chains(contexts: Sequence[Context], most: int) -> list[Context]:
    """The questions to ask so that the probabilities after the first ones of ``contexts`` become known.

    A question about a context answers for all contexts that it begins with.

    Args:
        contexts: What is asked for, the most important first.
        most: The most questions.
    """
    covered: set[Context] = set()
    asked: dict[Context, None] = {}
    for context in contexts:
        if context in covered:
            continue
        shorter = [one for one in beginnings(context) if one in asked]
        if len(asked) - len(shorter) >= most:
            continue
        for one in shorter:
            del asked[one]
        asked[context] = None
        covered.update(beginnings(context))
    return list(asked)


def beginnings(context: Context) -> Iterator[Context]:
    """The contexts that a context begins with, itself included."""
    return (context[:length] for length in range(1, len(context) + 1))

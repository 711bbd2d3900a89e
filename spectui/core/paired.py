"""Estimates the throughput of a prompt set from some of its prompts, and how certain that estimate is.

Throughput is total tokens over total time, as a server's user sees it: a slow kind of prompt counts by the time it
takes. Prompts are drawn without replacement and evenly over their categories, so the set's totals are estimated by
stratified sampling (Cochran 1977, "Sampling Techniques", sections 5.4 and 5.9): each category's mean stands for all of
its prompts. The logarithm of a ratio of such totals is nearly linear in them, which gives its variance (section 6.13).

Variation between prompts stops being uncertain once every prompt was measured; variation between measurements does not.
The two are told apart by the number of steps, which belongs to the prompt alone: the time that a prompt took beyond its
steps times the mean time of a step is noise. Prompts of the same turn share their noise, so it is counted by turns.

Worked example: two of the four prompts in one category were measured, 30 tokens in 1.5 s and 10 in 0.5 s; two prompts
of another category gave 40 tokens in 4 s each. Each of the first two stands for two prompts: 2 x (30 + 10) + 40 + 40 =
160 tokens in 2 x (1.5 + 0.5) + 4 + 4 = 12 s, or 13.3 tok/s. The mean of the prompts' own rates, 15, is a throughput
that no user ever sees.
"""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

SHOWN, DROPPED = 1.959964, 2.575829
"""Normal quantiles of the 95 % intervals that are shown, and of the 99 % ones that decide, because decisions look
often."""

LEAST_FREEDOM = 2.999
"""Degrees of freedom below which no interval is worth showing: fewer than four prompts."""

MOST_STRATA = 16
"""The most categories that are sampled one by one; a set with more is drawn as if it had none."""


@dataclass(frozen=True, slots=True)
class Interval:
    """A figure with its interval, 95 % unless stated otherwise; the ends are None where they are not known."""

    mean: float | None
    low: float | None
    high: float | None


UNKNOWN = Interval(None, None, None)
"""The interval of a figure that was not measured."""


class PromptSet:
    """The prompts of a measurement by number, and the order in which they are drawn.

    Attributes:
        strata: The category of each prompt, as a number.
        sizes: How many prompts each category has.
        order: Every prompt once: one from each category in turn, at random within a category.
    """

    def __init__(self, categories: Sequence[str], seed: int = 0) -> None:
        known = list(dict.fromkeys(categories))
        if len(known) > min(MOST_STRATA, len(categories) // 2):
            known, categories = [""], [""] * len(categories)
        number = {name: place for place, name in enumerate(known)}
        self.strata = tuple(number[name] for name in categories)
        self.sizes = tuple(self.strata.count(stratum) for stratum in range(len(known)))
        self.order = self._drawn(random.Random(seed))

    def __len__(self) -> int:
        return len(self.strata)

    def _drawn(self, dice: random.Random) -> tuple[int, ...]:
        left = [[i for i, of in enumerate(self.strata) if of == stratum] for stratum in range(len(self.sizes))]
        for prompts in left:
            dice.shuffle(prompts)
        order: list[int] = []
        while any(left):
            turn = [prompts.pop() for prompts in left if prompts]
            dice.shuffle(turn)
            order += turn
        return tuple(order)


@dataclass(frozen=True, slots=True)
class Visit:
    """The result of generating one prompt.

    Attributes:
        turn: Visits of the same turn were measured together; whatever disturbed one disturbed them all.
        tokens: Completion tokens.
        time: Its share of the engine's time, in seconds.
        steps: Steps that it took.
    """

    turn: int
    tokens: float
    time: float
    steps: float


@dataclass(slots=True)
class Arm:
    """The measurements of one way to generate, by prompt."""

    by_prompt: dict[int, list[Visit]] = field(default_factory=dict)

    def add(self, prompt: int, visit: Visit) -> None:
        """Add the generation of one prompt."""
        self.by_prompt.setdefault(prompt, []).append(visit)


class Estimate:
    """Totals of the whole set for one arm, or for two arms on the prompts that both have."""

    def __init__(self, prompts: PromptSet, arm: Arm, other: Arm | None = None) -> None:
        self._prompts = prompts
        self._arms = [arm] if other is None else [arm, other]
        self._shared = [i for i in arm.by_prompt if other is None or i in other.by_prompt]
        self._counts: dict[int, int] = {}
        for i in self._shared:
            self._counts[prompts.strata[i]] = self._counts.get(prompts.strata[i], 0) + 1

    @cached_property
    def _totals(self) -> list[tuple[float, float, float]]:
        """Tokens, time and steps of the whole set for each arm, as far as its categories were seen."""
        return [self._total(arm.by_prompt) for arm in self._arms]

    def _total(self, by_prompt: Mapping[int, Sequence[Visit]]) -> tuple[float, float, float]:
        tokens = time = steps = 0.0
        for i in self._shared:
            visits = by_prompt[i]
            weight = self._weight(i) / len(visits)
            for visit in visits:
                tokens += weight * visit.tokens
                time += weight * visit.time
                steps += weight * visit.steps
        return tokens, time, steps

    def _weight(self, prompt: int) -> float:
        """How many prompts this one stands for."""
        stratum = self._prompts.strata[prompt]
        return self._prompts.sizes[stratum] / self._counts[stratum]

    @property
    def log_rate(self) -> float | None:
        """Logarithm of the arm's throughput in tokens per second, or of its ratio to the other arm's."""
        logs = [math.log(tokens / time) for tokens, time, _ in self._totals if tokens > 0 and time > 0]
        if len(logs) < len(self._arms):
            return None
        return logs[0] - (logs[1] if len(logs) > 1 else 0.0)

    @property
    def count(self) -> int:
        """Number of prompts that both arms have."""
        return len(self._shared)

    @property
    def each(self) -> list[float]:
        """Logarithm of the throughput on each prompt, or of its ratio to the other arm's."""
        return [
            sum(
                sign * math.log(sum(v.tokens for v in arm.by_prompt[i]) / sum(v.time for v in arm.by_prompt[i]))
                for arm, sign in zip(self._arms, (1, -1), strict=False)
            )
            for i in self._shared
        ]

    @property
    def covers(self) -> bool:
        """Whether every category was seen."""
        return len(self._counts) == len(self._prompts.sizes)

    @property
    def certain(self) -> bool:
        """Whether every category was seen often enough for an interval: two of its prompts, or all of them."""
        seen = (self._counts.get(stratum, 0) for stratum in range(len(self._prompts.sizes)))
        return all(n >= min(2, size) for n, size in zip(seen, self._prompts.sizes, strict=True))

    def variance(self) -> tuple[float, float] | None:
        """Variance of `log_rate` and its degrees of freedom; None where they are not known."""
        if self.log_rate is None or not self.certain:
            return None
        content, noise, by_turn = self._deviations()
        noise_variance = sum(v * v for v in noise.values()) / max(1, len(noise) - 1)
        parts: list[tuple[float, int]] = [_clustered(by_turn)]
        for stratum, size in enumerate(self._prompts.sizes):
            members = [content[i] for i in self._shared if self._prompts.strata[i] == stratum]
            count = len(members)
            if 1 < count < size:
                left = (1.0 - count / size) * max(_variance(members) - noise_variance, 0.0)
                parts.append((size * size / count * left, count - 1))
        total = sum(part for part, _ in parts)
        uncertain = sum(part * part / freedom for part, freedom in parts if part)
        freedom = total * total / uncertain if uncertain else math.inf
        return (total, freedom) if freedom >= LEAST_FREEDOM else None

    def cautious(self, z: float = DROPPED) -> Interval:
        """The interval as if the prompts had been drawn from a much larger set, regardless of category: never too
        narrow, and available early."""
        if (log_rate := self.log_rate) is None:
            return UNKNOWN
        content, _, by_turn = self._deviations()
        count, turns = len(content), len(by_turn)
        if min(count, turns) <= LEAST_FREEDOM:
            return UNKNOWN
        spread = _variance([content[i] * self._weight(i) * count for i in self._shared]) / count
        reach = student_t(min(count, turns) - 1, z) * math.sqrt(spread + _clustered(by_turn)[0])
        return Interval(math.exp(log_rate), math.exp(log_rate - reach), math.exp(log_rate + reach))

    def _deviations(self) -> tuple[dict[int, float], dict[int, float], dict[int, float]]:
        """How much each prompt moves the logarithm, how much of that is noise, and the noise of each turn."""
        content = dict.fromkeys(self._shared, 0.0)
        noise = dict.fromkeys(self._shared, 0.0)
        by_turn: dict[int, float] = {}
        for arm, (tokens, time, steps), sign in zip(self._arms, self._totals, (1, -1), strict=False):
            for i in self._shared:
                visits = arm.by_prompt[i]
                for visit in visits:
                    off = sign * (visit.steps / steps - visit.time / time) / len(visits)
                    content[i] += sign * (visit.tokens / tokens - visit.time / time) / len(visits)
                    noise[i] += off
                    by_turn[visit.turn] = by_turn.get(visit.turn, 0.0) + off * self._weight(i)
        return content, noise, by_turn

    def interval(self, z: float = SHOWN) -> Interval:
        """Throughput, or the ratio of throughputs, with its interval between the quantiles of ``z``."""
        if (log_rate := self.log_rate) is None:
            return UNKNOWN
        found = self.variance()
        if found is None:
            return Interval(math.exp(log_rate), None, None)
        variance, freedom = found
        reach = student_t(freedom, z) * math.sqrt(variance)
        return Interval(math.exp(log_rate), math.exp(log_rate - reach), math.exp(log_rate + reach))


def _clustered(by_turn: Mapping[int, float]) -> tuple[float, int]:
    """Variance of the sum of all turns' noise, and its degrees of freedom."""
    turns = len(by_turn)
    if turns < 2:
        return math.inf, 1
    return turns / (turns - 1) * sum(off * off for off in by_turn.values()), turns - 1


def _variance(values: Sequence[float]) -> float:
    mean = sum(values) / len(values)
    return sum((value - mean) ** 2 for value in values) / (len(values) - 1)


def student_t(freedom: float, z: float = SHOWN) -> float:
    """The quantile of Student's t distribution that corresponds to the normal quantile ``z``, for 3 degrees of freedom
    or more.

    The Cornish-Fisher expansion (Abramowitz and Stegun, 26.7.5), accurate to 0.03 at 3 and to 0.001 from 8 on.
    """
    n = freedom
    return (
        z
        + (z**3 + z) / (4 * n)
        + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * n**2)
        + (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / (384 * n**3)
        + (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / (92160 * n**4)
    )

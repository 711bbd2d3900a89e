"""What an automatic K yields on made-up lanes, and what its decision costs.

``python -m tests.load.auto_k_bench [SEEDS]`` prints the throughput of `AutoK` over that of the best fixed K of the same
text, for texts of one kind and of mixed kinds and for cheap and dear drafts, then the time of a decision.
"""

from __future__ import annotations

import random
import statistics
import sys
import time
from dataclasses import dataclass

from spectui.core.auto_k import AutoK

TOKENS = 8000
NOISE, OUTLIERS = 0.03, 0.02
DECISIONS = 20_000


@dataclass(frozen=True)
class Kind:
    """A kind of text: how often a drafted token is accepted at position 1, and how far that falls up to position 5."""

    first: float
    falls: float

    def acceptance(self, k_max: int) -> list[float]:
        return [self.first * (1 - self.falls * min(i, 4) / 4) for i in range(k_max)]


EASY, MEDIUM, HARD, HOPELESS = Kind(0.93, 0.03), Kind(0.65, 0.15), Kind(0.3, 0.4), Kind(0.08, 0.5)

TEXTS: dict[str, tuple[tuple[Kind, ...], tuple[int, int]]] = {
    "easy": ((EASY,), (TOKENS, TOKENS)),
    "medium": ((MEDIUM,), (TOKENS, TOKENS)),
    "hard": ((HARD,), (TOKENS, TOKENS)),
    "hopeless": ((HOPELESS,), (TOKENS, TOKENS)),
    "mixed, long": ((EASY, MEDIUM, HARD, HOPELESS), (200, 1500)),
    "mixed, short": ((EASY, MEDIUM, HARD, HOPELESS), (30, 150)),
    "easy, hopeless": ((EASY, HOPELESS), (400, 1500)),
    "medium, hard": ((MEDIUM, HARD), (100, 600)),
}
"""Kinds, and how many tokens of one follow each other."""


def line(k_max: int, base: float, slope: float, plain: float) -> list[float]:
    """The time of a step at each K, in steps of AR."""
    return [plain, *(base + slope * k for k in range(1, k_max + 1))]


COSTS = {
    "K 4, dear": line(4, 1.25, 0.17, 1.08),
    "K 7, dearer": line(7, 1.3, 0.3, 1.1),
    "K 7": line(7, 1.2, 0.1, 1.05),
    "K 7, cheap": line(7, 1.15, 0.03, 1.05),
    "K 15, cheap": line(15, 1.2, 0.04, 1.05),
}


@dataclass(frozen=True)
class Text:
    """The kind of each token, and a number from 0 to 1 for each that decides whether a draft of it is accepted; every
    K drafts the same text."""

    kinds: list[Kind]
    chances: list[float]

    @classmethod
    def of(cls, name: str, seed: int) -> Text:
        kinds, (least, most) = TEXTS[name]
        dice = random.Random(seed)
        text: list[Kind] = []
        while len(text) < TOKENS:
            text += [dice.choice(kinds)] * dice.randint(least, most)
        return cls(text[:TOKENS], [dice.random() for _ in range(TOKENS)])

    def speed(self, costs: list[float], policy: AutoK | int, seed: int = 0) -> float:
        """Tokens per time of a fixed K, or of a policy, which sees noisy times."""
        acceptance = {kind: kind.acceptance(len(costs) - 1) for kind in set(self.kinds)}
        dice = random.Random(seed)
        at, total, k = 0, 0.0, policy if isinstance(policy, int) else policy.k
        while at < TOKENS:
            rates, accepted = acceptance[self.kinds[at]], 0
            while accepted < k and at + accepted < TOKENS and self.chances[at + accepted] < rates[accepted]:
                accepted += 1
            at += accepted + 1
            drafts = policy if isinstance(policy, int) else policy.k
            # A step verifies a draft of one K and makes one of the next.
            wall = (costs[k] + costs[drafts]) / 2
            total += wall
            if not isinstance(policy, int):
                policy.observe(k, accepted)
                slow = dice.uniform(1.5, 4) if dice.random() < OUTLIERS else 1.0
                policy.decide(1e7 * wall * slow * dice.gauss(1, NOISE))
            k = drafts
        return TOKENS / total


def ratio(name: str, costs: list[float], seed: int) -> tuple[float, int]:
    """Throughput of an automatic K over the best fixed K, and that K."""
    text, k_max = Text.of(name, seed), len(costs) - 1
    best, k = max((text.speed(costs, k), k) for k in range(k_max + 1))
    return text.speed(costs, AutoK(k_max, min(3, k_max)), seed) / best, k


def decision_us(k_max: int, requests: int = 1) -> float:
    """Microseconds of this thread that a decision takes: the median over groups of a hundred."""
    dice = random.Random(0)
    steps = [([dice.random() for _ in range(requests)], dice.gauss(1, NOISE)) for _ in range(DECISIONS)]
    policy = AutoK(k_max)
    times = []
    for first in range(0, DECISIONS, 100):
        began = time.thread_time_ns()
        for chances, noise in steps[first : first + 100]:
            k = policy.k
            for chance in chances:
                policy.observe(k, int(k * chance))
            policy.decide(1e7 * (1 + 0.05 * k) * noise, requests)
        times.append((time.thread_time_ns() - began) / 100 / 1e3)
    return statistics.median(times)


def main() -> None:
    seeds = int(sys.argv[1]) if len(sys.argv) > 1 else 10
    every = []
    print(f"automatic K over the best fixed K, {seeds} texts of {TOKENS} tokens each: mean (lowest), best fixed K")
    for name in TEXTS:
        for lane, costs in COSTS.items():
            found = [ratio(name, costs, seed) for seed in range(seeds)]
            ratios = [one for one, _ in found]
            every += ratios
            ks = sorted({k for _, k in found})
            print(
                f"{name:15} {lane:12} {statistics.fmean(ratios):.3f} ({min(ratios):.3f})  K {', '.join(map(str, ks))}"
            )
    every.sort()
    low = sum(one < 0.97 for one in every)
    print(f"all {len(every)}: mean {statistics.fmean(every):.3f}, lowest {every[0]:.3f}, {low} below 0.97")
    for k_max, requests in ((3, 1), (7, 1), (15, 1), (7, 8)):
        print(f"decision, K up to {k_max}, {requests} in flight: {decision_us(k_max, requests):.1f} us")


if __name__ == "__main__":
    main()

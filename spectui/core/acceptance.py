"""How many of the drafted tokens the target accepted.

Definitions follow vLLM (``vllm/v1/spec_decode/metrics.py``) and AIPerf: only steps with a draft count, the acceptance
length includes the target's own token, and acceptance at position *i* is unconditional unless it is called conditional.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from spectui.protocol.events import NOTHING, Totals


@dataclass(frozen=True, slots=True)
class Acceptance:
    """A reading of an `AcceptanceCounter`. Shares are between 0 and 1; None means that nothing was drafted yet.

    Steps that were lost on the way count in ``steps``, ``drafted`` and ``accepted`` where the lane's totals include
    them; the figures by position cover only the steps that were seen. For example, of 4 steps with 3 drafts each that
    accepted 3, 0, 1 and 2, the last one is lost: the length is 1 + 6 / 4 = 2.5 and the rate 6 / 12, as with all four;
    acceptance at position 1 is 2 of 3 steps instead of 3 of 4, and the reading is partial.

    Attributes:
        steps: Steps that had a draft.
        drafted: Tokens that these steps proposed.
        accepted: Proposed tokens that the target kept.
        reached: ``reached[i - 1]`` steps drafted at least ``i`` tokens.
        kept: In ``kept[i - 1]`` of those steps, all of the first ``i`` tokens were accepted.
        complete: ``complete[i - 1]`` steps drafted exactly ``i`` tokens, all of which were accepted.
        histogram: ``histogram[n]`` steps accepted exactly ``n`` tokens.
        partial: Whether steps are missing from the figures by position or, in a window, from all of them.
    """

    steps: int
    drafted: int
    accepted: int
    reached: tuple[int, ...]
    kept: tuple[int, ...]
    complete: tuple[int, ...]
    histogram: tuple[int, ...]
    partial: bool = False

    @property
    def seen(self) -> int:
        """Steps with a draft that were seen."""
        return sum(self.histogram)

    @property
    def length(self) -> float | None:
        """Acceptance length: tokens per step with a draft, the target's own included, from 1 to K+1."""
        return 1 + self.accepted / self.steps if self.steps else None

    @property
    def rate(self) -> float | None:
        """Draft acceptance rate: accepted / drafted."""
        return self.accepted / self.drafted if self.drafted else None

    @property
    def by_position(self) -> tuple[float | None, ...]:
        """Unconditional: share of the steps that drafted at least i tokens whose first i were all accepted."""
        return tuple(kept / reached if reached else None for kept, reached in zip(self.kept, self.reached, strict=True))

    @property
    def conditional(self) -> tuple[float | None, ...]:
        """Share of the steps with i-1 accepted drafts and an i-th one in which that i-th was accepted too.

        Steps whose draft ended at i-1 are no evidence about position i and do not count.
        """
        tried = (self.seen, *(kept - ended for kept, ended in zip(self.kept, self.complete, strict=True)))
        return tuple(kept / n if n else None for kept, n in zip(self.kept, tried, strict=False))


class AcceptanceCounter:
    """Counts steps as they come: all of them, or the last ``window`` that had a draft."""

    def __init__(self, window: int | None = None) -> None:
        self._window = window
        self._recent: deque[tuple[int, int]] = deque()
        self._pairs: dict[tuple[int, int], int] = {}
        self._missed = NOTHING
        self._whole_in = 0

    def add(self, drafted: int, accepted: int) -> None:
        """Count one step that proposed ``drafted`` tokens and kept ``accepted`` of them; a step without a draft does
        not count."""
        if not drafted:
            return
        pair = (drafted, accepted)
        self._pairs[pair] = self._pairs.get(pair, 0) + 1
        if self._window is None:
            return
        self._whole_in -= self._whole_in > 0
        self._recent.append(pair)
        if len(self._recent) > self._window:
            oldest = self._recent.popleft()
            self._pairs[oldest] -= 1
            if not self._pairs[oldest]:
                del self._pairs[oldest]

    def add_many(self, drafted: int, accepted: int, steps: int) -> None:
        """Count so many equal steps that had a draft; there may be no window."""
        self._pairs[drafted, accepted] = self._pairs.get((drafted, accepted), 0) + steps

    def include(self, other: AcceptanceCounter) -> None:
        """Add the counts of ``other``; neither may have a window."""
        for (drafted, accepted), steps in other._pairs.items():
            self.add_many(drafted, accepted, steps)

    def miss(self, missing: Totals) -> None:
        """Note that ``missing`` steps were not seen. A window leaves them out, and is partial until it has filled up
        again."""
        if self._window is None:
            self._missed = self._missed.plus(missing)
        self._whole_in = self._window or 1

    def read(self) -> Acceptance:
        """The current counts. Costs O(distinct (drafted, accepted) pairs), not O(steps)."""
        longest = max((drafted for drafted, _ in self._pairs), default=0)
        drafting = [0] * (longest + 1)
        accepting = [0] * (longest + 1)
        complete = [0] * (longest + 1)
        for (drafted, accepted), count in self._pairs.items():
            drafting[drafted] += count
            accepting[accepted] += count
            if drafted == accepted:
                complete[drafted] += count
        return Acceptance(
            steps=sum(drafting) + self._missed.drafts,
            drafted=sum(n * count for n, count in enumerate(drafting)) + self._missed.drafted,
            accepted=sum(n * count for n, count in enumerate(accepting)) + self._missed.accepted,
            reached=_tail_sums(drafting),
            kept=_tail_sums(accepting),
            complete=tuple(complete[1:]),
            histogram=tuple(accepting) if longest else (),
            partial=self._whole_in > 0,
        )


def _tail_sums(counts: list[int]) -> tuple[int, ...]:
    """``[c0, c1, c2]`` -> ``(c1 + c2, c2)``: how many have at least 1, 2, ..."""
    sums: list[int] = []
    total = 0
    for count in reversed(counts[1:]):
        total += count
        sums.append(total)
    return tuple(reversed(sums))

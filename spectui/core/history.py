"""The recent steps of one request, for looking at a single one of them."""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from spectui.protocol.events import CountedStep, Step

HISTORY_STEPS = 2000
"""Steps kept for each request."""


@dataclass(frozen=True, slots=True)
class PastStep:
    """A step and where it stands in its request.

    Attributes:
        before: Tokens that the request had emitted before this step.
        logged: Tokens that the request's log held before this step, rejected ones included.
    """

    step: Step
    before: int
    logged: int

    @property
    def asked(self) -> tuple[int, ...]:
        """The ids whose likelihood explains the step: the drafted ones, and the target's own token where it comes after
        all of them."""
        step = self.step
        verified = (*step.emitted, *step.cut)
        return step.drafted + verified[step.accepted :] if step.accepted == len(step.drafted) else step.drafted


def _index(past: PastStep) -> int:
    return past.step.index


class History:
    """An append-only list of steps, read while it grows; the oldest steps are dropped."""

    def __init__(self, limit: int = HISTORY_STEPS) -> None:
        self.limit = limit
        self._steps: deque[PastStep] = deque(maxlen=limit)

    def append(self, step: PastStep) -> None:
        self._steps.append(step)

    def skip(self, step: CountedStep, before: int, logged: int) -> None:
        """Pass over a step whose drafts are not known: there is nothing to look at."""

    def __len__(self) -> int:
        return len(self._steps)

    @property
    def first(self) -> int:
        """Index of the oldest step kept."""
        return self._steps[0].step.index if self._steps else 0

    @property
    def last(self) -> int:
        """Index of the newest step."""
        return self._steps[-1].step.index if self._steps else 0

    def at(self, index: int) -> PastStep | None:
        """The step with that index; None if it is not kept or has not happened."""
        # Where steps were lost, the list positions of later steps differ from their indices.
        place = min(index - self.first, len(self._steps) - 1)
        if place >= 0 and self._steps[place].step.index != index:
            place = bisect_left(self._steps, index, hi=place, key=_index)
        return self._steps[place] if place >= 0 and _index(self._steps[place]) == index else None

    def beside(self, index: int, by: int) -> int | None:
        """Index of the kept step that comes ``by`` steps after ``index``, or before it if ``by`` is negative."""
        found = [past.step.index for past in self._steps]
        place = bisect_left(found, index) + by
        return found[place] if 0 <= place < len(found) else None

    def next_rejection(self, index: int) -> int | None:
        """Index of the next step after ``index`` that rejected a draft, wrapping around at the end."""
        return self._next(index, lambda step: step.accepted < len(step.drafted))

    def next_longest(self, index: int) -> int | None:
        """Index of the next step after ``index`` that accepted the most drafts of all, wrapping around at the end."""
        most = max((past.step.accepted for past in self._steps), default=0)
        return self._next(index, lambda step: step.accepted == most) if most else None

    def _next(self, index: int, wanted: Callable[[Step], bool]) -> int | None:
        found = [past.step.index for past in self._steps if wanted(past.step)]
        return next((one for one in found if one > index), found[0] if found else None)

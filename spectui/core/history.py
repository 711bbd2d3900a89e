"""The steps of one request, for whoever looks at a single one of them."""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from spectui.protocol.events import Step

HISTORY_STEPS = 2000
"""Steps that are kept of each request."""


@dataclass(frozen=True, slots=True)
class PastStep:
    """A step.

    Attributes:
        before: Tokens that its request had emitted before it.
        logged: Tokens that the request's log held before it, the refused ones included.
    """

    step: Step
    before: int
    logged: int

    @property
    def asked(self) -> tuple[int, ...]:
        """The ids whose likelihood explains the step: the drafted ones, and the target's own token where it stands
        behind all of them."""
        step = self.step
        verified = (*step.emitted, *step.cut)
        return step.drafted + verified[step.accepted :] if step.accepted == len(step.drafted) else step.drafted


def _index(past: PastStep) -> int:
    return past.step.index


class History:
    """Append-only, read while it grows; the oldest steps make room."""

    def __init__(self, limit: int = HISTORY_STEPS) -> None:
        self._steps: deque[PastStep] = deque(maxlen=limit)

    def append(self, step: PastStep) -> None:
        self._steps.append(step)

    def __len__(self) -> int:
        return len(self._steps)

    @property
    def first(self) -> int:
        """Index of the oldest step that is kept."""
        return self._steps[0].step.index if self._steps else 0

    @property
    def last(self) -> int:
        """Index of the newest step."""
        return self._steps[-1].step.index if self._steps else 0

    def at(self, index: int) -> PastStep | None:
        """The step of that index, None when it is not kept or has not been."""
        # Where steps were lost the places of those behind them are not their indices.
        place = min(index - self.first, len(self._steps) - 1)
        if place >= 0 and self._steps[place].step.index != index:
            place = bisect_left(self._steps, index, hi=place, key=_index)
        return self._steps[place] if place >= 0 and _index(self._steps[place]) == index else None

    def beside(self, index: int, by: int) -> int | None:
        """Index of the kept step that is ``by`` steps behind that of ``index``, before it when negative."""
        found = [past.step.index for past in self._steps]
        place = bisect_left(found, index) + by
        return found[place] if 0 <= place < len(found) else None

    def next_rejection(self, index: int) -> int | None:
        """The next step behind ``index`` that refused a draft; from the end on from the beginning again."""
        return self._next(index, lambda step: step.accepted < len(step.drafted))

    def next_longest(self, index: int) -> int | None:
        """The next step behind ``index`` that accepted as many drafts as any did; likewise from the beginning again."""
        most = max((past.step.accepted for past in self._steps), default=0)
        return self._next(index, lambda step: step.accepted == most) if most else None

    def _next(self, index: int, wanted: Callable[[Step], bool]) -> int | None:
        found = [past.step.index for past in self._steps if wanted(past.step)]
        return next((one for one in found if one > index), found[0] if found else None)

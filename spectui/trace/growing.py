"""What grows in a request, its tokens and its steps, for playback that continues from a place in the middle.

Owns how little of the past is held in memory in order to show all of it. Must not know how places are found. Tokens
before the place are the index's own, not copies; steps before it are places in the trace, which are read when they are
looked at: a `History` of 2,000 steps takes 2 MB, as places it takes 16 kB, and a jump needs one for each request.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from spectui.core.history import History, PastStep
from spectui.core.tokens import Role, Token, TokenLog, step_tokens
from spectui.protocol.events import AnyStep, CountedStep, Step, TraceEvent

ReadAt = Callable[[Sequence[int]], list[TraceEvent]]
"""Returns the events whose lines begin at these bytes."""


class LaterLog(TokenLog):
    """Continues after the first ``length`` tokens of another log, which may itself continue differently."""

    def __init__(self, log: TokenLog, length: int) -> None:
        super().__init__()
        self._log, self._length = log, length
        if isinstance(log, LaterLog):
            # A chain of logs would make every access slower.
            self._log, self._length = log._log, min(log._length, length)
            for index in range(self._length, length):
                self.append(*log[index])

    def __len__(self) -> int:
        return self._length + super().__len__()

    def __getitem__(self, index: int) -> Token:
        if index < 0:
            index += len(self)
        return self._log[index] if index < self._length else super().__getitem__(index - self._length)

    def role(self, index: int) -> Role:
        return self._log.role(index) if index < self._length else super().role(index - self._length)

    def output(self) -> str:
        whole = TokenLog()
        for index in range(len(self)):
            whole.append(*self[index])
        return whole.output()


@dataclass(frozen=True, slots=True)
class StepOffsets:
    """Where the steps of a request are: the first ``count`` of ``offsets``, which may grow in the meantime.

    ``emitted`` and ``logged`` count the request's tokens after the last of these steps. A `History` keeps ``limit``;
    ``skipped`` of the steps are not in one.
    """

    offsets: array[int]
    count: int
    emitted: int
    logged: int
    limit: int
    skipped: int = 0

    def kept(self) -> array[int]:
        """The places of the steps that a `History` would have kept."""
        return self.offsets[max(0, self.count - self.limit) : self.count]


class FoldedHistory(History):
    """Used while a trace is indexed: keeps each step's place instead of the step, and those of steps that are passed
    over. ``offset_now`` returns the offset of the event that is being folded; ``limit`` is as of a `History`."""

    def __init__(self, offset_now: Callable[[], int], limit: int, places: StepOffsets | None = None) -> None:
        super().__init__(0)
        self.limit = limit
        self._offset_now = offset_now
        self._offsets = places.kept() if places else array("Q")
        self._skipped = places.skipped if places else 0
        self._last: tuple[AnyStep, int, int] | None = None
        self._behind = (places.emitted, places.logged) if places else (0, 0)

    def append(self, step: PastStep) -> None:
        self._offsets.append(self._offset_now())
        self._last = step.step, step.before, step.logged

    def skip(self, step: CountedStep, before: int, logged: int) -> None:
        self._skipped += 1
        self._offsets.append(self._offset_now())
        self._last = step, before, logged

    def __len__(self) -> int:
        return min(max(0, len(self._offsets) - self._skipped), self.limit)

    def places(self) -> StepOffsets:
        """The places of the steps so far."""
        if self._last is not None:
            step, before, logged = self._last
            self._behind = (before + step.emitted_count, logged + _tokens(step))
        return StepOffsets(self._offsets, len(self._offsets), *self._behind, self.limit, self._skipped)


class RecalledHistory(History):
    """Used after a jump into a trace: earlier steps are read from the file when they are first looked at."""

    def __init__(self, read_at: ReadAt, places: StepOffsets) -> None:
        super().__init__(places.limit)
        self._read_at = read_at
        self._before: StepOffsets | None = places

    def __len__(self) -> int:
        if self._before and self._before.skipped:
            self._recall()
        before = min(self._before.count, self.limit) if self._before else 0
        return min(before + super().__len__(), self.limit)

    @property
    def first(self) -> int:
        self._recall()
        return super().first

    @property
    def last(self) -> int:
        self._recall()
        return super().last

    def at(self, index: int) -> PastStep | None:
        self._recall()
        return super().at(index)

    def beside(self, index: int, by: int) -> int | None:
        self._recall()
        return super().beside(index, by)

    def _next(self, index: int, wanted: Callable[[Step], bool]) -> int | None:
        self._recall()
        return super()._next(index, wanted)

    def next_longest(self, index: int) -> int | None:
        self._recall()
        return super().next_longest(index)

    def _recall(self) -> None:
        """Read the earlier steps, once, and put them before those that have come since."""
        places, self._before = self._before, None
        room = self.limit - len(self._steps)
        if places is None or not room:
            return
        steps = [event for event in self._read_at(places.kept()[-room:]) if isinstance(event, AnyStep)]
        before, logged = places.emitted, places.logged
        for step in reversed(steps):
            before = before - step.emitted_count if step.before is None else step.before
            logged -= _tokens(step)
            if isinstance(step, Step):
                self._steps.appendleft(PastStep(step, before, logged))


def _tokens(step: AnyStep) -> int:
    return sum(1 for _ in step_tokens(step))

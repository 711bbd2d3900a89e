"""Lets several traces be read as one."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from spectui.errors import RunError
from spectui.protocol.events import Prompt, RoundStarted, RunStarted, ServerSeen, TraceEvent


class Pooling:
    """Gives rounds numbers that hold for all traces: a round of the same prompts has the same number in each, so that
    lanes of different traces can be compared, and others never meet."""

    def __init__(self) -> None:
        self._numbers: dict[tuple[tuple[Prompt, ...], int], int] = {}
        self._seen: Counter[tuple[Prompt, ...]] = Counter()
        self._model: tuple[str, str] | None = None
        self._trace = ""

    def open(self, name: str) -> None:
        """The events of another trace come next."""
        self._trace = name
        self._seen.clear()

    def pooled(self, event: TraceEvent) -> TraceEvent:
        """The event as it counts among those of all traces.

        Raises:
            RunError: It is of another model than those before: the same ids mean other tokens.
        """
        if isinstance(event, RunStarted):
            if event.target or not event.attached:
                self._check(event.target)
        elif isinstance(event, ServerSeen):
            if event.model:
                self._check(event.model)
        elif isinstance(event, RoundStarted):
            key = event.prompts, self._seen[event.prompts]
            self._seen[event.prompts] += 1
            return replace(event, round=self._numbers.setdefault(key, len(self._numbers)))
        return event

    def _check(self, target: str) -> None:
        first, where = self._model = self._model or (target, self._trace)
        if _short(target) != _short(first):
            raise RunError(
                f"{where} is of {first or 'an unnamed model'} and {self._trace} of {target or 'an unnamed model'}: "
                "analyse traces of different models one by one"
            )


def _short(target: str) -> str:
    """A model's name without the folders before it, which may differ between machines."""
    return target.rstrip("/").rpartition("/")[2]

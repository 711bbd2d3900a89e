"""Measurements that take the engines from the race: a search for a lane's best K."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Protocol

from spectui.protocol.events import Event, KChanged, Prompt, Sampling, TuneWhy
from spectui.sources.vllm.config import HostConfig
from spectui.sources.vllm.prompting import fitting
from spectui.sources.vllm.race import Race
from spectui.sources.vllm.tuning import PIECE_TOKENS, Tuning


class ImpossibleError(ValueError):
    """There is nothing to measure; the message is one sentence."""


class Measurement(Protocol):
    """Something that is measured on lanes of the race while no round runs. It emits what it finds.

    Attributes:
        busy: What a command is told that has to wait for its end.
        over: Whether it has ended, so that the race can begin anew.
    """

    busy: str
    over: bool

    def step(self) -> None:
        """Take one engine step, or end."""

    def stop(self) -> None:
        """End, and keep what was found."""

    def fail(self, error: Exception) -> None:
        """End because ``step`` raised ``error``; the lane whose engine it was leaves the race."""


class Measuring:
    """Begins measurements on the lanes of a race."""

    def __init__(self, race: Race, config: HostConfig, target: str, emit: Callable[[Event], None]) -> None:
        """Prepare.

        Args:
            race: The lanes.
            config: What races.
            target: Path or id of the target.
            emit: Receives the events.
        """
        self.race = race
        self.config = config
        self.target = target
        self.emit = emit

    def search(
        self, name: str, prompts: Sequence[Prompt], *, requests: int, sampling: Sampling, budget_s: float
    ) -> LaneSearch | None:
        """End the round and begin to search for a lane's fastest K; None if the lane is lost at that.

        Raises:
            ImpossibleError: The lane cannot be tuned; the round goes on.
        """
        lane = self.race.lane(name)
        if lane is None or not lane.info.k_max:
            why = "the lane is not running" if lane is None else "the lane has no drafter"
            raise ImpossibleError(f"nothing to tune: {why}")
        if lane.fixed_k:
            raise ImpossibleError(f"nothing to tune: {lane.fixed_k}")
        fitted = fitting(lane, prompts, self.config.chat, PIECE_TOKENS)
        if not fitted:
            raise ImpossibleError("cannot tune: no prompt of the set is short enough")
        self.end_round()
        if lane not in self.race.lanes:
            return None
        tuning = Tuning(
            lane,
            range(lane.info.k_max + 1),
            fitted,
            requests=requests,
            sampling=sampling,
            budget_s=budget_s,
            plain=next((one for one in self.race.lanes if one.info.method == "ar"), None),
        )
        return LaneSearch(self, tuning)

    def end_round(self) -> None:
        """End the unfinished requests of every lane."""
        for lane in self.race.lanes:
            for event in self.race.abort(lane):
                self.emit(event)


class LaneSearch:
    """The search for the best K of a lane of the race."""

    busy = "a lane is being tuned: Esc stops the search and keeps the best K so far"

    def __init__(self, by: Measuring, tuning: Tuning) -> None:
        self._by = by
        self._tuning = tuning
        self.over = False
        by.emit(tuning.turn())

    def step(self) -> None:
        if (why := self._tuning.ended) is not None:
            self._end(why)
        elif (turn := self._tuning.step()) is not None:
            self._by.emit(turn)

    def stop(self) -> None:
        self._end("cancelled")

    def _end(self, why: TuneWhy) -> None:
        spec = self._tuning.lane.spec
        ended = self._tuning.end(why, partial(self._by.config.serve_line, spec, self._by.target))
        self.over = True
        if ended.last.turn:
            self._by.emit(KChanged(ended.lane, ended.last.best, "tuned"))
        self._by.emit(ended)
        self._by.config.remember(spec, ended)

    def fail(self, error: Exception) -> None:
        self.over = True
        self._tuning.give_up()
        self._by.emit(self._by.race.lose(self._tuning.stepped, error))

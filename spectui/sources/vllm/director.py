"""Directs a live race: chooses the next lane to step, runs rounds, pauses and searches, and follows commands."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial

from spectui.core.prompts import PromptError
from spectui.protocol import commands as cmd
from spectui.protocol.events import Event, KChanged, LaneInfo, Notice, Paused
from spectui.protocol.limits import concurrency_fault, temperature_fault
from spectui.sources.vllm.config import HostConfig
from spectui.sources.vllm.errors import first_line
from spectui.sources.vllm.fixed_k import cautions
from spectui.sources.vllm.foreign import panics_as_errors
from spectui.sources.vllm.forking import Forked, ForkRefusedError, fork_of
from spectui.sources.vllm.inspecting import inspected
from spectui.sources.vllm.lane import Lane
from spectui.sources.vllm.measuring import ImpossibleError, LaneBench, LaneSearch, Measurement, Measuring
from spectui.sources.vllm.prompting import PromptRefusedError
from spectui.sources.vllm.race import Race
from spectui.sources.vllm.rounds import PromptDeck

logger = logging.getLogger(__name__)


class Director:
    """Directs loaded lanes on the engine thread, one engine step at a time.

    Attributes:
        race: The lanes' rounds.
    """

    def __init__(
        self,
        config: HostConfig,
        infos: Sequence[LaneInfo],
        target: str,
        lanes: Sequence[Lane],
        emit: Callable[[Event], None],
    ) -> None:
        """Prepare; nothing starts before `begin` is called.

        Args:
            config: What races.
            infos: Every lane, including those that could not be loaded.
            target: Path or id of the target.
            lanes: The loaded lanes.
            emit: Receives the events.
        """
        self._config = config
        self._infos = infos
        self._emit = emit
        self.race = Race(lanes, config.chat)
        self._deck = PromptDeck(config.prompts, config.chat.system)
        self._sampling = config.sampling
        self._concurrency = config.concurrency
        self._forked: Forked | None = None
        self._paused = False
        self._singles: deque[str | None] = deque()
        self._measuring = Measuring(self.race, config, target, emit)
        self._measurement: Measurement | None = None

    def _emit_all(self, events: Iterable[Event]) -> None:
        for event in events:
            self._emit(event)

    def begin(self) -> None:
        """Begin the first round, paused if the configuration says so."""
        self.set_paused(self._config.paused)
        for lane in self.race.lanes:
            self._emit_all(cautions(lane.info, lane.fixed_k, self._sampling))
        if self.race.lanes:
            self._begin()

    def next_step(self) -> Callable[[], None] | None:
        """Return what takes the next engine step, of a measurement or the race; None if a command must come first."""
        if self._measurement is not None and not self._paused:
            return partial(self._measure, self._measurement)
        if (lane := self._next_lane()) is not None:
            return partial(self._step, lane)
        self._rest()
        return None

    def _begin(self, forked: Forked | None = None) -> bool:
        if forked is not None:
            begun = self._start(self.race.fork(forked, self._sampling))
        else:
            begun = self._start(self.race.begin(self._deck.take(self._concurrency), self._sampling))
        self._forked = forked if begun else self._forked
        return begun

    def _start(self, begun: Iterator[Event]) -> bool:
        """Begin a round; returns whether it has begun, which it has not if its prompts were rejected."""
        try:
            self._emit_all(begun)
        except PromptRefusedError as error:
            self._emit(Notice(str(error), level="warning", refused=True))
        except Exception as error:
            logger.exception("the round could not begin")
            self._emit(Notice(f"the prompt cannot be raced: {first_line(error)}", level="warning", refused=True))
        else:
            return True
        return False

    def _next_lane(self) -> Lane | None:
        """Return the lane to step; during a pause that of a `StepOnce`, which is used up by this."""
        if self._measurement is not None:
            return None
        ahead = self.race.next_lane()
        if ahead is None and (self._singles or not self._paused):
            self._end_round()
            if self.race.goes_on:
                self._start(self.race.next_turn())
                ahead = self.race.next_lane()
        if not self._paused:
            return ahead
        while self._singles:
            name = self._singles.popleft()
            lane = ahead if name is None else self.race.lane(name)
            if lane is not None and lane.running:
                return lane
            self.refuse("no step left: the round is over", name)
        return None

    def _rest(self) -> None:
        """Announce the end of a round that is over; no step is taken before the next command."""
        if self._measurement is None and self.race.next_lane() is None:
            self._end_round()

    def _end_round(self) -> None:
        if self.race.open:
            self._emit_all(self.race.finish())

    def _measure(self, measurement: Measurement) -> None:
        try:
            with panics_as_errors():
                measurement.step()
        except Exception as error:
            measurement.fail(error)
        self._go_on(measurement)

    def _go_on(self, measurement: Measurement) -> None:
        """Race again if the measurement is over."""
        if measurement.over:
            self._measurement = None
            self._begin()

    def begin_tuning(self, name: str, budget_s: float) -> None:
        """End the round and search for a lane's fastest K."""
        try:
            self._measurement = self._measuring.search(
                name, self._deck.all(), requests=self._concurrency, sampling=self._sampling, budget_s=budget_s
            )
        except ImpossibleError as error:
            self.refuse(str(error), name)
        if self._measurement is not None:
            self.set_paused(False)

    def begin_bench(self) -> None:
        """End the round and measure every lane at its K on every category of the prompts."""
        try:
            self._measurement = self._measuring.bench(
                self._deck.all(), requests=self._concurrency, sampling=self._sampling
            )
        except ImpossibleError as error:
            self.refuse(str(error))
        if self._measurement is not None:
            self.set_paused(False)

    def _step(self, lane: Lane) -> None:
        try:
            with panics_as_errors():
                self._emit_all(lane.step())
        except Exception as error:
            self._emit(self.race.lose(lane, error))
            return
        for counts in lane.disagreements:
            self._emit(Notice(f"{counts.sentence}; please report this", lane.info.name, "warning"))
        lane.disagreements.clear()

    def refuse(self, why: str, lane: str | None = None) -> None:
        """Tell the user why a command cannot be followed."""
        self._emit(Notice(why, lane, "warning"))

    @property
    def busy(self) -> str:
        """Why most commands have to wait, in one sentence; empty if they need not."""
        return "" if self._measurement is None else self._measurement.busy

    def step_once(self, lane: str | None) -> None:
        """Take one engine step of ``lane``, or of the lane that is furthest behind, and pause."""
        if not self._paused:
            self.set_paused(True)
        self._singles.append(lane)

    def stop_tuning(self) -> None:
        """Stop a search and keep the best K so far."""
        if isinstance(self._measurement, LaneSearch):
            self._stop(self._measurement)
        else:
            self.refuse("no lane is being tuned")

    def stop_bench(self) -> None:
        """Stop a benchmark and keep what is finished."""
        if isinstance(self._measurement, LaneBench):
            self._stop(self._measurement)
        else:
            self.refuse("no benchmark is running")

    def _stop(self, measurement: Measurement) -> None:
        measurement.stop()
        self._go_on(measurement)

    def next_prompt(self, by: int) -> None:
        """Begin a round with the prompts ``by`` rounds further on in the set."""
        self._deck.move(by * self._concurrency)
        self.restart()

    def next_category(self) -> None:
        """Begin a round with the next category of prompts."""
        self._deck.next_category()
        self.restart()

    def set_prompt(self, text: str) -> None:
        """Begin a round with the user's own text."""
        try:
            self._deck.put_first(text)
        except PromptError as error:
            self._emit(Notice(str(error), level="warning", refused=True))
            return
        if not self.restart():
            self._deck.take_back()

    def fork(self, asked: cmd.Fork) -> None:
        """Begin a round that goes on with an answer from the middle of it."""
        try:
            self.restart(fork_of(self.race, asked, self._forked))
        except ForkRefusedError as error:
            self._emit(Notice(str(error), asked.lane, "warning", refused=True))

    def to_parent(self) -> None:
        """Begin again the round that this one was forked from."""
        if self._forked is None:
            self.refuse("this round was not forked, so it has no parent")
        else:
            self.restart(self._forked.parent)

    def again(self) -> None:
        """Begin the same round again."""
        self.restart(self._forked)

    def restart(self, forked: Forked | None = None) -> bool:
        """Begin a new round; returns whether it has begun."""
        if self.race.lanes:
            self.set_paused(False)
            return self._begin(forked)
        self.refuse("no lane is running: start again without the lanes that failed")
        return False

    def abort(self, name: str | None) -> None:
        """End the unfinished requests of a lane, or of every lane."""
        lanes = self.race.lanes if name is None else (self.race.lane(name),)
        for lane in lanes:
            if lane is None:
                self.refuse("the lane is not running", name)
            else:
                self._emit_all(self.race.abort(lane))

    def set_paused(self, paused: bool) -> None:
        """Pause between two steps, or continue."""
        self._singles.clear()
        if paused != self._paused:
            self._paused = paused
            self._emit(Paused(paused))

    def set_k(self, name: str, k: int | None) -> None:
        """Let a lane draft ``k`` tokens from its next step on, or with None as many as it chooses."""
        info = next((info for info in self._infos if info.name == name), None)
        lane = self.race.lane(name)
        if info is None or lane is None:
            known = ", ".join(lane.info.name for lane in self.race.lanes) or "none"
            self.refuse(f"lane '{name}' is not running; running: {known}")
        elif not info.k_max:
            self.refuse(f"{info.title} has no drafter, so it has no K", name)
        elif k is not None and not 0 <= k <= info.k_max:
            self.refuse(f"{info.title} was built for K from 0 to {info.k_max}", name)
        elif lane.fixed_k and k != info.k_max:
            self.refuse(lane.fixed_k, name)
        else:
            lane.choice = k
            self._emit(KChanged(name, lane.k, "auto" if k is None else "yours"))

    def inspect(self, asked: cmd.Inspect) -> None:
        """Ask the target for its probabilities in a step."""
        self._emit_all(inspected(self.race, asked))

    def set_concurrency(self, requests: int) -> None:
        """Race this many prompts at a time, in a new round."""
        if fault := concurrency_fault(requests):
            self.refuse(fault)
            return
        self._concurrency = requests
        self.restart()

    def set_temperature(self, temperature: float) -> None:
        """Change the temperature, in a new round."""
        if fault := temperature_fault(temperature):
            self.refuse(fault)
            return
        self._sampling = replace(self._sampling, temperature=temperature)
        self.again()

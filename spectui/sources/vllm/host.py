"""The engine thread: owns every lane, runs the fair race, follows commands between steps."""

from __future__ import annotations

import logging
import queue
import threading
from collections import deque
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Any

from spectui.core.prompts import PromptError
from spectui.protocol import commands as cmd
from spectui.protocol.events import Event, Inspected, KChanged, Notice, Paused, Place, RunStarted, TuneWhy
from spectui.protocol.frame_slot import FrameSlot
from spectui.protocol.limits import concurrency_fault, temperature_fault
from spectui.protocol.source import ENGINE_THREAD, Sink
from spectui.sources.hardware import machine_name, software_versions
from spectui.sources.vllm import compat
from spectui.sources.vllm.config import HostConfig
from spectui.sources.vllm.errors import first_line
from spectui.sources.vllm.foreign import panics_as_errors
from spectui.sources.vllm.lane import Lane, ProbeDiedError
from spectui.sources.vllm.lane_spec import lane_infos
from spectui.sources.vllm.loading import Loader, load_lanes
from spectui.sources.vllm.prompting import PromptRefusedError, fitting
from spectui.sources.vllm.race import Race
from spectui.sources.vllm.rounds import PromptDeck
from spectui.sources.vllm.tuning import PIECE_TOKENS, Tuning

logger = logging.getLogger(__name__)

_WHILE_TUNING = (cmd.Shutdown, cmd.Pause, cmd.Resume, cmd.StopTuning)


class EngineHost:
    """A live `Source`: vLLM engines on one thread of this process."""

    accepts: frozenset[type[cmd.Command]] = frozenset(
        {
            cmd.SetPrompt,
            cmd.NextPrompt,
            cmd.NextCategory,
            cmd.Restart,
            cmd.Abort,
            cmd.Pause,
            cmd.Resume,
            cmd.StepOnce,
            cmd.SetK,
            cmd.Inspect,
            cmd.SetConcurrency,
            cmd.SetTemperature,
            cmd.Tune,
            cmd.StopTuning,
            cmd.Shutdown,
        }
    )

    def __init__(self, config: HostConfig) -> None:
        self._config = config
        self._infos = lane_infos(config.specs)
        self._loader = Loader(config.find_target, config.engine_args)
        self._commands: queue.SimpleQueue[cmd.Command] = queue.SimpleQueue()
        self._slot = FrameSlot()
        self._thread = threading.Thread(target=self._run, name=ENGINE_THREAD, daemon=True)
        self._sink: Sink
        self._race = Race([])
        self._deck = PromptDeck(config.prompts, config.chat.system)
        self._sampling = config.sampling
        self._concurrency = config.concurrency
        self._paused = False
        self._shutdown = threading.Event()
        self._singles: deque[str | None] = deque()
        self._tuning: Tuning | None = None

    @property
    def slot(self) -> FrameSlot:
        return self._slot

    def start(self, sink: Sink) -> None:
        self._sink = sink
        self._thread.start()

    def send(self, command: cmd.Command) -> None:
        if isinstance(command, cmd.Shutdown):
            self._shutdown.set()
        self._commands.put(command)

    def stop(self, timeout_s: float) -> bool:
        self.send(cmd.Shutdown())
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _emit(self, event: Event) -> None:
        self._sink.emit(event)

    def _emit_all(self, events: Any) -> None:
        for event in events:
            self._sink.emit(event)

    def _run(self) -> None:
        try:
            self._race = Race(self._load(), self._config.chat)
            self._set_paused(self._config.paused)
            if self._race.lanes and not self._shutdown.is_set():
                self._begin()
            while not self._shutdown.is_set():
                self._turn()
                if self._race.lost:
                    self._race.lost = False
                    compat.reclaim()
        except Exception as error:
            logger.exception("the engine thread died")
            self._emit(Notice(f"the engine thread died: {first_line(error)}; the log has the details", level="error"))
        finally:
            self._slot.stepping(False)
            self._race.close()

    def _load(self) -> list[Lane]:
        config = self._config
        self._emit(
            RunStarted(
                target=config.target,
                lanes=self._infos,
                sampling=config.sampling,
                concurrency=config.concurrency,
                machine=machine_name(),
                versions=software_versions(),
            )
        )
        lanes: list[Lane] = []
        told = False
        for lane in load_lanes(self._loader, self._infos, config.specs, self._emit):
            if lane is not None:
                lanes.append(lane)
            if self._shutdown.is_set():
                break
            # Commands wait in their queue until there is a race to follow them in.
            if not told and not self._commands.empty():
                told = True
                self._emit(Notice("the lanes are still loading: what you asked for follows when they are ready"))
        return lanes

    def _begin(self) -> bool:
        return self._start(self._race.begin(self._deck.take(self._concurrency), self._sampling))

    def _start(self, begun: Iterator[Event]) -> bool:
        """Begin a round; whether it has begun, which it has not where its prompts are refused."""
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

    def _turn(self) -> None:
        """One step of the search or of the race, or a wait for the next command."""
        if self._tuning is not None and not self._paused:
            self._slot.stepping(True)
            self._tune(self._tuning)
            self._slot.offer()
        elif (lane := self._next_lane()) is not None:
            self._slot.stepping(True)
            self._step(lane)
            self._slot.offer()
        else:
            self._rest()
        self._follow_waiting()

    def _next_lane(self) -> Lane | None:
        """The lane to step: in a pause that of a `StepOnce`, which is used up by it."""
        if self._tuning is not None:
            return None
        ahead = self._race.next_lane()
        if ahead is None and (self._singles or not self._paused):
            self._end_round()
            if self._race.goes_on:
                self._start(self._race.next_turn())
                ahead = self._race.next_lane()
        if not self._paused:
            return ahead
        while self._singles:
            name = self._singles.popleft()
            lane = ahead if name is None else self._race.lane(name)
            if lane is not None and lane.running:
                return lane
            self._refuse("there is no step to take: the round is over", name)
        return None

    def _rest(self) -> None:
        """Wait for a command."""
        if self._tuning is None and self._race.next_lane() is None:
            self._end_round()
        self._slot.stepping(False)
        self._follow(self._commands.get())

    def _end_round(self) -> None:
        if self._race.open:
            self._emit_all(self._race.finish())

    def _tune(self, tuning: Tuning) -> None:
        if (why := tuning.ended) is not None:
            self._end_tuning(why)
            return
        try:
            with panics_as_errors():
                turn = tuning.step()
        except Exception as error:
            self._tuning = None
            tuning.give_up()
            self._emit(self._race.lose(tuning.stepped, error))
            self._begin()
            return
        if turn is not None:
            self._emit(turn)

    def _begin_tuning(self, name: str, budget_s: float) -> None:
        lane = self._race.lane(name)
        if lane is None or not lane.info.k_max:
            why = "the lane is not running" if lane is None else "the lane has no drafter"
            self._refuse(f"there is nothing to tune: {why}", name)
            return
        prompts = fitting(lane, self._deck.all(), self._config.chat, PIECE_TOKENS)
        if not prompts:
            self._refuse("there is nothing to tune on: no prompt of the set is short enough", name)
            return
        for running in self._race.lanes:
            self._emit_all(self._race.abort(running))
        if lane not in self._race.lanes:
            return
        self._tuning = Tuning(
            lane,
            range(lane.info.k_max + 1),
            prompts,
            requests=self._concurrency,
            sampling=self._sampling,
            budget_s=budget_s,
            plain=next((one for one in self._race.lanes if one.info.method == "ar"), None),
        )
        self._emit(self._tuning.turn())
        self._set_paused(False)

    def _end_tuning(self, why: TuneWhy) -> None:
        tuning, self._tuning = self._tuning, None
        if tuning is not None:
            ended = tuning.end(why, partial(self._config.serve_line, tuning.lane.spec, self._loader.target))
            if ended.last.turn:
                self._emit(KChanged(ended.lane, ended.last.best, "tuned"))
            self._emit(ended)
            self._config.remember(tuning.lane.spec, ended)
            self._begin()

    def _step(self, lane: Lane) -> None:
        try:
            with panics_as_errors():
                self._emit_all(lane.step())
        except Exception as error:
            self._emit(self._race.lose(lane, error))
            return
        for counts in lane.disagreements:
            self._emit(
                Notice(
                    f"request {counts.request}: vLLM counts {counts.engine[1]} drafted and {counts.engine[2]} accepted "
                    f"tokens, the tap {counts.tap[1]} and {counts.tap[2]}; please report this",
                    lane.info.name,
                    "warning",
                )
            )
        lane.disagreements.clear()

    def _follow_waiting(self) -> None:
        while True:
            try:
                command = self._commands.get_nowait()
            except queue.Empty:
                return
            self._follow(command)

    def _follow(self, command: cmd.Command) -> None:
        try:
            self._obey(command)
        except Exception as error:
            logger.exception("%r could not be followed", command)
            self._refuse(f"that could not be done: {first_line(error)}; the log has the details")

    def _obey(self, command: cmd.Command) -> None:
        if self._tuning is not None and not isinstance(command, _WHILE_TUNING):
            self._refuse("a lane is being tuned: Esc ends that with what is known")
            return
        match command:
            case cmd.Shutdown():
                pass  # The loop has its flag.
            case cmd.Pause():
                self._set_paused(True)
            case cmd.Resume():
                self._set_paused(False)
            case cmd.StepOnce(lane):
                if not self._paused:
                    self._set_paused(True)
                self._singles.append(lane)
            case cmd.SetK(lane, k):
                self._set_k(lane, k)
            case cmd.Inspect():
                self._inspect(command)
            case cmd.SetConcurrency(requests):
                self._set_concurrency(requests)
            case cmd.SetTemperature(temperature):
                self._set_temperature(temperature)
            case cmd.SetPrompt(text):
                self._set_prompt(text)
            case cmd.NextPrompt(by):
                self._deck.move(by * self._concurrency)
                self._restart()
            case cmd.NextCategory():
                self._deck.next_category()
                self._restart()
            case cmd.Restart():
                self._restart()
            case cmd.Tune(lane, budget_s):
                self._begin_tuning(lane, budget_s)
            case cmd.StopTuning() if self._tuning is not None:
                self._end_tuning("cancelled")
            case cmd.StopTuning():
                self._refuse("no lane is being tuned")
            case cmd.Abort(name):
                self._abort(name)
            case _:
                self._refuse("a live race cannot do that")

    def _refuse(self, why: str, lane: str | None = None) -> None:
        """Answer a command that cannot be followed."""
        self._emit(Notice(why, lane, "warning"))

    def _set_prompt(self, text: str) -> None:
        try:
            self._deck.put_first(text)
        except PromptError as error:
            self._emit(Notice(str(error), level="warning", refused=True))
            return
        if not self._restart():
            self._deck.take_back()

    def _restart(self) -> bool:
        """Begin a new round; whether there is one."""
        if self._race.lanes:
            self._set_paused(False)
            return self._begin()
        self._refuse("no lane is running: start again without what failed")
        return False

    def _abort(self, name: str | None) -> None:
        lanes = self._race.lanes if name is None else (self._race.lane(name),)
        for lane in lanes:
            if lane is None:
                self._refuse("the lane is not running", name)
            else:
                self._emit_all(self._race.abort(lane))

    def _set_paused(self, paused: bool) -> None:
        self._singles.clear()
        if paused != self._paused:
            self._paused = paused
            self._emit(Paused(paused))

    def _set_k(self, name: str, k: int) -> None:
        info = next((info for info in self._infos if info.name == name), None)
        lane = self._race.lane(name)
        if info is None or lane is None:
            known = ", ".join(lane.info.name for lane in self._race.lanes) or "none"
            self._refuse(f"lane '{name}' is not running; running: {known}")
        elif not info.k_max:
            self._refuse(f"{info.title} has no drafter, so it has no K", name)
        elif not 0 <= k <= info.k_max:
            self._refuse(f"{info.title} was built for K from 0 to {info.k_max}", name)
        else:
            lane.k = k
            self._emit(KChanged(name, k))

    def _inspect(self, asked: cmd.Inspect) -> None:
        lane = self._race.lane(asked.lane)
        places: tuple[Place, ...] = ()
        why = "" if lane is not None else "the lane is not running"
        if lane is not None:
            try:
                with panics_as_errors():
                    places = lane.inspect(asked.slot, asked.before, asked.tokens)
            except Exception as error:
                logger.exception("step %d of lane %s could not be inspected", asked.index, asked.lane)
                why = first_line(error)
                if isinstance(error, ProbeDiedError):
                    self._emit(self._race.lose(lane, error))
        self._emit(Inspected(asked.lane, asked.slot, asked.index, places, why))

    def _set_concurrency(self, requests: int) -> None:
        if fault := concurrency_fault(requests):
            self._refuse(fault)
            return
        self._concurrency = requests
        self._restart()

    def _set_temperature(self, temperature: float) -> None:
        if fault := temperature_fault(temperature):
            self._refuse(fault)
            return
        self._sampling = replace(self._sampling, temperature=temperature)
        self._restart()

"""The engine thread: owns every lane, runs the fair race, follows commands between steps."""

from __future__ import annotations

import gc
import importlib
import logging
import queue
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from spectui import commands as cmd
from spectui.events import Event, KChanged, LaneInfo, LaneStage, Notice, Paused, Prompt, RunStarted, Sampling, StageName
from spectui.sources.base import Sink
from spectui.sources.frame_slot import FrameSlot
from spectui.sources.machine import machine_name, software_versions
from spectui.sources.vllm import compat
from spectui.sources.vllm.errors import explain, explain_death, explain_import, explain_target, first_line
from spectui.sources.vllm.lane import Lane
from spectui.sources.vllm.lane_spec import LaneSpec, lane_infos
from spectui.sources.vllm.race import PromptTooLongError, Race
from spectui.sources.vllm.rounds import PromptDeck
from spectui.sources.vllm.target import Report

logger = logging.getLogger(__name__)

MAX_CONCURRENCY = 16


@dataclass(frozen=True, slots=True)
class HostConfig:
    """What races.

    Attributes:
        target: A name for headings.
        find_target: Gives the path or id of the target, fetching it if need be; runs on the engine thread.
        specs: The lanes, in the order of their panes.
        prompts: The prompt set.
        sampling: How every lane samples.
        concurrency: Requests in flight in every lane, 1 to 16.
        engine_args: vLLM engine arguments that hold for every lane.
        paused: Begin in pause, so that whoever drives sends the first command.
    """

    target: str
    find_target: Callable[[Report], str]
    specs: Sequence[LaneSpec]
    prompts: Sequence[Prompt]
    sampling: Sampling = field(default_factory=Sampling)
    concurrency: int = 1
    engine_args: Mapping[str, Any] = field(default_factory=dict)
    paused: bool = False


class EngineHost:
    """A live `Source`: vLLM engines on one thread of this process."""

    def __init__(self, config: HostConfig) -> None:
        self._config = config
        self._infos = lane_infos(config.specs)
        self._commands: queue.SimpleQueue[cmd.Command] = queue.SimpleQueue()
        self._slot = FrameSlot()
        self._thread = threading.Thread(target=self._run, name="engine", daemon=True)
        self._sink: Sink
        self._race = Race([])
        self._deck = PromptDeck(config.prompts)
        self._sampling = config.sampling
        self._concurrency = config.concurrency
        self._paused = config.paused
        self._ending = False
        self._single: str | None = None

    @property
    def slot(self) -> FrameSlot:
        return self._slot

    def start(self, sink: Sink) -> None:
        self._sink = sink
        self._thread.start()

    def send(self, command: cmd.Command) -> None:
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
            with compat.without_collections():
                lanes = self._load()
            self._race = Race(lanes)
            if lanes and not self._ending:
                self._begin()
            while not self._ending:
                self._turn()
            for lane in self._race.lanes:
                lane.close()
        except Exception as error:
            logger.exception("the engine thread died")
            self._emit(Notice(f"the engine thread died: {first_line(error)}; the log has the details", level="error"))
        finally:
            self._slot.stepping(False)

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
        target = self._find_target()
        if target is None or not self._import_engine():
            return []
        lanes: list[Lane] = []
        for info, spec in zip(self._infos, config.specs, strict=True):
            if self._ending:
                break
            if lane := self._load_lane(info, spec, target):
                lanes.append(lane)
            self._follow_waiting()
        return lanes

    def _find_target(self) -> str | None:
        try:
            return self._config.find_target(self._stage_everywhere)
        except Exception as error:
            logger.exception("the target could not be had")
            self._stage_everywhere("failed", explain_target(error))
            return None

    def _import_engine(self) -> bool:
        self._stage_everywhere("importing", "vLLM and torch")
        try:
            importlib.import_module("spectui.sources.vllm.tap")
        except Exception as error:
            logger.exception("vLLM could not be imported")
            self._stage_everywhere("failed", explain_import(error))
            return False
        return True

    def _load_lane(self, info: LaneInfo, spec: LaneSpec, target: str) -> Lane | None:
        self._emit(LaneStage(info.name, "loading", "weights"))
        lane: Lane | None = None
        try:
            lane = Lane(info, spec, target, self._config.engine_args)
            self._emit(LaneStage(info.name, "warming up"))
            lane.warm_up(WARM_UP_IDS)
        except Exception as error:
            logger.exception("lane %s could not be built", info.name)
            self._emit(LaneStage(info.name, "failed", explain(error, spec, target)))
            lane = None
        if lane is None:
            # A failed engine's weights are garbage now; behind the next freeze nobody would find them.
            gc.collect()
        else:
            self._emit(LaneStage(info.name, "ready"))
        return lane

    def _stage_everywhere(
        self, stage: StageName, detail: str = "", done: int | None = None, total: int | None = None
    ) -> None:
        for info in self._infos:
            self._emit(LaneStage(info.name, stage, detail, done, total))

    def _begin(self) -> None:
        prompts = self._deck.take(self._concurrency)
        try:
            self._emit_all(self._race.begin(prompts, self._sampling))
        except PromptTooLongError as error:
            self._emit(Notice(str(error), level="warning"))

    def _turn(self) -> None:
        """One step of the race, or a wait for the next command."""
        lane = self._race.next_lane()
        if lane is None and self._race.open:
            self._emit_all(self._race.finish())
        if lane is None or (self._paused and self._single is None):
            self._single = None
            self._slot.stepping(False)
            self._follow(self._commands.get())
        else:
            self._slot.stepping(True)
            self._step(self._asked_for() or lane)
            self._slot.offer()
        self._follow_waiting()

    def _asked_for(self) -> Lane | None:
        """The lane of a `StepOnce`, which is used up by it."""
        name, self._single = self._single, None
        return next((lane for lane in self._race.lanes if lane.info.name == name and lane.running), None)

    def _step(self, lane: Lane) -> None:
        try:
            self._emit_all(lane.step())
        except Exception as error:
            logger.exception("lane %s died", lane.info.name)
            self._race.drop(lane)
            self._emit(LaneStage(lane.info.name, "failed", explain_death(error)))
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
        match command:
            case cmd.Shutdown():
                self._ending = True
            case cmd.Pause():
                self._set_paused(True)
            case cmd.Resume():
                self._set_paused(False)
            case cmd.StepOnce(lane):
                self._set_paused(True)
                self._single = lane or ""
            case cmd.SetK(lane, k):
                self._set_k(lane, k)
            case cmd.SetConcurrency(requests):
                self._set_concurrency(requests)
            case cmd.SetTemperature(temperature):
                self._sampling = replace(self._sampling, temperature=max(0.0, temperature))
                self._restart()
            case cmd.SetPrompt(text):
                self._deck.put_first(text)
                self._restart()
            case cmd.NextPrompt(by):
                self._deck.move(by * self._concurrency)
                self._restart()
            case cmd.Restart():
                self._restart()
            case cmd.Abort(lane):
                for running in self._race.lanes:
                    if lane in (None, running.info.name):
                        self._emit_all(running.abort())

    def _restart(self) -> None:
        if self._race.lanes:
            self._set_paused(False)
            self._begin()

    def _set_paused(self, paused: bool) -> None:
        if paused != self._paused:
            self._paused = paused
            self._emit(Paused(paused))

    def _set_k(self, name: str, k: int) -> None:
        info = next((info for info in self._infos if info.name == name), None)
        lane = next((lane for lane in self._race.lanes if lane.info.name == name), None)
        if info is None or lane is None:
            known = ", ".join(lane.info.name for lane in self._race.lanes) or "none yet"
            self._emit(Notice(f"no lane '{name}' is running; running are {known}", level="warning"))
        elif not info.k_max:
            self._emit(Notice(f"{info.title} has no drafter, so it has no K", name, "warning"))
        elif not 0 <= k <= info.k_max:
            self._emit(Notice(f"{info.title} was built for K from 0 to {info.k_max}", name, "warning"))
        else:
            lane.k = k
            self._emit(KChanged(name, k))

    def _set_concurrency(self, requests: int) -> None:
        if not 1 <= requests <= MAX_CONCURRENCY:
            self._emit(Notice(f"requests in flight go from 1 to {MAX_CONCURRENCY}", level="warning"))
            return
        self._concurrency = requests
        self._restart()


WARM_UP_IDS = tuple(range(100, 164))
"""Any ordinary ids: the warm-up's text is never seen."""

"""The engine thread: owns every lane, runs the fair race, follows commands between steps."""

from __future__ import annotations

import logging
import queue
import threading
from dataclasses import replace
from functools import partial
from typing import Any

from spectui import commands as cmd
from spectui.core.serve_line import serve_line
from spectui.events import Event, Inspected, KChanged, LaneStage, Notice, Paused, Place, RunStarted, TuneWhy
from spectui.sources.base import ENGINE_THREAD, Sink
from spectui.sources.frame_slot import FrameSlot
from spectui.sources.machine import machine_name, software_versions
from spectui.sources.vllm import compat
from spectui.sources.vllm.config import HostConfig
from spectui.sources.vllm.errors import explain_death, first_line
from spectui.sources.vllm.lane import Lane
from spectui.sources.vllm.lane_spec import lane_infos
from spectui.sources.vllm.loading import Loader
from spectui.sources.vllm.race import PromptTooLongError, Race
from spectui.sources.vllm.rounds import PromptDeck, chat_ids
from spectui.sources.vllm.tuning import PIECE_TOKENS, Tuning

logger = logging.getLogger(__name__)

_WHILE_TUNING = (cmd.Shutdown, cmd.Pause, cmd.Resume, cmd.StopTuning)


class EngineHost:
    """A live `Source`: vLLM engines on one thread of this process."""

    def __init__(self, config: HostConfig) -> None:
        self._config = config
        self._infos = lane_infos(config.specs)
        self._loader = Loader(config, self._infos, self._emit)
        self._commands: queue.SimpleQueue[cmd.Command] = queue.SimpleQueue()
        self._slot = FrameSlot()
        self._thread = threading.Thread(target=self._run, name=ENGINE_THREAD, daemon=True)
        self._sink: Sink
        self._race = Race([])
        self._deck = PromptDeck(config.prompts)
        self._sampling = config.sampling
        self._concurrency = config.concurrency
        self._paused = config.paused
        self._ending = False
        self._single: str | None = None
        self._tuning: Tuning | None = None

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
        lanes: list[Lane] = []
        for lane in self._loader.load():
            if lane is not None:
                lanes.append(lane)
            self._follow_waiting()
            if self._ending:
                break
        return lanes

    def _begin(self) -> None:
        prompts = self._deck.take(self._concurrency)
        try:
            self._emit_all(self._race.begin(prompts, self._sampling))
        except PromptTooLongError as error:
            self._emit(Notice(str(error), level="warning", refused=True))

    def _turn(self) -> None:
        """One step of the search or of the race, or a wait for the next command."""
        if self._tuning is not None and not self._paused:
            self._slot.stepping(True)
            self._tune(self._tuning)
            self._slot.offer()
            self._follow_waiting()
            return
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

    def _tune(self, tuning: Tuning) -> None:
        if (why := tuning.ended) is not None:
            self._end_tuning(why)
            return
        try:
            turn = tuning.step()
        except Exception as error:
            logger.exception("lane %s died while it was tuned", tuning.lane.info.name)
            self._tuning = None
            self._race.drop(tuning.lane)
            self._emit(LaneStage(tuning.lane.info.name, "failed", explain_death(error)))
            self._begin()
            return
        if turn is not None:
            self._emit(turn)

    def _begin_tuning(self, name: str, budget_s: float) -> None:
        lane = next((lane for lane in self._race.lanes if lane.info.name == name), None)
        if lane is None or not lane.info.k_max:
            self._emit(Notice("there is nothing to tune: the lane has no drafter", name, "warning"))
            return
        ids = [chat_ids(lane.tokenizer, prompt.text) for prompt in self._deck.all()]
        fitting = [prompt for prompt in ids if len(prompt) + PIECE_TOKENS < lane.max_model_len]
        if not fitting:
            self._emit(Notice("there is nothing to tune on: no prompt of the set is short enough", name, "warning"))
            return
        for running in self._race.lanes:
            self._emit_all(running.abort())
        self._tuning = Tuning(
            lane,
            range(lane.info.k_max + 1),
            fitting,
            requests=self._concurrency,
            sampling=self._sampling,
            budget_s=budget_s,
        )
        self._emit(self._tuning.turn())
        self._set_paused(False)

    def _end_tuning(self, why: TuneWhy) -> None:
        tuning, self._tuning = self._tuning, None
        if tuning is not None:
            ended = tuning.end(why, partial(self._serve_line, tuning.lane))
            self._emit(KChanged(ended.lane, tuning.best))
            self._emit(ended)
            self._begin()

    def _serve_line(self, lane: Lane, best: dict[int, int]) -> str:
        target, hf_overrides = self._loader.target, self._config.engine_args.get("hf_overrides")
        return serve_line(target, lane.spec.drafting(target), best, **lane.spec.target_arguments(hf_overrides))

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
        if self._tuning is not None and not isinstance(command, _WHILE_TUNING):
            self._emit(Notice("a lane is being tuned: Esc ends that with what is known", level="warning"))
            return
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
            case cmd.Inspect():
                self._inspect(command)
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
            case cmd.NextCategory():
                self._deck.next_category()
                self._restart()
            case cmd.Restart():
                self._restart()
            case cmd.Tune(lane, budget_s):
                self._begin_tuning(lane, budget_s)
            case cmd.StopTuning():
                self._end_tuning("cancelled")
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

    def _inspect(self, asked: cmd.Inspect) -> None:
        lane = next((lane for lane in self._race.lanes if lane.info.name == asked.lane), None)
        places: tuple[Place, ...] = ()
        why = "" if lane is not None else "the lane is not running"
        if lane is not None:
            try:
                places = lane.inspect(asked.slot, asked.before, asked.tokens)
            except Exception as error:
                logger.exception("step %d of lane %s could not be inspected", asked.index, asked.lane)
                why = first_line(error)
        self._emit(Inspected(asked.lane, asked.slot, asked.index, places, why))

    def _set_concurrency(self, requests: int) -> None:
        if not 1 <= requests <= cmd.MAX_CONCURRENCY:
            self._emit(Notice(f"requests in flight go from 1 to {cmd.MAX_CONCURRENCY}", level="warning"))
            return
        self._concurrency = requests
        self._restart()

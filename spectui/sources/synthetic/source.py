"""A source that makes everything up, for tests, benchmarks and demonstrations without an engine.

Its events depend only on the seed and the commands, never on the pace; the screen labels it *synthetic*.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass, replace

from spectui.protocol import commands as cmd
from spectui.protocol import events as ev
from spectui.protocol.frame_slot import FrameSlot
from spectui.protocol.limits import OWED_S, concurrency_fault, temperature_fault
from spectui.protocol.source import Sink
from spectui.sources.synthetic.forking import SyntheticFork
from spectui.sources.synthetic.race import SyntheticLane, SyntheticRace, demo_lanes
from spectui.sources.synthetic.text import prompt_set

LOADING: tuple[ev.StageName, ...] = ("importing", "loading", "warming up")


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast the run goes on the wall clock; as fast as possible if neither a factor nor a rate is set.

    Attributes:
        real_time: Seconds of engine time per second: at 1.0 it takes as long as the made-up steps say.
        tokens_s: Emitted tokens per second, of all lanes together.
        load_s: Seconds that every lane spends loading.
    """

    real_time: float | None = None
    tokens_s: float | None = None
    load_s: float = 0.0


class SyntheticSource:
    """A `Source` on its own thread.

    With ``paused`` the race begins in pause; ``rounds`` rounds start by themselves, the first one included; after
    ``dies_after`` steps the thread fails as a crashed engine would.
    """

    accepts: frozenset[type[cmd.Command]] = frozenset(
        {
            cmd.SetPrompt,
            cmd.NextPrompt,
            cmd.NextCategory,
            cmd.Restart,
            cmd.Fork,
            cmd.ToParent,
            cmd.Abort,
            cmd.Pause,
            cmd.Resume,
            cmd.StepOnce,
            cmd.SetK,
            cmd.Inspect,
            cmd.SetConcurrency,
            cmd.SetTemperature,
            cmd.Shutdown,
        }
    )

    def __init__(
        self,
        lanes: tuple[SyntheticLane, ...] | None = None,
        *,
        seed: int = 0,
        pace: Pace | None = None,
        sampling: ev.Sampling | None = None,
        concurrency: int = 1,
        paused: bool = False,
        rounds: int = 1,
        dies_after: int | None = None,
    ) -> None:
        self._lanes = lanes if lanes is not None else demo_lanes()
        self._pace = pace or Pace(real_time=1.0)
        self._sampling = sampling or ev.Sampling()
        self._concurrency = concurrency
        self._paused = paused
        self._rounds_left = rounds
        self._dies_after = dies_after
        self._prompts = prompt_set()
        self._first = 0
        self._own_prompt: str | None = None
        self._forked: SyntheticFork | None = None
        self._race = SyntheticRace(self._lanes, seed)
        self._slot = FrameSlot()
        self._commands: queue.SimpleQueue[cmd.Command] = queue.SimpleQueue()
        self._hurry = threading.Event()
        self._shutdown = threading.Event()
        self._thread = threading.Thread(target=self._guarded, name="synthetic source", daemon=True)
        self._sink: Sink | None = None
        self._due = 0.0
        self._steps = 0

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
        self._hurry.set()

    def stop(self, timeout_s: float) -> bool:
        self.send(cmd.Shutdown())
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _emit(self, events: Iterable[ev.Event]) -> int:
        """Hand over events; returns the number of tokens emitted in them."""
        assert self._sink is not None
        tokens = 0
        for event in events:
            self._sink.emit(event)
            if isinstance(event, ev.Step):
                tokens += len(event.emitted)
        return tokens

    def _guarded(self) -> None:
        try:
            self._run()
        except Exception as error:
            self._emit([ev.Notice(f"the synthetic source failed: {error}", level="error")])
        finally:
            self._slot.stepping(False)

    def _run(self) -> None:
        infos = tuple(lane.info for lane in self._lanes)
        self._emit([ev.RunStarted("made-up target", infos, self._sampling, self._concurrency, synthetic=True)])
        if not self._load():
            return
        self._due = time.monotonic()
        self._emit([ev.Paused(True)] if self._paused else [])
        self._begin()
        while self._follow():
            lane = self._race.furthest_behind()
            if lane is None:
                self._move(1)
                self._begin()
            else:
                self._step(lane)

    def _load(self) -> bool:
        """Load the lanes; False if the run was shut down meanwhile."""
        for lane in self._lanes:
            name = lane.info.name
            for stage in LOADING:
                self._emit([ev.LaneStage(name, stage)])
                # Other commands stay in the queue until there is a race that can follow them.
                if self._shutdown.wait(self._pace.load_s / len(LOADING)):
                    return False
                if stage == lane.fails_at:
                    self._emit([ev.LaneStage(name, "failed", f"{lane.info.title} does not fit this target")])
                    break
            else:
                self._race.ready(name)
                self._emit([] if lane.engine is None else [lane.engine])
                self._emit([ev.LaneStage(name, "ready")])
        return True

    def _begin(self, forked: SyntheticFork | None = None) -> None:
        self._rounds_left -= 1
        self._forked = forked
        if forked is not None:
            self._emit(self._race.fork(forked, self._sampling))
            return
        if self._own_prompt is not None:
            prompts = tuple(ev.Prompt(self._own_prompt, "yours") for _ in range(self._concurrency))
        else:
            places = range(self._first, self._first + self._concurrency)
            prompts = tuple(self._prompts[place % len(self._prompts)] for place in places)
        self._emit(self._race.begin(prompts, self._sampling))

    def _restart(self, forked: SyntheticFork | None = None) -> None:
        self._set_paused(False)
        self._begin(forked)

    def _fork(self, asked: cmd.Fork) -> None:
        forked = self._race.forked(asked, self._forked)
        if isinstance(forked, str):
            self._refuse(forked, asked.lane)
        else:
            self._restart(forked)

    def _to_parent(self) -> None:
        if self._forked is None:
            self._refuse("this round was not forked, so it has no parent")
        else:
            self._restart(self._forked.parent)

    def _move(self, by: int) -> None:
        self._own_prompt = None
        self._first = (self._first + by * self._concurrency) % len(self._prompts)

    def _step(self, lane: str) -> None:
        self._steps += 1
        if self._steps == self._dies_after:
            raise RuntimeError("told to fail here")
        events = list(self._race.step(lane))
        wall_ns = max((event.wall_ns for event in events if isinstance(event, ev.Step)), default=0)
        tokens = sum(len(event.emitted) for event in events if isinstance(event, ev.Step))
        self._keep_pace(tokens, wall_ns)
        self._emit(events)
        self._slot.offer()

    def _keep_pace(self, tokens: int, wall_ns: int) -> None:
        """Wait as long as an engine would compute, or until a command comes; lost time is caught up within limits."""
        if self._pace.tokens_s:
            self._due += tokens / self._pace.tokens_s
        elif self._pace.real_time:
            self._due += wall_ns / 1e9 / self._pace.real_time
        else:
            return
        now = time.monotonic()
        self._due = max(self._due, now - OWED_S)
        if self._due - now > 0.0005:
            self._hurry.wait(self._due - now)

    def _follow(self) -> bool:
        """Follow commands, and wait for one while nothing can be stepped. False on `Shutdown`."""
        self._hurry.clear()
        while True:
            racing = not self._paused and (self._race.running or self._rounds_left > 0)
            if racing and self._commands.empty():
                self._slot.stepping(True)
                return True
            if not racing:
                self._slot.stepping(False)
            command = self._commands.get()
            if isinstance(command, cmd.Shutdown):
                return False
            self._obey(command)
            self._due = max(self._due, time.monotonic() - OWED_S)

    def _obey(self, command: cmd.Command) -> None:
        match command:
            case cmd.Pause() | cmd.Resume():
                self._set_paused(isinstance(command, cmd.Pause))
            case cmd.StepOnce(lane):
                self._set_paused(True)
                turn = lane or self._race.furthest_behind()
                if turn is None or not self._race.runs(turn):
                    self._refuse("no step left: the round is over", lane)
                else:
                    self._emit(self._race.step(turn))
            case cmd.Restart():
                self._restart(self._forked)
            case cmd.Fork():
                self._fork(command)
            case cmd.ToParent():
                self._to_parent()
            case cmd.NextPrompt() | cmd.NextCategory():
                self._move(command.by if isinstance(command, cmd.NextPrompt) else 1)
                self._restart()
            case cmd.SetPrompt(text):
                self._own_prompt = text
                self._restart()
            case cmd.SetK(lane, k):
                self._emit([self._race.set_k(lane, k)])
            case cmd.Abort(lane) if lane is not None and lane not in self._race.lanes:
                self._refuse("no such lane", lane)
            case cmd.Abort(lane):
                self._emit(self._race.abort(lane))
            case cmd.Inspect(lane, slot, index):
                self._emit([ev.Inspected(lane, slot, index, (), "a synthetic race has no target to ask")])
            case cmd.SetConcurrency(requests) if fault := concurrency_fault(requests):
                self._refuse(fault)
            case cmd.SetConcurrency(requests):
                self._concurrency = requests
                self._restart()
            case cmd.SetTemperature(temperature) if fault := temperature_fault(temperature):
                self._refuse(fault)
            case cmd.SetTemperature(temperature):
                self._sampling = replace(self._sampling, temperature=temperature)
                self._restart(self._forked)
            case _:
                self._refuse("a synthetic race cannot do that")

    def _refuse(self, why: str, lane: str | None = None) -> None:
        """Tell the user why a command cannot be followed."""
        self._emit([ev.Notice(why, lane, "warning")])

    def _set_paused(self, paused: bool) -> None:
        if paused != self._paused:
            self._paused = paused
            self._emit([ev.Paused(paused)])

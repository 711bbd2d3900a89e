"""Measurements that take the engines from the race: a search for a lane's best K, and a benchmark of all lanes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Protocol

from spectui.protocol.benching import BenchEnded, BenchWhy
from spectui.protocol.events import Event, KChanged, LaneStage, Notice, Prompt, Sampling, TuneWhy
from spectui.sources.vllm.bench_line import bench_line
from spectui.sources.vllm.config import HostConfig
from spectui.sources.vllm.lane import Lane
from spectui.sources.vllm.lane_spec import DIFFUSION
from spectui.sources.vllm.live_bench import TOKENS, LiveBench, by_category, screen_matrix
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

    def bench(self, prompts: Sequence[Prompt], *, requests: int, sampling: Sampling) -> LaneBench | None:
        """End the round and begin to measure every lane at its K; None if the last lane is lost at that.

        Raises:
            ImpossibleError: There is nothing to measure; the round goes on.
        """
        lanes = _comparable(self.race)
        if not lanes:
            raise ImpossibleError("nothing to measure: no lane is running that answers the target's prompts")
        # In the set's own order, wherever the race is in it.
        ordered = sorted(prompts, key=lambda prompt: prompt.index)
        shortest = min(lanes, key=lambda lane: lane.max_model_len)
        fitted = by_category(fitting(shortest, ordered, self.config.chat, TOKENS))
        if not fitted:
            raise ImpossibleError("nothing to measure: no prompt of the set is short enough")
        self.end_round()
        lanes = _comparable(self.race)
        if not lanes:
            return None
        matrix, thinned = screen_matrix(lanes, list(fitted), requests=requests, sampling=sampling)
        missing = [lane.info.title for lane in self.race.lanes if lane not in lanes]
        without = f"without {', '.join(missing)}, which reads prompts in its own way" if missing else ""
        left_out = "; ".join(part for part in (thinned, without) if part)
        command = bench_line(self.config, [(lane.spec, lane.choice) for lane in lanes], requests, sampling)
        return LaneBench(self, LiveBench(lanes, matrix, fitted, left_out), command)

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


class LaneBench:
    """A benchmark of the lanes of the race. A lane that dies ends it, and what was measured is kept."""

    busy = "a benchmark is running: Esc stops it and keeps what is finished"

    def __init__(self, by: Measuring, bench: LiveBench, command: str) -> None:
        self._by = by
        self._bench = bench
        self._command = command
        self.over = False
        by.emit(bench.turn())

    def step(self) -> None:
        turns = len(self._bench.turns)
        state = self._bench.step()
        for turn in self._bench.turns[turns:]:
            for piece in turn.pieces:
                for sentence in piece.disagreements:
                    self._by.emit(Notice(f"{piece.variant}: {sentence}; please report this", level="warning"))
        if self._bench.stepped is None:
            self._end("done")
        elif state is not None:
            self._by.emit(state)

    def stop(self) -> None:
        self._end("cancelled")

    def fail(self, error: Exception) -> None:
        fault = ""
        if (lane := self._bench.stepped) is not None:
            fault = f"{lane.info.title} has failed"
            self._by.emit(self._by.race.lose(lane, error))
        self._end("failed", fault)

    def _end(self, why: BenchWhy, fault: str = "") -> None:
        self.over = True
        # Requests of a benchmark are none of a round: of how they end only a lane that dies of it is told.
        for lane in self._by.race.lanes:
            for event in self._by.race.abort(lane):
                if isinstance(event, LaneStage):
                    self._by.emit(event)
        self._bench.end()
        self._by.emit(BenchEnded(why, self._bench.turn(), self._command, fault))


def _comparable(race: Race) -> list[Lane]:
    """The lanes that can answer the same token ids: a diffusion model has a tokenizer of its own."""
    return [lane for lane in race.lanes if lane.info.method != DIFFUSION]

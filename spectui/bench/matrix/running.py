"""A benchmark on an engine session: prepare, look, measure; everything that was measured is in the journal."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spectui import __version__, places
from spectui.bench.harness import environment
from spectui.bench.live_line import duration_text
from spectui.bench.matrix.asking import Sets, prompt_sets_of
from spectui.bench.matrix.checks import check_outputs, check_plan
from spectui.bench.matrix.journal import Journal
from spectui.bench.matrix.preparing import matrix_of, padded_prompts, prompt_note, tokens_of
from spectui.bench.matrix.progress import make_progress
from spectui.bench.matrix.resuming import check_ks, check_same
from spectui.bench.matrix.smoke import few_seats, seats, smoke, smoke_prompts
from spectui.bench.matrix.surroundings import surroundings
from spectui.bench.matrix.traces import CellTraces
from spectui.core.bench.codec import as_data, encodable, from_data
from spectui.core.bench.estimate import Seconds, left_out, piece_seconds, total_seconds, within_budget
from spectui.core.bench.matrix import Matrix
from spectui.core.bench.records import TurnRecord
from spectui.core.bench.results import Header, LaneNote, whole_turns
from spectui.core.bench.smoke import SmokeLane, SmokePace
from spectui.core.comparable import not_comparable
from spectui.errors import RunError
from spectui.protocol.events import RunStarted
from spectui.runtime.quiet import say
from spectui.sources.hardware import hardware_name, machine_name, software_versions
from spectui.sources.vllm.benching import Benching
from spectui.sources.vllm.lane_spec import lane_infos
from spectui.telemetry.device_meter import DeviceMeter

if TYPE_CHECKING:
    from spectui.setup.session import EngineSession
    from spectui.sources.vllm.config import HostConfig
    from spectui.sources.vllm.lane import Lane


class BenchRun:
    """One benchmark: a new one, or one that is continued.

    Attributes:
        journal: What is known; None until the matrix is known.
        lanes: The loaded lanes.
        sets: The prompts.
        lost: How lanes died that were measured, in a sentence each.
    """

    def __init__(
        self,
        options: argparse.Namespace,
        command: str,
        arguments: Sequence[str],
        config: HostConfig,
        session: EngineSession,
        folder: Path,
        *,
        gpu: bool,
        set_by_user: Sequence[str] = (),
    ) -> None:
        self._options = options
        self._command = command
        self._arguments = tuple(arguments)
        self._config = config
        self._session = session
        self._folder = folder
        self._gpu = gpu
        self._set_by_user = tuple(set_by_user)
        self.journal: Journal | None = None
        self.lanes: list[Lane] = []
        self.sets: Sets = {}
        self.lost: list[str] = []
        self._repeated = False

    def load(self) -> None:
        """Load the lanes, and turn the prompts into what they take.

        Raises:
            RunError: A lane cannot be loaded, or no prompt fits.
        """
        if self._options.untapped:
            self._session.check_room()
            self.lanes = [
                self._session.lane(info, spec, _untapped)
                for info, spec in zip(lane_infos(self._config.specs), self._config.specs, strict=True)
            ]
        else:
            self.lanes = self._session.lanes()
        with self._session.driving():
            self.sets, self._repeated = prompt_sets_of(
                self.lanes,
                self._config.prompts,
                self._options.context,
                self._config.chat,
                tokens_of(self._options),
                padded_prompts(self._options),
            )

    def begin(self) -> None:
        """Look at the lanes, plan, and begin the journal.

        Raises:
            RunError: A lane is not worth measuring.
        """
        whole = matrix_of(self._options, self.lanes, self.sets, self._config.sampling)
        looked = self._look(whole)
        seconds = self._seconds(whole, {one.lane: one.pace for one in looked})
        matrix, left = whole, tuple[str, ...]()
        if self._options.budget is not None:
            matrix = within_budget(whole, seconds, self._options.budget)
            left = left_out(whole, matrix)
        left += tuple(filter(None, (few_seats(lane, matrix) for lane in self.lanes)))
        self._tell_plan(matrix, seconds, left)
        if self._options.lossless:
            what, checking = check_plan(self._options, matrix, self.sets, {one.lane: one.pace for one in looked})
            apart = "" if self._options.budget is None else ", which the budget does not count"
            say(f"then --lossless: {what}: about {duration_text(checking)} more{apart}")
        self.journal = Journal(
            self._folder, self._header(matrix), matrix, left, {one.lane: as_data(one) for one in looked}
        )
        self.journal.begin()

    def go_on(self, journal: Journal) -> None:
        """Continue an earlier run.

        Raises:
            RunError: It was measured on something else.
        """
        check_same(journal.folder, journal.header, self._header(journal.matrix))
        check_ks(journal.folder, journal.matrix, self.lanes)
        self.journal = journal

    def _look(self, matrix: Matrix) -> list[SmokeLane]:
        """The smoke test: every lane at the largest of its K."""
        prompts = smoke_prompts(self.sets)
        looked: list[SmokeLane] = []
        for lane in self.lanes:
            say(f"checking {lane.info.title}: {len(prompts)} short answers")
            variant = max((one for one in matrix.variants if one.lane == lane.info.name), key=lambda one: one.k)
            with self._session.driving(lambda lane=lane: lane.info.title):  # type: ignore[misc]
                looked.append(smoke(lane, variant, prompts, self._config.sampling, seats(lane, matrix)))
        faults = [one for one in looked if one.fault]
        if faults and self._options.smoke:
            first = faults[0]
            title = next(lane.info.title for lane in self.lanes if lane.info.name == first.lane)
            for cause in first.causes:
                say(f"  {cause}")
            fix = "fix it (likely causes above)" if first.causes else "fix it"
            raise self._session.error(f"{title} looks broken: {first.fault}; {fix}, or measure anyway with --no-smoke")
        return looked

    def _seconds(self, matrix: Matrix, paces: Mapping[str, SmokePace]) -> Seconds:
        lengths = [len(one.ids) for (_, context), asked in self.sets.items() if context is None for one in asked]
        return piece_seconds(matrix, paces, sum(lengths) / len(lengths) if lengths else 0.0)

    def _tell_plan(self, matrix: Matrix, seconds: Seconds, left: Sequence[str]) -> None:
        total = total_seconds(matrix, seconds)
        cells = len(matrix.blocks) * len(matrix.variants)
        say(f"{cells} cells, {matrix.repetitions} repetitions each: about {duration_text(total)}")
        for sentence in left:
            say(sentence)
        budget = self._options.budget
        if budget is not None and total > budget:
            say(
                f"this is over the budget of {duration_text(budget)} even so: use fewer --concurrency or --context, "
                "or a smaller --max-tokens"
            )

    def _header(self, matrix: Matrix) -> Header:
        devices = int(self._config.engine_args.get("tensor_parallel_size", 1))
        meter = DeviceMeter(places.cache_folder(), gpu=self._gpu, devices=devices)
        try:
            peak = meter.peak
        finally:
            meter.close()
        reference = next((lane for lane in self.lanes if lane.info.method == "ar"), None)
        return Header(
            version=__version__,
            command=encodable(self._command),
            started=datetime.now(UTC).astimezone().isoformat(timespec="seconds"),
            target=encodable(self._options.model or self._config.target),
            environment={**environment(), **surroundings(self._set_by_user)},
            device=hardware_name(gpu=self._gpu),
            gpu=self._gpu,
            peak=peak,
            lanes=tuple(self._note(lane, reference) for lane in self.lanes),
            prompts=prompt_note(self._options, self._config.prompts, self.sets, self._config.chat, self._repeated),
            max_model_len=min(lane.max_model_len for lane in self.lanes),
            arguments=self._arguments,
        )

    def _note(self, lane: Lane, reference: Lane | None) -> LaneNote:
        engine = lane.engine()
        return LaneNote(
            lane.info.name,
            encodable(lane.info.spec),
            engine,
            encodable(str(lane.spec.options.get("model") or "")),
            "" if reference is None or lane is reference else not_comparable(engine, lane.k, reference.engine()),
            lane.checked.warning if lane.checked is not None else "",
            lane.info.k_source,
        )

    def measure(self) -> None:
        """Measure every cell that is not finished; Ctrl-C leaves the lanes idle and is passed on. A lane that dies does
        not keep the others from being measured.

        Raises:
            RunError: The last lane died; what was measured before is kept.
            OSError: The journal or a trace cannot be written; what was written before is kept.
        """
        journal = self.journal
        assert journal is not None
        matrix = journal.matrix
        paces = {name: from_data(one, SmokeLane).pace for name, one in journal.smoke.items()}
        devices = int(self._config.engine_args.get("tensor_parallel_size", 1))
        done = whole_turns(matrix, journal.turns)
        with ExitStack() as ended:
            progress = make_progress(journal.header, matrix, self._seconds(matrix, paces), done)
            ended.callback(progress.close)
            meter = DeviceMeter(places.cache_folder(), gpu=self._gpu, devices=devices)
            ended.callback(meter.close)
            traces = self._traces(matrix) if self._options.record else None
            benching = Benching(
                self.lanes,
                matrix,
                {
                    lane.info.name: {key: [one.ids_of(lane.info.name) for one in own] for key, own in self.sets.items()}
                    for lane in self.lanes
                },
                done=done,
                energy=meter.energy_j,
                **({} if traces is None else {"keep": traces.keep}),
            )
            ended.callback(benching.end)
            while (place := benching.place) is not None:
                progress.at(place)
                if (turn := self._step(benching, journal, progress.tell)) is None:
                    continue
                journal.add(turn)
                progress.ended(turn)
                for fault in () if traces is None else traces.write():
                    progress.tell(fault)

    def _step(self, benching: Benching, journal: Journal, tell: Callable[[str], None]) -> TurnRecord | None:
        """One engine step; a lane that it kills leaves the benchmark."""
        try:
            # What goes wrong outside of a step is no lane's fault.
            with self._session.driving(lambda: _title(benching)):
                return benching.step()
        except RunError as error:
            lane, why = benching.stepped, str(error)
            if lane is None or self.lanes == [lane]:
                raise
        benching.drop(lane)
        self.lanes.remove(lane)
        self._session.close(*self.lanes)
        self.lost.append(why)
        journal.add_lost(lane.info.name, why)
        tell(f"{why}; the other lanes go on")
        return None

    def check(self) -> None:
        """Check the outputs, if that was asked for, and if no lane is missing.

        Raises:
            UsageError: There is no AR lane.
            RunError: An engine died.
        """
        if self._options.lossless and self.journal is not None and not self.lost:
            check_outputs(self._options, self._session, self.lanes, self.sets, self._config, self.journal)

    def _traces(self, matrix: Matrix) -> CellTraces:
        start = RunStarted(
            target=self._config.target,
            lanes=tuple(lane.info for lane in self.lanes),
            sampling=matrix.sampling,
            machine=machine_name(),
            versions=software_versions(),
        )
        prompts = {key: [one.prompt for one in asked] for key, asked in self.sets.items()}
        return CellTraces(self._folder, matrix, {lane.info.name: lane for lane in self.lanes}, prompts, start)


def _title(benching: Benching) -> str:
    return "" if (lane := benching.stepped) is None else lane.info.title


def _untapped(*words: Any) -> Lane:
    from spectui.sources.vllm.untapped import UntappedLane

    return UntappedLane(*words, every_k=True)

"""Speed at concurrency 1 on the project's measuring harness, with what every lane wrote."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from demos.drafters.evaluate import MAX_TOKENS
from spectui.bench.harness import Case, Measurement, Sample, Samples, interleave
from spectui.bench.workload import Work, tapped_once
from spectui.protocol.events import Event, Prompt, Step
from spectui.sources.vllm.lane import Lane
from spectui.sources.vllm.lane_spec import LaneSpec, lane_infos
from spectui.sources.vllm.loading import Loader


class Diary:
    """Measured runs, a JSON line each, so that a measurement that was stopped goes on where it was.

    The n-th time that a case is run it takes the n-th entry of that case, and measures only when there is none.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._entries: dict[str, list[dict[str, Any]]] = defaultdict(list)
        self._taken: dict[str, int] = defaultdict(int)
        if path.exists():
            # A line that a kill cut short was never an entry.
            whole = path.read_text(encoding="utf-8").rpartition("\n")[0]
            path.write_text(whole + "\n" if whole else "", encoding="utf-8")
            for line in whole.splitlines():
                self._append(json.loads(line))

    def _append(self, entry: dict[str, Any]) -> None:
        self._entries[entry["case"]].append(entry)

    def run(self, case: str, measure: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """The case's next entry."""
        number = self._taken[case]
        self._taken[case] += 1
        if number == len(self._entries[case]):
            entry = {"case": case, **measure()}
            self._append(entry)
            with self._path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(entry) + "\n")
        return self._entries[case][number]

    def has(self, cases: Sequence[str], runs: int) -> bool:
        """Whether every case was measured so many times."""
        return all(len(self._entries[case]) >= runs for case in cases)


@dataclass(slots=True)
class Timing:
    """What lanes did with the same prompts, one prompt and one lane at a time.

    Attributes:
        prompts: The prompts in order.
        lanes: The lanes' specs as text, AR first.
        measurement: A sample for each ``spec/prompt number``, turn after turn.
        ids: Spec -> prompt number -> the ids that it emitted.
        steps: ``spec/prompt number`` -> verification steps that it took.
    """

    prompts: tuple[Prompt, ...]
    lanes: tuple[str, ...]
    measurement: Measurement
    ids: dict[str, dict[int, list[int]]] = field(default_factory=lambda: defaultdict(dict))
    steps: dict[str, int] = field(default_factory=dict)

    def step_seconds(self, lane: str) -> float:
        """Mean wall time of a lane's steps."""
        names = [case_name(lane, n) for n in range(len(self.prompts))]
        seconds = sum(s.seconds for name in names for s in self.measurement.samples[name])
        return seconds / sum(self.steps[name] * len(self.measurement.samples[name]) for name in names)

    def first_differences(self, lane: str) -> list[int | None]:
        """For each prompt, the position (from 1) of the first token that is not AR's; None where all are equal."""
        return [first_difference(self.ids[lane][n], self.ids[self.lanes[0]][n]) for n in range(len(self.prompts))]

    def pool(self, lane: str, categories: Sequence[str] | None = None) -> str:
        """Add up a lane's samples over the prompts (of ``categories``) turn by turn; the name of the sums."""
        chosen = [n for n, prompt in enumerate(self.prompts) if categories is None or prompt.category in categories]
        name = f"{lane}/{'+'.join(categories) if categories else 'all'}"
        turns = zip(*(self.measurement.samples[case_name(lane, n)] for n in chosen), strict=True)
        self.measurement.samples[name] = [
            Sample(sum(s.tokens for s in turn), sum(s.seconds for s in turn)) for turn in turns
        ]
        return name


def first_difference(ids: Sequence[int], others: Sequence[int]) -> int | None:
    """The position from 1 of the first token that differs, None when there is none."""
    return next((n for n, (one, other) in enumerate(zip(ids, others, strict=True), 1) if one != other), None)


def case_name(lane: str, number: int) -> str:
    return f"{lane}/{number}"


def time_lanes(
    target: Path,
    specs: Sequence[LaneSpec],
    prompts: Sequence[Prompt],
    engine_args: dict[str, Any],
    diary: Diary,
    *,
    repetitions: int,
    progress: Callable[[str], None],
) -> Timing:
    """Let every lane answer every prompt alone, greedily, `MAX_TOKENS` tokens, the lanes in turn prompt by prompt."""
    names = [case_name(spec.text, number) for spec in specs for number in range(len(prompts))]
    built = _nothing if diary.has(names, repetitions) else _built
    with built(target, specs, engine_args, progress) as lanes:
        timing = Timing(tuple(prompts), tuple(spec.text for spec in specs), Measurement())
        cases = [
            Case(case_name(spec.text, number), partial(_run, diary, timing, spec.text, number, lanes))
            for number in range(len(prompts))
            for spec in specs
        ]
        timing.measurement = interleave(cases, repetitions, warm_up=0, progress=progress)
    return timing


def _run(diary: Diary, timing: Timing, lane_text: str, number: int, lanes: Mapping[str, Lane]) -> Samples:
    name = case_name(lane_text, number)
    entry = diary.run(name, lambda: _measure(lanes[lane_text], timing.prompts[number]))
    timing.ids[lane_text][number] = entry["ids"]
    timing.steps[name] = entry["steps"]
    return {name: Sample(len(entry["ids"]), entry["seconds"])}


def _measure(lane: Lane, prompt: Prompt) -> dict[str, Any]:
    steps: list[Step] = []

    def keep(event: Event) -> None:
        if isinstance(event, Step):
            steps.append(event)

    sample = tapped_once(lane, Work((prompt,)), MAX_TOKENS, keep)
    return {"ids": [token for step in steps for token in step.emitted], "seconds": sample.seconds, "steps": len(steps)}


@contextmanager
def _built(
    target: Path, specs: Sequence[LaneSpec], engine_args: dict[str, Any], progress: Callable[[str], None]
) -> Iterator[dict[str, Lane]]:
    lanes: dict[str, Lane] = {}
    try:
        loader = Loader(lambda report: str(target), engine_args)
        loader.find_target()
        for info, spec in zip(lane_infos(specs), specs, strict=True):
            progress(f"loading {spec.text}")
            lanes[spec.text] = loader.lane(info, spec)
        yield lanes
    finally:
        for lane in lanes.values():
            lane.close()


@contextmanager
def _nothing(*_: Any) -> Iterator[dict[str, Lane]]:
    """No lanes: everything was measured before."""
    yield {}

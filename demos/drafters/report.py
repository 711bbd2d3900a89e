"""The evaluation: acceptance of every K, speed at concurrency 1, equality with AR; and the report that says it."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from demos.drafters.evaluate import by_category, measured_acceptance, per_category
from demos.drafters.timing import Diary, Timing, time_lanes
from demos.drafters.walk import Acceptance
from spectui.protocol.events import Prompt
from spectui.setup.config import engine_args
from spectui.sources.vllm.lane_spec import LaneSpec, parse_lane_spec

K_RANGES = {"mtp": range(1, 5), "dflash": range(1, 8), "ngram": range(5, 6)}
SCREENED = {"mtp": range(1, 4), "dflash": range(2, 6)}
"""What may be worth showing: timed shortly, to choose what is timed at length."""
SCREENING_CATEGORIES = ("coding", "math", "qa", "writing")
WORTH_SHOWING = 1
"""K of each drafter that are timed at length: on two cores all of it shall take half an hour."""
TOGETHER = ("coding", "math")
PROMPTS_PER_CATEGORY = 2
REPETITIONS = 3

Say = Callable[[str], None]


@dataclass(slots=True)
class Evaluation:
    """Everything that the report says.

    Attributes:
        acceptance: Lane spec -> category or ``"all"`` -> acceptance.
        timing: Speed with the settings of `spectui run`.
        compiled: The same compiled, on one prompt of each category; None when it was not asked for.
    """

    timing: Timing
    acceptance: dict[str, dict[str, Acceptance]] = field(default_factory=dict)
    compiled: Timing | None = None


class Evaluator:
    """Measures, in steps that are kept in ``directory``, so that it goes on where it was stopped."""

    def __init__(self, target: Path, drafters: Callable[[str], Path], directory: Path, say: Say) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._target = target
        self._drafters = drafters
        self._directory = directory
        self._say = say

    def evaluate(self, prompts: Sequence[Prompt], *, compiled: bool) -> Evaluation:
        acceptance = self._acceptance(list(prompts))
        lanes = self._worth_showing(prompts, acceptance)
        timed = per_category(prompts, PROMPTS_PER_CATEGORY)
        timing = self._time("timing", ["ar", *lanes, "ngram:k=5"], timed, REPETITIONS)
        evaluation = Evaluation(timing, acceptance)
        if compiled:
            best = ["ar", *(best_lane(timing, lanes, method) for method in SCREENED)]
            evaluation.compiled = self._time("compiled", best, per_category(prompts, 1), 2, enforce_eager=False)
        return evaluation

    def _spec(self, text: str) -> LaneSpec:
        """A lane with the drafter that is evaluated, known by the short text."""
        method, _, options = text.partition(":")
        if method not in SCREENED:
            return parse_lane_spec(text)
        parsed = parse_lane_spec(f"{method}:model={self._drafters(method)},{options}")
        return LaneSpec(parsed.method, parsed.k_max, parsed.options, text)

    def _acceptance(self, prompts: list[Prompt]) -> dict[str, dict[str, Acceptance]]:
        diary = Diary(self._directory / "acceptance.jsonl")
        found: dict[str, dict[str, Acceptance]] = {}
        for method, ks in K_RANGES.items():
            for k in ks:
                text = f"{method}:k={k}"
                self._say(f"acceptance of {text}")
                entry = diary.run(text, lambda text=text: self._measured(text, prompts))  # type: ignore[misc]
                found[text] = {name: Acceptance(*counts) for name, counts in entry["acceptance"].items()}
        return found

    def _measured(self, text: str, prompts: list[Prompt]) -> dict[str, Any]:
        result = by_category(prompts, measured_acceptance(self._target, self._spec(text), prompts))
        return {"acceptance": {name: [a.steps, a.at_position] for name, a in result.items()}}

    def _worth_showing(self, prompts: Sequence[Prompt], acceptance: dict[str, dict[str, Acceptance]]) -> list[str]:
        """The fastest K of each drafter: acceptance length over all prompts by the time of a step."""
        candidates = [f"{method}:k={k}" for method, ks in SCREENED.items() for k in ks]
        some = [p for p in per_category(prompts, 1) if p.category in SCREENING_CATEGORIES]
        timing = self._time("screening", candidates, some, 1)
        chosen: list[str] = []
        for method in SCREENED:
            own = [text for text in candidates if text.startswith(method)]
            own.sort(key=lambda text: timing.step_seconds(text) / acceptance[text]["all"].length)
            chosen += sorted(own[:WORTH_SHOWING])
        return chosen

    def _time(self, name: str, lanes: list[str], prompts: Sequence[Prompt], repetitions: int, **more: Any) -> Timing:
        return time_lanes(
            self._target,
            [self._spec(text) for text in lanes],
            prompts,
            {**engine_args(argparse.Namespace(engine_arg=[], model=None), gpu=False), **more},
            Diary(self._directory / f"{name}.jsonl"),
            repetitions=repetitions,
            progress=lambda line: self._say(f"{name}: {line}"),
        )


def best_lane(timing: Timing, lanes: Sequence[str], method: str) -> str:
    """The lane of ``method`` with the highest speed-up over AR."""
    baseline = timing.pool("ar")
    own = [lane for lane in lanes if lane.startswith(method)]
    return max(own, key=lambda lane: timing.measurement.ratio(timing.pool(lane), baseline).median)

"""The measuring harness: whose turn it is, and what happens to a turn that other programs disturbed."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count

import pytest

from spectui.bench.harness import Case, Sample, Samples, interleave
from spectui.bench.report import calibration_lines


def measure(
    disturbed: Callable[[int], bool], repetitions: int = 4
) -> tuple[list[str], dict[str, list[float]], int, int]:
    """Two cases whose runs are numbered; ``disturbed`` says of a number whether that run was."""
    numbers, ran = count(), list[str]()

    def run(name: str) -> Samples:
        number = next(numbers)
        ran.append(f"{name}{number}")
        return {name: Sample(number, 1.0, disturbed(number))}

    measured = interleave([Case("a", lambda: run("a")), Case("b", lambda: run("b"))], repetitions)
    kept = {name: [sample.tokens for sample in samples] for name, samples in measured.samples.items()}
    return ran, kept, measured.repeated, measured.disturbed


def test_cases_take_turns_and_every_other_turn_runs_backwards() -> None:
    ran, kept, *counts = measure(lambda number: False)
    assert ran == ["b0", "a1", "a2", "b3", "b4", "a5", "a6", "b7", "b8", "a9"]
    assert kept == {"a": [2, 5, 6, 9], "b": [3, 4, 7, 8]}
    assert counts == [0, 0]


def test_a_disturbed_turn_is_run_again_whole() -> None:
    """The pair counts: half a turn of another moment would compare two moments."""
    ran, kept, *counts = measure(lambda number: number in (0, 3, 6))
    assert kept == {"a": [4, 9, 10, 13], "b": [5, 8, 11, 12]}
    assert counts == [2, 0]
    assert len(ran) == 2 * (1 + 4 + 2)


def test_a_machine_that_is_always_busy_is_measured_and_said_to_be() -> None:
    _, kept, *counts = measure(lambda number: True)
    assert counts == [4, 4]
    assert len(kept["a"]) == 4


@pytest.mark.parametrize(
    ("repeated", "left", "said"),
    [
        (0, 0, ["no repetition was disturbed"]),
        (2, 0, ["repetitions disturbed and repeated: 4"]),
        (
            1,
            3,
            [
                "repetitions disturbed and repeated: 2",
                "repetitions disturbed but counted: 6; measure again on a quiet machine",
            ],
        ),
    ],
)
def test_the_report_says_what_other_programs_did(repeated: int, left: int, said: list[str]) -> None:
    busy = {"repeated": repeated, "disturbed": left}
    spread = {"median": 1.0, "low": 0.9, "high": 1.1}
    result = {
        "environment": {"machine": "m", "load_average": 0.1, "versions": {}, "settings": {}},
        "repetitions": 2,
        "tokens": 128,
        "pieces": 4,
        "piece_tokens": 32,
        "tap": {"ratios": {"ar": spread}, "busy": busy},
        "telemetry": {"ratio": spread, "core_share": 0.001, "busy": busy},
    }
    assert calibration_lines(result)[-len(said) :] == said

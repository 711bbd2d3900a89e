"""Races on the real engines, recorded: the trace is the race, to the last event and figure."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.session.program import START_S, environment

GREEDY = ("--max-tokens", "32", "--ignore-eos")
SAMPLED = ("--lane", "ar", "--lane", "ngram:k=4", "--max-tokens", "24", "--temperature", "0.8", "--concurrency", "3")


@pytest.mark.parametrize(
    ("k_change", "words"), [("mtp=1", GREEDY), ("ngram=2", SAMPLED)], ids=["greedy", "sampled, three requests"]
)
def test_a_trace_is_the_race(demo_model: Path, tmp_path: Path, k_change: str, words: tuple[str, ...]) -> None:
    command = [sys.executable, "-m", "tests.session.recorded_race", str(tmp_path / "race.jsonl"), k_change, *words]
    ended = subprocess.run(
        command,
        capture_output=True,
        text=True,
        env=environment(tmp_path),
        cwd=Path(__file__).parents[2],
        timeout=2 * START_S,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr[-2000:]
    raced = json.loads(ended.stdout.splitlines()[-1])
    assert raced["steps"] > 40
    assert raced["k_changes"] == 1

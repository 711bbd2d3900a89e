"""Kills benchmarks at random moments, goes on with them, and compares the cells with those of an undisturbed one.

``python -m tests.load.killed_bench`` does it 20 times and prints what it found. The lanes are synthetic: their figures
are known beforehand, and a step takes as long as a line of a journal.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import pytest

from spectui.core.bench.codec import read_results
from spectui.core.bench.results import Results

KILLS = 20
STEP_S = 0.0004
MATRIX = (
    "--lane", "ar", "--lane", "mtp:k=3,model=x", "--lane", "dflash:k=5,model=y", "--concurrency", "1,2",
    "--max-tokens", "8", "--no-self-test",
)  # fmt: skip


def child(words: list[str]) -> int:
    """Run `bench` with these words on synthetic lanes."""
    from spectui.bench.matrix import command, running
    from spectui.cli import main as cli
    from spectui.setup import config
    from spectui.sources.vllm import loading
    from tests.bench.test_bench_command import NoMeter
    from tests.support.drafting_lane import SpeakingLane
    from tests.support.fake_lanes import fake_engine

    class SlowLane(SpeakingLane):
        def step(self) -> Any:
            time.sleep(STEP_S)
            return super().step()

    patch = pytest.MonkeyPatch()
    fake_engine(patch, {})
    patch.setattr(loading, "Lane", SlowLane)
    patch.setattr(config, "_demo_target", lambda report: "fake")
    patch.setattr(command, "apply_or_reexec", lambda gpu: None)
    patch.setattr(running, "DeviceMeter", NoMeter)
    sys.argv = ["spectui", *words]
    return cli.main(words)


def start(words: list[str]) -> subprocess.Popen[bytes]:
    """Begin a child that does not wait for anybody."""
    return subprocess.Popen(
        [sys.executable, "-m", "tests.load.killed_bench", "child", *words],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        # No drafter is looked for: the synthetic ones have no files.
        env={**os.environ, "HF_HUB_OFFLINE": "1"},
    )


def found(folder: Path) -> Results:
    """The results in a folder."""
    return read_results((folder / "results.json").read_bytes())


def counts(results: Results) -> dict[tuple[str, str | None, int], tuple[int, int, int]]:
    """What does not depend on time: tokens, drafted and accepted of every cell."""
    return {
        (cell.variant.name, cell.category, cell.concurrency): (
            cell.figures.total_output_tokens,
            cell.figures.spec_decode_draft_tokens,
            cell.figures.spec_decode_accepted_tokens,
        )
        for cell in results.cells
    }


def killed_and_resumed(folder: Path, dice: random.Random, took_s: float) -> int:
    """Kill a benchmark at a random moment of those that it takes, and go on; returns the bytes that it had written."""
    running = start(["bench", *MATRIX, "--out", str(folder)])
    journal = folder / "journal.jsonl"
    while not journal.exists() and running.poll() is None:
        time.sleep(0.001)
    time.sleep(dice.uniform(0, took_s))
    running.send_signal(signal.SIGKILL)
    running.wait()
    written = journal.stat().st_size
    if start(["bench", "--resume", str(folder)]).wait():
        raise AssertionError("--resume failed")
    return written


def main() -> None:
    """Kill, go on, compare, print."""
    if sys.argv[1:2] == ["child"]:
        raise SystemExit(child(sys.argv[2:]))
    dice = random.Random(0)
    with tempfile.TemporaryDirectory() as name:
        whole = Path(name) / "whole"
        first = start(["bench", *MATRIX, "--out", str(whole)])
        while not (whole / "journal.jsonl").exists():
            time.sleep(0.001)
        began = time.monotonic()
        first.wait()
        took_s = time.monotonic() - began
        expected = counts(found(whole))
        equal = 0
        for number in range(KILLS):
            folder = Path(name) / str(number)
            written = killed_and_resumed(folder, dice, took_s)
            same = counts(found(folder)) == expected
            equal += same
            print(f"killed after {written} bytes of the journal: {'the same cells' if same else 'OTHER CELLS'}")
        print(f"{equal} of {KILLS} benchmarks had the same {len(expected)} cells")


if __name__ == "__main__":
    main()

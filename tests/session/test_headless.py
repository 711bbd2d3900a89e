"""The race without a terminal: plain lines and a table, or JSON, and nothing else."""

from __future__ import annotations

import json
import re
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.session.program import SPECTUI, START_S, environment, left_behind, log_of, without_a_terminal
from tests.session.reading import DEMO_INFOS

SHORT = ("--max-tokens", "24", "--ignore-eos")
LANES = ("ar", "mtp", "dflash")
STAGE_LINE = r"(ar|mtp|dflash) +(importing|loading|warming up|ready)\b.*\(\d+\.\d s\)"
STEP_LINE = r"(ar|mtp|dflash) +#\d+ +K=\d+ drafted=\d+ accepted=\d+( cut=\d+)? +\d+\.\d ms  \".*\""
SELF_TEST_LINE = r"(mtp|dflash) +self-test: .+"
MARGIN_LINE = r"(mtp|dflash) +prompt 0 diverged from AR at token \d+, top-2 margin \d\.\d+"
END_LINE = r"(ar|mtp|dflash) +request 0\.0 finished \(length\), 24 tokens"


@pytest.fixture(scope="module")
def folder(demo_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("headless")


def test_lines_and_a_table(folder: Path) -> None:
    """Every line is one that the program means to print: nothing of vLLM's, torch's or C's among them."""
    ended = without_a_terminal(folder, "run", *SHORT)
    assert (ended.returncode, ended.stderr) == (0, "")
    lines, _, table = ended.stdout.partition("\n\n")
    known = re.compile(rf"round 0: .+|{STAGE_LINE}|{SELF_TEST_LINE}|{STEP_LINE}|{MARGIN_LINE}|{END_LINE}")
    assert [line for line in lines.splitlines() if not known.fullmatch(line)] == []
    steps = re.findall(r"^(\w+) +#(\d+)", lines, re.M)
    for lane in LANES:
        numbers = [int(number) for name, number in steps if name == lane]
        assert numbers == list(range(len(numbers)))
        assert numbers
    # On a busy machine a sentence about that follows.
    head, *rows = table.partition("\n\n")[0].splitlines()
    assert head.split() == ["lane", "K", "tokens", "tok/s", "speed-up", "length", "rate", "K", "is"]
    assert [row.split()[0] for row in rows] == list(LANES)
    assert [row.split()[1:3] for row in rows] == [
        ["—", "24"],
        [str(DEMO_INFOS["MTP"].k_first), "24"],
        [str(DEMO_INFOS["DFlash"].k_first), "24"],
    ]
    assert [row.split()[-1] for row in rows] == ["—", DEMO_INFOS["MTP"].k_source, DEMO_INFOS["DFlash"].k_source]
    assert "Starting to load model" in log_of(folder)


def test_json_and_nothing_else_on_standard_output(folder: Path) -> None:
    ended = without_a_terminal(folder, "--json", "--rounds", "2", "--lane", "ar", "--lane", "ngram:k=3", *SHORT)
    assert (ended.returncode, ended.stderr) == (0, "")
    report = json.loads(ended.stdout)
    assert report["target"] == "SmolLM2-135M-Instruct"
    assert report["sampling"]["max_tokens"] == 24
    assert any(name.startswith("vllm") for name in report["versions"])
    ar, ngram = report["lanes"]
    assert_consistent(ar, None)
    assert_consistent(ngram, ar)
    assert (ar["lane"], ar["k"], ar["drafted"], ar["accepted"]) == ("ar", None, 0, 0)
    assert (ar["acceptance_length"], ar["draft_acceptance_rate"]) == (None, None)
    assert (ngram["lane"], ngram["k"]) == ("ngram", 3)
    assert (ar["k_source"], ngram["k_source"]) == (None, "yours")


def assert_consistent(lane: dict[str, Any], reference: dict[str, Any] | None) -> None:
    """Each figure follows from the others by its definition."""
    assert lane["failed"] is None
    assert lane["tokens"] == 2 * 24
    assert lane["tok_s"] == pytest.approx(lane["tokens"] / lane["lane_time_s"])
    assert lane["speedup"] == pytest.approx(lane["tok_s"] / (reference or lane)["tok_s"])
    steps, drafted, accepted = lane["drafted_steps"], lane["drafted"], lane["accepted"]
    assert 0 <= accepted <= drafted <= steps * (lane["k"] or 0)
    # What a step emits beyond its accepted drafts is one token.
    assert accepted <= lane["tokens"]
    if steps:
        assert lane["draft_acceptance_rate"] == pytest.approx(accepted / drafted)
        assert lane["acceptance_length"] == pytest.approx(1 + accepted / steps)
        by_position = lane["acceptance_by_position"]
        assert len(by_position) == lane["k"]
        shares = [share for share in by_position if share is not None]
        assert all(0 <= share <= 1 for share in shares)


def test_a_closed_pipe_ends_it_quietly(folder: Path) -> None:
    """``spectui run | head -1``: the reader has seen enough, which is no failure and needs no words."""
    program = subprocess.Popen(
        [SPECTUI, "run", "--lane", "ar", *SHORT],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(folder),
        cwd=folder,
    )
    assert program.stdout is not None
    assert program.stderr is not None
    assert program.stdout.readline().startswith(b"ar ")
    program.stdout.close()
    assert program.stderr.read() == b""
    program.stderr.close()
    assert program.wait(START_S) == 128 + signal.SIGPIPE
    assert left_behind(folder, program.pid) == []

"""Children of a measurement that do not do what they are told: each ends in one sentence, and none is left."""

from __future__ import annotations

import errno
import os
import sys
from pathlib import Path

import pytest

from spectui.bench import children
from spectui.bench.children import Child, ChildFailedError

_BEGIN = """
import json, os, sys, time
options = dict(zip(sys.argv[1::2], sys.argv[2::2]))
orders, answers = os.fdopen(int(options["--orders"])), os.fdopen(int(options["--answers"]), "w")
def say(**answer):
    print(json.dumps(answer), file=answers, flush=True)
"""
READY = "say(stage='lane ar (loading)'); say(ready='ar')"
SILENT = "time.sleep(600)"
ECHO = """
for order in orders:
    say(lanes={"ar": [8, 1000]}, wall_ns=2000, first_ns={})
"""


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Process ids of the children, which run a script in place of the program."""
    pids: list[int] = []
    popen = children.subprocess.Popen

    def noted(*args: object, **kwargs: object) -> object:
        process = popen(*args, **kwargs)  # type: ignore[call-overload]
        pids.append(process.pid)
        return process

    monkeypatch.setattr(children.subprocess, "Popen", noted)
    return pids


def child(monkeypatch: pytest.MonkeyPatch, *script: str, silence_s: float = 60.0) -> Child:
    monkeypatch.setattr(children, "PROGRAM", (sys.executable, "-c", "\n".join((_BEGIN, *script))))
    monkeypatch.setattr(children, "SILENCE_S", silence_s)
    monkeypatch.setattr(children, "CLOSE_S", 0.2)
    return Child("headless", [], lanes=1)


def gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def test_a_child_answers(monkeypatch: pytest.MonkeyPatch, started: list[int]) -> None:
    one = child(monkeypatch, READY, ECHO)
    assert one.race()["wall_ns"] == 2000
    one.close()
    assert gone(*started)


@pytest.mark.parametrize(
    ("script", "sentence"),
    [
        ((SILENT,), "the headless process did not answer for 0.2 s (waiting for its first lane)"),
        (
            ("say(stage='lane ar (warming up)')", SILENT),
            "the headless process did not answer for 0.2 s (waiting for lane ar (warming up))",
        ),
    ],
)
def test_a_child_that_says_nothing_has_a_time_limit(
    script: tuple[str, ...], sentence: str, monkeypatch: pytest.MonkeyPatch, started: list[int]
) -> None:
    # The first sign of life takes as long as an interpreter needs to start.
    monkeypatch.setattr(children.Answers, "line", _patient(children.Answers.line))
    with pytest.raises(ChildFailedError) as failed:
        child(monkeypatch, "say(stage='its first lane')", *script, silence_s=0.2)
    assert str(failed.value) == sentence
    assert gone(*started)


def _patient(line: object) -> object:
    """Waits for the first line without a limit."""
    seen: set[int] = set()

    def patient(self: children.Answers, timeout_s: float) -> str:
        first = id(self) not in seen
        seen.add(id(self))
        return line(self, 60.0 if first else timeout_s)  # type: ignore[operator, no-any-return]

    return patient


@pytest.mark.parametrize(
    ("script", "sentence"),
    [
        (("sys.exit(3)",), "the headless process ended with exit code 3 (waiting for its first lane)"),
        (("say(failed='lane mtp failed: no such drafter')",), "the headless process: lane mtp failed: no such drafter"),
    ],
)
def test_a_child_that_cannot_start_says_why(
    script: tuple[str, ...], sentence: str, monkeypatch: pytest.MonkeyPatch, started: list[int]
) -> None:
    with pytest.raises(ChildFailedError) as failed:
        child(monkeypatch, *script)
    assert str(failed.value) == sentence
    assert gone(*started)


def test_a_child_that_ends_in_a_round_says_so(monkeypatch: pytest.MonkeyPatch, started: list[int]) -> None:
    one = child(monkeypatch, READY, "orders.readline(); sys.exit(4)")
    with pytest.raises(ChildFailedError, match=r"exit code 4 .waiting for the end of a round"):
        one.race()
    one.close()
    assert gone(*started)


def test_a_child_that_the_system_refuses_leaves_nothing_open(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object, **__: object) -> None:
        raise OSError(errno.ENOMEM, os.strerror(errno.ENOMEM))

    monkeypatch.setattr(children.subprocess, "Popen", refused)
    before = len(list(Path("/dev/fd").iterdir()))
    with pytest.raises(ChildFailedError) as failed:
        child(monkeypatch)
    assert str(failed.value) == "the headless process could not be started (Cannot allocate memory)"
    assert len(list(Path("/dev/fd").iterdir())) == before

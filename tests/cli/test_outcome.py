"""How a race ended: what is said, and the exit code. No engine runs."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from spectui.cli.headless import run_headless
from spectui.cli.outcome import failures, report
from spectui.core.reducer import reduce
from spectui.core.state import RunState
from spectui.protocol import commands as cmd
from spectui.protocol.events import (
    Event,
    LaneInfo,
    LaneStage,
    Notice,
    Prompt,
    RoundFinished,
    RoundStarted,
    RunStarted,
    Sampling,
    Step,
)

LANES = tuple(LaneInfo(name, name, title, k, name) for name, title, k in (("ar", "AR", 0), ("ngram", "n-gram", 5)))
STARTED = RunStarted("demo", LANES, Sampling(), 1, "machine", ())
STEP = Step("ar", "0.0", 0, 0, 0, (), 0, (7,), (), "bonus", None, ("x",), (), 1, 1_000_000, 1_000_000, None, None)
REFUSED = Notice("the prompt has 9999 tokens, but the lanes take at most 2047", level="warning", refused=True)
BEGUN = RoundStarted(0, (Prompt("Count."),), Sampling())


def after(*events: Event) -> RunState:
    state = RunState()
    for event in (STARTED, *events):
        reduce(state, event)
    return state


class Told:
    """What the real standard error got."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def tell(self, sentence: str) -> None:
        self.lines.append(sentence)


@pytest.mark.parametrize(
    ("events", "said"),
    [
        ((), []),
        ((LaneStage("ar", "failed", "no"), LaneStage("ngram", "failed", "no")), ["no lane could run: no"]),
        ((LaneStage("ngram", "failed", "no; the log has the details"),), ["n-gram failed: no"]),
        (
            (LaneStage("ar", "failed", "this."), LaneStage("ngram", "failed", "that")),
            ["AR failed: this", "n-gram failed: that"],
        ),
        ((Notice("the engine thread died: x", level="error"),), ["the engine thread died: x"]),
    ],
)
def test_each_failure_is_said_once_and_is_exit_code_1(events: Sequence[Event], said: list[str]) -> None:
    told: Any = Told()
    assert report(after(*events), told) == (1 if said else 0)
    assert told.lines == said


def test_a_user_may_quit_before_the_first_token_but_a_report_may_not_be_empty() -> None:
    told: Any = Told()
    assert report(after(REFUSED), told) == 0
    assert report(after(REFUSED), told, expected=True) == 1
    assert told.lines == [f"nothing was raced: {REFUSED.text}"]
    assert report(after(BEGUN, STEP), told, expected=True) == 0


class Script:
    """A source that answers each command with the next events."""

    accepts: frozenset[type[cmd.Command]] = frozenset({cmd.NextPrompt, cmd.Shutdown})

    def __init__(self, *answers: Sequence[Event]) -> None:
        self.slot: Any = SimpleNamespace()
        self.commands: list[cmd.Command] = []
        self._answers = list(answers)

    def start(self, sink: Any) -> None:
        self._sink = sink
        self._answer()

    def send(self, command: cmd.Command) -> None:
        self.commands.append(command)
        self._answer()

    def stop(self, timeout_s: float) -> bool:
        return True

    def _answer(self) -> None:
        for event in self._answers.pop(0):
            self._sink.emit(event)


def test_headless_goes_on_behind_a_prompt_that_is_too_long(tmp_path: Path) -> None:
    source = Script((STARTED, REFUSED), (BEGUN, STEP, RoundFinished(0)))
    out = io.StringIO()
    state = run_headless(source, 2, out, as_json=False)
    assert source.commands == [cmd.NextPrompt()]
    assert REFUSED.text in out.getvalue()
    assert failures(state) == []


def test_headless_goes_on_where_a_recording_ends() -> None:
    full = Notice("recording to x has ended: No space left on device", level="warning")
    source = Script((STARTED, BEGUN, full, STEP, RoundFinished(0)))
    out = io.StringIO()
    state = run_headless(source, 1, out, as_json=False)
    assert full.text in out.getvalue()
    assert state.lanes["ar"].run.totals.emitted
    assert source.commands == []


def test_headless_ends_when_nothing_more_can_come() -> None:
    """Every lane failed, or the engine thread died: nobody announces the end of a round then."""
    for last in (
        [LaneStage(lane.name, "failed", "no") for lane in LANES],
        [Notice("the engine thread died: x", level="error")],
    ):
        out = io.StringIO()
        state = run_headless(Script((STARTED, *last)), 1, out, as_json=True)
        assert failures(state)
        assert json.loads(out.getvalue())["lanes"][0]["tokens"] == 0

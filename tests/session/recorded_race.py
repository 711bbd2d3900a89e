"""A race on the real engines that is recorded, in a process of its own: ``python -m tests.session.recorded_race TRACE
K_CHANGE OPTION...`` with the options of ``spectui run``.

Ends with code 0 when the trace, read again, is the very race: every event, and the state that they add up to.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from pathlib import Path

from spectui.cli.main import build_parser
from spectui.protocol import commands as cmd
from spectui.protocol.events import Event, KChanged, RoundFinished, Step
from spectui.protocol.playback import Played, StateReplaced
from spectui.protocol.source import Source
from spectui.runtime.threads import apply_or_reexec
from spectui.setup.config import host_config
from spectui.sources.recording import Recorded, trace_name
from spectui.sources.vllm.host import EngineHost
from spectui.telemetry.source import with_telemetry
from spectui.trace.reader import Trace
from tests.session.program import START_S
from tests.trace.making import folded, picture

STOP_S = 20.0
ROUNDS = 2
STEPS_BEFORE_K = 20


class Race:
    """A sink that keeps the events; it asks for another K in the midst of the first round, and for a second round."""

    def __init__(self, k_change: cmd.SetK) -> None:
        self.source: Source
        self.events: list[Event] = []
        self.over = threading.Event()
        self._k_change = k_change
        self.steps = self._rounds = 0

    def emit(self, event: Event) -> None:
        if isinstance(event, StateReplaced | Played):
            return
        self.events.append(event)
        if isinstance(event, Step):
            self.steps += 1
            if self.steps == STEPS_BEFORE_K:
                self.source.send(self._k_change)
        if isinstance(event, RoundFinished):
            self._rounds += 1
            if self._rounds == ROUNDS:
                self.over.set()
            else:
                self.source.send(cmd.NextPrompt())


def main(path: str, k_change: str, *words: str) -> None:
    config = host_config(build_parser().parse_args(["run", *words]), gpu=False)
    lane, _, k = k_change.partition("=")
    race = Race(cmd.SetK(lane, int(k)))
    race.source = Recorded(with_telemetry(EngineHost(config)), Path(path), trace_name)
    race.source.start(race)
    assert race.over.wait(START_S), race.events[-3:]
    assert race.source.stop(STOP_S)
    trace = Trace.open(Path(path))
    again = [event for _, event in trace]
    assert trace.problems.count == 0, trace.problems.kept
    assert again == race.events
    assert picture(folded(again)) == picture(folded(race.events))
    changes = sum(isinstance(event, KChanged) for event in again)
    print(json.dumps({"steps": race.steps, "k_changes": changes}))


if __name__ == "__main__":
    apply_or_reexec(gpu=False)
    main(*sys.argv[1:])
    sys.stdout.flush()
    os._exit(0)

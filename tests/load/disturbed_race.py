"""How soon a race says that another program disturbs it, and how seldom it says so on a quiet machine.

``python -m tests.load.disturbed_race`` races the demo's lanes on the real engines, as `spectui run --headless` does,
and prints what the status line shows: first for a quiet minute, then with a busy core beside the race, ten times.
"""

from __future__ import annotations

import argparse
import os
import queue
import sys
import time

from spectui.core.reducer import reduce
from spectui.core.state import RunState
from spectui.core.views import Viewer
from spectui.protocol.events import Event, LaneStage, RoundFinished, Step
from spectui.runtime.threads import apply_or_reexec
from spectui.setup.options import add_engine_options
from spectui.ui.widgets.status import status_rows
from tests.support.hog import busy_core

QUIET_S, WARN_S, RUNS = 60.0, 2.0, 10


class Watched:
    """A live race, folded as the screen folds it."""

    def __init__(self) -> None:
        from spectui.protocol.commands import NextPrompt
        from spectui.setup.config import host_config
        from spectui.sources.vllm.host import EngineHost
        from spectui.telemetry.source import with_telemetry

        parser = argparse.ArgumentParser()
        add_engine_options(parser)
        self._source = with_telemetry(EngineHost(host_config(parser.parse_args(["--ignore-eos"]), gpu=False)))
        self._events: queue.SimpleQueue[Event] = queue.SimpleQueue()
        self._next = NextPrompt()
        self.state = RunState()
        self._viewer = Viewer(self.state)
        self.marked = self.steps = 0

    def start(self) -> None:
        """Return when the first lane races."""
        self._source.start(self)
        while not self.steps:
            self.follow(1.0)

    def emit(self, event: object) -> None:
        self._events.put(event)  # type: ignore[arg-type]

    def follow(self, seconds: float, *, until: bool | None = None) -> float | None:
        """Fold events for so long, or until the status line warns, or does not; the seconds until then."""
        began = time.monotonic()
        while (elapsed := time.monotonic() - began) < seconds:
            try:
                event = self._events.get(timeout=0.05)
            except queue.Empty:
                continue
            reduce(self.state, event)
            match event:
                case Step():
                    self.steps += 1
                    self.marked += event.disturbed
                case RoundFinished():
                    self._source.send(self._next)
                case LaneStage(stage="failed"):
                    sys.exit(f"lane {event.lane} failed: {event.detail}")
            if until is not None and ("disturbed" in self.status) is until:
                return elapsed
        return None

    @property
    def status(self) -> str:
        (row,) = status_rows(self._viewer.read(), 200, 1)
        return "".join(text for text, _ in row)

    def stop(self) -> None:
        self._source.stop(10.0)


def main() -> None:
    """Print the figures; exit code 1 when the bars do not hold."""
    os.environ["VLLM_LOGGING_LEVEL"] = "ERROR"
    apply_or_reexec(gpu=False)
    race = Watched()
    race.start()
    race.steps = race.marked = 0
    race.follow(QUIET_S)
    share = race.marked / race.steps
    print(f"quiet for {QUIET_S:.0f} s: {race.marked} of {race.steps} steps marked ({share:.2%})", flush=True)
    warned: list[float | None] = []
    for run in range(RUNS):
        race.follow(30.0, until=False)
        with busy_core():
            warned.append(race.follow(10.0, until=True))
            race.follow(3.0)
            print(f"run {run + 1}: warned after {warned[-1]} s; {race.status.strip()}", flush=True)
    in_time = sum(seconds is not None and seconds <= WARN_S for seconds in warned)
    print(f"warned within {WARN_S:g} s in {in_time} of {RUNS}")
    race.stop()
    sys.exit(0 if in_time == RUNS and share < 0.02 else 1)


if __name__ == "__main__":
    main()

"""The child of `spectui calibrate` that runs the real program on orders: ``python -m spectui.bench.conducted``.

It reports on a pipe how far the lanes are, one line of JSON per stage, and what failed. It reads orders, one per line,
from another pipe, and answers each with a line:

* ``round``: races the prompt once; the answer has the tokens and lane time of every lane, the wall time of the round,
  and whether other programs used the cores meanwhile.
* ``figures``: the answer has event-loop lag, frame times, the times when the key ``w`` reached its handler and when a
  K changed, and the duration of engine steps, all since the last ``figures``.

Times are nanoseconds of the monotonic clock, which all processes of a machine share.
"""

from __future__ import annotations

import argparse
import json
import os
import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TextIO

from spectui.core.disturbance import foreign
from spectui.protocol.commands import Restart
from spectui.protocol.events import Event, KChanged, LaneStage, Notice, RoundFinished, RoundStarted, Step
from spectui.protocol.mailbox import Mailbox
from spectui.protocol.samples import TelemetrySample
from spectui.protocol.source import Source
from spectui.runtime import logs
from spectui.runtime.scratch import temporary_folder
from spectui.runtime.terminal import finish, owned_terminal
from spectui.runtime.threads import apply_or_reexec, has_nvidia_gpu
from spectui.setup.options import add_engine_options

if TYPE_CHECKING:
    from spectui.ui.paint.frames import FrameFigures


class Stopwatch(Mailbox):
    """A mailbox that measures rounds; without a ``screen`` to drain it, it keeps no events."""

    def __init__(self, answers: TextIO, *, screen: bool) -> None:
        super().__init__()
        self._screen = screen
        self._answers = answers
        self._measuring = False
        self._began = self._ended = 0
        self._first: dict[str, int] = {}
        self._lanes: dict[str, list[int]] = {}
        self._clocks: dict[str, int] = {}
        self._samples: list[TelemetrySample] = []
        self.k_changed_ns: list[int] = []
        self.step_ns: list[int] = []

    def emit(self, event: Event) -> None:
        if self._screen:
            super().emit(event)
        match event:
            case Step():
                self._count(event)
            case KChanged():
                self.k_changed_ns.append(time.monotonic_ns())
            case RoundStarted():
                self._began = time.monotonic_ns()
                self._lanes = {}
                self._samples = []
            case TelemetrySample():
                self._samples.append(event)
            case RoundFinished() if self._measuring:
                self._measuring = False
                self.answer(
                    {
                        "lanes": self._lanes,
                        "wall_ns": self._ended - self._began,
                        "first_ns": self._first,
                        "disturbed": foreign(self._samples),
                    }
                )
            case LaneStage(stage="failed"):
                self.answer({"failed": f"lane {event.lane} failed: {event.detail}"})
            case LaneStage(stage="ready"):
                self.answer({"ready": event.lane})
            case LaneStage():
                self.answer({"stage": f"lane {event.lane} ({event.stage})"})
            case Notice() if event.refused or (event.level == "error" and event.lane is None):
                self.answer({"failed": event.text})

    def _count(self, step: Step) -> None:
        self._ended = time.monotonic_ns()
        self.step_ns.append(step.wall_ns)
        self._first.setdefault(step.lane, self._ended)
        before = self._clocks.get(step.lane, step.clock_ns - step.wall_ns)
        tokens, clock = self._lanes.get(step.lane, (0, 0))
        self._lanes[step.lane] = [tokens + len(step.emitted), clock + step.clock_ns - before]
        self._clocks[step.lane] = step.clock_ns

    def expect(self) -> None:
        """Measure the next round."""
        self._measuring = True

    def answer(self, figures: dict[str, Any]) -> None:
        print(json.dumps(figures), file=self._answers, flush=True)


def obey(orders: TextIO, source: Source, watch: Stopwatch, figures: FrameFigures | None, handled: list[int]) -> None:
    """Follow orders until the pipe closes; runs on a thread of its own."""
    for line in orders:
        match line.strip():
            case "round":
                watch.expect()
                source.send(Restart())
            case "figures" if figures is not None:
                watch.answer(
                    {
                        "lag_s": [*figures.lag_s],
                        "frame_s": [*figures.frame_s],
                        "handled_ns": [*handled],
                        "k_changed_ns": [*watch.k_changed_ns],
                        "step_ns": [*watch.step_ns],
                    }
                )
                watch.k_changed_ns.clear()
                watch.step_ns.clear()
                figures.lag_s.clear()
                figures.frame_s.clear()
                handled.clear()


def main() -> None:
    """Entry point of the child process."""
    gpu = has_nvidia_gpu()
    apply_or_reexec(gpu=gpu)
    logs.hold()
    parser = argparse.ArgumentParser()
    add_engine_options(parser)
    parser.add_argument("--mode", choices=("screen", "headless"), required=True)
    parser.add_argument("--orders", type=int, required=True)
    parser.add_argument("--answers", type=int, required=True)
    options = parser.parse_args()
    from spectui.setup.config import host_config
    from spectui.setup.prompt_sets import first_turn
    from spectui.sources.vllm.host import EngineHost
    from spectui.telemetry.source import with_telemetry

    config = host_config(options, gpu=gpu)
    source = with_telemetry(EngineHost(replace(config, paused=True, prompts=[*map(first_turn, config.prompts)])))
    orders = os.fdopen(options.orders)
    answers = os.fdopen(options.answers, "w")
    log_path = logs.log_file()
    with temporary_folder(), owned_terminal(log_path) as terminal:
        logs.configure(log_path)
        if options.mode == "screen":
            _screen(source, orders, answers)
        else:
            watch = Stopwatch(answers, screen=False)
            source.start(watch)
            obey(orders, source, watch, None, [])
        terminal.restore_screen()
        finish(0)


def _screen(source: Source, orders: TextIO, answers: TextIO) -> None:
    from spectui.ui.app import SpecTUIApp
    from spectui.ui.paint.frames import FrameFigures

    handled: list[int] = []

    class Timed(SpecTUIApp):
        """Notes when the key ``w`` reaches its handler."""

        def acts(self, action: str) -> None:
            if action == "view.window":
                handled.append(time.monotonic_ns())

    figures = FrameFigures(keep=None)
    watch = Stopwatch(answers, screen=True)
    app = Timed(source, mailbox=watch, figures=figures)
    threading.Thread(target=obey, args=(orders, source, watch, figures, handled), daemon=True).start()
    app.run()


if __name__ == "__main__":
    main()

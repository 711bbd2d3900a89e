"""The app under load in a process of its own, for `tests.load.screen_load`.

``python -m tests.load.loaded_app REPORT synthetic TOKENS ROUND_TOKENS`` draws a synthetic source that never tires;
``python -m tests.load.loaded_app REPORT replay TRACE SPEED EVENTS`` plays a trace, all of it if EVENTS is 0.
"""

from __future__ import annotations

import json
import os
import sys
import time
from array import array
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from spectui.cli.replay import without_full_collections
from spectui.core.rates import percentile
from spectui.core.state import RunState
from spectui.protocol.events import Sampling
from spectui.protocol.mailbox import Mailbox
from spectui.protocol.source import Source
from spectui.sources.replay import Replay
from spectui.sources.synthetic.source import Pace, SyntheticSource
from spectui.trace.index import Timeline
from spectui.trace.reader import Trace
from spectui.ui.app import SpecTUIApp
from spectui.ui.paint.frames import FrameFigures
from tests.load.screen_load import HELD_UP_S, TOKENS_S, WARM_TOKENS, Load


def synthetic(tokens: int, round_tokens: int) -> Load:
    """Draw a synthetic source until ``tokens`` are through."""
    sampling = Sampling(max_tokens=round_tokens or tokens, ignore_eos=True)
    source = SyntheticSource(pace=Pace(tokens_s=TOKENS_S), sampling=sampling, rounds=1 + tokens)
    return _drawn(source, lambda state: _emitted(state) >= tokens)


def replay(trace: Path, speed: float, events: int) -> Load:
    """Play a trace until so many of its events are through, or to its end."""

    def done(state: RunState) -> bool:
        head = state.playhead
        return head is not None and (head.ended or (bool(events) and head.number >= events))

    without_full_collections()
    return _drawn(Replay(Timeline(Trace.open(trace)), speed=speed), done)


def _emitted(state: RunState) -> int:
    return sum(lane.run.totals.emitted for lane in state.lanes.values())


def _drawn(source: Source, done: Callable[[RunState], bool]) -> Load:
    """Run the app on this process's terminal until it is ``done``."""

    class Measured(SpecTUIApp):
        """Notes the tokens and the memory at every frame, and ends by itself."""

        tokens_at = array("L")
        rss_at = array("d")
        times = array("d")
        first_paint_s = 0.0

        def present(self, slow: bool) -> None:
            super().present(slow)
            self.first_paint_s = self.first_paint_s or _age_s()
            self.tokens_at.append(_emitted(self.state))
            self.rss_at.append(_rss_mb())
            self.times.append(time.monotonic())
            if done(self.state):
                self.call_later(self.action_quit)

    mailbox = Mailbox()
    figures = FrameFigures(keep=None)
    app = Measured(source, mailbox=mailbox, figures=figures)
    app.run()
    source.stop(5.0)

    frames, cpu = list(figures.frame_s), list(figures.cpu_s)
    total = app.tokens_at[-1]
    first = [place for place, done in enumerate(app.tokens_at) if 0 < done <= total / 10]
    last = [place for place, done in enumerate(app.tokens_at) if done > total * 9 / 10]
    began = next(place for place, done in enumerate(app.tokens_at) if done)
    warm = next((place for place, done in enumerate(app.tokens_at) if done >= WARM_TOKENS), len(app.tokens_at) - 1)

    def ms(values: list[float], share: float, places: list[int] | None = None) -> float:
        chosen = values if places is None else [values[place] for place in places if place < len(values)]
        return round((percentile(chosen, share) or 0.0) * 1e3, 2)

    return Load(
        tokens=total,
        seconds=round(app.times[-1] - app.times[began], 2),
        first_paint_s=round(app.first_paint_s, 2),
        frames=figures.frames,
        skipped=figures.skipped,
        frame_p50=ms(frames, 0.5),
        frame_p99=ms(frames, 0.99),
        frame_p50_first=ms(frames, 0.5, first),
        frame_p99_first=ms(frames, 0.99, first),
        frame_p50_last=ms(frames, 0.5, last),
        frame_p99_last=ms(frames, 0.99, last),
        held_up=sum(wall - busy > HELD_UP_S for wall, busy in zip(frames, cpu, strict=True)),
        cpu_p50=ms(cpu, 0.5),
        cpu_p99=ms(cpu, 0.99),
        cpu_p50_first=ms(cpu, 0.5, first),
        cpu_p50_last=ms(cpu, 0.5, last),
        lag_p99=round((figures.lag_p99 or 0.0) * 1e3, 2),
        overruns=source.slot.overruns,
        dropped=mailbox.dropped,
        rss_warm=round(app.rss_at[warm], 1),
        rss_end=round(app.rss_at[-1], 1),
        rss_max=round(max(app.rss_at), 1),
    )


def _rss_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def _age_s() -> float:
    """How long this process has been running, to a hundredth of a second."""
    fields = Path("/proc/self/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return time.clock_gettime(time.CLOCK_BOOTTIME) - int(fields[19]) / os.sysconf("SC_CLK_TCK")


def main(report: str, mode: str, *arguments: str) -> None:
    """Measure, and write the figures to the file ``report``."""
    if mode == "replay":
        trace, speed, events = arguments
        load = replay(Path(trace), float(speed), int(events))
    else:
        load = synthetic(*map(int, arguments))
    Path(report).write_text(json.dumps(asdict(load)), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])

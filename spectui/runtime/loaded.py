"""The app on a synthetic source that never tires, in a process of its own, for `spectui.bench.screen_load`.

``python -m spectui.runtime.loaded REPORT TOKENS ROUND_TOKENS``
"""

from __future__ import annotations

import json
import os
import sys
import time
from array import array
from dataclasses import asdict
from pathlib import Path

from spectui.bench.screen_load import HELD_UP_S, TOKENS_S, WARM_TOKENS, Load
from spectui.core.rates import percentile
from spectui.events import Sampling
from spectui.sources.mailbox import Mailbox
from spectui.sources.synthetic import Pace, SyntheticSource
from spectui.ui.app import SpecTUIApp
from spectui.ui.frames import FrameFigures


def run(tokens: int, round_tokens: int, report: Path) -> None:
    """Run the app on this process's terminal until ``tokens`` are through, then write the figures to ``report``."""

    class Measured(SpecTUIApp):
        """Notes the tokens and the memory at every frame, and ends by itself."""

        tokens_at = array("L")
        rss_at = array("d")
        times = array("d")

        def present(self, slow: bool) -> None:
            super().present(slow)
            done = sum(lane.emitted for lane in self.state.lanes.values())
            self.tokens_at.append(done)
            self.rss_at.append(_rss_mb())
            self.times.append(time.monotonic())
            if done >= tokens:
                self.call_later(self.action_quit)

    sampling = Sampling(max_tokens=round_tokens or tokens, ignore_eos=True)
    source = SyntheticSource(pace=Pace(tokens_s=TOKENS_S), sampling=sampling, rounds=1 + tokens)
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

    load = Load(
        tokens=total,
        seconds=round(app.times[-1] - app.times[began], 2),
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
    )
    report.write_text(json.dumps(asdict(load)), encoding="utf-8")


def _rss_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


if __name__ == "__main__":
    run(int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[1]))

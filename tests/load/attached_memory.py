"""How much memory a long attached run takes: 1,000,000 steps of 50,000 requests in one round.

``python -m tests.load.attached_memory [STEPS] [REQUESTS]`` prints MB as the run goes on, of the state with its views,
of what is kept for a recording that begins later, and the time per event.
"""

from __future__ import annotations

import gc
import random
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from spectui.core.reducer import reduce
from spectui.core.state import RunState
from spectui.core.views import Viewer
from spectui.protocol import events as ev
from spectui.sources.recording import Memory
from tests.support.attached_run import E1, E2, Endpoint, seen, started

SECOND = 1_000_000_000
IN_FLIGHT = 32
LOOKS = 10
FRAME_EVENTS = 2_000


def long_run(steps: int, requests: int) -> Iterator[ev.TraceEvent]:
    """Two servers that answer requests all the time; one of them keeps its ids."""
    dice = random.Random(5)
    yield from started((E1, E2))
    servers = [Endpoint(E1, False, dice), Endpoint(E2, True, dice)]
    tokens = max(1, round(2.4 * steps / requests))
    for server in servers:
        yield from seen(server.info, drafts=not server.counted)
    slot = done = now_ns = said_ns = 0
    while done < steps:
        for server in servers:
            while len(server.flights) < IN_FLIGHT:
                yield server.start(slot, now_ns)
                server.flights[-1].most = max(1, round(dice.uniform(0.5, 1.5) * tokens))
                slot += 1
            wall_ns, made = server.step()
            now_ns += wall_ns // len(servers)
            done += len(server.flights)
            yield from made
            if now_ns - said_ns > SECOND // 2:
                yield server.standing(now_ns)
        if now_ns - said_ns > SECOND // 2:
            said_ns = now_ns


def resident_mb() -> float:
    """The memory of this process."""
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 1e6


def main(steps: int = 1_000_000, requests: int = 50_000) -> None:
    """Print the figures."""
    for title, kept in (("state and views", False), ("with what a recording needs", True)):
        state, memory = RunState(), Memory()
        viewer = Viewer(state)
        before, counted, spent, slots = resident_mb(), 0, 0.0, 0
        print(f"{title}: {before:.0f} MB at first")
        for number, event in enumerate(long_run(steps, requests)):
            begun = time.perf_counter()
            reduce(state, event)
            if not number % FRAME_EVENTS:
                viewer.read()
            spent += time.perf_counter() - begun
            if kept:
                memory.add(number, event)
            slots += isinstance(event, ev.RequestStarted)
            if isinstance(event, ev.AnyStep):
                counted += 1
                if not counted % (steps // LOOKS):
                    held = sum(len(lane.round.requests) for lane in state.lanes.values())
                    print(
                        f"  {counted:>9,} steps, {slots:>6,} requests, {held:>4} kept: "
                        f"{resident_mb() - before:6.1f} MB more, {spent / (number + 1) * 1e6:.1f} us an event"
                    )
        totals = [lane.run.totals for lane in state.lanes.values()]
        assert sum(one.steps for one in totals) == counted


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))

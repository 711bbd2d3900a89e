"""What a server's publisher costs the engine, and what a viewer that does not read makes it keep.

``python -m tests.load.publisher_bench`` prints the processor time of the publisher's thread for each engine step, with
one viewer and steps of 1, 8 and 64 requests with four drafted tokens each; that of watching a server where nothing
happens; and the growth of a server's memory while a viewer does not read for a minute, once because a signal stopped it
and once because it does not ask for its packets. ``--seconds`` makes that minute shorter.
"""

from __future__ import annotations

import argparse
import os
import select
import signal
import subprocess
import sys
import time

import psutil

from spectui.serving.settings import ServingSettings
from spectui.wire.messages import GONE_S, VERSION, WATCH_S, Watch
from tests.support.viewers import LOCAL, Server, Viewer, serving, step

STEPS_A_SECOND = 100
COST_S, WARM_UP_S = 10.0, 2.0
ROWS = (1, 8, 64)
STUCK = ((16, 4), (64, 16))
"""Requests in a step and drafted tokens of each. What the first sends in a minute finds room in the system's own
buffers; with the second, packets are dropped."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("role", nargs="?", choices=("server", "viewer", "stuck"))
    parser.add_argument("value", nargs="?")
    options = parser.parse_args()
    match options.role:
        case "server":
            _serve(*(int(word) for word in options.value.split()))
        case "viewer" | "stuck":
            _view(options.value, reads=options.role == "viewer")
        case None:
            _costs()
            for rows, drafted in STUCK:
                for title, way in (("is stopped (SIGSTOP)", "stop"), ("does not ask for its packets", "stuck")):
                    _memory(title, way, options.seconds, rows, drafted)


def _costs() -> None:
    idle = _cost(0)
    print(f"nothing happens: {idle * STEPS_A_SECOND:.2%} of the publisher's thread")
    for rows in ROWS:
        took = _cost(rows)
        print(
            f"{rows} rows: {took * 1e6:.0f} us for each engine step, {(took - idle) * 1e6:.0f} us of them beyond that, "
            f"at {STEPS_A_SECOND} steps/s with 1 viewer: {took * STEPS_A_SECOND:.2%}"
        )


def _cost(rows: int) -> float:
    """Processor time of the publisher's thread per hundredth of a second, with a step in each if there are rows."""
    with serving(ServingSettings(endpoint=LOCAL)) as server:
        viewer = _child("viewer", server.publisher.endpoint)
        try:
            server.wait_until_watched()
            _put(server, rows, WARM_UP_S)
            thread = server.publisher._thread
            assert thread is not None
            assert thread.ident is not None
            clock = time.pthread_getcpuclockid(thread.ident)
            before = time.clock_gettime(clock)
            count = _put(server, rows, COST_S)
            return (time.clock_gettime(clock) - before) / count
        finally:
            _end(viewer)


def _put(server: Server, rows: int, seconds: float, drafted: int = 4) -> int:
    """Put a step a hundredth of a second; returns how many."""
    count = int(seconds * STEPS_A_SECOND)
    began = time.monotonic()
    for number in range(count):
        if rows:
            server.put(step(rows, drafted, index=server.steps))
        time.sleep(max(0.0, began + (number + 1) / STEPS_A_SECOND - time.monotonic()))
    return count


def _memory(title: str, way: str, seconds: float, rows: int, drafted: int) -> None:
    server = _child("server", f"{rows} {drafted}")
    endpoint = server.stdout.readline().strip() if server.stdout is not None else ""
    reading = _child("viewer", endpoint)
    stuck = _child("stuck" if way == "stuck" else "viewer", endpoint)
    try:
        time.sleep(2 * GONE_S)
        memory = psutil.Process(server.pid)
        before = most = memory.memory_info().rss
        if way == "stop":
            os.kill(stuck.pid, signal.SIGSTOP)
        ends = time.monotonic() + seconds
        while time.monotonic() < ends:
            time.sleep(0.5)
            most = max(most, memory.memory_info().rss)
        grown = memory.memory_info().rss - before
        dropped, viewers = server.communicate("end\n")[0].split()
        print(
            f"a viewer {title} for {seconds:.0f} s at {STEPS_A_SECOND} steps/s x {rows} rows: the server grew by "
            f"{(most - before) / 1e6:.1f} MB at most, {grown / 1e6:.1f} MB at the end, when {dropped} packets had been "
            f"dropped and it had {viewers} viewers"
        )
    finally:
        for one in (stuck, reading, server):
            _end(one)


def _serve(rows: int, drafted: int) -> None:
    with serving(ServingSettings(endpoint=LOCAL)) as server:
        print(server.publisher.endpoint, flush=True)
        server.wait_until_watched()
        while not select.select([sys.stdin], [], [], 0)[0]:
            _put(server, rows, 0.5, drafted)
        print(server.publisher.dropped, server.publisher.viewers)


def _view(endpoint: str, *, reads: bool) -> None:
    # As few as possible wait on the viewer's own side, so that the server's fills.
    viewer = Viewer(endpoint, packets=1_000 if reads else 1)
    viewer.watch()
    said = 0.0
    while True:
        if time.monotonic() - said >= WATCH_S:
            said = time.monotonic()
            viewer.say(Watch(VERSION))
        if reads:
            viewer.maybe(0.1)
        else:
            time.sleep(0.1)


def _child(role: str, value: str | None = None) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.load.publisher_bench", role]
    whole = [*command, *([value] if value else [])]
    return subprocess.Popen(whole, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def _end(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.wait()
    for stream in (process.stdin, process.stdout):
        if stream is not None:
            stream.close()


if __name__ == "__main__":
    main()

"""The screen under load: a long session of a synthetic source, or a long trace played fast (``--trace``), drawn by the
real app on a real pseudo-terminal.

Two things must not depend on how much was generated: what a frame costs, and how much memory the program holds. The
app runs in a child process that is bound to one core; the parent plays the terminal and reads what is drawn.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import json
import os
import pty
import select
import struct
import subprocess
import sys
import tempfile
import termios
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path

FRAME_P99_MS = 33.0
GROWTH_MB = 20.0
"""More memory than this must no session take after its beginning; a trace's index does, up to `REPLAY_MB` in all."""

REPLAY_MB = 600.0
FIRST_PAINT_S = 2.0
WARM_TOKENS = 20_000
TOKENS_S = 5_000.0
TIMEOUT_S = 1200.0
HELD_UP_S = 0.01
"""A frame whose duration exceeds its processor time by more than this had to wait for another program."""


@dataclass(frozen=True)
class Load:
    """What was run and what it cost. Times in milliseconds, memory in MB (10^6 bytes).

    Attributes:
        tokens: Tokens that reached the screen's state; ``dropped`` events did not.
        seconds: Wall time from the first token to the last.
        first_paint_s: Age of the process at its first frame.
        frame_p50: Duration of a frame, with ``_first`` and ``_last`` for the first and last tenth of the session.
        held_up: Frames that waited for another program on the machine, which makes their duration no figure of ours.
        cpu_p50: Processor time of a frame, which other programs on the machine do not stretch.
        lag_p99: How late the event loop came to a tick.
        overruns: Frames for which the source did not wait any longer.
        rss_warm: Resident memory after the first `WARM_TOKENS`, ``rss_end`` at the end, ``rss_max`` at most.
        written_mb: What was sent to the terminal.
    """

    tokens: int
    seconds: float
    first_paint_s: float
    frames: int
    skipped: int
    frame_p50: float
    frame_p99: float
    frame_p50_first: float
    frame_p99_first: float
    frame_p50_last: float
    frame_p99_last: float
    held_up: int
    cpu_p50: float
    cpu_p99: float
    cpu_p50_first: float
    cpu_p50_last: float
    lag_p99: float
    overruns: int
    dropped: int
    rss_warm: float
    rss_end: float
    rss_max: float
    written_mb: float = 0.0
    trace: str = ""

    @property
    def passed(self) -> bool:
        """Whether the bars of frame time, memory and, for a trace, of the first paint hold."""
        if self.trace:
            soon, small = self.first_paint_s <= FIRST_PAINT_S, self.rss_max <= REPLAY_MB
            return self.frame_p99 <= FRAME_P99_MS and soon and small
        return self.frame_p99 <= FRAME_P99_MS and self.rss_end - self.rss_warm <= GROWTH_MB


def measure(tokens: int, round_tokens: int = 0, width: int = 200, height: int = 50) -> Load:
    """Draw a synthetic session.

    Args:
        tokens: Tokens of all lanes together.
        round_tokens: Tokens of each request, after which the next round begins; 0 for one endless request a lane.

    Raises:
        RuntimeError: The child ended without a report; the message holds the end of what it drew.
    """
    return _measured(["synthetic", str(tokens), str(round_tokens)], width, height)


def measure_replay(trace: Path, speed: float, events: int = 0, width: int = 200, height: int = 50) -> Load:
    """Play a trace at that speed, up to so many of its events; 0 means to its end.

    Raises:
        RuntimeError: Likewise.
    """
    return replace(_measured(["replay", str(trace), str(speed), str(events)], width, height), trace=trace.name)


def _measured(what: list[str], width: int, height: int) -> Load:
    """Run the app in a child on a pseudo-terminal and read its figures."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "load.json"
        command = [sys.executable, "-m", "tests.load.loaded_app", str(report), *what]
        written, end = _in_terminal(command, width, height)
        if not report.exists():
            raise RuntimeError(f"the app ended without a report: {end.decode(errors='replace')[-2000:]}")
        return Load(**{**json.loads(report.read_text(encoding="utf-8")), "written_mb": round(written / 1e6, 1)})


def _in_terminal(command: list[str], width: int, height: int) -> tuple[int, bytes]:
    """Run ``command`` on a new pseudo-terminal and one core; bytes written, and the last of them."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))
    environment = {**os.environ, "TERM": "xterm-256color", "COLORTERM": "truecolor"}
    core = max(os.sched_getaffinity(0))
    child = subprocess.Popen(
        command,
        stdin=slave,
        stdout=slave,
        stderr=slave,
        env=environment,
        start_new_session=True,
    )
    os.sched_setaffinity(child.pid, {core})
    os.close(slave)
    written, end = 0, b""
    deadline = time.monotonic() + TIMEOUT_S
    try:
        while time.monotonic() < deadline:
            if not select.select([master], [], [], 1.0)[0]:
                continue
            data = os.read(master, 1 << 16)
            if not data:
                break
            written += len(data)
            end = (end + data)[-8192:]
    except OSError:
        # Linux reports the other side's end as an error.
        pass
    finally:
        os.close(master)
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(10.0)
        child.kill()
        child.wait()
    return written, end


def table(load: Load) -> str:
    """The figures for people."""
    rate = load.tokens / load.seconds if load.seconds else 0.0
    growth = load.rss_end - load.rss_warm
    grown = f"{growth:+.1f} MB"
    most = f"{load.rss_max:.1f} MB"
    rows = [
        ("first paint after", f"{load.first_paint_s:.2f} s" + f"   bar: {FIRST_PAINT_S:g} s" * bool(load.trace)),
        ("tokens through the screen", f"{load.tokens:,} in {load.seconds:.1f} s ({rate:,.0f} a second)"),
        ("frames", f"{load.frames} drawn, {load.skipped} skipped, {load.overruns} overruns, {load.dropped} drops"),
        ("frame time p50 / p99", f"{load.frame_p50:.1f} / {load.frame_p99:.1f} ms   bar: p99 <= {FRAME_P99_MS:g} ms"),
        ("  first tenth", f"{load.frame_p50_first:.1f} / {load.frame_p99_first:.1f} ms"),
        ("  last tenth", f"{load.frame_p50_last:.1f} / {load.frame_p99_last:.1f} ms"),
        ("  held up by others", f"{load.held_up} frames; on a quiet machine none"),
        ("frame cpu p50 / p99", f"{load.cpu_p50:.1f} / {load.cpu_p99:.1f} ms"),
        ("  p50 of first, last tenth", f"{load.cpu_p50_first:.1f}, {load.cpu_p50_last:.1f} ms"),
        ("event-loop lag p99", f"{load.lag_p99:.1f} ms"),
        (
            "resident memory",
            f"{load.rss_warm:.1f} MB after {WARM_TOKENS:,} tokens, {load.rss_end:.1f} MB at the end, {most} at most",
        ),
        ("  bar", f"{most} <= {REPLAY_MB:g} MB" if load.trace else f"{grown} <= {GROWTH_MB:g} MB"),
        ("sent to the terminal", f"{load.written_mb:.1f} MB"),
        ("result", "pass" if load.passed else "FAIL"),
    ]
    return "\n".join(f"{name:<28}{value}" for name, value in rows)


def main(arguments: list[str] | None = None) -> int:
    """Exit code 0 when the bars hold, 1 when they do not."""
    parser = argparse.ArgumentParser(prog="python -m tests.load.screen_load", description=__doc__)
    parser.add_argument("--tokens", type=int, default=200_000)
    parser.add_argument("--round-tokens", type=int, default=0, help="tokens of a request; 0: one endless request")
    parser.add_argument("--trace", type=Path, help="a trace to play instead")
    parser.add_argument("--speed", type=float, default=20.0, help="how fast")
    parser.add_argument("--events", type=int, default=0, help="how far; 0: to its end")
    parser.add_argument("--size", default="200x50", help="WIDTHxHEIGHT")
    parser.add_argument("--json", action="store_true", help="figures as JSON only")
    options = parser.parse_args(arguments)
    width, height = (int(part) for part in options.size.split("x"))
    if options.trace:
        load = measure_replay(options.trace, options.speed, options.events, width, height)
    else:
        load = measure(options.tokens, options.round_tokens, width, height)
    if not options.json:
        print(table(load))
    print(json.dumps(asdict(load)))
    return 0 if load.passed else 1


if __name__ == "__main__":
    sys.exit(main())

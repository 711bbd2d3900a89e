"""What the tap costs a server: its throughput with the tap over that without, and the memory that viewers cost it.

``python -m tests.load.serving_cost`` starts two servers that differ in the tap alone and drives them in turn, in random
order, with the same requests: 8 in flight, answers of a fixed length. It does so with each of these viewers attached to
the one with the tap:

- ``nobody``: none;
- ``viewer``: one that reads everything and throws it away, in a process of its own on the same machine;
- ``stuck``: one that says that it is there, but reads nothing while the server is driven for a minute or more;
- ``stopped``: one whose process is stopped for as long, so that the server hears nothing of it either.

It prints the ratio of throughputs in the pairs of turns as median and quartiles, and by how much the memory of API
server and engine core grew meanwhile, beside that of the server without the tap. Run it alone on a quiet machine.
``--turns 2 --stuck-s 10`` is a trial.
"""

from __future__ import annotations

import argparse
import random
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

import zmq

from spectui.sources.demo_model import ensure_demo_model
from spectui.sources.hardware import machine_name
from spectui.wire import messages as wire
from tests.support import servers, traffic
from tests.support.servers import Kind, Server

TURNS, REQUESTS, TOKENS = 12, 16, 48
STUCK_S = 60.0
BAR, BAR_MB = 0.98, 10.0
VIEWERS = ("nobody", "viewer", "stuck", "stopped")


@dataclass
class Measured:
    """One viewer's figures: throughputs by pair of turns, and memory in bytes before and after."""

    with_tap: list[float] = field(default_factory=list)
    without: list[float] = field(default_factory=list)
    driven_s: float = 0.0
    before: tuple[int, int] = (0, 0)
    after: tuple[int, int] = (0, 0)

    @property
    def ratios(self) -> list[float]:
        return [ours / theirs for ours, theirs in zip(self.with_tap, self.without, strict=True)]

    @property
    def grown_mb(self) -> tuple[float, float]:
        """Of the server with the tap, and of the other one."""
        ours, theirs = (after - before for before, after in zip(self.before, self.after, strict=True))
        return ours / 1e6, theirs / 1e6


def main(arguments: list[str] | None = None) -> int:
    """Exit code 0 when the bars hold, 1 when they do not."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.load.serving_cost", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--turns", type=int, default=TURNS, help="pairs of turns for each viewer")
    parser.add_argument("--requests", type=int, default=REQUESTS, help="requests in a turn")
    parser.add_argument("--tokens", type=int, default=TOKENS, help="tokens of an answer")
    parser.add_argument("--viewers", default=",".join(VIEWERS), help="which viewers, and in which order")
    parser.add_argument("--stuck-s", type=float, default=STUCK_S, help="for how long the stuck one is driven at least")
    parser.add_argument("--method", choices=("mtp", "ngram"), default="mtp")
    parser.add_argument("--redaction", choices=("counts", "ids", "text"), default="ids")
    parser.add_argument("--async-scheduling", action="store_true", help="in both servers")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--be", choices=VIEWERS, help=argparse.SUPPRESS)
    parser.add_argument("--endpoint", default="", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.be:
        return _be(options.be, options.endpoint)
    model = ensure_demo_model(lambda progress: None)
    kind: Kind = getattr(servers, options.method)(model)
    with ExitStack() as stack:
        both = (
            Server(kind, asynchronous=options.async_scheduling, redaction=options.redaction),
            Server(kind, asynchronous=options.async_scheduling, tap=False),
        )
        for server in both:
            stack.callback(server.stop)
        for server in both:
            server.ready()
        dice = random.Random(options.seed)
        asks = traffic.even(options.requests, options.tokens, options.seed)
        for server in both:
            _throughput(server, asks)
            _throughput(server, asks)
        print(
            f"{options.method} on {machine_name()}, {options.requests} requests of {options.tokens} tokens a turn, "
            f"{traffic.CONCURRENCY} in flight, {'a' if options.async_scheduling else ''}synchronous scheduling, "
            f"{options.redaction}",
            flush=True,
        )
        passed = True
        for name in options.viewers.split(","):
            least_s = options.stuck_s if name in ("stuck", "stopped") else 0.0
            passed &= _report(name, _measure(name, both, asks, dice, options.turns, least_s))
    return 0 if passed else 1


def _measure(
    name: str, both: tuple[Server, Server], asks: Sequence[traffic.Ask], dice: random.Random, turns: int, least_s: float
) -> Measured:
    measured = Measured()
    with _attached(name, both[0]):
        measured.before = (both[0].resident(), both[1].resident())
        while len(measured.with_tap) < turns or measured.driven_s < least_s:
            for place in dice.sample((0, 1), 2):
                began = time.monotonic()
                found = _throughput(both[place], asks)
                (measured.with_tap, measured.without)[place].append(found)
                measured.driven_s += 0.0 if place else time.monotonic() - began
        measured.after = (both[0].resident(), both[1].resident())
    return measured


def _throughput(server: Server, asks: Sequence[traffic.Ask]) -> float:
    """Completion tokens per second of a turn."""
    began = time.perf_counter()
    answers = traffic.answers(server.url, asks)
    took = time.perf_counter() - began
    return sum(answer.counted or 0 for answer in answers) / took


def _report(name: str, measured: Measured) -> bool:
    ratios = measured.ratios
    low, middle, high = statistics.quantiles(ratios, n=4) if len(ratios) > 1 else (ratios * 3)
    grown, others = measured.grown_mb
    passed = middle >= BAR and grown < BAR_MB
    print(
        f"{name}: throughput with the tap / without {middle:.3f} ({low:.3f} to {high:.3f}, {len(ratios)} pairs; bar: "
        f"{BAR:g}), {statistics.median(measured.with_tap):.1f} and {statistics.median(measured.without):.1f} tok/s; "
        f"memory of API server and engine core grew by {grown:.1f} MB in {measured.driven_s:.0f} s (bar: {BAR_MB:g} "
        f"MB), without the tap by {others:.1f} MB: {'holds' if passed else 'DOES NOT HOLD'}",
        flush=True,
    )
    return passed


@contextmanager
def _attached(name: str, server: Server) -> Iterator[None]:
    """A viewer of this name while the block runs."""
    if name == "nobody":
        yield
        return
    command = [sys.executable, "-m", "tests.load.serving_cost", "--be", name, "--endpoint", server.endpoint]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.PIPE, cwd=servers.ROOT, text=True) as child:
        assert child.stdout is not None
        try:
            if child.stdout.readline().strip() != "live":
                raise RuntimeError(f"the viewer '{name}' did not attach")
            if name == "stopped":
                child.send_signal(signal.SIGSTOP)
            yield
        finally:
            child.send_signal(signal.SIGCONT)
            assert child.stdin is not None
            child.stdin.close()
            print(f"  {name}: {child.stdout.read().strip()}", flush=True)


def _be(name: str, endpoint: str) -> int:
    """Be a viewer until the standard input ends."""
    return _stuck(endpoint) if name == "stuck" else _reading(endpoint)


def _reading(endpoint: str) -> int:
    from spectui.protocol.events import Event, Gap
    from tests.support.real_viewer import Viewer, steps

    class Counting(Viewer):
        seen = gaps = 0

        def emit(self, event: Event) -> None:
            super().emit(event)
            if self.seen or len(self.events) > 100:
                self.seen += len(steps(self.events))
                self.gaps += sum(isinstance(one, Gap) for one in self.events)
                self.events.clear()

    viewer = Counting([endpoint])
    with viewer:
        viewer.live()
        print("live", flush=True)
        sys.stdin.read()
        viewer.seen += len(steps(viewer.events))
        print(f"the viewer saw {viewer.seen} steps and {viewer.gaps} gaps", flush=True)
    return 0


def _stuck(endpoint: str) -> int:
    """Say `Watch` once a second, and read nothing."""
    with zmq.Context() as context, context.socket(zmq.DEALER) as link:
        link.setsockopt(zmq.LINGER, 0)
        link.setsockopt(zmq.RCVHWM, 1)
        link.connect(endpoint)
        link.send(wire.encode(wire.Watch(wire.VERSION, again=True)))
        link.recv()
        print("live", flush=True)
        ending = zmq.Poller()
        ending.register(sys.stdin, zmq.POLLIN)
        watches = 1
        while not ending.poll(round(wire.WATCH_S * 1000)):
            link.send(wire.encode(wire.Watch(wire.VERSION)))
            watches += 1
        print(f"the viewer read one packet and no other while it said {watches} times that it is there")
    return 0


if __name__ == "__main__":
    sys.exit(main())

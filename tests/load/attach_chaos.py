"""Kills servers, the viewer, and the path between them, in random order, and says how the viewer recovers.

``python -m tests.load.attach_chaos 50`` breaks things fifty times and prints for each how long the viewer took to be
live again, counted from when the server or the path was back, and whether its counts are the server's own, with a gap
where steps were missed. ``python -m tests.load.attach_chaos 50 7`` begins the same with seed 7.

Two servers make their steps up behind real publishers: one on TCP, behind a path that can be broken, and one on the
socket that a server has by default, whose name changes with each start. One viewer watches both.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spectui.places import SOCKET_VARIABLE
from spectui.protocol import events as ev
from spectui.serving.feed import Feed
from spectui.serving.publisher import Publisher
from spectui.serving.settings import ServingSettings
from spectui.sources.attached.source import Attached
from spectui.wire import endpoints
from tests.support.breaking_path import BREAKS, BreakingPath
from tests.support.made_server import WALL_NS, MadeServer, about

BAR_S = 5.0
PATIENCE_S = 30.0
STEP_S = WALL_NS / 1e9
"""So that the made-up servers' clocks are not faster than time, by which a viewer tells an older server."""
ANY_PORT = "tcp://127.0.0.1:*"

State = dict[str, Any]


class Child:
    """A process that answers each line that it is sent with one of JSON."""

    def __init__(self, *arguments: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.load.attach_chaos", *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.began: State = self._answer()
        self.began_at = time.monotonic()

    def ask(self, question: str) -> State:
        """Send a line, and return the answer."""
        assert self.process.stdin is not None
        self.process.stdin.write(question + "\n")
        self.process.stdin.flush()
        return self._answer()

    def kill(self) -> None:
        """As ``kill -9``."""
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            assert pipe is not None
            pipe.close()

    def _answer(self) -> State:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, "a process has ended by itself"
        found: State = json.loads(line)
        return found


def serve(endpoint: str) -> None:
    """Be a server: step all the time, but not while paused."""
    feed: Feed
    server = MadeServer(random.randrange(10**9))
    feed = Feed(server.standing)
    # With words of its own the viewer needs no tokenizer, which takes seconds of a processor to load.
    settings = ServingSettings(endpoint=endpoint or None, redaction="text")
    publisher = Publisher(settings, about(pid=os.getpid(), redaction="text"), feed, lambda: ([b"word "] * 1_000, []))
    publisher.start()
    going, ended = threading.Event(), threading.Event()
    going.set()

    def step() -> None:
        while not ended.wait(STEP_S):
            if not going.is_set():
                continue
            with feed.lock:
                items = [server.begin(time.monotonic_ns())] if len(server.running) < 3 else []
                for item in (*items, *server.step()):
                    if feed.watched:
                        feed.put(item)

    threading.Thread(target=step, daemon=True).start()
    _say(endpoint=publisher.endpoint)
    for line in sys.stdin:
        if line.strip() == "pause":
            going.clear()
        else:
            going.set()
        with feed.lock:
            _say(totals=list(server.totals))
    ended.set()
    publisher.stop()


@dataclass
class _Lane:
    """What the events of one endpoint add up to."""

    stage: str = "connecting"
    session: str = ""
    base: ev.Totals | None = None
    reached: ev.Totals | None = None
    seen: ev.Totals = ev.NOTHING
    known: ev.Totals = ev.NOTHING
    gaps: int = 0
    heard_at: float = 0.0
    malformed: int = 0


class Tally:
    """A sink that counts."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.lanes: dict[str, _Lane] = {"e1": _Lane(), "e2": _Lane()}

    def emit(self, event: ev.Event) -> None:
        with self.lock:
            match event:
                case ev.ServerState():
                    self.lanes[event.lane].stage = event.stage
                case ev.ServerSeen():
                    lane = self.lanes[event.lane]
                    if lane.session not in ("", event.session):
                        lane.reached = lane.known
                    lane.session = event.session
                case ev.Serving(lane=name, since_start=totals) if totals is not None:
                    lane = self.lanes[name]
                    lane.base = totals.minus(lane.known) if lane.base is None else lane.base
                    lane.heard_at, lane.malformed = time.monotonic(), event.malformed
                case ev.Step(lane=name):
                    lane = self.lanes[name]
                    lane.seen = lane.seen.plus(event.own_totals)
                    lane.known = lane.known.plus(event.own_totals)
                case ev.Gap():
                    for reached in event.reached:
                        self.lanes[reached.lane].known = reached.totals
                        self.lanes[reached.lane].gaps += event.lost


def view(endpoint: str) -> None:
    """Be a viewer: tell what is known of each endpoint when asked."""
    tally = Tally()
    source = Attached([endpoints.parse(endpoint), endpoints.found()[0]], found=endpoints.found)
    source.start(tally)
    _say()
    for _ in sys.stdin:
        with tally.lock:
            _say(
                now=time.monotonic(),
                **{
                    name: {
                        "stage": lane.stage,
                        "session": lane.session,
                        "base": lane.base,
                        "reached": lane.reached,
                        "seen": lane.seen.steps,
                        "known": list(lane.known),
                        "gaps": lane.gaps,
                        "heard_at": lane.heard_at,
                        "malformed": lane.malformed,
                    }
                    for name, lane in tally.lanes.items()
                },
            )
    source.stop(2.0)


def _say(**answer: object) -> None:
    print(json.dumps(answer), flush=True)


@dataclass(frozen=True)
class Outcome:
    """How the viewer got over one break.

    Attributes:
        what: What was broken.
        seconds: Until it was live again; None if it never was.
        right: Whether its counts are the server's, once that pauses.
        missed: Steps of which only the sums got there.
    """

    what: str
    seconds: float | None
    right: bool
    missed: int

    @property
    def good(self) -> bool:
        return self.seconds is not None and self.seconds <= BAR_S and self.right


class Chaos:
    """Two servers, a path, and a viewer, in processes of their own."""

    def __init__(self, seed: int, longest_s: float = 6.0) -> None:
        self.dice = random.Random(seed)
        self._longest_s = longest_s
        tcp = Child("serve", ANY_PORT)
        self._endpoint: str = tcp.began["endpoint"]
        self.servers = {"e1": tcp, "e2": Child("serve", "")}
        self.path = BreakingPath(("127.0.0.1", int(self._endpoint.rpartition(":")[2])))
        self.viewer = self._view()
        self._wait(lambda: self._fresh(0.0))

    def close(self) -> None:
        """Leave nothing behind."""
        for child in (*self.servers.values(), self.viewer):
            child.kill()
        self.path.close()

    def _view(self) -> Child:
        return Child("view", f"tcp://127.0.0.1:{self.path.port}")

    def _fresh(self, since: float) -> bool:
        """Whether the viewer is live and has heard of both servers since then."""
        state = self.viewer.ask("state")
        return all(state[name]["stage"] == "live" and state[name]["heard_at"] > since for name in self.servers)

    def _wait(self, reached: Callable[[], bool], patience_s: float = PATIENCE_S) -> float | None:
        """How long it took; None if it never came."""
        began = time.monotonic()
        while not reached():
            if time.monotonic() - began > patience_s:
                return None
            time.sleep(0.02)
        return time.monotonic() - began

    def smash(self, what: str) -> Outcome:
        """Break one thing, repair it, and look."""
        before = self.viewer.ask("state")
        match what:
            case "server" | "ipc server":
                name = "e1" if what == "server" else "e2"
                self.servers[name].kill()
                time.sleep(self.dice.uniform(0.0, self._longest_s))
                self.servers[name] = Child("serve", self._endpoint if name == "e1" else "")
            case "viewer":
                self.viewer.kill()
                time.sleep(self.dice.uniform(0.0, 1.0))
                before = None  # type: ignore[assignment]
            case _:
                self.path.mode = what  # type: ignore[assignment]
                time.sleep(self.dice.uniform(0.2, self._longest_s))
                self.path.mode = "pass"
        repaired = time.monotonic()
        if before is None:
            self.viewer = self._view()
        elif what in ("server", "ipc server"):
            self._wait_for_session(name, before[name]["session"])
        self._wait(lambda: self._fresh(repaired))
        seconds = time.monotonic() - repaired
        fresh = self._fresh(repaired)
        right, missed = self._compare(before)
        return Outcome(what, seconds if fresh else None, right, missed)

    def _wait_for_session(self, name: str, session: str) -> None:
        self._wait(lambda: self.viewer.ask("state")[name]["session"] != session)

    def _compare(self, before: State | None) -> tuple[bool, int]:
        """Let the servers pause until the viewer has heard all, and compare."""
        truth = {name: ev.Totals(*server.ask("pause")["totals"]) for name, server in self.servers.items()}

        def equal() -> bool:
            state = self.viewer.ask("state")
            return all(_counts(state[name], truth[name]) for name in truth)

        right = self._wait(equal, 3.0) is not None
        state = self.viewer.ask("state")
        missed = 0
        for name in truth:
            lane = state[name]
            gaps = lane["gaps"] - (0 if before is None else before[name]["gaps"])
            unseen = lane["known"][0] - lane["seen"]
            missed += gaps
            # What was not seen is told as a gap, all of it.
            right &= lane["gaps"] >= unseen
            right &= lane["reached"] is None or lane["gaps"] > 0
        if not right:
            print({name: (state[name], truth[name]) for name in truth}, file=sys.stderr)
        for server in self.servers.values():
            server.ask("go")
        return right, missed


def _counts(lane: State, truth: ev.Totals) -> bool:
    """Whether the viewer counts just what the server has done: since it attached, or on top of what was known when the
    server was started again."""
    if lane["base"] is None:
        return False
    known = ev.Totals(*lane["known"])
    if lane["reached"] is not None:
        return known == ev.Totals(*lane["reached"]).plus(truth)
    return known == truth.minus(ev.Totals(*lane["base"]))


def main(breaks: int, seed: int) -> int:
    """Break things, and print how it went."""
    print(f"{breaks} breaks, seed {seed}")
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o700)
        os.environ[SOCKET_VARIABLE] = folder
        chaos = Chaos(seed)
        kinds = ("server", "ipc server", "viewer", *BREAKS)
        outcomes = []
        try:
            for number in range(breaks):
                outcome = chaos.smash(chaos.dice.choice(kinds))
                outcomes.append(outcome)
                took = "never" if outcome.seconds is None else f"{outcome.seconds:5.2f} s"
                counts = "counts right" if outcome.right else "COUNTS WRONG"
                print(f"{number + 1:3}  {outcome.what:10}  {took}  {counts}  {outcome.missed} steps missed", flush=True)
        finally:
            chaos.close()
    bad = [outcome for outcome in outcomes if not outcome.good]
    slowest = max(outcome.seconds or PATIENCE_S for outcome in outcomes)
    print(f"{len(outcomes) - len(bad)} of {len(outcomes)} recovered within {BAR_S:g} s, the slowest in {slowest:.2f} s")
    return bool(bad)


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["serve", endpoint]:
            serve(endpoint)
        case ["view", endpoint]:
            view(endpoint)
        case [breaks, *seed]:
            sys.exit(main(int(breaks), int(seed[0]) if seed else random.randrange(10**6)))

"""The search for K on a publisher's steps, over real sockets: what it leaves on the server, however it ends."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import zmq

from spectui.protocol import commands as cmd
from spectui.protocol import events as ev
from spectui.sources.attached.source import Attached
from spectui.sources.attached.tap_lane import UNANSWERED
from spectui.sources.attached.tuning import TuneRules
from spectui.wire.endpoints import parse
from spectui.wire.messages import VERSION, About, EngineStep, Item, Reply, SetK, Watch, encode
from tests.sources.attached.test_source import Served, live
from tests.sources.test_synthetic import FAILSAFE_S, Collector
from tests.support.made_server import WALL_NS, MadeServer

BEST = 2
WALL_MS = {0: 30, 1: 30, BEST: 12, 3: 40, 4: 60}


@dataclass
class UnevenServer(MadeServer):
    """Its steps are shortest at `BEST`."""

    ks: list[int] = field(default_factory=list)

    def step(self) -> list[Item]:
        self.ks.append(self.k)
        wall_ns = WALL_MS[self.k] * 1_000_000
        items = super().step()
        self.clock_ns += wall_ns - WALL_NS
        return [
            EngineStep(item.k, wall_ns, self.clock_ns, 1_000_000, wall_ns - 2_000_000, item.totals, item.rows)
            if isinstance(item, EngineStep)
            else item
            for item in items
        ]


class Uneven(Served):
    """Such a server behind a publisher, whose K viewers may change."""

    def __init__(self, folder: Path) -> None:
        super().__init__(f"ipc://{folder}/s.sock", control=True)
        self.server.__class__ = UnevenServer
        self.server.ks = []  # type: ignore[attr-defined]

    def until(self, there: Callable[[], bool]) -> None:
        """Let the engine step until it is so."""
        deadline = time.monotonic() + FAILSAFE_S
        while not there():
            assert time.monotonic() < deadline
            self.step()
            threading.Event().wait(0.001)

    @property
    def ks(self) -> set[int]:
        return set(self.server.ks)  # type: ignore[attr-defined]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Uneven]:
    served = Uneven(tmp_path)
    yield served
    served.publisher.stop()


def tuning(server: Uneven, rules: TuneRules | None = None) -> tuple[Attached, Collector]:
    """A source whose search has begun, and what it says."""
    source, sink = Attached([parse(server.publisher.endpoint)], rules=rules), Collector()
    source.start(sink)
    sink.wait_for(live)
    source.send(cmd.Tune("e1", 60))
    return source, sink


def ended(server: Uneven, sink: Collector) -> ev.TuneEnded:
    """Let the engine step until the search has ended."""

    looked = 0

    def over(events: list[ev.Event]) -> bool:
        nonlocal looked
        last = next((event for event in reversed(events) if isinstance(event, ev.Step)), None)
        # The next ones only when these have arrived, so that a change of K is followed soon.
        if last is None or last.totals == server.server.totals:
            server.step(8)
        looked, first = len(events), looked
        return any(isinstance(event, ev.TuneEnded) for event in events[first:])

    sink.wait_for(over)
    (found,) = sink.of(ev.TuneEnded)
    assert isinstance(found, ev.TuneEnded)
    return found


def test_the_fastest_k_is_found_and_stays(server: Uneven) -> None:
    source, sink = tuning(server)
    found = ended(server, sink)
    assert (found.why, found.fault) == ("separated", "")
    assert found.last.best == BEST
    assert found.serve.startswith("vllm serve /models/made-up --speculative-config")
    assert server.ks == {0, 1, 2, 3, 4}
    server.until(lambda: server.server.k == BEST)
    assert source.stop(FAILSAFE_S)
    server.until(lambda: not server.feed.watched)
    assert server.server.k == BEST
    assert not [event for event in sink.of(ev.Notice) if getattr(event, "level", "") == "warning"]
    assert not sink.of(ev.Gap)


@pytest.mark.parametrize("answers", [True, False])
def test_a_k_that_the_server_does_not_keep_is_no_result(
    server: Uneven, answers: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("spectui.sources.attached.tap_lane.ANSWER_NS", 500_000_000)
    desk = server.publisher._desk
    assert desk is not None
    follow, answer = desk._control.set_k, desk.viewers.answer

    def kept(identity: bytes, ask: SetK, about: About, now: float) -> str:
        return "not for good" if ask.lease_s is None and ask.k == BEST else follow(identity, ask, about, now)

    def said(identity: bytes, item: Item) -> None:
        if answers or not (isinstance(item, Reply) and not item.done):
            answer(identity, item)

    monkeypatch.setattr(desk._control, "set_k", kept)
    monkeypatch.setattr(desk.viewers, "answer", said)
    source, sink = tuning(server)
    found = ended(server, sink)
    why = "not for good" if answers else UNANSWERED
    assert (found.why, found.fault) == ("cancelled", f"{why}: K is 4 again, as before the search")
    assert found.serve == ""
    server.until(lambda: server.server.k == 4 and server.feed.asked_k is None)
    assert source.stop(FAILSAFE_S)


def test_the_guard_gives_the_former_k_back(server: Uneven) -> None:
    source, sink = tuning(server, TuneRules(guard_ms=5))
    found = ended(server, sink)
    assert "the limit is 5 ms: K is 4 again" in found.fault
    server.until(lambda: server.server.k == 4 and server.feed.asked_k is None)
    assert source.stop(FAILSAFE_S)


@pytest.mark.parametrize("how", ["stopped", "quit"])
def test_a_search_that_is_broken_off_gives_the_former_k_back(server: Uneven, how: str) -> None:
    source, sink = tuning(server)
    sink.wait_for(lambda events: server.step() or server.server.k != 4)
    if how == "stopped":
        source.send(cmd.StopTuning())
        assert "K is 4 again" in ended(server, sink).fault
        server.until(lambda: server.server.k == 4)
    assert source.stop(FAILSAFE_S)
    server.until(lambda: server.server.k == 4 and not server.feed.watched)
    assert "K is 4 again" in ended(server, sink).fault


def test_a_viewer_that_dies_has_only_borrowed_k(server: Uneven) -> None:
    context = zmq.Context[zmq.Socket[bytes]]()
    viewer = context.socket(zmq.DEALER)
    viewer.linger = 0
    viewer.connect(server.publisher.endpoint)
    viewer.send(encode(Watch(VERSION)))
    assert viewer.poll(FAILSAFE_S * 1000)
    viewer.send(encode(SetK(1, 1, 0.3)))
    server.until(lambda: server.server.k == 1)
    # It says nothing more, but its connection stays.
    server.until(lambda: server.server.k == 4)
    context.destroy(0)


def test_a_server_without_control_is_not_tuned(tmp_path: Path) -> None:
    served = Served(f"ipc://{tmp_path}/s.sock")
    source, sink = Attached([parse(served.publisher.endpoint)]), Collector()
    source.start(sink)
    sink.wait_for(live)
    source.send(cmd.Tune("e1", 60))
    said = "K cannot be changed: the server was started without SPECTUI_CONTROL=1"
    sink.wait_for(lambda events: ev.Notice(said, "e1", level="warning") in events)
    assert source.stop(FAILSAFE_S)
    served.publisher.stop()

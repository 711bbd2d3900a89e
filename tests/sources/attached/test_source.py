"""An attached run over real sockets: a publisher with made-up steps, and the source that watches it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from spectui.protocol import commands as cmd
from spectui.protocol import events as ev
from spectui.serving.feed import Feed
from spectui.serving.publisher import Publisher
from spectui.serving.settings import ServingSettings
from spectui.sources.attached.source import REFUSAL, Attached
from spectui.wire.endpoints import parse
from spectui.wire.messages import KSet
from tests.sources.test_synthetic import FAILSAFE_S, Collector
from tests.support.made_server import MadeServer, about

pytestmark = pytest.mark.unit


class Served:
    """A made-up server behind a real publisher; `step` is what its engine thread does."""

    def __init__(self, endpoint: str, seed: int = 0, **settings: object) -> None:
        self.server = MadeServer(seed)
        self.feed = Feed(self.server.standing)
        said = about(control=settings.get("control", False), redaction=settings.get("redaction", "ids"))
        self.publisher = Publisher(ServingSettings(endpoint=endpoint, **settings), said, self.feed)  # type: ignore[arg-type]
        self.publisher.start()

    def step(self, number: int = 1) -> None:
        for _ in range(number):
            with self.feed.lock:
                items = [self.server.begin()] if len(self.server.running) < 2 else []
                for item in (*items, *self.server.step()):
                    if self.feed.watched:
                        self.feed.put(item)
                if (k := self.feed.asked_k) is not None:
                    self.feed.asked_k, self.server.k = None, k
                    self.feed.put(KSet(k))


@pytest.fixture
def attached() -> Iterator[list[Attached]]:
    """Sources to stop at the end."""
    sources: list[Attached] = []
    yield sources
    for source in sources:
        assert source.stop(FAILSAFE_S)


def live(events: list[ev.Event], number: int = 1) -> bool:
    return sum(isinstance(event, ev.ServerState) and event.stage == "live" for event in events) >= number


def steps(events: list[ev.Event]) -> int:
    return sum(isinstance(event, ev.Step) for event in events)


def test_a_run_of_two_servers(tmp_path: Path, attached: list[Attached]) -> None:
    served = [Served(f"ipc://{tmp_path}/{name}.sock", seed) for seed, name in enumerate("ab")]
    source, sink = Attached([parse(one.publisher.endpoint) for one in served]), Collector()
    attached.append(source)
    source.start(sink)
    sink.wait_for(lambda events: live(events, 2))
    run, begun = sink.events[:2]
    assert isinstance(run, ev.RunStarted)
    assert run.attached
    assert [(info.name, info.title) for info in run.lanes] == [("e1", "a"), ("e2", "b")]
    assert begun == ev.RoundStarted(0, (), ev.Sampling())
    for one in served:
        one.step(30)
    total = sum(one.server.totals.steps for one in served)
    sink.wait_for(lambda events: steps(events) == total)
    for name, one in zip(("e1", "e2"), served, strict=True):
        last = [event for event in sink.of(ev.Step) if event.lane == name][-1]
        assert last.totals == one.server.totals
        one.publisher.stop()
    assert not sink.of(ev.Gap)
    slots = [event.slot for event in sink.of(ev.RequestStarted)]
    assert len(set(slots)) == len(slots)
    assert source.slot.busy is False


def test_k_is_changed_where_the_server_lets_it(tmp_path: Path, attached: list[Attached]) -> None:
    yes, no = (Served(f"ipc://{tmp_path}/{control}.sock", control=control) for control in (True, False))
    source, sink = Attached([parse(one.publisher.endpoint) for one in (yes, no)]), Collector()
    attached.append(source)
    source.start(sink)
    sink.wait_for(lambda events: live(events, 2))
    for command in (cmd.SetK("e2", 1), cmd.SetK("e1", 9), cmd.SetK("e1", None), cmd.SetK("e1", 2), cmd.Pause()):
        source.send(command)

    def changed(events: list[ev.Event]) -> bool:
        yes.step()
        return ev.KChanged("e1", 2, "yours") in events

    sink.wait_for(changed)
    said = [event.text for event in sink.of(ev.Notice)]
    assert said == [
        "the server does not let viewers change K: start it with SPECTUI_CONTROL=1",
        "K = 9 is not possible: the server was built for K from 0 to 4",
        "the server cannot choose K by itself: name one",
        REFUSAL,
    ]
    for one in (yes, no):
        one.publisher.stop()

"""An attached run over real sockets: a publisher with made-up steps, and the source that watches it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from spectui.errors import UsageError
from spectui.protocol import commands as cmd
from spectui.protocol import events as ev
from spectui.protocol.limits import MAX_LANES
from spectui.serving.feed import Feed
from spectui.serving.publisher import Publisher
from spectui.serving.settings import ServingSettings
from spectui.sources.attached.source import ENOUGH, NO_API, NO_TAP, REFUSAL, TWICE, Attached
from spectui.wire import keys
from spectui.wire.endpoints import Endpoint, parse
from spectui.wire.messages import KSet
from tests.sources.test_accepts import EXAMPLES
from tests.sources.test_synthetic import FAILSAFE_S, Collector
from tests.support.made_server import MadeServer, about

pytestmark = pytest.mark.unit


def words() -> tuple[list[bytes], list[int]]:
    """The vocabulary of the made-up servers."""
    return [b"w%d " % number for number in range(1_000)], []


class Served:
    """A made-up server behind a real publisher; `step` is what its engine thread does."""

    def __init__(self, endpoint: str, seed: int = 0, **settings: object) -> None:
        self.server = MadeServer(seed)
        self.feed = Feed(self.server.standing)
        said = about(control=settings.get("control", False), redaction=settings.get("redaction", "ids"))
        self.publisher = Publisher(ServingSettings(endpoint=endpoint, **settings), said, self.feed, words)  # type: ignore[arg-type]
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


def refused(events: list[ev.Event]) -> bool:
    return any(isinstance(event, ev.ServerState) and event.stage == "refused" for event in events)


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
    # That there is no tokenizer for a made-up model is found out at any time.
    said = [event.text for event in sink.of(ev.Notice) if "tokenizer" not in event.text]
    assert said == [
        "K cannot be changed: the server was started without SPECTUI_CONTROL=1",
        "K = 9 is not possible: the server was built for K from 0 to 4",
        "the server cannot choose K by itself: name one",
        REFUSAL,
    ]
    for one in (yes, no):
        one.publisher.stop()


@pytest.mark.parametrize("command", [EXAMPLES[kind] for kind in EXAMPLES if kind not in Attached.accepts])
def test_what_a_server_cannot_be_told_is_refused_in_a_sentence(command: cmd.Command, attached: list[Attached]) -> None:
    source, sink = Attached([parse("tcp://127.0.0.1:9")]), Collector()
    attached.append(source)
    source.start(sink)
    source.send(command)
    sink.wait_for(lambda events: ev.Notice(REFUSAL, level="warning") in events)


def test_what_is_not_possible_yet_is_said(attached: list[Attached]) -> None:
    source, sink = Attached([parse("tcp://127.0.0.1:9"), parse("http://127.0.0.1:9")]), Collector()
    attached.append(source)
    source.start(sink)
    for command in (cmd.SetK("e1", 1), cmd.Tune("e1"), cmd.SetK("e2", 1), cmd.Tune("e2"), cmd.StopTuning()):
        source.send(command)
    sink.wait_for(lambda events: sum(isinstance(event, ev.Notice) for event in events) == 5)
    there = "127.0.0.1:9 is not connected: K cannot be changed"
    assert [event.text for event in sink.of(ev.Notice)] == [there, there, NO_TAP, NO_TAP, "no search for K is running"]


def test_a_prompt_needs_an_api(attached: list[Attached]) -> None:
    source, sink = Attached([parse("tcp://127.0.0.1:9")]), Collector()
    attached.append(source)
    source.start(sink)
    source.send(cmd.SetPrompt("why?"))
    sink.wait_for(lambda events: ev.Notice(NO_API, level="warning") in events)


@pytest.mark.parametrize("api", ["http://127.0.0.1:9", None])
def test_a_prompt_is_sent_to_the_api_and_answered(api: str | None, attached: list[Attached]) -> None:
    endpoints = [parse("tcp://127.0.0.1:9" if api else "http://127.0.0.1:9")]
    source, sink = Attached(endpoints, api=api), Collector()
    attached.append(source)
    source.start(sink)
    source.send(cmd.SetPrompt("why?"))
    sink.wait_for_kind(ev.Answered)
    assert ev.Asked("e1", 1, "why?") in sink.events
    assert all(event.fault for event in sink.of(ev.Answered))


def test_plain_tcp_beyond_this_machine_is_refused_unless_forced(attached: list[Attached], tmp_path: Path) -> None:
    there = parse("tcp://192.0.2.1:5557")
    source, sink = Attached([there]), Collector()
    attached.append(source)
    source.start(sink)
    sink.wait_for(
        lambda events: any(isinstance(event, ev.ServerState) and event.stage == "refused" for event in events)
    )
    assert sink.of(ev.ServerState)[-1].why.endswith("or force it with --insecure")
    # Keys that are not there are said, too.
    keyed, other = Attached([there], keys=tmp_path / "none"), Collector()
    attached.append(keyed)
    keyed.start(other)
    other.wait_for(
        lambda events: any(isinstance(event, ev.ServerState) and event.stage == "refused" for event in events)
    )
    assert "make keys with spectui keys" in other.of(ev.ServerState)[-1].why


def test_with_keys_only_who_is_admitted_watches(tmp_path: Path, attached: list[Attached]) -> None:
    folder = tmp_path / "keys"
    keys.make(folder, "viewer")
    served = Served("tcp://127.0.0.1:*", keys=folder)
    source, sink = Attached([parse(served.publisher.endpoint)], keys=folder), Collector()
    attached.append(source)
    source.start(sink)
    sink.wait_for(live)
    served.step(5)
    sink.wait_for(lambda events: steps(events) == served.server.totals.steps)
    served.publisher.stop()


def test_servers_words_are_the_texts(tmp_path: Path, attached: list[Attached]) -> None:
    served = Served(f"ipc://{tmp_path}/a.sock", redaction="text")
    source, sink = Attached([parse(served.publisher.endpoint)]), Collector()
    attached.append(source)
    source.start(sink)
    sink.wait_for(live)

    def worded(events: list[ev.Event]) -> bool:
        served.step()
        return any(isinstance(event, ev.Step) and event.text[:1] == (f"w{event.emitted[0]} ",) for event in events)

    sink.wait_for(worded)
    served.publisher.stop()


class Crowded(Collector):
    """A screen that has not drawn yet what it was given."""

    waiting = 0

    def __len__(self) -> int:
        return self.waiting


def test_nothing_is_read_while_the_screen_has_enough_to_do(tmp_path: Path, attached: list[Attached]) -> None:
    served = Served(f"ipc://{tmp_path}/a.sock", redaction="text")
    source, sink = Attached([parse(served.publisher.endpoint)]), Crowded()
    attached.append(source)
    source.start(sink)
    sink.wait_for(live)
    sink.waiting = ENOUGH + 1
    source.send(cmd.Pause())
    sink.wait_for(lambda events: ev.Notice(REFUSAL, level="warning") in events)
    # The turn in which the command was followed may have begun before the screen was busy.
    source.send(cmd.SetPrompt("why?"))
    sink.wait_for(lambda events: ev.Notice(NO_API, level="warning") in events)
    before = steps(sink.events)
    served.step(20)
    source.send(cmd.SetK("e1", None))
    sink.wait_for(lambda events: sum(isinstance(event, ev.Notice) for event in events) >= 3)
    assert steps(sink.events) == before
    sink.waiting = 0
    sink.wait_for(lambda events: steps(events) == served.server.totals.steps)
    served.publisher.stop()


def test_a_server_that_is_watched_under_two_names_is_told(attached: list[Attached]) -> None:
    served = Served("tcp://127.0.0.1:*")
    port = parse(served.publisher.endpoint).port
    source, sink = Attached([parse(f"127.0.0.1:{port}"), parse(f"localhost:{port}")]), Collector()
    attached.append(source)
    source.start(sink)
    sink.wait_for(lambda events: live(events, 2))
    said = ev.Notice(TWICE.format(other="e1"), "e2", level="warning")
    sink.wait_for(lambda events: said in events)
    served.publisher.stop()


def test_one_that_was_never_started_is_stopped() -> None:
    assert Attached([Endpoint("ipc", "/a")]).stop(0)


def test_there_are_at_most_as_many_endpoints_as_lanes() -> None:
    with pytest.raises(UsageError, match="attach to at most 32"):
        Attached([Endpoint("ipc", "/a")] * (MAX_LANES + 1))

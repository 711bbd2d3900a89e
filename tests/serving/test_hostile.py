"""Whatever is sent to a server: it goes on, does not grow, and its viewers notice nothing."""

from __future__ import annotations

import logging
import random
import time
from itertools import islice, pairwise

import psutil
import pytest

from spectui.serving import publisher as published
from spectui.serving.desk import FRAMES_A_TURN
from spectui.serving.settings import ServingSettings
from spectui.wire.messages import EngineStep, Watch, read_ask
from spectui.wire.messages import MalformedError as Malformed
from tests.support.hostile import LONG, Stranger, asks, openings
from tests.support.viewers import FAILSAFE_S, LOCAL, Server, Viewer, of_kind, serving, step, viewing

MESSAGES = 4_000
GROWTH = 10_000_000


def test_none_of_them_is_a_message() -> None:
    for parts in asks(5_000, seed=3):
        if len(parts) == 1:
            with pytest.raises(Malformed):
                read_ask(parts[0])


def test_hostile_messages_are_counted_and_a_viewer_beside_gets_everything(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(published, "TURN_S", 0.001)
    with serving() as server, viewing(server.publisher.endpoint) as viewer, viewing(server.publisher.endpoint) as bad:
        viewer.watch()
        hostile = asks(MESSAGES)
        _sent(bad, list(islice(hostile, 500)), server, viewer)
        before = psutil.Process().memory_info().rss
        got = _sent(bad, list(hostile), server, viewer)
        assert [one.clock_ns for one in got] == sorted({one.clock_ns for one in got})
        assert psutil.Process().memory_info().rss - before < GROWTH
        assert server.publisher.dropped == 0
    said = [record for record in caplog.records if "malformed messages of viewers were dropped" in record.message]
    assert len(said) == 1
    assert said[0].levelno == logging.WARNING


def _sent(bad: Viewer, messages: list[list[bytes]], server: Server, viewer: Viewer) -> list[EngineStep]:
    """Send them, with a step after each hundred; returns the steps that the viewer got."""
    malformed = server.publisher.malformed
    got: list[EngineStep] = []
    put = 0
    for number, parts in enumerate(messages):
        bad.socket.send_multipart(parts)
        if number % 100 == 0:
            server.put(step(index=server.steps))
            put += 1
            viewer.say(Watch(1))
    deadline = time.monotonic() + FAILSAFE_S
    while server.publisher.malformed < malformed + len(messages) or len(got) < put:
        assert time.monotonic() < deadline
        packet = viewer.next()
        got += of_kind(packet.items, EngineStep)
        viewer.say(Watch(1))
    assert server.publisher.malformed == malformed + len(messages)
    return got


def test_who_sends_too_much_is_cut_off() -> None:
    with serving() as server, viewing(server.publisher.endpoint) as viewer:
        viewer.watch()
        before = psutil.Process().memory_info().rss
        for _ in range(20):
            with viewing(server.publisher.endpoint) as bad:
                bad.socket.send(LONG)
                bad.say(Watch(1))
                assert bad.maybe(0.02) is None
        server.put(step())
        viewer.until(EngineStep)
        # Counted would be what was read.
        assert (server.publisher.viewers, server.publisher.malformed) == (1, 0)
        assert psutil.Process().memory_info().rss - before < GROWTH


def test_connections_that_are_no_viewers_harm_nobody() -> None:
    rng = random.Random(5)
    with serving() as server, viewing(server.publisher.endpoint) as viewer:
        viewer.watch()
        strangers = [Stranger(server.publisher.endpoint) for _ in range(200)]
        for stranger in strangers:
            stranger.say(openings(rng))
        server.put(step())
        viewer.until(EngineStep)
        for stranger in strangers:
            stranger.close()
        server.put(step())
        viewer.until(EngineStep)
        assert server.publisher.viewers == 1


def test_who_asks_without_end_gets_a_bounded_share_of_the_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also without viewers, when the thread otherwise wakes with each message."""
    turns = []
    with serving(ServingSettings(endpoint=LOCAL)) as server, viewing(server.publisher.endpoint) as bad:
        desk = server.publisher._desk
        assert desk is not None
        turn = desk.turn
        monkeypatch.setattr(desk, "turn", lambda now: (turns.append(desk.malformed), turn(now)))
        for _ in range(1_000):
            bad.socket.send(b"\xc1")
        with viewing(server.publisher.endpoint) as other:
            other.watch()
        while server.publisher.malformed < 1_000:
            assert bad.socket.poll(1) == 0
    reads = [after - before for before, after in pairwise(turns)]
    assert 0 < max(reads) <= FRAMES_A_TURN / 2

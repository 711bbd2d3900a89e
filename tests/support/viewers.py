"""A server's side of the wire without an engine, and viewers that do no more than they are told."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import zmq

from spectui.serving.feed import Feed
from spectui.serving.publisher import Publisher
from spectui.serving.settings import ServingSettings
from spectui.wire.endpoints import parse
from spectui.wire.keys import secure_viewer
from spectui.wire.messages import (
    VERSION,
    About,
    Ask,
    EngineStep,
    Item,
    Packet,
    Row,
    Standing,
    Watch,
    encode,
    read_packet,
)

FAILSAFE_S = 30.0
LOCAL = "tcp://127.0.0.1:*"

ABOUT = About(
    model="target",
    tokenizer="target",
    revision="",
    served_names=["target"],
    method="mtp",
    k_max=4,
    redaction="ids",
    share=1.0,
    drafts=True,
    why="",
    control=True,
    fixed_k="",
    host="here",
    pid=1,
    dp_rank=0,
    dp_size=1,
    tensor_parallel=1,
    pipeline_parallel=1,
    seats=64,
    asynchronous=False,
    runner="V1",
    device="cpu",
    dtype="float32",
    vocabulary=1_000,
    versions={},
)


def step(rows: int = 1, drafted: int = 4, *, index: int = 0) -> EngineStep:
    """An engine step of ``rows`` requests, each with ``drafted`` tokens, all accepted."""
    row_ids = list(range(40_000, 40_000 + drafted))
    of = [Row(slot, index, index * 5, list(row_ids), drafted, [*row_ids, 7], drafted + 1) for slot in range(rows)]
    return EngineStep(drafted, 10_000_000, index * 10_000_000, 1_000_000, 8_000_000, [index] * 6, of)


class Server:
    """A publisher with a feed that a test fills.

    Attributes:
        feed: The feed.
        publisher: The publisher.
        steps: Engine steps so far, as `Standing` tells.
    """

    def __init__(self, settings: ServingSettings, about: About = ABOUT, words: Any = None, *, rank: int = 0) -> None:
        self.steps = 0
        self.feed = Feed(self._standing)
        self.publisher = Publisher(settings, about, self.feed, words, rank=rank)

    def _standing(self, dropped: int) -> Standing:
        return Standing(0, [0] * 6, [], [], None, None, self.steps, 2, 0, dropped, [])

    def put(self, *items: Item) -> None:
        """As the engine thread does: a step is counted always, and put if somebody watches."""
        with self.feed.lock:
            for item in items:
                self.steps += isinstance(item, EngineStep)
                if self.feed.watched:
                    self.feed.put(item)

    def wait_until_watched(self, watched: bool = True) -> None:
        """Wait until there is a viewer, or none."""
        deadline = time.monotonic() + FAILSAFE_S
        while self.feed.watched != watched:
            assert time.monotonic() < deadline
            time.sleep(0.001)


@contextmanager
def serving(settings: ServingSettings | None = None, about: About = ABOUT, words: Any = None) -> Iterator[Server]:
    """A server on a port of this machine, unless the settings say otherwise."""
    server = Server(settings or ServingSettings(endpoint=LOCAL), about, words)
    server.publisher.start()
    try:
        yield server
    finally:
        server.publisher.stop()


class Viewer:
    """One connection to a server."""

    def __init__(self, endpoint: str, keys: Path | None = None, *, packets: int = 1_000) -> None:
        place = parse(endpoint)
        self.context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self.socket = self.context.socket(zmq.DEALER)
        self.socket.linger = 0
        self.socket.rcvhwm = packets
        self.socket.ipv6 = place.needs_ipv6()
        if keys is not None:
            secure_viewer(self.socket, keys)
        self.socket.connect(place.address)

    def say(self, *asks: Ask) -> None:
        """Say it."""
        for ask in asks:
            self.socket.send(encode(ask))

    def watch(self) -> Packet:
        """Begin to watch; returns the first packet."""
        self.say(Watch(VERSION))
        return self.next()

    def next(self, within_s: float = FAILSAFE_S) -> Packet:
        """The next packet."""
        found = self.maybe(within_s)
        assert found is not None, "the server says nothing"
        return found

    def maybe(self, within_s: float) -> Packet | None:
        """The next packet, if it comes in time."""
        return read_packet(self.socket.recv()) if self.socket.poll(within_s * 1000) else None

    def until(self, kind: type[msgspec.Struct], count: int = 1, within_s: float = FAILSAFE_S) -> list[Item]:
        """All items until the ``count``-th of this kind; says meanwhile that it is there."""
        found: list[Item] = []
        deadline = time.monotonic() + within_s
        while sum(isinstance(item, kind) for item in found) < count:
            assert time.monotonic() < deadline, f"no {kind.__name__} among {len(found)} items"
            self.say(Watch(VERSION))
            packet = self.maybe(0.5)
            found += packet.items if packet is not None else ()
        return found

    def close(self) -> None:
        self.socket.close(linger=0)
        self.context.term()


@contextmanager
def viewing(endpoint: str, keys: Path | None = None, *, packets: int = 1_000) -> Iterator[Viewer]:
    """A viewer of the server at ``endpoint``."""
    viewer = Viewer(endpoint, keys, packets=packets)
    try:
        yield viewer
    finally:
        viewer.close()


def of_kind(items: Sequence[Item], kind: type[Any]) -> list[Any]:
    """Those of one kind."""
    return [item for item in items if isinstance(item, kind)]

"""The ZeroMQ socket to one endpoint: it watches, reads what comes, and is made anew while nothing comes."""

from __future__ import annotations

import logging
from pathlib import Path

import zmq

from spectui.errors import SpecTUIError
from spectui.protocol.events import Event
from spectui.sources.attached.stream import Stream
from spectui.wire import messages as wire
from spectui.wire.endpoints import Endpoint
from spectui.wire.keys import secure_viewer

logger = logging.getLogger(__name__)

NS = 1_000_000_000
WATCH_NS = int(wire.WATCH_S * NS)
GONE_NS = int(wire.GONE_S * NS)
AGAIN_NS = NS // 4
"""How often at most a server is asked to say everything again."""

MOST_AT_ONCE = 64
"""Messages that are read before other endpoints and commands have their turn."""

WAITING_PACKETS = 256
"""Packets that may wait here; more wait, or are dropped, at the server."""

PLAIN = (
    "{address} is not on this machine and would be read without encryption: give the folder of your keys with --keys "
    "(spectui keys makes them), tunnel it to this machine, or force it with --insecure"
)
SILENT = (
    "nothing is heard from {address}: does the server run with --scheduler-cls spectui.serving.TracingScheduler, and "
    "does its log name this endpoint{keys}?"
)
KEYS = " and admit this viewer's key"


class Link:
    """A connection to an endpoint, and the stream of what it sends.

    Attributes:
        endpoint: Where the server is.
        socket: None while the endpoint cannot be watched at all.
        heard_ns: When something was heard last, or the connection was made.
    """

    def __init__(
        self,
        context: zmq.Context[zmq.Socket[bytes]],
        endpoint: Endpoint,
        stream: Stream,
        keys: Path | None,
        *,
        insecure: bool,
    ) -> None:
        self.endpoint = endpoint
        self.stream = stream
        self.socket: zmq.Socket[bytes] | None = None
        self._context = context
        self._keys = keys if endpoint.kind == "tcp" else None
        self._insecure = insecure
        self._opened_ns = 0
        self.heard_ns = 0
        self._watched_ns: int | None = None

    def open(self, now_ns: int) -> list[Event]:
        """Connect, for the first time or again."""
        self.close()
        self._opened_ns = self.heard_ns = now_ns
        self._watched_ns = None
        if self.endpoint.kind == "tcp" and self._keys is None and not (self.endpoint.loopback or self._insecure):
            return self.stream.told("refused", PLAIN.format(address=self.endpoint.address))
        socket = self._context.socket(zmq.DEALER)
        try:
            self._prepare(socket)
            socket.connect(self.endpoint.address)
        except (zmq.ZMQError, SpecTUIError, OSError) as error:
            socket.close(0)
            return self.stream.told("refused", f"{self.endpoint.address} cannot be watched: {error}")
        self.socket = socket
        self.stream.lost()
        return self.watch(now_ns)

    def _prepare(self, socket: zmq.Socket[bytes]) -> None:
        socket.linger = 0
        socket.rcvhwm = WAITING_PACKETS
        socket.sndhwm = 16
        socket.maxmsgsize = wire.MOST_BYTES
        # Nothing is kept for a server that is not there: what was asked a while ago is no longer wanted.
        socket.immediate = True
        # A path that neither carries nor breaks is given up, and tried again soon.
        socket.heartbeat_ivl = 1_000
        socket.heartbeat_timeout = 2_000
        socket.handshake_ivl = 2_000
        socket.connect_timeout = 2_000
        socket.reconnect_ivl = 100
        socket.reconnect_ivl_max = 1_000
        socket.ipv6 = self.endpoint.needs_ipv6()
        if self._keys is not None:
            secure_viewer(socket, self._keys)

    def close(self, linger_ms: int = 0) -> None:
        """Disconnect; what was said last may take so long to leave."""
        if self.socket is not None:
            self.send(wire.Leave())
            self.socket.close(linger_ms)
            self.socket = None

    def send(self, ask: wire.Ask) -> bool:
        """Send a message; False if the server cannot be reached now."""
        if self.socket is None:
            return False
        try:
            self.socket.send(wire.encode(ask), zmq.NOBLOCK)
        except zmq.ZMQError:
            return False
        return True

    def receive(self, now_ns: int) -> list[Event]:
        """Read what is there, as events."""
        events: list[Event] = []
        if (socket := self.socket) is None:
            return events
        for _ in range(MOST_AT_ONCE):
            try:
                frames = socket.recv_multipart(zmq.NOBLOCK)
            except zmq.ZMQError:
                break
            self.heard_ns = now_ns
            events += self.stream.read(frames[0] if len(frames) == 1 else b"", now_ns)
        return events

    def watch(self, now_ns: int) -> list[Event]:
        """Say that somebody watches, when it is due."""
        again = self.stream.wants_again
        due = self._watched_ns is None or now_ns - self._watched_ns >= (AGAIN_NS if again else WATCH_NS)
        if due and self.send(wire.Watch(wire.VERSION, again)):
            self._watched_ns = now_ns
        return []

    def tick(self, now_ns: int) -> list[Event]:
        """Do what is due."""
        events = self.stream.tick(now_ns, GONE_NS)
        self.watch(now_ns)
        if self.socket is not None and now_ns - self.heard_ns > GONE_NS:
            keys = KEYS if self._keys is not None else ""
            events += self.stream.silent(SILENT.format(address=self.endpoint.address, keys=keys))
            # Its connection may be half dead, and a name may lead elsewhere by now.
            events += self.open(now_ns)
        return events

"""The ZeroMQ socket to one endpoint: it watches, reads what comes, and is made anew while nothing comes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import zmq

from spectui.errors import SpecTUIError
from spectui.protocol.events import Event
from spectui.sources.attached.handshake import Handshakes
from spectui.sources.attached.lookup import Lookup
from spectui.sources.attached.stream import Stream
from spectui.wire import messages as wire
from spectui.wire.endpoints import Endpoint
from spectui.wire.keys import secure_viewer

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
NOT_FOUND = "{host} cannot be found ({why}): check the name"
NO_ANSWER = "it is not known yet where {host} is: the resolver does not answer"


class Link:
    """A connection to an endpoint, and the stream of what it sends.

    Attributes:
        endpoint: Where the server is.
        socket: None while the endpoint cannot be watched at all, or its host is not known yet.
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
        self._lookup = Lookup(endpoint.host) if endpoint.kind == "tcp" else None
        self._seeking = False
        self._handshakes: Handshakes | None = None
        self._kept_out = False
        self.heard_ns = 0
        self._watched_ns: int | None = None

    def open(self, now_ns: int) -> list[Event]:
        """Connect, for the first time or again."""
        self.close()
        self.heard_ns = now_ns
        self._watched_ns = None
        self._kept_out = False
        if self.endpoint.kind == "tcp" and self._keys is None and not (self.endpoint.loopback or self._insecure):
            return self.stream.told("refused", PLAIN.format(address=self.endpoint.address))
        self._seeking = self._lookup is not None and not self._lookup.ask()
        return [] if self._seeking else self._connect(now_ns)

    def _connect(self, now_ns: int) -> list[Event]:
        """Connect to where the host is."""
        there = self.endpoint
        if self._lookup is not None:
            if not self._lookup.address:
                return self.stream.silent(NOT_FOUND.format(host=there.host, why=self._lookup.fault))
            there = replace(there, host=self._lookup.address)
        socket = self._context.socket(zmq.DEALER)
        try:
            self._prepare(socket, there)
            self._handshakes = Handshakes(socket, self.endpoint.address, keys=self._keys is not None)
            socket.connect(there.address)
        except (zmq.ZMQError, SpecTUIError, OSError) as error:
            self._hush()
            socket.close(0)
            return self.stream.told("refused", f"{self.endpoint.address} cannot be watched: {error}")
        self.socket = socket
        self.stream.lost()
        return self.watch(now_ns)

    def _prepare(self, socket: zmq.Socket[bytes], there: Endpoint) -> None:
        socket.linger = 0
        socket.rcvhwm = WAITING_PACKETS
        socket.sndhwm = 16
        socket.maxmsgsize = wire.MOST_BYTES
        # Nothing is kept for a server that is not there: what was asked a while ago is no longer wanted.
        socket.immediate = True
        # `tick` gives up a path that neither carries nor breaks. Heartbeats must not be the first: where nothing
        # is read for a while, because the screen cannot keep up, their answers wait behind the packets.
        socket.heartbeat_ivl = 2_000
        socket.heartbeat_timeout = 30_000
        socket.handshake_ivl = 2_000
        socket.connect_timeout = 2_000
        socket.reconnect_ivl = 100
        socket.reconnect_ivl_max = 1_000
        socket.ipv6 = there.kind == "tcp" and ":" in there.host
        if self._keys is not None:
            secure_viewer(socket, self._keys)

    def close(self, linger_ms: int = 0) -> None:
        """Disconnect; what was said last may take so long to leave."""
        if self.socket is not None:
            self.send(wire.Leave())
            self._hush()
            self.socket.close(linger_ms)
            self.socket = None

    def _hush(self) -> None:
        if self._handshakes is not None:
            self._handshakes.close()
            self._handshakes = None

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
        """Say that somebody watches, when it is due; and hear whether the server lets nobody in."""
        again = self.stream.wants_again
        due = self._watched_ns is None or now_ns - self._watched_ns >= (AGAIN_NS if again else WATCH_NS)
        if due and self.send(wire.Watch(wire.VERSION, again)):
            self._watched_ns = now_ns
        if self._handshakes is None or not (why := self._handshakes.fault()):
            return []
        self._kept_out = True
        return self.stream.told("refused", why)

    def tick(self, now_ns: int) -> list[Event]:
        """Do what is due."""
        events = self.stream.tick(now_ns, GONE_NS)
        if self._seeking and self._lookup is not None and self._lookup.answered():
            self._seeking = False
            events += self._connect(now_ns)
        events += self.watch(now_ns)
        if now_ns - self.heard_ns > GONE_NS:
            events += self._unheard()
            # Its connection may be half dead, and a name may lead elsewhere by now.
            events += self.open(now_ns)
        return events

    def _unheard(self) -> list[Event]:
        """Say why nothing is heard."""
        if self._seeking:
            return self.stream.silent(NO_ANSWER.format(host=self.endpoint.host))
        if self.socket is None or self._kept_out:
            return []
        keys = KEYS if self._keys is not None else ""
        return self.stream.silent(SILENT.format(address=self.endpoint.address, keys=keys))

"""The server's socket: bound where the operator said, open to whom they said, and limited in what it keeps."""

from __future__ import annotations

import errno
import logging
import os
import socket as sockets
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from spectui.serving.settings import ServingSettings, SettingsError
from spectui.wire.endpoints import Endpoint, EndpointError, listening, parse
from spectui.wire.keys import Door, KeysError, secure_server

if TYPE_CHECKING:
    import zmq

logger = logging.getLogger(__name__)

MOST_PACKETS = 128
"""Packets that wait for a viewer which does not read; more are dropped."""

MOST_ASKS = 64
"""Messages that wait of one viewer; then it waits itself."""

MOST_ASK_BYTES = 4_096
"""A viewer that says more at once is cut off; the longest of its messages has some 30 bytes."""

HANDSHAKE_MS = 5_000
HEARTBEAT_MS, HEARTBEAT_LOST_MS = 2_000, 6_000
"""A connection that does not become one, or does not answer, is closed."""


@dataclass(frozen=True, slots=True)
class Bound:
    """A socket that viewers can reach.

    Attributes:
        socket: The ROUTER.
        endpoint: As viewers write it.
        door: Who admits viewers; None if all are admitted.
        file: The socket's file, if it has one.
    """

    socket: zmq.Socket[bytes]
    endpoint: Endpoint
    door: Door | None
    file: Path | None

    def close(self) -> None:
        """Close at once; what waits to be sent is not sent."""
        context = self.socket.context
        self.socket.close(linger=0)
        if self.door is not None:
            self.door.close()
        context.term()


def bound(settings: ServingSettings, rank: int) -> Bound | None:
    """Bind the socket of the engine of this data-parallel rank; None, with a warning in the log, if another server has
    its place.

    Raises:
        SettingsError: The settings are wrong, or nothing can be bound there.
    """
    import zmq

    place = settings.place(rank)
    try:
        if place.kind == "ipc" and listening(Path(place.path)):
            _warn_taken(place)
            return None
    except EndpointError as error:
        raise SettingsError(f"SPECTUI_ENDPOINT: {error}") from None
    # A context of its own: the engine's sockets are not touched, and neither waits for the other at exit.
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context(1)
    router = context.socket(zmq.ROUTER)
    door = None
    try:
        _limit(router)
        router.ipv6 = place.needs_ipv6()
        if settings.keys is not None:
            door = secure_server(router, settings.keys)
        _bind(router, place)
    except (zmq.ZMQError, KeysError) as error:
        Bound(router, place, door, None).close()
        if isinstance(error, KeysError):
            raise SettingsError(f"SPECTUI_KEYS: {error}") from None
        if error.errno == errno.EADDRINUSE:
            _warn_taken(place)
            return None
        why = zmq.strerror(error.errno or 0)
        raise SettingsError(f"SPECTUI_ENDPOINT: {place.address} cannot be bound ({why})") from None
    last = router.getsockopt(zmq.LAST_ENDPOINT)
    assert isinstance(last, bytes)
    seen = parse(last.rstrip(b"\0").decode(), bind=True)
    if seen.everywhere:
        seen = replace(seen, host=sockets.gethostname())
    return Bound(router, seen, door, Path(place.path) if place.kind == "ipc" else None)


def _warn_taken(place: Endpoint) -> None:
    logger.warning(
        "SpecTUI: %s is in use, so this server has no viewers: set SPECTUI_ENDPOINT to another", place.address
    )


def _bind(router: zmq.Socket[bytes], place: Endpoint) -> None:
    if place.kind != "ipc":
        router.bind(place.address)
        return
    # Nobody else may open the socket, not even for the moment until its mode could be changed.
    mask = os.umask(0o077)
    try:
        router.bind(place.address)
    finally:
        os.umask(mask)


def _limit(router: zmq.Socket[bytes]) -> None:
    router.linger = 0
    # A packet for a viewer that is gone, or does not read, is refused instead of dropped in silence.
    router.router_mandatory = True
    router.sndhwm = MOST_PACKETS
    router.rcvhwm = MOST_ASKS
    router.maxmsgsize = MOST_ASK_BYTES
    # What remains: the parts of a message that never ends are kept without a bound by ZeroMQ itself (4.3), so whoever
    # may connect can fill the memory. That is why only this user can by default, and beyond it those with a key.
    router.handshake_ivl = HANDSHAKE_MS
    router.heartbeat_ivl = HEARTBEAT_MS
    router.heartbeat_timeout = HEARTBEAT_LOST_MS

"""Why a server does not let a viewer in: what ZeroMQ says of the beginnings of a connection."""

from __future__ import annotations

import zmq
from zmq.utils.monitor import parse_monitor_message

OFTEN = 3
"""So many connections in a row that end before they have begun are no accident."""

NOT_ADMITTED = (
    "{address} does not admit this viewer: put the NAME.public of your keys into the server's folder of keys (its "
    "SPECTUI_KEYS)"
)
NO_KEYS_THERE = "{address} speaks without encryption: attach without --keys, or start the server with SPECTUI_KEYS"
NO_KEYS_HERE = "{address} speaks only to viewers with keys: give the folder of yours with --keys"
OTHER_SERVER = (
    "{address} does not understand what is encrypted for it: the server.public of your keys must be this server's own"
)

_HEARD = (
    zmq.EVENT_HANDSHAKE_SUCCEEDED
    | zmq.EVENT_HANDSHAKE_FAILED_AUTH
    | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL
    | zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL
)


class Handshakes:
    """Hears how the connections of one socket begin; made before it is connected, closed before it is."""

    def __init__(self, socket: zmq.Socket[bytes], address: str, *, keys: bool) -> None:
        """Prepare; ``keys`` says whether the socket encrypts."""
        self._socket = socket
        self._address = address
        self._keys = keys
        self._failed = 0
        self._ear = socket.get_monitor_socket(_HEARD)

    def fault(self) -> str:
        """Why the server lets nobody in, in a sentence, if that was heard since the last time; else empty."""
        why = ""
        while True:
            try:
                said = parse_monitor_message(self._ear.recv_multipart(zmq.NOBLOCK))
            except (zmq.ZMQError, RuntimeError):
                return why.format(address=self._address)
            why = self._why(said["event"], said["value"])

    def _why(self, event: int, value: int) -> str:
        match event:
            case zmq.EVENT_HANDSHAKE_FAILED_AUTH:
                return NOT_ADMITTED
            case zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL if value == zmq.PROTOCOL_ERROR_ZMTP_MECHANISM_MISMATCH:
                return NO_KEYS_THERE if self._keys else NO_KEYS_HERE
            case zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL:
                return ""
            case zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL:
                # A server that cannot read what was encrypted for another one hangs up without a word.
                self._failed += 1
                return OTHER_SERVER if self._keys and self._failed >= OFTEN else ""
        self._failed = 0
        return ""

    def close(self) -> None:
        """Hear nothing more."""
        self._socket.disable_monitor()
        self._ear.close(0)

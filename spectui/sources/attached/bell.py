"""Wakes a thread that waits for sockets."""

from __future__ import annotations

import socket
from contextlib import suppress


class Bell:
    """Rung by any thread, heard by the one that waits for its `fileno`."""

    def __init__(self) -> None:
        self._ear, self._mouth = socket.socketpair()
        self._ear.setblocking(False)
        self._mouth.setblocking(False)

    def fileno(self) -> int:
        """What to wait for."""
        return self._ear.fileno()

    def ring(self) -> None:
        """Wake the thread that waits."""
        # One that was rung often enough wakes as well, and a closed one has nobody to wake.
        with suppress(OSError):
            self._mouth.send(b"!")

    def silence(self) -> None:
        """Take back what was rung."""
        with suppress(OSError):
            while self._ear.recv(4096):
                pass

    def close(self) -> None:
        """Nobody waits any more."""
        self._ear.close()
        self._mouth.close()

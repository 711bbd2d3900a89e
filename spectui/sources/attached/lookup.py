"""Finds the address of a host by its name, on a thread of its own: a resolver may take minutes to answer.

ZeroMQ gets the address instead of the name: its only thread, too, would wait for the resolver, and with it every other
endpoint.
"""

from __future__ import annotations

import ipaddress
import socket
import threading
from contextlib import suppress

SOON_S = 0.1
"""How long an answer is waited for that is usually there at once."""


class Lookup:
    """What one host is; asks again when it is told to, but never twice at a time.

    Attributes:
        address: The host's address, IPv4 if it has one; empty if it has none, or is not known yet.
        fault: Why it has none.
    """

    def __init__(self, host: str) -> None:
        self._host = host
        self._thread: threading.Thread | None = None
        self._found: tuple[str, str] = "", ""
        self.address = self.fault = ""
        with suppress(ValueError):
            self.address = str(ipaddress.ip_address(host))
        self._named = not self.address

    def ask(self) -> bool:
        """Ask for the host; whether the answer is there already."""
        if self._named and self._thread is None:
            self._thread = threading.Thread(target=self._ask, name="resolver", daemon=True)
            self._thread.start()
        return self.answered(SOON_S)

    def answered(self, wait_s: float = 0.0) -> bool:
        """Whether the answer to the last question is there."""
        if self._thread is None:
            return True
        self._thread.join(wait_s)
        if self._thread.is_alive():
            return False
        self._thread = None
        self.address, self.fault = self._found
        return True

    def _ask(self) -> None:
        try:
            found = socket.getaddrinfo(self._host, None, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            self._found = "", getattr(error, "strerror", None) or str(error)
            return
        addresses = {family: str(where[0]) for family, *_, where in reversed(found)}
        address = addresses.get(socket.AF_INET) or addresses.get(socket.AF_INET6, "")
        self._found = address, "" if address else "it has no address"

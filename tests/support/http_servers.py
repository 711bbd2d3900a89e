"""HTTP servers on the loopback that answer what a test tells them to, byte by byte if need be."""

from __future__ import annotations

import json
import socket
import socketserver
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, NamedTuple


class Asked(NamedTuple):
    """A request."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body."""
        return json.loads(self.body)


Respond = Callable[[Asked], Iterable[bytes]]
"""Makes the bytes of an answer. An empty part closes the connection."""


def reply(body: bytes | str, status: int = 200, kind: str = "text/plain", **headers: str) -> list[bytes]:
    """A whole answer."""
    data = body.encode() if isinstance(body, str) else body
    lines = [f"HTTP/1.1 {status} Status", f"content-type: {kind}", f"content-length: {len(data)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return ["\r\n".join((*lines, "", "")).encode() + data]


def reply_json(value: object, status: int = 200) -> list[bytes]:
    """An answer in JSON."""
    return reply(json.dumps(value), status, "application/json")


def stream(*messages: object) -> list[bytes]:
    """Server-sent events, each a part of its own; the connection is closed after them."""
    parts = [b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n"]
    for message in messages:
        data = message if isinstance(message, str) else json.dumps(message)
        parts.append(f"data: {data}\n\n".encode(errors="surrogatepass"))
    return [*parts, b""]


class _Handler(socketserver.StreamRequestHandler):
    server: _Server

    def handle(self) -> None:
        with suppress(OSError):
            while (asked := self._read()) is not None:
                for part in self.server.respond(asked):
                    if not part:
                        return
                    self.wfile.write(part)

    def _read(self) -> Asked | None:
        first = self.rfile.readline().decode("latin-1").split()
        if len(first) != 3:
            return None
        headers = {}
        while line := self.rfile.readline().strip():
            name, _, value = line.decode("latin-1").partition(":")
            headers[name.lower()] = value.strip()
        return Asked(first[0], first[1], headers, self.rfile.read(int(headers.get("content-length", 0))))


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, respond: Respond) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.respond = respond


@contextmanager
def serving(respond: Respond) -> Iterator[str]:
    """Serve on a free port; yields the address."""
    server = _Server(respond)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def free_port() -> int:
    """A port on which nothing listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])

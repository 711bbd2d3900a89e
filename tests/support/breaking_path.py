"""A TCP path between a viewer and a server that can be broken in every way in which a real one breaks."""

from __future__ import annotations

import selectors
import socket
import threading
import time
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Literal

Mode = Literal["pass", "cut", "stall", "drop", "delay"]
"""What becomes of bytes: carried; connections are closed and refused; kept open but nothing is read; read and thrown
away; carried late."""

BREAKS: tuple[Mode, ...] = ("cut", "stall", "drop", "delay")
DELAY_S = 0.7
CHUNK = 65_536


@dataclass(eq=False)
class _Way:
    """One direction of a connection: what was read of ``source`` and when it may go on."""

    source: socket.socket
    target: socket.socket
    waiting: deque[tuple[float, bytes]] = field(default_factory=deque)
    left: bytes = b""


class BreakingPath:
    """Carries connections to ``target`` on a thread of its own. Set `mode` at any time."""

    def __init__(self, target: tuple[str, int]) -> None:
        self.mode: Mode = "pass"
        self._target = target
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self._listener.setblocking(False)
        self.port: int = self._listener.getsockname()[1]
        self._ways: list[_Way] = []
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="path", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Close everything."""
        self._ending.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._ending.is_set():
            self._turn()
        self._cut()
        self._listener.close()

    def _turn(self) -> None:
        if self.mode == "cut":
            self._cut()
        with selectors.DefaultSelector() as selector:
            selector.register(self._listener, selectors.EVENT_READ)
            if self.mode != "stall":
                for way in self._ways:
                    selector.register(way.source, selectors.EVENT_READ, way)
            for key, _ in selector.select(0.01):
                if key.data is None:
                    self._accept()
                else:
                    self._read(key.data)
        for way in list(self._ways):
            self._write(way)

    def _accept(self) -> None:
        with suppress(OSError):
            near, _ = self._listener.accept()
            if self.mode == "cut":
                near.close()
                return
            try:
                far = socket.create_connection(self._target, 1.0)
            except OSError:
                near.close()
                return
            for end in (near, far):
                end.setblocking(False)
            self._ways += [_Way(near, far), _Way(far, near)]

    def _read(self, way: _Way) -> None:
        try:
            data = way.source.recv(CHUNK)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._end(way)
        elif self.mode != "drop":
            way.waiting.append((time.monotonic() + (DELAY_S if self.mode == "delay" else 0.0), data))

    def _write(self, way: _Way) -> None:
        if self.mode in ("stall", "drop"):
            return
        while way.left or (way.waiting and way.waiting[0][0] <= time.monotonic()):
            way.left = way.left or way.waiting.popleft()[1]
            try:
                way.left = way.left[way.target.send(way.left) :]
            except BlockingIOError:
                return
            except OSError:
                self._end(way)
                return

    def _end(self, way: _Way) -> None:
        for one in [one for one in self._ways if one.source in (way.source, way.target)]:
            self._ways.remove(one)
            one.source.close()

    def _cut(self) -> None:
        for way in self._ways:
            way.source.close()
        self._ways.clear()

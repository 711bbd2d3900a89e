"""The viewers of a server, and the packets that go to them: numbered for each, never waited for, drops counted."""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from spectui.serving.packing import packed, packet
from spectui.wire.messages import SILENCE_S, Item, encode

if TYPE_CHECKING:
    import zmq

MOST_VIEWERS = 32


@dataclass(slots=True)
class _Viewer:
    """A viewer.

    Attributes:
        number: Of the packet that was last meant for it.
        heard_at: When it last said something.
        fresh: Whether it waits to be told all there is.
        live: Whether it has been.
        dropped: Packets that found no room.
    """

    number: int
    heard_at: float
    fresh: bool = True
    live: bool = False
    dropped: int = 0


class Viewers:
    """All viewers. Used by one thread; others may read its counts.

    Attributes:
        dropped: Packets that found no room, of all viewers.
    """

    def __init__(self, router: zmq.Socket[bytes]) -> None:
        import zmq

        self.dropped = 0
        self._router = router
        self._no_block, self._more = zmq.NOBLOCK, zmq.NOBLOCK | zmq.SNDMORE
        self._again, self._error, self._unreachable = zmq.Again, zmq.ZMQError, zmq.EHOSTUNREACH
        self._session = secrets.token_hex(8)
        self._began = time.monotonic()
        self._all: dict[bytes, _Viewer] = {}

    def __len__(self) -> int:
        return len(self._all)

    def __contains__(self, identity: object) -> bool:
        return identity in self._all

    @property
    def waiting(self) -> bool:
        """Whether somebody waits to be told all there is."""
        return any(viewer.fresh for viewer in self._all.values())

    def hear(self, identity: bytes, now: float, *, again: bool) -> bool:
        """A viewer is there, and wants to be told all ``again``; False if there is no room for a new one."""
        viewer = self._all.get(identity)
        if viewer is not None:
            viewer.heard_at = now
            viewer.fresh |= again
        elif len(self._all) < MOST_VIEWERS:
            # In microseconds, so the numbers of an earlier stay of the same viewer are lower.
            self._all[identity] = _Viewer(int((now - self._began) * 1e6), now)
        else:
            return False
        return True

    def leave(self, identity: bytes) -> None:
        """A viewer goes."""
        self._all.pop(identity, None)

    def forget_silent(self, now: float) -> None:
        """Forget those who have said nothing for too long."""
        for identity in [one for one, viewer in self._all.items() if now - viewer.heard_at > SILENCE_S]:
            del self._all[identity]

    def send(self, items: list[Item]) -> None:
        """Send the items to all who have been told what came before."""
        live = [identity for identity, viewer in self._all.items() if viewer.live]
        at_ns = time.monotonic_ns()
        for body in packed(items) if live else ():
            for identity in live:
                self._post(identity, body, at_ns)

    def begin(self, items: list[Item]) -> None:
        """Tell those who wait for it all there is. Who has no room for it waits for the next turn."""
        body, at_ns = encode(items), time.monotonic_ns()
        for identity, viewer in [(one, viewer) for one, viewer in self._all.items() if viewer.fresh]:
            if self._put(identity, packet(self._session, viewer.number + 1, at_ns, body)):
                viewer.number += 1
                viewer.fresh, viewer.live = False, True

    def answer(self, identity: bytes, item: Item) -> None:
        """Send one item to one who asked; as packet 0 if it is none of the viewers."""
        body, at_ns = encode([item]), time.monotonic_ns()
        if identity in self._all:
            self._post(identity, body, at_ns)
        else:
            self._put(identity, packet(self._session, 0, at_ns, body))

    def _post(self, identity: bytes, body: bytes | None, at_ns: int) -> None:
        viewer = self._all.get(identity)
        if viewer is None:
            return
        viewer.number += 1
        if body is None or not self._put(identity, packet(self._session, viewer.number, at_ns, body)):
            viewer.dropped += 1
            self.dropped += 1

    def _put(self, identity: bytes, message: bytes) -> bool:
        """Hand a packet over to ZeroMQ, which never waits; False if there is no room, or nobody."""
        try:
            self._router.send(identity, self._more)
            self._router.send(message, self._no_block)
        except self._again:
            return False
        except self._error as error:
            if error.errno != self._unreachable:
                raise
            self.leave(identity)
            return False
        return True

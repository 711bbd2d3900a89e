"""Sends what the engine thread puts into the feed to the viewers, from a thread of its own that waits for nobody.

The engine needs the interpreter more than any viewer does. While there are viewers the thread works in turns of
`TURN_S`, each with a bounded number of questions read; while there are none it sleeps until somebody says something.
"""

from __future__ import annotations

import atexit
import logging
import os
import secrets
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from spectui.serving.binding import Bound, bound
from spectui.serving.control import Control
from spectui.serving.feed import Feed
from spectui.serving.packing import packed, packet
from spectui.serving.settings import ServingSettings
from spectui.serving.vocabulary import Vocabulary
from spectui.wire.messages import (
    SILENCE_S,
    STANDING_S,
    VERSION,
    About,
    AskWords,
    Item,
    Leave,
    MalformedError,
    Reply,
    SetK,
    Standing,
    Watch,
    encode,
    read_ask,
)

logger = logging.getLogger(__name__)

MOST_VIEWERS = 32
TURN_S = 0.01
"""How often the feed is emptied while there are viewers."""

IDLE_MS = 200
FRAMES_A_TURN = 128
"""Parts of messages that are read in a turn, two for each question; whoever asks faster waits."""

WORDS_COST = 32
"""A piece of the vocabulary counts as so many parts."""

DOORS_A_TURN = 8
SAY_S = 60.0
"""How often at most the log speaks of malformed messages."""

STOP_S = 0.5


@dataclass(slots=True)
class _Viewer:
    """A viewer.

    Attributes:
        number: Of the packet that was last meant for it.
        heard_at: When it last said something.
        fresh: Whether it waits for `About` and `Standing`.
        live: Whether it has had them.
        dropped: Packets that found no room.
    """

    number: int
    heard_at: float
    fresh: bool = True
    live: bool = False
    dropped: int = 0


class Publisher:
    """The server's side of the wire.

    Attributes:
        endpoint: As viewers write it; empty if there is none.
        malformed: Messages that were none of the viewers'.
        dropped: Packets that found no room, of all viewers.
    """

    def __init__(
        self,
        settings: ServingSettings,
        about: About,
        feed: Feed,
        words: Callable[[], tuple[list[bytes], list[int]]] | None = None,
        *,
        rank: int = 0,
    ) -> None:
        """Prepare; nothing is opened yet.

        Args:
            settings: What the operator allows.
            about: What the server runs.
            feed: Where the engine thread puts what happens.
            words: Gives the bytes of every token, and the ids whose bytes are a written form; asked once, on the
                publisher's thread, and only if text may leave the server.
            rank: Rank among data-parallel engines.
        """
        self.endpoint = ""
        self.malformed = 0
        self.dropped = 0
        self._settings = settings
        self._about = about
        self._about_changed = False
        self._feed = feed
        self._control = Control(settings, feed)
        self._words = words if settings.redaction == "text" else None
        self._rank = rank
        self._session = secrets.token_hex(8)
        self._began = time.monotonic()
        self._viewers: dict[bytes, _Viewer] = {}
        self._vocabulary = Vocabulary(
            [], [], "the server keeps its vocabulary to itself: start it with SPECTUI_REDACTION=text"
        )
        self._bound: Bound | None = None
        self._thread: threading.Thread | None = None
        self._stopping = threading.Event()
        self._pid = os.getpid()
        self._parts: list[bytes] = []
        self._count = 0
        self._standing_at = 0.0
        self._said_at = -SAY_S
        self._said = 0

    @property
    def viewers(self) -> int:
        """How many viewers there are."""
        return len(self._viewers)

    def tell(self, about: About) -> None:
        """Something of what the server runs has changed; on any thread."""
        self._about = about
        self._about_changed = True

    def start(self) -> None:
        """Open the endpoint and begin. If another server has its place, the log says so and there are no viewers.

        Raises:
            SettingsError: The settings are wrong, or would show prompts to everybody.
        """
        self._bound = bound(self._settings, self._rank)
        if self._bound is None:
            return
        self.endpoint = self._bound.endpoint.address
        self._thread = threading.Thread(target=self._run, args=(self._bound,), name="spectui publisher", daemon=True)
        self._thread.start()
        atexit.register(self._leave)

    def stop(self) -> None:
        """Close the endpoint; viewers see the server go."""
        self._leave()
        atexit.unregister(self._leave)
        if self._thread is not None and os.getpid() == self._pid:
            self._thread.join(STOP_S)

    def _leave(self) -> None:
        """Let the thread end, without waiting for it: the process may be about to exit."""
        if os.getpid() != self._pid:
            # A worker that was forked from the engine: neither socket nor thread are its own.
            return
        self._stopping.set()
        if self._bound is not None and self._bound.file is not None:
            with suppress(OSError):
                self._bound.file.unlink()

    def _run(self, bound: Bound) -> None:
        import zmq

        self._router, self._door = bound.socket, bound.door
        self._no_block, self._more = zmq.NOBLOCK, zmq.SNDMORE
        self._again, self._rcvmore = zmq.Again, zmq.RCVMORE
        self._unreachable, self._zmq_error = zmq.EHOSTUNREACH, zmq.ZMQError
        poller = zmq.Poller()
        poller.register(bound.socket, zmq.POLLIN)
        if bound.door is not None:
            poller.register(bound.door.socket, zmq.POLLIN)
        if self._words is not None:
            self._vocabulary = Vocabulary.read(self._words)
        try:
            while not self._stopping.is_set():
                if not self._viewers:
                    poller.poll(IDLE_MS)
                began = time.monotonic()
                try:
                    self._turn(began)
                except Exception:
                    # The server is worth more than its viewers: say so, and go on.
                    self._say_failure(began)
                # Also without viewers: whoever sends without end must not keep the interpreter from the engine.
                self._stopping.wait(max(0.0, began + TURN_S - time.monotonic()))
        finally:
            self._watch(False)
            bound.close()

    def _turn(self, now: float) -> None:
        if self._door is not None:
            for _ in range(DOORS_A_TURN):
                if not self._door.answer():
                    break
        self._read(now)
        for identity in [one for one, viewer in self._viewers.items() if now - viewer.heard_at > SILENCE_S]:
            self._forget(identity)
        self._control.tick(now)
        self._watch(bool(self._viewers))
        if self._viewers:
            self._send(now)
        if self.malformed > self._said and now - self._said_at >= SAY_S:
            logger.warning("SpecTUI: %d malformed messages of viewers were dropped", self.malformed - self._said)
            self._said, self._said_at = self.malformed, now

    def _watch(self, watched: bool) -> None:
        if self._feed.watched != watched:
            with self._feed.lock:
                self._feed.watched = watched
            if not watched:
                self._feed.take_items()

    # What viewers ask.

    def _read(self, now: float) -> None:
        """Read a turn's worth, part by part: a message may have any number of parts."""
        budget = FRAMES_A_TURN
        while budget > 0:
            try:
                part = self._router.recv(self._no_block)
            except self._again:
                return
            budget -= 1
            self._count += 1
            if self._count <= 2:
                self._parts.append(part)
            if self._router.getsockopt(self._rcvmore):
                continue
            count, parts = self._count, self._parts
            self._count, self._parts = 0, []
            if count == 2:
                budget -= self._heed(parts[0], parts[1], now)
            else:
                self.malformed += 1

    def _heed(self, identity: bytes, data: bytes, now: float) -> int:
        """Do what a viewer says; returns what that cost beyond reading."""
        try:
            ask = read_ask(data)
        except MalformedError:
            self.malformed += 1
            return 0
        match ask:
            case Watch():
                self._welcome(identity, ask, now)
            case Leave():
                self._forget(identity)
            case SetK():
                why = self._control.set_k(identity, ask, self._about, now)
                self._answer(identity, Reply(ask.number, not why, why))
            case AskWords():
                self._answer(identity, self._vocabulary.piece(ask))
                return WORDS_COST
        return 0

    def _welcome(self, identity: bytes, ask: Watch, now: float) -> None:
        if ask.version != VERSION:
            why = f"the server speaks version {VERSION} of SpecTUI's messages and this viewer version {ask.version}"
            self._answer(identity, Reply(0, False, f"{why}: use the same version of SpecTUI on both sides"))
            return
        viewer = self._viewers.get(identity)
        if viewer is not None:
            viewer.heard_at = now
            viewer.fresh |= ask.again
        elif len(self._viewers) < MOST_VIEWERS:
            # In microseconds, so the numbers of an earlier stay of the same viewer are lower.
            self._viewers[identity] = _Viewer(int((now - self._began) * 1e6), now)
        else:
            self._answer(identity, Reply(0, False, f"the server has {MOST_VIEWERS} viewers already: end one of them"))

    def _forget(self, identity: bytes) -> None:
        self._viewers.pop(identity, None)
        self._control.gone(identity)

    # What viewers get.

    def _send(self, now: float) -> None:
        fresh = [identity for identity, viewer in self._viewers.items() if viewer.fresh]
        items: list[Item]
        standing: Standing | None = None
        if fresh or now - self._standing_at >= STANDING_S:
            items, standing = self._feed.take()
            items.append(standing)
            self._control.stands(standing)
            self._standing_at = now
        else:
            items = self._feed.take_items()
        if self._about_changed:
            self._about_changed = False
            items.insert(0, self._about)
        live = [identity for identity, viewer in self._viewers.items() if viewer.live]
        at_ns = time.monotonic_ns()
        for body in packed(items) if live else ():
            for identity in live:
                self._post(identity, body, at_ns)
        if standing is not None and fresh:
            body = encode([self._about, standing])
            for identity in fresh:
                self._begin(identity, body, at_ns)

    def _begin(self, identity: bytes, body: bytes, at_ns: int) -> None:
        """Tell a viewer all there is; tried again in the next turn if it finds no room."""
        viewer = self._viewers.get(identity)
        if viewer is not None and self._put(identity, packet(self._session, viewer.number + 1, at_ns, body)):
            viewer.number += 1
            viewer.fresh, viewer.live = False, True

    def _post(self, identity: bytes, body: bytes | None, at_ns: int) -> None:
        viewer = self._viewers.get(identity)
        if viewer is None:
            return
        viewer.number += 1
        if body is None or not self._put(identity, packet(self._session, viewer.number, at_ns, body)):
            viewer.dropped += 1
            self.dropped += 1

    def _answer(self, identity: bytes, item: Item) -> None:
        """Send one item to one who asked; as packet 0 if it is none of the viewers."""
        body, at_ns = encode([item]), time.monotonic_ns()
        if identity in self._viewers:
            self._post(identity, body, at_ns)
        else:
            self._put(identity, packet(self._session, 0, at_ns, body))

    def _put(self, identity: bytes, message: bytes) -> bool:
        """Hand a packet over to ZeroMQ, which never waits; False if there is no room, or nobody."""
        try:
            self._router.send(identity, self._no_block | self._more)
            self._router.send(message, self._no_block)
        except self._again:
            return False
        except self._zmq_error as error:
            if error.errno != self._unreachable:
                raise
            self._forget(identity)
            return False
        return True

    def _say_failure(self, now: float) -> None:
        if now - self._said_at >= SAY_S:
            self._said_at = now
            logger.exception("SpecTUI: the viewers could not be served")

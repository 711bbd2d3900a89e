"""Sends what the engine thread puts into the feed to the viewers, from a thread of its own that waits for nobody.

The engine needs the interpreter more than any viewer does. While there are viewers the thread works in turns of
`TURN_S`, each with a bounded number of questions read; while there are none it sleeps until somebody says something.
"""

from __future__ import annotations

import atexit
import logging
import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress

from spectui.serving.binding import Bound, bound
from spectui.serving.desk import Desk
from spectui.serving.feed import Feed
from spectui.serving.settings import ServingSettings
from spectui.serving.vocabulary import Vocabulary
from spectui.wire.messages import About

logger = logging.getLogger(__name__)

TURN_S = 0.02
"""How often the feed is emptied while there are viewers. A screen draws 24 times a second; and what a turn costs is
mostly that the thread wakes."""

SAY_S = 60.0
"""How often at most the log speaks of a failure."""

STOP_S = 0.5


class Publisher:
    """The server's side of the wire.

    Attributes:
        endpoint: As viewers write it; empty if there is none.
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
        self._settings = settings
        self._about = about
        self._feed = feed
        self._words = words if settings.redaction == "text" else None
        self._rank = rank
        self._bound: Bound | None = None
        self._desk: Desk | None = None
        self._thread: threading.Thread | None = None
        self._stopping = False
        self._wake = -1
        self._pid = os.getpid()

    @property
    def viewers(self) -> int:
        """How many viewers there are."""
        return len(self._desk.viewers) if self._desk is not None else 0

    @property
    def dropped(self) -> int:
        """Packets that found no room, of all viewers."""
        return self._desk.viewers.dropped if self._desk is not None else 0

    @property
    def malformed(self) -> int:
        """Messages that were none of the viewers'."""
        return self._desk.malformed if self._desk is not None else 0

    def tell(self, about: About) -> None:
        """Something of what the server runs has changed; on any thread."""
        self._about = about
        if self._desk is not None:
            self._desk.tell(about)

    def start(self) -> None:
        """Open the endpoint and begin. If another server has its place, the log says so and there are no viewers.

        Raises:
            SettingsError: The settings are wrong, or would show prompts to everybody.
        """
        self._bound = bound(self._settings, self._rank)
        if self._bound is None:
            return
        self.endpoint = self._bound.endpoint.address
        self._wake = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._desk = Desk(self._bound, self._settings, self._about, self._feed)
        arguments = (self._bound, self._desk)
        self._thread = threading.Thread(target=self._run, args=arguments, name="spectui publisher", daemon=True)
        self._thread.start()
        atexit.register(self._leave)

    def stop(self) -> None:
        """Close the endpoint; viewers see the server go."""
        self._leave()
        atexit.unregister(self._leave)
        if self._thread is not None and os.getpid() == self._pid:
            self._thread.join(STOP_S)
            os.close(self._wake)
            self._thread, self._wake = None, -1

    def _leave(self) -> None:
        """Let the thread end, without waiting for it: the process may be about to exit."""
        if os.getpid() != self._pid:
            # A worker that was forked from the engine: neither socket nor thread are its own.
            return
        self._stopping = True
        if self._wake >= 0:
            os.eventfd_write(self._wake, 1)
        if self._bound is not None and self._bound.file is not None:
            with suppress(OSError):
                self._bound.file.unlink()

    def _run(self, bound: Bound, desk: Desk) -> None:
        import zmq

        poller = zmq.Poller()
        poller.register(bound.socket, zmq.POLLIN)
        poller.register(self._wake, zmq.POLLIN)
        if bound.door is not None:
            poller.register(bound.door.socket, zmq.POLLIN)
        said_at = -SAY_S
        try:
            if self._words is not None:
                desk.vocabulary = Vocabulary.read(self._words)
            while not self._stopping:
                if not len(desk.viewers):
                    poller.poll()
                began = time.monotonic()
                try:
                    desk.turn(began)
                except Exception:
                    # The server is worth more than its viewers: say so, and go on.
                    if began - said_at >= SAY_S:
                        said_at = began
                        logger.exception("SpecTUI: the viewers could not be served")
                # Also without viewers: whoever sends without end must not keep the interpreter from the engine.
                time.sleep(max(0.0, began + TURN_S - time.monotonic()))
        finally:
            desk.watch(False)
            bound.close()

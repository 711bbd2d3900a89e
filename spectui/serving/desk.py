"""What a server does for its viewers in a turn: admits them, hears them, answers, and sends what the feed has."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from spectui.serving.binding import Bound
from spectui.serving.control import Control
from spectui.serving.feed import Feed
from spectui.serving.settings import ServingSettings
from spectui.serving.viewers import MOST_VIEWERS, Viewers
from spectui.serving.vocabulary import Vocabulary
from spectui.wire.messages import (
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
    read_ask,
)

if TYPE_CHECKING:
    import zmq

logger = logging.getLogger(__name__)

FRAMES_A_TURN = 128
"""Parts of messages that are read in a turn, two for each question; whoever asks faster waits."""

WORDS_COST = 32
"""A piece of the vocabulary counts as so many parts."""

DOORS_A_TURN = 8
"""Viewers that are admitted or refused in a turn."""

BEGIN_S = 0.1
"""How often at most those who wait for it are told all there is: a viewer that asks without end, or has no room for the
answer, must not keep the engine thread waiting in every turn."""

SAY_S = 60.0
"""How often at most the log speaks of malformed messages."""


class Desk:
    """Serves the viewers of one socket, turn by turn, on the publisher's thread.

    Attributes:
        viewers: Who watches.
        malformed: Messages that were none of the viewers'.
    """

    def __init__(self, bound: Bound, settings: ServingSettings, about: About, feed: Feed) -> None:
        import zmq

        self.viewers = Viewers(bound.socket)
        self.malformed = 0
        self.vocabulary = Vocabulary.withheld()
        self._router: zmq.Socket[bytes] = bound.socket
        self._door = bound.door
        self._no_block, self._again, self._rcvmore = zmq.NOBLOCK, zmq.Again, zmq.RCVMORE
        self._events, self._readable = zmq.EVENTS, zmq.POLLIN
        self._about = about
        self._about_changed = False
        self._feed = feed
        self._control = Control(settings, feed)
        self._parts: list[bytes] = []
        self._count = 0
        self._standing_at = 0.0
        self._begun_at = -BEGIN_S
        self._said_at = -SAY_S
        self._said = 0

    def tell(self, about: About) -> None:
        """Something of what the server runs has changed; on any thread."""
        self._about = about
        self._about_changed = True

    def turn(self, now: float) -> None:
        """Do what there is to do, a bounded amount of it."""
        if self._door is not None:
            for _ in range(DOORS_A_TURN):
                if not self._door.answer():
                    break
        self._read(now)
        self.viewers.forget_silent(now)
        if (borrower := self._control.borrower) is not None and borrower not in self.viewers:
            self._control.gone(borrower)
        self._control.tick(now)
        self.watch(len(self.viewers) > 0)
        if len(self.viewers):
            self._send(now)
        if self.malformed > self._said and now - self._said_at >= SAY_S:
            logger.warning("SpecTUI: %d malformed messages of viewers were dropped", self.malformed - self._said)
            self._said, self._said_at = self.malformed, now

    def watch(self, watched: bool) -> None:
        """Tell the engine thread whether anybody watches."""
        if self._feed.watched != watched:
            with self._feed.lock:
                self._feed.watched = watched
            if not watched:
                self._feed.take_items()

    def _read(self, now: float) -> None:
        """Read a turn's worth, part by part: a message may have any number of parts."""
        budget = FRAMES_A_TURN
        # Asked first, because in nearly every turn there is nothing, and an exception takes twice as long.
        while budget > 0 and int(self._router.getsockopt(self._events)) & self._readable:
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
                self.viewers.leave(identity)
            case SetK():
                why = self._control.set_k(identity, ask, self._about, now)
                self.viewers.answer(identity, Reply(ask.number, not why, why))
            case AskWords():
                self.viewers.answer(identity, self.vocabulary.piece(ask))
                return WORDS_COST
        return 0

    def _welcome(self, identity: bytes, ask: Watch, now: float) -> None:
        why = ""
        if ask.version != VERSION:
            why = (
                f"the server speaks version {VERSION} of SpecTUI's messages and this viewer version {ask.version}: "
                "use the same version of SpecTUI on both sides"
            )
        elif not self.viewers.hear(identity, now, again=ask.again):
            why = f"the server has {MOST_VIEWERS} viewers already: end one of them"
        if why:
            self.viewers.answer(identity, Reply(0, False, why))

    def _send(self, now: float) -> None:
        items: list[Item]
        standing: Standing | None = None
        fresh = self.viewers.waiting and now - self._begun_at >= BEGIN_S
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
        self.viewers.send(items)
        if fresh and standing is not None:
            # After the items, which came before these sums.
            self._begun_at = now
            self.viewers.begin([self._about, standing])

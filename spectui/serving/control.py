"""What viewers may change: K, for good or lent."""

from __future__ import annotations

from spectui.serving.feed import Feed
from spectui.serving.settings import ServingSettings
from spectui.wire.messages import About, SetK, Standing

MOST_LEASE_S = 60.0


class Control:
    """Follows what viewers ask. A lent K is taken back when its time is up, or when the viewer that asked for it goes
    or falls silent; K is then what it was before anybody borrowed it. A K that is set for good ends the loan.

    All methods run on the publisher's thread.
    """

    def __init__(self, settings: ServingSettings, feed: Feed) -> None:
        self._settings = settings
        self._feed = feed
        self._k: int | None = None
        self._former: int | None = None
        self._borrower = b""
        self._until = 0.0

    @property
    def borrower(self) -> bytes | None:
        """The viewer that K is lent to; None if it is not."""
        return None if self._former is None else self._borrower

    def set_k(self, identity: bytes, ask: SetK, about: About, now: float) -> str:
        """Follow it; returns why not, empty if K will be changed."""
        if not self._settings.control:
            return "viewers may not change K here: the server must be started with SPECTUI_CONTROL=1"
        if not about.control:
            # The tracing has ended.
            return about.why
        if about.fixed_k:
            return about.fixed_k
        if not 0 <= ask.k <= about.k_max:
            return f"K can be 0 to {about.k_max} here"
        if ask.lease_s is None:
            self._former, self._k = None, ask.k
        elif not 0 < ask.lease_s <= MOST_LEASE_S:
            return f"K is lent for at most {MOST_LEASE_S:g} s"
        elif self._former is None and self._k is None:
            return "K cannot be lent before the server has said how it stands: try again"
        else:
            self._former = self._k if self._former is None else self._former
            self._borrower, self._until = identity, now + ask.lease_s
        self._ask(ask.k)
        return ""

    def stands(self, standing: Standing) -> None:
        """The server's K, as its sums say it."""
        with self._feed.lock:
            settled = self._feed.asked_k is None
        if settled and self._former is None:
            self._k = standing.k

    def gone(self, identity: bytes) -> None:
        """A viewer has gone, or fallen silent."""
        if self._former is not None and identity == self._borrower:
            self._take_back()

    def tick(self, now: float) -> None:
        """Look at the time."""
        if self._former is not None and now >= self._until:
            self._take_back()

    def _take_back(self) -> None:
        k, self._former = self._former, None
        if k is not None:
            self._k = k
            self._ask(k)

    def _ask(self, k: int) -> None:
        with self._feed.lock:
            self._feed.asked_k = k

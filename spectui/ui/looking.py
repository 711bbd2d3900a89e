"""Which request the screen of attached servers shows, and in which order it lists them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from spectui.core.attached.views import AnswerView, AttachedView, RequestRow

Entry: TypeAlias = RequestRow | AnswerView
"""What the table of requests has a row for: a request that the tap told of, or a prompt that was sent from here."""

Key: TypeAlias = tuple[str, int]
"""Names an entry: lane and slot, or nothing and the number of a prompt."""

Order: TypeAlias = Literal["newest", "oldest", "tokens", "length", "tok/s"]

ORDERS: tuple[Order, ...] = ("newest", "oldest", "tokens", "length", "tok/s")


def key_of(entry: Entry) -> Key:
    """What the entry is called here."""
    return ("", entry.number) if isinstance(entry, AnswerView) else (entry.lane, entry.slot)


def entries(attached: AttachedView, order: Order = "newest") -> list[Entry]:
    """The table's rows: prompts that were sent from here, requests in flight in that order, then those that ended."""
    flying = [row for row in attached.requests if row.finished is None]
    match order:
        case "oldest":
            flying.reverse()
        case "tokens":
            flying.sort(key=lambda row: -row.emitted)
        case "length":
            # The shortest first: those are the ones to look at.
            flying.sort(key=lambda row: float("inf") if row.length is None else row.length)
        case "tok/s":
            flying.sort(key=lambda row: float("inf") if row.tok_s is None else row.tok_s)
    ended = [row for row in attached.requests if row.finished is not None]
    return [*reversed(attached.answers), *flying, *ended]


def away_lanes(attached: AttachedView) -> frozenset[str]:
    """Endpoints of whose requests nothing is heard."""
    return frozenset(row.lane for row in attached.endpoints if row.stage != "live")


@dataclass(slots=True)
class Look:
    """What the user looks at.

    Attributes:
        following: Whether the newest request is shown by itself: one that is shown stays until it ends.
        key: The entry that is shown; None while there is none.
        lane: The endpoint whose requests are followed; None for any.
        order: The order of the table.
        opened: Whether the request has the place of the table too.
        answers: The number of the last prompt that was shown by itself.
    """

    following: bool = True
    key: Key | None = None
    lane: str | None = None
    order: Order = "newest"
    opened: bool = False
    answers: int | None = None

    @property
    def chosen(self) -> object:
        """What `turn` goes by, besides the servers."""
        return self.following, self.key, self.lane

    def turn(self, attached: AttachedView) -> Entry | None:
        """Choose what to show of ``attached``; what the user chose stays as long as it is known."""
        if attached.answers and attached.answers[-1].number != self.answers:
            self.answers = attached.answers[-1].number
            self.key, self.following = ("", self.answers), False
        known = {key_of(entry): entry for entry in entries(attached)}
        if self.key not in known:
            self.key, self.following = None, True
        if self.following:
            self.key = self._followed(attached)
        return None if self.key is None else known[self.key]

    def _followed(self, attached: AttachedView) -> Key | None:
        away, requests = away_lanes(attached), attached.requests
        mine = [row for row in requests if row.finished is None and self.lane in (None, row.lane)]
        flying = [row for row in mine if row.lane not in away]
        if any(key_of(row) == self.key for row in flying):
            return self.key
        if flying:
            # The charts stay with one endpoint as long as it has something to do.
            beside = [row for row in flying if self.key is not None and row.lane == self.key[0]]
            return key_of((beside or flying)[0])
        if self.key is not None and self.lane in (None, self.key[0]):
            return self.key
        own = [row for row in requests if self.lane in (None, row.lane)]
        return key_of(own[0]) if own else None

    def follow(self, lane: str | None = None) -> None:
        """Follow the newest request again, of that endpoint or of any."""
        self.following, self.key, self.lane = True, None, lane

    def move(self, attached: AttachedView, by: int) -> None:
        """Choose the entry that stands ``by`` rows below the one that is shown; it stays at the table's ends."""
        rows = entries(attached, self.order)
        if rows:
            place = next((place for place, entry in enumerate(rows) if key_of(entry) == self.key), -1 if by > 0 else 0)
            self.key = key_of(rows[max(0, min(len(rows) - 1, place + by))])
            self.following = False

    def choose(self, key: Key) -> None:
        """Choose an entry by its key."""
        self.key, self.following = key, False

    def change_order(self) -> None:
        """Sort the table by the next of the figures that it can be sorted by."""
        self.order = ORDERS[(ORDERS.index(self.order) + 1) % len(ORDERS)]

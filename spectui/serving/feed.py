"""What the engine thread has for the viewers until the publisher's thread takes it: bounded, counting its drops."""

from __future__ import annotations

import threading
from collections.abc import Callable

from spectui.wire.messages import Began, EngineStep, Item, Standing

MOST_ROWS = 20_000
"""Rows of steps, and other items, that wait at most: some megabytes."""

PROMPT_IDS_A_ROW = 16
"""So many ids of a prompt count as another row."""


class Feed:
    """Hands items from the engine thread to the publisher's.

    The engine thread holds ``lock`` while it counts a step and puts its items; the publisher holds it while it takes
    them with the sums that belong to them. Neither does anything slow meanwhile.

    Attributes:
        lock: See above.
        watched: Whether there is a viewer; the engine thread puts nothing while there is none. Set by the publisher.
        asked_k: K that a viewer has asked for and the engine has not followed yet. Set by the publisher, and to None
            by the engine thread.
        dropped: Items that found no room.
    """

    def __init__(self, standing: Callable[[int], Standing], most: int = MOST_ROWS) -> None:
        """Prepare.

        Args:
            standing: Makes the sums, given the number of dropped items; called with ``lock`` held, on any thread.
            most: Rows and other items that wait at most.
        """
        self.lock = threading.Lock()
        self.watched = False
        self.asked_k: int | None = None
        self.dropped = 0
        self._standing = standing
        self._most = most
        self._items: list[Item] = []
        self._size = 0

    def put(self, item: Item) -> None:
        """Add an item; the caller holds ``lock``."""
        match item:
            case EngineStep():
                size = len(item.rows)
            case Began():
                size = 1 + len(item.prompt_ids) // PROMPT_IDS_A_ROW
            case _:
                size = 1
        if self._size + size > self._most:
            self.dropped += 1
            return
        self._size += size
        self._items.append(item)

    def take(self) -> tuple[list[Item], Standing]:
        """Take what is there, and how the server stands after it."""
        with self.lock:
            items, self._items, self._size = self._items, [], 0
            return items, self._standing(self.dropped)

    def take_items(self) -> list[Item]:
        """Take what is there, without the sums."""
        with self.lock:
            items, self._items, self._size = self._items, [], 0
            return items

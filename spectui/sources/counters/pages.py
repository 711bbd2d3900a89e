"""What asking a server for a page comes to."""

from __future__ import annotations

from typing import NamedTuple, Protocol


class UnreachableError(Exception):
    """There is no answer; the message says why, as the middle of a sentence."""


class Answer(NamedTuple):
    """An answer that came in time and whole. ``location`` is where a redirect leads."""

    status: int
    content_type: str
    body: bytes
    location: str = ""


class Pages(Protocol):
    """Where pages come from."""

    def get(self, path: str, most_bytes: int) -> Answer:
        """Get a page.

        Raises:
            UnreachableError: Nothing answers in time.
            spectui.sources.counters.values.MalformedError: What answers makes no sense, or is too long.
        """

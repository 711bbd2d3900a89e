"""Where the lines of the engine's log come from."""

from __future__ import annotations

from typing import Protocol

LOG_LINES = 5_000
"""Lines that are kept."""


class LogTail(Protocol):
    """New lines of the engine's log."""

    def poll(self) -> list[str]: ...

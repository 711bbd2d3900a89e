"""Since when servers are gone, and when the last of their requests ended. Seconds of whatever clock the caller has."""

from __future__ import annotations

from collections.abc import Mapping

from spectui.protocol.serving import ServerStage


class ServerTimes:
    """Notes when endpoints change their state, and when requests end."""

    def __init__(self) -> None:
        self._away: dict[str, float] = {}
        self._ended: float | None = None

    def note(self, lane: str, stage: ServerStage, now: float) -> None:
        """The endpoint has reached ``stage``."""
        if stage == "live":
            self._away.pop(lane, None)
        else:
            self._away.setdefault(lane, now)

    def note_end(self, now: float) -> None:
        """A request has ended."""
        self._ended = now

    @property
    def going_on(self) -> bool:
        """Whether a time is shown that moves by itself."""
        return bool(self._away) or self._ended is not None

    def away_s(self, now: float) -> Mapping[str, float]:
        """Whole seconds for which endpoints have not been live."""
        return {lane: float(int(now - since)) for lane, since in self._away.items()}

    def ended_s(self, now: float) -> float | None:
        """Whole seconds since a request ended; None if none has."""
        return None if self._ended is None else float(int(now - self._ended))

"""How long each lane has been loading. Times in seconds of whatever clock the caller has."""

from __future__ import annotations

from spectui.protocol.events import StageName


class LoadingTimes:
    """Notes when lanes begin to load and when they are done with it."""

    def __init__(self) -> None:
        self._began: dict[str, float] = {}
        self._ended: set[str] = set()

    def note(self, lane: str, stage: StageName, now: float) -> None:
        """The lane has reached ``stage``."""
        if stage != "waiting":
            self._began.setdefault(lane, now)
        if stage in ("ready", "failed"):
            self._ended.add(lane)

    @property
    def going_on(self) -> bool:
        """Whether a lane is loading, so that the time shown moves by itself."""
        return len(self._ended) < len(self._began)

    def seconds(self, lane: str, now: float) -> float | None:
        """Whole seconds since the lane began to load, None unless it is loading."""
        if lane not in self._began or lane in self._ended:
            return None
        return float(int(now - self._began[lane]))

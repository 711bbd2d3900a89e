"""What a search for the fastest K found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from spectui.protocol.events import KFigure, TuneTurn, TuneWhy


@dataclass(frozen=True, slots=True)
class Check:
    """A check of a search against a sweep over every K on the same engine, and of the cost model against the sweep.

    Attributes:
        best: The sweep's fastest K.
        shortfall: How much slower the search's K was in the sweep, as a share of the fastest.
        tok_s: Throughput of every K in the sweep.
        held_out: Throughput of every K by the cost model, derived only from the steps of the other K.
    """

    best: int
    shortfall: float
    tok_s: dict[int, float]
    held_out: dict[int, float]


@dataclass(frozen=True, slots=True)
class Found:
    """One search: a lane at one concurrency; ``category`` is empty for all prompts together.

    ``running`` holds the K that could not be told apart, or only the best one. ``ar_tok_s`` is AR's throughput measured
    beside them, and ``disturbed`` the share of the measurement that other programs held up. ``remembered`` says whether
    lanes will begin with the best K. ``not_comparable`` says how the lane's engine differs from AR's at that K; it is
    empty if nothing differs. ``scheduling`` is how vLLM schedules engines without a tap, by the name of the lane; empty
    if the lanes were tapped, and so synchronous.
    """

    lane: str
    spec: str
    requests: int
    why: TuneWhy
    best: int
    turns: int
    spent_s: float
    figures: tuple[KFigure, ...]
    check: Check | None = None
    category: str = ""
    remembered: bool = False
    running: tuple[int, ...] = ()
    ar_tok_s: float | None = None
    disturbed: float = 0.0
    not_comparable: str = ""
    scheduling: Mapping[str, str] = field(default_factory=dict)

    @property
    def last(self) -> TuneTurn:
        """The state of the search at its end."""
        return TuneTurn(
            self.lane,
            self.requests,
            self.turns,
            self.running,
            self.best,
            self.figures,
            self.spent_s,
            0,
            self.ar_tok_s,
            self.disturbed,
        )


@dataclass(slots=True)
class Searches:
    """The results of all lanes.

    Attributes:
        found: The searches that have a result.
        serve: The command that serves the model with the best K, by lane.
        failed: One sentence about each lane that could not be measured.
        interrupted: Whether Ctrl-C stopped the measurement early.
    """

    found: list[Found] = field(default_factory=list)
    serve: dict[str, str] = field(default_factory=dict)
    failed: list[str] = field(default_factory=list)
    interrupted: bool = False

"""Whether a drafter has become worse: a rule for continuous integration.

B fails if its figure is below ``limit`` times A's and the loss is beyond noise: the 95 % interval of the ratio lies
below 1. So a smaller certain loss passes, and so does a large one that may be chance, and the same two traces always
give the same verdict. Where the figure or its interval is not known, there is no verdict, and no success.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from spectui.core.comparison.answers import Recorded
from spectui.core.comparison.compare import whole_effect
from spectui.core.comparison.measures import LENGTH, RATE, SPEEDUP, THROUGHPUT, Measure
from spectui.errors import RunError

GATES: dict[str, Measure] = {
    "acceptance-length": LENGTH,
    "acceptance-rate": RATE,
    "speedup": SPEEDUP,
    "throughput": THROUGHPUT,
}
"""What can be looked at, by its name on the command line; more is better in all of them."""


@dataclass(frozen=True, slots=True)
class LaneGate:
    """The verdict on one lane.

    Attributes:
        lane: Its name in A.
        ratio: The figure of B divided by A's.
        low: The lower end of its 95 % interval.
        high: The upper end.
        failed: Whether B's figure is below the limit times A's and the loss is beyond noise.
    """

    lane: str
    ratio: float
    low: float
    high: float
    failed: bool


@dataclass(frozen=True, slots=True)
class Gate:
    """The verdict on all drafting lanes.

    Attributes:
        figure: The figure, by its name in JSON.
        limit: The least share of A's figure that B may have.
        failed: Whether any lane failed.
        lanes: The verdict on each.
    """

    figure: str
    limit: float
    failed: bool
    lanes: tuple[LaneGate, ...]


def gate(a: Recorded, b: Recorded, figure: str, limit: float, named: Sequence[tuple[str, str]] = ()) -> Gate:
    """Judge the drafting lanes by a figure out of `GATES`.

    Raises:
        UsageError: A trace has no lane of such a name.
        RunError: The figure of a lane, or its interval, is not known.
    """
    lanes = []
    for lane, found in whole_effect(a, b, GATES[figure], named).items():
        if isinstance(found, str):
            raise RunError(f"--fail-under cannot judge the {figure} of {lane}: {found}")
        low, high = found.low or 0.0, found.high or 0.0
        lanes.append(LaneGate(lane, found.change, low, high, found.change < limit and high < 1))
    if not lanes:
        raise RunError("--fail-under has nothing to judge: no lane drafts in both traces; name two with --lane A=B")
    return Gate(GATES[figure].name, limit, any(lane.failed for lane in lanes), tuple(lanes))

"""What two traces do not have in common beside what was measured, and what that leaves out of the comparison."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict

from spectui.core.comparison.answers import Recorded
from spectui.core.comparison.results import Condition
from spectui.protocol.events import LaneInfo, RunStarted


def changed_conditions(
    a: Recorded, b: Recorded, runs: tuple[RunStarted, RunStarted], pairs: Sequence[tuple[LaneInfo, LaneInfo]]
) -> tuple[Condition, ...]:
    """Every condition that differs; what is not known of either is no difference."""
    ours, theirs = (dict(_of_run(run)) for run in runs)
    for one, other in pairs:
        ours |= dict(_of_lane(a, one, one.name))
        theirs |= dict(_of_lane(b, other, one.name))
    return tuple(
        Condition(what, ours[what], theirs[what])
        for what in ours
        if ours[what] and theirs.get(what) and ours[what] != theirs[what]
    )


def _of_run(run: RunStarted) -> Iterator[tuple[str, str]]:
    yield "machine", run.machine
    yield "requests in flight", str(run.concurrency)
    yield "figures", "made up" if run.synthetic else "measured"
    for package, version in run.versions:
        yield f"version of {package}", version


def _of_lane(recorded: Recorded, lane: LaneInfo, said: str) -> Iterator[tuple[str, str]]:
    """Everything that is known of a lane, under the name that it is ``said`` to have."""
    method, _, options = lane.spec.partition(":")
    # K is seen in every step.
    kept = [option for option in options.split(",") if option and not option.startswith(("k=", "start="))]
    yield f"drafter of {said}", ":".join(filter(None, (method, ",".join(kept))))
    if (engine := recorded.engines.get(lane.name)) is not None:
        for what, how in asdict(engine).items():
            if what not in ("lane", "whole_graphs", "draft_vocabulary", "vocabulary"):
                yield f"{what.replace('_', ' ')} of {said}", _text(how)


def _text(value: object) -> str:
    match value:
        case None:
            return ""
        case bool():
            return "yes" if value else "no"
        case tuple():
            return ", ".join(map(str, value))
    return str(value)


def untimed(conditions: Sequence[Condition], lane: str) -> tuple[str, str]:
    """Why times of a lane cannot be compared, and why its speed-up cannot; each empty if it can.

    A speed-up is measured on one machine each, so it may be compared between machines.
    """
    found = {condition.what: condition for condition in conditions}
    times = speedup = ""
    for what in ("machine", "figures", f"device of {lane}", "requests in flight"):
        if (one := found.get(what)) is not None and not times:
            times = f"times left out: {what} {one.a} in A, {one.b} in B"
    if (one := found.get("requests in flight")) is not None:
        speedup = f"speed-up left out: {one.a} in flight in A, {one.b} in B"
    return times, speedup

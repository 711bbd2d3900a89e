"""What synchronous scheduling and the tap cost: each lane beside its twin, an engine as ``vllm serve`` starts it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from typing import Any

from spectui.bench.harness import Case, Samples, interleave
from spectui.bench.workload import Work, race_once
from spectui.runtime.quiet import say
from spectui.setup.session import EngineSession
from spectui.sources.vllm.lane import Lane
from spectui.sources.vllm.lane_spec import DIFFUSION
from spectui.sources.vllm.untapped import UntappedLane


def against_default(
    session: EngineSession, lanes: Sequence[Lane], work: Work, repetitions: int, tokens: int
) -> Mapping[str, Any]:
    """Measure idle lanes and their twins in turn, every engine alone.

    Returns ratios of the lanes' throughput to that of their twins, the twins' throughput, and for lanes that draft the
    speed-up over AR of either kind, if there is an AR lane.

    A diffusion lane is left out: its scheduling is vLLM's own already.

    Raises:
        RunError: A twin cannot be built, or an engine died.
    """
    lanes = [lane for lane in lanes if lane.info.method != DIFFUSION]
    twins = [_twin(session, lane) for lane in lanes]
    cases = []
    for lane, twin in zip(lanes, twins, strict=True):
        for kind, one in (("tapped", lane), ("default", twin)):
            cases.append(Case(f"{one.info.title}, {kind}", partial(_alone, one, kind, work, tokens)))
    with session.driving():
        measured = interleave(cases, repetitions, progress=say)
    names = [lane.info.name for lane in lanes]
    ar = next((lane.info.name for lane in lanes if lane.info.method == "ar"), None)
    return {
        "scheduling": {twin.info.name: twin.scheduling for twin in twins},
        "k": {lane.info.name: lane.k for lane in lanes if lane.info.k_max},
        "ratios": {name: asdict(measured.ratio(f"{name} tapped", f"{name} default")) for name in names},
        "tok_s": {name: asdict(measured.rate(f"{name} default")) for name in names},
        "speed_up": {
            lane.info.name: {
                kind: asdict(measured.ratio(f"{lane.info.name} {kind}", f"{ar} {kind}"))
                for kind in ("tapped", "default")
            }
            for lane in lanes
            if ar is not None and lane.info.k_max
        },
        "busy": measured.busy,
    }


def _twin(session: EngineSession, lane: Lane) -> UntappedLane:
    """Load a lane's twin, at the K that the lane has."""
    if lane.info.k_max and not lane.k:
        # A server that drafts has a K of at least 1.
        lane.k = lane.info.k_max
    info = replace(lane.info, k_max=lane.k, k_start=None)
    twin = session.lane(info, replace(lane.spec, k_max=lane.k, k_start=None), UntappedLane)
    assert isinstance(twin, UntappedLane)
    return twin


def _alone(lane: Lane, kind: str, work: Work, tokens: int) -> Samples:
    return {f"{name} {kind}": sample for name, sample in race_once([lane], work, tokens).items()}

"""Steps that other programs hold up are marked on the real engine, and others are not."""

from __future__ import annotations

import pytest

from spectui.protocol.events import Sampling, Step
from spectui.sources.vllm.lane import WARM_UP_IDS, Lane
from spectui.telemetry.host import Host
from tests.conftest import LaneMaker
from tests.support.hog import busy_core

TOKENS = 40
QUIET_CORES = 0.1
ATTEMPTS = 5


def marks(lane: Lane) -> list[bool]:
    """Of every engine step of a request."""
    lane.add("disturbed", 0, WARM_UP_IDS, Sampling(max_tokens=TOKENS, ignore_eos=True))
    found = []
    while lane.running:
        found += [event.disturbed for event in lane.step() if isinstance(event, Step)]
    return found


@pytest.fixture(params=["ar", "mtp:k=3"])
def lane(request: pytest.FixtureRequest, make_lane: LaneMaker) -> Lane:
    made = make_lane(request.param)
    made.warm_up(WARM_UP_IDS)
    return made


def test_a_program_on_one_core_disturbs_the_steps(lane: Lane) -> None:
    with busy_core():
        found = marks(lane)
    assert sum(found) > len(found) / 2


def test_a_quiet_machine_disturbs_none(lane: Lane) -> None:
    """Others may use the machine for a moment: one quiet moment is enough to show that there is no false alarm."""
    host = Host()
    for _ in range(ATTEMPTS):
        host.read()
        found = marks(lane)
        if sum(found) <= 0.05 * len(found):
            return
        others = host.read().foreign_cores
        if others is not None and others > QUIET_CORES:
            continue
        pytest.fail(f"{sum(found)} of {len(found)} steps are marked, and other programs used {others} cores")
    pytest.skip("other programs use this machine all the time")

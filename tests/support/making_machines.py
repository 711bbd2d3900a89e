"""What the tests of the telemetry are made of: a race told step by step, what its lanes hold, and samples."""

from __future__ import annotations

from dataclasses import replace

from spectui.core.reducer import reduce
from spectui.core.state import RunState
from spectui.core.views import LaneView, RunView, Viewer
from spectui.protocol import events as ev
from spectui.protocol.samples import GpuSample, HostSample, LaneMemory, TelemetrySample

AR = ev.LaneInfo("ar", "ar", "AR", 0, "ar")
MTP = ev.LaneInfo("mtp", "mtp", "MTP", 3, "mtp:k=3")
DFLASH = ev.LaneInfo("dflash", "dflash", "DFlash", 5, "dflash:k=5")
LANES = (AR, MTP, DFLASH)
PROMPT_TOKENS = 10

GB, MB = 1 << 30, 1 << 20
DENSE = LaneMemory(
    lane="ar",
    target_bytes=1_000,
    target_shared=False,
    target_read=900,
    expert_bytes=0,
    experts=0,
    experts_active=0,
    drafter_bytes=0,
    draft_read=0,
    draft_parallel=False,
    kv_token_bytes=2,
    kv_reserved=640,
    block_tokens=16,
)
"""Small enough to be added up by hand."""

DEMO = replace(DENSE, target_bytes=269_000_000, target_read=269_000_000, kv_token_bytes=46_080, kv_reserved=64 * MB)
MEMORIES = (
    DEMO,
    replace(DEMO, lane="mtp", drafter_bytes=14_000_000, draft_read=70_000_000),
    replace(DEMO, lane="dflash", drafter_bytes=26_000_000, draft_read=82_000_000, draft_parallel=True),
)
"""What `LANES` hold in the demo, about."""

HOST = HostSample(
    resident=1_900_000_000,
    available=5_100_000_000,
    total=16_500_000_000,
    engine_cores=1.72,
    other_cores=0.18,
    load=2.31,
    cores=2,
    temperature_c=None,
    major_faults=0.0,
    minor_faults=1_520.0,
)
H100 = GpuSample(
    index=0,
    name="NVIDIA H100 80GB HBM3",
    memory_used=12 * GB,
    memory_total=80 * GB,
    process_memory=11 * GB,
    bandwidth_share=0.625,
    sm_share=0.88,
    tensor_share=0.125,
    memory_busy=0.4,
    power_w=512.3,
    power_limit_w=700.0,
    temperature_c=54.0,
    memory_temperature_c=66.0,
    sm_clock_mhz=1755,
    memory_clock_mhz=2619,
    throttle=(),
    pcie_receive=24.0 * MB,
    pcie_send=3.0 * MB,
)
H100_PEAK = 5120 / 8 * 2619e6 * 2


def sample(*gpus: GpuSample, at_s: float = 0.0, host: HostSample = HOST) -> TelemetrySample:
    """What the machine says at one moment."""
    return TelemetrySample(round(at_s * 1e9), host, gpus)


class MadeRace:
    """A run told event by event; every lane's requests have `PROMPT_TOKENS` in the cache as they begin."""

    def __init__(self, *lanes: ev.LaneInfo, requests: int = 1) -> None:
        self.state = RunState()
        self._viewer = Viewer(self.state)
        self._clock_ns = {lane.name: 0 for lane in lanes}
        prompts = tuple(ev.Prompt("p") for _ in range(requests))
        self.tell(
            ev.RunStarted("target", lanes, ev.Sampling(), requests),
            *(ev.LaneStage(lane.name, "ready") for lane in lanes),
            ev.RoundStarted(0, prompts, ev.Sampling()),
            *(
                ev.RequestStarted(lane.name, str(slot), slot, PROMPT_TOKENS)
                for lane in lanes
                for slot in range(requests)
            ),
        )

    def tell(self, *events: ev.Event) -> None:
        for event in events:
            reduce(self.state, event)

    def step(self, lane: ev.LaneInfo, drafted: int = 0, emitted: int = 1, ms: float = 25.0, slots: int = 1) -> None:
        """One engine step, in which each of ``slots`` requests has drafted and emitted so much."""
        self._clock_ns[lane.name] += round(ms * 1e6)
        for slot in range(slots):
            self.tell(made_step(lane.name, drafted, emitted, ms, self._clock_ns[lane.name], slot, slots))

    @property
    def view(self) -> RunView:
        return self._viewer.read()

    def lane(self, info: ev.LaneInfo) -> LaneView:
        return next(lane for lane in self.view.lanes if lane.info == info)


def made_step(
    lane: str, drafted: int, emitted: int, ms: float, clock_ns: int, slot: int = 0, batch: int = 1
) -> ev.Step:
    """A step whose tokens are nobody's business."""
    return ev.Step(
        lane=lane,
        request=str(slot),
        slot=slot,
        index=0,
        k=drafted,
        drafted=(7,) * drafted,
        accepted=min(drafted, emitted - 1),
        emitted=(7,) * emitted,
        cut=(),
        own="bonus" if emitted > drafted else "recovered",
        cut_reason=None,
        text=("x",) * emitted,
        drafted_text=("x",) * drafted,
        batch=batch,
        wall_ns=round(ms * 1e6),
        clock_ns=clock_ns,
    )


def demo_race(steps: int = 8) -> MadeRace:
    """`LANES` with what they hold, each some steps into its text."""
    race = MadeRace(*LANES)
    race.tell(*MEMORIES)
    for _ in range(steps):
        race.step(AR, ms=25)
        race.step(MTP, 2, 2, ms=38)
        race.step(DFLASH, 5, 3, ms=33)
    return race

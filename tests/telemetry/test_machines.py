"""Eight machines from the driver to the screen: stub, NVML, sampler thread, reducer, view, rows."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from functools import partial

import pynvml
import pytest

from spectui.core.views import RunView
from spectui.protocol.events import Event
from spectui.telemetry.nvml import Nvml
from spectui.telemetry.sampler import Readers, Sampler
from spectui.ui.paint.rows import plain, row_width
from spectui.ui.widgets.machine_rows import machine_rows
from spectui.ui.widgets.telemetry_strip import strip_rows
from tests.nvml.stub import GB, NvmlStub
from tests.support.making_machines import AR, HOST, MadeRace, demo_race
from tests.telemetry.conftest import Clock

FAILSAFE_S = 30.0
WIDTHS = (36, 76, 116, 196)


class Host:
    """Always the same."""

    missing = ()

    def read(self) -> object:
        return HOST


class Machine:
    """A machine beside a race that has taken some steps; a second passes from sample to sample."""

    def __init__(self, stub: NvmlStub, clock: Clock) -> None:
        self.stub = stub
        self._clock = clock
        self._events: list[Event] = []
        self.race = demo_race()

    def emit(self, event: Event) -> None:
        self._events.append(event)

    def play(self, name: str, samples: int = 2, between: Callable[[int], object] = lambda taken: None) -> Screen:
        """The screen after some samples; ``between`` is called after each with how many there were."""
        self.stub.machine(name)
        taken, over = [0], threading.Event()

        def wait(seconds: float) -> bool:
            self._clock.wait(1)
            taken[0] += 1
            between(taken[0])
            if taken[0] < samples:
                return False
            over.set()
            return True

        sampler = self.sampler(wait)
        sampler.start(self)
        assert over.wait(FAILSAFE_S)
        assert sampler.stop(FAILSAFE_S)
        return self.screen()

    def sampler(self, wait: Callable[[float], bool]) -> Sampler:
        open_ = partial(Nvml.open, now_ns=self._clock, wait=self._clock.wait)
        return Sampler(lambda: Readers(Host(), open_(), None), now_ns=self._clock, wait=wait)  # type: ignore[arg-type]

    def screen(self) -> Screen:
        """What is shown once everything that came is told to the race."""
        while self._events:
            self.race.tell(self._events.pop(0))
        return Screen(self.race)


class Screen:
    """Strip and panel as text."""

    def __init__(self, race: MadeRace) -> None:
        self.view: RunView = race.view
        for width in WIDTHS:
            rows = [*strip_rows(self.view, width), *machine_rows(self.view, width)]
            assert all(row_width(row) <= width for row in rows), [plain(row) for row in rows if row_width(row) > width]
        self.strip = "".join(map(plain, strip_rows(self.view, 196)))
        self.panel = "\n".join(map(plain, machine_rows(self.view, 116)))

    def gauge(self, name: str, part: str | None = None) -> str:
        """The value behind ``name``, in the part of the panel under a title that begins with ``part``."""
        panel = self.panel
        if part is not None:
            panel = panel[re.search(rf"^{re.escape(part)}", panel, re.M).start() :]  # type: ignore[union-attr]
        found = re.search(rf"(?:^|   ){name}  +(\S.*?)(?:   |$)", panel, re.M)
        assert found is not None, f"no {name} in\n{panel}"
        return found[1].rstrip()

    def why(self, what: str) -> str:
        """The reason for ``what`` in the panel."""
        _, _, reasons = self.panel.partition("Not sampled here\n")
        found = re.search(rf"^{re.escape(what)}: (.*(?:\n(?![^\n]*: ).*)*)", reasons, re.M)
        assert found is not None, f"no reason for {what} in\n{reasons}"
        return found[1].replace("\n", " ")


@pytest.fixture
def machine(nvml_stub: NvmlStub, clock: Clock) -> Machine:
    return Machine(nvml_stub, clock)


def test_an_h100_with_gpm(machine: Machine) -> None:
    screen = machine.play("h100")
    assert screen.strip == (
        "H100 80GB HBM3 12.9 GB of 85.9 GB   2.10 TB/s of 3.35 TB/s, 62 %   weights 3 x 269 MB   drafters 40.0 MB   "
        "KV 3 x 67.1 MB   power 512 W of 700 W   54 °C"
    )
    gauges = {
        "DRAM traffic": "62 % of 3.35 TB/s",
        "memory busy": "40 % of time",
        "SM busy": "88 %",
        "tensor pipes": "12 %",
        "power": "512 W of 700 W",
        "temperature": "54 °C, memory 66 °C",
        "SM clock": "1755 MHz",
        "memory clock": "2619 MHz",
        "PCIe in": "25.2 MB/s",
        "PCIe out": "3.15 MB/s",
        "memory": "12.9 GB of 85.9 GB",
    }
    assert {name: screen.gauge(name, "NVIDIA H100") for name in gauges} == gauges
    assert screen.gauge("memory", "Host") == "1.90 GB"
    assert "this process 11.8 GB, device 12.9 GB of 85.9 GB" in screen.panel
    assert "from bus width and clock" in screen.panel
    assert "clocks throttled by nothing" in screen.panel
    assert "Bandwidth   2.10 TB/s" in screen.panel
    assert "Not sampled here" not in screen.panel
    assert screen.view.memory.total == 11 * GB


def test_an_a100_without_gpm(machine: Machine) -> None:
    screen = machine.play("a100")
    assert screen.strip.startswith("A100-SXM4-40GB 12.9 GB of 42.9 GB   est. ")
    assert "of 1.56 TB/s" in screen.strip
    for name in ("SM busy", "tensor pipes", "PCIe in", "PCIe out"):
        assert screen.gauge(name) == "—"
    assert screen.gauge("DRAM traffic") == "— of 1.56 TB/s"
    assert screen.gauge("memory busy") == "40 % of time"
    assert "Hopper" in screen.why("GPM counters: memory bandwidth, SM, tensor, PCIe")


def test_an_rtx_without_permission(machine: Machine) -> None:
    screen = machine.play("rtx")
    assert screen.strip.startswith("GeForce RTX 5090 12.9 GB of 34.4 GB   est. ")
    assert "this process —, device 12.9 GB of 34.4 GB" in screen.panel
    assert screen.gauge("DRAM traffic") == "— of 1.79 TB/s"
    assert screen.gauge("temperature", "NVIDIA GeForce") == "54 °C, memory —"
    assert "NVreg_RestrictProfilingToAdminUsers=0" in screen.why("GPM counters: memory bandwidth, SM, tensor, PCIe")
    assert "ask the administrator" in screen.why("GPU memory of this process")
    assert screen.why("memory temperature") == "the GPU does not report it"


def test_mig_slices(machine: Machine) -> None:
    screen = machine.play("mig")
    assert screen.strip.startswith("H100 80GB HBM3 MIG 1g.10gb 2.15 GB of 10.3 GB   est. ")
    first, second = "GPU 0: NVIDIA H100 80GB HBM3 MIG 1g.10gb", "GPU 0: NVIDIA H100 80GB HBM3 MIG 3g.40gb"
    assert (screen.gauge("SM busy", first), screen.gauge("tensor pipes", first)) == ("30 %", "10 %")
    assert (screen.gauge("SM busy", second), screen.gauge("memory", second)) == ("70 %", "0 B of 42.3 GB")
    for name in ("power", "memory busy", "DRAM traffic", "SM clock"):
        assert screen.gauge(name, first) == screen.gauge(name, second) == "—"
    assert screen.why("power") == screen.why("memory bandwidth peak") == "a MIG slice does not report it"


def test_the_lanes_may_live_on_the_second_slice(machine: Machine) -> None:
    def moved(taken: int) -> None:
        machine.stub.set(gpu=0, mig=0, process_memory="unknown")
        machine.stub.set(gpu=0, mig=2, process_memory=3 * GB, memory_used=4 * GB)

    screen = machine.play("mig", between=moved)
    assert screen.strip.startswith("H100 80GB HBM3 MIG 3g.40gb 4.29 GB of 42.3 GB   est. ")
    assert screen.view.memory.total == 3 * GB


def test_two_gpus(machine: Machine) -> None:
    screen = machine.play("two")
    assert screen.strip.startswith("H100 80GB HBM3 12.9 GB of 85.9 GB   2.10 TB/s of 3.35 TB/s, 62 %")
    first, second = "GPU 0: NVIDIA H100 80GB HBM3", "GPU 1: NVIDIA H100 80GB HBM3"
    assert [screen.gauge("DRAM traffic", part) for part in (first, second)] == [
        "62 % of 3.35 TB/s",
        "10 % of 3.35 TB/s",
    ]
    assert screen.gauge("memory", second) == "5.37 GB of 85.9 GB"


def test_the_lanes_may_live_on_the_second_gpu(machine: Machine) -> None:
    """As under CUDA_VISIBLE_DEVICES=1."""

    def elsewhere(taken: int) -> None:
        machine.stub.refuse("nvmlDeviceGetComputeRunningProcesses_v3", pynvml.NVML_ERROR_UNKNOWN, gpu=0)

    screen = machine.play("two", between=elsewhere)
    assert screen.strip.startswith("H100 80GB HBM3 5.37 GB of 85.9 GB   335 GB/s of 3.35 TB/s, 10 %")


def test_a_gpu_that_is_lost_in_mid_run(machine: Machine) -> None:
    def lose(taken: int) -> None:
        machine.stub.set(lost=int(taken == 2))

    screen = machine.play("h100", samples=4, between=lose)
    assert screen.strip == "GPU 0 was lost, the race goes on   NVIDIA H100 80GB HBM3"
    assert "lost: the driver can no longer reach it" in screen.panel
    assert "12.9 GB" not in screen.strip + screen.panel
    telemetry = screen.view.telemetry
    assert telemetry is not None
    assert [sample.gpus[0].lost for sample in telemetry.past] == [False, False, True, True]
    assert screen.view.memory.total is None
    assert [lane.failed for lane in screen.view.lanes] == [None] * 3


def test_the_other_gpu_is_lost(machine: Machine) -> None:
    screen = machine.play("two", between=lambda taken: machine.stub.set(gpu=1, lost=1))
    assert screen.strip.startswith("GPU 1 was lost, the race goes on   H100 80GB HBM3 12.9 GB of 85.9 GB   2.10 TB/s")
    assert screen.gauge("power", "GPU 0: ") == "512 W of 700 W"
    assert "GPU 1: NVIDIA H100 80GB HBM3\nlost" in screen.panel


def test_unified_memory(machine: Machine) -> None:
    screen = machine.play("unified")
    assert screen.strip.startswith("GB10 —   est. ")
    assert " of " not in screen.strip
    assert screen.gauge("memory", "NVIDIA GB10") == "—"
    assert screen.gauge("power", "NVIDIA GB10") == "512 W"
    assert "this process 11.8 GB, device —" in screen.panel
    assert screen.why("GPU memory") == "the GPU has no memory of its own: it uses the host's"
    assert screen.why("memory bandwidth peak") == "the GPU does not report it"


def test_a_driver_that_hangs(machine: Machine) -> None:
    """What it said stays on the screen, the race goes on beside it, and so do the samples when it answers again."""
    stub, waits, over = machine.stub.machine("h100"), [0], threading.Event()

    def wait(seconds: float) -> bool:
        waits[0] += 1
        if waits[0] == 2:
            stub.set(power=300_000)
            stub.hang("nvmlDeviceGetPowerUsage", round(FAILSAFE_S))
        if waits[0] == 3:
            over.set()
        return waits[0] == 3

    sampler = machine.sampler(wait)
    sampler.start(machine)
    while not stub.hanging:
        assert sampler._thread.is_alive()
    before = machine.screen()
    assert "power 512 W of 700 W" in before.strip
    for _ in range(100):
        machine.race.step(AR)
        assert machine.screen().strip == before.strip
    assert machine.race.lane(AR).steps == 108
    assert stub.hanging
    stub.let_go()
    assert over.wait(FAILSAFE_S)
    assert sampler.stop(FAILSAFE_S)
    assert "power 300 W of 700 W" in machine.screen().strip
    assert stub.hung_to_the_end == 0


@pytest.mark.parametrize("name", ["h100", "a100", "rtx", "mig", "two", "unified"])
def test_what_is_not_known_is_never_zero(machine: Machine, name: str) -> None:
    """The only zeros are what the machine says: an empty slice, and pages that were not read."""
    screen = machine.play(name)
    said = screen.panel.replace("from disk    0 per second", "").replace("0 B of 42.3 GB", "")
    assert not re.search(r"(?<![\d.])0(?:\.0+)? (?:%|W|°C|MHz|B|[kMGT]B)", said), said

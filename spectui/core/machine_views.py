"""What of a `RunState` concerns the machine, for `spectui.core.views`."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from spectui.core.machine import MachineView, MemoryView, hides_processes, measured_bandwidth, memory_by_owner
from spectui.core.state import RunState
from spectui.protocol.samples import TelemetrySample


def before_last_step(state: RunState) -> Iterator[TelemetrySample]:
    """The samples taken before the last engine step, newest first."""
    later = state.machine.samples - state.disturbance.samples
    return islice(reversed(state.machine.past), later, None)


def machine_view(state: RunState) -> MachineView | None:
    """What telemetry says about the machine; None before its first sample."""
    machine = state.machine
    if not machine.past:
        return None
    started, newest = machine.started, machine.past[-1]
    peaks, missing = (started.peaks, started.missing) if started else ((), ())
    return MachineView(
        sample=newest,
        past=tuple(machine.past),
        bandwidth=tuple(machine.bandwidth),
        peaks=peaks,
        derived=started is not None and started.peak_source == "bus",
        measured=measured_bandwidth(newest, peaks) is not None,
        missing=missing,
        samples=machine.samples,
        hidden=hides_processes(newest, missing, (lane.engine for lane in state.lanes.values())),
    )


def memory_view(state: RunState) -> MemoryView:
    """Who holds the device's memory."""
    lanes = [
        (lane.info.title, lane.memory, lane.round.contexts if not lane.waiting else None)
        for lane in state.lanes.values()
        if lane.memory is not None
    ]
    return memory_by_owner(lanes, state.machine.past[-1] if state.machine.past else None)

"""What the machine says while lanes race, and what each lane keeps in its memory: small frozen events.

A part of the vocabulary of `spectui.events`. ``None`` is what is unknown or not supported, and never 0; `Missing` says
why. Sizes are bytes, rates bytes a second, shares go from 0 to 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

PeakSource: TypeAlias = Literal["probe", "bus"]
"""Where a memory peak comes from: measured by copying, or derived from bus width and the highest memory clock."""


@dataclass(frozen=True, slots=True)
class GpuSample:
    """One GPU, or one MIG slice of it, at one moment.

    Attributes:
        index: NVML's index of the GPU.
        name: The product's name; a MIG slice has its profile behind it.
        lost: The driver says that the GPU has fallen off the bus; then nothing else is known.
        memory_used: Of all processes, without what the driver reserves.
        memory_total: Of the device.
        process_memory: The part of this process.
        bandwidth_share: DRAM traffic as a share of the peak (GPM), since the sample before.
        sm_share: Time that SMs were busy (GPM).
        tensor_share: Time that tensor pipes were busy (GPM).
        memory_busy: Share of the time in which memory was read or written at all; says nothing about bytes.
        power_w: Watts.
        power_limit_w: Watts that the device may draw.
        temperature_c: Of the chip.
        memory_temperature_c: Of the memory.
        sm_clock_mhz: Clock of the SMs.
        memory_clock_mhz: Clock of the memory.
        throttle: Why clocks are held down, in words; empty when they are not.
        pcie_receive: From the host (GPM).
        pcie_send: To the host (GPM).
        foreign_share: Time that SMs were busy for other processes, lately.
    """

    index: int
    name: str
    lost: bool = False
    memory_used: int | None = None
    memory_total: int | None = None
    process_memory: int | None = None
    bandwidth_share: float | None = None
    sm_share: float | None = None
    tensor_share: float | None = None
    memory_busy: float | None = None
    power_w: float | None = None
    power_limit_w: float | None = None
    temperature_c: float | None = None
    memory_temperature_c: float | None = None
    sm_clock_mhz: int | None = None
    memory_clock_mhz: int | None = None
    throttle: tuple[str, ...] | None = None
    pcie_receive: float | None = None
    pcie_send: float | None = None
    foreign_share: float | None = None


@dataclass(frozen=True, slots=True)
class HostSample:
    """This process and its host at one moment.

    Attributes:
        resident: Memory of the process.
        available: Memory that programs could still have.
        total: Memory of the host.
        engine_cores: Cores that the engine's threads kept busy since the sample before.
        other_cores: Cores that the rest of the process kept busy: screen, telemetry.
        foreign_cores: Of the cores that the process may use, how many other programs kept busy; the hypervisor's own
            use counts as theirs.
        load: Load average of the last minute.
        cores: Cores that the process may use.
        temperature_c: The hottest sensor of the processor.
        major_faults: Pages a second that had to be read from disk.
        minor_faults: Pages a second that were found in memory.
    """

    resident: int | None = None
    available: int | None = None
    total: int | None = None
    engine_cores: float | None = None
    other_cores: float | None = None
    load: float | None = None
    cores: int | None = None
    temperature_c: float | None = None
    major_faults: float | None = None
    minor_faults: float | None = None
    foreign_cores: float | None = None


@dataclass(frozen=True, slots=True)
class Missing:
    """``what`` cannot be had here; ``why`` is one sentence with what to do about it, where something can be done."""

    what: str
    why: str


@dataclass(frozen=True, slots=True)
class TelemetryStarted:
    """What the samples to come can be held against.

    Attributes:
        peaks: Highest memory bandwidth of each device in the order of the samples, the host's alone without a GPU.
        peak_source: How the peaks are known.
        missing: What will not be sampled, and why.
    """

    peaks: tuple[float | None, ...]
    peak_source: PeakSource
    missing: tuple[Missing, ...] = ()


@dataclass(frozen=True, slots=True)
class TelemetrySample:
    """The devices and the host at ``at_ns`` since the telemetry began."""

    at_ns: int
    host: HostSample
    gpus: tuple[GpuSample, ...] = ()


@dataclass(frozen=True, slots=True)
class LaneMemory:
    """What a lane's engine holds, and what a step of it has to read.

    Attributes:
        lane: The lane's name.
        target_bytes: Weights of the target as they were loaded.
        target_shared: Whether another lane holds the same weights in the same place.
        target_read: Weights that every forward pass of the target reads: all but the embedding's rows, the output
            matrix included, experts excluded.
        expert_bytes: Weights of all experts of a mixture; 0 in a dense model.
        experts: Experts of each layer, 0 in a dense model.
        experts_active: Experts that one token goes through.
        drafter_bytes: Weights of the drafter that are not the target's.
        draft_read: Weights that one pass of the drafter reads, the output matrix included.
        draft_parallel: Whether one pass drafts all tokens (DFlash), or each token takes a pass.
        kv_token_bytes: Key and value cache of one token in all layers of the target.
        kv_reserved: Cache that the engine has set aside.
        block_tokens: Tokens in a block of the cache: a request holds whole blocks.
    """

    lane: str
    target_bytes: int | None
    target_shared: bool
    target_read: int | None
    expert_bytes: int
    experts: int
    experts_active: int
    drafter_bytes: int | None
    draft_read: int | None
    draft_parallel: bool
    kv_token_bytes: int | None
    kv_reserved: int | None
    block_tokens: int


Sampled: TypeAlias = TelemetryStarted | TelemetrySample | LaneMemory

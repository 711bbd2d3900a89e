"""What the machine says while lanes race, and what each lane keeps in its memory: small frozen events.

A part of the vocabulary of `spectui.protocol.events`. ``None`` is what is unknown or not supported, and never 0;
`Missing` says why. Sizes are bytes, rates bytes a second, shares go from 0 to 1.
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
class CacheLayers:
    """Layers that go through a request's cache in the same way. A request's bytes are those of all of them together.

    Attributes:
        drafter: Whether they are the drafter's, and run in its passes only.
        token_bytes: Keys and values of one token.
        state_bytes: State of a request in layers that keep one instead (Mamba, gated delta net).
        window: How many of the newest tokens attention reaches; None where it reaches all.
        chunked: Whether attention reaches back to the last multiple of ``window`` only (chunked local attention).
    """

    drafter: bool
    token_bytes: int
    state_bytes: int = 0
    window: int | None = None
    chunked: bool = False


@dataclass(frozen=True, slots=True)
class CacheGroup:
    """Layers that share blocks of the cache: what a request keeps occupied for them.

    Attributes:
        block_tokens: Tokens in a block.
        window: How many of the newest tokens, the next one included, are kept; None where all are. A block goes back
            when none of its tokens is.
        chunked: Whether tokens are kept from the last multiple of ``window`` on.
        fixed_blocks: Blocks of a request however long it is (states); None where they follow from the tokens.
    """

    block_tokens: int
    window: int | None = None
    chunked: bool = False
    fixed_blocks: int | None = None


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
        draft_read: Weights that one pass of the drafter reads, the output matrix included, experts excluded.
        draft_parallel: Whether one pass drafts all tokens (DFlash), or each token takes a pass.
        kv_token_bytes: Cache that a token takes in all layers; None where one of them goes through its cache in a way
            that is not known, and there is no estimate.
        kv_reserved: Cache that the engine has set aside.
        block_tokens: Tokens in a block of the cache, where there are no ``groups``.
        draft_output: The output matrix, as part of ``draft_read``: a pass that drafts nothing leaves it out. None in
            older traces.
        draft_expert_bytes: Weights of all experts of the drafter; 0 of a dense one.
        draft_experts: Experts of each layer of the drafter.
        draft_experts_active: Experts of the drafter that one token goes through.
        layers: How each layer goes through the cache; empty in older traces, in which all layers reach all tokens.
        groups: What a request keeps occupied; empty in older traces and where it is not known.
        block_bytes: Cache that one block of any group takes; None in older traces.
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
    draft_output: int | None = None
    draft_expert_bytes: int = 0
    draft_experts: int = 0
    draft_experts_active: int = 0
    layers: tuple[CacheLayers, ...] = ()
    groups: tuple[CacheGroup, ...] = ()
    block_bytes: int | None = None


Sampled: TypeAlias = TelemetryStarted | TelemetrySample | LaneMemory

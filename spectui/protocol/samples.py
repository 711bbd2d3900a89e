"""Samples of the machine while lanes race, and what each lane holds in memory: small frozen events.

Part of the vocabulary of `spectui.protocol.events`. A figure that is unknown or not supported is ``None``, never 0;
`Missing` says why. Sizes are in bytes, rates in bytes per second, shares from 0 to 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

PeakSource: TypeAlias = Literal["probe", "bus"]
"""Where a peak bandwidth comes from: measured by copying, or derived from bus width and the highest memory clock."""


@dataclass(frozen=True, slots=True)
class GpuSample:
    """One GPU, or one MIG slice of it, at one moment.

    Attributes:
        index: NVML's index of the GPU.
        name: The product's name; for a MIG slice, followed by its profile.
        lost: Whether the driver says that the GPU has fallen off the bus; then nothing else is known.
        memory_used: Memory used by all processes, without what the driver reserves.
        memory_total: Memory of the device.
        process_memory: Memory used by this process and its workers.
        bandwidth_share: DRAM traffic as a share of the peak (GPM), since the previous sample.
        sm_share: Share of the time in which SMs were busy (GPM).
        tensor_share: Share of the time in which tensor pipes were busy (GPM).
        memory_busy: Share of the time in which memory was read or written at all; says nothing about bytes.
        power_w: Power draw in watts.
        power_limit_w: Watts that the device may draw.
        temperature_c: Temperature of the chip.
        memory_temperature_c: Temperature of the memory.
        sm_clock_mhz: Clock of the SMs.
        memory_clock_mhz: Clock of the memory.
        throttle: Why clocks are throttled, in words; empty if they are not.
        pcie_receive: PCIe traffic from the host (GPM).
        pcie_send: PCIe traffic to the host (GPM).
        foreign_share: Recent share of the time in which SMs were busy for other processes.
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
        resident: Resident memory of the process and its workers.
        available: Memory still available to programs.
        total: Memory of the host.
        engine_cores: Cores that the engine's threads kept busy since the previous sample.
        other_cores: Cores that the rest of the process kept busy: screen, telemetry.
        foreign_cores: How many of the cores that the process may use were kept busy by other programs; time that the
            hypervisor took counts as theirs.
        load: Load average of the last minute.
        cores: Cores that the process may use.
        temperature_c: The hottest sensor of the processor.
        major_faults: Page faults per second that had to read from disk.
        minor_faults: Page faults per second that were served from memory.
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
    """``what`` is not available here; ``why`` is one sentence, which says what can be done about it, if anything."""

    what: str
    why: str


@dataclass(frozen=True, slots=True)
class TelemetryStarted:
    """The references for the samples that follow.

    Attributes:
        peaks: Peak memory bandwidth of each device, in the order of the samples; only the host's if there is no GPU.
        peak_source: Where the peaks come from.
        missing: What will not be sampled, and why.
    """

    peaks: tuple[float | None, ...]
    peak_source: PeakSource
    missing: tuple[Missing, ...] = ()


@dataclass(frozen=True, slots=True)
class TelemetrySample:
    """The devices and the host, ``at_ns`` after the telemetry began."""

    at_ns: int
    host: HostSample
    gpus: tuple[GpuSample, ...] = ()


@dataclass(frozen=True, slots=True)
class CacheLayers:
    """Layers that read a request's cache in the same way. Byte counts cover all of them together.

    Attributes:
        drafter: Whether they belong to the drafter and run only in its passes.
        token_bytes: Keys and values of one token.
        state_bytes: State of a request, for layers that keep one instead (Mamba, gated delta net).
        window: How many of the newest tokens attention reaches; None if it reaches all.
        chunked: Whether attention reaches back only to the last multiple of ``window`` (chunked local attention).
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
        window: How many of the newest tokens, including the next one, are kept; None if all are. A block is freed once
            none of its tokens is kept.
        chunked: Whether tokens are kept from the last multiple of ``window`` on.
        fixed_blocks: Blocks of a request regardless of its length (states); None if they depend on the tokens.
    """

    block_tokens: int
    window: int | None = None
    chunked: bool = False
    fixed_blocks: int | None = None


@dataclass(frozen=True, slots=True)
class LaneMemory:
    """What a lane's engine holds in memory, and what one of its steps has to read.

    Attributes:
        lane: The lane's name.
        target_bytes: Weights of the target as loaded.
        target_shared: Whether these are the weights of a lane that was there before, so that they count once.
        target_read: Weights that every forward pass of the target reads: all except the embedding's rows, including
            the output matrix, excluding experts.
        expert_bytes: Weights of all experts of a mixture; 0 for a dense model.
        experts: Experts in each layer; 0 for a dense model.
        experts_active: Experts that one token uses.
        drafter_bytes: Weights of the drafter that it does not share with the target.
        draft_read: Weights that one pass of the drafter reads, including the output matrix, excluding experts.
        draft_parallel: Whether one pass drafts all tokens (DFlash), or each token takes a pass.
        kv_token_bytes: Cache that a token takes in all layers; None if a layer reads its cache in an unknown way, so
            that there is no estimate.
        kv_reserved: Cache that the engine has reserved.
        block_tokens: Tokens in a block of the cache, used if there are no ``groups``.
        draft_output: The part of ``draft_read`` that is the output matrix; a pass that drafts nothing does not read it.
            None in older traces.
        draft_expert_bytes: Weights of all experts of the drafter; 0 for a dense one.
        draft_experts: Experts in each layer of the drafter.
        draft_experts_active: Experts of the drafter that one token uses.
        layers: How each layer reads the cache; empty in older traces, where all layers reach all tokens.
        groups: What a request keeps occupied; empty in older traces and if it is not known.
        block_bytes: Cache that one block of any group takes; None in older traces.
        devices: GPUs that the model is split among, and all byte counts cover; 1 on a CPU and in older traces.
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
    devices: int = 1


Sampled: TypeAlias = TelemetryStarted | TelemetrySample | LaneMemory

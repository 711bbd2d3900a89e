"""Plans the memory of a run before anything is loaded: from its configuration to the sizes of its lanes' caches."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, TypeAlias

from spectui.core.memory_plan.asked import DIFFUSION, WITHOUT_MODEL, Asked, AskedLane
from spectui.core.memory_plan.cache import BATCHED_TOKENS, CPU_RULES, GPU_RULES, CacheRules
from spectui.core.memory_plan.checkpoint import BYTES, Checkpoint
from spectui.core.memory_plan.cuts import Cuts, cuts
from spectui.core.memory_plan.plan import Device, MemoryPlan, plan_memory
from spectui.core.memory_plan.weights import LoadRules
from spectui.figures import size_text
from spectui.runtime.threads import has_nvidia_gpu
from spectui.setup.presets.known import shipped_presets
from spectui.sources.checkpoints.reading import read_checkpoint
from spectui.sources.demo_model import demo_model_ready
from spectui.sources.demo_model.known import known_checkpoint
from spectui.sources.vllm.config import HostConfig, Room
from spectui.sources.vllm.lane_spec import LaneSpec, lane_infos
from spectui.sources.vllm.sharing import SharedTarget
from spectui.sources.vllm.target import TargetError
from spectui.telemetry.free_memory import gpu_memory, host_memory

logger = logging.getLogger(__name__)

CPU_KV_BYTES = 160 << 20
GPU_KV_BYTES = 2 << 30
"""A lane's cache where nothing is known about the model, and the least where there is room for more than is needed."""

Read: TypeAlias = Callable[[str], Checkpoint]
"""Reads a checkpoint's configuration and headers. Raises `TargetError`."""


def plan(
    config: HostConfig, *, gpu: bool | None = None, device: Device | None = None, read: Read = read_checkpoint
) -> MemoryPlan:
    """Plan the memory of a run.

    Args:
        config: What is to run.
        gpu: Whether on a GPU; None for what this machine has.
        device: Where; None for this machine.
        read: Reads a checkpoint.

    Raises:
        TargetError: The target's configuration cannot be read; the message is one sentence.
    """
    on_gpu = has_nvidia_gpu() if gpu is None else gpu
    asked = asked_of(config, gpu=on_gpu, read=read)
    return plan_memory(asked, device or device_of(config, gpu=on_gpu))


def device_of(config: HostConfig, *, gpu: bool) -> Device:
    """The device of this machine that a run would be on; where a model is split among processes, each one's share."""
    processes = _positive(config, "tensor_parallel_size", 1) * _positive(config, "pipeline_parallel_size", 1)
    if gpu:
        return gpu_memory(processes)
    host = host_memory()
    if processes == 1 or host.total is None or host.free is None:
        return host
    name = f"{host.name}, for each of {processes} processes"
    return Device(name, host.total // processes, host.free // processes)


def asked_of(config: HostConfig, *, gpu: bool, read: Read = read_checkpoint) -> Asked:
    """What a configuration asks for, with its checkpoints' configurations and headers.

    Raises:
        TargetError: The target's cannot be read; a drafter's that cannot be read is noted.
    """
    arguments = config.engine_args
    target = _overridden(_demo_target(read) if config.model is None else read(config.model), arguments)
    rules = GPU_RULES if gpu else CPU_RULES
    seats = _positive(config, "max_num_seqs", 16)
    cache = CacheRules(
        block_tokens=_positive(config, "block_size", rules.block_tokens),
        kernel_tokens=rules.kernel_tokens,
        batched_tokens=_positive(config, "max_num_batched_tokens", BATCHED_TOKENS),
        prefix_caching=bool(arguments.get("enable_prefix_caching")),
    )
    dtype = arguments.get("dtype")
    quantization = arguments.get("quantization")
    return Asked(
        target=target,
        lanes=tuple(_lane(spec, info.name, info.title, target, read) for spec, info in _lanes(config.specs)),
        context=_positive(config, "max_model_len", target.number("max_position_embeddings", BATCHED_TOKENS)),
        requests=config.concurrency,
        gpu=gpu,
        seats=seats,
        cache=cache,
        load=LoadRules(
            dtype=dtype if isinstance(dtype, str) and dtype in BYTES else None,
            quantization=quantization if isinstance(quantization, str) else None,
            text_only=bool(arguments.get("language_model_only")),
        ),
        cache_dtype=str(arguments.get("kv_cache_dtype", "auto")),
        share=config.share and SharedTarget(arguments).obstacle(config.model or "") is None,
        eager=bool(arguments.get("enforce_eager")),
        kv_bytes=_given_cache(config),
        kv_floor=GPU_KV_BYTES if gpu else CPU_KV_BYTES,
        shards=_positive(config, "tensor_parallel_size", 1),
        stages=_positive(config, "pipeline_parallel_size", 1),
        variant=_fp8_of(config.model),
    )


def _fp8_of(model: str | None) -> str:
    """A known checkpoint of the same model in fp8; empty if there is none."""
    if model is None:
        return ""
    presets = shipped_presets().values()
    alike = [one for preset in presets if model == preset.target for one in preset.also]
    alike += [preset.target for preset in presets if preset.target.lower() == f"{model}-fp8".lower()]
    return next((one for one in alike if "fp8" in one.lower()), "")


def _lanes(specs: Sequence[LaneSpec]) -> Any:
    return zip(specs, lane_infos(specs), strict=True)


def _overridden(model: Checkpoint, arguments: Mapping[str, Any]) -> Checkpoint:
    """The model with the configuration that the engine arguments change."""
    overrides: Any = arguments.get("hf_overrides")
    config = {**model.config, **(overrides if isinstance(overrides, dict) else {})}
    if (state := arguments.get("mamba_ssm_cache_dtype")) in BYTES:
        part = next((key for key, value in config.items() if value is model.text), None)
        config |= {"mamba_ssm_dtype": state} if part is None else {part: {**model.text, "mamba_ssm_dtype": state}}
    return replace(model, config=config)


def _demo_target(read: Read) -> Checkpoint:
    ready = demo_model_ready()
    return known_checkpoint() if ready is None else replace(read(str(ready)), name=known_checkpoint().name)


def _positive(config: HostConfig, name: str, default: int) -> int:
    """An engine argument that is a positive number; ``default`` if it is left to vLLM."""
    value = config.engine_args.get(name)
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else default


def _given_cache(config: HostConfig) -> int | None:
    """The size of a lane's cache that the user set."""
    value = config.asked_args.get("kv_cache_memory_bytes")
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _lane(spec: LaneSpec, name: str, title: str, target: Checkpoint, read: Read) -> AskedLane:
    lane = AskedLane(name, title, spec.method, spec.k_max)
    model = str(spec.options.get("model") or "")
    if spec.method in WITHOUT_MODEL or not model:
        return lane
    if model == "target" and spec.method != DIFFUSION:
        # vLLM takes a target with a built-in MTP head for that head (``hf_config_override``).
        built_in = target.mtp_layers > 0
        return replace(lane, method="mtp") if built_in else replace(lane, drafter=target)
    try:
        return replace(lane, drafter=read(model))
    except TargetError as error:
        whose = "its model '" if spec.method == DIFFUSION else "its drafter '"
        return replace(lane, unread=str(error).replace("model '", whose, 1))


def planned_room(config: HostConfig, *, gpu: bool, read: Read = read_checkpoint, device: Device | None = None) -> Room:
    """What the lanes may take of this machine's memory. Never raises: a model that cannot be read is not sized."""
    try:
        asked = asked_of(config, gpu=gpu, read=read)
        device = device or device_of(config, gpu=gpu)
        planned = plan_memory(asked, device)
        refused = refusal(planned, cuts(asked, device)) if gpu and planned.hopeless else ""
    except TargetError:
        logger.info("no plan of the memory", exc_info=True)
        return Room()
    except Exception:
        logger.exception("the memory could not be planned")
        return Room()
    if asked.kv_bytes is not None:
        return Room(refused)
    sizes = [(spec, lane.kv) for spec, lane in zip(config.specs, planned.lanes, strict=True)]
    return Room(refused, partial(_size, sizes, partial(_alone, config, gpu, read, device)))


def _size(sizes: Sequence[tuple[LaneSpec, int]], other: Callable[[LaneSpec], int | None], spec: LaneSpec) -> int | None:
    """The cache of a lane: what was planned for it, or for the same drafter and a larger K, beside which a lane with a
    smaller one is measured."""
    same = [(one, size) for one, size in sizes if (one.method, one.options) == (spec.method, spec.options)]
    planned = next((size for one, size in same if one == spec), None)
    return planned or next((size for one, size in same if one.k_max >= spec.k_max), None) or other(spec)


def _alone(config: HostConfig, gpu: bool, read: Read, device: Device, spec: LaneSpec) -> int | None:
    """The cache of a lane that was not asked for at the start, beside AR alone: a search builds lanes for other K."""
    beside = replace(config, specs=(LaneSpec("ar", 0, text="ar"), spec))
    try:
        return plan(beside, gpu=gpu, device=device, read=read).lanes[-1].kv
    except Exception:
        logger.exception("the cache of lane %s could not be planned", spec.text)
        return None


def refusal(planned: MemoryPlan, found: Cuts) -> str:
    """Why a plan's lanes are not loaded, and what to do, in one sentence."""
    fix = f"use {found.flags}" if found.flags else "race one lane at a time, or take a smaller model"
    lanes = "1 lane" if len(planned.lanes) == 1 else f"{len(planned.lanes)} lanes"
    return (
        f"not enough memory on {planned.device.name}: {lanes} of {planned.target} would take "
        f"{size_text(planned.least)} at least, and {size_text(planned.device.free)} are free; {fix}; "
        "`spectui plan` shows what takes how much"
    )

"""What ``spectui presets`` prints: all presets as a table, one in full, or the lanes that are found for a model."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from typing import Any

from spectui.core.memory_plan.plan import Device
from spectui.errors import DONE, UsageError
from spectui.figures import DASH, size_text
from spectui.runtime.output import as_json, tell, visible
from spectui.runtime.threads import has_nvidia_gpu
from spectui.setup.finder import Found, find_lanes
from spectui.setup.presets.known import known_presets
from spectui.setup.presets.preset import HEADROOM, Preset, PresetLane
from spectui.sources.vllm.lane_spec import parse_lane_spec
from spectui.sources.vllm.target import folder_fault
from spectui.telemetry.free_memory import gpu_memory, host_memory

HEADINGS = ("preset", "memory", "here", "lanes", "context", "target", "licence")


def show(options: argparse.Namespace) -> int:
    """Print what the options ask for; returns the exit code.

    Raises:
        UsageError: There is no such preset, or no such folder.
    """
    if options.model is not None:
        if options.preset is not None:
            raise UsageError("NAME and --for cannot be used together: use one of them")
        if (fault := folder_fault(options.model)) is not None:
            raise UsageError(fault)
        found = find_lanes(options.model)
        _print(found_json(options.model, found) if options.json else "\n".join(_found_lines(options.model, found)))
        return DONE
    known = known_presets()
    presets = list(known.by_name.values()) if options.preset is None else [known.find(options.preset)]
    device = gpu_memory() if has_nvidia_gpu() else host_memory()
    if options.preset is not None:
        _print(preset_json(presets[0], device) if options.json else "\n".join(_full(presets[0], device)))
        return DONE
    _print([preset_json(preset, device) for preset in presets] if options.json else "\n".join(_table(presets, device)))
    for sentence in known.broken:
        tell(f"spectui presets: skipped: {sentence}")
    return DONE


def _print(what: object) -> None:
    print("\n".join(map(visible, what.splitlines())) if isinstance(what, str) else as_json(what))


def preset_json(preset: Preset, device: Device) -> dict[str, Any]:
    """A preset for machines, and whether it fits on the device."""
    return {
        "name": preset.name,
        "title": preset.title,
        "target": preset.target,
        "also": list(preset.also),
        "lanes": [_lane_json(lane) for lane in preset.lanes],
        "context": preset.context,
        "memory_gb": preset.memory_gb,
        "fits": fits(preset, device),
        "licence": preset.licence,
        "gate": preset.gate,
        "engine": dict(preset.engine_args),
        "chat": dict(preset.chat),
        "note": preset.note,
        "source": preset.source,
        "file": preset.file,
        "yours": preset.yours,
    }


def fits(preset: Preset, device: Device) -> bool | None:
    """Whether the preset's lanes fit into what is free on the device; None if one of the two is not known."""
    return None if device.free is None else preset.fits(device.free)


_FITS = {True: "fits", False: "does not fit", None: DASH}


def _lane_json(lane: PresetLane) -> dict[str, Any]:
    spec = parse_lane_spec(lane.spec)
    start = spec.k_max if spec.k_start is None else spec.k_start
    return {
        "spec": lane.spec,
        "method": spec.method,
        "k_max": spec.k_max,
        "k": start,
        "drafter": spec.options.get("model"),
        **{name: getattr(lane, name) for name in ("licence", "gate", "note", "unverified", "source")},
    }


def found_json(model: str, found: Sequence[Found]) -> dict[str, Any]:
    """The lanes of a model for machines."""
    return {
        "model": model,
        "lanes": [{"spec": one.spec, "why": one.why, "lacking": one.lacking} for one in found],
    }


def _table(presets: Sequence[Preset], device: Device) -> Iterator[str]:
    rows = [HEADINGS, *(_row(preset, device) for preset in presets)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADINGS))]
    for row in rows:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
    yield ""
    yield "K is the number beside a lane; 4-8 starts at 4 and can be raised to 8."
    yield "* needs terms to be accepted first: spectui presets NAME says where."
    room = size_text(HEADROOM)
    yield f"Memory is for all lanes, with one copy of the target; 'fits' leaves {room} more for the work of a step."
    yield f"{_free(device)} Race one: spectui --preset NAME"


def _free(device: Device) -> str:
    free = "It is not known what is free" if device.free is None else f"{size_text(device.free)} are free"
    where = "on this machine's GPU" if device.gpu else "in this machine's memory"
    return f"{free} {where}."


def _row(preset: Preset, device: Device) -> tuple[str, ...]:
    return (
        preset.name,
        _memory(preset),
        _FITS[fits(preset, device)],
        ", ".join(_short(lane) for lane in preset.lanes),
        DASH if preset.context is None else f"{preset.context:,}",
        preset.target + "*" * bool(preset.gate),
        preset.licence or DASH,
    )


def _memory(preset: Preset) -> str:
    return size_text(None if preset.memory_gb is None else preset.memory_gb * 1e9)


def _short(lane: PresetLane) -> str:
    """``mtp 4-8*``: the method, the K that it begins with and the one that it is built for."""
    spec = parse_lane_spec(lane.spec)
    if not spec.k_max:
        return spec.method
    begins = "" if spec.k_start in (None, spec.k_max) else f"{spec.k_start}-"
    return f"{spec.method} {begins}{spec.k_max}{'*' * bool(lane.gate)}"


def _full(preset: Preset, device: Device) -> Iterator[str]:
    here = {True: "fits here", False: "does not fit here", None: ""}[fits(preset, device)]
    memory = "" if preset.memory_gb is None else f"{_memory(preset)} for all lanes{here and f': {here}'}"
    yield f"{preset.name}: {preset.title or preset.target}"
    yield from _facts(
        "  ",
        [
            ("target", preset.target),
            ("licence", preset.licence),
            ("before", preset.gate),
            ("memory", memory),
            ("engine", ", ".join(f"{name}={value}" for name, value in preset.engine_args.items())),
            ("template", ", ".join(f"{name}={value}" for name, value in preset.chat.items())),
            ("note", preset.note),
            ("source", preset.source),
            ("also for", ", ".join(preset.also)),
            ("file", preset.file if preset.yours else ""),
        ],
    )
    for lane in preset.lanes:
        yield f"  --lane {lane.spec}"
        unverified = f"not confirmed by any page: {lane.unverified}" if lane.unverified else ""
        facts = [("licence", lane.licence), ("before", lane.gate), ("note", lane.note), ("unverified", unverified)]
        yield from _facts("    ", [*facts, ("source", lane.source)])


def _facts(indent: str, facts: Sequence[tuple[str, str]]) -> Iterator[str]:
    for name, value in facts:
        if value:
            yield f"{indent}{name:<10}  {value}"


def _found_lines(model: str, found: Sequence[Found]) -> Iterator[str]:
    yield f"--model {model} races these lanes:"
    width = max(len(one.spec) for one in found)
    for one in found:
        if not one.lacking:
            yield f"  {one.spec:<{width}}  {one.why}"
    lacking = [one for one in found if one.lacking]
    if lacking:
        yield "and would race these:"
        for one in lacking:
            yield f"  {one.spec:<{width}}  {one.why}; first {one.lacking}"

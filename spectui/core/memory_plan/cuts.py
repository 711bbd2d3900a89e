"""What to change when lanes do not fit, as options that can be pasted, the one that costs the user least first."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TypeAlias

from spectui.core.memory_plan.asked import Asked
from spectui.core.memory_plan.plan import Device, MemoryPlan, plan_memory
from spectui.core.memory_plan.weights import tower_bytes

SHORTEST = 1024
"""The shortest context that is proposed: a prompt of a page, and an answer of as much."""


@dataclass(frozen=True, slots=True)
class Cut:
    """A change.

    Attributes:
        flags: The options that make it.
        saves: Bytes that it alone saves of what is needed.
        enough: Whether it alone is enough.
        loses: What the user gives up.
    """

    flags: str
    saves: int
    enough: bool
    loses: str


@dataclass(frozen=True, slots=True)
class Cuts:
    """What can be changed.

    Attributes:
        each: Every change that saves anything, the one that costs least first.
        flags: The first of them that are enough together, as options; empty if all of them are not.
    """

    each: tuple[Cut, ...] = ()
    flags: str = ""


_Change: TypeAlias = tuple[str, str, Callable[[Asked], Asked]]
"""Options, what is lost, and the change."""


def cuts(asked: Asked, device: Device) -> Cuts:
    """What to change of what was asked so that it fits; nothing if it fits, or if that is not known."""
    plan = plan_memory(asked, device)
    if plan.fits is not False:
        return Cuts()
    found = [(flags, loses, change, plan_memory(change(asked), device)) for flags, loses, change in _changes(asked)]
    each = [
        (Cut(flags, plan.needed - changed.needed, changed.fits is True, loses), change)
        for flags, loses, change, changed in found
        if changed.needed < plan.needed
    ]
    return Cuts(tuple(cut for cut, _ in each), _together(asked, device, each))


def _together(asked: Asked, device: Device, each: list[tuple[Cut, Callable[[Asked], Asked]]]) -> str:
    """The fewest changes that are enough: one alone, or the first ones together."""
    if alone := next((cut.flags for cut, _ in each if cut.enough), ""):
        return alone
    flags: list[str] = []
    for cut, change in each:
        asked = change(asked)
        flags.append(cut.flags)
        if plan_memory(asked, device).fits:
            return " ".join(flags)
    return ""


def _changes(asked: Asked) -> Iterator[_Change]:
    if not asked.load.text_only and tower_bytes(asked.target, asked.load):
        yield (
            "--engine-arg language_model_only=true",
            "images and sound",
            lambda one: replace(one, load=replace(one.load, text_only=True)),
        )
    if asked.kv_bytes is not None:
        least = max((size or 0 for size in _caches(asked)), default=0)
        if 0 < least < asked.kv_bytes:
            yield (
                f"--engine-arg kv_cache_memory_bytes={least}",
                "places in the cache that these requests do not need",
                lambda one: replace(one, kv_bytes=least),
            )
    fewer = replace(asked, seats=asked.requests)
    if asked.seats > asked.requests and _caches(fewer) != _caches(asked):
        yield (
            f"--engine-arg max_num_seqs={asked.requests}",
            "more requests in flight at once",
            lambda one: replace(one, seats=asked.requests),
        )
    if asked.requests > 1:
        yield "--concurrency 1", "the figures under load", lambda one: replace(one, requests=1)
    if (context := asked.context // 2) >= SHORTEST:
        yield (
            f"--engine-arg max_model_len={context}",
            "long prompts and answers",
            lambda one: replace(one, context=context),
        )
    if asked.gpu and asked.load.quantization is None and not asked.target.quantized:
        # A checkpoint in fp8 was quantised with more care than loading takes.
        yield (
            f"--model {asked.variant}" if asked.variant else "--engine-arg quantization=fp8",
            "exactness: the target is quantised",
            lambda one: replace(one, load=replace(one.load, quantization="fp8")),
        )


def _caches(asked: Asked) -> list[int | None]:
    """The caches that lanes need."""
    return [lane.kv_needed for lane in plan_memory(asked, Device("", None, None)).lanes]


def in_turn(plan: MemoryPlan) -> int | None:
    """The most that one of the lanes needs alone; None if there is one lane, or if that does not fit either."""
    if len(plan.lanes) < 2 or plan.target_bytes is None or plan.device.free is None:
        return None
    alone = [
        plan.base
        + plan.working
        + lane.fixed
        + (0 if lane.own else plan.target_bytes - (lane.target or 0))
        + (lane.kv if plan.sized or lane.kv_needed is None else lane.kv_needed)
        for lane in plan.lanes
    ]
    return max(alone) if max(alone) <= plan.device.free else None

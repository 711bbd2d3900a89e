"""The plan: what each lane takes, what all of them take together, and whether the device has it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from spectui.core.memory_plan.asked import DIFFUSION, Asked, AskedLane
from spectui.core.memory_plan.cache import CachePlan
from spectui.core.memory_plan.estimates import base_bytes, graph_bytes, working_bytes

WIDE_MARGIN = 0.1
"""By how much more than the free memory a plan must need to be refused: estimates may be wrong."""


@dataclass(frozen=True, slots=True)
class Device:
    """Where the lanes are to run.

    Attributes:
        name: Its name.
        total: Its memory; None if it is not known.
        free: What of it is free.
        gpu: Whether it is a GPU.
    """

    name: str
    total: int | None
    free: int | None
    gpu: bool = False


@dataclass(frozen=True, slots=True)
class LanePlan:
    """What a lane adds to the memory in use.

    Attributes:
        lane: The lane's name.
        title: Its name for people.
        target: Weights of the target; 0 if it uses another lane's, None if not known.
        drafter: Weights of its drafter beside the target's; None if not known.
        kv: Its cache.
        kv_needed: The cache that it needs for the requests and the context asked for; None if not known.
        kv_least: The cache without which it does not start: for one request of full length, and for CUDA graphs of a
            model with states a block for every place; a lower bound if its drafter is not known, None if its target
            is not.
        graphs: An estimate of its CUDA graphs.
        request_bytes: Cache that a request of full length takes; None if not known.
        own: Whether ``target`` is a model of its own, which no other lane has (diffusion).
    """

    lane: str
    title: str
    target: int | None
    drafter: int | None
    kv: int
    kv_needed: int | None
    kv_least: int | None
    graphs: int
    request_bytes: int | None
    own: bool = False

    @property
    def fixed(self) -> int:
        """Bytes of everything but the cache; what is not known counts as 0."""
        return (self.target or 0) + (self.drafter or 0) + self.graphs


@dataclass(frozen=True, slots=True)
class MemoryPlan:
    """What lanes will take of a device's memory.

    Attributes:
        target: The target's name.
        device: Where they are to run.
        lanes: What each adds.
        shared: Whether the lanes share one copy of the target's weights.
        target_bytes: Bytes of one copy of the target; None if not known.
        base: An estimate of what the process takes before anything is loaded.
        working: An estimate of what a step takes beside weights and cache.
        context: Tokens of a request at most.
        requests: Requests in flight in each lane.
        sized: Whether the user set the size of the caches.
        unknown: What could not be found out, a sentence each; those parts are missing from the sums.
    """

    target: str
    device: Device
    lanes: tuple[LanePlan, ...]
    shared: bool
    target_bytes: int | None
    base: int
    working: int
    context: int
    requests: int
    sized: bool = False
    unknown: tuple[str, ...] = ()

    @property
    def fixed(self) -> int:
        """Bytes of everything but the caches."""
        return self.base + self.working + sum(lane.fixed for lane in self.lanes)

    @property
    def total(self) -> int:
        """Bytes with the caches that the lanes get."""
        return self.fixed + sum(lane.kv for lane in self.lanes)

    @property
    def needed(self) -> int:
        """Bytes with caches for the requests and the context asked for, or of the size that the user set."""
        return self._with([lane.kv_needed for lane in self.lanes])

    @property
    def least(self) -> int:
        """Bytes without which the lanes do not start."""
        return self._with([lane.kv_least for lane in self.lanes])

    def _with(self, caches: Sequence[int | None]) -> int:
        if self.sized:
            return self.total
        return self.fixed + sum(
            lane.kv if cache is None else cache for lane, cache in zip(self.lanes, caches, strict=True)
        )

    @property
    def short(self) -> int | None:
        """Bytes that are missing, negative if some are left; None if it is not known what is free."""
        return None if self.device.free is None else self.needed - self.device.free

    @property
    def fits(self) -> bool | None:
        """Whether what is needed is free; None if that is not known."""
        if self.short is None or self.target_bytes is None:
            return None
        return self.short <= 0

    @property
    def hopeless(self) -> bool:
        """Whether even what the lanes need to start is far more than what is free."""
        free = self.device.free
        return self.fits is not None and free is not None and self.least > free * (1 + WIDE_MARGIN)


def plan_memory(asked: Asked, device: Device) -> MemoryPlan:
    """Plan the memory of the lanes on a device."""
    size = asked.target_bytes()
    caches = [asked.cache_of(lane) for lane in asked.lanes]
    lanes: list[LanePlan] = []
    for lane, cache in zip(asked.lanes, caches, strict=True):
        own = lane.method == DIFFUSION
        has_copy = asked.share and not own and any(not earlier.own for earlier in lanes)
        lanes.append(_lane(asked, lane, cache, 0 if has_copy else asked.target_bytes(lane), own=own))
    plan = MemoryPlan(
        target=asked.target.name,
        device=device,
        lanes=tuple(lanes),
        shared=asked.share,
        target_bytes=size,
        base=base_bytes(asked),
        working=working_bytes(asked),
        context=asked.context,
        requests=asked.requests,
        sized=asked.kv_bytes is not None,
        unknown=tuple(_unknown(asked, size, caches)),
    )
    if asked.kv_bytes is not None:
        return plan
    room = None if device.free is None else device.free - plan.fixed
    sizes = shared_out([_levels(asked, cache) for cache in caches], room)
    whole = [size if cache is None else cache.reserved(size) for size, cache in zip(sizes, caches, strict=True)]
    return replace(plan, lanes=tuple(replace(lane, kv=kv) for lane, kv in zip(lanes, whole, strict=True)))


def _lane(asked: Asked, lane: AskedLane, cache: CachePlan | None, target: int | None, *, own: bool) -> LanePlan:
    kv = asked.kv_floor if asked.kv_bytes is None else asked.kv_bytes
    return LanePlan(
        lane=lane.name,
        title=lane.title,
        target=target,
        drafter=asked.drafter_bytes(lane),
        kv=kv if cache is None else cache.reserved(kv),
        kv_needed=None if cache is None or cache.partial else cache.needed(asked.requests, asked.context),
        kv_least=None if cache is None else cache.needed(1, asked.context),
        graphs=graph_bytes(asked, lane),
        request_bytes=(
            None if cache is None or cache.partial else cache.block_bytes * cache.request_blocks(asked.context)
        ),
        own=own,
    )


def _levels(asked: Asked, cache: CachePlan | None) -> tuple[int, int, int]:
    """The cache that a lane needs to start, the one for what was asked for, and the one it gets if there is room: with
    a place for one more request, in which the target is asked about a step, and not below the floor. Of a lane whose
    drafter is not known none is below the floor."""
    if cache is None:
        return (asked.kv_floor,) * 3
    needed = [cache.needed(requests, asked.context) for requests in (1, asked.requests, asked.requests + 1)]
    # Whole blocks, so that no more is reserved than was said.
    floor = -(-asked.kv_floor // cache.block_bytes) * cache.block_bytes
    if cache.partial:
        needed = [max(one, floor) for one in needed]
    return needed[0], needed[1], max(needed[2], floor)


def shared_out(levels: Sequence[tuple[int, ...]], room: int | None) -> list[int]:
    """Divide ``room`` bytes among lanes: every lane climbs to the same level, and the rest goes towards the next.

    A level is never less than the one below it. All lanes get their highest level if ``room`` is None, and their lowest
    even if there is not enough for it.
    """
    if room is None:
        return [steps[-1] for steps in levels]
    given = [steps[0] for steps in levels]
    for above in zip(*levels, strict=True):
        missing = sum(above) - sum(given)
        left = max(0, room - sum(given))
        if missing <= left:
            given = list(above)
            continue
        return [has + (wants - has) * left // missing for has, wants in zip(given, above, strict=True)]
    return given


def _unknown(asked: Asked, size: int | None, caches: Sequence[CachePlan | None]) -> list[str]:
    """What the plan does not know."""
    said: list[str] = []
    if size is None:
        said.append(f"the weights of '{asked.target.name}' have no headers that can be read")
    said += [f"{lane.title}: {lane.unread}" for lane in asked.lanes if lane.unread]
    for lane, cache in zip(asked.lanes, caches, strict=True):
        if (cache is None or cache.partial) and not lane.unread:
            whose = "its" if cache is None else "its drafter's"
            said.append(
                f"{lane.title}: {whose} layers are of a kind that the plan does not know, so its cache is a guess"
            )
    return said

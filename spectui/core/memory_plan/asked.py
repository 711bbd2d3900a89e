"""What somebody wants to run: models, lanes and settings, as far as they take memory."""

from __future__ import annotations

from dataclasses import dataclass, replace

from spectui.core.memory_plan.cache import CPU_RULES, CachePlan, CacheRules, cache_plan
from spectui.core.memory_plan.checkpoint import Checkpoint
from spectui.core.memory_plan.layers import Layer, built_in_layers, drafter_layers, target_layers
from spectui.core.memory_plan.weights import AS_IT_IS, LoadRules, built_in_bytes, drafter_bytes, target_bytes

WITHOUT_MODEL = frozenset({"ar", "ngram", "suffix", "custom_class"})
"""Methods whose drafter, if there is one, has no weights that are known before it is loaded."""

DIFFUSION = "diffusion"
"""The method of lanes that load a model of their own instead of the target, and draft nothing."""


@dataclass(frozen=True, slots=True)
class AskedLane:
    """A lane.

    Attributes:
        name: The lane's name.
        title: Its name for people.
        method: vLLM's name of the method.
        k: Drafted tokens that it is built for.
        drafter: The drafter's own checkpoint, or the model of a diffusion lane; None if it has none, or if it is
            ``unread``.
        unread: Why that checkpoint could not be looked at; empty if it could, or if there is none.
    """

    name: str
    title: str
    method: str
    k: int = 0
    drafter: Checkpoint | None = None
    unread: str = ""


@dataclass(frozen=True, slots=True)
class Asked:
    """A target, its lanes, and how they are to run.

    Attributes:
        target: The target.
        lanes: The lanes.
        context: Tokens of a request at most, prompt and answer (``max_model_len``).
        requests: Requests in flight in each lane.
        gpu: Whether it is to run on a GPU.
        seats: Requests that an engine is built for (``max_num_seqs``).
        cache: Settings of the cache.
        load: How weights are loaded.
        cache_dtype: vLLM's ``kv_cache_dtype``.
        share: Whether the lanes share one copy of the target's weights.
        eager: Whether there are no CUDA graphs.
        kv_bytes: Bytes of cache per lane that the user set.
        kv_floor: Bytes of cache per lane below which it is not made smaller than it need be.
        shards: GPUs that share every layer (``tensor_parallel_size``).
        stages: GPUs that share the layers out among them (``pipeline_parallel_size``).
        variant: The same target in fp8; empty if none is known.
    """

    target: Checkpoint
    lanes: tuple[AskedLane, ...]
    context: int
    requests: int = 1
    gpu: bool = False
    seats: int = 16
    cache: CacheRules = CPU_RULES
    load: LoadRules = AS_IT_IS
    cache_dtype: str = "auto"
    share: bool = False
    eager: bool = True
    kv_bytes: int | None = None
    kv_floor: int = 0
    shards: int = 1
    stages: int = 1
    variant: str = ""

    def target_bytes(self, lane: AskedLane | None = None) -> int | None:
        """Bytes on each GPU of the target, or of what the lane loads for it; None if they are not known."""
        model = self.target if lane is None else self._model(lane)
        size = None if model is None else target_bytes(model, self.load)
        return None if size is None else size // (self.shards * self.stages)

    def drafter_bytes(self, lane: AskedLane) -> int | None:
        """Bytes of the lane's drafter on each GPU; 0 if it has none, None if they are not known."""
        if lane.method in WITHOUT_MODEL or lane.method == DIFFUSION:
            return 0
        if lane.unread:
            return None
        if lane.drafter is None:
            size = built_in_bytes(self.target, self.load)
        else:
            size = drafter_bytes(lane.drafter, lane.method, self._dtype)
        return None if size is None else size // self.shards

    def cache_of(self, lane: AskedLane) -> CachePlan | None:
        """How the lane's cache is divided, by the target's layers alone if the drafter's are not known; None if the
        target's are not."""
        if (model := self._model(lane)) is None:
            return None
        target = target_layers(model, dtype=self.load.dtype, cache_dtype=self.cache_dtype, shards=self.shards)
        if target is None:
            return None
        drafter = self._drafter_layers(lane)
        cache = cache_plan(target[: -(-len(target) // self.stages)], drafter or [], lane.k, self.cache)
        if cache is None:
            return None
        # vLLM captures whole CUDA graphs only if there is a block for every place, the one it never gives out among
        # them (``resolve_cudagraph_mode_and_sizes`` in ``vllm/config/compilation.py``).
        graphs = self.gpu and not self.eager and cache.has_states
        return replace(cache, least_blocks=self.places(lane) if graphs else 0, partial=drafter is None)

    def places(self, lane: AskedLane) -> int:
        """Requests that the lane's engine has a place for: one more than seats, for a probe beside them, and one for
        every K."""
        return max(self.seats, lane.k) + 1

    def _model(self, lane: AskedLane) -> Checkpoint | None:
        """What the lane loads as its target; None if it could not be looked at."""
        if lane.method != DIFFUSION:
            return self.target
        return None if lane.unread else lane.drafter or self.target

    @property
    def _dtype(self) -> str:
        """The number format of target and drafters: vLLM loads drafters in the target's."""
        return self.target.dtype(self.load.dtype)

    def _drafter_layers(self, lane: AskedLane) -> list[Layer] | None:
        if lane.method in WITHOUT_MODEL or lane.method == DIFFUSION:
            return []
        if lane.unread:
            return None
        dtype, cache, shards = self._dtype, self.cache_dtype, self.shards
        if lane.drafter is None:
            return built_in_layers(self.target, dtype=dtype, cache_dtype=cache, shards=shards)
        return drafter_layers(lane.drafter, lane.method, dtype=dtype, cache_dtype=cache, shards=shards)

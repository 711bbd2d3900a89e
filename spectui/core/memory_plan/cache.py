"""What requests take of a KV cache, by vLLM 0.32's own rules, without vLLM.

vLLM cuts the cache into blocks of one size, from which every group of layers draws. Layers that keep different amounts
are brought to the same page, either by more tokens to a block or by padding, and go into groups of equal length
(``get_kv_cache_groups``, ``unify_kv_cache_spec_page_size`` and ``_get_kv_cache_groups_uniform_page_size`` in
``vllm/v1/core/kv_cache_utils.py``). A model with states and attention gets blocks so large that the attention's page
holds a state (``_align_hybrid_block_size`` in ``vllm/platforms/interface.py``). Layouts in which blocks lie outermost,
which pack pages of unlike size, are not described: none of the attention backends prefers one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from spectui.core.memory_plan.layers import Attention, Layer, State

BATCHED_TOKENS = 2048
"""Tokens of a step at most, where the user does not say (``SchedulerConfig.DEFAULT_MAX_NUM_BATCHED_TOKENS``)."""


@dataclass(frozen=True, slots=True)
class CacheRules:
    """What the engine's settings say about its cache.

    Attributes:
        block_tokens: Tokens in a block, before anything is aligned: 16 on a GPU, 128 on a CPU, or the user's.
        kernel_tokens: The fewest tokens that the attention kernel takes as a block: 16 on a GPU, 32 on a CPU.
        batched_tokens: Tokens of a step at most.
        prefix_caching: Whether finished blocks are kept for later prompts.
    """

    block_tokens: int
    kernel_tokens: int
    batched_tokens: int = BATCHED_TOKENS
    prefix_caching: bool = False


GPU_RULES, CPU_RULES = CacheRules(16, 16), CacheRules(128, 32)


@dataclass(frozen=True, slots=True)
class Group:
    """Layers that share a table of blocks.

    Attributes:
        layers: How many they are.
        block_tokens: Tokens in a block.
        window: How many tokens they reach; None for all.
        blocks: Blocks of a request whatever its length (states); None if they depend on it.
    """

    layers: int
    block_tokens: int
    window: int | None = None
    blocks: int | None = None


@dataclass(frozen=True, slots=True)
class CachePlan:
    """How a lane's cache is divided.

    Attributes:
        block_bytes: Bytes of a block; all groups draw blocks of this size.
        groups: The groups.
        batched_tokens: Tokens of a step at most; a sliding window keeps so many more.
        least_blocks: Blocks without which the engine does not start, whatever its requests take.
        partial: Whether the drafter's layers are missing, so that figures are lower bounds.
    """

    block_bytes: int
    groups: tuple[Group, ...]
    batched_tokens: int
    least_blocks: int = 0
    partial: bool = False

    @property
    def has_states(self) -> bool:
        """Whether some layers keep one state for each request."""
        return any(group.blocks is not None for group in self.groups)

    def request_blocks(self, context: int) -> int:
        """Blocks that a request of ``context`` tokens takes at most.

        ``max_memory_usage_bytes`` of each kind of spec in ``vllm/v1/kv_cache_interface.py``. For a window it covers the
        window, the tokens of the step in flight, and one block, since a window may begin within a block.
        """
        return sum(self._blocks(group, context) for group in self.groups)

    def _blocks(self, group: Group, context: int) -> int:
        if group.blocks is not None:
            return group.blocks
        if group.window is None:
            return -(-context // group.block_tokens)
        kept = min(group.window - 1 + self.batched_tokens, context)
        return -(-kept // group.block_tokens) + 1

    def needed(self, requests: int, context: int) -> int:
        """Bytes for ``requests`` requests of ``context`` tokens at once, with the one block that vLLM never gives
        out, and at least those without which the engine does not start."""
        return self.block_bytes * max(requests * self.request_blocks(context) + 1, self.least_blocks)

    def reserved(self, size: int) -> int:
        """Bytes that vLLM takes of a cache of ``size`` bytes: whole blocks."""
        return size // self.block_bytes * self.block_bytes


@dataclass(frozen=True, slots=True)
class _Spec:
    """A kind of layer's share of a block: what vLLM tells specs apart by, as far as it matters here."""

    layer: Layer
    tokens: int
    page: int


def cache_plan(layers: Sequence[Layer], drafter: Sequence[Layer], k: int, rules: CacheRules) -> CachePlan | None:
    """Divide a lane's cache; None if its model keeps nothing.

    Args:
        layers: The target's layers.
        drafter: The drafter's own layers.
        k: Drafted tokens that the lane is built for.
        rules: The engine's settings.
    """
    every = [*layers, *drafter]
    if not every:
        return None
    tokens = _block_tokens(layers, k, rules)
    attention = next((layer for layer in layers if isinstance(layer, Attention)), None)
    states = {layer.bytes(k) for layer in every if isinstance(layer, State)}
    state_page = max(max(states, default=0), tokens * attention.token_bytes if attention and states else 0)
    counts = Counter(
        _Spec(layer, tokens, tokens * layer.token_bytes if isinstance(layer, Attention) else state_page)
        for layer in every
    )
    if _alike(list(counts)):
        page = sum(spec.page * count for spec, count in counts.items())
        first = next(iter(counts))
        return CachePlan(page, (_group(first, len(every), k, rules),), rules.batched_tokens)
    return _grouped(_unified(counts), k, rules)


def _block_tokens(layers: Sequence[Layer], k: int, rules: CacheRules) -> int:
    states = [layer.bytes(k) for layer in layers if isinstance(layer, State)]
    attention = next((layer.token_bytes for layer in layers if isinstance(layer, Attention)), None)
    if not states or not attention:
        return rules.block_tokens
    step = max(rules.kernel_tokens, rules.block_tokens)
    aligned = step * -(-max(states) // (step * attention))
    aligned = rules.kernel_tokens * -(-aligned // rules.kernel_tokens)
    return max(rules.block_tokens, aligned)


def _alike(specs: Sequence[_Spec]) -> bool:
    """Whether all layers need the same blocks, so that they make one group, whatever each keeps of a token
    (``UniformTypeKVCacheSpecs.is_uniform_type``)."""
    if all(isinstance(spec.layer, State) for spec in specs):
        return len({spec.page for spec in specs}) == 1
    windows = {spec.layer.window if isinstance(spec.layer, Attention) else -1 for spec in specs}
    return len(windows) == 1


def _unified(counts: Counter[_Spec]) -> Counter[_Spec]:
    """The same layers on pages of one size: by more tokens to a block where that comes out even, else by padding."""
    page = max(spec.page for spec in counts)
    unified: Counter[_Spec] = Counter()
    for spec, count in counts.items():
        times = page // spec.page if isinstance(spec.layer, Attention) and page % spec.page == 0 else 1
        unified[replace(spec, tokens=spec.tokens * times, page=page)] += count
    return unified


def _grouped(counts: Counter[_Spec], k: int, rules: CacheRules) -> CachePlan:
    fewest, most = min(counts.values()), max(counts.values())
    size = most if most < fewest * 1.5 else fewest
    groups: list[Group] = []
    for spec, count in counts.items():
        into = -(-count // size)
        groups += [_group(spec, -(-(count - place) // into), k, rules) for place in range(into)]
    widest = max(group.layers for group in groups)
    return CachePlan(widest * next(iter(counts)).page, tuple(groups), rules.batched_tokens)


def _group(spec: _Spec, layers: int, k: int, rules: CacheRules) -> Group:
    if isinstance(spec.layer, State):
        # One state, and one for each drafted token; with a prefix cache, one more.
        return Group(layers, spec.tokens, blocks=1 + k + rules.prefix_caching)
    return Group(layers, spec.tokens, spec.layer.window)

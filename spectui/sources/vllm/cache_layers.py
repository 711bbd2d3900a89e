"""How a model's layers read their cache and what requests keep in it, derived from vLLM's specs. Written for vLLM 0.32.

The specs are the classes of ``vllm/v1/kv_cache_interface.py``. They are recognised by their exact names: a class that
is not known here may read anything, whatever it derives from.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from spectui.protocol.samples import CacheGroup, CacheLayers

_ATTENTION = frozenset({"FullAttentionSpec", "MLAAttentionSpec"})
_SLIDING = frozenset({"SlidingWindowSpec", "SlidingWindowMLASpec"})
_CHUNKED = "ChunkedLocalAttentionSpec"
_STATE = "MambaSpec"
_UNIFORM = "UniformTypeKVCacheSpecs"

_LAYERS = frozenset({"Attention", "MLAAttention", "MambaBase"})
"""Layer classes that read everything their spec describes; others, such as indexers, may choose."""


def cache_layers(layers: Mapping[str, tuple[Any, Any]], drafter: frozenset[int]) -> tuple[CacheLayers, ...] | None:
    """How layers read the cache; None if one of them reads it in an unknown way.

    Args:
        layers: Module and spec of each layer, as `parts.cache_layers_of` returns them.
        drafter: Identities of the drafter's modules.
    """
    sizes: defaultdict[tuple[bool, int | None, bool], tuple[float, int]] = defaultdict(lambda: (0.0, 0))
    for module, spec in layers.values():
        if not _reads_all(module, spec) or (reach := _reach(spec)) is None:
            return None
        token_bytes, state_bytes = _layer_bytes(spec)
        tokens, states = sizes[id(module) in drafter, *reach]
        sizes[id(module) in drafter, *reach] = (tokens + token_bytes, states + state_bytes)
    return tuple(
        CacheLayers(of_drafter, round(tokens), states, window, chunked)
        for (of_drafter, window, chunked), (tokens, states) in sizes.items()
    )


def summed(shares: Iterable[tuple[CacheLayers, ...]]) -> tuple[CacheLayers, ...]:
    """Layers of a model that is split among workers: what each of them holds, added up."""
    sizes: defaultdict[tuple[bool, int | None, bool], tuple[int, int]] = defaultdict(lambda: (0, 0))
    for one in (layers for share in shares for layers in share):
        tokens, states = sizes[one.drafter, one.window, one.chunked]
        sizes[one.drafter, one.window, one.chunked] = (tokens + one.token_bytes, states + one.state_bytes)
    return tuple(
        CacheLayers(of_drafter, tokens, states, window, chunked)
        for (of_drafter, window, chunked), (tokens, states) in sizes.items()
    )


def _reads_all(module: Any, spec: Any) -> bool:
    """Whether a layer reads everything: it neither picks its tokens (``index_topk``) nor is one of DeepSeek V4's
    caches."""
    known = not _LAYERS.isdisjoint(cls.__name__ for cls in type(module).__mro__)
    return known and not getattr(module, "use_sparse", False) and getattr(spec, "model_version", None) is None


def _reach(spec: Any) -> tuple[int | None, bool] | None:
    """A layer's window, and whether it is chunked; None if the kind of layer is not known."""
    name = type(spec).__name__
    if name in _SLIDING:
        return spec.sliding_window, False
    if name == _CHUNKED:
        return spec.attention_chunk_size, True
    if name == _STATE:
        return None, False
    if name not in _ATTENTION:
        return None
    if spec.attention_chunk_size is not None:
        return spec.attention_chunk_size, True
    return spec.sliding_window, False


def _layer_bytes(spec: Any) -> tuple[float, int]:
    """Bytes per token, and bytes per state; padding in a page is not read, so it is not counted."""
    if type(spec).__name__ == _STATE:
        return 0.0, spec.real_page_size_bytes
    return spec.unpadded_page_size_bytes / spec.block_size, 0


def cache_groups(specs: Iterable[Any]) -> tuple[CacheGroup, ...]:
    """What a request keeps occupied, from the groups' specs; empty if one of them is not known."""
    groups = [_group(spec) for spec in specs]
    return tuple(group for group in groups if group is not None) if None not in groups else ()


def _group(spec: Any) -> CacheGroup | None:
    name = type(spec).__name__
    if name == _UNIFORM:
        first, *others = {_group(one) for one in spec.kv_cache_specs.values()}
        return None if others else first
    if name in _ATTENTION:
        return CacheGroup(spec.block_size)
    if name in _SLIDING:
        return CacheGroup(spec.block_size, spec.sliding_window + spec.extra_retained_tokens)
    if name == _CHUNKED:
        return CacheGroup(spec.block_size, spec.attention_chunk_size, chunked=True)
    if name == _STATE and spec.mamba_cache_mode == "none":
        return CacheGroup(spec.block_size, fixed_blocks=1 + spec.num_speculative_blocks)
    return None

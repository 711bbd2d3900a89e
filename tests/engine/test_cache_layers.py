"""What is made of vLLM's own cache specs, held against vLLM's own cache managers."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from spectui.core.kv_cache import cache_in_use, cache_traffic
from spectui.protocol.samples import CacheGroup, CacheLayers
from spectui.sources.vllm.cache_layers import cache_groups, cache_layers
from spectui.sources.vllm.compat import parts
from tests.support.making_machines import DENSE

pytestmark = pytest.mark.engine


class Attention:
    """Stands for vLLM's layer of that name, and its layers with a state."""


class MLAAttention(Attention):
    def __init__(self, use_sparse: bool = False) -> None:
        self.use_sparse = use_sparse


class Indexer:
    """A layer that nobody knows."""


def spec(kind: str, **fields: Any) -> Any:
    """A spec of vLLM's: keys and values of 2 heads of 256 numbers in bfloat16, 2,048 bytes a token."""
    import torch
    from vllm.v1 import kv_cache_interface

    alike: dict[str, Any] = {"block_size": 16}
    if kind == "MambaSpec":
        alike |= {"shapes": ((4, 8), (2, 3)), "dtypes": (torch.float32, torch.bfloat16)}
    elif kind != "HiSparseHotSpec":
        alike |= {"num_kv_heads": 2, "head_size": 256, "dtype": torch.bfloat16}
    return getattr(kv_cache_interface, kind)(**{**alike, **fields})


def layers_of(*specs: Any, drafter: tuple[Any, ...] = (), module: Any = None) -> tuple[CacheLayers, ...] | None:
    """The layers of a target and of its drafter."""
    given = {f"target.{place}": (module or Attention(), one) for place, one in enumerate(specs)}
    own = {f"draft.{place}": (Attention(), one) for place, one in enumerate(drafter)}
    return cache_layers({**given, **own}, frozenset(id(layer) for layer, _ in own.values()))


@pytest.mark.parametrize(
    ("kind", "fields", "layers", "group"),
    [
        pytest.param("FullAttentionSpec", {}, CacheLayers(False, 2_048), CacheGroup(16), id="full"),
        pytest.param(
            "FullAttentionSpec",
            {"sliding_window": 64},
            CacheLayers(False, 2_048, window=64),
            CacheGroup(16),
            id="a window whose blocks are kept",
        ),
        pytest.param(
            "FullAttentionSpec",
            {"attention_chunk_size": 64},
            CacheLayers(False, 2_048, window=64, chunked=True),
            CacheGroup(16),
            id="a chunk whose blocks are kept",
        ),
        pytest.param(
            "SlidingWindowSpec",
            {"sliding_window": 64, "extra_retained_tokens": 3},
            CacheLayers(False, 2_048, window=64),
            CacheGroup(16, 67),
            id="a window",
        ),
        pytest.param(
            "ChunkedLocalAttentionSpec",
            {"attention_chunk_size": 64},
            CacheLayers(False, 2_048, window=64, chunked=True),
            CacheGroup(16, 64, chunked=True),
            id="a chunk",
        ),
        pytest.param("MLAAttentionSpec", {"num_kv_heads": 1}, CacheLayers(False, 512), CacheGroup(16), id="latent"),
        pytest.param(
            "FullAttentionSpec",
            {"page_size_padded": 40_000},
            CacheLayers(False, 2_048),
            CacheGroup(16),
            id="padding is not read",
        ),
        pytest.param(
            "MambaSpec",
            {"num_speculative_blocks": 3, "page_size_padded": 4_096},
            CacheLayers(False, 0, state_bytes=4 * 8 * 4 + 2 * 3 * 2),
            CacheGroup(16, fixed_blocks=4),
            id="a state",
        ),
    ],
)
def test_a_known_kind(kind: str, fields: dict[str, Any], layers: CacheLayers, group: CacheGroup) -> None:
    made = spec(kind, **fields)
    assert layers_of(made) == (layers,)
    assert cache_groups([made]) == (group,)


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        ("CrossAttentionSpec", {}),
        ("EncoderOnlyAttentionSpec", {}),
        ("SinkFullAttentionSpec", {"sink_len": 16}),
        ("RSWASpec", {"rswa_window": 64}),
        ("CircularBufferSpec", {}),
        ("HiddenStateCacheSpec", {}),
        ("HiSparseHotSpec", {"page_size": 64, "blocks_per_request": 2}),
    ],
)
def test_an_unknown_kind_leaves_everything_unknown(kind: str, fields: dict[str, Any]) -> None:
    known, unknown = spec("FullAttentionSpec"), spec(kind, **fields)
    assert layers_of(known, unknown) is None
    assert cache_groups([known, unknown]) == ()


def test_a_subclass_of_a_known_kind_is_unknown() -> None:
    kind = type(spec("FullAttentionSpec"))

    class CustomSpec(kind):  # type: ignore[misc, valid-type]
        pass

    made = CustomSpec(**{name: getattr(spec("FullAttentionSpec"), name) for name in ("block_size", "dtype")},
                      num_kv_heads=2, head_size=256)  # fmt: skip
    assert layers_of(made) is None
    assert cache_groups([made]) == ()


@pytest.mark.parametrize(
    ("module", "fields"),
    [(MLAAttention(use_sparse=True), {}), (Indexer(), {}), (MLAAttention(), {"model_version": "deepseek_v4"})],
)
def test_layers_that_choose_what_they_read_are_unknown(module: Any, fields: dict[str, Any]) -> None:
    made = spec("MLAAttentionSpec", num_kv_heads=1, **fields)
    assert layers_of(made, module=module) is None
    assert cache_groups([made]) == (CacheGroup(16),)


def test_states_that_stay_along_the_prefix_are_unknown() -> None:
    assert cache_groups([spec("MambaSpec", mamba_cache_mode="align")]) == ()


def test_a_group_of_unlike_pages_is_one_group() -> None:
    from vllm.v1.kv_cache_interface import UniformTypeKVCacheSpecs

    small, large = spec("FullAttentionSpec"), spec("FullAttentionSpec", num_kv_heads=8)
    both = UniformTypeKVCacheSpecs(block_size=16, kv_cache_specs={"a": small, "b": large})
    assert cache_groups([both]) == (CacheGroup(16),)
    assert layers_of(small, large) == (CacheLayers(False, 2_048 * 5),)
    unlike = UniformTypeKVCacheSpecs(block_size=16, kv_cache_specs={"a": small, "b": spec("MambaSpec")})
    assert cache_groups([unlike]) == ()


def test_sliding_windows_of_gemma_s_kind() -> None:
    """The worked example of `cache_traffic`."""
    full, sliding = spec("FullAttentionSpec"), spec("SlidingWindowSpec", sliding_window=1_024)
    layers = layers_of(*[full] * 10, *[sliding] * 50)
    assert layers is not None
    memory = replace(DENSE, kv_token_bytes=sum(one.token_bytes for one in layers), layers=layers)
    assert cache_traffic(memory, [32_768], 1, drafter=False) == 10 * 32_768 * 2_048 + 50 * 1_024 * 2_048 == 775_946_240
    assert cache_traffic(replace(memory, layers=()), [32_768], 1, drafter=False) == 4_026_531_840


def test_the_drafter_s_layers_are_its_own() -> None:
    full, sliding = spec("FullAttentionSpec"), spec("SlidingWindowSpec", sliding_window=64)
    assert layers_of(full, sliding, drafter=(sliding, sliding)) == (
        CacheLayers(False, 2_048),
        CacheLayers(False, 2_048, window=64),
        CacheLayers(True, 4_096, window=64),
    )


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        ("FullAttentionSpec", {}),
        ("FullAttentionSpec", {"sliding_window": 64}),
        ("SlidingWindowSpec", {"sliding_window": 64}),
        ("SlidingWindowSpec", {"sliding_window": 33, "extra_retained_tokens": 3}),
        ("SlidingWindowSpec", {"sliding_window": 1}),
        ("ChunkedLocalAttentionSpec", {"attention_chunk_size": 64}),
        ("ChunkedLocalAttentionSpec", {"attention_chunk_size": 24}),
        ("MambaSpec", {"block_size": 4_096}),
        ("MambaSpec", {"block_size": 4_096, "num_speculative_blocks": 5}),
    ],
)
def test_blocks_in_use_are_those_that_vllm_gives_out(kind: str, fields: dict[str, Any]) -> None:
    """A manager of vLLM's, step by step as in ``KVCacheManager.allocate_slots``."""
    from vllm.v1.core.block_pool import BlockPool
    from vllm.v1.core.single_type_kv_cache_manager import get_manager_for_kv_cache_spec, register_all_kvcache_specs

    register_all_kvcache_specs(SimpleNamespace())
    made = spec(kind, **fields)
    manager = get_manager_for_kv_cache_spec(
        made,
        max_in_flight_tokens=64,
        max_model_len=4_096,
        block_pool=BlockPool(num_gpu_blocks=512, enable_caching=False, hash_block_size=16),
        enable_caching=False,
        kv_cache_group_id=0,
        scheduler_block_size=made.block_size,
    )
    memory = replace(DENSE, groups=cache_groups([made]), block_bytes=1)
    for tokens in (*range(1, 200), *range(200, 1_000, 7)):
        manager.allocate_new_blocks("r", tokens, tokens)
        manager.remove_skipped_blocks("r", tokens)
        held = sum(not block.is_null for block in manager.req_to_blocks["r"])
        assert cache_in_use(memory, [tokens]) == held, tokens


def test_a_layer_that_shares_a_cache_goes_through_it_too() -> None:
    full = spec("FullAttentionSpec")
    owner, sharer = Attention(), Attention()
    sharer.kv_sharing_target_layer_name = "owner"  # type: ignore[attr-defined]
    context = {"owner": owner, "sharer": sharer, "vision": Attention()}
    config = SimpleNamespace(compilation_config=SimpleNamespace(static_forward_context=context))
    runner = SimpleNamespace(vllm_config=config, get_kv_cache_spec=lambda: {"owner": full})
    layers = parts.cache_layers_of(runner)
    assert layers == {"owner": (owner, full), "sharer": (sharer, full)}
    assert cache_layers(layers, frozenset({id(sharer)})) == (CacheLayers(False, 2_048), CacheLayers(True, 2_048))

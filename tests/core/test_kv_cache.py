"""What requests keep in the cache, and what a pass reads of it: worked tables, and what must hold for any lane."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spectui.core.kv_cache import cache_in_use, cache_traffic
from spectui.protocol.samples import CacheGroup, CacheLayers
from tests.support.making_machines import DENSE

FULL = CacheLayers(drafter=False, token_bytes=2)
SLIDING = CacheLayers(drafter=False, token_bytes=10, window=4)
CHUNKED = replace(SLIDING, chunked=True)
STATE = CacheLayers(drafter=False, token_bytes=0, state_bytes=100)
DRAFTERS = CacheLayers(drafter=True, token_bytes=3, window=8)


@pytest.mark.parametrize(
    ("layers", "contexts", "rows", "expected"),
    [
        pytest.param((), (30, 5), 2, 35 * 2, id="an older trace"),
        pytest.param((FULL,), (30, 5), 2, 35 * 2, id="all of each request"),
        pytest.param((SLIDING,), (30, 3), 2, (4 + 3) * 10, id="a window of each request"),
        pytest.param((SLIDING,), (4,), 1, 4 * 10, id="a window just full"),
        pytest.param((CHUNKED,), (30, 3), 2, (2 + 3) * 10, id="back to the last multiple"),
        pytest.param((CHUNKED,), (8,), 1, 0, id="at the multiple"),
        pytest.param((STATE,), (30, 5), 2, 2 * 100 + 2 * 100, id="a state read and written"),
        pytest.param((STATE,), (30, 5), 8, 2 * 100 + 8 * 100, id="and one behind every draft"),
        pytest.param((FULL, SLIDING, STATE), (30,), 1, 60 + 40 + 200, id="all kinds"),
        pytest.param((FULL, DRAFTERS), (30,), 1, 60, id="not the drafter's"),
        pytest.param((), (), 0, 0, id="no request"),
    ],
)
def test_a_pass_of_the_target(
    layers: tuple[CacheLayers, ...], contexts: Sequence[int], rows: int, expected: int
) -> None:
    assert cache_traffic(replace(DENSE, layers=layers), contexts, rows, drafter=False) == expected


def test_a_pass_of_the_drafter_goes_through_its_own_layers() -> None:
    assert cache_traffic(replace(DENSE, layers=(FULL, DRAFTERS)), (30, 5), 2, drafter=True) == (8 + 5) * 3
    assert cache_traffic(DENSE, (30, 5), 2, drafter=True) == 0


def test_layers_of_an_unknown_kind_have_no_traffic() -> None:
    unknown = replace(DENSE, kv_token_bytes=None)
    assert cache_traffic(unknown, (30,), 1, drafter=False) is cache_traffic(unknown, (30,), 1, drafter=True) is None


@given(contexts=st.lists(st.integers(0, 10_000), min_size=1, max_size=5), window=st.integers(1, 9_000))
def test_a_window_never_reads_more_than_all_and_long_ones_read_all(contexts: list[int], window: int) -> None:
    def read(layers: CacheLayers) -> int:
        moved = cache_traffic(replace(DENSE, layers=(layers,)), contexts, 1, drafter=False)
        assert moved is not None
        return moved

    everything = read(FULL)
    assert read(replace(FULL, window=window)) == 2 * sum(min(context, window) for context in contexts)
    assert read(replace(FULL, window=window, chunked=True)) <= read(replace(FULL, window=window)) <= everything
    assert read(replace(FULL, window=10_001, chunked=True)) == everything


@pytest.mark.parametrize(
    ("groups", "contexts", "blocks"),
    [
        pytest.param((CacheGroup(16),), (100,), 7, id="all, as in the docstring"),
        pytest.param((CacheGroup(16, 32),), (100,), 3, id="a window, as in the docstring"),
        pytest.param((CacheGroup(16), CacheGroup(16, 32)), (100, 20), 7 + 2 + 3 + 2, id="each group has its own"),
        pytest.param((CacheGroup(16), CacheGroup(32)), (100,), 7 + 4, id="blocks of other lengths"),
        pytest.param((CacheGroup(16, 64, chunked=True),), (128,), 0, id="a chunk just over"),
        pytest.param((CacheGroup(16, 64, chunked=True),), (100,), 3, id="a chunk"),
        pytest.param((CacheGroup(512, fixed_blocks=4),), (100, 0), 4, id="states"),
    ],
)
def test_blocks_in_use(groups: tuple[CacheGroup, ...], contexts: Sequence[int], blocks: int) -> None:
    assert cache_in_use(replace(DENSE, groups=groups, block_bytes=32), contexts) == blocks * 32


@pytest.mark.parametrize(
    ("contexts", "blocks"), [((), 0), ((0,), 0), ((1,), 1), ((16,), 1), ((17,), 2), ((1, 1), 2), ((16, 33, 0), 4)]
)
def test_a_request_holds_whole_blocks(contexts: Sequence[int], blocks: int) -> None:
    assert cache_in_use(DENSE, contexts) == blocks * 16 * 2
    assert cache_in_use(replace(DENSE, groups=(CacheGroup(16),), block_bytes=32), contexts) == blocks * 32


def test_blocks_of_unknown_layers_are_unknown() -> None:
    assert cache_in_use(replace(DENSE, kv_token_bytes=None), (5,)) is None
    assert cache_in_use(replace(DENSE, groups=(), block_bytes=32), (5,)) is None
    assert cache_in_use(replace(DENSE, kv_token_bytes=None, groups=(CacheGroup(16),), block_bytes=32), (5,)) == 32


@given(st.lists(st.integers(0, 5_000), max_size=8), st.integers(1, 256))
def test_blocks_cover_the_tokens_and_no_block_is_empty(contexts: list[int], block_tokens: int) -> None:
    used = cache_in_use(replace(DENSE, block_tokens=block_tokens), contexts)
    assert used is not None
    blocks, unused = divmod(used // 2, block_tokens)
    assert unused == 0
    spare = blocks * block_tokens - sum(contexts)
    assert 0 <= spare <= sum(tokens > 0 for tokens in contexts) * (block_tokens - 1)

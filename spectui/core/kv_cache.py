"""What requests keep in the cache, and how much of it a forward pass reads.

Attention with a sliding window of W reaches only the newest W tokens of its own request, so what a pass reads is a sum
over requests of min(context, W), never a minimum of sums. Layers with a state instead of keys and values (Mamba, gated
delta net) read one state per request and, so that rejected drafts can be undone, write one after every token
(``IS_SPEC_DECODING`` in ``vllm/model_executor/layers/mamba/ops/mamba_ssm.py``). A block goes back to the pool when
attention no longer reaches any of its tokens (``get_num_skipped_tokens`` in
``vllm/v1/core/single_type_kv_cache_manager.py``).
"""

from __future__ import annotations

from collections.abc import Sequence

from spectui.protocol.samples import CacheGroup, CacheLayers, LaneMemory


def cache_traffic(memory: LaneMemory, contexts: Sequence[int], rows: int, *, drafter: bool) -> int | None:
    """Bytes of the cache that one forward pass of the target, or of the drafter, moves; None if that is not known.

    For example, 10 full-attention layers and 50 with a window of 1,024 tokens, each with 2,048 bytes per token, at a
    context of 32,768 tokens: 10 x 32,768 x 2,048 + 50 x 1,024 x 2,048 = 0.78 GB (all 60 at full length would be 4.03
    GB).

    Args:
        memory: What the lane's engine holds.
        contexts: Tokens that each request of the step has in the cache.
        rows: Tokens that the pass computes for all of them.
        drafter: Whether it is a pass of the drafter, which uses only the drafter's layers.
    """
    if memory.kv_token_bytes is None:
        return None
    if not memory.layers:
        return 0 if drafter else memory.kv_token_bytes * sum(contexts)
    return sum(_moved(layers, contexts, rows) for layers in memory.layers if layers.drafter == drafter)


def _moved(layers: CacheLayers, contexts: Sequence[int], rows: int) -> int:
    tokens = sum(_newest(context, layers.window, chunked=layers.chunked) for context in contexts)
    return layers.token_bytes * tokens + layers.state_bytes * (len(contexts) + rows)


def _newest(context: int, window: int | None, *, chunked: bool) -> int:
    """How many of ``context`` tokens the next one reaches."""
    if window is None:
        return context
    return context % window if chunked else min(context, window)


def cache_in_use(memory: LaneMemory, contexts: Sequence[int]) -> int | None:
    """Bytes of the blocks that running requests with ``contexts`` tokens occupy; None if that is not known.

    For example, a request of 100 tokens in blocks of 16: layers that keep everything hold 7 blocks; those with a window
    of 32, which includes the next token, hold tokens 69 to 99, which lie in 3 blocks.
    """
    if memory.groups and memory.block_bytes is not None:
        return memory.block_bytes * sum(_blocks(group, tokens) for group in memory.groups for tokens in contexts)
    if memory.block_bytes is not None or memory.kv_token_bytes is None:
        return None
    blocks = sum(_blocks(CacheGroup(memory.block_tokens), tokens) for tokens in contexts)
    return blocks * memory.block_tokens * memory.kv_token_bytes


def _blocks(group: CacheGroup, tokens: int) -> int:
    if group.fixed_blocks is not None:
        return group.fixed_blocks if tokens else 0
    window = group.window
    if window is not None and not group.chunked:
        window -= 1
    kept = _newest(tokens, window, chunked=group.chunked)
    return -(-tokens // group.block_tokens) - (tokens - kept) // group.block_tokens

"""The parts of the memory that no file tells: estimates, each by its formula. Everywhere they are shown with "est."."""

from __future__ import annotations

from spectui.core.memory_plan.asked import Asked, AskedLane
from spectui.core.memory_plan.checkpoint import BYTES

MB = 1_000_000

CUDA_CONTEXT = 600 * MB
"""What CUDA and its libraries keep for themselves in a process."""

HOST_PROCESS = 900 * MB
"""Python, torch and vLLM in a process that runs on the CPU."""

FIRST_GRAPH_BYTES, GRAPH_BYTES = 20 * MB, 3 * MB
"""What a lane's first CUDA graph takes more, and what each takes, fitted to what vLLM said on an H200: 43 MB for AR's 7
graphs, 86 MB for DFlash's 30, and 118 MB for MTP's 44 with tiny models; 43 MB for AR's 7 and 236 MB for MTP's 65 with
Gemma 4 31B."""

GRAPHS_OF_A_SIZE, OF_A_PARALLEL_DRAFTER, OF_NO_DRAFTER = 8, 5, 3
"""About as many graphs a drafting lane has for each number of tokens: of the target and of the drafter, whole and in
pieces."""

_LOGIT_BYTES = 10
"""A logit as it is computed (2), in float32 (4), and as a probability (4)."""

MOST_GRAPHS = 256


def base_bytes(asked: Asked) -> int:
    """What the process takes before anything is loaded."""
    return CUDA_CONTEXT if asked.gpu else HOST_PROCESS


def working_bytes(asked: Asked) -> int:
    """What a step takes beside weights and cache. Lanes take turns, so that it is there once, for the largest lane.

    Tokens of the step x (4 x hidden size + 3 x inner size) x bytes of a number, and for every position that is sampled
    a row of logits: requests x (K + 1) x vocabulary x 10 bytes.
    """
    model = asked.target
    number = BYTES[model.dtype(asked.load.dtype)]
    experts = model.number("num_experts_per_tok") or model.number("top_k_experts")
    inner = max(model.number("intermediate_size"), experts * model.number("moe_intermediate_size"))
    width = 4 * model.number("hidden_size") + 3 * inner
    rows = max((asked.places(lane) * (lane.k + 1) for lane in asked.lanes), default=0)
    logits = rows * model.number("vocab_size") * _LOGIT_BYTES
    return (asked.cache.batched_tokens * width * number + logits) // asked.shards


def graph_bytes(asked: Asked, lane: AskedLane) -> int:
    """What a lane's CUDA graphs take: 20 MB, and 3 MB for each; see `GRAPHS_OF_A_SIZE`."""
    if not asked.gpu or asked.eager:
        return 0
    if not lane.k:
        return FIRST_GRAPH_BYTES + 2 * (3 + 2 * asked.seats // 8) * GRAPH_BYTES
    requests = max(1, min(asked.seats, MOST_GRAPHS // (lane.k + 1)))
    sizes = {each * of for each in range(1, lane.k + 2) for of in range(1, requests + 1)}
    each_size = {"dflash": OF_A_PARALLEL_DRAFTER, "ngram": OF_NO_DRAFTER, "suffix": OF_NO_DRAFTER}
    return FIRST_GRAPH_BYTES + each_size.get(lane.method, GRAPHS_OF_A_SIZE) * len(sizes) * GRAPH_BYTES

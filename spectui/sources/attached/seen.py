"""What a server says of itself, as events."""

from __future__ import annotations

from spectui.protocol.events import LaneEngine, LaneInfo, ServerSeen
from spectui.wire.messages import About

NO_CONTROL = "the server was started without SPECTUI_CONTROL=1"
COUNTS_ONLY = "the server sends counts only (SPECTUI_REDACTION=counts)"
NO_DRAFTER = "the server runs without speculative decoding"


def control_fault(about: About) -> str:
    """Why K cannot be changed from here, in a sentence; empty if it can."""
    if not about.k_max:
        return NO_DRAFTER
    return about.fixed_k or ("" if about.control else NO_CONTROL)


def seen(info: LaneInfo, about: About, address: str, session: str, *, asks: bool = False) -> ServerSeen:
    """What is shown of the server."""
    why_not = control_fault(about)
    counts = about.redaction == "counts"
    return ServerSeen(
        lane=info.name,
        info=info,
        kind="tap",
        address=address,
        session=session,
        model=about.served_names[0] if about.served_names else about.model,
        redaction=about.redaction,
        share=about.share,
        drafts=about.drafts and not counts,
        why=about.why or (COUNTS_ONLY if counts and about.k_max else ""),
        control=not why_not,
        why_not=why_not,
        host=about.host,
        rank=about.dp_rank,
        ranks=about.dp_size,
        version=about.versions.get("vllm", ""),
        asks=asks,
    )


def engine(lane: str, about: About) -> LaneEngine:
    """How the server computes."""
    return LaneEngine(
        lane,
        device=about.device,
        runner=about.runner,
        scheduling="asynchronous" if about.asynchronous else "synchronous",
        dtype=about.dtype,
        version=about.versions.get("vllm", ""),
        tensor_parallel=max(1, about.tensor_parallel),
        vocabulary=about.vocabulary or None,
    )

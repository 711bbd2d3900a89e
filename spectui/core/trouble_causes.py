"""Puts signs of trouble into words: what is seen, in which figures, and what it usually comes from.

Each cause names where it was reported, so that a user can see whether a newer release mends it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from spectui.core.trouble import LONG_CONTEXT, Trouble
from spectui.protocol.events import LaneEngine, LaneInfo

FINDS_REPEATS = frozenset({"ngram", "suffix"})
"""Methods that draft what the text has said before, without a model."""


@dataclass(frozen=True, slots=True)
class Told:
    """A sign of trouble in words.

    Attributes:
        sign: Which one.
        seen: A few words for a lane's pane; they stay the same as long as the sign holds.
        figures: A sentence with the figures that show it.
        causes: Sentences, the most likely cause first.
        normal: Whether it is to be expected of this method, and no fault.
    """

    sign: str
    seen: str
    figures: str
    causes: tuple[str, ...]
    normal: bool = False

    @property
    def mark(self) -> str:
        """The character in front of ``seen``, which needs no colour."""
        return "·" if self.normal else "!"


def told(trouble: Trouble, info: LaneInfo, engine: LaneEngine | None, unlike: str = "") -> Told:
    """Describe ``trouble`` of a lane; ``unlike`` says why the lane cannot be compared with AR, empty if it can."""
    repeats = info.method in FINDS_REPEATS
    match trouble.sign:
        case "vocabulary":
            figures = f"The drafter has {trouble.count:,} tokens, the target {trouble.of:,}."
            return Told("vocabulary", "drafter: other vocabulary", figures, _VOCABULARY)
        case "rejected":
            figures = f"{trouble.count:,} of {trouble.of:,} drafts were right at position 1."
            return Told("rejected", "nearly all drafts rejected", figures, tuple(_rejected(info, engine)))
        case "cliff":
            at = trouble.position
            figures = (
                f"Beyond {LONG_CONTEXT:,} tokens of context, {trouble.count} of {trouble.of} drafts that were right up "
                f"to position {at - 1} were right at position {at}."
            )
            return Told("cliff", f"none kept past position {at - 1}", figures, _CLIFF)
        case "no gain":
            return Told("no gain", "accepted, but no faster", _slow(trouble), tuple(_dear(trouble, unlike)))
        case "no draft" if repeats:
            figures = f"No draft in the last {trouble.count} steps."
            return Told("no draft", "nothing repeats: no drafts", figures, _NO_REPEAT, normal=True)
        case "no draft":
            figures = f"No draft in the last {trouble.count} steps, although K is above 0."
            return Told("no draft", "nothing is drafted", figures, _NO_DRAFT)


_VOCABULARY = (
    "The drafter's ids name other tokens than the target's, so that a draft is right by chance at best: take a drafter "
    "made for this target. For a draft model, vLLM can translate: use_heterogeneous_vocab=true.",
)
_CLIFF = (
    "The drafter's sliding-window layers run as full attention (vLLM pull request 40898): take a release that has "
    "this, or lower K to the positions that still count.",
    "The drafter was trained on shorter texts.",
)
_NO_REPEAT = ("This method drafts only what the text has said before. On text without repeats that is normal.",)
_NO_DRAFT = (
    "The drafter returned nothing: the log (l) may say why.",
    "Near the model's length limit, and where a grammar allows only one token, vLLM drafts nothing.",
)


def _rejected(info: LaneInfo, engine: LaneEngine | None) -> Iterator[str]:
    if info.method in FINDS_REPEATS:
        yield "The text repeats itself, but does not continue as it did before: this method does not suit it."
        return
    if info.method == "dflash" and (engine is None or engine.runner != "V1"):
        yield "DFlash on model runner V2 accepts nothing in some releases of vLLM (vLLM issue 49559)."
    if engine is None or engine.quantization not in ("", "none"):
        yield "The drafter does not match the quantised weights of the target (z-lab/paroquant issue 42)."
    if engine is None or engine.cache_dtype.startswith("fp8"):
        yield "An fp8 KV cache breaks MTP in some releases of vLLM (vLLM issue 41789): try kv_cache_dtype=auto."
    yield "The drafter was made for another model, another version of it, or another tokenizer."


def _slow(trouble: Trouble) -> str:
    speed = trouble.speed
    assert speed is not None
    interval = f" ({speed.low:.2f} to {speed.high:.2f})" if speed.low is not None and speed.high is not None else ""
    return (
        f"{trouble.tokens:.2f} tokens per step, but a step takes {trouble.step_ms:.1f} ms instead of AR's "
        f"{trouble.plain_ms:.1f} ms: {speed.mean:.2f} times as fast as AR{interval}."
    )


def _dear(trouble: Trouble, unlike: str) -> Iterator[str]:
    """Which part of a step is too dear."""
    if unlike:
        yield f"The lane {unlike}."
    draft, verify = trouble.draft_ms, trouble.verify_ms
    if draft is None or verify is None:
        yield "A step takes too long: drafting and verification are not timed apart here (vLLM issue 50722)."
    elif draft >= verify:
        yield (
            f"Drafting is too dear: it takes {draft:.1f} ms of a step (vLLM issue 50722). A smaller K, a smaller "
            "drafter, or one that drafts all tokens at once may pay."
        )
    else:
        yield (
            f"Verification is too dear: {verify:.1f} ms longer than AR's forward pass (vLLM issue 50722). A smaller K "
            "or fewer requests at a time may pay; on a GPU, look at the CUDA graphs in the machine panel (g)."
        )

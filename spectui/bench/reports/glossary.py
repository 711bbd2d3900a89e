"""The words of a report, for readers who do not know SpecTUI."""

from __future__ import annotations

from collections.abc import Sequence

from spectui.bench.reports.document import Block, Items, Strong, Text
from spectui.bench.reports.selection import Selection

_METHODS = {
    "ar": ("AR", "autoregressive decoding: the target alone, one token per step. It is what the others must beat."),
    "mtp": ("MTP", "multi-token prediction: a small head drafts from the target's last hidden state, token by token."),
    "dflash": ("DFlash", "a small model that drafts all K tokens in one pass."),
    "draft_model": ("Draft model", "a smaller language model with the target's vocabulary drafts token by token."),
    "eagle": ("EAGLE", "a small model drafts from the target's hidden states, token by token."),
    "eagle3": ("EAGLE-3", "a small model drafts from hidden states of several of the target's layers."),
    "ngram": ("n-gram", "drafts what followed the same words earlier in the text; there is no drafter."),
    "suffix": ("Suffix", "drafts what followed the same words earlier, in this text or in other answers; no drafter."),
}
"""vLLM's names of methods, what a report calls them, and what they are."""


def words(chosen: Selection, more: Sequence[tuple[str, str]] = ()) -> list[Block]:
    """What the words mean that the report takes for granted; ``more`` are those of its sections."""
    methods = dict.fromkeys(variant.method for variant in chosen.results.matrix.variants)
    meanings: list[tuple[str, str]] = [
        ("Target", "the model that decides every token."),
        ("Drafter", "what proposes tokens for the target to check."),
        ("Lane", "one method of decoding on the target, with its own engine."),
        (
            "Step",
            "one forward pass of the target over the drafted tokens of a request; an engine step has all requests.",
        ),
        ("K", "how many tokens may be drafted per step; vLLM calls it num_speculative_tokens."),
        ("Accepted", "drafted tokens that the target kept. The first one it refuses and all after it are dropped."),
        ("In flight", "requests that are answered at the same time."),
        *(_METHODS[method] for method in methods if method in _METHODS),
        *more,
    ]
    items: list[Text] = [(Strong(word), f": {meaning}") for word, meaning in meanings]
    return [Items(tuple(items))]

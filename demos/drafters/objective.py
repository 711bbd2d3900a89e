"""What a drafter is trained for: the target's own next-token distribution, over its frequent tokens."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import torch
from torch import Tensor

from demos.drafters.shards import read_shard

HARD_SHARE = 0.5
"""How much of the label is the target's most likely token alone: a greedy draft is right or wrong."""


class Vocabulary:
    """The tokens that the loss is taken over. Rare tokens cost most of the output matrix and are hardly ever seen.

    Attributes:
        ids: int64 [V'], token ids.
        matrix: [V', H], their rows of the output matrix.
    """

    def __init__(self, ids: Tensor, embedding: Tensor) -> None:
        self.ids = ids
        self.matrix = embedding[ids].contiguous()
        self.known = torch.zeros(len(embedding), dtype=torch.bool)
        self.known[ids] = True

    def logits(self, hidden: Tensor) -> Tensor:
        """[N, H] to float32 [N, V']."""
        return torch.matmul(hidden.to(self.matrix.dtype), self.matrix.t()).float()


def frequent_tokens(shards: list[Path], size: int) -> Tensor:
    """The ids of the ``size`` tokens that the answers use most, ascending."""
    counts: Counter[int] = Counter()
    for path in shards:
        for sequence in read_shard(path):
            counts.update(sequence.ids[sequence.prompt_length :].tolist())
    return torch.tensor(sorted(token for token, _ in counts.most_common(size)))


@torch.no_grad()
def labels(vocabulary: Vocabulary, final_hidden: Tensor, hard_share: float = HARD_SHARE) -> Tensor:
    """The label of each row: the target's distribution mixed with its most likely token.

    Args:
        vocabulary: The tokens that count.
        final_hidden: [N, H], the target's state after its final norm.
        hard_share: Weight of the most likely token.

    Returns:
        float32 [N, V'], each row a distribution.
    """
    logits = vocabulary.logits(final_hidden)
    best = logits.argmax(-1, keepdim=True)
    soft = logits.softmax(-1).mul_(1 - hard_share)
    return soft.scatter_add_(-1, best, torch.full_like(best, hard_share, dtype=soft.dtype))


def cross_entropy(vocabulary: Vocabulary, hidden: Tensor, label: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    """Weighted mean of the cross entropy to the labels, and which rows the drafter has right (bool [N])."""
    logits = vocabulary.logits(hidden)
    right = logits.detach().argmax(-1) == label.argmax(-1)
    loss = torch.logsumexp(logits, -1) - (logits * label).sum(-1)
    return (loss * weights).sum() / weights.sum().clamp_min(1.0), right

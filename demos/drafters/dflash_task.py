"""Training the DFlash drafter: start values, loss and predicted acceptance."""

from __future__ import annotations

import random
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from demos.drafters.batches import Batch
from demos.drafters.dflash import DFlash
from demos.drafters.objective import Vocabulary, cross_entropy, labels
from demos.drafters.target import Target
from demos.drafters.walk import Acceptance, walk

MASKS = 7
"""Masks of a whole block; a block of 8 places counts the last token."""
DRAFTER_LAYERS = 3
BLOCKS = 24
"""Blocks that are trained in each sequence of a batch."""
SIZES = (7, 7, 7, 5, 5, 4, 3, 3, 2, 1)
"""Masks of a block, drawn at random: the output depends on it, and K is live."""
PLACE_WEIGHTS = tuple(0.8**i for i in range(MASKS))
SMALL = 0.02


class DFlashTask:
    """What the trainer asks for. The target's layers are all but the last H columns of a batch's hidden states."""

    name = "dflash"

    def __init__(
        self, target: Target, vocabulary: Vocabulary, features: int, drafted: Vocabulary, hard_weight: float = 1.0
    ) -> None:
        self.target = target
        self.vocabulary = vocabulary
        self.features = features
        self.drafted = drafted
        self.hard_weight = hard_weight
        self.model = DFlash(target.shape, layers=DRAFTER_LAYERS, features=features)

    def initialise(self, batches: list[Batch]) -> None:
        """The target's last layers; their context is the last-but-one layer's output, the others weigh little."""
        size = self.target.shape.hidden_size
        model = self.model
        state = model.state_dict()
        with torch.no_grad():
            model.fc.weight.mul_(SMALL)
            model.fc.weight[:, -size:] += torch.eye(size)
            model.mask_embedding.copy_(self.target.embedding[self.vocabulary.ids].float().mean(0))
        state["norm.weight"].copy_(self.target.weight("model.norm.weight"))
        state["hidden_norm.weight"].copy_(self.target.layer(self.target.layers - 1)["input_layernorm.weight"])
        for index in range(DRAFTER_LAYERS):
            weights = self.target.layer(self.target.layers - DRAFTER_LAYERS + index)
            for name, tensor in weights.items():
                state[f"layers.{index}.{name}"].copy_(tensor)
        self._scale_head_norms(batches)

    @torch.no_grad()
    def _scale_head_norms(self, batches: list[Batch]) -> None:
        """The target has no norms on queries and keys: let ours keep their usual size."""
        batch = batches[0]
        real = torch.arange(batch.ids.shape[1]) < (batch.lengths - 1).unsqueeze(1)
        context = self.model.hidden_norm(self.model.fc(self._features(batch)[real].float()))
        width = self.target.shape.head_dim
        for layer in self.model.layers:
            attention: Any = layer.self_attn
            for projection, norm in ((attention.q_proj, attention.q_norm), (attention.k_proj, attention.k_norm)):
                heads = projection(context).unflatten(-1, (-1, width))
                norm.weight.fill_(float(heads.pow(2).mean().sqrt()))

    def _features(self, batch: Batch) -> Tensor:
        return batch.hidden[..., : self.features * self.target.shape.hidden_size]

    def loss(self, batch: Batch, rng: random.Random) -> tuple[Tensor, dict[str, float]]:
        """Loss and the share of right drafts at each place, whatever came before."""
        generator = torch.Generator().manual_seed(rng.getrandbits(40))
        anchors, real = _random_anchors(batch, BLOCKS, generator)
        sizes = torch.tensor(SIZES)[torch.randint(len(SIZES), anchors.shape, generator=generator)]
        places = torch.arange(1, MASKS + 1)
        positions = anchors.unsqueeze(-1) + places
        exists = real.unsqueeze(-1) & (positions < batch.lengths[:, None, None]) & (places <= sizes.unsqueeze(-1))
        positions = positions.clamp_max(batch.ids.shape[1] - 1)
        tokens = batch.ids.unsqueeze(1).expand(-1, anchors.shape[1], -1).gather(2, positions)
        chosen = exists & self.vocabulary.known[tokens]
        output = self._predict(batch, anchors, sizes, MASKS)
        sequence = torch.arange(len(batch.ids))[:, None, None].expand_as(positions)
        size = self.target.shape.hidden_size
        # The target's state one before a position says what it would write there; blocks share most positions.
        flat = (sequence * batch.ids.shape[1] + positions - 1)[chosen]
        unique, inverse = torch.unique(flat, return_inverse=True)
        label = labels(self.vocabulary, batch.hidden[..., -size:].reshape(-1, size)[unique])
        hard = batch.hard.unsqueeze(1).expand(-1, anchors.shape[1], -1).gather(2, positions)[chosen]
        weights = torch.tensor(PLACE_WEIGHTS).expand_as(exists)[chosen] * torch.where(hard, self.hard_weight, 1.0)
        loss, right = cross_entropy(self.vocabulary, output[chosen], label[inverse], weights)
        place = places.expand_as(exists)[chosen]
        accuracy = {f"right {i}": float(right[place == i].float().mean()) for i in (1, 2, 3, 5)}
        return loss, accuracy

    def _predict(self, batch: Batch, anchors: Tensor, sizes: Tensor, most: int) -> Tensor:
        last = functional.embedding(batch.ids.gather(1, anchors), self.target.embedding)
        output: Tensor = self.model(self._features(batch), last, anchors, sizes, most)
        return output

    @torch.no_grad()
    def acceptance(self, batch: Batch, k: int) -> Acceptance:
        """What vLLM would measure with K = ``k`` on these answers, over the tokens that can be drafted."""
        total = Acceptance()
        count = int((batch.lengths - batch.prompt_lengths).max()) - 1
        anchors = (batch.prompt_lengths.unsqueeze(1) + torch.arange(count)).clamp_max(batch.ids.shape[1] - 1)
        output = self._predict(batch, anchors, torch.full_like(anchors, k), k)
        for row in range(len(batch.ids)):
            prompt, end = int(batch.prompt_lengths[row]), int(batch.lengths[row])
            drafts = self.drafted.ids[self.drafted.logits(output[row]).argmax(-1)]
            right: list[list[bool]] = [[]]
            for known in range(1, end - prompt):
                here = min(k, end - prompt - known)
                right.append([bool(drafts[known - 1, i] == batch.ids[row, prompt + known + i]) for i in range(here)])
            total.merge(walk(right, k))
        return total


def _random_anchors(batch: Batch, count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Positions of last tokens [B, count], each followed by an answer token, and which of them are real: a short
    answer has fewer than ``count``."""
    room = (batch.lengths - 1 - batch.prompt_lengths).unsqueeze(1)
    width = int(room.max())
    order = torch.rand(len(batch.ids), width, generator=generator)
    order = order.masked_fill(torch.arange(width) >= room, 2.0)
    chosen = order.argsort(1)[:, :count]
    real = torch.arange(chosen.shape[1]) < room
    return torch.where(real, chosen, 0) + batch.prompt_lengths.unsqueeze(1), real

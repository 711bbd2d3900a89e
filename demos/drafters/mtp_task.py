"""Training the MTP head: start values, loss and predicted acceptance."""

from __future__ import annotations

import random

import torch
from torch import Tensor
from torch.nn import functional

from demos.drafters.batches import Batch
from demos.drafters.mtp import MtpHead
from demos.drafters.objective import Vocabulary, cross_entropy, labels
from demos.drafters.target import COMPUTE, Target
from demos.drafters.walk import Acceptance, walk

STEPS = 3
"""Drafts per slot that are trained."""
SINGLE_SHARE = 0.5
"""Share of the batches that train the first draft alone, at half the work: every other draft depends on it."""
STEP_WEIGHTS = (1.0, 0.8, 0.6)
UNREACHED_SHARE = 0.15
"""Share of the later drafts that are trained although an earlier draft of the chain is wrong: verification would never
look at them, but in the beginning there are few others."""
RIDGE = 1e-3


class MtpTask:
    """What the trainer asks for. The final norm's output is the last H columns of a batch's hidden states."""

    name = "mtp"

    def __init__(self, target: Target, vocabulary: Vocabulary, hard_weight: float = 1.0) -> None:
        self.target = target
        self.vocabulary = vocabulary
        self.model = MtpHead(target.shape)
        self.hard_weight = hard_weight

    def initialise(self, batches: list[Batch]) -> None:
        """The target's last layer, with an input projection that estimates this layer's input one token later from
        what the head sees (a ridge regression over ``batches``)."""
        weights = self.target.layer(self.target.layers - 1)
        state = self.model.state_dict()
        for name, tensor in weights.items():
            state[name].copy_(tensor)
        for name in ("q_proj", "k_proj", "v_proj"):
            state[f"self_attn.{name}.bias"].zero_()
        state["final_layernorm.weight"].copy_(self.target.weight("model.norm.weight"))
        state["input_proj.weight"].copy_(self._input_projection(batches))

    @torch.no_grad()
    def _input_projection(self, batches: list[Batch]) -> Tensor:
        size = self.target.shape.hidden_size
        gram = torch.zeros(2 * size, 2 * size)
        cross = torch.zeros(2 * size, size)
        for batch in batches:
            hidden, embedded = self._inputs(batch, 1)
            joined = torch.cat(
                [self.model.hidden_layernorm(hidden.float()), self.model.token_layernorm(embedded[:, 1:].float())], -1
            )
            # Slot q learns the input of the last layer at q+1; the last real row of a sequence is zero.
            usable = torch.arange(hidden.shape[1] - 1) < (batch.lengths - 2).unsqueeze(1)
            x = joined[:, :-1][usable]
            y = batch.hidden[:, 1:, -2 * size : -size][usable].float()
            gram += x.T @ x
            cross += x.T @ y
        gram.diagonal().add_(RIDGE * gram.diagonal().mean())
        solution: Tensor = torch.linalg.solve(gram, cross)
        return solution.T

    def _inputs(self, batch: Batch, steps: int) -> tuple[Tensor, Tensor]:
        size = self.target.shape.hidden_size
        embedded = functional.embedding(batch.ids, self.target.embedding)
        return batch.hidden[..., -size:], functional.pad(embedded, (0, 0, 0, steps))

    def loss(self, batch: Batch, rng: random.Random) -> tuple[Tensor, dict[str, float]]:
        """Loss and the teacher-forced conditional accuracy of each draft."""
        length = batch.ids.shape[1]
        steps = 1 if rng.random() < SINGLE_SHARE else STEPS
        hidden, embedded = self._inputs(batch, steps)
        outputs = self.model(hidden, embedded, steps)
        known = self.vocabulary.known[batch.ids]
        slots = torch.arange(length)
        # Every position whose next token is drafted has a label: the target's state there.
        first = batch.prompt_lengths.unsqueeze(1)
        last = batch.lengths.unsqueeze(1)
        labelled = (slots >= first) & (slots < last - 1)
        row_of = torch.full(labelled.shape, -1).masked_scatter(labelled, torch.arange(int(labelled.sum())))
        label = labels(self.vocabulary, hidden[labelled])
        reached = (slots >= first - 1) & (slots < last - 2)
        total = torch.zeros(())
        accuracy: dict[str, float] = {}
        generator = torch.Generator().manual_seed(rng.getrandbits(40))
        for step in range(1, steps + 1):
            exists = (slots >= first - 1) & (slots + step + 1 < last)
            shifted = functional.pad(known, (0, step + 1))[:, step + 1 :]
            chosen = exists & shifted
            if step > 1:
                chosen &= reached | (torch.rand(chosen.shape, generator=generator) < UNREACHED_SHARE)
            rows = functional.pad(row_of, (0, step))[:, step:][chosen]
            hard = functional.pad(batch.hard, (0, step + 1))[:, step + 1 :][chosen]
            weights = torch.where(hard, self.hard_weight, 1.0)
            loss, right = cross_entropy(self.vocabulary, outputs[step - 1][chosen], label[rows], weights)
            total = total + STEP_WEIGHTS[step - 1] * loss * (len(rows) / max(int(exists.sum()), 1))
            was_reached = reached[chosen]
            accuracy[f"right {step}"] = float(right[was_reached].float().mean())
            good = torch.zeros_like(chosen).masked_scatter(chosen, right)
            reached = reached & good
        return total / sum(STEP_WEIGHTS[:steps]), accuracy

    @torch.no_grad()
    def acceptance(self, batch: Batch, k: int) -> Acceptance:
        """What vLLM would measure with K = ``k`` on these answers, over the whole vocabulary."""
        hidden, embedded = self._inputs(batch, k)
        outputs = self.model(hidden, embedded, k)
        total = Acceptance()
        for row in range(len(batch.ids)):
            prompt, end = int(batch.prompt_lengths[row]), int(batch.lengths[row])
            # With n answer tokens known, the first draft comes from slot prompt + n - 2.
            drafts = [
                (out[row, prompt - 1 : end - 2].to(COMPUTE) @ self.target.embedding.T).argmax(-1) for out in outputs
            ]
            ids = batch.ids[row]
            right: list[list[bool]] = [[]]
            for known in range(1, end - prompt):
                count = min(k, end - prompt - known)
                right.append([int(drafts[i][known - 1]) == int(ids[prompt + known + i]) for i in range(count)])
            total.merge(walk(right, k))
        return total

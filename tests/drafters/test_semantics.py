"""The drafters' forward passes against slow, plain readings of what vLLM does."""

import random
from pathlib import Path
from typing import Any, TypeVar

import pytest

pytest.importorskip("torch")

import torch
from torch import Tensor, nn

from demos.drafters.batches import Batch, collate
from demos.drafters.blocks import Projections, Rope, Shape
from demos.drafters.dflash import DFlash
from demos.drafters.mtp import MtpHead
from demos.drafters.objective import Vocabulary, cross_entropy, labels
from demos.drafters.shards import Sequence, answered, read_shard, write_shard
from demos.drafters.target import COMPUTE, Target
from demos.drafters.train import Task, multiplying
from demos.drafters.walk import walk

M = TypeVar("M", bound=nn.Module)

SHAPE = Shape(
    hidden_size=24, intermediate_size=40, heads=6, kv_heads=2, head_dim=8, vocab_size=50, eps=1e-5, rope_theta=1e4
)


def plain_attention(
    attention: Projections, x_query: Tensor, q_position: int, contexts: list[tuple[Tensor, int]]
) -> Tensor:
    """One query over a list of (normed input, position): heads by loops."""
    shape = SHAPE
    query = attention.queries(x_query[None], Rope(torch.tensor([q_position]), shape))[:, :, 0]
    keys = torch.stack([attention.keys(x[None], Rope(torch.tensor([p]), shape))[:, 0] for x, p in contexts], 1)
    values = torch.stack([attention.values(x[None])[:, 0] for x, _ in contexts], 1)
    out = torch.zeros(shape.kv_heads, shape.heads // shape.kv_heads, shape.head_dim)
    for group in range(shape.kv_heads):
        for head in range(shape.heads // shape.kv_heads):
            weights = (keys[group] @ query[group, head] * shape.head_dim**-0.5).softmax(0)
            out[group, head] = weights @ values[group]
    return attention.output(out.unsqueeze(2))[0]


@pytest.fixture
def generator() -> torch.Generator:
    torch.manual_seed(1)
    return torch.Generator().manual_seed(2)


def randomised(model: M) -> M:
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn_like(parameter) * 0.3 + (0.7 if parameter.ndim == 1 else 0.0))
    return model


def test_an_mtp_chain_equals_one_draft_after_the_other(generator: torch.Generator) -> None:
    head = randomised(MtpHead(SHAPE))
    length, steps, slot = 6, 3, 4
    hidden = torch.randn(1, length, 24, generator=generator)
    embeddings = torch.randn(1, length + steps, 24, generator=generator)
    outputs = head(hidden, embeddings, steps)

    def normed_input(state: Tensor, embedded: Tensor) -> Tensor:
        joined = torch.cat([head.hidden_layernorm(state), head.token_layernorm(embedded)])
        projected: Tensor = head.input_proj(joined)
        return projected

    seen = []
    for q in range(slot + 1):
        embedded = embeddings[0, q + 1] if q else torch.zeros(24)
        seen.append((head.input_layernorm(normed_input(hidden[0, q], embedded)), q))
    state = hidden[0, slot]
    for step in range(1, steps + 1):
        residual = normed_input(state, embeddings[0, slot + step])
        normed = head.input_layernorm(residual)
        if step > 1:
            seen.append((normed, slot + step - 1))
        residual = residual + plain_attention(head.self_attn, normed, slot + step - 1, seen)
        residual = residual + head.mlp(head.post_attention_layernorm(residual))
        state = head.final_layernorm(residual)
        torch.testing.assert_close(outputs[step - 1][0, slot], state, rtol=1e-4, atol=1e-5)


def test_the_first_slot_ignores_its_token(generator: torch.Generator) -> None:
    head = randomised(MtpHead(SHAPE))
    hidden = torch.randn(1, 3, 24, generator=generator)
    one, other = torch.randn(2, 1, 4, 24, generator=generator)
    torch.testing.assert_close(head(hidden, one, 1)[0][:, 0], head(hidden, other, 1)[0][:, 0])


def test_a_dflash_block_equals_the_plain_reading(generator: torch.Generator) -> None:
    drafter = randomised(DFlash(SHAPE, layers=2, features=2))
    features = torch.randn(1, 7, 48, generator=generator)
    last = torch.randn(1, 2, 24, generator=generator)
    anchors, sizes = torch.tensor([[3, 5]]), torch.tensor([[2, 3]])
    output = drafter(features, last, anchors, sizes, 3)
    layers: list[Any] = list(drafter.layers)
    for block in range(2):
        anchor, size = int(anchors[0, block]), int(sizes[0, block])
        context = drafter.hidden_norm(drafter.fc(features[0, :anchor]))
        x = torch.cat([last[0, block, None], drafter.mask_embedding.expand(size, -1)])
        for layer in layers:
            normed = layer.input_layernorm(x)
            seen = [(context[i], i) for i in range(anchor)] + [(normed[i], anchor + i) for i in range(size + 1)]
            attended = [plain_attention(layer.self_attn, normed[i], anchor + i, seen) for i in range(size + 1)]
            x = x + torch.stack(attended)
            x = x + layer.mlp(layer.post_attention_layernorm(x))
        torch.testing.assert_close(output[0, block, :size], drafter.norm(x[1:]), rtol=1e-4, atol=1e-5)


def test_labels_are_distributions_around_the_best_token(generator: torch.Generator) -> None:
    embedding = torch.randn(50, 24, generator=generator).to(COMPUTE)
    vocabulary = Vocabulary(torch.arange(0, 50, 2), embedding)
    label = labels(vocabulary, torch.randn(5, 24, generator=generator), hard_share=0.5)
    torch.testing.assert_close(label.sum(-1), torch.ones(5))
    assert bool((label.max(-1).values >= 0.5).all())


def test_cross_entropy_is_least_where_the_drafter_says_what_the_target_says(generator: torch.Generator) -> None:
    embedding = torch.randn(50, 24, generator=generator).to(COMPUTE)
    vocabulary = Vocabulary(torch.arange(50), embedding)
    hidden = torch.randn(5, 24, generator=generator)
    label = labels(vocabulary, hidden, hard_share=0.0)
    same, right = cross_entropy(vocabulary, hidden, label, torch.ones(5))
    other, _ = cross_entropy(vocabulary, hidden + 0.1 * torch.randn(5, 24, generator=generator), label, torch.ones(5))
    assert bool(right.all())
    assert same < other


def test_the_walk_counts_steps_as_verification_does() -> None:
    right = [[], [True, False, True], [True, True, True], [False, True, True], [True], []]
    acceptance = walk(right, 3)
    # 1 known: one draft accepted, so 3 known: none accepted, so 4 known: one draft left, accepted.
    assert (acceptance.steps, acceptance.at_position) == (3, [2, 0, 0])


def test_a_shard_gives_back_its_sequences(tmp_path: Path, generator: torch.Generator) -> None:
    rows = torch.randn(9, 12, generator=generator).to(COMPUTE)
    sequences = [Sequence(4, torch.arange(5), 2, rows[:5]), Sequence(7, torch.arange(4), 3, rows[5:])]
    write_shard(tmp_path / "00000.safetensors", sequences)
    back = list(read_shard(tmp_path / "00000.safetensors"))
    assert [s.prompt for s in back] == [4, 7]
    assert torch.equal(back[1].hidden, rows[5:])
    assert answered(tmp_path) == ({4, 7}, 4)


def tiny_batch(features: int) -> Batch:
    torch.manual_seed(3)
    return collate(
        [
            Sequence(n, torch.randint(50, (length,)), 3, torch.randn(length, (features + 1) * 24).to(COMPUTE))
            for n, length in enumerate((12, 9))
        ]
    )


def acceptance_length(task: Task, batch: Batch) -> float:
    with multiplying():
        return task.acceptance(batch, 3).length


def learned(task: Task, batch: Batch, steps: int = 60) -> list[float]:
    optimizer = torch.optim.AdamW(task.model.parameters(), lr=1e-2)
    losses = []
    for step in range(steps):
        with multiplying():
            loss, _ = task.loss(batch, random.Random(step % 3))
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        losses.append(float(loss.detach()))
    return losses


@pytest.mark.slow
def test_both_drafters_learn_a_batch_by_heart() -> None:
    from demos.drafters.dflash_task import DFlashTask
    from demos.drafters.mtp_task import MtpTask

    torch.manual_seed(0)
    target = Target(Path(), SHAPE, 4, torch.randn(50, 24).to(COMPUTE))
    vocabulary = Vocabulary(torch.arange(50), target.embedding)
    tasks: list[Task] = [MtpTask(target, vocabulary), DFlashTask(target, vocabulary, 2, vocabulary)]
    for task in tasks:
        batch = tiny_batch(2)
        size = SHAPE.hidden_size
        # Make the answers the target's greedy ones, so that learning by heart means acceptance.
        choice = (batch.hidden[..., -size:] @ target.embedding.T).argmax(-1)
        batch.ids[:, 4:] = torch.where(torch.arange(3, 11) < batch.lengths[:, None] - 1, choice[:, 3:-1], 0)
        before = acceptance_length(task, batch)
        losses = learned(task, batch)
        assert losses[-1] < losses[0] * 0.8, task.name
        assert acceptance_length(task, batch) > before, task.name

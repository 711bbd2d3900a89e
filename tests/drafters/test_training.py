"""Training stops anywhere and goes on as if it had not."""

from pathlib import Path

import pytest

pytest.importorskip("torch")

import torch
from torch import Tensor

from demos.drafters.batches import epoch_batches
from demos.drafters.blocks import Shape
from demos.drafters.mtp_task import MtpTask
from demos.drafters.objective import Vocabulary
from demos.drafters.pace import Pace
from demos.drafters.shards import Sequence, shard_paths, write_shard
from demos.drafters.target import COMPUTE, Target
from demos.drafters.train import Plan, Trainer, load_average

SHAPE = Shape(
    hidden_size=16, intermediate_size=24, heads=2, kv_heads=1, head_dim=8, vocab_size=40, eps=1e-5, rope_theta=1e4
)


def ignore(_: str) -> None:
    pass


@pytest.fixture
def shards(tmp_path: Path) -> list[Path]:
    generator = torch.Generator().manual_seed(5)
    for number in range(3):
        sequences = []
        for index in range(20):
            length = int(torch.randint(6, 14, (1,), generator=generator))
            hidden = torch.randn(length, 2 * 16, generator=generator).to(COMPUTE)
            ids = torch.randint(40, (length,), generator=generator)
            sequences.append(Sequence(20 * number + index, ids, 3, hidden))
        write_shard(tmp_path / f"{number:05}.safetensors", sequences)
    return shard_paths(tmp_path)


@pytest.fixture
def task(monkeypatch: pytest.MonkeyPatch) -> MtpTask:
    monkeypatch.setattr(MtpTask, "initialise", lambda self, batches: None)
    return fresh_task()


def fresh_task() -> MtpTask:
    torch.manual_seed(0)
    target = Target(Path(), SHAPE, 2, torch.randn(40, 16).to(COMPUTE))
    return MtpTask(target, Vocabulary(torch.arange(40), target.embedding))


def flat(task: MtpTask) -> Tensor:
    return torch.cat([p.detach().flatten() for p in task.model.parameters()])


def test_an_epoch_has_every_sequence_once_and_the_same_batches_for_the_same_seed(shards: list[Path]) -> None:
    batches = list(epoch_batches(shards, 1, 0, tokens=64))
    assert sum(len(batch.ids) for batch in batches) == 60
    assert all(batch.ids.numel() <= 64 for batch in batches)
    again = list(epoch_batches(shards, 1, 0, tokens=64))
    assert all(torch.equal(a.ids, b.ids) for a, b in zip(batches, again, strict=True))
    other = list(epoch_batches(shards, 1, 1, tokens=64))
    assert [b.ids.tolist() for b in other] != [b.ids.tolist() for b in batches]


@pytest.mark.parametrize("muon", [False, True])
def test_a_stopped_training_goes_on_where_it_was(task: MtpTask, shards: list[Path], tmp_path: Path, muon: bool) -> None:
    whole = Trainer(task, shards, tmp_path / "whole", Plan(steps=6, muon=muon))
    assert whole.run(minutes=5, report=ignore)
    for _ in range(20):
        part = Trainer(fresh_task(), shards, tmp_path / "parts", Plan(steps=6, muon=muon))
        if part.run(minutes=0, report=ignore):
            break
    assert (part.step, part.tokens, part.epoch) == (whole.step, whole.tokens, whole.epoch)
    torch.testing.assert_close(flat(part.task), flat(task))  # type: ignore[arg-type]


def test_the_averaged_weights_are_read_back(task: MtpTask, shards: list[Path], tmp_path: Path) -> None:
    trainer = Trainer(task, shards, tmp_path, Plan(steps=3))
    trainer.run(minutes=5, report=ignore)
    other = fresh_task()
    assert load_average(other, tmp_path) == 3
    averaged = torch.cat([p.detach().flatten() for p in trainer.average.parameters()])
    torch.testing.assert_close(flat(other), averaged)


def test_the_learning_rate_rises_and_falls() -> None:
    plan = Plan(rate=1.0, warmup=10, steps=100, decay_share=0.2)
    assert plan.rate_at(0) == pytest.approx(0.1)
    assert plan.rate_at(50) == 1.0
    assert plan.rate_at(90) == pytest.approx(0.5)
    assert plan.rate_at(100) == 0.0


def test_a_stop_does_not_count_as_work() -> None:
    times = iter([0.0, 2.0, 500.0, 503.0])
    pace = Pace(lambda: next(times))
    assert [pace.tick() for _ in range(3)] == [2.0, 12.0, 15.0]

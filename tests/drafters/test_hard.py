"""Hard positions on their way into a training: from the file to passages, shards, batches and the loss."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")

import torch

from demos.drafters import answers, manifest
from demos.drafters.__main__ import main
from demos.drafters.answers import Question
from demos.drafters.batches import LONGEST_ANSWER, collate, epoch_batches
from demos.drafters.blocks import Shape
from demos.drafters.dflash_task import DFlashTask
from demos.drafters.engine import Finished
from demos.drafters.hard import CONTINUED, NotHardError, hard_questions
from demos.drafters.mtp_task import MtpTask
from demos.drafters.objective import Vocabulary
from demos.drafters.recipe import SMOKE, Workplace
from demos.drafters.shards import Sequence, read_shard, shard_paths, write_shard
from demos.drafters.stages import Job
from demos.drafters.target import COMPUTE, Target
from demos.drafters.train import Plan, Trainer, multiplying
from spectui.bench.analysis.exporting import as_line
from spectui.core.hard_positions import HardPosition, HardPositions
from tests.support.drafted_traces import Making

pytestmark = pytest.mark.unit

SHAPE = Shape(
    hidden_size=16, intermediate_size=24, heads=2, kv_heads=1, head_dim=8, vocab_size=40, eps=1e-5, rope_theta=1e4
)


def exported(path: Path, context: int = 0, **change: Any) -> list[HardPosition]:
    """Write the hard positions of a made-up trace to ``path``."""
    found: list[HardPosition] = []
    positions = HardPositions(lambda one: found.append(replace(one, **change)), context=context)
    for event in Making().events():
        positions.add(event)
    positions.close()
    path.write_text("".join(map(as_line, found)), encoding="ascii")
    return found


def test_the_refusals_of_an_answer_are_one_passage(tmp_path: Path) -> None:
    found = exported(tmp_path / "hard.jsonl")
    questions = hard_questions(tmp_path / "hard.jsonl", "target")
    assert len(questions) == len(Making().prompts)
    assert sum(len(question.hard or ()) for question in questions) == len(found)
    for question, (text, _) in zip(questions, Making().prompts, strict=True):
        assert question.ids[: len(question.ids) - question.known] == tuple(map(ord, text))
        own = [
            one for one in found if one.context[: len(text)] == tuple(map(ord, text)) and one.round == question.number
        ]
        assert [question.ids[place] for place in question.hard or ()] == [one.wanted for one in own]
        assert list(question.hard or ()) == [one.position + one.accepted for one in own]
        assert (question.temperature, question.max_tokens) == (0.0, CONTINUED)


def test_a_context_that_was_cut_is_a_passage_of_its_own(tmp_path: Path) -> None:
    found = exported(tmp_path / "hard.jsonl", context=12)
    questions = hard_questions(tmp_path / "hard.jsonl", "target")
    cut = [one for one in found if one.position > 12]
    assert len(cut) > 50
    alone = [question for question in questions if len(question.hard or ()) == 1 and question.known <= 4]
    assert len(alone) >= len(cut)
    assert sum(len(question.hard or ()) for question in questions) == len(found)
    for question in questions:
        assert all(place >= len(question.ids) - question.known for place in question.hard or ())


def test_what_is_no_hard_position_of_this_target_is_named(tmp_path: Path) -> None:
    path = tmp_path / "hard.jsonl"
    exported(path)
    with pytest.raises(NotHardError, match=r"line 1 is of target, not of SmolLM"):
        hard_questions(path, "SmolLM")
    whole = path.read_text()
    for broken in (
        "nonsense\n",
        "[]\n",
        "{}\n",
        json.dumps({**json.loads(whole.splitlines()[0]), "context": [None]}) + "\n",
    ):
        path.write_text(whole + broken)
        with pytest.raises(NotHardError, match=f"line {len(whole.splitlines()) + 1} is no hard position"):
            hard_questions(path, "target")


def test_an_answer_begins_where_the_trace_began_it(tmp_path: Path) -> None:
    """The target reads a passage as a prompt, and what it goes on with follows; only the real prompt is no answer."""

    class Capture:
        def take(self, engine_id: str) -> torch.Tensor:
            assert engine_id == "engine's"
            return torch.ones(9, 4)

    class Run(answers._Run):
        def __init__(self) -> None:
            self._capture: Any = Capture()
            self._kept: list[Sequence] = []
            self._new = 0
            question = Question(7, tuple(range(8)), 0.0, CONTINUED, known=5, hard=(4, 7))
            self._asked = {"7": ("engine's", question)}

    run = Run()
    run._keep(Finished("7", 8, tuple(range(10)), False, None))
    (kept,) = run._kept
    assert (kept.prompt, kept.prompt_length, len(kept.hidden)) == (7, 3, 10)
    assert kept.hard is not None
    assert kept.hard.nonzero().flatten().tolist() == [4, 7]


def sequences(hard: bool, length: int = 12) -> list[Sequence]:
    generator = torch.Generator().manual_seed(5)
    made = []
    for number in range(6):
        hidden = torch.randn(length, 2 * 16, generator=generator).to(COMPUTE)
        ids = torch.randint(40, (length,), generator=generator)
        marks = torch.zeros(length, dtype=torch.bool)
        marks[[5, 8]] = True
        made.append(Sequence(number, ids, 3, hidden, marks if hard else None))
    return made


def test_marks_survive_shards_and_batches(tmp_path: Path) -> None:
    write_shard(tmp_path / "00000.safetensors", sequences(hard=False))
    write_shard(tmp_path / "hard-00000.safetensors", sequences(hard=True, length=LONGEST_ANSWER + 40))
    plain, marked = shard_paths(tmp_path)
    assert all(one.hard is None for one in read_shard(plain))
    assert [one.hard.sum().item() for one in read_shard(marked) if one.hard is not None] == [2] * 6
    batches = list(epoch_batches([plain, marked], 0, 0))
    assert sum(int(batch.hard.sum()) for batch in batches) == 12
    assert all(batch.hard.shape == batch.ids.shape for batch in batches)


def mtp(weight: float) -> MtpTask:
    torch.manual_seed(0)
    target = Target(Path(), SHAPE, 2, torch.randn(40, 16).to(COMPUTE))
    return MtpTask(target, Vocabulary(torch.arange(40), target.embedding), weight)


def dflash(weight: float) -> DFlashTask:
    torch.manual_seed(0)
    target = Target(Path(), SHAPE, 2, torch.randn(40, 16).to(COMPUTE))
    vocabulary = Vocabulary(torch.arange(40), target.embedding)
    return DFlashTask(target, vocabulary, 1, vocabulary, weight)


@pytest.mark.parametrize("task", [mtp, dflash])
def test_hard_tokens_weigh_more_and_others_stay_as_they_were(task: Any) -> None:
    easy, marked = collate(sequences(hard=False)), collate(sequences(hard=True))
    every = replace(marked, hard=torch.ones_like(marked.hard))

    def loss(weight: float, batch: Any) -> float:
        with multiplying():
            return float(task(weight).loss(batch, random.Random(3))[0].detach())

    assert loss(1.0, marked) == loss(1.0, easy) == loss(3.0, easy)
    # A mean does not change when everything in it weighs the same.
    assert loss(3.0, every) == pytest.approx(loss(1.0, easy), rel=1e-4)
    assert loss(3.0, marked) != pytest.approx(loss(1.0, easy), rel=1e-3)
    # The more they weigh, the nearer it is to their own mean.
    alone = loss(1e6, marked)
    near, far = abs(loss(10.0, marked) - alone), abs(loss(1.0, marked) - alone)
    assert near < far


def test_a_training_takes_them_beside_the_answers(tmp_path: Path) -> None:
    write_shard(tmp_path / "00000.safetensors", sequences(hard=False))
    write_shard(tmp_path / "hard-00000.safetensors", sequences(hard=True))
    task = mtp(3.0)
    begin = task.model.state_dict()
    trainer = Trainer(task, shard_paths(tmp_path), tmp_path / "training", Plan(steps=3, muon=False), begin)
    assert trainer.run(minutes=5, report=lambda _: None)


def test_a_training_asks_for_what_was_not_read(tmp_path: Path) -> None:
    exported(tmp_path / "hard.jsonl")
    job = Job(tmp_path, Workplace(tmp_path), SMOKE, 1.0, print, hard=tmp_path / "hard.jsonl")
    with pytest.raises(NotHardError, match="run the stage hard with it first"):
        job.shards  # noqa: B018 - it is a property
    directory = job.place.hard(manifest.sha256(tmp_path / "hard.jsonl"))
    directory.mkdir()
    write_shard(directory / "hard-00000.safetensors", sequences(hard=True))
    assert [path.parent for path in job.shards] == [directory]
    assert replace(job, hard=None).shards == []


def test_the_command_line_says_what_is_missing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for words, said in (
        (["hard"], "stage hard needs --hard FILE"),
        (["train", "mtp", "--hard", str(tmp_path / "none.jsonl")], "none.jsonl: no such file"),
    ):
        with pytest.raises(SystemExit):
            main(words)
        assert said in capsys.readouterr().err

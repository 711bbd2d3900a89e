"""The recipe's stages; each goes on where it was stopped and says whether it is done."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from demos.drafters import manifest
from demos.drafters.prompts import CATEGORIES, heldout_prompts
from demos.drafters.recipe import BAR_K, SEED, Size, Workplace
from spectui.events import Prompt

Say = Callable[[str], None]
RECOUNT = 1.3
"""So many times the shards of the last count let the frequent tokens be counted again."""


@dataclass(frozen=True, slots=True)
class Job:
    """What every stage is given.

    Attributes:
        target: The demo target's checkpoint.
        minutes: How long the stage may work before it stops at a checkpoint.
        k: Drafts per step in the evaluation; None for the drafter's usual one.
        steps: Batches of the training; None for the recipe's.
        muon: Train the matrices with Muon, else with AdamW; the same in every run of a training.
    """

    target: Path
    place: Workplace
    size: Size
    minutes: float
    say: Say
    k: int | None = None
    steps: int | None = None
    muon: bool = True
    started: float = field(default_factory=time.monotonic)

    def record(self, stage: str, **facts: Any) -> None:
        """Write the stage's facts and its wall time into the manifest."""
        manifest.record(self.place.root, stage, seconds=time.monotonic() - self.started, **facts)


def prompts(job: Job) -> bool:
    """Compose the template prompts."""
    from demos.drafters.questions import write_template_prompts

    if not job.place.template_prompts.exists():
        job.place.root.mkdir(parents=True, exist_ok=True)
        write_template_prompts(job.place.template_prompts, job.size.template_prompts, SEED)
        _record_prompts(job, "prompts", job.place.template_prompts)
    return True


def own(job: Job) -> bool:
    """Let the target make up prompts."""
    from demos.drafters.own_prompts import write_own_prompts

    if not job.place.own_prompts.exists():
        write_own_prompts(
            job.target,
            job.place.own_prompts,
            job.size.own_prompts,
            seed=SEED,
            batch=job.size.batch,
            report=job.say,
        )
        _record_prompts(job, "own", job.place.own_prompts)
    return True


def _record_prompts(job: Job, stage: str, path: Path) -> None:
    count = len(path.read_text(encoding="utf-8").splitlines())
    job.record(stage, prompts=count, seed=SEED, sha256=manifest.sha256(path))


def answers(job: Job) -> bool:
    """Answer all prompts and keep the hidden states."""
    from transformers import AutoTokenizer

    from demos.drafters.answers import LAYERS, answer
    from demos.drafters.questions import read_questions
    from demos.drafters.shards import answered, shard_paths

    tokenizer: Any = AutoTokenizer.from_pretrained(job.target)
    questions = read_questions(job.place.prompt_files, tokenizer, SEED)
    done = answer(job.target, questions, job.place.answers, minutes=job.minutes, batch=job.size.batch, report=job.say)
    numbers, tokens = answered(job.place.answers)
    shards = {path.name: path.stat().st_size for path in shard_paths(job.place.answers)}
    job.record("answers", prompts=len(numbers), answer_tokens=tokens, layers=LAYERS, seed=SEED, shards=shards)
    return done


def heldout(job: Job) -> bool:
    """Answer the held-out prompts as the evaluation does, for the trainer's prediction."""
    from transformers import AutoTokenizer

    from demos.drafters.answers import Question, answer
    from demos.drafters.evaluate import MAX_TOKENS
    from spectui.sources.vllm.rounds import chat_ids

    tokenizer: Any = AutoTokenizer.from_pretrained(job.target)
    questions = [
        Question(number, tuple(chat_ids(tokenizer, prompt.text)), 0.0, MAX_TOKENS, past_end=True)
        for number, prompt in enumerate(chosen_heldout(job.size))
    ]
    return answer(job.target, questions, job.place.heldout, minutes=job.minutes, batch=job.size.batch, report=job.say)


def chosen_heldout(size: Size) -> list[Prompt]:
    """The first ``size.heldout`` held-out prompts of each category."""
    every = heldout_prompts()
    return [p for category in CATEGORIES for p in [p for p in every if p.category == category][: size.heldout]]


def train(job: Job, name: str) -> bool:
    """Train a drafter, then say what acceptance it predicts on the held-out answers."""
    from demos.drafters.batches import epoch_batches
    from demos.drafters.shards import shard_paths
    from demos.drafters.train import Plan, Trainer, predicted_acceptance

    task = _task(job, name)
    steps = job.steps or (job.size.mtp_steps if name == "mtp" else job.size.dflash_steps)
    trainer = Trainer(
        task, shard_paths(job.place.answers), job.place.training, Plan(steps=steps, muon=job.muon, seed=SEED)
    )
    done = trainer.run(minutes=job.minutes, report=job.say)
    facts: dict[str, Any] = {}
    if shards := shard_paths(job.place.heldout):
        k = BAR_K[name]
        acceptance = predicted_acceptance(task, trainer.average, list(epoch_batches(shards, SEED, 0)), k)
        job.say(f"{name}: predicted at K={k} on held-out prompts after step {trainer.step}: {acceptance}")
        facts = {f"predicted at K={k}": str(acceptance)}
    job.record(
        f"train {name}",
        steps=trainer.step,
        epochs=trainer.epoch,
        tokens_seen=trainer.tokens,
        plan=asdict(trainer.plan),
        **facts,
    )
    return done


def export(job: Job, name: str) -> bool:
    """Write the averaged weights in vLLM's form."""
    from demos.drafters.answers import LAYERS
    from demos.drafters.card import card
    from demos.drafters.export import WEIGHTS, export_dflash, export_mtp
    from demos.drafters.train import load_average

    task = _task(job, name)
    step = load_average(task, job.place.training)
    directory = job.place.drafter(name)
    text = card(name, manifest.read(job.place.root))
    if name == "mtp":
        export_mtp(task.model, task.target.shape, directory, text)
    else:
        export_dflash(task.model, task.target.shape, LAYERS, directory, text)
    job.record(f"export {name}", step=step, sha256=manifest.sha256(directory / WEIGHTS))
    job.say(f"{name}: exported step {step} to {directory}")
    return True


def evaluate(job: Job, name: str) -> bool:
    """Measure acceptance in vLLM on the held-out prompts."""
    from demos.drafters.evaluate import measured_acceptance

    k = job.k or BAR_K[name]
    result = measured_acceptance(job.target, name, job.place.drafter(name), k, chosen_heldout(job.size))
    stage = f"evaluate {name}" if k == BAR_K[name] else f"evaluate {name} K={k}"
    job.record(stage, k=k, **{category: str(acceptance) for category, acceptance in result.items()})
    for category, acceptance in sorted(result.items()):
        job.say(f"{name} K={k} {category}: {acceptance}")
    return True


def _task(job: Job, name: str) -> Any:
    import torch

    from demos.drafters.answers import LAYERS
    from demos.drafters.dflash_task import DFlashTask
    from demos.drafters.mtp_task import MtpTask
    from demos.drafters.objective import Vocabulary
    from demos.drafters.target import load_target

    torch.manual_seed(SEED)
    target = load_target(job.target)
    vocabulary = Vocabulary(torch.tensor(_vocabulary(job)), target.embedding)
    return MtpTask(target, vocabulary) if name == "mtp" else DFlashTask(target, vocabulary, len(LAYERS))


def _vocabulary(job: Job) -> list[int]:
    """The tokens that the loss is taken over; counted again when there is much more data than at the last count."""
    from demos.drafters.objective import frequent_tokens
    from demos.drafters.shards import shard_paths

    file, shards = job.place.vocabulary, shard_paths(job.place.answers)
    if file.exists():
        saved = json.loads(file.read_text(encoding="utf-8"))
        if len(shards) < RECOUNT * saved["shards"]:
            return list(saved["ids"])
    ids: list[int] = frequent_tokens(shards, job.size.vocabulary).tolist()
    file.write_text(json.dumps({"shards": len(shards), "ids": ids}), encoding="utf-8")
    return ids

"""The recipe's stages; each goes on where it was stopped and says whether it is done."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from demos.drafters import manifest
from demos.drafters.prompts import heldout_prompts
from demos.drafters.recipe import BAR_K, HARD_WEIGHT, SEED, Size, Workplace
from spectui.protocol.events import Prompt

Say = Callable[[str], None]
ROUND_SEEDS = 100
"""Seeds kept for the rounds of own prompts of one seed."""

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
        rate: The training's highest learning rate; None for the plan's own.
        muon: Train the matrices with Muon, else with AdamW; the same in every run of a training.
        compiled: Whether the report measures compiled engines too, which take minutes to load.
        seed: Of the prompts, of how they are asked, and of the training.
        begin: Drafters that the training begins with instead of the target's layers: a folder that ``ship`` filled.
        hard: Hard positions to train on too, as `spectui analyze --export` writes them.
        hard_weight: What a token that a drafter had wrong weighs in the loss; others weigh 1.
    """

    target: Path
    place: Workplace
    size: Size
    minutes: float
    say: Say
    k: int | None = None
    steps: int | None = None
    rate: float | None = None
    muon: bool = True
    compiled: bool = False
    seed: int = SEED
    begin: Path | None = None
    hard: Path | None = None
    hard_weight: float = HARD_WEIGHT
    started: float = field(default_factory=time.monotonic)

    @property
    def shards(self) -> list[Path]:
        """What is trained on.

        Raises:
            NotHardError: The target has not read the hard positions.
        """
        from demos.drafters.hard import NotHardError
        from demos.drafters.shards import shard_paths

        own = shard_paths(self.place.answers)
        if self.hard is None:
            return own
        read = shard_paths(self.place.hard(manifest.sha256(self.hard)))
        if not read:
            raise NotHardError(f"the target has not read {self.hard}: run the stage hard with it first")
        return [*own, *read]

    def record(self, stage: str, **facts: Any) -> None:
        """Write the stage's facts and its wall time into the manifest."""
        manifest.record(self.place.root, stage, seconds=time.monotonic() - self.started, **facts)


def prompts(job: Job) -> bool:
    """Compose the template prompts."""
    from demos.drafters.questions import write_template_prompts

    if not job.place.template_prompts.exists():
        job.place.root.mkdir(parents=True, exist_ok=True)
        write_template_prompts(job.place.template_prompts, job.size.template_prompts, job.seed)
        _record_prompts(job, "prompts", job.place.template_prompts)
    return True


def own(job: Job) -> bool:
    """Let the target make up prompts."""
    from demos.drafters.own_prompts import write_own_prompts

    for number in range(job.size.own_rounds):
        path = job.place.own_prompts(number)
        if not path.exists():
            write_own_prompts(
                job.target,
                path,
                job.size.own_prompts,
                seed=ROUND_SEEDS * job.seed + number,
                batch=job.size.batch,
                report=job.say,
                others=job.place.prompt_files,
            )
            _record_prompts(job, f"own {number}", path)
    return True


def _record_prompts(job: Job, stage: str, path: Path) -> None:
    count = len(path.read_text(encoding="utf-8").splitlines())
    job.record(stage, prompts=count, seed=job.seed, sha256=manifest.sha256(path))


def answers(job: Job) -> bool:
    """Answer all prompts and keep the hidden states."""
    from transformers import AutoTokenizer

    from demos.drafters.answers import LAYERS, answer
    from demos.drafters.questions import read_questions
    from demos.drafters.shards import answered, shard_paths

    tokenizer: Any = AutoTokenizer.from_pretrained(job.target)
    questions = read_questions(job.place.prompt_files, tokenizer, job.seed)
    done = answer(job.target, questions, job.place.answers, minutes=job.minutes, batch=job.size.batch, report=job.say)
    numbers, tokens = answered(job.place.answers)
    shards = {path.name: path.stat().st_size for path in shard_paths(job.place.answers)}
    job.record("answers", prompts=len(numbers), answer_tokens=tokens, layers=LAYERS, seed=job.seed, shards=shards)
    return done


def hard(job: Job) -> bool:
    """Let the target read the contexts of hard positions, and keep its hidden states."""
    from demos.drafters.answers import answer
    from demos.drafters.hard import hard_questions
    from demos.drafters.shards import answered

    assert job.hard is not None
    questions = hard_questions(job.hard, job.target.name)
    directory = job.place.hard(manifest.sha256(job.hard))
    done = answer(
        job.target, questions, directory, minutes=job.minutes, batch=job.size.batch, report=job.say, prefix="hard-"
    )
    places = sum(len(question.hard or ()) for question in questions)
    job.record("hard", passages=len(questions), places=places, answer_tokens=answered(directory)[1])
    return done


def heldout(job: Job) -> bool:
    """Answer the held-out prompts as the evaluation does, for the trainer's prediction."""
    from transformers import AutoTokenizer

    from demos.drafters.answers import Question, answer
    from demos.drafters.evaluate import MAX_TOKENS
    from spectui.sources.vllm.prompting import chat_ids

    tokenizer: Any = AutoTokenizer.from_pretrained(job.target)
    questions = [
        Question(number, tuple(chat_ids(tokenizer, prompt.text)), 0.0, MAX_TOKENS, past_end=True)
        for number, prompt in enumerate(chosen_heldout(job.size))
    ]
    return answer(job.target, questions, job.place.heldout, minutes=job.minutes, batch=job.size.batch, report=job.say)


def chosen_heldout(size: Size) -> list[Prompt]:
    """The first ``size.heldout`` held-out prompts of each category."""
    from demos.drafters.evaluate import per_category

    return per_category(heldout_prompts(), size.heldout)


def train(job: Job, name: str) -> bool:
    """Train a drafter."""
    from demos.drafters.export import WEIGHTS, load_exported
    from demos.drafters.train import RATE, Plan, Trainer

    task = _task(job, name)
    steps = job.steps or (job.size.mtp_steps if name == "mtp" else job.size.dflash_steps)
    plan = Plan(rate=job.rate or RATE, steps=steps, muon=job.muon, seed=job.seed)
    begin = load_exported(name, job.begin / name) if job.begin else None
    if job.begin:
        manifest.begin_with(job.place.root, job.begin)
    trainer = Trainer(task, job.shards, job.place.training, plan, begin)
    done = trainer.run(minutes=job.minutes, report=job.say)
    job.record(
        f"train {name}",
        steps=trainer.step,
        epochs=trainer.epoch,
        tokens_seen=trainer.tokens,
        plan=asdict(trainer.plan),
        begin=manifest.sha256(job.begin / name / WEIGHTS) if job.begin else "the target's last layers",
        **({"hard": manifest.sha256(job.hard), "hard weight": job.hard_weight} if job.hard else {}),
    )
    return done


def export(job: Job, name: str) -> bool:
    """Write the averaged weights in vLLM's form, and say what acceptance they shall have on the held-out prompts.

    Without a training, the weights are those that it would go on from.
    """
    from demos.drafters.answers import LAYERS
    from demos.drafters.card import card
    from demos.drafters.export import WEIGHTS, export_dflash, export_mtp, load_exported
    from demos.drafters.train import checkpoint, load_average

    task = _task(job, name)
    step = 0
    if job.begin and not checkpoint(task, job.place.training).exists():
        task.model.load_state_dict(load_exported(name, job.begin / name))
        manifest.begin_with(job.place.root, job.begin)
    else:
        step = load_average(task, job.place.training)
    directory = job.place.drafter(name)
    text = card(name, manifest.read(job.place.root))
    if name == "mtp":
        export_mtp(task.model, task.target.shape, directory, text)
    else:
        export_dflash(task.model, task.target.shape, LAYERS, directory, text, task.drafted)
    facts = _predicted(job, task)
    job.record(f"export {name}", step=step, sha256=manifest.sha256(directory / WEIGHTS), **facts)
    job.say(f"{name}: exported step {step} to {directory} {facts or ''}")
    return True


def _predicted(job: Job, task: Any) -> dict[str, str]:
    """What the task's model shall reach in vLLM on the held-out prompts, as far as they have been answered."""
    from demos.drafters.batches import epoch_batches
    from demos.drafters.shards import shard_paths
    from demos.drafters.train import predicted_acceptance

    shards = shard_paths(job.place.heldout)
    if not shards:
        return {}
    k = BAR_K[task.name]
    return {f"predicted at K={k}": str(predicted_acceptance(task, list(epoch_batches(shards, job.seed, 0)), k))}


def evaluate(job: Job, name: str) -> bool:
    """Measure acceptance in vLLM on the held-out prompts."""
    from demos.drafters.evaluate import Checked, by_category, check_prompts, measured_acceptance
    from spectui.sources.vllm.lane_spec import parse_lane_spec

    k = job.k or BAR_K[name]
    spec = parse_lane_spec(f"{name}:model={job.place.drafter(name)},k={k}")
    prompts = chosen_heldout(job.size)
    measured = measured_acceptance(job.target, spec, prompts)
    result = by_category(prompts, measured)
    some = [one for prompt, one in zip(prompts, measured, strict=True) if prompt in check_prompts()]
    check = Checked([one.steps for one in some], [sum(one.at_position) for one in some])
    stage = manifest.evaluation(name) if k == BAR_K[name] else f"{manifest.evaluation(name)} K={k}"
    found = {category: str(acceptance) for category, acceptance in result.items()}
    job.record(stage, k=k, check=asdict(check), **found)
    for category, text in sorted(found.items()):
        job.say(f"{name} K={k} {category}: {text}")
    return True


def report(job: Job) -> bool:
    """Measure what the drafters are worth, and write the report and the cards that quote it."""
    from demos.drafters.card import card
    from demos.drafters.report import Evaluator
    from demos.drafters.report_text import report_text
    from spectui.bench.harness import environment

    evaluator = Evaluator(job.target, job.place.drafter, job.place.report, job.say)
    evaluation = evaluator.evaluate(chosen_heldout(job.size), compiled=job.compiled)
    facts = {f"{name} all": str(found["all"]) for name, found in evaluation.acceptance.items()}
    job.record("report", lanes=list(evaluation.timing.lanes), **facts)
    known = manifest.read(job.place.root)
    text = report_text(evaluation, known, environment())
    (job.place.root / "report.md").write_text(text, encoding="utf-8")
    for name in BAR_K:
        (job.place.drafter(name) / "README.md").write_text(card(name, known), encoding="utf-8")
    return True


def ship(job: Job) -> bool:
    """Put the drafters, the manifest and the report where the program and the reader find them."""
    home = Path(__file__).parent
    for name in BAR_K:
        shutil.copytree(job.place.drafter(name), home / "weights" / name, dirs_exist_ok=True)
    shutil.copy(job.place.root / manifest.FILE, home / "weights")
    shutil.copy(job.place.root / "report.md", home)
    return True


def _task(job: Job, name: str) -> Any:
    import torch

    from demos.drafters.answers import LAYERS
    from demos.drafters.dflash_task import DFlashTask
    from demos.drafters.mtp_task import MtpTask
    from demos.drafters.objective import Vocabulary, frequent_tokens
    from demos.drafters.target import load_target

    torch.manual_seed(job.seed)
    target = load_target(job.target)
    vocabulary = Vocabulary(torch.tensor(_vocabulary(job)), target.embedding)
    if name == "mtp":
        return MtpTask(target, vocabulary, job.hard_weight)
    drafted = Vocabulary(frequent_tokens(job.shards, job.size.drafted), target.embedding)
    return DFlashTask(target, vocabulary, len(LAYERS), drafted, job.hard_weight)


def _vocabulary(job: Job) -> list[int]:
    """The tokens that the loss is taken over; counted again when there is much more data than at the last count."""
    from demos.drafters.objective import frequent_tokens

    file, shards = job.place.vocabulary, job.shards
    if file.exists():
        saved = json.loads(file.read_text(encoding="utf-8"))
        if len(shards) < RECOUNT * saved["shards"]:
            return list(saved["ids"])
    ids: list[int] = frequent_tokens(shards, job.size.vocabulary).tolist()
    file.write_text(json.dumps({"shards": len(shards), "ids": ids}), encoding="utf-8")
    return ids

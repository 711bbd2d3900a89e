"""``python -m demos.drafters build``: the whole recipe; or one stage by its name."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

from demos.drafters.recipe import DEFAULT, HARD_WEIGHT, SEED, SMOKE, Workplace, default_root
from spectui.errors import WRONG_USAGE
from spectui.runtime.threads import apply_or_reexec
from spectui.sources.hardware import cpu_dtype, fastest_dtype

STAGES = ("prompts", "own", "answers", "hard", "heldout", "train", "export", "evaluate", "report", "ship")
OF_A_DRAFTER = ("train", "export", "evaluate")
DRAFTERS = ("mtp", "dflash")
UNFINISHED = 3
"""Exit code of a stage whose time ran out at a checkpoint: start it again to go on."""


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m demos.drafters", description=__doc__)
    parser.add_argument("stage", choices=("build", "smoke", *STAGES))
    parser.add_argument("drafter", nargs="?", choices=DRAFTERS, help="of the stages " + ", ".join(OF_A_DRAFTER))
    parser.add_argument("--work", type=Path, default=default_root(), help="where data and checkpoints go")
    parser.add_argument("--minutes", type=float, default=1e6, help="stop at a checkpoint after so many minutes")
    parser.add_argument("--steps", type=int, help="batches of a training instead of the recipe's, for a longer one")
    parser.add_argument("--optimizer", choices=("muon", "adam"), help="for the matrices; muon where bfloat16 is fast")
    parser.add_argument("--rate", type=float, help="the training's highest learning rate; lower for more of the same")
    parser.add_argument("--k", type=int, help="drafts per step in the evaluation")
    parser.add_argument("--compiled", action="store_true", help="let the report measure compiled engines too")
    parser.add_argument("--seed", type=int, default=SEED, help="another one gives other prompts and answers")
    parser.add_argument("--begin", type=Path, help="a folder of trained drafters that the training goes on from")
    parser.add_argument("--hard", type=Path, help="hard positions to train on too, as spectui analyze --export writes")
    parser.add_argument("--hard-weight", type=float, default=HARD_WEIGHT, help="what their tokens weigh, others 1")
    parser.add_argument("--smoke", action="store_true", help="the small sizes")
    options = parser.parse_args(arguments)
    try:
        cpu_dtype()
    except ValueError as error:
        parser.error(str(error))
    if options.stage in ("build", "smoke"):
        return _build(options.work, smoke=options.smoke or options.stage == "smoke")
    if (options.stage in OF_A_DRAFTER) != (options.drafter is not None):
        parser.error(f"stage {options.stage} {'needs' if options.stage in OF_A_DRAFTER else 'takes no'} drafter")
    if options.stage == "hard" and options.hard is None:
        parser.error("stage hard needs --hard FILE: spectui analyze TRACE --export FILE writes one")
    if options.hard is not None and not options.hard.is_file():
        parser.error(f"--hard {options.hard}: no such file")
    return _stage(options)


def _build(work: Path, *, smoke: bool) -> int:
    """Every stage in a process of its own: an engine's memory goes with it."""
    data = [(stage,) for stage in ("prompts", "own", "answers", "heldout")]
    training = [(stage, drafter) for drafter in DRAFTERS for stage in OF_A_DRAFTER]
    for words in [*data, *training, *([] if smoke else [("report",)])]:
        command = [sys.executable, "-m", "demos.drafters", *words, "--work", str(work)]
        result = subprocess.run([*command, "--smoke"] if smoke else command, check=False)
        if result.returncode:
            print(f"stage {' '.join(words)} failed; run the same command again to go on", file=sys.stderr)
            return result.returncode
    return 0


def _optimizer(smoke: bool) -> str:
    """Muon's iterations are in bfloat16, which takes five times as long as all the rest where a processor lacks it."""
    return "adam" if smoke or fastest_dtype() == "float32" else "muon"


def _stage(options: argparse.Namespace) -> int:
    os.environ.setdefault("VLLM_LOGGING_LEVEL", "ERROR")
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    apply_or_reexec(gpu=False)
    from demos.drafters import stages
    from demos.drafters.hard import NotHardError
    from spectui.sources.demo_model import ensure_demo_model

    def say(text: str) -> None:
        print(text, flush=True)

    size = SMOKE if options.smoke else DEFAULT
    job = stages.Job(
        ensure_demo_model(lambda _: None),
        Workplace(options.work),
        size,
        minutes=options.minutes,
        say=say,
        k=options.k,
        steps=options.steps,
        rate=options.rate,
        muon=(options.optimizer or _optimizer(options.smoke)) == "muon",
        compiled=options.compiled,
        seed=options.seed,
        begin=options.begin,
        hard=options.hard,
        hard_weight=options.hard_weight,
    )
    stage = getattr(stages, options.stage)
    try:
        done = stage(job, options.drafter) if options.drafter else stage(job)
    except NotHardError as error:
        print(f"--hard: {error}", file=sys.stderr)
        return WRONG_USAGE
    return 0 if done else UNFINISHED


if __name__ == "__main__":
    sys.exit(main())

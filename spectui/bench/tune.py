"""`spectui tune`: the fastest K of each lane at each concurrency, headless."""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from itertools import product
from typing import TYPE_CHECKING

from spectui.bench.harness import environment
from spectui.bench.report import tuning_lines
from spectui.cli import DONE, FAILED, RunError, UsageError
from spectui.commands import MAX_K
from spectui.core.serve_line import serve_line
from spectui.events import KFigure, Prompt, TuneTurn, TuneWhy
from spectui.runtime.threads import apply_or_reexec, has_nvidia_gpu
from spectui.sources.vllm.lane_spec import LaneSpec

if TYPE_CHECKING:
    from spectui.sources.vllm.tuning import Tuning

DEFAULT_KS = 4
"""K goes from 0 to this where neither --k nor the lane says more."""


CHECK_TURNS = 8
"""Turns of the sweep that a search is held against."""


@dataclass(frozen=True, slots=True)
class Check:
    """A search held against a sweep over every K on the same engine, and the cost model against the sweep.

    Attributes:
        best: The sweep's fastest K.
        shortfall: How much slower the search's K was in the sweep, as a share of the fastest.
        tok_s: The sweep's throughput of every K.
        held_out: The cost model's, each from the steps of the other K alone.
    """

    best: int
    shortfall: float
    tok_s: dict[int, float]
    held_out: dict[int, float]


@dataclass(frozen=True, slots=True)
class Found:
    """One search: a lane at one concurrency; ``category`` is empty for all prompts together.

    ``remembered`` says that lanes will begin with the best K.
    """

    lane: str
    spec: str
    requests: int
    why: TuneWhy
    best: int
    turns: int
    spent_s: float
    figures: tuple[KFigure, ...]
    check: Check | None = None
    category: str = ""
    remembered: bool = False


def tune(options: argparse.Namespace) -> int:
    """Measure and print; the exit code."""
    gpu = has_nvidia_gpu()
    apply_or_reexec(gpu=gpu)
    specs = tuned_specs(options)
    found, lines = _search(options, specs, gpu=gpu)
    result = {"environment": environment(), "searches": [asdict(one) for one in found], "serve": lines}
    print(json.dumps(result, indent=2) if options.json else "\n".join(tuning_lines(found, lines)))
    return DONE if found else FAILED


def k_values(text: str) -> tuple[int, ...]:
    """``"0..7"`` or ``"0,2,4"`` as numbers.

    Raises:
        UsageError: It is neither, or a K is not possible.
    """
    first, dots, last = text.partition("..")
    try:
        ks = tuple(range(int(first), int(last) + 1)) if dots else tuple(sorted({int(k) for k in text.split(",")}))
    except ValueError:
        ks = ()
    if not ks or ks[0] < 0 or ks[-1] > MAX_K:
        raise UsageError(f"--k {text} is not possible: it is like 0..7 or 0,2,4, with K from 0 to {MAX_K}")
    return ks


def tuned_specs(options: argparse.Namespace) -> tuple[LaneSpec, ...]:
    """The lanes that can draft, built for the largest K that is tried.

    Raises:
        UsageError: None of them drafts, or a K is beyond a lane's own.
    """
    from spectui.runtime.setup import lane_specs

    specs = lane_specs(options)
    drafting = tuple(spec for spec in specs if spec.k_max)
    if not drafting:
        raise UsageError("there is nothing to tune: name a lane that drafts, as in --lane mtp:k=4")
    if options.k is None:
        return tuple(replace(spec, k_max=max(spec.k_max, DEFAULT_KS), k_start=None) for spec in drafting)
    most = k_values(options.k)[-1]
    if not most:
        raise UsageError("--k 0 leaves nothing to choose: it is like 0..7")
    for spec in drafting:
        if options.lane and re.search(r"[:,]k=", spec.text) and most > spec.k_max:
            raise UsageError(
                f"--k {options.k} is not possible: lane '{spec.text}' goes from 0 to {spec.k_max}; leave its k out"
            )
    return tuple(replace(spec, k_max=most, k_start=None) for spec in drafting)


def _search(options: argparse.Namespace, specs: Sequence[LaneSpec], *, gpu: bool) -> tuple[list[Found], dict[str, str]]:
    from spectui.runtime.setup import host_config
    from spectui.runtime.silence import quiet_output
    from spectui.sources.vllm.compat import without_collections
    from spectui.sources.vllm.lane import WARM_UP_IDS, Lane
    from spectui.sources.vllm.lane_spec import lane_infos
    from spectui.sources.vllm.prompting import fitting_ids
    from spectui.sources.vllm.tuning import PIECE_TOKENS, Tuning

    config = host_config(argparse.Namespace(**{**vars(options), "concurrency": 1}), gpu=gpu)
    found: list[Found] = []
    lines: dict[str, str] = {}
    with quiet_output():
        target = config.find_target(lambda *progress: None)
        for info, spec in zip(lane_infos(specs), specs, strict=True):
            _say(f"loading {info.title}")
            with without_collections():
                lane = Lane(info, spec, target, config.engine_args)
                lane.warm_up(WARM_UP_IDS)
            ks = k_values(options.k) if options.k else tuple(range(spec.k_max + 1))
            groups = prompt_groups(config.prompts, by_category=options.by_category)
            for requests, (category, group) in product(options.concurrency, groups.items()):
                prompts = fitting_ids(lane, group, config.chat, PIECE_TOKENS)
                if not prompts:
                    raise RunError(f"there is nothing to tune {info.title} on: no prompt of the set fits, see the log")
                start = partial(
                    Tuning, lane, ks, prompts, requests=requests, sampling=config.sampling, budget_s=options.budget
                )
                tuning = start()
                why = _run(tuning)
                ended = tuning.end(why)
                one = _found(ended.last, why, spec, category)
                if not category:
                    one = replace(one, remembered=config.remember(spec, ended))
                if options.check and why != "cancelled":
                    _say(f"measuring every K of {info.title} in {CHECK_TURNS} turns")
                    one = replace(one, check=_checked(start(sweep_turns=CHECK_TURNS), one.best))
                found.append(one)
            lane.close()
            best = {one.requests: one.best for one in found if one.lane == info.name and not one.category}
            settings = {
                **spec.target_arguments(config.engine_args.get("hf_overrides")),
                "template_arguments": config.chat.arguments,
            }
            lines[info.name] = serve_line(options.model or target, spec.drafting(target), best, **settings)
    return found, lines


def _run(tuning: Tuning) -> TuneWhy:
    """Search to the end; Ctrl-C ends it with what is known."""
    try:
        while (why := tuning.ended) is None:
            if (turn := tuning.step()) is not None:
                _say(_progress(turn))
    except KeyboardInterrupt:
        return "cancelled"
    return why


def _checked(sweep: Tuning, best: int) -> Check:
    """Measure every K, and hold ``best`` and the cost model against that."""
    _run(sweep)
    figures = {figure.k: figure.tok_s or 0.0 for figure in sweep.end("budget").last.figures}
    fastest = max(figures, key=lambda k: figures[k])
    return Check(fastest, 1 - figures[best] / figures[fastest], figures, sweep.held_out())


def prompt_groups(prompts: Sequence[Prompt], *, by_category: bool) -> dict[str, list[Prompt]]:
    """What is searched on: all prompts under the empty name, then those of each category where that is asked for."""
    groups = {"": list(prompts)}
    for prompt in prompts if by_category else ():
        groups.setdefault(prompt.category, []).append(prompt)
    return groups


def _found(turn: TuneTurn, why: TuneWhy, spec: LaneSpec, category: str) -> Found:
    return Found(
        turn.lane, spec.text, turn.requests, why, turn.best, turn.turn, turn.spent_s, turn.figures, category=category
    )


def _progress(turn: TuneTurn) -> str:
    left = max(0.0, turn.budget_s - turn.spent_s)
    running = ", ".join(map(str, turn.running))
    return (
        f"{turn.lane} at {turn.requests}: turn {turn.turn}, still in the running K = {running}; "
        f"best {turn.best}; at most {left:.0f} s left"
    )


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)

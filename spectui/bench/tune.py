"""`spectui tune`: the fastest K of each lane at each concurrency, headless."""

from __future__ import annotations

import argparse
import logging
import re
from collections.abc import Sequence
from dataclasses import asdict, replace
from functools import partial
from itertools import product
from typing import TYPE_CHECKING, Any

from spectui.bench.harness import environment
from spectui.bench.report import tuning_lines
from spectui.bench.searches import Check, Found, Searches
from spectui.core.comparable import not_comparable
from spectui.errors import DONE, FAILED, INTERRUPTED, RunError, UsageError
from spectui.protocol.events import Prompt, TuneEnded, TuneTurn
from spectui.protocol.limits import MAX_K
from spectui.runtime.output import as_json, tell, visible
from spectui.runtime.quiet import say
from spectui.runtime.threads import apply_or_reexec, has_nvidia_gpu
from spectui.sources.vllm.lane_spec import LaneSpec, lane_infos

if TYPE_CHECKING:
    from spectui.setup.session import EngineSession
    from spectui.sources.vllm.config import HostConfig
    from spectui.sources.vllm.lane import Lane
    from spectui.sources.vllm.loading import MakesLane
    from spectui.sources.vllm.tuning import Tuning

logger = logging.getLogger(__name__)

DEFAULT_KS = 4
"""K ranges from 0 to this unless --k or the lane asks for more."""


CHECK_TURNS = 8
"""The least number of turns of the sweep that checks a search: every category gets the two prompts that an interval
needs."""


def tune(options: argparse.Namespace) -> int:
    """Measure and print; returns the exit code."""
    gpu = has_nvidia_gpu()
    apply_or_reexec(gpu=gpu)
    specs = tuned_specs(options)
    searches = _search(options, specs, gpu=gpu)
    found = [asdict(one) for one in searches.found]
    if options.json:
        result = {"environment": environment(), "searches": found, "serve": searches.serve, "failed": searches.failed}
        print(as_json(result))
    elif found:
        print("\n".join(map(visible, tuning_lines(searches.found, searches.serve))))
    for sentence in searches.failed:
        tell(f"spectui tune: {sentence}")
    if searches.interrupted:
        return INTERRUPTED
    return DONE if found and not searches.failed else FAILED


def k_values(text: str) -> tuple[int, ...]:
    """Parse ``"0..7"`` or ``"0,2,4"``.

    Raises:
        UsageError: The text is neither, or a K is out of range.
    """
    first, dots, last = text.partition("..")
    try:
        ks = tuple(range(int(first), int(last) + 1)) if dots else tuple(sorted({int(k) for k in text.split(",")}))
    except ValueError:
        ks = ()
    if not ks or ks[0] < 0 or ks[-1] > MAX_K:
        raise UsageError(f"--k {text} is not valid: use 0..7 or 0,2,4, with K from 0 to {MAX_K}")
    return ks


def tuned_specs(options: argparse.Namespace) -> tuple[LaneSpec, ...]:
    """Return the lanes that can draft, built for the largest K that will be tried.

    Raises:
        UsageError: No lane drafts, or a K is larger than the user's K for a lane.
    """
    from spectui.setup.config import lane_specs

    specs = lane_specs(options)
    drafting = tuple(spec for spec in specs if spec.k_max)
    if automatic := next((spec for spec in drafting if spec.auto), None):
        raise UsageError(f"lane '{automatic.text}' chooses its K by itself: leave out k=auto to search for its best K")
    if not drafting:
        raise UsageError("nothing to tune: name a lane that drafts, as in --lane mtp:k=4")
    if options.k is None:
        return tuple(replace(spec, k_max=max(spec.k_max, DEFAULT_KS), k_start=None) for spec in drafting)
    most = k_values(options.k)[-1]
    if not most:
        raise UsageError("--k 0 leaves nothing to choose: use a range such as 0..7")
    for spec in drafting:
        if options.lane and re.search(r"[:,]k=", spec.text) and most > spec.k_max:
            raise UsageError(
                f"--k {options.k} is out of range: lane '{spec.text}' goes from 0 to {spec.k_max}; leave out its k="
            )
    return tuple(replace(spec, k_max=most, k_start=None) for spec in drafting)


def _search(options: argparse.Namespace, specs: Sequence[LaneSpec], *, gpu: bool) -> Searches:
    """Search lane after lane. A lane that fails is skipped, and Ctrl-C stops with the results so far."""
    from spectui.setup.config import host_config
    from spectui.setup.session import engine_session

    config = host_config(argparse.Namespace(**{**vars(options), "concurrency": max(options.concurrency)}), gpu=gpu)
    searches = Searches()
    with engine_session(config) as session:
        make = _untapped if options.untapped else None
        plain = _plain_lane(session, make, searches)
        for info, spec in zip(lane_infos(specs), specs, strict=True):
            if searches.interrupted:
                break
            try:
                lane = session.lane(info, spec, make)
                _search_lane(options, config, session, lane, plain, searches)
            except RunError as error:
                searches.failed.append(str(error))
                if plain is not None and plain.running:
                    # It died along with the lane, or is in the middle of a measurement that will not be finished.
                    plain = None
            except KeyboardInterrupt:
                searches.interrupted = True
            # The next lane needs the memory.
            session.close(*(() if plain is None else (plain,)))
    return searches


def _untapped(*words: Any) -> Lane:
    from spectui.sources.vllm.untapped import UntappedLane

    return UntappedLane(*words, every_k=True)


def _plain_lane(session: EngineSession, make: MakesLane | None, into: Searches) -> Lane | None:
    """Load an AR lane to measure beside every search; without one the speed-ups are relative to K = 0."""
    spec = LaneSpec("ar", 0, text="ar")
    try:
        return session.lane(lane_infos([spec])[0], spec, make)
    except RunError as error:
        into.failed.append(str(error))
    except KeyboardInterrupt:
        into.interrupted = True
    return None


def _search_lane(
    options: argparse.Namespace,
    config: HostConfig,
    session: EngineSession,
    lane: Lane,
    plain: Lane | None,
    into: Searches,
) -> None:
    from spectui.sources.vllm.prompting import fitting
    from spectui.sources.vllm.tuning import PIECE_TOKENS, Tuning
    from spectui.sources.vllm.untapped import UntappedLane

    info, spec = lane.info, lane.spec
    if lane.fixed_k:
        raise session.error(f"cannot tune {info.title}: {lane.fixed_k}")
    scheduling = {one.info.name: one.scheduling for one in (lane, plain) if isinstance(one, UntappedLane)}
    ks = k_values(options.k) if options.k else tuple(range(spec.k_max + 1))
    groups = prompt_groups(config.prompts, by_category=options.by_category)
    best: dict[int, int] = {}
    for requests, (category, group) in product(options.concurrency, groups.items()):
        prompts = fitting(lane, group, config.chat, PIECE_TOKENS)
        if not prompts:
            raise session.error(f"cannot tune {info.title}: no prompt of the set fits")
        start = partial(
            Tuning, lane, ks, prompts, requests=requests, sampling=config.sampling, budget_s=options.budget, plain=plain
        )
        ended = session.search(start(), _tell)
        one = _found(ended, spec, category)
        one = replace(one, scheduling=scheduling, not_comparable=_unlike(lane, ended.last.best, plain))
        # Lanes in a race are tapped, and another K may be the best for them.
        if not category and not options.untapped:
            one = replace(one, remembered=config.remember(spec, ended))
        if options.check and one.why != "cancelled":
            turns = max(CHECK_TURNS, -(-2 * len({prompt.category for prompt in prompts}) // requests))
            say(f"measuring every K of {info.title} in {turns} turns")
            one = replace(one, check=_checked(session, start(sweep_turns=turns), one.best))
        into.interrupted = one.why == "cancelled" or (options.check and one.check is None)
        if one.turns:
            into.found.append(one)
            best |= {} if category else {requests: 0 if ended.last.ar_wins else one.best}
        if into.interrupted:
            break
    if not best:
        return
    how = {"scheduling": ""} if options.untapped else {}
    into.serve[info.name] = config.serve_line(spec, options.model or session.target, best, **how)


def _unlike(lane: Lane, k: int, plain: Lane | None) -> str:
    try:
        return "" if plain is None else not_comparable(lane.engine(), k, plain.engine())
    except Exception:
        # The search has its result, even where an engine is built differently from known ones.
        logger.exception("it is not known whether %s can be compared with AR", lane.info.name)
        return ""


def _checked(session: EngineSession, sweep: Tuning, best: int) -> Check | None:
    """Measure every K, and compare ``best`` and the cost model with the result; None if Ctrl-C stopped it."""
    ended = session.search(sweep, _tell)
    if ended.why == "cancelled":
        return None
    figures = {figure.k: figure.tok_s or 0.0 for figure in ended.last.figures}
    fastest = max(figures, key=lambda k: figures[k])
    return Check(fastest, 1 - figures[best] / figures[fastest], figures, sweep.held_out())


def prompt_groups(prompts: Sequence[Prompt], *, by_category: bool) -> dict[str, list[Prompt]]:
    """Group the prompts to search on: all of them under the empty name, then each category if ``by_category``."""
    groups = {"": list(prompts)}
    for prompt in prompts if by_category else ():
        groups.setdefault(prompt.category, []).append(prompt)
    return groups


def _found(ended: TuneEnded, spec: LaneSpec, category: str) -> Found:
    turn = ended.last
    return Found(
        turn.lane,
        spec.text,
        turn.requests,
        ended.why,
        turn.best,
        turn.turn,
        turn.spent_s,
        turn.figures,
        category=category,
        running=turn.running,
        ar_tok_s=turn.ar_tok_s,
        disturbed=turn.disturbed,
    )


def _tell(turn: TuneTurn) -> None:
    left = max(0.0, turn.budget_s - turn.spent_s)
    running = ", ".join(map(str, turn.running))
    say(
        f"{turn.lane} at {turn.requests}: turn {turn.turn}, K still in the running: {running}; "
        f"best {turn.best}; at most {left:.0f} s left"
    )

"""What `spectui doctor --lanes` says about lanes, each thing with its bound, as a table and as JSON. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any, Literal, TypeAlias

from spectui.core.comparable import details, how, not_comparable
from spectui.core.losslessness import NEAR_TIE_MARGIN, Divergence
from spectui.figures import DASH, percent_text
from spectui.protocol.events import LaneEngine
from spectui.runtime.output import visible

Verdict: TypeAlias = Literal["holds", "does not hold", "unknown"]

RATIO = (0.95, 1.05)
"""A lane's time in the race / alone."""

COVERED = 0.93
"""Least share of the wall time that is on lane clocks: the rest is ours, and a drafter takes more than that."""

PARTS = 1.02
"""Most that drafting and verifying may take of a step: they are timed apart from it."""

LEFT, LEFT_NS = 0.02, 50_000
"""Most that a GPU may still have to do after a step, as a share of the step and in nanoseconds; a step of a tiny model
takes so little that the wait itself shows."""

ENOUGH = 0.5
"""Least share of the steps that nothing disturbed, for a verdict on their time."""

FEW_DRAFTS = 24
"""So few drafted tokens may all be wrong by chance."""

_PARTING = f"diverges at margins up to {NEAR_TIE_MARGIN:g} only"
_NOISY = "too noisy for a verdict: measure again on a quiet machine"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that should hold; ``lane`` is a lane's title, or empty for all of them together."""

    what: str
    lane: str
    value: str
    bound: str
    verdict: Verdict
    note: str = ""


@dataclass(frozen=True, slots=True)
class StepTime:
    """One engine step: nanoseconds on the lane clock, those of drafting and verifying if they are known, and whether
    other programs disturbed it."""

    clock_ns: int
    draft_ns: int | None = None
    verify_ns: int | None = None
    disturbed: bool = False


@dataclass(frozen=True, slots=True)
class Pass:
    """Lanes that took one prompt: the wall time of all their steps, that of our own code in them, and each lane's
    steps."""

    wall_ns: int
    own_ns: int
    steps: Mapping[str, Sequence[StepTime]]

    @property
    def covered(self) -> float:
        """The share of the wall time that is on lane clocks."""
        return sum(step.clock_ns for steps in self.steps.values() for step in steps) / self.wall_ns


@dataclass(frozen=True, slots=True)
class Text:
    """A lane's greedy tokens beside AR's: how many were compared, where the two part, and what the engine died of."""

    tokens: int
    divergence: Divergence | None = None
    error: str = ""

    @property
    def right(self) -> bool:
        """Whether the two are equal, or part where the target itself was undecided."""
        return not self.error and (self.divergence is None or self.divergence.near_tie is True)


def loading(lane: str, fault: str = "") -> Finding:
    """Whether a lane loads; ``fault`` is why it does not."""
    return _working("loads", lane, fault)


def running(fault: str) -> Finding:
    """Nothing more could be measured because of ``fault``."""
    return _working("runs to the end", "", fault)


def _working(what: str, lane: str, fault: str) -> Finding:
    return Finding(what, lane, "no" if fault else "yes", "", "does not hold" if fault else "holds", fault)


def computing(engine: LaneEngine, lane: str, k: int, other: LaneEngine | None) -> Finding:
    """Whether a lane computes as AR does, by what is known of the two engines: ``other`` is AR's, None without one."""
    unlike = not_comparable(engine, k, other)
    value = ", ".join(filter(None, (how(engine, k), details(engine), engine.scheduling)))
    return Finding(
        "computes like AR", lane, value or DASH, "no difference", "does not hold" if unlike else "holds", unlike
    )


def graphs(engine: LaneEngine, lane: str, k_max: int) -> Finding | None:
    """Whether a GPU replays the steps at every K as one whole graph; None where there are no graphs."""
    if engine.device == "cpu" or engine.eager or engine.graphs is None:
        return None
    whole = [k for k in range(k_max + 1) if engine.graphs_at(k) == "full"]
    value = f"K = {_listed(whole)}" if whole else "none"
    verdict: Verdict = "holds" if len(whole) == k_max + 1 else "does not hold"
    return Finding("whole CUDA graphs", lane, value, "every K", verdict)


def texts(lane: str, whose: str, found: Mapping[int, Text], changing: Text | None = None) -> Finding:
    """Whether a lane's text is the reference's at every K, and with K ``changing`` between steps.

    Args:
        lane: The lane's title.
        whose: Whose text it should be.
        found: The texts by K.
        changing: The text with a K that changes.
    """
    every = {f"K = {k}": text for k, text in found.items()} | ({} if changing is None else {"K changing": changing})
    told = {name: said for name, text in every.items() if (said := _parting(text))}
    wrong = {name: said for name, said in told.items() if not every[name].right}
    tokens = min((text.tokens for text in every.values() if not text.error), default=0)
    value = f"{tokens} tokens at " + (f"K = {_listed(list(found))}" if any(found) else "K = 0")
    value += " and changing" if changing is not None else ""
    return Finding(
        f"greedy text is {whose}",
        lane,
        value,
        _PARTING,
        "does not hold" if wrong else "holds",
        "; ".join(f"{name}: {said}" for name, said in (wrong or told).items()),
    )


def _parting(text: Text) -> str:
    """Where a text parts from the other, or what the engine died of; empty if neither."""
    if text.error or text.divergence is None:
        return text.error
    margin = DASH if text.divergence.margin is None else f"{text.divergence.margin:.2f}"
    return f"token {text.divergence.position + 1}, margin {margin}"


def _listed(ks: Sequence[int]) -> str:
    return (
        f"{ks[0]} to {ks[-1]}"
        if len(ks) > 1 and list(ks) == list(range(ks[0], ks[-1] + 1))
        else ", ".join(map(str, ks))
    )


def sharing(text: Text | None, why: str = "no memory for another copy of the target") -> Finding:
    """Whether the text of lanes that share the target's weights is that of a lane with a copy of its own.

    Args:
        text: The two beside each other; None if there was no such lane.
        why: Why there was none.
    """
    what, bound = "greedy text is that of unshared weights", _PARTING
    if text is None:
        return Finding(what, "", DASH, bound, "unknown", why)
    return Finding(what, "", f"{text.tokens} tokens", bound, "holds" if text.right else "does not hold", _parting(text))


def accepted(lane: str, drafted: int, kept: int, *, trained: bool) -> Finding:
    """Whether the target accepts anything: a ``trained`` drafter of which it accepts nothing is not the target's."""
    enough = drafted >= FEW_DRAFTS and trained
    verdict: Verdict = "holds" if kept else "does not hold" if enough else "unknown"
    note = "is the drafter made for this target, and for its vocabulary?" if verdict == "does not hold" else ""
    return Finding("drafts are accepted", lane, f"{kept} of {drafted}", "more than none", verdict, note)


Counts: TypeAlias = tuple[int, int, int]
"""Steps with a draft, drafted tokens, accepted tokens."""


def counts(lane: str, requests: int, unlike: Sequence[str], tap: Counts, engine: Counts | None) -> Finding:
    """Whether the tap counts as vLLM does.

    Args:
        lane: The lane's title.
        requests: Finished requests.
        unlike: What differs in each that differs.
        tap: The tap's totals.
        engine: vLLM's; None if it has none.
    """
    value = f"{requests} requests; {tap[0]} drafts, {tap[1]} drafted, {tap[2]} accepted"
    notes = [
        *unlike[:1],
        *([f"vLLM's totals: {engine[0]}, {engine[1]}, {engine[2]}"] if engine not in (None, tap) else []),
    ]
    verdict: Verdict = "does not hold" if notes else "unknown" if engine is None else "holds"
    return Finding("tap counts as vLLM", lane, value, "equal", verdict, "; ".join(notes))


def race_against_alone(lane: str, races: Sequence[Sequence[StepTime]], alone: Sequence[Sequence[StepTime]]) -> Finding:
    """Whether a lane's steps take as long in the race as alone: step by step the median of those undisturbed.

    ``races`` and ``alone`` are passes over the same prompt, taken in turn. If their own ratios reach into the bound,
    the figure beyond it is noise.
    """
    what, bound = "time in the race / alone", f"{RATIO[0]:g} to {RATIO[1]:g}"
    pairs = zip(_undisturbed(races), _undisturbed(alone), strict=False)
    medians = [(median(raced), median(single)) for raced, single in pairs if raced and single]
    each = [
        _ratio([(r.clock_ns, s.clock_ns) for r, s in zip(raced, single, strict=False)])
        for raced, single in zip(races, alone, strict=True)
    ]
    ratio = _ratio(medians) if medians else median(each)
    holds = RATIO[0] <= ratio <= RATIO[1]
    apart = min(each) > RATIO[1] or max(each) < RATIO[0]
    quiet = len(medians) >= ENOUGH * max(map(len, [*races, *alone]))
    value = f"{ratio:.3f} ({min(each):.2f} to {max(each):.2f})"
    return Finding(what, lane, value, bound, *_timed(holds and bool(medians), quiet and apart))


def _ratio(pairs: Sequence[tuple[float, float]]) -> float:
    return sum(first for first, _ in pairs) / sum(second for _, second in pairs)


def _undisturbed(passes: Sequence[Sequence[StepTime]]) -> Iterator[list[int]]:
    """For each step its times in all passes in which nothing disturbed it."""
    for number in range(min(map(len, passes), default=0)):
        yield [steps[number].clock_ns for steps in passes if not steps[number].disturbed]


def _timed(holds: bool, quiet: bool) -> tuple[Verdict, str]:
    """The verdict on times: one that only a busy machine explains is none."""
    if holds:
        return "holds", ""
    return ("does not hold", "") if quiet else ("unknown", _NOISY)


def covered(lane: str, passes: Sequence[Pass]) -> Finding:
    """Whether all time is on lane clocks but for our own code; the best of the passes, as noise only takes away."""
    best = max(passes, key=lambda one: one.covered)
    value = f"{best.covered:.3f} (our own code {percent_text(best.own_ns / best.wall_ns)})"
    what = "lane clock / wall time" if lane else "sum of lane clocks / wall time"
    steps = [step for steps in best.steps.values() for step in steps]
    quiet = sum(not step.disturbed for step in steps) >= ENOUGH * len(steps)
    holds = COVERED <= best.covered <= 1.0
    return Finding(what, lane, value, f"{COVERED:g} to 1", *_timed(holds, quiet))


def parts(lane: str, passes: Sequence[Sequence[StepTime]]) -> Finding:
    """Whether drafting, verifying and the rest add up to a step."""
    steps = [step for one in passes for step in one if step.draft_ns is not None and step.verify_ns is not None]
    what, bound = "draft + verify in a step", f"at most {PARTS:g}"
    if not steps:
        return Finding(what, lane, DASH, bound, "unknown", "the parts of a step are not timed here")
    whole, drafting, verifying = (
        sum(times) for times in zip(*((s.clock_ns, s.draft_ns or 0, s.verify_ns or 0) for s in steps), strict=True)
    )
    share = (drafting + verifying) / whole
    value = f"{share:.3f} (draft {percent_text(drafting / whole)}, verify {percent_text(verifying / whole)})"
    return Finding(what, lane, value, bound, "holds" if share <= PARTS else "does not hold")


def left_over(lane: str, steps: Sequence[tuple[int, int]]) -> Finding:
    """Whether the GPU is done when a step ends; ``steps`` are the nanoseconds of its work after each, and of each."""
    share, left_ns = median(left / step for left, step in steps), median(left for left, _ in steps)
    verdict: Verdict = "holds" if share <= LEFT or left_ns <= LEFT_NS else "does not hold"
    bound = f"{percent_text(LEFT)} or {LEFT_NS // 1000} µs"
    return Finding("GPU work left after a step", lane, percent_text(max(share, 0.0)), bound, verdict)


_SIGNS: dict[Verdict, str] = {"holds": "✓ holds", "does not hold": "✗ does not hold", "unknown": "? unknown"}


def table(header: Mapping[str, str], findings: Sequence[Finding]) -> list[str]:
    """Format what was found, for people and for bug reports."""
    width = max(map(len, header), default=0) + 2
    rows = [("verdict", "lane", "what", "value", "bound")]
    rows += [(_SIGNS[f.verdict], f.lane or "all", f.what, f.value, f.bound) for f in findings]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(cell.ljust(size) for cell, size in zip(row, widths, strict=True)).rstrip() for row in rows]
    notes = ["", *(" " * (widths[0] + 2) + f.note if f.note else "" for f in findings)]
    body = [line for pair in zip(lines, notes, strict=True) for line in pair if line]
    return [
        visible(line)
        for line in [*(f"{name:<{width}}{text}" for name, text in header.items()), "", *body, "", _sum(findings)]
    ]


def _sum(findings: Sequence[Finding]) -> str:
    number = {verdict: sum(one.verdict == verdict for one in findings) for verdict in _SIGNS}
    wrong, unknown = number["does not hold"], number["unknown"]
    said = f"{number['holds']} hold, {wrong} {'does' if wrong == 1 else 'do'} not"
    return said + (f", {unknown} unknown" if unknown else "")


def document(header: Mapping[str, Any], findings: Sequence[Finding]) -> dict[str, Any]:
    """What was found, for machines."""
    return {**header, "findings": [asdict(finding) for finding in findings]}

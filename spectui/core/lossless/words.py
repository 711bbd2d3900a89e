"""What the losslessness checks found, as lines for a terminal and as tables in Markdown."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from spectui.core.lossless.distribution import DistributionCheck, LaneDistribution
from spectui.core.lossless.greedy import GreedyLane, Losslessness, Parting
from spectui.core.lossless.significance import FAULT, SOUGHT_POWER

MOST_NAMED = 3
"""Real disagreements of a lane that are told one by one."""

UNKNOWN = "—"


def greedy_lines(check: Losslessness) -> list[str]:
    """The greedy check for a terminal, each real disagreement with its prompt."""
    lines = []
    for lane in check.lanes:
        lines.append(_greedy_line(lane, check.threshold))
        real = lane.real(check.threshold)
        lines += [f"  {disagreement(lane, one)}" for one in real[:MOST_NAMED]]
        if len(real) > MOST_NAMED:
            lines.append(f"  and {len(real) - MOST_NAMED} more")
    if not check.judged:
        lines.append(
            "AR differs from itself where the target is sure, so no lane can be judged: the engine is at fault"
        )
    if check.left_out:
        lines.append(f"{_count(check.left_out, 'prompt')} left out: too long for the model's context, or refused by it")
    return lines


def _greedy_line(lane: GreedyLane, threshold: float) -> str:
    whose = "its own" if lane.control else "AR's"
    name = f"{lane.title} again" if lane.control else lane.title
    said = f"{name}: {lane.identical} of {_count(lane.prompts, 'answer')} identical to {whose}"
    parts = []
    if ties := lane.near_ties(threshold):
        parts.append(f"{_count(len(ties), 'near tie')}, at most {max(one.behind or 0 for one in ties):.2f} nats behind")
    if real := lane.real(threshold):
        parts.append(_count(len(real), "real disagreement"))
    if lane.unfinished:
        parts.append(f"{lane.unfinished} not finished")
    if unknown := lane.unknown(threshold):
        parts.append(f"{len(unknown)} where the target could not be asked")
    if lane.earliest is not None and lane.median is not None:
        parts.append(f"first difference at token {lane.earliest + 1}, median {lane.median + 1:g}")
    return "; ".join([said, *parts])


def disagreement(lane: GreedyLane, one: Parting) -> str:
    """A real disagreement as a sentence that names the prompt and the place."""
    prompt = f"{one.category} prompt {one.prompt + 1}" if one.category else f"prompt {one.prompt + 1}"
    # A control is compared with its own first answer.
    other = "its first answer" if lane.control else "AR"
    where = f'{lane.title}, {prompt} ("{one.words}"), token {one.position + 1}'
    if one.how == "early":
        return f"{where}: its answer ends, {other} goes on with {one.reference!r}"
    if one.how == "late":
        return f"{where}: {other} has ended, it goes on with {one.own!r}"
    sure = "" if one.behind is None else f", {one.behind:.2f} nats behind the target's likeliest token"
    return f"{where}: it says {one.own!r}, {other} {one.reference!r}{sure}"


def greedy_table(check: Losslessness) -> str:
    """The greedy check as a table in Markdown."""
    rows = [
        (
            f"{lane.title} again" if lane.control else lane.title,
            str(lane.prompts),
            f"{lane.identical} ({lane.unfinished} not finished)" if lane.unfinished else str(lane.identical),
            UNKNOWN if lane.earliest is None else f"token {lane.earliest + 1} (median {(lane.median or 0) + 1:g})",
            _ties(lane, check.threshold),
            str(len(lane.real(check.threshold))),
        )
        for lane in check.lanes
    ]
    return _table(("lane", "prompts", "identical", "first difference", "near ties", "real disagreements"), rows)


def _ties(lane: GreedyLane, threshold: float) -> str:
    ties = lane.near_ties(threshold)
    most = max((one.behind or 0.0 for one in ties), default=0.0)
    said = f"{len(ties)} (at most {most:.2f} nats)" if ties else "0"
    unknown = len(lane.unknown(threshold))
    return f"{said}, {unknown} unknown" if unknown else said


def distribution_lines(check: DistributionCheck) -> list[str]:
    """The distribution test for a terminal."""
    lines = [line for lane in check.lanes for line in _distribution_lines(check, lane)]
    if not check.judged:
        lines.append("not decided: AR itself is apart from its probabilities, as rounding makes it")
    return lines


VERDICTS = {"passes": "no difference found", "fails": "not the target's distribution", "undecided": "not decided"}


def _distribution_lines(check: DistributionCheck, lane: LaneDistribution) -> Iterator[str]:
    verdict = VERDICTS[check.verdict(lane)]
    why = f" ({lane.why})" if lane.why else ""
    yield f"{lane.title}: {verdict}, {lane.samples:,} samples at temperature {check.temperature:g}{why}"
    if (tokens := lane.tokens) is not None:
        outside = f", {tokens.outside} outside top-k or top-p" if tokens.outside else ""
        yield (
            f"  tokens: chi-square {tokens.statistic:.0f} with {tokens.freedom} degrees of freedom over "
            f"{_count(tokens.strata, 'context')}, p = {_p(tokens.p)}{outside}"
        )
    if (drafts := lane.drafts) is not None:
        what = "likeliest tokens sampled" if lane.control else "drafts accepted"
        yield (
            f"  {what}: {drafts.accepted:,} of {drafts.drafts:,}, expected {drafts.expected:,.0f} "
            f"(z = {drafts.z:+.1f}), p = {_p(drafts.p)}"
        )
        if not lane.control:
            yield f"  {power(lane)}"


def power(lane: LaneDistribution) -> str:
    """How likely the test of drafts finds the fault that it is made for, as a sentence."""
    drafts = lane.drafts
    if drafts is None:
        return "the power is unknown"
    fault = f"drafts accepted {100 * FAULT:g} percentage points too often"
    said = f"{fault} would be found in {100 * drafts.power:.0f} % of such runs"
    if drafts.power >= SOUGHT_POWER:
        return said
    if drafts.needed is None:
        return f"{said}; rounding hides them from any number of samples"
    return f"{said}; {100 * SOUGHT_POWER:g} % need {drafts.needed * lane.samples:,.0f} samples"


def distribution_table(check: DistributionCheck) -> str:
    """The distribution test as a table in Markdown."""
    rows = []
    for lane in check.lanes:
        tokens, drafts = lane.tokens, lane.drafts
        rows.append(
            (
                lane.title,
                f"{lane.samples:,}",
                UNKNOWN if tokens is None else f"{tokens.statistic:.0f} / {tokens.freedom}",
                UNKNOWN if tokens is None else _p(tokens.p),
                UNKNOWN if drafts is None else f"{drafts.accepted:,} / {drafts.expected:,.0f} of {drafts.drafts:,}",
                UNKNOWN if drafts is None else _p(drafts.p),
                UNKNOWN if drafts is None or lane.control else f"{100 * drafts.power:.0f} %",
                VERDICTS[check.verdict(lane)],
            )
        )
    heads = ("lane", "samples", "chi-square / df", "p", "accepted / expected", "p", "power", "verdict")
    return _table(heads, rows)


def _table(heads: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    lines = [heads, tuple("---" for _ in heads), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def _count(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count:,} {what}s"


def _p(p: float) -> str:
    return f"{p:.2f}" if p >= 0.01 else f"{p:.1g}"

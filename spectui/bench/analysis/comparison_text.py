"""What changed between two traces as lines for a terminal: the changes first, then the figures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from spectui.bench.analysis.columns import Line, Row, fitted, paragraph, table
from spectui.core.comparison.change import LEAST_CONVERSATIONS
from spectui.core.comparison.gate import Gate
from spectui.core.comparison.measures import FIGURES
from spectui.core.comparison.results import By, Change, Comparison, LanePair
from spectui.figures import DASH, ratio_text, share_text, three_digits
from spectui.runtime.output import visible

WIDTH = 80
NAMED = 5
"""Changes that are said in words; the others are marked in the tables."""

_FIRST = frozenset({"acceptance_length", "speedup", "step_ms"})
"""Figures that say most of a lane."""

_HEAD = ("A", "B", "change", "95 %", "")
_LEAST = (6, 6, 8, 18, 1)
"""Widths of the figures, so that the tables of all lanes are aligned."""

_SECTIONS: tuple[tuple[By, str, str], ...] = (
    ("category", "acceptance_length", "Acceptance length by category"),
    ("category", "speedup", "Speed-up by category"),
    ("category", "step_ms", "Step ms by category"),
    ("kind", "conditional_acceptance", "Acceptance by kind of token"),
    ("position", "conditional_acceptance", "Acceptance by position"),
)


def comparison_lines(found: Comparison, a: str, b: str) -> list[Line]:
    """What was found, from trace ``a`` to trace ``b``."""
    count = len(found.changed)
    lines = paragraph(_heading(found), WIDTH, style="heading")
    for lane, change in sorted(found.changed, key=_urgency)[:NAMED]:
        lines += paragraph(f"{lane.name}: {_sentence(change)}", WIDTH, first="- ", rest="  ")
    if count > NAMED:
        lines += paragraph(f"{count - NAMED} more, marked with * below", WIDTH, first="- ", rest="  ")
    for note in found.notes if found.comparisons else ():  # where there are none, the heading says the same
        lines += paragraph(note, WIDTH)
    lines.append(Line())
    lines += paragraph(f"A: {a}", WIDTH, rest="   ")
    lines += paragraph(f"B: {b}", WIDTH, rest="   ")
    if found.conditions:
        lines += [Line(), *paragraph("Other differences, which may be the cause:", WIDTH)]
        for one in found.conditions:
            lines += paragraph(f"{one.what}: {one.a} in A, {one.b} in B", WIDTH, first="- ", rest="  ")
    for lane in found.lanes:
        lines += [Line(), *_lane(lane)]
    lines += [Line(), *paragraph(_method(found), WIDTH, style="faint")]
    return lines


def _heading(found: Comparison) -> str:
    """The result in a line: without a test, "no changes" would read as "the same"."""
    if found.comparisons:
        count = len(found.changed)
        return f"From A to B: {count or 'no'} change{'s' * (count != 1)} beyond noise"
    prompts = max((lane.conversations for lane in found.lanes), default=0)
    if prompts < LEAST_CONVERSATIONS:
        said = f"{prompts} different prompt{'s' * (prompts != 1)}"
        return f"Nothing could be tested: {said}, {LEAST_CONVERSATIONS:.0f} or more are needed"
    if any(lane.changes for lane in found.lanes):
        return "Nothing could be tested: too few steps in both traces"
    return "Nothing could be tested: no figure is in both traces"


def _urgency(one: tuple[LanePair, Change]) -> tuple[bool, float]:
    """What says most comes first, then what is most certain."""
    _, change = one
    return not (change.by == "all" and change.figure in _FIRST), 1.0 if change.p is None else change.p


def gate_lines(gate: Gate) -> list[Line]:
    """What ``--fail-under`` found, a line for each lane."""
    lines = []
    for one in gate.lanes:
        said = f"{one.lane}: {FIGURES[gate.figure]} of B is {one.ratio:.3f} of A's"
        reach = f" (95 %: {one.low:.3f} to {one.high:.3f})"
        verdict = f"FAILED, below {gate.limit:g} and lower than A's beyond noise" if one.failed else "passed"
        lines += paragraph(f"{said}{reach}: {verdict}", WIDTH, rest="  ", style="weak" if one.failed else "strong")
    return lines


def _lane(lane: LanePair) -> Iterator[Line]:
    name = lane.name if lane.title.casefold() == lane.a.casefold() else f"{lane.name} ({lane.title})"
    said = f"{name}, K {lane.k}" if lane.k else name
    yield from (Line(fitted(visible(said), WIDTH), "heading"),)
    answers = f"{lane.answers:,} answer{'s' * (lane.answers != 1)} in both"
    if lane.answers:
        alike = "all" if lane.same == lane.answers else f"{lane.same:,}"
        answers += f", {alike} with the same tokens, of {lane.conversations:,} conversation"
        answers += "s" * (lane.conversations != 1)
    yield from paragraph(answers, WIDTH, style="faint")
    for sentence in lane.left_out:
        yield from paragraph(sentence, WIDTH, rest="  ", style="faint")
    if lane.changes:
        yield from table(list(_rows(lane.changes)), WIDTH, _LEAST)


def _rows(changes: Sequence[Change]) -> Iterator[Row]:
    yield Row("", _HEAD, style="heading")
    for change in changes:
        if change.by == "all":
            yield _row(FIGURES[change.figure], change)
    for by, figure, title in _SECTIONS:
        own = [change for change in changes if (change.by, change.figure) == (by, figure)]
        if own:
            yield Row(title, ("",) * len(_HEAD), style="heading")
        for change in own:
            yield _row(change.name, change, lead="  ")


def _row(name: str, change: Change, lead: str = "") -> Row:
    cells = (_figure(change, change.a), _figure(change, change.b), _amount(change, change.change), _interval(change))
    return Row(name, (*cells, "*" if change.changed else ""), lead=lead)


def _sentence(change: Change) -> str:
    """``acceptance of numbers .62 in A, .51 in B (-0.110)``."""
    figure = FIGURES[change.figure]
    match change.by:
        case "category":
            figure += f" in {change.name}"
        case "kind":
            figure = f"acceptance of {change.name}"
        case "position":
            figure += f" at position {change.name}"
    shown = [_figure(change, value) for value in (change.a, change.b)]
    return f"{figure} {shown[0]} in A, {shown[1]} in B ({_amount(change, change.change)})"


def _figure(change: Change, value: float) -> str:
    match change.figure:
        case "speedup":
            return ratio_text(value)
        case "acceptance_rate" | "conditional_acceptance":
            return share_text(value)
        case "acceptance_length":
            return f"{value:.2f}"
    return three_digits(value)


def _amount(change: Change, value: float) -> str:
    return f"{(value - 1) * 100:+.1f} %" if change.relative else f"{value:+.3f}"


def _interval(change: Change) -> str:
    if change.low is None or change.high is None:
        return DASH
    low, high = _amount(change, change.low), _amount(change, change.high)
    return f"{low.removesuffix(' %')} to {high}"


def _method(found: Comparison) -> str:
    conditional = (
        "Acceptance by kind and position is conditional: of the drafted tokens before which all were accepted."
    )
    if not found.comparisons:
        return conditional
    return (
        f"{found.comparisons} figures were compared over the answers to the same prompts. * marks a change beyond "
        f"noise among all of them (Holm's test at {found.level * 100:g} % for the whole comparison); the intervals "
        f"are the 95 % ones of each figure alone. {conditional} Differences from one start of the program to the next "
        "are not part of this noise: to see them, record A twice and compare."
    )

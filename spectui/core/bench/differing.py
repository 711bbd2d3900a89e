"""What changed between two benchmarks beyond noise.

Cells are aligned by variant, requests in flight, category and context. A change is the mean over repetitions: of the
logarithm of the ratio for rates and times, of the difference for acceptance. Where both benchmarks took the same
prompts, repetitions are compared pair by pair, so that the difference between prompts drops out; else mean with mean.
The repetitions say how noisy that is (`spectui.core.bench.student`), and for acceptance the counted steps say how noisy
it is at least. All categories together are the mean of the categories that both have.

Every figure of every cell is one more chance of a false alarm, so a change counts only if it does among all of them:
`holm`, at `LEVEL` for the whole comparison. The
intervals are the usual 95 % ones of each figure alone.

What is common to all repetitions of one benchmark, such as a processor that runs slower that day, is no noise in this
sense: it is a change. Speed-ups, which are ratios to AR in the same benchmark, are free of it.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from spectui.core.bench.changed_conditions import Condition, changed_conditions, same_prompts
from spectui.core.bench.differing_figures import METRICS, Metric, Own
from spectui.core.bench.holm import holm
from spectui.core.bench.results import Results
from spectui.core.bench.student import Usual, reach, two_sided, usual

LEVEL = 0.01
"""The probability of any false alarm in a whole comparison, if all that is assumed of its noise were true. Simulated
benchmarks, with blocks that are noisier than others, have a few times as many, and never more than 5 %."""


@dataclass(frozen=True, slots=True)
class Change:
    """One figure of a cell in both benchmarks.

    Attributes:
        metric: The figure's name in `CellFigures`.
        variant: The variant's name.
        concurrency: Requests in flight.
        category: The category; None for all that both have.
        context: Tokens that prompts are padded to; None for prompts as they are.
        a: The figure in the first benchmark.
        b: The figure in the second one.
        relative: Whether the change is the ratio b / a, rather than the difference b - a.
        change: The mean change over the repetitions.
        low: The lower end of its 95 % interval; None if there are too few repetitions.
        high: The upper end.
        p: The probability of such a change by chance, adjusted for all comparisons (Holm); None like the interval.
        changed: Whether it is beyond noise.
    """

    metric: str
    variant: str
    concurrency: int
    category: str | None
    context: int | None
    a: float | None
    b: float | None
    relative: bool
    change: float
    low: float | None = None
    high: float | None = None
    p: float | None = None
    changed: bool = False


@dataclass(frozen=True, slots=True)
class Diff:
    """Two benchmarks compared.

    Attributes:
        conditions: What differs between them beside what was measured.
        changes: Every figure that both have, all categories together first.
        only_a: Cells that only the first one has, a sentence for each variant, concurrency and context.
        only_b: Cells that only the second one has.
        cells: Cells that both have, those of all categories together not counted.
        comparisons: Figures that were tested for a change.
        paired: Whether repetitions were compared pair by pair.
        notes: What else a reader should know.
        level: The probability of any false alarm.
    """

    conditions: tuple[Condition, ...]
    changes: tuple[Change, ...]
    only_a: tuple[str, ...]
    only_b: tuple[str, ...]
    cells: int
    comparisons: int
    paired: bool
    notes: tuple[str, ...] = ()
    level: float = LEVEL

    @property
    def changed(self) -> tuple[Change, ...]:
        """The changes beyond noise."""
        return tuple(change for change in self.changes if change.changed)


_Row = tuple[str, int, int | None]
"""A variant at a concurrency and a context."""

_Place = tuple[_Row, str | None]
"""A category of a row."""

_Pair = tuple[Own, Own]
"""A cell of the first benchmark, and the same one of the second."""


@dataclass(frozen=True, slots=True)
class _Effect:
    """The change of one figure in one cell.

    Attributes:
        mean: The mean over repetitions.
        variance: The variance of one repetition.
        freedom: Its degrees of freedom; 0 if it is not known.
        share: What it is multiplied by to give that of the mean.
        least: The least that this can be.
    """

    mean: float
    variance: float
    freedom: int
    share: float
    least: float

    def variance_of_mean(self, common: Usual) -> float:
        """The variance of the mean, by what is usual in all cells."""
        return max(common.steadied(self.variance, self.freedom) * self.share, self.least)


def diff(a: Results, b: Results) -> Diff:
    """Compare two benchmarks."""
    ours, theirs = _owned(a), _owned(b)
    rows: dict[_Row, list[_Pair]] = {}
    for (row, _), own in ours.items():
        if (other := theirs.get((row, own.cell.category))) is not None:
            rows.setdefault(row, []).append((own, other))
    paired = same_prompts(a, b)
    effects = {metric.name: _effects(metric, rows, paired) for metric in METRICS}

    def changes(row: _Row, pairs: Sequence[_Pair], category: str | None, least: int) -> Iterator[Change]:
        for metric in METRICS:
            own, common = effects[metric.name]
            known = [pair for pair in pairs if (row, pair[0].cell.category) in own]
            if len(known) >= least:
                yield _change(metric, row, category, known, [own[row, pair[0].cell.category] for pair in known], common)

    pooled = [change for row, pairs in rows.items() for change in changes(row, pairs, None, 2)]
    single = [
        change
        for row, pairs in rows.items()
        for pair in pairs
        for change in changes(row, [pair], pair[0].cell.category, 1)
    ]
    judged = _judged([*pooled, *single])
    return Diff(
        conditions=changed_conditions(a, b),
        changes=judged,
        only_a=_only(ours, theirs),
        only_b=_only(theirs, ours),
        cells=sum(map(len, rows.values())),
        comparisons=sum(change.p is not None for change in judged),
        paired=paired,
        notes=tuple(_notes(a, b, judged)),
    )


def _owned(results: Results) -> dict[_Place, Own]:
    """Every cell by its place, with AR's on the same block."""
    cells = {((cell.variant.name, cell.concurrency, cell.context), cell.category): cell for cell in results.cells}
    reference = results.matrix.reference
    owned: dict[_Place, Own] = {}
    for place, cell in cells.items():
        plain = None
        if reference is not None and not cell.variant.plain:
            plain = cells.get(((reference.name, cell.concurrency, cell.context), cell.category))
        owned[place] = Own(cell, plain)
    return owned


def _only(cells: Mapping[_Place, Own], others: Mapping[_Place, Own]) -> tuple[str, ...]:
    """The cells that the others lack, by row: ``mtp K=2, 4 in flight: coding, math``."""
    rows: dict[_Row, list[str]] = {}
    for (row, category), _ in cells.items():
        if (row, category) not in others:
            rows.setdefault(row, []).append(category or "")
    return tuple(
        f"{variant}, {concurrency} in flight"
        + (f", context {context}" if context else "")
        + f": {', '.join(categories)}"
        for (variant, concurrency, context), categories in rows.items()
    )


def _effects(metric: Metric, rows: Mapping[_Row, Sequence[_Pair]], paired: bool) -> tuple[dict[_Place, _Effect], Usual]:
    """The change of a figure in every cell that has it, and how noisy it usually is."""
    found = {
        (row, one.cell.category): effect
        for row, pairs in rows.items()
        for one, other in pairs
        if (effect := _effect(metric, one, other, paired)) is not None
    }
    return found, usual([(effect.variance, effect.freedom) for effect in found.values() if effect.freedom])


def _effect(metric: Metric, ours: Own, theirs: Own, paired: bool) -> _Effect | None:
    """The change of a figure in a cell; None if either benchmark does not have it."""
    one, other = metric.values(ours), metric.values(theirs)
    least = metric.least_variance(ours) + metric.least_variance(theirs)
    if paired:
        groups = [[y - x for x, y in zip(one, other, strict=False) if x is not None and y is not None]]
    else:
        groups = [[-x for x in one if x is not None], [y for y in other if y is not None]]
    if not all(groups):
        return None
    means = [statistics.fmean(group) for group in groups]
    squares = sum((value - mean) ** 2 for group, mean in zip(groups, means, strict=True) for value in group)
    freedom = sum(len(group) - 1 for group in groups)
    share = sum(1 / len(group) for group in groups)
    return _Effect(sum(means), squares / freedom if freedom else 0.0, freedom, share, least)


def _change(
    metric: Metric,
    row: _Row,
    category: str | None,
    pairs: Sequence[_Pair],
    effects: Sequence[_Effect],
    common: Usual,
) -> Change:
    """The change of a figure in one cell, or on average in several."""
    a, b = (metric.total([pair[place] for pair in pairs]) for place in (0, 1))
    mean = statistics.fmean(effect.mean for effect in effects)
    said: Callable[[float], float] = math.exp if metric.relative else float
    change = Change(metric.name, row[0], row[1], category, row[2], a, b, metric.relative, said(mean))
    if not all(effect.freedom for effect in effects):
        return change
    freedom = common.worth(sum(effect.freedom for effect in effects))
    error = math.sqrt(sum(effect.variance_of_mean(common) for effect in effects)) / len(effects)
    if not error:
        return replace(change, low=said(mean), high=said(mean), p=0.0 if mean else 1.0)
    apart = reach(freedom) * error
    return replace(change, low=said(mean - apart), high=said(mean + apart), p=two_sided(mean / error, freedom))


def _judged(changes: Sequence[Change]) -> tuple[Change, ...]:
    """Adjust every p for all the others, and say which changes are beyond noise."""
    adjusted = holm([change.p for change in changes])
    return tuple(
        change if p is None else replace(change, p=p, changed=p <= LEVEL)
        for change, p in zip(changes, adjusted, strict=True)
    )


def _notes(a: Results, b: Results, changes: Sequence[Change]) -> Iterator[str]:
    for name, results in (("A", a), ("B", b)):
        if not results.complete:
            yield f"{name} is not complete: some of its cells were not finished"
        disturbed = sum(cell.figures.disturbed for cell in results.cells)
        if disturbed:
            every = sum(cell.figures.repetitions for cell in results.cells)
            yield f"{disturbed} of {every} measurements in {name} were disturbed by other programs"
        if not any(cell.figures.by_repetition for cell in results.cells):
            yield f"{name} has no figures per repetition, so its noise is unknown"
    plain = {reference.name for one in (a, b) if (reference := one.matrix.reference) is not None}
    if any(change.changed and change.variant in plain and change.metric == "output_throughput" for change in changes):
        yield ("AR changed too, and it drafts nothing: the machine or engine changed. Judge drafting by the speed-ups.")

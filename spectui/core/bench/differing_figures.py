"""The figures in which two benchmarks are compared: of every repetition, and of cells together."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from spectui.core.bench.figures import CellFigures
from spectui.core.bench.results import Cell


@dataclass(frozen=True, slots=True)
class Own:
    """A cell, and AR's on the same block; None where there is none, or it is AR's itself."""

    cell: Cell
    plain: Cell | None

    @property
    def figures(self) -> CellFigures:
        return self.cell.figures


Values = list[float | None]
"""A figure of every repetition, as it is compared: its logarithm where changes are ratios."""


@dataclass(frozen=True, slots=True)
class Metric:
    """A figure.

    Attributes:
        name: Its name in `CellFigures`.
        relative: Whether changes are ratios, rather than differences.
        values: Returns those of the repetitions.
        total: Returns that of several cells together.
        least_variance: Returns the least variance that the mean of the repetitions has, because of what was counted.
    """

    name: str
    relative: bool
    values: Callable[[Own], Values]
    total: Callable[[Sequence[Own]], float | None]
    least_variance: Callable[[Own], float] = lambda own: 0.0


def _logs(name: str) -> Callable[[Own], Values]:
    return lambda own: [_log(getattr(one, name)) for one in own.figures.by_repetition]


def _log(value: float | None) -> float | None:
    return math.log(value) if value else None


def _plain_values(name: str) -> Callable[[Own], Values]:
    return lambda own: [getattr(one, name) for one in own.figures.by_repetition]


def _log_speedups(own: Own) -> Values:
    if own.plain is None:
        return []
    pairs = zip(own.figures.by_repetition, own.plain.figures.by_repetition, strict=False)
    logs = [(_log(one.output_throughput), _log(plain.output_throughput)) for one, plain in pairs]
    return [None if one is None or plain is None else one - plain for one, plain in logs]


def _throughput(cells: Sequence[Own]) -> float | None:
    seconds = sum(own.figures.duration for own in cells)
    return sum(own.figures.total_output_tokens for own in cells) / seconds if seconds else None


def _speedup(cells: Sequence[Own]) -> float | None:
    logs = [value for own in cells for value in _log_speedups(own) if value is not None]
    return math.exp(statistics.fmean(logs)) if logs else None


def _length(cells: Sequence[Own]) -> float | None:
    drafts, _, accepted = _counts(cells)
    return 1 + accepted / drafts if drafts else None


def _rate(cells: Sequence[Own]) -> float | None:
    _, drafted, accepted = _counts(cells)
    return accepted / drafted if drafted else None


def _counts(cells: Iterable[Own]) -> tuple[int, int, int]:
    every = [own.figures for own in cells]
    return (
        sum(one.spec_decode_num_drafts for one in every),
        sum(one.spec_decode_draft_tokens for one in every),
        sum(one.spec_decode_accepted_tokens for one in every),
    )


def _length_variance(own: Own) -> float:
    """That of the mean of as many steps as were counted, each on its own: a longer run of luck varies more."""
    histogram = own.figures.accepted_histogram
    steps = sum(histogram)
    if not steps:
        return 0.0
    mean = sum(accepted * count for accepted, count in enumerate(histogram)) / steps
    return sum((accepted - mean) ** 2 * count for accepted, count in enumerate(histogram)) / steps**2


def _rate_variance(own: Own) -> float:
    """The same, divided by the tokens that a step drafts."""
    drafts, drafted, _ = _counts([own])
    return _length_variance(own) * (drafts / drafted) ** 2 if drafted else 0.0


def _step(name: str) -> Callable[[Sequence[Own]], float | None]:
    def total(cells: Sequence[Own]) -> float | None:
        parts = [(getattr(own.figures, name), own.figures.engine_steps) for own in cells]
        steps = sum(count for _, count in parts)
        if not steps or any(part is None for part, _ in parts):
            return None
        return float(sum(part * count for part, count in parts) / steps)

    return total


METRICS = (
    Metric("output_throughput", True, _logs("output_throughput"), _throughput),
    Metric("speedup", True, _log_speedups, _speedup),
    Metric(
        "spec_decode_acceptance_length",
        False,
        _plain_values("spec_decode_acceptance_length"),
        _length,
        _length_variance,
    ),
    Metric("draft_acceptance_rate", False, _plain_values("draft_acceptance_rate"), _rate, _rate_variance),
    *(Metric(name, True, _logs(name), _step(name)) for name in ("step_ms", "draft_ms", "verify_ms", "rest_ms")),
)
"""All of them, in the order in which they are listed."""

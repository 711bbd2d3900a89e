"""The losslessness checks of a benchmark: each lane's result is in the journal as soon as it is known."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from spectui.bench.lossless import check_greedy
from spectui.bench.lossless_sampling import check_distribution
from spectui.bench.matrix.asking import Sets
from spectui.bench.matrix.journal import Journal
from spectui.bench.reports.document import listed
from spectui.core.lossless.distribution import DistributionCheck, LaneDistribution
from spectui.core.lossless.greedy import GreedyLane, Losslessness
from spectui.core.lossless.words import distribution_lines, distribution_table, greedy_lines, greedy_table
from spectui.runtime.output import visible
from spectui.runtime.quiet import say

if TYPE_CHECKING:
    from spectui.setup.session import EngineSession
    from spectui.sources.vllm.config import Chat
    from spectui.sources.vllm.lane import Lane

GREEDY, DISTRIBUTION = "greedy", "distribution"
"""Kinds of checks in a journal: each has an entry for every lane, and one without a lane once it is finished."""

_TOLD_EVERY = 0.25


def check_outputs(
    options: argparse.Namespace,
    session: EngineSession,
    lanes: Sequence[Lane],
    sets: Sets,
    chat: Chat,
    journal: Journal,
) -> None:
    """Compare greedy answers to all prompts with AR's; with a temperature above 0, test sampled ones as well.

    Lanes are checked at the largest K that was measured. What the journal has is not done again.

    Raises:
        UsageError: There is no AR lane.
        RunError: An engine died.
    """
    matrix = journal.matrix
    for lane in lanes:
        k = max((variant.k for variant in matrix.variants if variant.lane == lane.info.name), default=0)
        if lane.info.k_max and lane.k != k:
            lane.k = k
    asked = list({id(one.prompt): one.prompt for one in (one for own in sets.values() for one in own)}.values())
    concurrency = max(block.concurrency for block in matrix.blocks)
    if not _finished(journal, GREEDY):
        say(f"losslessness: the greedy answers of {len(lanes)} lanes to {len(asked)} prompts, compared with AR's")
        greedy = check_greedy(
            session,
            lanes,
            asked,
            chat,
            tokens=matrix.sampling.max_tokens,
            concurrency=concurrency,
            progress=_Told("answers"),
            done={name: GreedyLane.from_dict(one) for name, one in journal.checks.get(GREEDY, {}).items()},
            finished=lambda lane: journal.add_check(GREEDY, lane.lane, asdict(lane)),
        )
        journal.add_check(GREEDY, "", asdict(replace(greedy, lanes=tuple(map(_without_ids, greedy.lanes)))))
    if matrix.sampling.temperature > 0 and not _finished(journal, DISTRIBUTION):
        say(f"losslessness: {options.samples:,} samples of every lane against the target's probabilities")
        sampled = check_distribution(
            session,
            lanes,
            asked,
            chat,
            matrix.sampling,
            samples=options.samples,
            progress=_Told("samples and questions"),
            done={name: LaneDistribution.from_dict(one) for name, one in journal.checks.get(DISTRIBUTION, {}).items()},
            finished=lambda lane: journal.add_check(DISTRIBUTION, lane.lane, asdict(lane)),
        )
        journal.add_check(DISTRIBUTION, "", asdict(sampled))


def _finished(journal: Journal, kind: str) -> Any:
    """The result of a check that is finished; None otherwise."""
    return journal.checks.get(kind, {}).get("")


def _without_ids(lane: GreedyLane) -> GreedyLane:
    """A lane's result without AR's answers, which are only needed to continue the check."""
    return replace(lane, ids=())


class _Told:
    """Says from time to time how far a check has come."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._next = _TOLD_EVERY

    def __call__(self, done: int, of: int) -> None:
        if of and done / of >= self._next:
            self._next = done / of + _TOLD_EVERY
            say(f"  {done:,} of {of:,} {self._what}")


class Checked:
    """What the finished checks of a journal say.

    Attributes:
        greedy: The check of greedy answers, as data; None if there is none.
        distribution: The distribution test, as data.
    """

    def __init__(self, journal: Journal) -> None:
        self.greedy: Mapping[str, Any] | None = _finished(journal, GREEDY)
        self.distribution: Mapping[str, Any] | None = _finished(journal, DISTRIBUTION)

    @property
    def failed(self) -> bool:
        """Whether a lane's output is not AR's."""
        return any(one.failed for one in (self._greedy, self._sampled) if one is not None)

    @property
    def failure(self) -> str:
        """Which lanes failed, in words; empty if none did."""
        titles: dict[str, None] = {}
        if (greedy := self._greedy) is not None:
            if not greedy.judged:
                return "AR differs from itself"
            titles |= {lane.title: None for lane in greedy.lanes if lane.real(greedy.threshold)}
        if (sampled := self._sampled) is not None:
            titles |= {lane.title: None for lane in sampled.lanes if sampled.verdict(lane) == "fails"}
        return f"{listed(titles)} differ{'s' if len(titles) == 1 else ''} from AR" if titles else ""

    @property
    def _greedy(self) -> Losslessness | None:
        return None if self.greedy is None else Losslessness.from_dict(self.greedy)

    @property
    def _sampled(self) -> DistributionCheck | None:
        return None if self.distribution is None else DistributionCheck.from_dict(self.distribution)

    @property
    def lines(self) -> list[str]:
        """The results for a terminal."""
        greedy, sampled = self._greedy, self._sampled
        return [
            *(() if greedy is None else _section("losslessness, greedy answers", greedy_lines(greedy))),
            *(() if sampled is None else _section("losslessness, sampled answers", distribution_lines(sampled))),
        ]

    @property
    def markdown(self) -> str:
        """The body of the report's section; empty without a check."""
        greedy, sampled = self._greedy, self._sampled
        parts: list[str] = []
        if greedy is not None:
            parts += [greedy_table(greedy), _code(greedy_lines(greedy))]
        if sampled is not None:
            parts += [distribution_table(sampled), _code(distribution_lines(sampled))]
        return "\n\n".join(parts)


def _section(title: str, lines: Sequence[str]) -> list[str]:
    return [title, *(f"  {line}" for line in lines), ""]


def _code(lines: Sequence[str]) -> str:
    """Lines as they are: prompts and tokens may be anything."""
    return "\n".join(["````", *map(visible, lines), "````"])

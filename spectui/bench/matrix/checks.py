"""The losslessness checks of a benchmark: each lane's result is in the journal as soon as it is known."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, TypeVar

from spectui.bench.lossless import check_greedy
from spectui.bench.lossless_sampling import (
    ANSWER_TOKENS,
    CONCURRENCY,
    MOST_PROMPTS,
    MOST_QUESTIONS,
    check_distribution,
)
from spectui.bench.matrix.asking import Asked, Sets
from spectui.bench.matrix.journal import Journal
from spectui.bench.reports.document import listed
from spectui.core.bench.estimate import greedy_seconds, sampling_seconds
from spectui.core.bench.matrix import Matrix
from spectui.core.bench.smoke import SmokePace
from spectui.core.lossless.distribution import DistributionCheck, LaneDistribution
from spectui.core.lossless.greedy import Answer, GreedyLane, Losslessness, name_of
from spectui.core.lossless.words import distribution_lines, distribution_table, greedy_lines, greedy_table
from spectui.runtime.output import visible
from spectui.runtime.quiet import say
from spectui.sources.vllm.lane_spec import DIFFUSION

if TYPE_CHECKING:
    from spectui.setup.session import EngineSession
    from spectui.sources.vllm.config import HostConfig
    from spectui.sources.vllm.lane import Lane

GREEDY, DISTRIBUTION = "greedy", "distribution"
"""Kinds of checks in a journal: each has an entry for every lane, and one without a lane once it is finished."""

REFERENCE = "reference"
"""Kind of the entry with AR's first answers, which all others are compared with."""

CHECKED_TOKENS = 128
"""The longest answers that are compared, unless the user names a length: every lane answers every prompt."""

_TOLD_EVERY = 0.25
T = TypeVar("T", GreedyLane, LaneDistribution)


def check_outputs(
    options: argparse.Namespace,
    session: EngineSession,
    lanes: Sequence[Lane],
    sets: Sets,
    config: HostConfig,
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
        if lane.info.k_max and lane.choice != k:
            lane.choice = k
    asked = [one.prompt for one in checked_prompts(sets)]
    concurrency = max(block.concurrency for block in matrix.blocks)
    if not _finished(journal, GREEDY):
        tokens = checked_tokens(options, matrix)
        say(f"losslessness: the greedy answers of {len(lanes)} lanes to {len(asked)} prompts, compared with AR's")
        greedy = check_greedy(
            session,
            lanes,
            asked,
            config.chat,
            tokens=tokens,
            concurrency=concurrency,
            progress=_Told("answers"),
            name=lambda number, prompt: name_of(prompt, config.prompts),
            reference=_reference(journal, tokens),
            answered=lambda answers: journal.add_check(
                REFERENCE,
                "",
                {"tokens": tokens, "concurrency": concurrency, "answers": [asdict(one) for one in answers]},
            ),
            done=_lanes(journal, GREEDY, GreedyLane),
            finished=lambda lane: journal.add_check(GREEDY, lane.lane, asdict(lane)),
        )
        journal.add_check(GREEDY, "", asdict(greedy))
    if matrix.sampling.temperature > 0 and not _finished(journal, DISTRIBUTION):
        say(f"losslessness: {options.samples:,} samples of every lane against the target's probabilities")
        sampled = check_distribution(
            session,
            lanes,
            asked,
            config.chat,
            matrix.sampling,
            samples=options.samples,
            progress=_Told("samples and questions"),
            done=_lanes(journal, DISTRIBUTION, LaneDistribution),
            finished=lambda lane: journal.add_check(DISTRIBUTION, lane.lane, asdict(lane)),
        )
        journal.add_check(DISTRIBUTION, "", asdict(sampled))


def _finished(journal: Journal, kind: str) -> Any:
    """The result of a check that is finished; None otherwise."""
    return journal.checks.get(kind, {}).get("")


def _lanes(journal: Journal, kind: str, of: type[T]) -> dict[str, T]:
    """The lanes that a check is finished for, by name."""
    return {name: of.from_dict(one) for name, one in journal.checks.get(kind, {}).items() if name}


def _reference(journal: Journal, tokens: int) -> list[Answer]:
    """AR's first answers of so many tokens; empty if there are none."""
    found = _finished(journal, REFERENCE)
    return [Answer(**one) for one in found["answers"]] if found is not None and found["tokens"] == tokens else []


def checked_prompts(sets: Sets) -> list[Asked]:
    """Every prompt that is compared: all of them, each once."""
    return list({id(one.prompt): one for asked in sets.values() for one in asked}.values())


def checked_tokens(options: argparse.Namespace, matrix: Matrix) -> int:
    """The longest answer that is compared."""
    most = matrix.sampling.max_tokens
    return most if options.max_tokens is not None else min(most, CHECKED_TOKENS)


def check_plan(
    options: argparse.Namespace, matrix: Matrix, sets: Sets, paces: Mapping[str, SmokePace]
) -> tuple[str, float]:
    """What the checks will do, in words, and est. how many seconds they will take."""
    asked = [len(one.ids) for one in checked_prompts(sets)]
    plain = next(one.lane for one in matrix.variants if one.plain)
    compared = {name: paces[name] for name in _titles(matrix)}
    tokens = checked_tokens(options, matrix)
    concurrency = max(block.concurrency for block in matrix.blocks)
    seconds = greedy_seconds(compared, plain, asked, tokens, concurrency)
    said = f"the greedy answers of {len(compared)} lanes, and AR's again, to {len(asked)} prompts"
    said += f", at most {tokens} tokens each{'' if options.max_tokens is not None else ' (more with --max-tokens)'}"
    if matrix.sampling.temperature > 0:
        said += f", and {options.samples:,} samples of every lane"
        shortest = sorted(asked)[:MOST_PROMPTS]
        seconds += sampling_seconds(
            compared, plain, sum(shortest) / len(shortest), options.samples, ANSWER_TOKENS, MOST_QUESTIONS,
            min(CONCURRENCY, concurrency),
        )  # fmt: skip
    return said, seconds


def _titles(matrix: Matrix) -> dict[str, str]:
    """The titles of the lanes that are checked, by their names."""
    return {one.lane: one.title for one in matrix.variants if one.method != DIFFUSION}


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
    """What the checks of a journal say. Of a check that is not finished, the lanes that are finished count.

    Attributes:
        greedy: The finished check of greedy answers, as data; None if there is none.
        distribution: The same for the distribution test.
    """

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
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
        if self.greedy is not None:
            return Losslessness.from_dict(self.greedy)
        if (begun := _finished(self._journal, REFERENCE)) is None:
            return None
        lanes = _lanes(self._journal, GREEDY, GreedyLane)
        return Losslessness(tuple(lanes.values()), begun["tokens"], begun["concurrency"])

    @property
    def _sampled(self) -> DistributionCheck | None:
        if self.distribution is not None:
            return DistributionCheck.from_dict(self.distribution)
        if not (lanes := _lanes(self._journal, DISTRIBUTION, LaneDistribution)):
            return None
        sampling = self._journal.matrix.sampling
        return DistributionCheck(
            tuple(lanes.values()), sampling.temperature, sampling.top_p, sampling.top_k, MOST_PROMPTS, CONCURRENCY
        )

    def _left(self, kind: str) -> list[str]:
        """A line that names the lanes for which a check is not finished; none if it is."""
        done = self._journal.checks.get(kind, {})
        left = [title for name, title in _titles(self._journal.matrix).items() if name not in done]
        return [] if "" in done else [f"not finished: {listed(left) or 'the comparison'}; continue with --resume"]

    @property
    def _greedy_lines(self) -> list[str]:
        return [] if (greedy := self._greedy) is None else [*greedy_lines(greedy), *self._left(GREEDY)]

    @property
    def _sampled_lines(self) -> list[str]:
        return [] if (sampled := self._sampled) is None else [*distribution_lines(sampled), *self._left(DISTRIBUTION)]

    @property
    def lines(self) -> list[str]:
        """The results for a terminal."""
        return [
            *_section("losslessness, greedy answers", self._greedy_lines),
            *_section("losslessness, sampled answers", self._sampled_lines),
        ]

    @property
    def markdown(self) -> str:
        """The body of the report's section; empty without a check."""
        greedy, sampled = self._greedy, self._sampled
        parts: list[str] = []
        if greedy is not None:
            parts += [greedy_table(greedy), _code(self._greedy_lines)]
        if sampled is not None:
            parts += [distribution_table(sampled), _code(self._sampled_lines)]
        return "\n\n".join(parts)


def _section(title: str, lines: Sequence[str]) -> list[str]:
    return [title, *(f"  {line}" for line in lines), ""] if lines else []


def _code(lines: Sequence[str]) -> str:
    """Lines as they are: prompts and tokens may be anything."""
    return "\n".join(["````", *map(visible, lines), "````"])

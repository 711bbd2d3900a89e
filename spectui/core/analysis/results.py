"""What an analysis says about the lanes of a trace, for the screen, the command line and reports.

Terms: a drafted token is *judged* if the target accepted it, or refused it as the first of its draft; those behind a
refusal were never judged. The *wanted* token is what the target emitted in its place: the drafted token itself if it
was accepted. *Lost tokens* of a refusal are the drafted tokens that were thrown away with it, itself included: drafted
minus accepted. Against K, they are K minus accepted.
"""

from __future__ import annotations

from dataclasses import dataclass

LEAST = 30
"""Judged tokens below which nothing is ranked."""


@dataclass(frozen=True, slots=True)
class Share:
    """A share of cases, with its 95 % interval; all but the count are None if there are no cases.

    Attributes:
        value: The share, from 0 to 1.
        low: The lower end of the interval.
        high: The upper end of the interval.
        count: How many cases there are.
    """

    value: float | None
    low: float | None
    high: float | None
    count: int


@dataclass(frozen=True, slots=True)
class Bucket:
    """The judged tokens that one dimension has in common.

    Attributes:
        name: What they have in common, as the screen says it, such as "numbers" or "1,024 to 2,047".
        acceptance: Accepted among the judged: conditional acceptance, given that all before it was accepted.
        expected: What it would be if these were accepted as often as the lane's other tokens at the same positions of
            their drafts (for the distance from a refusal, those of the same answers); None without others.
        lost: Tokens lost to refusals here, against the rest of the draft.
        lost_k: The same against K.
        ranked: Whether there are enough to be ranked.
    """

    name: str
    acceptance: Share
    expected: float | None
    lost: int
    lost_k: int
    ranked: bool


@dataclass(frozen=True, slots=True)
class Dimension:
    """Acceptance along one property of the judged tokens.

    Attributes:
        key: Its name in JSON and CSV: ``position``, ``kind``, ``category``, ``context``, ``distance``, ``copyable``,
            ``repetition`` or ``certainty``.
        title: Its name on the screen.
        buckets: In their natural order; those without judged tokens are left out.
        missing: Why there are none, as a sentence; empty otherwise.
    """

    key: str
    title: str
    buckets: tuple[Bucket, ...]
    missing: str = ""


@dataclass(frozen=True, slots=True)
class Weakness:
    """Tokens that the drafter fails at beyond chance, and beyond what their positions explain.

    Attributes:
        dimension: The key of the dimension.
        where: What they have in common, to be read after "the drafter is weak": "at numbers", "beyond 1,024 tokens of
            context".
        acceptance: Acceptance of these tokens.
        expected: As in `Bucket`; after a refusal, without what stretches of hard text explain.
        excess: Tokens lost to them beyond those that the expected acceptance would have lost, per 100 drafted tokens.
        lost_share: Their share of all lost tokens.
        strength: How clearly these tokens differ from the others at the same positions: the Mantel-Haenszel statistic,
            corrected for tokens of one answer being alike; weaknesses are ranked by it.
    """

    dimension: str
    where: str
    acceptance: Share
    expected: float
    excess: float
    lost_share: float
    strength: float


@dataclass(frozen=True, slots=True)
class Context:
    """A place where a token was refused.

    Attributes:
        text: The text before it.
        round: The round's number in the trace.
        slot: The request's place in its round.
        step: The step's number in its request, from 0.
    """

    text: str
    round: int
    slot: int
    step: int


@dataclass(frozen=True, slots=True)
class Confusion:
    """A pair of a refused token and the one that the target wanted.

    Attributes:
        drafted: The id of the refused token.
        wanted: The id of the one that the target wanted.
        drafted_text: The text of the refused token; empty if it has none of its own.
        wanted_text: The text of the one that the target wanted, in the same way.
        count: How often the one was refused for the other.
        lost: What these refusals lost in all, against the rest of the draft.
        contexts: A few of the places, as examples.
        ranked: Whether it happened at enough places to be ranked, answers that came again token by token left out.
    """

    drafted: int
    wanted: int
    drafted_text: str
    wanted_text: str
    count: int
    lost: int
    contexts: tuple[Context, ...]
    ranked: bool = True


@dataclass(frozen=True, slots=True)
class Agreement:
    """Two lanes at the places of the same answers that both judged while their answers were the same.

    Attributes:
        first: One lane.
        second: The other.
        both: Places where both drafted what the target wanted.
        only_first: Places where only the first did.
        only_second: Places where only the second did.
        neither: Places where none did.
        first_share: Places where the first was right.
        second_share: Places where the second was right.
        union: Places where either was right: the acceptance that a choice between the two could reach at most.
    """

    first: str
    second: str
    both: int
    only_first: int
    only_second: int
    neither: int
    first_share: Share
    second_share: Share
    union: Share


@dataclass(frozen=True, slots=True)
class LaneAnalysis:
    """One drafting lane.

    Attributes:
        lane: Its name.
        title: The usual spelling of its method.
        requests: Answers that it was measured on.
        steps: Verification steps that had a draft.
        drafted: Tokens drafted.
        accepted: Drafted tokens that the target kept.
        judged: Tokens that were judged.
        lost: Drafted minus accepted.
        lost_k: K minus accepted, summed over all steps but each answer's first, which follows from the prompt and
            cannot have a draft.
        dimensions: Every dimension.
        weaknesses: The strongest first, no two saying nearly the same; empty if none is certain.
        confusions: The most expensive first.
        sentences: What to say first: three sentences at most, the weakness first, or that there is none.
    """

    lane: str
    title: str
    requests: int
    steps: int
    drafted: int
    accepted: int
    judged: int
    lost: int
    lost_k: int
    dimensions: tuple[Dimension, ...]
    weaknesses: tuple[Weakness, ...]
    confusions: tuple[Confusion, ...]
    sentences: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Choice:
    """What choosing K in some way would give; every figure but that of ``now`` is an estimate by the cost model.

    Attributes:
        key: ``now``, ``fixed``, ``category``, ``oracle``, ``bandit`` or ``perfect``.
        title: What it is, as the screen says it.
        tok_s: Tokens per second of one request; None if it cannot be estimated.
        times_ar: The same divided by the measured AR lane's; None without one.
        detail: The K it takes, such as "K=3" or "coding K=5, writing K=2".
        missing: Why it cannot be estimated, as a sentence; empty otherwise.
    """

    key: str
    title: str
    tok_s: float | None
    times_ar: float | None
    detail: str = ""
    missing: str = ""


@dataclass(frozen=True, slots=True)
class Headroom:
    """What perfect choices would give a lane, from the steps that it took.

    Attributes:
        lane: Its name.
        choices: Every way to choose K, in the order of `Choice.key`.
        work_on: What to work on, ``drafter``, ``k`` or ``cost``; None if that cannot be said.
        sentence: That, with its figures, in one sentence.
        formula: The cost model's formula with its numbers put in.
    """

    lane: str
    choices: tuple[Choice, ...]
    work_on: str | None
    sentence: str
    formula: str


@dataclass(frozen=True, slots=True)
class Analysis:
    """What a trace says about its lanes.

    Attributes:
        lanes: The drafting lanes.
        agreements: Every pair of them that can be compared.
        headroom: One for each of ``lanes``.
        notes: What the reader should know about the trace, such as steps that were lost; one sentence each.
    """

    lanes: tuple[LaneAnalysis, ...]
    agreements: tuple[Agreement, ...]
    headroom: tuple[Headroom, ...]
    notes: tuple[str, ...] = ()

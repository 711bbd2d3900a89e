"""The vocabulary: what a source says, in small frozen events.

Everything that crosses a thread, enters a trace or comes back in a replay is one of these. The room knows neither
vLLM nor Textual. Words are those of the design: a *step* is one verification of a request's drafted tokens by the
target; *emitted* tokens reached the output, *cut* tokens were verified but fell behind EOS, a stop string or
``max_tokens``. It is longer than other modules because a reader looks all words up in one place.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from operator import add, sub
from typing import Literal, NamedTuple, TypeAlias

from spectui.protocol.playback import Played
from spectui.protocol.samples import Sampled

SCHEMA_VERSION = 1

Own: TypeAlias = Literal["recovered", "bonus"]
"""The target's own token of a step: ``recovered`` at the first refused draft, ``bonus`` when none was refused."""

CutReason: TypeAlias = Literal["eos", "stop", "length"]
"""What ended a request inside a step: the EOS token, a stop string or stop token, or a length limit."""

FinishReason: TypeAlias = Literal["eos", "stop", "length", "abort", "error"]

KSource: TypeAlias = Literal["default", "tuned", "yours"]
"""Where a lane's K comes from: nobody chose it, a search found it on this machine, the user named it."""

StageName: TypeAlias = Literal[
    "waiting",
    "importing",
    "downloading",
    "converting",
    "verifying",
    "loading",
    "warming up",
    "ready",
    "failed",
]


@dataclass(frozen=True, slots=True)
class LaneInfo:
    """One decoding method on the shared target.

    Attributes:
        name: Unique within the run and short, such as ``"ar"`` or ``"mtp"``; every other event refers to it.
        method: vLLM's name of the method (``"ar"`` for none).
        title: The field's spelling, for headings: ``"AR"``, ``"MTP"``, ``"DFlash"``.
        k_max: Drafted tokens that the lane was built for; 0 when it cannot draft.
        k_start: Drafted tokens that it begins with; None for ``k_max``.
        spec: The lane spec as the user would type it.
        note: One sentence that the audience should know, or an empty string.
        k_source: Where the K that it begins with comes from; None where that is not known, and when it cannot draft.
    """

    name: str
    method: str
    title: str
    k_max: int
    spec: str
    note: str = ""
    k_start: int | None = None
    k_source: KSource | None = None

    @property
    def k_first(self) -> int:
        """The K that the lane begins with."""
        return self.k_max if self.k_start is None else self.k_start


@dataclass(frozen=True, slots=True)
class Sampling:
    """How every lane samples.

    ``temperature`` 0 is greedy; ``top_k`` 0 leaves every token in the choice; ``seed`` None leaves the choice to the
    engine; ``json_schema`` is a JSON schema as text that the output must follow, None for free text.
    """

    temperature: float = 0.0
    top_p: float = 1.0
    top_k: int = 0
    seed: int | None = None
    max_tokens: int = 256
    ignore_eos: bool = False
    stop: tuple[str, ...] = ()
    json_schema: str | None = None


Role: TypeAlias = Literal["system", "user", "assistant"]


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a conversation."""

    role: Role
    text: str


@dataclass(frozen=True, slots=True)
class Prompt:
    """One prompt of a prompt set: what is answered, and what stands before it.

    Attributes:
        text: The user's message that is answered.
        category: What kind of prompt it is.
        index: Its place in the set, from 0.
        count: How many the set has.
        before: The conversation up to here as the set has it: a system message, earlier turns with their answers.
        asked: The user's earlier turns of a conversation that is raced turn by turn; behind each stands the lane's own
            answer, which differs from lane to lane.
        later: The user's turns that follow once this one is answered.
    """

    text: str
    category: str = "prompt"
    index: int = 0
    count: int = 1
    before: tuple[Message, ...] = ()
    asked: tuple[str, ...] = ()
    later: tuple[str, ...] = ()

    @property
    def turn(self) -> int:
        """Which turn of its conversation this is, from 0."""
        return len(self.asked)

    @property
    def turns(self) -> int:
        """How many turns its conversation has."""
        return len(self.asked) + 1 + len(self.later)


@dataclass(frozen=True, slots=True)
class RunStarted:
    """The header of a run: what races, on what, and with which software."""

    target: str
    lanes: tuple[LaneInfo, ...]
    sampling: Sampling
    concurrency: int = 1
    machine: str = ""
    versions: tuple[tuple[str, str], ...] = ()
    synthetic: bool = False


@dataclass(frozen=True, slots=True)
class LaneStage:
    """A lane's way from nothing to ready. ``done`` and ``total`` are bytes or parts, None where unknown."""

    lane: str
    stage: StageName
    detail: str = ""
    done: int | None = None
    total: int | None = None


@dataclass(frozen=True, slots=True)
class RoundStarted:
    """All ready lanes start the same prompts at once; lane clocks of the round count from here.

    ``absent`` are the slots of prompts that are not raced in this round: their conversation has no such turn, or they
    were refused.
    """

    round: int
    prompts: tuple[Prompt, ...]
    sampling: Sampling
    absent: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class RequestStarted:
    """``slot`` is the request's place in its round, the same in every lane; the first prompt has slot 0.

    ``as_ar`` is False where its prompt is not, token for token, that of the first AR lane, because the two gave other
    answers to an earlier turn: what follows cannot be compared.
    """

    lane: str
    request: str
    slot: int
    prompt_tokens: int
    as_ar: bool = True


class Totals(NamedTuple):
    """What a lane has done: sums over its steps. A trace spells it as a list in this order, without zeros at its end.

    Attributes:
        steps: Verification steps.
        emitted: Tokens that reached the output.
        drafts: Steps that had a draft.
        drafted: Tokens drafted.
        accepted: Tokens of those that the target kept, cut or not.
        cut: Tokens that were verified but fell behind the end of a request.
        silent: Steps that emitted nothing.
    """

    steps: int = 0
    emitted: int = 0
    drafts: int = 0
    drafted: int = 0
    accepted: int = 0
    cut: int = 0
    silent: int = 0

    def after(self, drafted: int, accepted: int, emitted: int, cut: int) -> Totals:
        """With one more step, of so many tokens."""
        return Totals(
            self.steps + 1,
            self.emitted + emitted,
            self.drafts + (drafted > 0),
            self.drafted + drafted,
            self.accepted + accepted,
            self.cut + cut,
            self.silent + (not emitted),
        )

    def plus(self, other: Totals) -> Totals:
        """Both together."""
        return Totals(*map(add, self, other))

    def minus(self, other: Totals) -> Totals:
        """What came after ``other``."""
        return Totals(*map(sub, self, other))


NOTHING = Totals()


@dataclass(frozen=True, slots=True)
class Step:
    """One verification step of one request.

    Attributes:
        lane: The lane's name.
        request: The request, unique within the lane.
        slot: The request's place in its round.
        index: Steps of this request so far, counting from 0.
        k: Drafted tokens that were allowed for this step.
        drafted: Ids that the drafter proposed; empty when there was no draft.
        accepted: How many of ``drafted``, from the left, the target kept: as the engine counts, cut or not.
        emitted: Ids that reached the output.
        cut: Ids that were verified but fell behind the end of the request; never part of ``emitted``.
        own: What the last verified id is, None when it fell to a cut.
        cut_reason: What ended the request in this step, None when it goes on.
        text: The text of ``emitted`` and ``cut``, one piece an id. An id that only begins a character has an empty
            piece, the id that completes it has the whole character.
        drafted_text: The text of ``drafted``, in the same way.
        batch: Requests that shared the engine step.
        wall_ns: Wall time of the engine step, once for the whole batch.
        clock_ns: The lane clock after the engine step: the sum of the lane's own engine steps.
        draft_ns: The part of ``wall_ns`` spent in the drafter; None where it is not measured.
        verify_ns: The part of ``wall_ns`` spent in the target's forward pass; None where it is not measured.
        disturbed: Whether other programs, or a GPU that was slowed down, held the engine step up.
        totals: What the lane has done since it was started, this step included, so that figures stay right whatever
            steps are lost on the way; None in older traces.
        before: Output tokens of the request before this step; None in older traces.
    """

    lane: str
    request: str
    slot: int
    index: int
    k: int
    drafted: tuple[int, ...]
    accepted: int
    emitted: tuple[int, ...]
    cut: tuple[int, ...]
    own: Own | None
    cut_reason: CutReason | None
    text: tuple[str, ...]
    drafted_text: tuple[str, ...]
    batch: int
    wall_ns: int
    clock_ns: int
    draft_ns: int | None = None
    verify_ns: int | None = None
    disturbed: bool = False
    totals: Totals | None = None
    before: int | None = None

    @property
    def own_totals(self) -> Totals:
        """What this step alone comes to."""
        return NOTHING.after(len(self.drafted), self.accepted, len(self.emitted), len(self.cut))


@dataclass(frozen=True, slots=True)
class RequestFinished:
    """``emitted`` is our count of output tokens. A live lane holds the ids of each step against the engine's output,
    so that they always agree."""

    lane: str
    request: str
    slot: int
    reason: FinishReason
    emitted: int


@dataclass(frozen=True, slots=True)
class Preempted:
    """The engine took a running request's KV cache away; it will be recomputed and go on."""

    lane: str
    request: str


@dataclass(frozen=True, slots=True)
class Margin:
    """How clear the target's choice was where a greedy lane left AR's path.

    ``margin`` is the difference of the target's two highest log-probabilities at output position ``position`` (from
    0), measured after the round; the same text decided by so little is a near tie, not a fault.
    """

    lane: str
    slot: int
    position: int
    margin: float


@dataclass(frozen=True, slots=True)
class RoundFinished:
    """Every lane has finished or given up the round's requests."""

    round: int


@dataclass(frozen=True, slots=True)
class KChanged:
    """From its next step on ``lane`` may draft ``k`` tokens; ``source`` says who decided that."""

    lane: str
    k: int
    source: KSource = "yours"


@dataclass(frozen=True, slots=True)
class Likely:
    """A token that the target could have said at a place, and how likely it was (0 to 1)."""

    token: int
    text: str
    probability: float


@dataclass(frozen=True, slots=True)
class Place:
    """What the target thought of one token where it stands.

    Attributes:
        token: Its id.
        text: Its text alone.
        probability: The target's, before temperature and top-p.
        rank: 1 for the likeliest token of the vocabulary.
        likeliest: The likeliest tokens there, the likeliest first.
    """

    token: int
    text: str
    probability: float
    rank: int
    likeliest: tuple[Likely, ...]


@dataclass(frozen=True, slots=True)
class Inspected:
    """One step in full, asked of the target anew: ``places`` of its drafted tokens, then of the target's own token
    where that stands behind all of them. Empty where it could not be
    asked; ``why`` says why."""

    lane: str
    slot: int
    index: int
    places: tuple[Place, ...]
    why: str = ""


TuneWhy: TypeAlias = Literal["separated", "outrun", "same", "alone", "budget", "cancelled"]
"""Why a search for the best K ended: its interval lies above the others', some were far slower on each prompt that
they ran, those left are equally fast, there was one K only, the time was up, the user stopped it."""


@dataclass(frozen=True, slots=True)
class KFigure:
    """What a search for the best K knows of one K; None is what was not measured, or not yet.

    Attributes:
        k: Drafted tokens that were allowed.
        running: Whether it can still be the best.
        tok_s: Throughput of all requests together.
        low: Lower end of its 95 % interval.
        high: Upper end.
        speed_up: Throughput over that of K = 0 on the same prompts; that is not AR, since vLLM runs the drafter's first
            pass at K = 0 too.
        length: Acceptance length.
        by_position: Unconditional acceptance at each position.
        draft_s: Mean time of a step in the drafter.
        verify_s: Mean time of a step in the target's forward pass.
        step_s: Mean time of a step.
        estimate_tok_s: Throughput as the cost model has it.
        over_ar: Throughput over AR's on the same prompts: the speed-up.
        over_ar_low: Lower end of its 95 % interval.
        over_ar_high: Upper end.
        no_estimate: Why the cost model has no throughput, where that was asked for and is not known.
        accepted_at: K at which the acceptance behind the estimate was measured; it may depend on K.
        drafting: Share of the steps behind a request's first one that had a draft.
    """

    k: int
    running: bool
    tok_s: float | None
    low: float | None
    high: float | None
    speed_up: float | None
    length: float | None
    by_position: tuple[float | None, ...]
    draft_s: float | None
    verify_s: float | None
    step_s: float | None
    estimate_tok_s: float | None
    over_ar: float | None = None
    over_ar_low: float | None = None
    over_ar_high: float | None = None
    no_estimate: str = ""
    accepted_at: int | None = None
    drafting: float | None = None


@dataclass(frozen=True, slots=True)
class TuneTurn:
    """Where the search for a lane's best K stands after ``turn`` turns with ``requests`` in flight.

    ``ar_tok_s`` is what AR does on the same prompts, None where no AR lane was at hand; ``disturbed`` is the share of
    what was measured so far, in time, that other programs held up and that a second try did not replace.
    """

    lane: str
    requests: int
    turn: int
    running: tuple[int, ...]
    best: int
    figures: tuple[KFigure, ...]
    spent_s: float
    budget_s: float
    ar_tok_s: float | None = None
    disturbed: float = 0.0

    @property
    def ar_wins(self) -> bool:
        """Whether AR is faster than the best K, as far as was measured."""
        best = next((figure for figure in self.figures if figure.k == self.best), None)
        return best is not None and best.over_ar is not None and best.over_ar < 1


@dataclass(frozen=True, slots=True)
class TuneEnded:
    """The search is over; the lane now drafts at the best K, and ``serve`` is the line that serves the model so.

    When it was stopped before its first turn nothing is known: the lane has its K of before, and ``serve`` is empty.
    """

    lane: str
    why: TuneWhy
    last: TuneTurn
    serve: str = ""


@dataclass(frozen=True, slots=True)
class Paused:
    """The race stands still (``paused``) or runs."""

    paused: bool


@dataclass(frozen=True, slots=True)
class Notice:
    """One sentence for the user; ``lane`` is None when it concerns the run, ``refused`` says that the round that was
    asked for does not begin."""

    text: str
    lane: str | None = None
    level: Literal["info", "warning", "error"] = "info"
    refused: bool = False


@dataclass(frozen=True, slots=True)
class Reached:
    """Where a lane stood: its clock, and what it had done since it was started."""

    lane: str
    clock_ns: int
    totals: Totals


@dataclass(frozen=True, slots=True)
class Gap:
    """``lost`` events are missing here.

    Where they are the beginning, ``clocks`` are the lane clocks behind them. ``reached`` says of every lane that lost
    steps where it stood behind the last of them; lanes whose steps carry no totals are not among them.
    """

    lost: int
    clocks: tuple[tuple[str, int], ...] = ()
    reached: tuple[Reached, ...] = ()

    @classmethod
    def behind(cls, lost: int, last: Iterable[Step]) -> Gap:
        """The gap of ``lost`` events of which ``last`` are each lane's last step."""
        return cls(lost, reached=tuple(Reached(s.lane, s.clock_ns, s.totals) for s in last if s.totals is not None))


Event: TypeAlias = (
    RunStarted
    | LaneStage
    | RoundStarted
    | RequestStarted
    | Step
    | RequestFinished
    | Preempted
    | Margin
    | RoundFinished
    | KChanged
    | Inspected
    | TuneTurn
    | TuneEnded
    | Paused
    | Notice
    | Gap
    | Sampled
    | Played
)

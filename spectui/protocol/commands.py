"""Commands that a user gives to a source. A source reads them between engine steps and declares which it follows
(`Source.accepts`); it answers any other with a `Notice`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from spectui.protocol.limits import TUNE_BUDGET_S


@dataclass(frozen=True, slots=True)
class SetPrompt:
    """Start a new round with the user's own text."""

    text: str


@dataclass(frozen=True, slots=True)
class NextPrompt:
    """Start a new round with the next (``by`` = +1) or previous (-1) prompt of the set."""

    by: int = 1


@dataclass(frozen=True, slots=True)
class NextCategory:
    """Start a new round with the first prompt of the set's next category."""


@dataclass(frozen=True, slots=True)
class Restart:
    """Start the round again with the same prompts and the same seed; a forked one from the same place."""


@dataclass(frozen=True, slots=True)
class Fork:
    """Start a new round in which every lane goes on with an answer of the current one, from the middle of it.

    Attributes:
        round: The current round's number.
        lane: The lane whose answer goes on.
        slot: The request's place in the round.
        step: The step's number within its request.
        keep: Output tokens of the answer that are kept.
        put: A token to put after them.
        text: A text to put after them instead.
    """

    round: int
    lane: str
    slot: int
    step: int
    keep: int
    put: int | None = None
    text: str = ""


@dataclass(frozen=True, slots=True)
class ToParent:
    """Start again the round from which the current one was forked. A replay jumps to its beginning."""


@dataclass(frozen=True, slots=True)
class Abort:
    """End the round's unfinished requests of ``lane``, or of every lane."""

    lane: str | None = None


@dataclass(frozen=True, slots=True)
class Pause:
    """Pause between two engine steps."""


@dataclass(frozen=True, slots=True)
class Resume:
    """Continue after `Pause`."""


@dataclass(frozen=True, slots=True)
class StepOnce:
    """Take one engine step of ``lane`` (if None, of the lane that is furthest behind) and pause."""

    lane: str | None = None


@dataclass(frozen=True, slots=True)
class StepBack:
    """Replay only: go back to before the last step, and pause."""


@dataclass(frozen=True, slots=True)
class Seek:
    """Replay only: move forward by ``seconds`` of lane time, or back if negative."""

    seconds: float


@dataclass(frozen=True, slots=True)
class SeekTo:
    """Replay only: jump to a position, given as a share of the trace from 0 to 1."""

    share: float


@dataclass(frozen=True, slots=True)
class ChangeSpeed:
    """Replay only: play faster (``by`` = +1) or slower (-1)."""

    by: int


@dataclass(frozen=True, slots=True)
class SetSpeed:
    """Replay only: play at ``speed`` times the engines' speed."""

    speed: float


@dataclass(frozen=True, slots=True)
class SetK:
    """Let ``lane`` draft ``k`` tokens from its next step on; 0 is plain decoding, None lets it choose by itself."""

    lane: str
    k: int | None


@dataclass(frozen=True, slots=True)
class Inspect:
    """Ask the target for its probabilities at one step of the round.

    Attributes:
        lane: The lane's name.
        slot: The request's place in its round.
        index: The step's number within its request.
        before: Tokens that the request had emitted before the step.
        tokens: Ids of the step in order: the drafted ones, then the target's own token if it follows all of them.
    """

    lane: str
    slot: int
    index: int
    before: int
    tokens: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class SetConcurrency:
    """Race ``requests`` prompts at once, starting with the next round."""

    requests: int


@dataclass(frozen=True, slots=True)
class SetTemperature:
    """Sample at ``temperature``, starting with the next round; 0 is greedy."""

    temperature: float


@dataclass(frozen=True, slots=True)
class Tune:
    """End the round and search for the fastest K of ``lane``, using at most ``budget_s`` seconds of engine steps."""

    lane: str
    budget_s: float = TUNE_BUDGET_S


@dataclass(frozen=True, slots=True)
class StopTuning:
    """Stop a search and keep the best K so far."""


@dataclass(frozen=True, slots=True)
class StartBench:
    """End the round and measure every lane at its K on every category of the prompts."""


@dataclass(frozen=True, slots=True)
class StopBench:
    """Stop a benchmark and keep what is finished."""


@dataclass(frozen=True, slots=True)
class Record:
    """Start recording the run, including the earlier events still in memory; or end the recording."""


@dataclass(frozen=True, slots=True)
class Shutdown:
    """Finish the current engine step, free the engines and exit."""


Command: TypeAlias = (
    SetPrompt
    | NextPrompt
    | NextCategory
    | Restart
    | Fork
    | ToParent
    | Abort
    | Pause
    | Resume
    | StepOnce
    | StepBack
    | Seek
    | SeekTo
    | ChangeSpeed
    | SetSpeed
    | SetK
    | Inspect
    | SetConcurrency
    | SetTemperature
    | Tune
    | StopTuning
    | StartBench
    | StopBench
    | Record
    | Shutdown
)

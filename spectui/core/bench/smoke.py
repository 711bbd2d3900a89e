"""A short look at every lane before hours are spent on it: whether it answers at all, and how fast it is.

Which signs stop a benchmark: an empty answer, an answer that repeats a single token, and drafts that are hardly ever
accepted. Each of these was published as a result by somebody whose set-up was broken.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from spectui.core.trouble import Trouble
from spectui.core.trouble_causes import FINDS_REPEATS, told
from spectui.protocol.events import LaneEngine, LaneInfo

SMOKE_PROMPTS = 5
SMOKE_TOKENS = 32
"""Completion tokens of a request at most."""

LEAST_RATE = 0.02
"""Share of the drafted tokens that must be accepted."""

LEAST_DRAFTED = 64
"""Drafted tokens before the acceptance is judged."""

LEAST_REPEATED = 16
"""Tokens of an answer that is judged to repeat one token."""


@dataclass(frozen=True, slots=True)
class SmokeAnswer:
    """One answer of the smoke test.

    Attributes:
        ids: The ids of its completion tokens.
        text: Their text.
        prompt: The first words of its prompt.
    """

    ids: tuple[int, ...]
    text: str
    prompt: str = ""


@dataclass(frozen=True, slots=True)
class SmokePace:
    """How fast a lane was, which says how long the benchmark will take.

    Attributes:
        alone_s: Mean time of an engine step with one request in flight.
        together_s: The same with ``together`` requests.
        together: Requests that were in flight together.
        tokens_per_step: Tokens that a step emits for each request.
        prefill_s: Time that a token of a prompt takes.
        answer_tokens: Mean length of an answer; None if the answers had not ended.
    """

    alone_s: float
    together_s: float
    together: int
    tokens_per_step: float
    prefill_s: float
    answer_tokens: float | None = None

    def step_s(self, concurrency: int) -> float:
        """Time of an engine step with so many requests in flight: on the line through the two that were measured."""
        if self.together <= 1:
            return self.alone_s
        slope = max(0.0, self.together_s - self.alone_s) / (self.together - 1)
        return self.alone_s + slope * (concurrency - 1)


@dataclass(frozen=True, slots=True)
class SmokeLane:
    """What the smoke test saw of one lane.

    Attributes:
        lane: The lane's name.
        k: Its K.
        answers: Requests that were answered.
        tokens: Completion tokens.
        drafted: Tokens drafted.
        accepted: Drafted tokens that the target kept.
        pace: How fast it was.
        fault: What stops the benchmark, in one sentence; empty if nothing does.
        causes: Where such a fault usually comes from, the likeliest first.
    """

    lane: str
    k: int
    answers: int
    tokens: int
    drafted: int
    accepted: int
    pace: SmokePace
    fault: str = ""
    causes: tuple[str, ...] = ()


def smoke_fault(
    info: LaneInfo, engine: LaneEngine | None, answers: Sequence[SmokeAnswer], drafted: int, accepted: int
) -> tuple[str, tuple[str, ...]]:
    """Judge a lane's answers; returns what is wrong, as a sentence about the lane, and its likely causes.

    ``info`` is the lane, ``engine`` how it computes, if that is known. Both texts are empty if nothing is wrong.
    """
    for answer in answers:
        about = f" to '{answer.prompt}'" if answer.prompt else ""
        if not answer.text.strip():
            return f"its answer{about} is empty", _EMPTY
        if len(answer.ids) >= LEAST_REPEATED and len(set(answer.ids)) == 1:
            return f"its answer{about} repeats one token", _REPEATED
    finds_repeats = info.method in FINDS_REPEATS
    if drafted >= LEAST_DRAFTED and accepted < LEAST_RATE * drafted and not finds_repeats:
        trouble = Trouble("rejected", accepted, drafted)
        causes = told(trouble, info, engine).causes
        return f"only {accepted} of {drafted} drafted tokens were accepted", causes
    return "", ()


_EMPTY = (
    "The model ends its answer at once: the chat template may not suit it, or it is a base model (try --raw).",
    "A thinking model may have put its whole answer into the part that is not shown: "
    "try --chat-template-arg enable_thinking=false.",
)
_REPEATED = (
    "The weights are damaged, or were loaded in a number format or quantisation that they are not made for.",
    "The chat template does not suit the model: compare with --raw.",
)

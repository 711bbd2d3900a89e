"""Greedy answers of each lane beside AR's: how many are identical, and where the others part from it.

In exact arithmetic they are all identical. In floating point a batch of another shape sums in another order, which
flips near ties; so AR is compared with AR once more, as the control, and of each first difference it is asked how sure
the target was there.
"""

from __future__ import annotations

import statistics
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from spectui.core.losslessness import NEAR_TIE_MARGIN, Comparison, How
from spectui.protocol.events import Prompt

MOST_WORDS = 8
"""Words of a prompt that name it in a sentence."""

LONGEST_NAME = 60
"""Characters of them at most."""


def first_words(text: str) -> str:
    """The beginning of a prompt, by which a reader finds it."""
    words = text.split()
    name = " ".join(words[:MOST_WORDS])
    if len(name) > LONGEST_NAME:
        return name[: LONGEST_NAME - 1] + "…"
    return name + " …" if len(words) > MOST_WORDS else name


@dataclass(frozen=True, slots=True)
class Name:
    """What a reader finds a prompt by.

    Attributes:
        place: Its number among those of its category, from 0.
        words: How it begins.
    """

    place: int
    words: str


def name_of(prompt: Prompt, prompts: Sequence[Prompt]) -> Name:
    """Name a prompt as it is in its set, whatever the order in which it was asked.

    Args:
        prompt: As it was asked: there may be padding before its text.
        prompts: The set.
    """
    own = list(enumerate(one for one in prompts if one.category == prompt.category))
    found = [(place, one) for place, one in own if prompt.text.endswith(one.text) and one.before == prompt.before]
    # The text of a short prompt may also be the end of a longer one.
    place, original = max(found, key=lambda item: len(item[1].text), default=(prompt.index, prompt))
    return Name(place, first_words(original.text))


@dataclass(frozen=True, slots=True)
class Parting:
    """The first difference between a lane's answer and AR's.

    Attributes:
        prompt: The prompt's number among those of its category, from 0.
        category: Its category.
        words: How it begins.
        position: Output position of the first difference, from 0.
        how: A different token, or an earlier or later end.
        own: The lane's token there as text; None where its answer has ended.
        reference: AR's; None where AR's has ended.
        margin: The target's margin between its two most likely tokens there, in nats; None if the target could not be
            asked, or only the end differs.
        behind: How far the less likely one of the two answers' tokens lies behind the most likely token, in nats. It is
            the margin if they are the two most likely ones. If the target's answer names only one of them, it is the
            least that it can be. None like the margin.
    """

    prompt: int
    category: str
    words: str
    position: int
    how: How = "token"
    own: str | None = None
    reference: str | None = None
    margin: float | None = None
    behind: float | None = None

    def near_tie(self, threshold: float = NEAR_TIE_MARGIN) -> bool | None:
        """Whether rounding explains the difference; None if the target could not be asked. Nothing explains another
        end: ends follow from the tokens and the limits."""
        if self.how != "token":
            return False
        return None if self.behind is None else self.behind <= threshold


@dataclass(frozen=True, slots=True)
class GreedyLane:
    """A lane's greedy answers beside AR's.

    Attributes:
        lane: Its name.
        title: Its name for readers.
        control: Whether it is AR itself, again.
        prompts: Answers compared.
        tokens: Tokens compared, up to the first difference of each answer.
        drafted: Tokens drafted meanwhile.
        accepted: How many of those were accepted.
        partings: The first difference of each answer that has one.
        unfinished: Answers that show no difference, but one of the two was cut short before its end.
    """

    lane: str
    title: str
    control: bool
    prompts: int
    tokens: int
    drafted: int = 0
    accepted: int = 0
    partings: tuple[Parting, ...] = ()
    unfinished: int = 0

    @property
    def identical(self) -> int:
        """Answers that are AR's, to the end."""
        return self.prompts - len(self.partings) - self.unfinished

    @property
    def earliest(self) -> int | None:
        """The earliest position of a difference."""
        return min((one.position for one in self.partings), default=None)

    @property
    def median(self) -> float | None:
        """The median position of the differences."""
        return statistics.median(one.position for one in self.partings) if self.partings else None

    def near_ties(self, threshold: float) -> tuple[Parting, ...]:
        """Differences that rounding explains."""
        return tuple(one for one in self.partings if one.near_tie(threshold) is True)

    def real(self, threshold: float) -> tuple[Parting, ...]:
        """Differences that it does not explain."""
        return tuple(one for one in self.partings if one.near_tie(threshold) is False)

    def unknown(self, threshold: float) -> tuple[Parting, ...]:
        """Differences at which the target could not be asked."""
        return tuple(one for one in self.partings if one.near_tie(threshold) is None)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> GreedyLane:
        """The reverse of `dataclasses.asdict`, also after a way through JSON."""
        return cls(**{**data, "partings": tuple(Parting(**one) for one in data["partings"])})


@dataclass(frozen=True, slots=True)
class Losslessness:
    """The greedy check of a run.

    Attributes:
        lanes: AR's control first, then the lanes in the order of the run.
        tokens: The longest that an answer could be.
        concurrency: Requests in flight.
        threshold: The largest distance, in nats, that counts as a near tie.
        left_out: Prompts that were not compared: they leave no room for an answer, or the model cannot take them.
    """

    lanes: tuple[GreedyLane, ...]
    tokens: int
    concurrency: int
    threshold: float = NEAR_TIE_MARGIN
    left_out: int = 0

    @property
    def judged(self) -> bool:
        """Whether AR agrees with itself, so that other lanes can be held against it."""
        return not any(lane.real(self.threshold) for lane in self.lanes if lane.control)

    @property
    def failed(self) -> bool:
        """Whether any lane, AR too, really disagrees with AR: the run must not end with exit code 0."""
        return any(lane.real(self.threshold) for lane in self.lanes)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Losslessness:
        """The reverse of `dataclasses.asdict`, also after a way through JSON."""
        return cls(**{**data, "lanes": tuple(map(GreedyLane.from_dict, data["lanes"]))})


@dataclass(frozen=True, slots=True)
class Answer:
    """A finished answer. ``whole`` says whether it came to its own end, rather than being aborted."""

    ids: Sequence[int]
    whole: bool = True


def first_difference(reference: Answer, answer: Answer) -> tuple[int, How] | None:
    """Where ``answer`` leaves ``reference``, and how; None if it is the same."""
    comparison = Comparison(array("l", reference.ids), array("l", answer.ids))
    position = comparison.update(reference.whole, answer.whole)
    return None if position is None else (position, comparison.how)


def distances(likeliest: Sequence[tuple[int, float]], *tokens: int) -> tuple[float | None, float | None]:
    """Return the `Parting.margin` and `Parting.behind` of tokens.

    Args:
        likeliest: The target's most likely tokens there with their log-probabilities, the likeliest first.
        tokens: The tokens of the two answers.

    Worked example: the target gives A a log-probability of -0.5, B -0.7, C -1.5. Its margin is 0.2. An answer with B
    beside one with A is 0.2 behind, one with C 1.0, one with another token more than that.
    """
    if len(likeliest) < 2:
        return None, None
    top = likeliest[0][1]
    known = dict(likeliest)
    last = likeliest[-1][1]
    return top - likeliest[1][1], max(top - known.get(token, last) for token in tokens)

"""Estimates the throughput of each K: expected tokens per step over the expected time of a step.

``tokens(K) / t(K)`` is the improvement of Leviathan et al. 2023 ("Fast inference from transformers via speculative
decoding", section 3), with measurements in place of a single acceptance rate and of a ratio of two models' costs. It is
an estimate, and every screen that shows it says so.

Definitions:
    ``c_i``: the share of all steps, with or without a draft, in which the first i drafted tokens were accepted. If
        every step drafts K tokens, this is the acceptance at position i; if only a share s does, it is s times that.
    ``tokens(K) = 1 + c_1 + ... + c_K``: the target's own token, and the drafted tokens that it keeps.
    ``t(K) = s d(K) + (1 - s) b``: s is the share of engine steps with a draft, d(K) their time, a straight line over K,
    and b the mean time of the other steps.

Worked example: an n-gram lane finds a draft in one step of five. At K = 5 four of five drafted tokens are accepted:
``c = (0.2, 0.2, 0.2, 0.2, 0)`` and ``tokens = 1.8``. A step with a draft takes 14 ms, one without 9 ms:
``t = 0.2 * 14 + 0.8 * 9 = 10 ms``. That is 180 tok/s.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Self


@dataclass(frozen=True, slots=True)
class StepTime:
    """Mean time of a step in seconds, split into parts. If a lane's parts are not measured, ``rest`` is the whole."""

    draft: float
    verify: float
    rest: float

    @property
    def total(self) -> float:
        return self.draft + self.verify + self.rest

    def mixed(self, other: StepTime, share: float) -> StepTime:
        """The mean of steps of which ``share`` take this time and the rest take ``other``."""
        return StepTime(
            share * self.draft + (1 - share) * other.draft,
            share * self.verify + (1 - share) * other.verify,
            share * self.rest + (1 - share) * other.rest,
        )


_NO_TIME = StepTime(0.0, 0.0, 0.0)


@dataclass(frozen=True, slots=True)
class Observed:
    """Engine steps that were allowed ``k`` drafts.

    Attributes:
        k: Drafted tokens that were allowed.
        steps: Steps that had a draft; at K = 0 all of them.
        time: Their mean time.
        bare_steps: Steps that had no draft although one was allowed.
        bare: Their mean time.
    """

    k: int
    steps: int
    time: StepTime
    bare_steps: int = 0
    bare: StepTime = _NO_TIME

    @property
    def share(self) -> float:
        """Share of the steps that had a draft."""
        return self.steps / (self.steps + self.bare_steps)


@dataclass(frozen=True, slots=True)
class Drafts:
    """The results of drafting at ``k``.

    Attributes:
        k: Drafted tokens that were allowed.
        share: Share of a request's steps that had a draft.
        kept: ``kept[i - 1]`` is the share of all its steps in which the first i drafted tokens were accepted.
    """

    k: int
    share: float
    kept: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Estimate:
    """Estimated tokens per second of one request.

    Attributes:
        tok_s: None if the measurements do not support an estimate.
        why: The reason, if there is no estimate.
        accepted_at: The K at which the acceptance behind it was measured, None if none is needed.
    """

    tok_s: float | None
    why: str = ""
    accepted_at: int | None = None


@dataclass(frozen=True, slots=True)
class Line:
    """``base + slope * x``, fitted to measurements from ``low`` to ``high``."""

    base: float
    slope: float
    low: float
    high: float

    @classmethod
    def through(cls, points: Sequence[tuple[float, float, int]]) -> Self:
        """Fit by weighted least squares to at least one (x, y, weight); flat if all points have the same x."""
        weight = sum(w for *_, w in points)
        mean_x = sum(w * x for x, _, w in points) / weight
        mean = sum(w * y for _, y, w in points) / weight
        spread = sum(w * (x - mean_x) ** 2 for x, _, w in points)
        slope = sum(w * (x - mean_x) * (y - mean) for x, y, w in points) / spread if spread else 0.0
        xs = [x for x, *_ in points]
        return cls(mean - slope * mean_x, slope, min(xs), max(xs))

    def at(self, x: float) -> float:
        return self.base + self.slope * x

    def carries(self, x: float) -> bool:
        """Whether ``x`` is within the measured range, or no further outside it than the range is wide."""
        reach = self.high - self.low
        return self.low - reach <= x <= self.high + reach


FIRST_PASS = 0.5
"""The part of the draft line's value at 0 that is taken for the drafter's first pass if K = 0 was never measured; vLLM
makes that pass at K = 0 too, without the output matrix. Measured on the demo model: a third to two thirds."""


@dataclass(frozen=True, slots=True)
class _Lines:
    """A line for each part of a step's time."""

    draft: Line
    verify: Line
    rest: Line

    def carries(self, k: int) -> bool:
        return self.verify.carries(k)

    def at(self, k: int) -> StepTime:
        # Noise may push a small part below 0; `CostModel._sound` checks the whole step.
        draft = self.draft.at(k) if k else FIRST_PASS * self.draft.at(0)
        return StepTime(max(0.0, draft), max(0.0, self.verify.at(k)), max(0.0, self.rest.at(k)))


class CostModel:
    """Step time as a function of K: a straight line for each part from K = 1 on, with K = 0 apart.

    At K = 0 vLLM runs only the drafter's first pass, and the target's forward pass has one row, for which engines have
    special kernels; so K = 0 lies on none of the lines. If K = 0 was never measured, it is taken from the lines. If it
    was, it gives the lines a second point where only one K from 1 on was measured, or only K that are too large.
    Nothing is estimated further from the measured K than these are from each other, nor where the line leaves no time
    for the target's forward pass.
    """

    def __init__(self, observed: Sequence[Observed]) -> None:
        """Fit the lines to the measurements, each K weighted by its steps.

        Raises:
            ValueError: Nothing was measured.
        """
        self._observed = [o for o in observed if o.steps + o.bare_steps]
        if not self._observed:
            raise ValueError("a cost model needs steps of at least one K")
        self._plain = next((o.time for o in self._observed if not o.k), None)
        self._drafting = [o for o in self._observed if o.k and o.steps]
        self._bare = _mean([(o.bare_steps, o.bare) for o in self._observed if o.k])
        self._lines = _lines([(o.k, o.steps, o.time) for o in self._drafting])
        self._up_from_plain = self._chord()

    def _chord(self) -> _Lines | None:
        """The lines from K = 0, where no drafted token costs anything, to the smallest K that drafted."""
        if self._plain is None or self._lines is None:
            return None
        low = min(o.k for o in self._drafting)
        ends = ((0, StepTime(0.0, self._plain.verify, self._plain.rest)), (low, self._lines.at(low)))
        return _lines([(k, 1, time) for k, time in ends])

    def _carrying(self, k: int) -> _Lines | None:
        """The lines that are valid at ``k``."""
        if self._lines is None or self._lines.carries(k):
            return self._lines
        chord, ks = self._up_from_plain, [o.k for o in self._drafting]
        return chord if chord is not None and chord.carries(k) and (k < min(ks) or len(ks) == 1) else None

    def time(self, k: int) -> StepTime | None:
        """Estimated mean time of a step that may draft ``k`` tokens; None where `doubt` says why not."""
        found = self._plain if not k and self._plain is not None else self._mixed(k)
        return found if found is not None and found.total > 0 else None

    def _mixed(self, k: int) -> StepTime | None:
        """The mean time of steps with and without a draft, weighted by how often each occurs."""
        nearest = _nearest(k, [o.k for o in self._observed if o.k])
        share = next((o.share for o in self._observed if o.k == nearest), 1.0)
        if not share:
            return self._bare
        lines = self._carrying(k)
        drafting = None if lines is None else lines.at(k)
        if drafting is None or not self._sound(drafting):
            return None
        return drafting if self._bare is None else drafting.mixed(self._bare, share)

    def _sound(self, time: StepTime) -> bool:
        """Whether the line leaves time for what every step must do."""
        verified = any(o.time.verify > 0 for o in self._drafting)
        return (time.verify if verified else time.total) > 0

    def doubt(self, k: int) -> str:
        """Why the time of a step at ``k`` cannot be estimated; an empty string if it can."""
        if self.time(k) is not None:
            return ""
        ks = sorted(o.k for o in self._drafting or self._observed)
        if self._drafting and self._carrying(k) is not None:
            return f"the line through the step times at K = {_listed(ks)} leaves no time there"
        if len(ks) == 1:
            return f"only K = {ks[0]} was measured"
        return f"too far from the measured K ({_listed(ks)})"

    def estimate(self, k: int, drafts: Iterable[Drafts]) -> Estimate:
        """Estimated tokens per second of one request at ``k``.

        Args:
            k: Drafted tokens that are allowed.
            drafts: The drafting results at each K that was measured. The acceptance at a position may depend on K, as
                with a drafter that proposes all positions at once (DFlash). So the acceptance at ``k`` itself is used
                if there is one, else that of the next larger K, which has every position, else that of the largest.
        """
        if why := self.doubt(k):
            return Estimate(None, why)
        time = self.time(k)
        assert time is not None
        if not k:
            return Estimate(1 / time.total)
        known = {one.k: one for one in drafts if one.k}
        source = _nearest(k, known)
        if source is None or not any(one.share for one in known.values()):
            return Estimate(None, "nothing was drafted")
        return Estimate(tokens_per_step(k, known[source].kept, known[source].share) / time.total, accepted_at=source)


def _lines(points: Sequence[tuple[int, int, StepTime]]) -> _Lines | None:
    """Fit a line to each part of (K, steps, time); None without points."""
    if not points:
        return None
    return _Lines(
        Line.through([(k, time.draft, steps) for k, steps, time in points]),
        Line.through([(k, time.verify, steps) for k, steps, time in points]),
        Line.through([(k, time.rest, steps) for k, steps, time in points]),
    )


def _mean(times: Sequence[tuple[int, StepTime]]) -> StepTime | None:
    """The mean time over all (steps, their mean time); None without steps."""
    mean, steps = _NO_TIME, 0
    for count, time in times:
        if count:
            steps += count
            mean = time.mixed(mean, count / steps)
    return mean if steps else None


def _nearest(k: int, ks: Iterable[int]) -> int | None:
    """The smallest of ``ks`` that is at least ``k``, else the largest; None if there are none."""
    ordered = sorted(ks)
    return next((one for one in ordered if one >= k), ordered[-1] if ordered else None)


def _listed(ks: Sequence[int]) -> str:
    return f"{', '.join(map(str, ks[:-1]))} and {ks[-1]}" if len(ks) > 1 else str(ks[0])


def tokens_per_step(k: int, kept: Sequence[float], share: float = 1.0) -> float:
    """Expected tokens of a step that may draft ``k``, the target's own included: 1 + the sum of ``kept`` up to ``k``.

    Args:
        k: Drafted tokens that are allowed.
        kept: Share of all steps in which the first 1, 2, ... drafted tokens were accepted. Beyond the last one, each
            position is reached after the one before it as often as the last known one was.
        share: Share of the steps that have a draft at all.
    """
    reached = [min(max(one, 0.0), 1.0) for one in (share, *kept[:k])]
    if len(reached) == 1:
        return 1.0
    onward = reached[-1] / reached[-2] if reached[-2] else 0.0
    while len(reached) <= k:
        reached.append(reached[-1] * min(onward, 1.0))
    return 1.0 + sum(reached[1:])


def held_out(observed: Sequence[Observed], drafts: Sequence[Drafts]) -> dict[int, float]:
    """Estimate each K without using its own steps and acceptance.

    Returns:
        Estimated tokens per second of one request for every K that can be estimated from two or more others.
    """
    estimates: dict[int, float] = {}
    for one in observed:
        others = [other for other in observed if other.k != one.k]
        if len(others) < 2:
            continue
        found = CostModel(others).estimate(one.k, [other for other in drafts if other.k != one.k])
        if found.tok_s is not None:
            estimates[one.k] = found.tok_s
    return estimates

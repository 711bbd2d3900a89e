"""Chooses a lane's K step by step, from what was accepted lately and from what its steps were measured to cost.

The estimate is that of `spectui.core.cost`: ``tokens(K) / t(K)``, the tokens of a step over its time, and the policy
takes the K where it is largest. It knows nothing of the text and draws no random numbers.

Tokens:
    ``tokens(K) = 1 + p_1 + p_1 p_2 + ... + p_1 ... p_K``, where ``p_i`` is the acceptance at position i given that the
    position was reached. A draft that ended before it counts as refused. Two estimates of ``p_i`` are kept, one that
    forgets (`FORGET`) and a slow one (`SLOW`). The first is drawn towards the second as if that were `DRAWN` further
    cases: few cases are not believed, and a position that has not been drafted lately falls back to what it usually
    was. The slow one in turn begins at the estimate of the position before, as if that were `BORROWED` cases, so that a
    position that was never drafted is tried where it might pay.
Time:
    ``t(K) = level * relative(K)``. The level follows the machine quickly, so that what slows all steps down favours no
    K; what a K costs relative to others is learnt from steps that come soon after each other. Where few were measured
    it is drawn towards a straight line through the other K, as if that were `TOWARDS_LINE` steps; K = 0 lies on no
    line. All this is kept for 1, for 2 or 3, for 4 to 7 requests in flight, and so on. Not counted are steps whose time
    the caller withholds, such as those that processed a prompt, and a step after a change of K, which verifies a draft
    of the old K while it makes one of the new. Disturbed steps, and those that took `OUTLIER` times what they should
    have, count only once there was nothing else for `PATIENCE` steps.
Choice:
    K changes where the estimate promises `GAIN`. At first, and where more requests are in flight than before, several K
    take `TRIAL` steps each. Later, a K is tried in this way now and then: the one above, because only drafting a
    position tells how it is; the one below, for its time; and the best of all while K is 0. A trial waits until what it
    is expected to lose is no more than `BUDGET` of the throughput since the last one, and waits longer if the one
    before changed nothing.
"""

from __future__ import annotations

from typing import Final

FORGET: Final = 0.98
"""What a verified draft counts once the next one has come: a memory of about 50."""

SLOW: Final = 0.003
"""How far one case moves the slow estimate, once it has many."""

DRAWN: Final = 5.0
BORROWED: Final = 4.0
FIRST_GUESS: Final = 0.8
"""Acceptance of position 1 before anything was drafted."""

GAIN: Final = 1.01
"""Ratio of two estimates from which K changes."""

TRIAL: Final = 4
"""Steps of a trial; the first of them measures no time."""

BUDGET: Final = 0.004
REST: Final = 16
"""Steps between two trials, and before a K is tried again, at least."""

MOST_REST: Final = 8
"""How many times as long the wait for the next trial of a K becomes at most."""

LEVEL: Final = 0.05
"""How far a step moves the level."""

SETTLED: Final = 40
"""Steps after which the relative time of a K moves only by a quarter of their share."""

STALE: Final = 4
"""Steps that all earlier ones at a K count as when it is returned to; at least `TRIAL`."""

TOWARDS_LINE: Final = 3.0
OUTLIER: Final = 1.7
PATIENCE: Final = 24


class _Times:
    """The time of a step at each K, with about so many requests in flight.

    Attributes:
        shown: The relative time of each K, as the choice takes it.
    """

    __slots__ = ("_count", "_level", "_relative", "_skipped", "_steps", "shown")

    def __init__(self, k_max: int) -> None:
        self._level = 0.0
        self._steps = self._skipped = 0
        self._relative = [1.0] * (k_max + 1)
        self._count = [0.0] * (k_max + 1)
        self.shown = list(self._relative)

    def add(self, k: int, wall: float, disturbed: bool) -> None:
        """Count a step. Of few steps the fastest stands for all, since the first of an engine may be far slower."""
        relative, count = self._relative, self._count[k]
        if disturbed or (count >= 2 and wall > OUTLIER * self._level * relative[k] > 0):
            self._skipped += 1
            if self._skipped <= PATIENCE:
                return
        else:
            self._skipped = 0
        self._count[k] = count = count + 1
        self._steps += 1
        if self._steps < TRIAL:
            self._level = min(self._level or wall, wall)
            return
        own = wall / self._level
        if count < TRIAL:
            relative[k] = min(own, relative[k]) if count > 1 else own
            return
        relative[k] += (own - relative[k]) / (count if count < SETTLED else 4 * SETTLED)
        self._level += LEVEL * (wall / relative[k] - self._level)

    def returned(self, k: int) -> None:
        """Let the next steps at ``k`` weigh more than those of long ago."""
        self._count[k] = min(self._count[k], STALE)

    def refresh(self) -> None:
        """Bring `shown` up to date."""
        known = [(k, min(n, SETTLED), self._relative[k]) for k, n in enumerate(self._count) if k and n]
        if not known:
            return
        weight = sum(n for _, n, _ in known)
        mean_k = sum(n * k for k, n, _ in known) / weight
        mean = sum(n * time for _, n, time in known) / weight
        spread = sum(n * (k - mean_k) ** 2 for k, n, _ in known)
        slope = sum(n * (k - mean_k) * (time - mean) for k, n, time in known) / spread if spread else 0.0
        # A longer draft is never cheaper, but noise between two K may say so.
        slope = max(slope, 0.0)
        for k, n in enumerate(self._count):
            line = max(mean + slope * (k - mean_k), 0.1 * mean)
            own = n / (n + TOWARDS_LINE) if k else float(n > 0)
            self.shown[k] = own * self._relative[k] + (1 - own) * line


class AutoK:
    """The policy for one lane: after each engine step, call `observe` for every draft that it verified, then `decide`.

    Attributes:
        k_max: The largest K.
        k: Tokens to draft in the next engine step.
    """

    def __init__(self, k_max: int, start: int | None = None) -> None:
        """Begin at ``start``, else at ``k_max``, which is at least 1."""
        self.k_max = k_max
        self.k = self._home = k_max if start is None else min(max(start, 0), k_max)
        self._unit = 1.0
        self._tried = [0.0] * k_max
        self._kept = [0.0] * k_max
        self._usual = [0.0] * k_max
        self._cases = [0] * k_max
        self._drawn_to = [FIRST_GUESS] * k_max
        self._rates = [1.0] * (k_max + 1)
        self._times: dict[int, _Times] = {}
        self._now = _Times(k_max)
        self._size = 0
        self._verified: int | None = None
        self._steps = self._since = 0
        self._left = 0
        self._first: list[int] = []
        self._waits = [1] * (k_max + 1)
        self._tried_at = [0] * (k_max + 1)

    def observe(self, k: int, accepted: int) -> None:
        """Count a request's draft of at most ``k`` tokens, of which ``accepted`` were kept: 0 if there was no draft."""
        self._verified = k
        self._unit = unit = self._unit / FORGET
        for i in range(accepted):
            self._kept[i] += unit
            self._case(i, unit, 1.0)
        if accepted < k:
            self._case(accepted, unit, 0.0)
        if unit > 1e200:
            self._unit = 1.0
            self._tried = [tried / unit for tried in self._tried]
            self._kept = [kept / unit for kept in self._kept]

    def _case(self, i: int, unit: float, kept: float) -> None:
        self._tried[i] += unit
        self._cases[i] += 1
        self._usual[i] += (kept - self._usual[i]) * max(1.0 / self._cases[i], SLOW)

    def decide(self, wall_ns: float | None, batch: int = 1, disturbed: bool = False) -> int:
        """End an engine step; returns the K of the next one.

        Args:
            wall_ns: The time of the step; None if it says nothing about the cost of a K.
            batch: Requests that shared it.
            disturbed: Whether something held it up.
        """
        if (size := batch.bit_length()) != self._size:
            self._share(size)
        if wall_ns is not None and self._verified == self.k:
            self._now.add(self.k, wall_ns, disturbed)
        self._verified = None
        self._steps += 1
        if self._left:
            self._left -= 1
            if not self._left:
                self._end_trial()
            return self.k
        if not self._steps % TRIAL:
            self._refresh()
        self._since += 1
        best = self._best(self.k)
        if best != self.k:
            self._now.returned(best)
            self.k = best
        elif self._since >= REST:
            self._begin_trial()
        return self.k

    def _share(self, size: int) -> None:
        """Go on with what is known for other numbers of requests in flight, or learn it."""
        if size not in self._times:
            self._times[size] = _Times(self.k_max)
            self._home = self._home if self._left else self.k
            # The last is the next.
            self._first = [self._home, *sorted({0, 1, (self.k_max + 1) // 2, self.k_max} - {self._home})]
            self._left = TRIAL
        self._size, self._now = size, self._times[size]
        self._refresh()

    def _refresh(self) -> None:
        self._now.refresh()
        usual = FIRST_GUESS
        for i, cases in enumerate(self._cases):
            self._drawn_to[i] = usual = (cases * self._usual[i] + BORROWED * usual) / (cases + BORROWED)

    def _best(self, k: int) -> int:
        """The K with the highest estimate; ``k`` unless that is clearly better."""
        rates, shown = self._rates, self._now.shown
        drawn = DRAWN * self._unit
        tokens = reached = 1.0
        rates[0] = 1.0 / shown[0]
        cases = zip(self._kept, self._tried, self._drawn_to, strict=True)
        for i, (kept, tried, usual) in enumerate(cases, 1):
            reached *= (kept + drawn * usual) / (tried + drawn)
            tokens += reached
            rates[i] = tokens / shown[i]
        highest = max(rates)
        return rates.index(highest) if highest > GAIN * rates[k] else k

    def _end_trial(self) -> None:
        self._refresh()
        self._since = 0
        if self._first:
            self.k = self._first.pop()
            self._left = TRIAL if self._first else 0
            return
        tried, self.k = self.k, self._best(self._home)
        self._waits[tried] = 1 if self.k == tried else min(MOST_REST, 2 * self._waits[tried])
        self._tried_at[tried] = self._steps

    def _begin_trial(self) -> None:
        """Try another K if that is due and can be afforded."""
        rates, k = self._rates, self.k
        near = (k - 1, k + 1) if k else (max(range(1, self.k_max + 1), key=rates.__getitem__),)
        due = [
            one for one in near if one <= self.k_max and self._steps - self._tried_at[one] >= REST * self._waits[one]
        ]
        if not due:
            return
        other = min(due, key=self._tried_at.__getitem__)
        if TRIAL * max(0.02, 1 - rates[other] / rates[k]) <= BUDGET * self._since:
            self._home, self.k, self._left = k, other, TRIAL
            self._now.returned(other)

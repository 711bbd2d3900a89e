"""One endpoint's requests and steps as events, checked and counted. Whatever makes no sense changes nothing."""

from __future__ import annotations

from collections.abc import Iterator

from spectui.protocol import events as ev
from spectui.protocol.limits import MAX_K, MAX_TOKENS
from spectui.sources.attached import sense
from spectui.sources.attached.reckoning import Reckoning
from spectui.sources.attached.requests import Place, Request
from spectui.sources.vllm.pieces import TokenTable
from spectui.wire import messages as wire

Told = list[ev.Event]


class NonsenseError(ValueError):
    """An item makes no sense; nothing of it was counted."""


class Session:
    """What one endpoint's server does, from one of its starts to the next.

    Attributes:
        sums: The lane's sums, which go on when the server is started again.
        k: Tokens that may be drafted; None until the server has said so.
        lossy: Whether messages may have been missed since the server last named its requests.
    """

    def __init__(self, lane: str, slots: Iterator[int]) -> None:
        """Prepare; ``slots`` gives places to requests."""
        self.sums = Reckoning(lane)
        self.k: int | None = None
        self.lossy = False
        self._lane = lane
        self._slots = slots
        self._requests: dict[int, Request] = {}

    def over(self) -> Told:
        """The server was started again: of how its requests ended nothing was seen."""
        events: Told = [self._unseen(request) for request in self._requests.values()]
        self._requests.clear()
        self.sums.forget()
        self.k, self.lossy = None, False
        return events

    def stand(self, standing: wire.Standing, totals: ev.Totals, *, older: bool) -> Told:
        """Take the server's own sums.

        Args:
            standing: What it says.
            totals: Its totals, which make sense by themselves.
            older: Whether the session is older than the end of the last one, if these are its first sums.

        Raises:
            NonsenseError: They contradict what was known.
        """
        gap: ev.Gap | None
        if not self.sums.began:
            if not self.sums.fits(totals, standing.clock_ns):
                raise NonsenseError
            gap = self.sums.begin(totals, standing.clock_ns, older=older)
        else:
            missing = self.sums.missing(totals, standing.clock_ns)
            if missing is None:
                raise NonsenseError
            gap = self.sums.skip(missing, standing.clock_ns)
        events: Told = [] if gap is None else [gap]
        if self.k is None:
            events += self.set_k(standing.k, "default")
        return events + self._reconcile(standing.running)

    def running(self, standing: wire.Standing, at_ns: int) -> tuple[ev.InFlight, ...]:
        """The requests in flight that the server names, at its time ``at_ns``."""
        return tuple(
            ev.InFlight(request.slot, max(0, at_ns - running.started_ns))
            for running in standing.running
            if (request := self._requests.get(running.slot)) is not None
        )

    def set_k(self, k: int, source: ev.KSource) -> Told:
        """From now on ``k`` tokens may be drafted.

        Raises:
            NonsenseError: No server drafts so many.
        """
        if not 0 <= k <= MAX_K:
            raise NonsenseError
        if k == self.k:
            return []
        self.k = k
        return [ev.KChanged(self._lane, k, source)]

    def begin(self, began: wire.Began) -> Told:
        """A request began.

        Raises:
            NonsenseError: It is there already, or one too many, or impossible.
        """
        full = len(self._requests) >= sense.MOST_REQUESTS
        if full or began.slot in self._requests or not sense.sound_began(began):
            raise NonsenseError
        ids = tuple(began.prompt_ids)
        request = self._requests[began.slot] = Request(began.request, next(self._slots))
        request.remember(ids)
        return [ev.RequestStarted(self._lane, began.request, request.slot, began.prompt_tokens, prompt_ids=ids)]

    def end(self, ended: wire.Ended) -> Told:
        """A request ended; one of which the beginning was missed does not matter.

        Raises:
            NonsenseError: It had more tokens before.
        """
        request = self._requests.get(ended.slot)
        if request is None:
            return []
        if not request.emitted <= ended.emitted <= MAX_TOKENS:
            raise NonsenseError
        del self._requests[ended.slot]
        return [ev.RequestFinished(self._lane, request.request, request.slot, ended.reason, ended.emitted)]

    def preempt(self, slot: int) -> Told:
        """A request's cache was taken away."""
        request = self._requests.get(slot)
        return [] if request is None else [ev.Preempted(self._lane, request.request)]

    def step(self, step: wire.EngineStep, table: TokenTable | None) -> Told:
        """Count an engine step, and what is missing before it.

        Args:
            step: The engine step.
            table: The vocabulary for its texts; None if there is none.

        Raises:
            NonsenseError: It is impossible, or contradicts what was known.
        """
        totals = sense.totals(step.totals)
        if totals is None or not sense.sound_step(step):
            raise NonsenseError
        known = [(row, request) for row in step.rows if (request := self._requests.get(row.slot)) is not None]
        own = ev.NOTHING
        for row, request in known:
            if not request.fits(row):
                raise NonsenseError
            own = own.plus(own_totals(row))
        # Rows of requests of which the beginning was missed count among what is missing.
        missing = self.sums.missing(totals, step.clock_ns, own)
        if missing is None:
            raise NonsenseError
        gap = self.sums.skip(missing, step.clock_ns - step.wall_ns)
        events: Told = [] if gap is None else [gap]
        reached, clock_ns = self.sums.totals, self.sums.clock_after(step.clock_ns)
        for row, request in known:
            reached = reached.plus(own_totals(row))
            events.append(request.step(row, Place(self._lane, step, clock_ns, reached), table))
        self.sums.follow(totals, step.clock_ns)
        return events

    def _reconcile(self, running: list[wire.Running]) -> Told:
        """Find out which requests began or ended without being seen."""
        events: Told = []
        listed = {one.slot for one in running}
        # A server with very many requests names the oldest only.
        last = max(listed) if len(listed) >= wire.MOST_RUNNING else None
        for slot, request in list(self._requests.items()):
            if slot not in listed and (request.listed or self.lossy) and (last is None or slot < last):
                events.append(self._unseen(self._requests.pop(slot)))
        for one in running:
            if one.slot not in self._requests:
                if len(self._requests) >= sense.MOST_REQUESTS:
                    continue
                began = self._requests[one.slot] = Request(one.request, next(self._slots))
                events.append(ev.RequestStarted(self._lane, one.request, began.slot, one.prompt_tokens))
            request = self._requests[one.slot]
            request.listed = True
            request.skip_to(one.steps, one.emitted)
        self.lossy = False
        return events

    def _unseen(self, request: Request) -> ev.RequestFinished:
        return ev.RequestFinished(self._lane, request.request, request.slot, "unseen", request.emitted)


def own_totals(row: wire.Row) -> ev.Totals:
    """The totals of one row alone; servers count no silent steps."""
    sampled = sense.counted(row.sampled)
    own = ev.NOTHING.after(sense.counted(row.drafted), row.accepted, row.emitted, sampled - row.emitted)
    return own._replace(silent=0)

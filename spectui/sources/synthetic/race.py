"""A made-up race without threads or waiting: the same seed and the same calls give the same events."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from spectui.protocol import events as ev
from spectui.protocol.commands import Fork
from spectui.sources.synthetic.forking import Going, SyntheticFork, fork_of
from spectui.sources.synthetic.text import Answer, Vocabulary


@dataclass(frozen=True, slots=True)
class SyntheticLane:
    """How a made-up lane behaves.

    Attributes:
        info: The lane's description; ``info.k_max`` is also its first K.
        accept: Probability that the draft at position i is accepted if those before it were; the last one repeats.
        proposes: Share of steps that have a draft.
        verify_ms: The target's part of a step; every token beyond the first adds ``verify_token_ms``.
        draft_ms: The drafter's part of a step with a draft.
        fails_at: The loading stage at which the lane fails, None if it loads.
        fails_after: Steps after which the lane fails in a race, None if it does not.
        diverges_at: Output position from which the lane differs from the target, None if it never does.
        engine: How its engine computes, None if it does not say.
    """

    info: ev.LaneInfo
    accept: tuple[float, ...] = ()
    proposes: float = 1.0
    verify_ms: float = 27.0
    verify_token_ms: float = 0.15
    draft_ms: float = 0.0
    fails_at: ev.StageName | None = None
    fails_after: int | None = None
    diverges_at: int | None = None
    engine: ev.LaneEngine | None = None


def _cpu(lane: str) -> ev.LaneEngine:
    """An engine like those of the demo on a CPU."""
    return ev.LaneEngine(
        lane, "cpu", "V1", True, "none", (), "synchronous", ("CPU_ATTN",), "bfloat16", "none", "auto", "0.32.0"
    )


def demo_lanes() -> tuple[SyntheticLane, ...]:
    """AR, MTP and DFlash, with times and acceptance as measured on the demo target."""
    return (
        SyntheticLane(ev.LaneInfo("ar", "ar", "AR", 0, "ar"), engine=_cpu("ar")),
        SyntheticLane(
            ev.LaneInfo("mtp", "mtp", "MTP", 2, "mtp:k=2"),
            accept=(0.62, 0.55),
            verify_ms=27.2,
            draft_ms=9.8,
            engine=_cpu("mtp"),
        ),
        SyntheticLane(
            ev.LaneInfo("dflash", "dflash", "DFlash", 5, "dflash:k=5"),
            accept=(0.66, 0.62, 0.60, 0.58, 0.55),
            verify_ms=28.4,
            draft_ms=5.1,
            engine=_cpu("dflash"),
        ),
    )


@dataclass(slots=True)
class _Request:
    name: str
    slot: int
    answer: Answer
    rng: random.Random
    start: int = 0
    emitted: int = 0
    steps: int = 0
    finished: bool = False


@dataclass(slots=True)
class _LaneRun:
    lane: SyntheticLane
    k: int
    ready: bool = False
    clock_ns: int = 0
    start_ns: int = 0
    steps: int = 0
    totals: ev.Totals = ev.NOTHING
    requests: list[_Request] = field(default_factory=list)

    @property
    def running(self) -> list[_Request]:
        return [request for request in self.requests if not request.finished]


class SyntheticRace:
    """The lanes' state between steps. Every method that changes it yields the resulting events."""

    def __init__(self, lanes: tuple[SyntheticLane, ...], seed: int) -> None:
        self._seed = seed
        self._vocabulary = Vocabulary()
        self._runs = {lane.info.name: _LaneRun(lane, lane.info.k_max) for lane in lanes}
        self._sampling = ev.Sampling()
        self._prompts: tuple[ev.Prompt, ...] = ()
        self._round = -1
        self._open = False

    @property
    def running(self) -> bool:
        """Whether the round has an unfinished request in a lane that is alive."""
        return any(run.running for run in self._runs.values())

    def ready(self, lane: str) -> None:
        """Let ``lane`` take part from the next round on."""
        self._runs[lane].ready = True

    def begin(self, prompts: tuple[ev.Prompt, ...], sampling: ev.Sampling) -> Iterator[ev.TraceEvent]:
        """Start a round with ``prompts`` in every ready lane; requests that are still running are aborted."""
        yield from self._begin(prompts, sampling, None)

    def fork(self, fork: SyntheticFork, sampling: ev.Sampling) -> Iterator[ev.TraceEvent]:
        """Start a round that goes on with an answer from its middle."""
        yield from self._begin((fork.prompt,), replace(sampling, max_tokens=fork.max_tokens), fork)

    def forked(self, asked: Fork, parent: SyntheticFork | None) -> SyntheticFork | str:
        """Fork an answer of the round, which is ``parent`` if it is a fork itself; or say why that is impossible."""
        run = self._runs.get(asked.lane)
        request = next((one for one in run.requests if one.slot == asked.slot), None) if run else None
        if run is None or request is None or asked.round != self._round:
            return "that round is over: look at a step of this one (i), and fork it there"
        answer = [self._target(run, request, place) for place in range(request.emitted)]
        prompt = self._prompts[asked.slot]
        going = Going(self._vocabulary, prompt, request.answer, request.start, answer, self._sampling.max_tokens)
        return fork_of(going, asked, parent)

    def _begin(
        self, prompts: tuple[ev.Prompt, ...], sampling: ev.Sampling, fork: SyntheticFork | None
    ) -> Iterator[ev.TraceEvent]:
        yield from self.abort(None)
        yield from self._close()
        self._round += 1
        self._open = True
        self._prompts, self._sampling = prompts, sampling
        yield ev.RoundStarted(self._round, prompts, sampling, parent=fork.branch if fork else None)
        answers = [fork.answer] if fork else [Answer(self._vocabulary, one.text, self._seed) for one in prompts]
        start = fork.start if fork else 0
        for name, run in self._runs.items():
            run.requests = []
            run.start_ns = run.clock_ns
            if not run.ready:
                continue
            for slot, (prompt, answer) in enumerate(zip(prompts, answers, strict=True)):
                rng = random.Random(f"{self._seed}:{name}:{slot}:{prompt.text}")
                request = _Request(f"{self._round}-{slot}", slot, answer, rng, start)
                run.requests.append(request)
                ids = (*self._vocabulary.encode(prompt.text), *map(answer.token, range(start)))
                yield ev.RequestStarted(name, request.name, slot, len(ids), prompt_ids=ids)
        if not self.running:
            yield from self._close()

    def set_k(self, lane: str, k: int | None) -> ev.TraceEvent:
        """Change K from the lane's next step on, or say why that is impossible."""
        run = self._runs.get(lane)
        if run is None:
            return ev.Notice(f"no such lane: {lane}", level="warning")
        if k is None:
            return ev.Notice("a synthetic lane cannot choose its K: type a number", lane, "warning")
        if not 0 <= k <= run.lane.info.k_max:
            return ev.Notice(f"{run.lane.info.title} drafts 0 to {run.lane.info.k_max} tokens", lane, "warning")
        run.k = k
        return ev.KChanged(lane, k)

    def abort(self, lane: str | None) -> Iterator[ev.TraceEvent]:
        """End the unfinished requests of ``lane``, or of all lanes."""
        for name, run in self._runs.items():
            if lane in (None, name):
                yield from self._finish_all(run, "abort")

    def furthest_behind(self) -> str | None:
        """The running lane with the smallest clock in the round, whose turn it is."""
        running = [(run.clock_ns - run.start_ns, order) for order, run in enumerate(self._runs.values()) if run.running]
        return list(self._runs)[min(running)[1]] if running else None

    @property
    def lanes(self) -> tuple[str, ...]:
        """The names of the lanes, failed ones included."""
        return tuple(self._runs)

    def runs(self, lane: str) -> bool:
        """Whether the lane has an unfinished request."""
        return lane in self._runs and bool(self._runs[lane].running)

    def step(self, lane: str) -> Iterator[ev.TraceEvent]:
        """Take one engine step of ``lane``; yields a `Step` for each of its running requests."""
        run = self._runs[lane]
        batch = run.running
        if not batch:
            return
        if run.lane.fails_after is not None and run.steps >= run.lane.fails_after:
            run.ready = False
            yield from self._finish_all(run, "error")
            yield ev.LaneStage(
                lane, "failed", f"{run.lane.info.title} stopped after {run.steps} steps; see the log (l)"
            )
        else:
            yield from self._engine_step(run, batch)
        if not self.running:
            yield from self._close()

    def _engine_step(self, run: _LaneRun, batch: list[_Request]) -> Iterator[ev.TraceEvent]:
        drafts = [self._draft(run, request) for request in batch]
        tokens = sum(1 + len(draft) for draft in drafts)
        jitter = 1 + batch[0].rng.uniform(-0.03, 0.03)
        draft_ns = int(run.lane.draft_ms * jitter * 1e6) if any(drafts) else 0
        verify_ns = int((run.lane.verify_ms + run.lane.verify_token_ms * (tokens - 1)) * jitter * 1e6)
        wall_ns = draft_ns + verify_ns + 400_000
        run.clock_ns += wall_ns
        run.steps += 1
        for request, draft in zip(batch, drafts, strict=True):
            yield self._verify(run, request, draft, len(batch), (wall_ns, draft_ns, verify_ns))
            if request.finished:
                reason = self._end(request)
                yield ev.RequestFinished(run.lane.info.name, request.name, request.slot, reason, request.emitted)

    def _draft(self, run: _LaneRun, request: _Request) -> list[int]:
        """Drafted ids, right as often as the lane's probabilities say. The first step reads the prompt and has no
        draft."""
        if not request.steps or request.rng.random() >= run.lane.proposes:
            return []
        draft: list[int] = []
        right = True
        for position in range(run.k):
            probability = run.lane.accept[min(position, len(run.lane.accept) - 1)] if run.lane.accept else 0.0
            place = request.emitted + position
            token = self._target(run, request, place)
            right = right and request.rng.random() < probability
            draft.append(token if right else self._wrong(run, request, place, request.rng))
        return draft

    def _target(self, run: _LaneRun, request: _Request, position: int) -> int:
        position += request.start
        token = request.answer.token(position)
        away = run.lane.diverges_at
        if away is None or position < away:
            return token
        return request.answer.wrong(position, random.Random(position))

    def _wrong(self, run: _LaneRun, request: _Request, position: int, rng: random.Random) -> int:
        """A drafter's mistake: neither the target's token at this position nor this lane's."""
        place = request.start + position
        guess = request.answer.wrong(place, rng)
        return guess if guess != self._target(run, request, position) else request.answer.token(place)

    def _verify(
        self, run: _LaneRun, request: _Request, draft: list[int], batch: int, spent: tuple[int, int, int]
    ) -> ev.Step:
        verified = [self._target(run, request, request.emitted + i) for i in range(len(draft) + 1)]
        accepted = next((i for i, token in enumerate(draft) if token != verified[i]), len(draft))
        verified = verified[: accepted + 1]
        room = self._limit(request) - request.emitted
        emitted, cut = tuple(verified[:room]), tuple(verified[room:])
        index, before = request.steps, request.emitted
        run.totals = run.totals.after(len(draft), accepted, len(emitted), len(cut))
        request.steps += 1
        request.emitted += len(emitted)
        request.finished = len(verified) >= room
        own: ev.Own = "bonus" if accepted == len(draft) else "recovered"
        piece = self._vocabulary.piece
        return ev.Step(
            lane=run.lane.info.name,
            request=request.name,
            slot=request.slot,
            index=index,
            k=run.k,
            drafted=tuple(draft),
            accepted=accepted,
            emitted=emitted,
            cut=cut,
            own=None if cut else own,
            cut_reason=self._end(request) if request.finished else None,
            text=tuple(map(piece, verified)),
            drafted_text=tuple(map(piece, draft)),
            batch=batch,
            wall_ns=spent[0],
            clock_ns=run.clock_ns,
            draft_ns=spent[1] if draft else None,
            verify_ns=spent[2],
            totals=run.totals,
            before=before,
        )

    def _limit(self, request: _Request) -> int:
        longest = self._sampling.max_tokens
        return longest if self._sampling.ignore_eos else min(longest, max(1, request.answer.length - request.start))

    def _end(self, request: _Request) -> ev.CutReason:
        return "length" if request.emitted == self._sampling.max_tokens else "eos"

    def _finish_all(self, run: _LaneRun, reason: ev.FinishReason) -> Iterator[ev.TraceEvent]:
        for request in run.running:
            request.finished = True
            yield ev.RequestFinished(run.lane.info.name, request.name, request.slot, reason, request.emitted)

    def _close(self) -> Iterator[ev.TraceEvent]:
        if self._open:
            self._open = False
            yield ev.RoundFinished(self._round)

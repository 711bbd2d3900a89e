"""Takes lanes through what `spectui doctor --lanes` checks: texts at every K, one prompt in the race and alone."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field

from spectui.doctor import lanes as say
from spectui.doctor.lanes import Counts, Finding, Pass, StepTime, Text
from spectui.errors import RunError
from spectui.protocol.events import RequestFinished, Sampling, Step, Totals
from spectui.sources.vllm.errors import first_line
from spectui.sources.vllm.examining import draft_totals, finishing
from spectui.sources.vllm.lane import Lane
from spectui.sources.vllm.lane_spec import DIFFUSION
from spectui.sources.vllm.race import furthest_behind
from spectui.sources.vllm.self_test import Compared, Reference, changing
from spectui.standstill import awake_ns

RACE_TOKENS = 32
PASSES = 4
"""Each lane takes the prompt so many times in the race, and as many times alone; the first time does not count."""

TEXT_NS = 5_000_000_000
"""The longest that a text may take which others are compared with."""

WITHOUT_WEIGHTS = frozenset({"ngram", "suffix"})
"""Methods whose drafts depend on the text alone."""


@dataclass(slots=True)
class Watched:
    """A lane, and what it and its engine have counted.

    Attributes:
        lane: The lane.
        engine: The engine's totals at the beginning; None if it has none.
        tap: The lane's own.
        requests: Finished requests.
        unlike: What differs in each request whose counts do.
    """

    lane: Lane
    engine: Counts | None
    tap: Totals
    requests: int = 0
    unlike: list[str] = field(default_factory=list)


class Measuring:
    """Measures idle lanes on one engine thread; `found` says how they do."""

    def __init__(
        self,
        lanes: Sequence[Lane],
        prompt: Sequence[int],
        *,
        tell: Callable[[str], None] = lambda line: None,
        now_ns: Callable[[], int] = awake_ns,
        totals: Callable[[Lane], Counts | None] = draft_totals,
        finishing: Callable[[Lane], Callable[[], None] | None] = finishing,
        unshared: Callable[[], AbstractContextManager[Lane | None]] | None = None,
    ) -> None:
        """Prepare.

        Args:
            lanes: The lanes.
            prompt: The prompt's ids for everything that is timed.
            tell: Is told what is going on.
            now_ns: The wall clock.
            totals: vLLM's own counts of a lane: steps with a draft, drafted and accepted tokens.
            finishing: What waits until a lane's GPU has nothing to do; None without a GPU.
            unshared: Loads an AR lane with a copy of the target of its own for a while, None where memory lacks, or
                raises `RunError`; None if no lanes share one.
        """
        self._lanes = lanes
        self._prompt = prompt
        self._tell = tell
        self._now_ns = now_ns
        self._totals = totals
        self._finishing = finishing
        self._unshared = unshared
        self._watched: list[Watched] = []

    def found(self) -> Iterator[Finding]:
        """Everything, in the order in which it is shown."""
        yield from self._engines()
        yield from self._texts()
        # What the texts took is in no lane's totals.
        self._watched = [Watched(lane, self._totals(lane), lane.totals) for lane in self._lanes]
        yield from self._times()
        yield from self._left_over()
        yield from self._counts()
        # Another copy of the target may be too much for the machine: what else there is to know is known before.
        yield from self._sharing()

    def _engines(self) -> Iterator[Finding]:
        """Compare how the lanes' engines compute."""
        engines = {lane.info.name: lane.engine() for lane in self._lanes}
        ar = next((engines[lane.info.name] for lane in self._lanes if lane.info.method == "ar"), None)
        for lane in self._lanes:
            engine, title = engines[lane.info.name], lane.info.title
            yield say.computing(engine, title, lane.k, ar)
            if (graphs := say.graphs(engine, title, lane.info.k_max)) is not None:
                yield graphs

    def _texts(self) -> Iterator[Finding]:
        """Compare each lane's text with AR's, or with its own at K = 0 if there is no AR lane."""
        ar = next((lane for lane in self._lanes if lane.info.method == "ar"), None)
        reference = None if ar is None else Reference(ar, budget_ns=TEXT_NS)
        # A diffusion model is another one than AR's.
        for lane in (one for one in self._lanes if one.spec.method != DIFFUSION):
            self._tell(f"comparing the text of {lane.info.title}")
            against = reference or Reference(lane, budget_ns=TEXT_NS)
            k_max = lane.info.k_max
            found = {k: against.compare(lane, (k,)) for k in lane.ks}
            mixed = against.compare(lane, changing(k_max)) if len(lane.ks) > 1 else None
            whose = "AR's" if reference is not None else "its own at K = 0"
            yield say.texts(
                lane.info.title,
                "its own again" if lane is ar else whose,
                {k: _text(one) for k, one in found.items()},
                None if mixed is None else _text(mixed),
            )
            if found[k_max].lossless and not all(one.lossless for one in found.values()):
                lane.k = k_max
            if k_max:
                drafted = sum(one.drafted for one in found.values())
                accepted = sum(one.accepted for one in found.values())
                trained = lane.spec.method not in WITHOUT_WEIGHTS
                yield say.accepted(lane.info.title, drafted, accepted, trained=trained)

    def _sharing(self) -> Iterator[Finding]:
        """Compare the text of a lane whose copy of the target is its own with that of the others."""
        # A diffusion model is another one than AR's.
        lanes = [lane for lane in self._lanes if lane.spec.method != DIFFUSION]
        if self._unshared is None or not lanes:
            return
        reference = Reference(next((lane for lane in lanes if lane.info.method == "ar"), lanes[0]), budget_ns=TEXT_NS)
        try:
            with self._unshared() as own:
                yield say.sharing(None if own is None else _text(reference.compare(own, (0,))))
        except RunError as error:
            yield say.sharing(None, str(error))

    def _times(self) -> Iterator[Finding]:
        """Time each lane in the race and alone, in turn."""
        races: list[Pass] = []
        alone: dict[str, list[Pass]] = defaultdict(list)
        groups: list[Sequence[Lane]] = [self._lanes, *([lane] for lane in self._lanes)]
        for number in range(PASSES + 1):
            self._tell(f"racing, alone and together: {f'{number}/{PASSES}' if number else 'warm-up'}")
            # Every other time in reverse, so that a drift of the machine's speed is in both.
            for group in groups if number % 2 else groups[::-1]:
                taken = self._pass(group)
                if number and group is self._lanes:
                    races.append(taken)
                elif number:
                    alone[group[0].info.name].append(taken)
        for lane in self._lanes:
            name, title = lane.info.name, lane.info.title
            in_race = [one.steps[name] for one in races]
            by_itself = [one.steps[name] for one in alone[name]]
            yield say.race_against_alone(title, in_race, by_itself)
            yield say.covered(title, alone[name])
            if lane.info.k_max:
                yield say.parts(title, by_itself)
        if len(self._lanes) > 1:
            yield say.covered("", races)

    def _counts(self) -> Iterator[Finding]:
        """Compare what was counted in everything timed so far with vLLM's own counts."""
        for watched in self._watched:
            lane, after = watched.lane, self._totals(watched.lane)
            if lane.info.k_max:
                engine = None
                if after is not None and watched.engine is not None:
                    engine = _minus(after, watched.engine)
                ours = lane.totals.minus(watched.tap)
                tap = (ours.drafts, ours.drafted, ours.accepted)
                yield say.counts(lane.info.title, watched.requests, watched.unlike, tap, engine)

    def _left_over(self) -> Iterator[Finding]:
        """On a GPU, wait after every step of each lane for what it may have left, less the wait for nothing."""
        for lane in self._lanes:
            finish = self._finishing(lane)
            if finish is None:
                continue
            self._tell(f"looking for work that {lane.info.title} leaves behind")
            steps: list[tuple[int, int]] = []
            lane.add("left", 0, self._prompt, Sampling(max_tokens=RACE_TOKENS, ignore_eos=True))
            while lane.running:
                before_ns = lane.clock_ns
                self._note(lane, lane.step())
                ended_ns = self._now_ns()
                finish()
                done_ns = self._now_ns()
                finish()
                idle_ns = self._now_ns() - done_ns
                steps.append((done_ns - ended_ns - idle_ns, lane.clock_ns - before_ns))
            yield say.left_over(lane.info.title, steps)

    def _pass(self, lanes: Sequence[Lane]) -> Pass:
        """Let lanes take the prompt, the one that is furthest behind first."""
        started = {lane.info.name: lane.clock_ns for lane in lanes}
        own_ns = sum(lane.own_ns for lane in lanes)
        steps: dict[str, list[StepTime]] = {name: [] for name in started}
        for lane in lanes:
            lane.add("timed", 0, self._prompt, Sampling(max_tokens=RACE_TOKENS, ignore_eos=True))
        began_ns = self._now_ns()
        while (behind := furthest_behind((lane, started[lane.info.name]) for lane in lanes)) is not None:
            before_ns = behind.clock_ns
            events = behind.step()
            steps[behind.info.name].append(_time(events, behind.clock_ns - before_ns))
            self._note(behind, events)
        wall_ns = self._now_ns() - began_ns
        return Pass(wall_ns, sum(lane.own_ns for lane in lanes) - own_ns, steps)

    def _note(self, lane: Lane, events: Sequence[object]) -> None:
        watched = next(one for one in self._watched if one.lane is lane)
        watched.requests += sum(isinstance(event, RequestFinished) for event in events)
        watched.unlike += [counts.sentence for counts in lane.disagreements]
        lane.disagreements.clear()


def _text(compared: Compared) -> Text:
    error = "" if compared.error is None else f"its engine fails: {first_line(compared.error)}"
    return Text(compared.tokens, compared.divergence, error)


def _time(events: Sequence[object], clock_ns: int) -> StepTime:
    step = next((event for event in events if isinstance(event, Step)), None)
    if step is None:
        return StepTime(clock_ns)
    return StepTime(clock_ns, step.draft_ns, step.verify_ns, step.disturbed)


def _minus(after: Counts, before: Counts) -> Counts:
    drafts, drafted, accepted = (now - then for now, then in zip(after, before, strict=True))
    return drafts, drafted, accepted

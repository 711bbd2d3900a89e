"""A made-up run of four attached servers: steps with drafts, steps that are only counted, counters, and a server that
goes. Deterministic."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cache

from spectui.protocol import events as ev

TEXT = "the server answers a prompt with words that come from a list , so that every answer can be read . It is"
WORDS = tuple(TEXT.split())
VISIBLE = (
    "to see drafts, start vLLM with --scheduler-cls spectui.serving.TracingScheduler "
    "--worker-extension-cls spectui.serving.TracingWorker, and attach to the endpoint that it logs"
)
GONE = "nothing was heard of it for 3 s: is it still running?"
SECOND = 1_000_000_000
REQUESTS = 200

E1 = ev.LaneInfo("e1", "mtp", "gpu1:5571", 3, "tcp://gpu1:5571", k_source="default")
E2 = ev.LaneInfo("e2", "mtp", "gpu1:5572", 3, "tcp://gpu1:5572", k_source="default")
E3 = ev.LaneInfo("e3", "ngram", "gpu2:5571", 5, "tcp://gpu2:5571", k_source="default")
E4 = ev.LaneInfo("e4", "unknown", "gpu3:8000", 0, "http://gpu3:8000")
INFOS = (E1, E2, E3, E4)
"""MTP, two replicas, of which one keeps its ids; n-gram, which goes away; counters only."""

_Timed = tuple[int, ev.TraceEvent]


@dataclass
class _Flight:
    """A request that a server answers."""

    request: str
    slot: int
    prompt_tokens: int
    most: int
    began_ns: int
    index: int = 0
    emitted: int = 0


@dataclass
class Endpoint:
    """A made-up server with the tap, watched from its start."""

    info: ev.LaneInfo
    counted: bool
    dice: random.Random
    k: int = 0
    clock_ns: int = 0
    totals: ev.Totals = ev.NOTHING
    flights: list[_Flight] = field(default_factory=list)
    accepted_at: list[int] = field(default_factory=list)
    drafted_at: list[int] = field(default_factory=list)
    draft_ns: int = 0
    verify_ns: int = 0

    def __post_init__(self) -> None:
        self.k = self.info.k_max
        self.accepted_at, self.drafted_at = [0] * self.k, [0] * self.k

    def start(self, slot: int, now_ns: int) -> ev.RequestStarted:
        """A request comes."""
        tokens = self.dice.randint(12, 400)
        self.flights.append(_Flight(f"cmpl-{slot:04x}", slot, tokens, self.dice.randint(16, 170), now_ns))
        return ev.RequestStarted(self.info.name, f"cmpl-{slot:04x}", slot, tokens)

    def step(self) -> tuple[int, list[ev.TraceEvent]]:
        """One engine step: its wall time, its shares, and the requests that end with it."""
        batch = len(self.flights)
        drafts_ns = 1_400_000 * (self.info.method == "mtp") * (self.k > 0)
        verify_ns = 8_000_000 + 350_000 * batch + self.dice.randrange(900_000)
        wall_ns = drafts_ns + verify_ns + 700_000
        self.clock_ns += wall_ns
        self.draft_ns += drafts_ns
        self.verify_ns += verify_ns
        made: list[ev.TraceEvent] = []
        for flight in list(self.flights):
            drafted = self._drafted(flight)
            accepted = 0
            while accepted < drafted and self.dice.random() < 0.82 - 0.12 * accepted:
                accepted += 1
            left = flight.most - flight.emitted
            emitted = min(accepted + 1, left)
            cut = accepted + 1 - emitted
            self.totals = self.totals.after(drafted, accepted, emitted, cut)
            for at in range(drafted):
                self.drafted_at[at] += 1
                self.accepted_at[at] += at < accepted
            made.append(
                ev.CountedStep(
                    lane=self.info.name,
                    request=flight.request,
                    slot=flight.slot,
                    index=flight.index,
                    k=self.k,
                    drafted=drafted,
                    accepted=accepted,
                    emitted=emitted,
                    cut=cut,
                    own=None if cut else "bonus" if accepted == drafted else "recovered",
                    cut_reason="length" if emitted == left else None,
                    batch=batch,
                    wall_ns=wall_ns,
                    clock_ns=self.clock_ns,
                    draft_ns=drafts_ns or None,
                    verify_ns=verify_ns,
                    totals=self.totals,
                    before=flight.emitted,
                )
            )
            flight.index += 1
            flight.emitted += emitted
            if emitted == left:
                self.flights.remove(flight)
                made.append(ev.RequestFinished(self.info.name, flight.request, flight.slot, "length", flight.emitted))
        return wall_ns, [self._seen(one) for one in made]

    def _drafted(self, flight: _Flight) -> int:
        """A request's first step processes the prompt; n-gram finds a draft now and then."""
        if not flight.index:
            return 0
        return self.k if self.info.method == "mtp" or self.dice.random() < 0.4 else 0

    def _seen(self, event: ev.TraceEvent) -> ev.TraceEvent:
        """The step with its ids, where the server sends them."""
        return event if self.counted or not isinstance(event, ev.CountedStep) else with_drafts(event, self.dice)

    def standing(self, now_ns: int) -> ev.Serving:
        """How it stands."""
        return ev.Serving(
            self.info.name,
            at_ns=now_ns + 77 * SECOND,
            running=tuple(ev.InFlight(one.slot, now_ns - one.began_ns) for one in self.flights),
            waiting=max(0, len(self.flights) - 6),
            since_start=self.totals,
            accepted_at=tuple(self.accepted_at),
            drafted_at=tuple(self.drafted_at),
            draft_ns=self.draft_ns,
            verify_ns=self.verify_ns,
            clock_ns=self.clock_ns,
        )


def with_drafts(step: ev.CountedStep, dice: random.Random) -> ev.Step:
    """The same step as a server tells it that sends ids."""
    verified = tuple(dice.randrange(len(WORDS)) for _ in range(step.emitted + step.cut))
    # A refused draft is another token than the one that stands there.
    refused = tuple((verified[-1] + 1 + at) % len(WORDS) for at in range(step.drafted - step.accepted))
    drafted = verified[: step.accepted] + refused
    return ev.Step(
        lane=step.lane,
        request=step.request,
        slot=step.slot,
        index=step.index,
        k=step.k,
        drafted=drafted,
        accepted=step.accepted,
        emitted=verified[: step.emitted],
        cut=verified[step.emitted :],
        own=step.own,
        cut_reason=step.cut_reason,
        text=tuple(_word(one) for one in verified),
        drafted_text=tuple(_word(one) for one in drafted),
        batch=step.batch,
        wall_ns=step.wall_ns,
        clock_ns=step.clock_ns,
        draft_ns=step.draft_ns,
        verify_ns=step.verify_ns,
        totals=step.totals,
        before=step.before,
    )


def _word(number: int) -> str:
    word = WORDS[number % len(WORDS)]
    return word if word in ",." else f" {word}"


def started(infos: tuple[ev.LaneInfo, ...] = INFOS) -> list[ev.TraceEvent]:
    """How an attached run begins."""
    bare = tuple(replace(info, method="unknown", k_max=0, k_source=None) for info in infos)
    return [
        ev.RunStarted("Qwen3-8B", bare, ev.Sampling(), attached=True),
        ev.RoundStarted(0, (), ev.Sampling()),
        *(ev.ServerState(info.name, "connecting") for info in infos),
    ]


def seen(info: ev.LaneInfo, session: str = "a", *, drafts: bool = True) -> list[ev.TraceEvent]:
    """What is known of a server with the tap once it answers."""
    return [
        ev.ServerSeen(
            info.name,
            info,
            "tap",
            info.spec,
            session=session,
            model="Qwen/Qwen3-8B",
            redaction="text" if drafts else "counts",
            drafts=drafts,
            why="" if drafts else "the server sends counts only (SPECTUI_REDACTION=counts)",
            control=info.name == "e1",
            why_not="" if info.name == "e1" else "the server was started without SPECTUI_CONTROL=1",
            host=info.title.partition(":")[0],
            version="0.32.0",
        ),
        ev.ServerState(info.name, "live"),
        ev.LaneStage(info.name, "ready"),
    ]


@cache
def attached_run() -> tuple[ev.TraceEvent, ...]:
    """The run. At its end e1 and e2 are answering, e3 is gone, e4 is read by its counters."""
    return tuple(event for _, event in sorted(_timed(), key=lambda timed: timed[0]))


@cache
def counters_run() -> tuple[ev.TraceEvent, ...]:
    """A run of which only the counters of one server are known."""
    return (*started((E4,)), *(event for _, event in _counters()))


def _timed() -> Iterator[_Timed]:
    yield from ((0, event) for event in started())
    dice = random.Random(18)
    slots = iter(range(REQUESTS))
    tapped = [Endpoint(E1, False, dice), Endpoint(E2, True, dice), Endpoint(E3, False, dice)]
    due = [SECOND // 5, SECOND // 5, SECOND // 5]
    said = [0, 0, 0]
    for server in tapped:
        yield from ((SECOND // 10, event) for event in seen(server.info, drafts=not server.counted))
    last = next(slots)
    yield SECOND // 6, tapped[0].start(last, SECOND // 6)
    now_ns = 0
    while last < REQUESTS - 1:
        place = min(range(len(tapped)), key=due.__getitem__)
        server, now_ns = tapped[place], due[place]
        if server.info is E3 and last > REQUESTS * 2 // 3:
            yield from ((now_ns, event) for event in _away(server))
            del tapped[place], due[place], said[place]
            continue
        if len(server.flights) < 8 and dice.random() < 0.12 and (found := next(slots, None)) is not None:
            last = found
            yield now_ns, server.start(last, now_ns)
        if server.info is E1 and last == REQUESTS // 2 and server.k == 3:
            server.k = 2
            yield now_ns, ev.KChanged("e1", 2, "yours")
        if server.flights:
            wall_ns, made = server.step()
            yield from ((now_ns + wall_ns, event) for event in made)
            due[place] += wall_ns + 100_000
        else:
            due[place] += 20_000_000
        if now_ns - said[place] >= SECOND // 2:
            said[place] = now_ns
            # After the events of its last step, which have the same time at the earliest.
            yield due[place] - 50_000, server.standing(due[place])
    yield from ((when, event) for when, event in _counters() if when <= now_ns)


def _away(server: Endpoint) -> Iterator[ev.TraceEvent]:
    for flight in server.flights:
        yield ev.RequestFinished(server.info.name, flight.request, flight.slot, "unseen", flight.emitted)
    yield ev.ServerState(server.info.name, "gone", GONE)


def _counters() -> Iterator[_Timed]:
    """Twenty seconds of a server's counters, which begins again after five; two prompts are sent to it."""
    dice = random.Random(4)
    info = replace(E4, method="mtp", k_max=2)
    yield (
        SECOND // 4,
        ev.ServerSeen(
            "e4", info, "vllm", "http://gpu3:8000", model="Qwen/Qwen3-8B", drafts=False, why=VISIBLE, asks=True
        ),
    )
    yield SECOND // 4, ev.ServerState("e4", "live")
    yield SECOND // 4, ev.LaneStage("e4", "ready")
    yield SECOND * 2, ev.Asked("e4", 0, "What is speculative decoding?")
    for part, word in enumerate(WORDS[:12]):
        yield SECOND * 2 + part * SECOND // 20, ev.Answered("e4", 0, f" {word}")
    yield (
        SECOND * 3,
        ev.Answered(
            "e4",
            0,
            ended=True,
            tokens=12,
            seconds=0.8,
            first_s=0.06,
            drafts=5,
            drafted=10,
            accepted=7,
            length=2.4,
        ),
    )
    yield SECOND * 3, ev.Asked("e4", 1, "And what is a drafter?")
    yield SECOND * 3, ev.Answered("e4", 1, " A", ended=False)
    drafts = accepted_1 = accepted_2 = 4000
    for second in range(20):
        if second == 5:
            drafts = accepted_1 = accepted_2 = 0
        more = dice.randint(60, 80)
        drafts += more
        accepted_1 += more * 3 // 4
        accepted_2 += more // 2
        yield (
            SECOND // 2 + second * SECOND,
            ev.CounterSample(
                "e4",
                at_ns=SECOND // 2 + second * SECOND,
                drafts=drafts,
                drafted=2 * drafts,
                accepted=accepted_1 + accepted_2,
                accepted_at=(accepted_1, accepted_2),
                emitted=drafts + accepted_1 + accepted_2,
                prompt_tokens=100 * drafts,
                running=3,
                waiting=0,
                cache_share=0.25,
            ),
        )

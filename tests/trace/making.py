"""What the tests of traces are made of: runs, files, and pictures of states that can be compared."""

from __future__ import annotations

import random
import threading
from array import array
from collections import deque
from collections.abc import Iterable
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any

from spectui import __version__
from spectui.core.history import History
from spectui.core.reducer import reduce
from spectui.core.state import RunState
from spectui.core.tokens import TokenLog
from spectui.protocol import events as ev
from spectui.sources.synthetic.race import SyntheticLane, SyntheticRace, demo_lanes
from spectui.trace.codec import RECORDS, Header, encode, encode_header

FAILSAFE_S = 30.0


def made_run(seed: int, max_tokens: int = 60, rounds: int = 3, slots: int = 3) -> list[ev.Event]:
    """A whole run as a source would say it: rounds, changes of K by the user and by a search, a divergence, an abort,
    a lane that fails."""
    rng = random.Random(seed)
    ar, mtp, dflash = demo_lanes()
    away = SyntheticLane(mtp.info, accept=(0.7, 0.5), draft_ms=9.8, diverges_at=rng.choice((None, 20)))
    frail = SyntheticLane(dflash.info, accept=dflash.accept, fails_after=rng.choice((None, 25)))
    race = SyntheticRace((ar, away, frail), seed)
    sampling = ev.Sampling(max_tokens=max_tokens, ignore_eos=rng.random() < 0.5)
    infos = (ar.info, replace(away.info, k_source="default"), frail.info)
    events: list[ev.Event] = [ev.RunStarted("made-up", infos, sampling, slots, synthetic=True)]
    for info in infos:
        race.ready(info.name)
        events.append(ev.LaneStage(info.name, "ready"))
    for _ in range(rounds):
        prompts = tuple(ev.Prompt(f"prompt {rng.random()}", index=slot) for slot in range(slots))
        events += race.begin(prompts, sampling)
        while (turn := race.furthest_behind()) is not None:
            events += race.step(turn)
            if rng.random() < 0.02:
                events.append(race.set_k("dflash", rng.randint(0, 5)))
            if rng.random() < 0.005:
                events += race.abort("mtp")
        events.append(ev.Margin("mtp", 0, 20, 0.125))
        events.append(ev.KChanged("mtp", 1 + rng.randint(0, 1), rng.choice(("default", "tuned", "yours"))))
    events.append(ev.Notice("done", level="info"))
    return events


def long_request(steps: int) -> list[ev.Event]:
    """One request of one lane, with a draft in every step."""
    info = ev.LaneInfo("ar", "ar", "AR", 2, "ar")
    events: list[ev.Event] = [
        ev.RunStarted("made-up", (info,), ev.Sampling()),
        ev.RoundStarted(0, (ev.Prompt("p"),), ev.Sampling()),
        ev.RequestStarted("ar", "0-0", 0, 1),
    ]
    for index in range(steps):
        accepted = index % 3
        verified = tuple(range(index, index + accepted + 1))
        own: ev.Own = "bonus" if accepted == 2 else "recovered"
        texts = tuple(f" {token}" for token in verified)
        clock = 1_000_000 * (index + 1)
        events.append(
            ev.Step(
                "ar", "0-0", 0, index, 2, (1, 2), accepted, verified, (), own, None, texts, ("a", "b"), 1, 10, clock
            )
        )
    return events


def file_of(path: Path, events: Iterable[ev.Event], schema: int = ev.SCHEMA_VERSION) -> Path:
    """A trace as the recorder would have written it, an event a millisecond."""
    told = list(events)
    run = told[0] if told and isinstance(told[0], ev.RunStarted) else None
    lines = [encode_header(Header(schema, __version__, run))]
    lines += [encode(1_000_000 * number, event) for number, event in enumerate(told)]
    path.write_text("\n".join(lines) + "\n", encoding="ascii")
    return path


def folded(events: Iterable[ev.Event]) -> RunState:
    state = RunState()
    for event in events:
        reduce(state, event)
    return state


def picture(thing: Any) -> Any:
    """Everything that is known of a thing, down to private counters, as values that can be compared."""
    if type(thing) in RECORDS:
        return thing
    match thing:
        case History():
            return [picture(thing.at(index)) for index in range(thing.first, thing.last + 1)] if len(thing) else []
        case TokenLog():
            return [thing[index] for index in range(len(thing))]
        case dict():
            return [(key, picture(value)) for key, value in thing.items()]
        case list() | tuple() | deque() | array():
            return [picture(item) for item in thing]
    if is_dataclass(thing):
        return (type(thing).__name__, [(field.name, picture(getattr(thing, field.name))) for field in fields(thing)])
    if hasattr(thing, "__dict__") and not isinstance(thing, type):
        return (type(thing).__name__, [(name, picture(value)) for name, value in vars(thing).items()])
    return thing


class Collector:
    """A sink that passes events on and lets a test wait for the end of a round."""

    def __init__(self, *sinks: Any) -> None:
        self.events: list[ev.Event] = []
        self._sinks = sinks
        self._over = threading.Event()

    def emit(self, event: ev.Event) -> None:
        self.events.append(event)
        for sink in self._sinks:
            sink.emit(event)
        if isinstance(event, ev.RoundFinished):
            self._over.set()

    def wait(self) -> None:
        assert self._over.wait(FAILSAFE_S)


class Ticks:
    """A clock that moves by a millisecond whenever it is read."""

    def __init__(self) -> None:
        self.now_ns = 5_000_000_000

    def __call__(self) -> int:
        self.now_ns += 1_000_000
        return self.now_ns

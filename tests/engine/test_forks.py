"""Forks of real answers: every lane goes on from the same place, and a fork without a change says the same again."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from spectui.protocol import commands as cmd
from spectui.protocol.events import (
    Branch,
    Event,
    Margin,
    Notice,
    RequestFinished,
    RequestStarted,
    RoundFinished,
    RoundStarted,
    Sampling,
    Step,
)
from spectui.setup.prompt_sets import builtin
from spectui.sources.hardware import cpu_dtype
from spectui.sources.vllm.config import HostConfig
from spectui.sources.vllm.director import Director
from spectui.sources.vllm.lane import Lane
from spectui.sources.vllm.lane_spec import parse_lane_spec
from spectui.trace.reader import Trace
from tests.conftest import LaneMaker
from tests.trace.making import file_of, folded, picture

FORKS = {"float32": 20}
"""Forks in a number format; elsewhere a few, since they show little more."""

FEW = 6
LEAST = 10
"""Tokens of an answer that is worth forking: more than a step can emit, so that there are two."""

SPECS = ("ar", "mtp:k=3", "dflash:k=5")
NEAR_TIE = 0.5
"""Nats. In float32 nothing may differ; in bfloat16 the target's margin where texts part is at most half of this."""


class Race:
    """Lanes under a director, and everything that it says."""

    def __init__(self, lanes: list[Lane]) -> None:
        self.events: list[Event] = []
        config = HostConfig(
            target="demo",
            find_target=lambda report: "demo",
            specs=[parse_lane_spec(spec, demo=True) for spec in SPECS],
            prompts=list(builtin()[:3]),
            sampling=Sampling(max_tokens=24, ignore_eos=True),
        )
        self.director = Director(config, [lane.info for lane in lanes], "demo", lanes, self.events.append)

    def run(self) -> dict[str, list[Step]]:
        """Go on to the end of the round; returns its steps by lane."""
        while (step := self.director.next_step()) is not None:
            step()
        return {lane.info.name: self.steps(lane.info.name) for lane in self.director.race.lanes}

    @property
    def last_round(self) -> list[Event]:
        """The events of the last round."""
        begun = max(place for place, event in enumerate(self.events) if isinstance(event, RoundStarted))
        return self.events[begun:]

    @property
    def branch(self) -> Branch | None:
        """Where the last round branches off."""
        return next(event.parent for event in self.last_round if isinstance(event, RoundStarted))

    def steps(self, lane: str) -> list[Step]:
        return [event for event in self.last_round if isinstance(event, Step) and event.lane == lane]

    def prompt_ids(self) -> set[tuple[int, ...]]:
        """What the lanes were given in the last round: the same ids, if there is one."""
        return {event.prompt_ids for event in self.last_round if isinstance(event, RequestStarted)}


def emitted(steps: list[Step]) -> tuple[int, ...]:
    return tuple(token for step in steps for token in step.emitted)


@pytest.fixture(params=tuple(dict.fromkeys(("float32", cpu_dtype()))))
def race(request: pytest.FixtureRequest, make_lane: LaneMaker) -> tuple[str, Race]:
    lanes = [make_lane(spec, dtype=request.param) for spec in SPECS]
    return request.param, Race(lanes)


def test_forks_at_random_steps(race: tuple[str, Race], tmp_path: Path) -> None:
    dtype, racing = race
    dice = random.Random(17)
    racing.director.begin()
    racing.run()
    exact = changed = 0
    forks = FORKS.get(dtype, FEW)
    for number in range(forks):
        if number and number % 5 == 0:
            racing.director.next_prompt(1)
            racing.run()
        elif number % 5 == 3:
            racing.director.to_parent()
            racing.run()
        if len(emitted(racing.steps("ar"))) < LEAST:
            # What is left of an answer gets shorter with each fork of a fork.
            racing.director.next_prompt(1)
            racing.run()
        (given,), earlier = racing.prompt_ids(), racing.branch
        name = dice.choice([lane.info.name for lane in racing.director.race.lanes])
        steps = racing.steps(name)
        answer = emitted(steps)
        step = dice.choice(steps[:-1])
        assert step.before is not None
        keep, put = step.before, None
        if number % 2 and step.accepted < len(step.emitted):
            keep += step.accepted
            put = step.drafted[step.accepted] if step.accepted < len(step.drafted) else dice.randrange(100, 20_000)
        parent, before = racing.director.race.round, list(racing.events)
        racing.director.fork(cmd.Fork(parent, name, 0, step.index, keep, put))
        branch = racing.branch
        assert racing.events[: len(before)] == before
        assert branch is not None
        assert (branch.round, branch.lane, branch.kept, branch.step) == (parent, name, keep, step.index)
        assert branch.put == (() if put is None else (put,))
        pieces = [piece for one in steps for piece in one.text[: len(one.emitted)]]
        assert branch.text == (earlier.text + earlier.put_text if earlier else "") + "".join(pieces[:keep])
        assert racing.prompt_ids() == {(*given, *answer[:keep], *branch.put)}
        raced = racing.run()
        left = len(answer) - keep - len(branch.put)
        for lane, again in raced.items():
            finished = [e for e in racing.last_round if isinstance(e, RequestFinished) and e.lane == lane]
            assert [one.emitted for one in finished] == [len(emitted(again))] == [left]
        if put is not None:
            changed += 1
            continue
        said = emitted(raced[name])
        if said == answer[keep:]:
            exact += 1
        else:
            assert dtype != "float32", (number, said, answer[keep:])
            at = next(place for place, (a, b) in enumerate(zip(said, answer[keep:], strict=True)) if a != b)
            reference = racing.director.race.lane("ar")
            assert reference is not None
            assert reference.top_two_margin([*given, *answer[: keep + at]]) < NEAR_TIE
    print(f"{dtype}: {exact} of {forks - changed} forks without a change said the same ids")
    assert changed >= forks // 3
    notices = [event for event in racing.events if isinstance(event, Notice)]
    assert notices == [], "a fork was refused, or the engine counts otherwise"
    assert all(margin.margin < NEAR_TIE for margin in racing.events if isinstance(margin, Margin))
    assert isinstance(racing.events[-1], RoundFinished)
    trace = Trace.open(file_of(tmp_path / "forks.jsonl", racing.events))
    again = [event for _, event in trace]
    assert trace.problems.count == 0, trace.problems.kept
    assert again == racing.events
    assert picture(folded(again)) == picture(folded(racing.events))

"""Commands that are sent while lanes load, at random moments, and what must answer each of them."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from spectui.protocol import commands as cmd
from spectui.protocol import events as ev
from spectui.protocol.source import Source
from tests.sources.test_synthetic import FAILSAFE_S, Collector

Answer = Callable[[ev.Event], bool]
LAST = "the last prompt"
STEPS_AFTER = 3


@dataclass(frozen=True)
class Asked:
    """A command, and the event that shows that it was followed, or why it was not."""

    command: cmd.Command
    answer: Answer


def random_commands(dice: random.Random, lane: str, k_max: int, count: int) -> list[Asked]:
    """``count`` commands, each with an answer of its own."""
    return [_random_command(dice, lane, k_max, number) for number in range(count)]


def _random_command(dice: random.Random, lane: str, k_max: int, number: int) -> Asked:
    k, requests, temperature = dice.randint(0, k_max), dice.randint(1, 4), dice.uniform(0.1, 1.9)
    refused: Answer = lambda event: isinstance(event, ev.Notice) and event.level == "warning"  # noqa: E731
    began: Answer = lambda event: isinstance(event, ev.RoundStarted)  # noqa: E731
    choices = (
        Asked(
            cmd.SetPrompt(f"prompt {number}"),
            lambda event: isinstance(event, ev.RoundStarted) and event.prompts[0].text == f"prompt {number}",
        ),
        Asked(
            cmd.SetConcurrency(requests),
            lambda event: isinstance(event, ev.RoundStarted) and len(event.prompts) == requests,
        ),
        Asked(
            cmd.SetTemperature(temperature),
            lambda event: isinstance(event, ev.RoundStarted) and event.sampling.temperature == temperature,
        ),
        Asked(cmd.SetK(lane, k), lambda event: event == ev.KChanged(lane, k)),
        Asked(cmd.Restart(), began),
        Asked(cmd.NextPrompt(dice.choice((1, -1))), began),
        Asked(cmd.NextCategory(), began),
        Asked(cmd.Inspect(lane, 9, number, 0, (1,)), lambda event: isinstance(event, ev.Inspected)),
        Asked(cmd.SetConcurrency(99), refused),
        Asked(cmd.SetTemperature(99.0), refused),
        Asked(cmd.Tune("nobody"), refused),
        Asked(cmd.StopTuning(), refused),
        Asked(cmd.StopBench(), refused),
        Asked(cmd.StepBack(), refused),
        Asked(cmd.Seek(1.0), refused),
        Asked(cmd.SeekTo(0.5), refused),
        Asked(cmd.ChangeSpeed(1), refused),
        Asked(cmd.SetSpeed(2.0), refused),
        Asked(cmd.Record(), refused),
    )
    return dice.choice(choices)


class Sender(Collector):
    """A sink that sends commands at random moments between the first event and the last lane's "ready"."""

    def __init__(
        self, source: Source, asked: Sequence[Asked], lanes: int, dice: random.Random, patience_s: float
    ) -> None:
        super().__init__(patience_s)
        self._source = source
        self._asked = list(asked)
        self._lanes = lanes
        self._dice = dice
        tail = (cmd.SetPrompt(LAST), cmd.Pause(), *(cmd.StepOnce() for _ in range(STEPS_AFTER)))
        self._tail = list(tail)

    def emit(self, event: ev.Event) -> None:
        if isinstance(event, ev.LaneStage) and event.stage in ("ready", "failed"):
            self._lanes -= 1
        elif not isinstance(event, ev.RunStarted | ev.LaneStage):
            super().emit(event)
            return
        count = self._dice.randint(0, len(self._asked)) if self._lanes else len(self._asked)
        now, self._asked = self._asked[:count], self._asked[count:]
        for asked in now:
            self._source.send(asked.command)
        if not self._lanes:
            for command in self._tail:
                self._source.send(command)
        super().emit(event)


def all_followed(
    make: Callable[[], Source], lane: str, k_max: int, lanes: int, seed: int, patience_s: float = FAILSAFE_S
) -> None:
    """Start a source, send random commands while its lanes load, and see each of them answered, in order.

    The last ones are a prompt, a pause and three single steps: just those are taken.
    """
    dice = random.Random(seed)
    source = make()
    asked = random_commands(dice, lane, k_max, dice.randint(1, 12))
    sink = Sender(source, asked, lanes, dice, patience_s)
    source.start(sink)
    try:
        sink.wait_for(_stepped)
    finally:
        assert source.stop(patience_s)
    events = iter(sink.events)
    for one in asked:
        assert any(one.answer(event) for event in events), (seed, one.command, [a.command for a in asked])
    assert any(isinstance(event, ev.RoundStarted) and event.prompts[0].text == LAST for event in events), seed


def _stepped(events: Sequence[ev.Event]) -> bool:
    """Whether the single steps of the last round were taken."""
    last = max(
        (n for n, event in enumerate(events) if isinstance(event, ev.RoundStarted) and event.prompts[0].text == LAST),
        default=None,
    )
    if last is None:
        return False
    clocks = {(event.lane, event.clock_ns) for event in events[last:] if isinstance(event, ev.Step)}
    assert len(clocks) <= STEPS_AFTER
    return len(clocks) == STEPS_AFTER

"""The app over a made-up run of attached servers, for tests of the screen."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any, cast

from spectui.protocol import commands as cmd
from spectui.protocol import events as ev
from spectui.protocol.frame_slot import FrameSlot
from spectui.protocol.source import Sink
from spectui.ui.app import SpecTUIApp
from spectui.ui.keymap import Keymap
from spectui.ui.offscreen import HandClock
from tests.support.rig import FakeLog, RecordingSource, Rig

ACCEPTS: frozenset[type[cmd.Command]] = frozenset(
    (cmd.SetK, cmd.Tune, cmd.StopTuning, cmd.SetPrompt, cmd.Record, cmd.Shutdown)
)
"""What a source of attached servers follows."""


class ToldSource:
    """Says what it is told to say, and remembers what it was asked for."""

    def __init__(self, events: Iterable[ev.TraceEvent]) -> None:
        self.slot = FrameSlot()
        self.accepts = ACCEPTS
        self.commands: list[cmd.Command] = []
        self._events = events
        self._sink: Sink | None = None

    @property
    def obeyed(self) -> int:
        return len(self.commands)

    def start(self, sink: Sink) -> None:
        self._sink = sink
        self.tell(*self._events)

    def tell(self, *events: ev.TraceEvent) -> None:
        """Say something more."""
        assert self._sink is not None
        for event in events:
            self._sink.emit(event)

    def send(self, command: cmd.Command) -> None:
        self.commands.append(command)

    def stop(self, timeout_s: float) -> bool:
        return True


class AttachedRig(Rig):
    """A rig whose source is told what to say."""

    @property
    def told(self) -> ToldSource:
        return cast(ToldSource, self.source)

    @property
    def lines(self) -> list[str]:
        """The screen's rows."""
        return [line.rstrip() for line in self.text.split("\n")]

    async def tell(self, *events: ev.TraceEvent) -> None:
        """Let the servers say something, and wait until it is on the screen."""
        self.told.tell(*events)
        await self.settle()

    async def wait(self, seconds: float) -> None:
        """Let so much time pass on the screen's clock."""
        self.clock.run_for(seconds)
        await self.settle()


@asynccontextmanager
async def attached(
    events: Iterable[ev.TraceEvent], size: tuple[int, int] = (120, 36), *, theme: str | None = None
) -> AsyncIterator[AttachedRig]:
    """The app at ``size``, to which ``events`` were said."""
    source: Any = ToldSource(events)
    clocks: list[HandClock] = []

    def scheduler() -> HandClock:
        clocks.append(HandClock())
        return clocks[0]

    app = SpecTUIApp(source, log_tail=FakeLog(), theme=theme, scheduler=scheduler, own_keys=Keymap({}))
    async with app.run_test(size=size) as pilot:
        rig = AttachedRig(app, cast(RecordingSource, source), pilot, clocks[0])
        await rig.settle(lambda: app.view.attached is not None)
        yield rig

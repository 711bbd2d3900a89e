"""The interface of every source of a run: live engines, a synthetic run, a replay."""

from __future__ import annotations

from typing import Protocol

from spectui.protocol.commands import Command
from spectui.protocol.events import Event
from spectui.protocol.frame_slot import FrameSlot

ENGINE_THREAD = "engine"
"""Name of the thread that steps engines; the time of this thread and of libraries' threads counts as the engine's."""


class Sink(Protocol):
    """Where a source puts events. `emit` is called on the source's thread and must not block."""

    def emit(self, event: Event) -> None: ...


class Source(Protocol):
    """Produces events and follows commands, on its own thread."""

    @property
    def accepts(self) -> frozenset[type[Command]]:
        """The commands that this source follows. It answers any other with a `Notice`, and the screen dims its key."""

    @property
    def slot(self) -> FrameSlot:
        """Where the screen requests a frame between two steps."""

    def start(self, sink: Sink) -> None:
        """Start; returns at once. Called once."""

    def send(self, command: Command) -> None:
        """Queue a command; returns at once, from any thread."""

    def stop(self, timeout_s: float) -> bool:
        """Ask the thread to end and wait for it; False if it is still busy after ``timeout_s``."""

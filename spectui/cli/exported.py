"""An attached run of which Prometheus is told."""

from __future__ import annotations

from collections.abc import Sized

from spectui.protocol.commands import Command
from spectui.protocol.events import Event
from spectui.protocol.frame_slot import FrameSlot
from spectui.protocol.source import Sink, Source
from spectui.runtime.exporter import Exporter


class Exported:
    """A `Source` that shows every event of ``source`` to an exporter, and passes it on."""

    def __init__(self, source: Source, exporter: Exporter) -> None:
        self._source = source
        self._exporter = exporter
        self._sink: Sink

    @property
    def accepts(self) -> frozenset[type[Command]]:
        return self._source.accepts

    @property
    def slot(self) -> FrameSlot:
        return self._source.slot

    def start(self, sink: Sink) -> None:
        self._sink = sink
        self._source.start(self)

    def emit(self, event: Event) -> None:
        """Show it, and pass it on."""
        self._exporter.see(event)
        self._sink.emit(event)

    def __len__(self) -> int:
        """Events that wait behind it; 0 if nobody counts them."""
        return len(self._sink) if isinstance(self._sink, Sized) else 0

    def __bool__(self) -> bool:
        return True

    def send(self, command: Command) -> None:
        self._source.send(command)

    def stop(self, timeout_s: float) -> bool:
        stopped = self._source.stop(timeout_s)
        self._exporter.stop()
        return stopped

"""A source with telemetry beside it, so that the screen, headless runs and recordings get both as one source."""

from __future__ import annotations

from functools import partial

from spectui.places import cache_folder
from spectui.protocol.commands import Command
from spectui.protocol.frame_slot import FrameSlot
from spectui.protocol.source import Sink, Source
from spectui.telemetry.sampler import Sampler, open_readers


class WithTelemetry:
    """A `Source` that samples the machine while ``source`` runs."""

    def __init__(self, source: Source, sampler: Sampler) -> None:
        self._source = source
        self._sampler = sampler

    @property
    def accepts(self) -> frozenset[type[Command]]:
        return self._source.accepts

    @property
    def slot(self) -> FrameSlot:
        return self._source.slot

    def start(self, sink: Sink) -> None:
        self._sampler.start(sink)
        self._source.start(sink)

    def send(self, command: Command) -> None:
        self._source.send(command)

    def stop(self, timeout_s: float) -> bool:
        self._sampler.stop()
        return self._source.stop(timeout_s)


def with_telemetry(source: Source) -> Source:
    """Add a sampler of this machine to the source; the host's memory peak is kept in the program's cache folder."""
    return WithTelemetry(source, Sampler(partial(open_readers, cache_folder())))

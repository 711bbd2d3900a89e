"""A `RunState` at one moment, in little memory, from which playback can continue.

Owns what a snapshot shares with the state that it was taken from. Must not know files or event numbers. What only ever
grows (ids, token logs, histories) is shared, with its length at the time; so is what never changes (events, earlier
answers). Everything else is copied, without knowing what it is, and compressed.
"""

from __future__ import annotations

import io
import pickle
import zlib
from array import array
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from spectui.core.heat import PastAnswer
from spectui.core.state import RequestState, RunState
from spectui.core.tokens import TokenLog
from spectui.trace.codec import RECORDS
from spectui.trace.growing import FoldedHistory, LaterLog, StepOffsets

_UNCHANGING = frozenset((*RECORDS, PastAnswer))


@dataclass(frozen=True, slots=True)
class _Grown:
    """The first ``length`` entries of something that may have grown since."""

    thing: array[int] | array[float] | TokenLog
    length: int


class Snapshot:
    """A folded state at one moment. Lives only in this process; safe to restore while the state grows on."""

    def __init__(self, state: RunState) -> None:
        self._shared: list[Any] = []
        packed = io.BytesIO()
        _Pickler(packed, state, self._shared).dump(state)
        self._packed = zlib.compress(packed.getbuffer(), level=1)

    @property
    def size(self) -> int:
        """Bytes that it holds by itself."""
        return len(self._packed)

    def restore(self, offset_now: Callable[[], int]) -> RunState:
        """Build a separate state that equals the original at that time; its histories take places from
        ``offset_now``."""

        def shared(number: int) -> Any:
            match self._shared[number]:
                case _Grown(array() as ids, length):
                    return ids[:length]
                case _Grown(TokenLog() as log, length):
                    return LaterLog(log, length)
                case StepOffsets() as places:
                    return FoldedHistory(offset_now, places.limit, places)
                case event:
                    return event

        state = _Unpickler(io.BytesIO(zlib.decompress(self._packed)), shared).load()
        assert isinstance(state, RunState)
        return state


def _shared(number: int) -> Any:
    """A placeholder in the pickle for something shared; `_Unpickler` replaces it with its own function."""
    raise AssertionError(f"shared thing {number} has no unpickler")


class _Pickler(pickle.Pickler):
    """Asks only about objects of types that pickle does not know by itself: a persistent id would ask about every
    number."""

    def __init__(self, file: io.BytesIO, state: RunState, shared: list[Any]) -> None:
        super().__init__(file, protocol=pickle.HIGHEST_PROTOCOL)
        self._shared = shared
        self._growing = {key: found for request in requests(state) for key, found in _growing(request)}

    def reducer_override(self, thing: Any) -> Any:
        found = thing if type(thing) in _UNCHANGING else self._growing.get(id(thing))
        if found is None:
            return NotImplemented
        self._shared.append(found)
        return _shared, (len(self._shared) - 1,)


class _Unpickler(pickle.Unpickler):
    """Its memory holds everything it has made, ``restore`` included. So ``restore`` must not hold the unpickler: the
    cycle would keep whole states alive until the garbage collector runs."""

    def __init__(self, file: io.BytesIO, restore: Callable[[int], Any]) -> None:
        super().__init__(file)
        self._restore = restore

    def find_class(self, module: str, name: str) -> Any:
        return self._restore if (module, name) == (__name__, _shared.__name__) else super().find_class(module, name)


def _growing(request: RequestState) -> Iterator[tuple[int, _Grown | StepOffsets]]:
    """What only ever grows in a request, by identity, as it is at this moment."""
    yield id(request.ids), _Grown(request.ids, len(request.ids))
    looks = request.looks.per_token
    yield id(looks), _Grown(looks, len(looks))
    yield id(request.log), _Grown(request.log, len(request.log))
    if isinstance(request.history, FoldedHistory):
        yield id(request.history), request.history.places()


def requests(state: RunState) -> Iterator[RequestState]:
    """Every request of the round in every lane."""
    for lane in state.lanes.values():
        yield from lane.round.requests.values()

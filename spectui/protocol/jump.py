"""A state that takes another's place: how a replay goes anywhere in one step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from spectui.protocol.events import Event

if TYPE_CHECKING:
    from spectui.core.state import RunState


@dataclass(frozen=True, slots=True)
class Jumped:
    """From here on ``state`` is the run's. Whoever sends it gives the state away and keeps no hold of it."""

    state: RunState


Emitted: TypeAlias = Event | Jumped
"""What a source hands over."""

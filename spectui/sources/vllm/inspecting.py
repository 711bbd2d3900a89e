"""Answers what the target thinks of a step of the running round."""

from __future__ import annotations

import logging
from collections.abc import Iterator

from spectui.protocol.commands import Inspect
from spectui.protocol.events import Event, Inspected, TokenVerdict
from spectui.sources.vllm.errors import first_line
from spectui.sources.vllm.foreign import panics_as_errors
from spectui.sources.vllm.lane_spec import DIFFUSION
from spectui.sources.vllm.probing import ProbeDiedError
from spectui.sources.vllm.race import Race

logger = logging.getLogger(__name__)


def inspected(race: Race, asked: Inspect) -> Iterator[Event]:
    """Ask the target for its probabilities in a step; a lane whose engine dies of it leaves the race."""
    lane = race.lane(asked.lane)
    places: tuple[TokenVerdict, ...] = ()
    why = "" if lane is not None else "the lane is not running"
    if lane is not None and lane.info.method == DIFFUSION:
        why = "a diffusion model verifies nothing"
    elif lane is not None:
        try:
            with panics_as_errors():
                places = lane.inspect(asked.slot, asked.before, asked.tokens)
        except Exception as error:
            logger.exception("step %d of lane %s could not be inspected", asked.index, asked.lane)
            why = first_line(error)
            if isinstance(error, ProbeDiedError):
                yield race.lose(lane, error)
    yield Inspected(asked.lane, asked.slot, asked.index, places, why)

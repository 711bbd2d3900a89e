"""Builds a host's lanes one after the other and says how far each is."""

from __future__ import annotations

import importlib
import logging
from collections.abc import Callable, Iterator

from spectui.protocol.events import Event, LaneInfo, LaneStage, StageName
from spectui.sources.vllm import compat
from spectui.sources.vllm.config import HostConfig
from spectui.sources.vllm.errors import explain, explain_import, explain_target
from spectui.sources.vllm.foreign import panics_as_errors
from spectui.sources.vllm.lane import WARM_UP_IDS, Lane
from spectui.sources.vllm.lane_spec import LaneSpec

logger = logging.getLogger(__name__)

ENGINE_ROOM = "spectui.sources.vllm.tap"
"""The module that imports vLLM and torch."""


class Loader:
    """From lane specs to lanes, on the engine thread. A lane that cannot be built says why, and the others follow.

    Attributes:
        target: Path or id of the target, empty until it is known.
    """

    def __init__(self, config: HostConfig, infos: tuple[LaneInfo, ...], emit: Callable[[Event], None]) -> None:
        self._config = config
        self._infos = infos
        self._emit = emit
        self.target = ""

    def load(self) -> Iterator[Lane | None]:
        """Every lane that could be built, None for one that could not; the caller may stop between two."""
        if not self._find_target() or not self._import_engine():
            return
        for info, spec in zip(self._infos, self._config.specs, strict=True):
            yield self._load_lane(info, spec)

    def _find_target(self) -> bool:
        try:
            self.target = self._config.find_target(self._stage_everywhere)
        except Exception as error:
            logger.exception("the target could not be had")
            self._stage_everywhere("failed", explain_target(error))
            return False
        return True

    def _import_engine(self) -> bool:
        self._stage_everywhere("importing", "vLLM and torch")
        try:
            importlib.import_module(ENGINE_ROOM)
        except Exception as error:
            logger.exception("vLLM could not be imported")
            self._stage_everywhere("failed", explain_import(error))
            return False
        return True

    def _load_lane(self, info: LaneInfo, spec: LaneSpec) -> Lane | None:
        self._emit(LaneStage(info.name, "loading", "weights"))
        lane: Lane | None = None
        try:
            with panics_as_errors():
                lane = Lane(info, spec, self.target, self._config.engine_args)
                self._emit(LaneStage(info.name, "warming up"))
                lane.warm_up(WARM_UP_IDS)
        except Exception as error:
            logger.exception("lane %s could not be built", info.name)
            self._emit(LaneStage(info.name, "failed", explain(error, spec, self.target)))
            if lane is not None:
                lane.close()
                lane = None
        if lane is None:
            compat.reclaim()
        else:
            self._say_memory(lane)
            self._emit(LaneStage(info.name, "ready"))
        return lane

    def _say_memory(self, lane: Lane) -> None:
        try:
            self._emit(lane.memory())
        except Exception:
            # A model whose modules are built otherwise than known ones races all the same.
            logger.exception("the memory of lane %s could not be told", lane.info.name)

    def _stage_everywhere(
        self, stage: StageName, detail: str = "", done: int | None = None, total: int | None = None
    ) -> None:
        for info in self._infos:
            self._emit(LaneStage(info.name, stage, detail, done, total))

"""Loads engines, both for the live race and for measurements: the target, vLLM, then one lane after the other.

A failure frees the memory and is explained in one sentence; the log has the rest.
"""

from __future__ import annotations

import importlib
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from spectui.protocol.events import Event, LaneInfo, LaneStage, Notice, StageName
from spectui.sources.vllm.compat import engines
from spectui.sources.vllm.config import Room
from spectui.sources.vllm.errors import explain, explain_import, explain_target, first_line, known_cause
from spectui.sources.vllm.foreign import panics_as_errors
from spectui.sources.vllm.lane import WARM_UP_IDS, Lane
from spectui.sources.vllm.lane_spec import DIFFUSION, LaneSpec
from spectui.sources.vllm.self_test import SelfTest, distrusted
from spectui.sources.vllm.sharing import ALONE, Borrowing, SharedTarget, SharingError
from spectui.sources.vllm.splitting import refusal
from spectui.sources.vllm.target import Report

logger = logging.getLogger(__name__)

ENGINE_ROOM = "spectui.sources.vllm.tap"
"""The module that imports vLLM and torch."""


MakesLane = Callable[[LaneInfo, LaneSpec, str, Mapping[str, Any], Borrowing], Lane]


class NotLoadedError(RuntimeError):
    """The target, vLLM or a lane could not be loaded; the message is one sentence that says what to do."""


class Loader:
    """Loads lanes on one target. Call its methods on the thread that will step the lanes.

    Attributes:
        target: Path or id of the target; empty until `find_target` has found it.
        room: What the lanes may take of the memory; unlimited until then.
    """

    def __init__(
        self,
        find_target: Callable[[Report], str],
        engine_args: Mapping[str, Any],
        *,
        share: bool = True,
        self_test: bool = False,
        plan_room: Callable[[], Room] = Room,
    ) -> None:
        """Prepare.

        Args:
            find_target: Returns the path or id of the target, downloading it if necessary.
            engine_args: vLLM engine arguments for every lane.
            share: Whether all lanes use one copy of the target's weights where they can.
            self_test: Whether every lane is to have its self-test.
            plan_room: Plans the memory once the target has been found.
        """
        self._self_test = SelfTest() if self_test else None
        self._find_target = find_target
        self._plan_room = plan_room
        self.room = Room()
        self._engine_args = engine_args
        self._shared = SharedTarget(engine_args) if share else None
        self.target = ""

    def find_target(self, report: Report = lambda *progress: None) -> None:
        """Find the target, or make it, and plan the memory; progress is passed to ``report``.

        Raises:
            NotLoadedError: The target cannot be loaded.
        """
        try:
            with panics_as_errors():
                self.target = self._find_target(report)
        except Exception as error:
            logger.exception("the target could not be loaded")
            raise NotLoadedError(explain_target(error)) from error
        self.room = self._plan_room()

    def import_engine(self) -> None:
        """Import vLLM and torch, which takes seconds; later calls do nothing.

        Raises:
            NotLoadedError: They cannot be imported.
        """
        try:
            with panics_as_errors(), engines.without_collections():
                importlib.import_module(ENGINE_ROOM)
        except Exception as error:
            logger.exception("vLLM could not be imported")
            raise NotLoadedError(explain_import(error)) from error

    def lane(
        self,
        info: LaneInfo,
        spec: LaneSpec,
        warming_up: Callable[[str], None] = lambda detail: None,
        make: MakesLane | None = None,
    ) -> Lane:
        """Build a lane, warm it up and test it; ``warming_up`` is called after the first, and again after the second.
        ``make`` makes another lane than `Lane`, which is not tested.

        Raises:
            NotLoadedError: The lane cannot be built. Its engine is closed and its memory freed.
        """
        if why := refusal(self._engine_args, spec):
            raise NotLoadedError(why)
        if self._shared is None or spec.method == DIFFUSION:
            return self._built(info, spec, warming_up, ALONE, make)
        borrowing = self._shared.borrowing(self.target)
        try:
            lane = self._built(info, spec, warming_up, borrowing, make)
        except SharingError as error:
            why = f"sharing failed: {first_line(error)}; the log has the details"
        else:
            lane.own_copy = self._shared.own_copy(borrowing, self.target)
            if not (borrowing.shared and distrusted(lane)) or self._shortage(spec) is not None:
                return lane
            lane.close()
            # As long as a frame refers to the lane, its memory cannot be freed.
            del lane
            return self._built_again(info, spec, warming_up, make)
        if (shortage := self._shortage(spec)) is not None:
            raise NotLoadedError(
                f"not enough memory for an own copy of the target ({shortage}), and this lane cannot share the other "
                f"lanes' copy: race fewer lanes; {why}"
            )
        lane = self._built(info, spec, warming_up, ALONE, make)
        lane.own_copy = f"{info.title} has its own copy of the target: {why}"
        return lane

    def _built_again(
        self, info: LaneInfo, spec: LaneSpec, warming_up: Callable[[str], None], make: MakesLane | None
    ) -> Lane:
        """Build a lane with a copy of the target of its own, after its text was wrong with the shared one, and say
        whether that was the cause.

        Raises:
            NotLoadedError: The lane cannot be built.
        """
        engines.reclaim()
        lane = self._built(info, spec, warming_up, ALONE, make)
        which = (
            "its self-test fails with that too, so sharing is not the cause"
            if distrusted(lane)
            else "its self-test fails with the shared one and passes with its own; please report this"
        )
        lane.own_copy = f"{info.title} has its own copy of the target: {which}"
        return lane

    def unshared(self, info: LaneInfo, spec: LaneSpec) -> Lane | None:
        """Build a lane with a copy of the target of its own, beside lanes that share one; None if memory lacks.

        Raises:
            NotLoadedError: The lane cannot be built.
        """
        if self._shortage(spec) is not None:
            return None
        return self._built(info, spec, lambda detail: None, ALONE, None)

    def _shortage(self, spec: LaneSpec) -> str | None:
        """Say how much memory a lane with a copy of its own lacks; None if it fits, or if that is not known."""
        if self._shared is None:
            return None
        cache_bytes = self.room.kv_bytes(spec) or self._engine_args.get("kv_cache_memory_bytes")
        return self._shared.shortage(int(cache_bytes or 0))

    def _built(
        self,
        info: LaneInfo,
        spec: LaneSpec,
        warming_up: Callable[[str], None],
        borrowing: Borrowing,
        make: MakesLane | None,
    ) -> Lane:
        """Build a lane and warm it up.

        Raises:
            SharingError: The lane may be built with an own copy of the target.
            NotLoadedError: The lane cannot be built. In either case its memory is freed.
        """
        failure: Exception
        try:
            with panics_as_errors(), engines.without_collections():
                return self._warm_lane(info, spec, warming_up, borrowing, make)
        except Exception as error:
            logger.exception("lane %s could not be built", info.name)
            if borrowing.shared and known_cause(error, spec, self.target) is None:
                failure = SharingError(first_line(error))
            else:
                failure = NotLoadedError(explain(error, spec, self.target))
        # Only outside the handler does no frame refer to the engine, so that its memory can be freed.
        engines.reclaim()
        raise failure

    def _warm_lane(
        self,
        info: LaneInfo,
        spec: LaneSpec,
        warming_up: Callable[[str], None],
        borrowing: Borrowing,
        make: MakesLane | None,
    ) -> Lane:
        kv_bytes = self.room.kv_bytes(spec)
        sized = {} if kv_bytes is None else {"kv_cache_memory_bytes": kv_bytes}
        lane = (make or Lane)(info, spec, self.target, {**self._engine_args, **sized}, borrowing)
        try:
            warming_up("")
            lane.warm_up(WARM_UP_IDS)
            if self._self_test is not None and make is None and spec.method != DIFFUSION:
                warming_up("self-test")
                lane.checked = self._self_test.check(lane)
        except BaseException:
            # On Ctrl-C too, since nothing else knows about the engine yet.
            lane.close()
            raise
        return lane


def load_lanes(
    loader: Loader, infos: Sequence[LaneInfo], specs: Sequence[LaneSpec], emit: Callable[[Event], None]
) -> Iterator[Lane | None]:
    """Load one lane after the other, with events that report progress; yields each lane, or None for one that failed.

    The caller may stop in between.
    """

    def everywhere(stage: StageName, detail: str = "", done: int | None = None, total: int | None = None) -> None:
        for info in infos:
            emit(LaneStage(info.name, stage, detail, done, total))

    try:
        loader.find_target(everywhere)
        if loader.room.refusal:
            raise NotLoadedError(loader.room.refusal)
        everywhere("importing", "vLLM and torch")
        loader.import_engine()
    except NotLoadedError as error:
        everywhere("failed", str(error))
        return
    for info, spec in zip(infos, specs, strict=True):
        yield _load_lane(loader, info, spec, emit)


def _load_lane(loader: Loader, info: LaneInfo, spec: LaneSpec, emit: Callable[[Event], None]) -> Lane | None:
    emit(LaneStage(info.name, "loading", "weights"))
    try:
        lane = loader.lane(info, spec, lambda detail: emit(LaneStage(info.name, "warming up", detail)))
    except NotLoadedError as error:
        emit(LaneStage(info.name, "failed", str(error)))
        return None
    except Exception as error:
        # Whatever it is, the other lanes can race, and this one's pane must not wait for ever.
        logger.exception("lane %s could not be loaded", info.name)
        emit(LaneStage(info.name, "failed", explain(error, spec, loader.target)))
        return None
    if lane.own_copy:
        emit(Notice(lane.own_copy, info.name, "warning"))
    _tell(lane.engine, lane, emit)
    _tell(lane.memory, lane, emit)
    if lane.checked is not None:
        emit(lane.checked)
    emit(LaneStage(info.name, "ready"))
    return lane


def _tell(read: Callable[[], Event], lane: Lane, emit: Callable[[Event], None]) -> None:
    try:
        emit(read())
    except Exception:
        # A model whose modules are built differently from known ones still races.
        logger.exception("something about lane %s is unknown", lane.info.name)

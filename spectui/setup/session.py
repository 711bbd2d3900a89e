"""The engine session used by every measurement: it loads lanes, drives them, explains failures, and closes."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from spectui.errors import RunError, UsageError
from spectui.protocol.events import Event, LaneInfo, TuneEnded, TuneTurn, TuneWhy
from spectui.runtime.logs import log_file, without_log
from spectui.runtime.quiet import quiet_output, say
from spectui.runtime.threads import has_nvidia_gpu
from spectui.sources.vllm.compat import engines, workers
from spectui.sources.vllm.config import HostConfig
from spectui.sources.vllm.errors import explain_death
from spectui.sources.vllm.foreign import panics_as_errors
from spectui.sources.vllm.lane import Lane
from spectui.sources.vllm.lane_spec import LaneSpec, lane_infos
from spectui.sources.vllm.loading import Loader, MakesLane, NotLoadedError
from spectui.sources.vllm.prompting import PromptRefusedError
from spectui.sources.vllm.tuning import Tuning
from spectui.telemetry.sampler import Sampler, open_cores, open_readers

logger = logging.getLogger(__name__)


class EngineSession:
    """Lanes on one target, for measuring without a screen. Every error is raised as a `RunError` that names the log.

    Attributes:
        target: Path or id of the target.
    """

    def __init__(self, config: HostConfig, log_path: Path) -> None:
        """Find the target.

        Raises:
            RunError: The target cannot be loaded.
        """
        self._specs = config.specs
        self._apart = workers.apart(config.engine_args)
        self._loader = Loader(
            config.find_target,
            config.engine_args,
            share=config.share,
            self_test=config.self_test,
            plan_room=config.room,
        )
        self._log_path = log_path
        self._lanes: list[Lane] = []
        self._sampler: Sampler | None = None
        with self._loading():
            self._loader.find_target()

    @property
    def target(self) -> str:
        return self._loader.target

    def lanes(self) -> list[Lane]:
        """Load and warm up every lane that the options ask for.

        Raises:
            RunError: A lane cannot be built, or they do not fit together.
        """
        self.check_room()
        return [self.lane(info, spec) for info, spec in zip(lane_infos(self._specs), self._specs, strict=True)]

    def check_room(self) -> None:
        """Refuse lanes that cannot all be loaded together.

        Raises:
            RunError: The memory is too small for them.
        """
        if self._loader.room.refusal:
            raise self.error(self._loader.room.refusal)

    def lane(self, info: LaneInfo, spec: LaneSpec, make: MakesLane | None = None) -> Lane:
        """Load and warm up one lane; ``make`` makes another lane than `Lane`.

        Raises:
            RunError: The lane cannot be built.
        """
        say(f"loading {info.title}")
        with self._loading():
            self._loader.import_engine()
        with self._loading(info.title):
            lane = self._loader.lane(info, spec, make=make)
        if lane.own_copy:
            say(lane.own_copy)
        self._lanes.append(lane)
        if lane.checked is not None and lane.checked.warning:
            say(f"{info.title}: {lane.checked.warning}")
        return lane

    def unshared(self, info: LaneInfo, spec: LaneSpec) -> Lane | None:
        """Load a lane with a copy of the target of its own, beside lanes that share one; None if memory lacks.

        Raises:
            RunError: The lane cannot be built.
        """
        say(f"loading {info.title} with a copy of the target of its own")
        with self._loading(info.title):
            lane = self._loader.unshared(info, spec)
        if lane is not None:
            self._lanes.append(lane)
        return lane

    def close(self, *kept: Lane) -> None:
        """Close the lanes and free their memory, except those in ``kept``."""
        for lane in [lane for lane in self._lanes if lane not in kept]:
            self._lanes.remove(lane)
            lane.close()
        engines.reclaim()

    def search(self, tuning: Tuning, tell: Callable[[TuneTurn], None]) -> TuneEnded:
        """Run a search to its end, and report every turn to ``tell``. Ctrl-C stops it with the results so far, as
        ``cancelled``.

        Raises:
            RunError: An engine died.
        """
        with self.driving(lambda: _titles(tuning)):
            why: TuneWhy | None
            try:
                while (why := tuning.ended) is None:
                    if (turn := tuning.step()) is not None:
                        tell(turn)
            except KeyboardInterrupt:
                why = "cancelled"
            return tuning.end(why)

    @contextmanager
    def driving(self, title: Callable[[], str] = lambda: "") -> Iterator[None]:
        """Turn the death of an engine stepped within the block into a `RunError` that begins with ``title``."""
        try:
            with panics_as_errors():
                yield
        except PromptRefusedError as error:
            raise self.error(str(error)) from error
        except (RunError, UsageError, BrokenPipeError):
            # A BrokenPipeError comes from reporting progress, not from an engine.
            raise
        except Exception as error:
            logger.exception("an engine died in a measurement")
            raise self._failed(title(), explain_death(error)) from None

    @contextmanager
    def _loading(self, title: str = "") -> Iterator[None]:
        try:
            yield
        except NotLoadedError as error:
            raise self._failed(title, str(error)) from None

    def _failed(self, title: str, why: str) -> RunError:
        return self.error(f"{title} failed: {without_log(why)}" if title else without_log(why))

    def error(self, sentence: str) -> RunError:
        """Return ``sentence`` as an error that also names the log."""
        return RunError(f"{sentence} (details in {self._log_path})")

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Watch the GPU within the block, so that lanes can mark steps in which it was throttled; and the cores, for
        lanes whose engines run in processes of their own."""
        self._watch()
        try:
            yield
        finally:
            self._unwatch()

    @contextmanager
    def unwatched(self) -> Iterator[None]:
        """Stop watching within the block, for measuring what watching costs."""
        self._unwatch()
        try:
            yield
        finally:
            self._watch()

    def _watch(self) -> None:
        gpu = has_nvidia_gpu()
        if gpu or self._apart:
            self._sampler = Sampler(partial(open_readers, None) if gpu else open_cores)
            self._sampler.start(_Nobody())

    def _unwatch(self) -> None:
        if self._sampler is not None:
            self._sampler.stop()
            self._sampler = None


@contextmanager
def engine_session(config: HostConfig) -> Iterator[EngineSession]:
    """Open a session that sends its messages and its libraries' to this run's log, and closes its lanes at the end.

    Raises:
        RunError: The target cannot be loaded, or no log can be written.
    """
    path = log_file()
    with quiet_output(path):
        session = EngineSession(config, path)
        with session.watched():
            try:
                yield session
            finally:
                session.close()


def _titles(tuning: Tuning) -> str:
    """Name the lane that is tuned, and the one whose engine is stepped if that is another."""
    tuned, stepped = tuning.lane.info.title, tuning.stepped.info.title
    return tuned if stepped == tuned else f"{stepped} beside {tuned}"


class _Nobody:
    """A sink that discards samples."""

    def emit(self, event: Event) -> None:
        pass

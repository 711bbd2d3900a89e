"""Engines for a headless measurement: the target and its lanes. What goes wrong is one sentence that names the log."""

from __future__ import annotations

import importlib
import logging
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path

from spectui.errors import RunError, UsageError
from spectui.protocol.events import LaneInfo
from spectui.protocol.jump import Emitted
from spectui.runtime.logs import log_file, without_log
from spectui.runtime.quiet import quiet_output
from spectui.runtime.threads import has_nvidia_gpu
from spectui.sources.vllm.compat import reclaim, without_collections
from spectui.sources.vllm.config import HostConfig
from spectui.sources.vllm.errors import explain, explain_death, explain_import, explain_target
from spectui.sources.vllm.foreign import panics_as_errors
from spectui.sources.vllm.lane import WARM_UP_IDS, Lane
from spectui.sources.vllm.lane_spec import LaneSpec
from spectui.sources.vllm.prompting import PromptRefusedError
from spectui.telemetry.sampler import Sampler, open_readers

logger = logging.getLogger(__name__)


class Engines:
    """Builds lanes on one target, and says in one sentence why one cannot be built or died.

    Attributes:
        target: Path or id of the target.
    """

    def __init__(self, config: HostConfig, log_path: Path) -> None:
        """Find the target.

        Raises:
            RunError: It cannot be had.
        """
        self._config = config
        self._log_path = log_path
        self._lanes: list[Lane] = []
        self._sampler: Sampler | None = None
        with self._said("", explain_target):
            self.target = config.find_target(lambda *progress: None)

    def lane(self, info: LaneInfo, spec: LaneSpec) -> Lane:
        """A lane that is warm.

        Raises:
            RunError: It cannot be built.
        """
        with self._said("", explain_import):
            importlib.import_module("spectui.sources.vllm.tap")
        with self._said(f"{info.title} failed: ", lambda error: explain(error, spec, self.target)):
            with without_collections():
                lane = Lane(info, spec, self.target, self._config.engine_args)
                self._lanes.append(lane)
                lane.warm_up(WARM_UP_IDS)
            return lane

    def close(self, *kept: Lane) -> None:
        """End the lanes, failed ones too, and give their memory back; ``kept`` go on."""
        for lane in [lane for lane in self._lanes if lane not in kept]:
            self._lanes.remove(lane)
            lane.close()
        reclaim()

    @contextmanager
    def watched_gpu(self) -> Iterator[None]:
        """The lanes mark steps in which their GPU was held back: somebody has to look at it."""
        self._watch()
        try:
            yield
        finally:
            self._unwatch()

    @contextmanager
    def unwatched(self) -> Iterator[None]:
        """Without that, for measuring what looking costs."""
        self._unwatch()
        try:
            yield
        finally:
            self._watch()

    def _watch(self) -> None:
        if has_nvidia_gpu():
            self._sampler = Sampler(partial(open_readers, None))
            self._sampler.start(_Nobody())

    def _unwatch(self) -> None:
        if self._sampler is not None:
            self._sampler.stop()
            self._sampler = None

    def measured(self, title: str = "") -> AbstractContextManager[None]:
        """For what steps engines: an engine that dies becomes a `RunError`; ``title`` is its lane's."""
        return self._said(f"{title} failed: " if title else "", explain_death)

    def refused(self, sentence: str) -> RunError:
        """The error that says so, with the log's name."""
        return RunError(f"{sentence} (details in {self._log_path})")

    @contextmanager
    def _said(self, whose: str, explain_: Callable[[BaseException], str]) -> Iterator[None]:
        try:
            with panics_as_errors():
                yield
        except PromptRefusedError as error:
            raise self.refused(str(error)) from error
        except (RunError, UsageError, BrokenPipeError):
            # The last is of whoever was told how far it is.
            raise
        except Exception as error:
            logger.exception("a measurement failed")
            raise self.refused(f"{whose}{without_log(explain_(error))}") from None


@contextmanager
def engines(config: HostConfig) -> Iterator[Engines]:
    """Engines whose words, and those of their libraries, go to the log of this run.

    Raises:
        RunError: The target cannot be had, or no log can be kept.
    """
    path = log_file()
    with quiet_output(path):
        started = Engines(config, path)
        with started.watched_gpu():
            yield started


class _Nobody:
    """A sink for samples that nobody shows."""

    def emit(self, event: Emitted) -> None:
        pass

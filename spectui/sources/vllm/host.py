"""The live source: a thread that owns the engines, loads them, and takes steps and commands in turn."""

from __future__ import annotations

import logging
import queue
import threading
from contextlib import suppress

from spectui.protocol import commands as cmd
from spectui.protocol.events import Event, Notice, RunStarted
from spectui.protocol.frame_slot import FrameSlot
from spectui.protocol.source import ENGINE_THREAD, Sink
from spectui.sources.hardware import machine_name, software_versions
from spectui.sources.vllm.compat import engines
from spectui.sources.vllm.config import HostConfig
from spectui.sources.vllm.director import Director
from spectui.sources.vllm.errors import first_line
from spectui.sources.vllm.following import ACCEPTED, follow
from spectui.sources.vllm.lane import Lane
from spectui.sources.vllm.lane_spec import lane_infos
from spectui.sources.vllm.loading import Loader, load_lanes

logger = logging.getLogger(__name__)


class EngineHost:
    """A live `Source`: vLLM engines on one thread of this process."""

    accepts = ACCEPTED

    def __init__(self, config: HostConfig) -> None:
        self._config = config
        self._infos = lane_infos(config.specs)
        self._loader = Loader(
            config.find_target,
            config.engine_args,
            share=config.share,
            self_test=config.self_test,
            plan_room=config.room,
        )
        self._commands: queue.SimpleQueue[cmd.Command] = queue.SimpleQueue()
        self._slot = FrameSlot()
        self._thread = threading.Thread(target=self._run, name=ENGINE_THREAD, daemon=True)
        self._sink: Sink
        self._director: Director | None = None
        self._shutdown = threading.Event()

    @property
    def slot(self) -> FrameSlot:
        return self._slot

    def start(self, sink: Sink) -> None:
        self._sink = sink
        self._thread.start()

    def send(self, command: cmd.Command) -> None:
        if isinstance(command, cmd.Shutdown):
            self._shutdown.set()
        self._commands.put(command)

    def stop(self, timeout_s: float) -> bool:
        self.send(cmd.Shutdown())
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _emit(self, event: Event) -> None:
        self._sink.emit(event)

    def _run(self) -> None:
        try:
            self._director = self._loaded()
            if not self._shutdown.is_set():
                self._director.begin()
            while not self._shutdown.is_set():
                self._turn(self._director)
                if self._director.race.lost:
                    self._director.race.lost = False
                    engines.reclaim()
        except Exception as error:
            logger.exception("the engine thread died")
            self._emit(Notice(f"the engine thread died: {first_line(error)}; the log has the details", level="error"))
        finally:
            self._slot.stepping(False)
            if self._director is not None:
                self._director.race.close()

    def _loaded(self) -> Director:
        """Load the lanes, skipping those that fail; a shutdown waits for the loading of one lane at most."""
        config = self._config
        self._emit(
            RunStarted(
                target=config.target,
                lanes=self._infos,
                sampling=config.sampling,
                concurrency=config.concurrency,
                machine=machine_name(),
                versions=software_versions(),
            )
        )
        lanes: list[Lane] = []
        told = False
        for lane in load_lanes(self._loader, self._infos, config.specs, self._emit):
            if lane is not None:
                lanes.append(lane)
            if self._shutdown.is_set():
                break
            # Commands wait in their queue until there is a race that can follow them.
            if not told and not self._commands.empty():
                told = True
                self._emit(Notice("the lanes are still loading; your command will be followed when they are ready"))
        return Director(config, self._infos, self._loader.target, lanes, self._emit)

    def _turn(self, director: Director) -> None:
        """Take one engine step, or wait for the next command; then follow the commands that arrived meanwhile."""
        if (step := director.next_step()) is not None:
            self._slot.stepping(True)
            step()
            self._slot.offer()
        else:
            self._slot.stepping(False)
            follow(director, self._commands.get())
        with suppress(queue.Empty):
            while True:
                follow(director, self._commands.get_nowait())

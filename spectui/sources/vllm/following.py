"""Maps commands to what a live race does."""

from __future__ import annotations

import logging

from spectui.protocol import commands as cmd
from spectui.sources.vllm.director import Director
from spectui.sources.vllm.errors import first_line

logger = logging.getLogger(__name__)

ACCEPTED: frozenset[type[cmd.Command]] = frozenset(
    {
        cmd.SetPrompt,
        cmd.NextPrompt,
        cmd.NextCategory,
        cmd.Restart,
        cmd.Fork,
        cmd.ToParent,
        cmd.Abort,
        cmd.Pause,
        cmd.Resume,
        cmd.StepOnce,
        cmd.SetK,
        cmd.Inspect,
        cmd.SetConcurrency,
        cmd.SetTemperature,
        cmd.Tune,
        cmd.StopTuning,
        cmd.StartBench,
        cmd.StopBench,
        cmd.Shutdown,
    }
)

_WHILE_MEASURING = (cmd.Shutdown, cmd.Pause, cmd.Resume, cmd.StopTuning, cmd.StopBench)


def follow(director: Director, command: cmd.Command) -> None:
    """Follow a command between two engine steps, or say why that is impossible."""
    try:
        _obey(director, command)
    except Exception as error:
        logger.exception("%r could not be followed", command)
        director.refuse(f"that could not be done: {first_line(error)}; the log has the details")


def _obey(director: Director, command: cmd.Command) -> None:
    if director.busy and not isinstance(command, _WHILE_MEASURING):
        director.refuse(director.busy)
        return
    match command:
        case cmd.Shutdown():
            pass  # The loop has its flag.
        case cmd.Pause():
            director.set_paused(True)
        case cmd.Resume():
            director.set_paused(False)
        case cmd.StepOnce(lane):
            director.step_once(lane)
        case cmd.SetK(lane, k):
            director.set_k(lane, k)
        case cmd.Inspect():
            director.inspect(command)
        case cmd.SetConcurrency(requests):
            director.set_concurrency(requests)
        case cmd.SetTemperature(temperature):
            director.set_temperature(temperature)
        case cmd.SetPrompt(text):
            director.set_prompt(text)
        case cmd.NextPrompt(by):
            director.next_prompt(by)
        case cmd.NextCategory():
            director.next_category()
        case cmd.Restart():
            director.again()
        case cmd.Fork():
            director.fork(command)
        case cmd.ToParent():
            director.to_parent()
        case cmd.Tune(lane, budget_s):
            director.begin_tuning(lane, budget_s)
        case cmd.StopTuning():
            director.stop_tuning()
        case cmd.StartBench():
            director.begin_bench()
        case cmd.StopBench():
            director.stop_bench()
        case cmd.Abort(name):
            director.abort(name)
        case _:
            director.refuse("a live race cannot do that")

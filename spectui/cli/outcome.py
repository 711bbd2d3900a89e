"""How a race ended: what to say about it, and the exit code."""

from __future__ import annotations

from spectui.core.state import RunState
from spectui.errors import DONE, FAILED
from spectui.runtime.logs import without_log
from spectui.runtime.terminal import Terminal


def failures(state: RunState) -> list[str]:
    """One sentence about each thing that failed, empty when nothing did; what all lanes have in common comes once."""
    said = [state.fault] if state.fault is not None else []
    failed = [lane for lane in state.lanes.values() if lane.failed is not None]
    if failed and len(failed) == len(state.lanes) and len({lane.failed for lane in failed}) == 1:
        return [*said, f"no lane could run: {failed[0].failed}"]
    return said + [f"{lane.info.title} failed: {lane.failed}" for lane in failed]


def report(state: RunState, terminal: Terminal, *, expected: bool = False, recording: str = "") -> int:
    """Say what failed on the real standard error, once the screen is gone; returns the exit code.

    ``expected`` takes a race without a single token for a failure too; a user may quit before the first one.
    ``recording`` is why a recording is not complete.
    """
    sentences = failures(state)
    if expected and not sentences and not any(lane.run.totals.emitted for lane in state.lanes.values()):
        sentences = [f"nothing was raced: {state.notice}"]
    if recording:
        sentences.append(recording)
    for sentence in sentences:
        terminal.tell(without_log(sentence))
    return FAILED if sentences else DONE

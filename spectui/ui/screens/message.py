"""Chooses the one sentence above the keys. Pure: a view in, spans out."""

from __future__ import annotations

from spectui.core.captions import forked_sentence
from spectui.core.views import LaneView, RunView
from spectui.figures import ratio_text
from spectui.protocol.events import Branch
from spectui.ui.paint.rows import Row
from spectui.ui.widgets.inspect_rows import quoted
from spectui.ui.widgets.pane_head import speedup_marks

NOTICE_S = 6.0
"""Seconds that a notice stays."""


def message(view: RunView, notice_age_s: float | None, slot: int = 0, slow: bool = False, quiet: bool = False) -> Row:
    """The sentence for the moment; the worst news comes first.

    ``notice_age_s`` is None if there has been no notice; ``slot`` is the request that is shown; ``slow`` is whether the
    race is in slow motion; ``quiet`` leaves out what is not news.
    """
    if view.fault is not None:
        return ((view.fault, "bad"), ("   l log   q quit", "muted"))
    lanes = view.lanes
    if lanes and all(lane.failed is not None for lane in lanes):
        return (("All lanes have failed. ", "bad"), ("Each pane says why; l shows the log, q quits.", "muted"))
    if view.notice and notice_age_s is not None and notice_age_s < NOTICE_S:
        return ((view.notice, "text"),)
    if view.round is None:
        return _starting(lanes)
    if quiet:
        return ()
    if slow:
        return _slow(view)
    if view.round_over:
        parent = "" if view.parent is None else ", u parent"
        return (("finished: ", "good"), (f"n next prompt, r restart{parent}", "text"), *_winner(lanes))
    if view.paused:
        return (("paused: ", "warn"), (". takes one step, Space continues", "text"))
    if len(view.prompts) > 1:
        return ((f"request {slot + 1} of {len(view.prompts)}; < and > show another", "muted"),)
    return () if view.parent is None else _forked(view.parent, lanes)


def _forked(branch: Branch, lanes: tuple[LaneView, ...]) -> Row:
    lane = next((lane.info.title for lane in lanes if lane.info.name == branch.lane), branch.lane)
    return ((f"{forked_sentence(branch, lane, quoted)}; u back to the parent", "muted"),)


def _slow(view: RunView) -> Row:
    if view.round_over:
        return (("finished: ", "good"), ("r races again at true speed, n next prompt", "text"))
    if view.paused:
        return (
            ("slow motion, paused: ", "warn"),
            (". takes one step, Space continues, r races again at true speed", "text"),
        )
    return (("slow motion: ", "accent"), ("Space pauses, r races again at true speed, m ends slow motion", "text"))


def _starting(lanes: tuple[LaneView, ...]) -> Row:
    if not lanes:
        return (("starting", "muted"),)
    ready = sum(lane.stage.stage == "ready" for lane in lanes)
    return ((f"starting: {ready} of {len(lanes)} lanes ready; the race begins when all are", "muted"),)


def _winner(lanes: tuple[LaneView, ...]) -> Row:
    """The fastest lane besides AR, if there is a measured one."""
    measured = [lane for lane in lanes if lane.info.k_max and lane.failed is None and lane.speedup]
    if not measured:
        return ()
    best = max(measured, key=lambda lane: lane.speedup or 0.0)
    marks = speedup_marks(best)
    doubt = f" ({', '.join(marks)})" if marks else ""
    return ((f"   fastest drafter: {best.info.title} {ratio_text(best.speedup)}{doubt}", "warn" if doubt else "muted"),)

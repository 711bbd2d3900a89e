"""The head of a lane's pane: what the lane is, how fast it is, and whether its text is still the same as AR's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from spectui.core.comparable import how
from spectui.core.views import LaneView
from spectui.figures import DASH, ratio_text, share_text, three_digits
from spectui.ui.paint.canvas import Canvas
from spectui.ui.paint.cells import safe
from spectui.ui.paint.digits import DIGIT_ROWS, block_digits
from spectui.ui.paint.rows import EMPTY, Row, Span, cells_filled, row_width, spread
from spectui.ui.paint.wrapping import shortened
from spectui.ui.theme.palette import lane_style

COMPACT_ROWS = 4
"""Title, figures, one line about the text, rule."""

LARGE_ROWS = 7
"""The same with figures three rows high and a line of captions."""

SLOWER = 0.995
"""Speed-ups below this are shown as a warning."""

DISTURBED = "disturbed"
"""Marks figures of a round in which other programs disturbed a lane."""

NOT_COMPARABLE = "not comparable"
"""Marks the speed-up of a lane whose engine differs from AR's."""

UNLIKE = "≠"
"""The same in one character."""

_RULE_END = 2
_APART = 2
"""If the two ends of the title are closer than this, it leaves out where K comes from."""

_STAGE_WORDS = {"loading": "loading weights", "verifying": "checking files"}


@dataclass(frozen=True, slots=True)
class PaneState:
    """What the head needs to know besides the lane.

    Attributes:
        number: The lane's position from 1, which is also its key and its colour.
        focused: Whether keys that act on a lane act on this one.
        greedy: Whether the run samples greedily; only then is a comparison with AR shown.
        paused: Whether the race is paused until the user continues.
        stopped: Whether the race will not continue.
        over: Whether the round is over, so that nothing more will be measured.
        elapsed_s: Seconds since the lane began to load; None if it is not loading, or the time is not known.
    """

    number: int
    focused: bool = False
    greedy: bool = True
    paused: bool = False
    stopped: bool = False
    over: bool = False
    elapsed_s: float | None = None


class PaneHead(Canvas):
    """Large figures if there are `LARGE_ROWS` rows, otherwise one row of them."""

    DEFAULT_CSS = "PaneHead { height: 4; }"

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._lane: LaneView | None = None
        self._state = PaneState(1)

    def show(self, lane: LaneView, state: PaneState) -> None:
        """Show ``lane``."""
        self._lane, self._state = lane, state
        self.redraw()

    def rows(self, width: int, height: int) -> list[Row]:
        return [] if self._lane is None else pane_head_rows(self._lane, self._state, width, height)


def pane_head_rows(lane: LaneView, state: PaneState, width: int, height: int) -> list[Row]:
    """The head in exactly ``height`` rows; the last one is the rule above the text, heavy for the focused lane."""
    head = [_title(lane, state, width)]
    if lane.stage.stage != "ready":
        head += _stage_rows(lane, state, width)
    else:
        head += _large(lane, state, width) if height >= LARGE_ROWS else [_small(lane, state, width)]
        if height > COMPACT_ROWS - 1:
            head += _remarks(lane, state, width, height - 1 - len(head))
    head = head[: height - 1]
    return [*head, *[EMPTY] * (height - 1 - len(head)), _rule(lane, state, width)]


def _rule(lane: LaneView, state: PaneState, width: int) -> Row:
    """A rule that says, if there is room, how the lane's engine computes."""
    line, style = ("━", lane_style(state.number - 1)) if state.focused else ("─", "faint")
    computes = "" if lane.engine is None else how(lane.engine, lane.k)
    label = f" {computes}{f' {UNLIKE} AR' if lane.unlike else ''} "
    left = width - len(label) - _RULE_END
    if not computes or left < _RULE_END:
        return ((line * width, style),)
    return ((line * left, style), (label, "warn" if lane.unlike else "muted"), (line * _RULE_END, style))


def _title(lane: LaneView, state: PaneState, width: int) -> Row:
    style = lane_style(state.number - 1, title=True)
    left: Row = ((f"{state.number} ", style if state.focused else "muted"), (safe(lane.info.title), style))
    if drafting := k_text(lane):
        left += ((f"  {drafting}", "text" if lane.k or automatic(lane) else "warn"),)
    right: Row = (state_span(lane, state),)
    source = f" {lane.k_source}" if drafting and lane.k_source and not automatic(lane) else ""
    if source and row_width(left) + len(source) + row_width(right) + _APART <= width:
        left += ((source, "muted"),)
    return spread(left, right, width)


def k_text(lane: LaneView) -> str:
    """The live K, with the K that the lane was built for if it differs; empty for a lane that cannot draft."""
    if not lane.info.k_max:
        return ""
    if automatic(lane):
        return f"K auto, {lane.k}"
    return f"K={lane.k}" if lane.k == lane.info.k_max else f"K={lane.k} of {lane.info.k_max}"


def automatic(lane: LaneView) -> bool:
    """Whether the lane chooses its K after every step."""
    return lane.k_source == "auto"


def state_span(lane: LaneView, state: PaneState) -> Span:
    """What the lane is doing, in one or two words."""
    if lane.stage.stage == "failed":
        return "failed", "bad"
    if lane.stage.stage != "ready":
        return _STAGE_WORDS.get(lane.stage.stage, lane.stage.stage), "muted"
    if lane.requests and not lane.active:
        return (f"done, {lane.finished}" if lane.finished else "done"), "good"
    if state.stopped:
        return "stopped", "bad"
    if state.paused:
        return "paused", "warn"
    if not lane.requests:
        return "ready", "muted"
    return (f"{lane.active} running" if lane.requests > 1 else "running"), "muted"


def missing_span(lane: LaneView) -> Span | None:
    """What is missing from the round because steps were lost; None if nothing is."""
    if lane.lost is None:
        return "partial: unknown steps lost", "warn"
    if not lane.lost:
        return None
    return f"{lane.lost:,} step{'s' if lane.lost > 1 else ''} missing in text and charts", "warn"


def drafting_text(lane: LaneView) -> str:
    """What drafting yields; tells apart a lane without a drafter, K = 0, no draft yet, and drafts that were all
    rejected."""
    if not lane.info.k_max:
        return "no drafter"
    window = lane.window
    if not lane.k and not automatic(lane):
        return "K = 0, drafting off"
    if not window.steps:
        return "no draft yet"
    if not window.accepted:
        return "drafting, 0 accepted"
    return f"length {window.length:.2f}  rate {share_text(window.rate)}{'  partial' if window.partial else ''}"


def divergence_span(lane: LaneView, greedy: bool, over: bool = False) -> Span | None:
    """Whether the shown text equals AR's so far; None if they are not compared. Tokens are counted from 1.

    The margin is measured when the round is ``over``; until then it is not mentioned.
    """
    if not greedy or lane.equal is None:
        return None
    difference = lane.divergence
    if difference is None:
        return ("identical to AR so far", "muted") if lane.equal else None
    if difference.how == "early":
        return f"stopped before AR, at token {difference.position}", "bad"
    if difference.how == "late":
        return f"went past AR's end at token {difference.position}", "bad"
    at = f"diverged at token {difference.position + 1}"
    if difference.margin is None:
        return (f"{at}, margin {DASH}" if over else at), "muted"
    if difference.near_tie:
        return f"{at}, margin {difference.margin:.2f} (near tie)", "muted"
    return f"{at}, margin {difference.margin:.2f}: engine fault", "bad"


def lane_message(lane: LaneView, state: PaneState) -> tuple[Span, ...]:
    """What the pane shows instead of text: why the lane failed, what it loads, or its note before the first round."""
    if lane.failed is not None:
        return ((lane.failed or "The lane failed; the log has the details.", "bad"),)
    if lane.stage.stage != "ready" and lane.stage.detail:
        return ((lane.stage.detail, "muted"),)
    if lane.stream is None and lane.requests:
        return (("this request sits the round out: its conversation is over, or it was refused", "muted"),)
    if lane.stream is None and lane.info.note:
        return ((lane.info.note, "muted"),)
    return ()


def _small(lane: LaneView, state: PaneState, width: int) -> Row:
    left: Row = ((three_digits(lane.tok_s), lane_style(state.number - 1, title=True)), (" tok/s", "muted"))
    speedup = ratio_text(lane.speedup)
    if marks := speedup_marks(lane):
        shorter = f"{speedup} {UNLIKE}" if lane.unlike else speedup
        longer = f"{speedup} {marks[0]}"
        speedup = longer if row_width(left) + len(longer) + 1 <= width else shorter
    return spread(left, ((speedup, _speedup_style(lane)),), width)


def _speedup_style(lane: LaneView) -> str:
    """The reference lane is quiet, a lane that is slower than it is a warning."""
    if lane.speedup is None or not lane.info.k_max:
        return "muted"
    return "strong" if lane.speedup >= SLOWER and not speedup_marks(lane) else "warn"


def speedup_marks(lane: LaneView) -> tuple[str, ...]:
    """Why the speed-up is not that of the model: what lasts comes first."""
    return (*((NOT_COMPARABLE,) if lane.unlike else ()), *((DISTURBED,) if lane.disturbed else ()))


def _large(lane: LaneView, state: PaneState, width: int) -> list[Row]:
    rate, ratio = block_digits(three_digits(lane.tok_s)), block_digits(ratio_text(lane.speedup))
    if len(rate[0]) + len(ratio[0]) + 2 > width:
        return [_small(lane, state, width)]
    style, other = lane_style(state.number - 1), _speedup_style(lane)
    digits = [spread(((rate[row], style),), ((ratio[row], other),), width) for row in range(DIGIT_ROWS)]
    marks = speedup_marks(lane)
    caption: Span = (f"speed-up, {marks[0]}", "warn") if marks else ("speed-up over AR", "muted")
    return [*digits, spread((("tok/s", "muted"),), (caption,), width)]


def _remarks(lane: LaneView, state: PaneState, width: int, room: int) -> list[Row]:
    """What the self-test found wrong, whether something is missing or the text is AR's, the lane's note, and what
    drafting yields: in this order if room is short."""
    compared = missing_span(lane) or divergence_span(lane, state.greedy, state.over)
    drafting: Span = (drafting_text(lane), "muted")
    both = compared is not None and len(drafting[0]) + len(compared[0]) + 3 <= width
    rows: list[Row] = []
    if lane.warning:
        rows += [((line, "bad"),) for line in shortened(safe(lane.warning), width, room)]
    if compared is not None:
        rows.append(spread((drafting,), (compared,), width) if both else (compared,))
    if lane.info.note and room > len(rows):
        rows += [((line, "muted"),) for line in shortened(safe(lane.info.note), width, room - len(rows))]
    if not both:
        rows.append((drafting,))
    return rows[:room]


def _stage_rows(lane: LaneView, state: PaneState, width: int) -> list[Row]:
    if lane.stage.stage == "failed":
        return []
    stage = lane.stage
    waits = state.elapsed_s is None or stage.stage == "waiting"
    elapsed = "" if waits else f"{state.elapsed_s:.0f} s"
    amount = _amount(stage.done, stage.total)
    line = spread(((amount, "muted"),), ((elapsed, "muted"),), width)
    return [line, _progress(stage.done, stage.total, width, lane_style(state.number - 1))]


def _amount(done: int | None, total: int | None) -> str:
    if done is None:
        return ""
    if total is None or total < 10_000:
        return f"{done}" if total is None else f"{done} of {total}"
    return f"{done / 1e6:.0f} of {total / 1e6:.0f} MB"


def _progress(done: int | None, total: int | None, width: int, style: str) -> Row:
    if done is None or not total:
        return EMPTY
    filled = cells_filled(done, total, width)
    return (("━" * filled, style), ("─" * (width - filled), "faint"))

"""The one sentence above the keys while servers are watched. Pure: a view in, spans out."""

from __future__ import annotations

from collections.abc import Mapping

from spectui.core.attached.views import AnswerView, AttachedView
from spectui.core.views import RunView
from spectui.ui.looking import Look, entries, key_of
from spectui.ui.paint.rows import Row
from spectui.ui.widgets.served_words import counters_only, since_text


def attached_message(
    view: RunView, attached: AttachedView, look: Look, since: Mapping[str, float], ended_s: float | None
) -> Row:
    """The sentence for the moment; the worst news comes first.

    ``since`` says of endpoints that are not live for how many seconds; ``ended_s`` is how long ago a request ended.
    """
    if view.paused and view.playhead is None:
        return (("held: ", "warn"), ("the servers go on; Space lets the screen go on too", "text"))
    for stage, style in (("refused", "bad"), ("gone", "bad"), ("connecting", "warn")):
        away = [row for row in attached.endpoints if row.stage == stage]
        if not away:
            continue
        row = away[0]
        others = f" and {len(away) - 1} more" if len(away) > 1 else ""
        if stage == "refused":
            return ((f"{row.title}{others} cannot be watched: ", style), (row.why or "it does not say why", "text"))
        if stage == "gone":
            ago = f" for {since_text(since[row.lane])}" if row.lane in since else ""
            again = "" if view.playhead is not None else "; the screen reconnects by itself"
            return (
                (f"{row.title}{others} gone{ago}: ", style),
                (f"the figures stay{again}", "text"),
            )
        if view.playhead is not None:
            return ((f"{row.title}{others} had not answered yet", style),)
        return (
            (f"waiting for {row.title}{others}: ", style),
            (row.why or "the screen connects by itself once the server runs", "text"),
        )
    if lost := sum(row.lost or 0 for row in attached.endpoints):
        steps = "1 step did" if lost == 1 else f"{lost:,} steps did"
        return (
            (f"{steps} not get here: ", "warn"),
            ("counted in the figures, but without text and drafts", "text"),
        )
    rows = entries(attached, look.order)
    if not any(row.finished is None for row in attached.requests):
        return _idle(attached, look, ended_s)
    place = next((place for place, one in enumerate(rows, start=1) if key_of(one) == look.key), 0)
    if look.opened:
        return ((f"request {place} of {len(rows)}; Up Down scroll, Esc goes back to the table", "muted"),)
    if look.following or not place:
        whose = "" if look.lane is None else f" of {_title(attached, look.lane)}"
        return ((f"following the newest request{whose}; Up Down choose, Enter opens it", "muted"),)
    return ((f"request {place} of {len(rows)}, sorted by {look.order}; Esc follows the newest", "muted"),)


def _idle(attached: AttachedView, look: Look, ended_s: float | None) -> Row:
    if attached.answers:
        last: AnswerView = attached.answers[-1]
        if not last.ended and not last.fault:
            return (("your prompt was sent; Enter shows its answer as it comes", "muted"),)
        if look.key == key_of(last) and not look.opened:
            return (("your prompt was answered; Enter shows the whole answer, / sends another prompt", "muted"),)
    if ended_s is not None:
        return ((f"no requests in flight; the last one ended {since_text(ended_s)} ago", "muted"),)
    if all(counters_only(row) for row in attached.endpoints):
        return (("counters only: drafts are not visible this way; / sends a prompt", "muted"),)
    return (("no requests in flight; those that come appear by themselves", "muted"),)


def _title(attached: AttachedView, lane: str) -> str:
    return next((row.title for row in attached.endpoints if row.lane == lane), lane)

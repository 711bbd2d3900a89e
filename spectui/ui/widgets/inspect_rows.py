"""One verification step in full, as rows: what came before, every token with the target's view of it, the time."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from spectui.core.history import PastStep
from spectui.core.tokens import Role, Token
from spectui.figures import DASH
from spectui.protocol.events import Inspected, Likely, Step, TokenVerdict
from spectui.ui.paint.cells import NEWLINE_SIGN, clip, safe
from spectui.ui.paint.rows import EMPTY, Row, Span, fit, row_width
from spectui.ui.paint.wrapping import wrap
from spectui.ui.theme.palette import ROLE_STYLES
from spectui.ui.widgets.time_bars import StepTimes, time_rows

SPACE_SIGN = "␣"
_TOKEN_CELLS = 16
_CONTEXT_ROWS = 3
_CONTEXT_TOKENS = 200
"""Tokens before the step that are searched for the context's last rows."""
_HIDDEN = (Role.REJECTED, Role.CUT, Role.PENDING)
_VERDICTS = {"accepted": Role.ACCEPTED, "rejected": Role.REJECTED, "not reached": Role.REJECTED}
_COLUMNS = f"{'':>4}  {'token':<{_TOKEN_CELLS}}  {'verdict':<11}  {'target':>7}  {'rank':>5}  "


def inspect_rows(past: PastStep, log: Sequence[Token], inspected: Inspected | None, width: int) -> list[Row]:
    """Everything about one step.

    Args:
        past: The step.
        log: The request's tokens before the step, or as many of the last ones as are available.
        inspected: What the target says about it, None while it is being asked.
        width: Cells.
    """
    step = past.step
    rows: list[Row] = [*context_rows(log, width), EMPTY, *_verdict(step, inspected, width), EMPTY]
    rows += _places(past, inspected, width)
    rows += [EMPTY, *_what_is_missing(step, inspected, width), EMPTY]
    draft, verify = step.draft_ns, step.verify_ns
    times = StepTimes(
        "", None if draft is None else draft / 1e9, None if verify is None else verify / 1e9, step.wall_ns / 1e9
    )
    head = "time of the step" if step.batch == 1 else f"time of the step, shared by {step.batch} requests"
    return rows + time_rows([times], width, head)


def context_rows(log: Sequence[Token], width: int) -> list[Row]:
    """The end of the text that a step continues."""
    text = "".join(text for text, role in log[-_CONTEXT_TOKENS:] if role not in _HIDDEN)
    lines = wrap(safe(text).replace("\n", NEWLINE_SIGN), max(8, width))[-_CONTEXT_ROWS:]
    return [((line, "muted"),) for line in lines] or [(("the answer begins here", "faint"),)]


def _verdict(step: Step, inspected: Inspected | None, width: int) -> list[Row]:
    return [((line, "text"),) for line in wrap(_sentence(step, inspected), width)]


def _sentence(step: Step, inspected: Inspected | None) -> str:
    """Where the draft broke off, in words."""
    if step.canvas:
        return f"{step.canvas} positions denoised, {len(step.emitted) + len(step.cut)} committed."
    if not step.drafted:
        return "No draft: the target wrote one token."
    drafted = f"{len(step.drafted)} drafted, {step.accepted} accepted"
    if step.accepted == len(step.drafted):
        return f"{drafted}: the whole draft, and the target added a token of its own."
    places = inspected.places if inspected else ()
    place = places[step.accepted] if step.accepted < len(places) else None
    broke = f"{drafted}: it broke off at {quoted(step.drafted_text[step.accepted])}"
    if place is None:
        return f"{broke}."
    own = f"; the target wrote {quoted(step.text[step.accepted])}" if len(step.text) > step.accepted else ""
    return f"{broke}, which the target gave {percent(place.probability).strip()} (rank {place.rank}){own}."


def _places(past: PastStep, inspected: Inspected | None, width: int) -> list[Row]:
    """One row per token in order of position; the target's own token after a rejected draft shares the draft's
    position."""
    step = past.step
    places = inspected.places if inspected else ()
    head = ((_COLUMNS, "muted"), ("the target's likeliest", "muted"))
    rows: list[Row] = [fit(head, width)]
    for position, text in enumerate(step.drafted_text):
        verdict = _word(step, position)
        place = places[position] if position < len(places) else None
        rows.append(_row(str(position + 1), text, verdict, ROLE_STYLES[_VERDICTS[verdict]], place, width))
        if position == step.accepted and step.own is not None and step.accepted < len(step.emitted):
            rows.append(_own_row(step, place, width))
    if not step.canvas and step.accepted == len(step.drafted) and len(step.text) > step.accepted:
        place = places[step.accepted] if step.accepted < len(places) else None
        role = Role.PLAIN if not step.drafted else Role.BONUS if step.own == "bonus" else Role.CUT
        word = {Role.PLAIN: "target's", Role.BONUS: "bonus", Role.CUT: "cut"}[role]
        rows.append(_row("+1", step.text[step.accepted], word, ROLE_STYLES[role], place, width))
    return rows


def _word(step: Step, position: int) -> str:
    if position < step.accepted:
        return "accepted"
    return "rejected" if position == step.accepted else "not reached"


def _own_row(step: Step, place: TokenVerdict | None, width: int) -> Row:
    """The row of the recovered token: its position is the rejected draft's, whose list may or may not contain it."""
    token = step.emitted[step.accepted]
    ranked = enumerate(place.likeliest, 1) if place else ()
    rank, likely = next(((rank, one) for rank, one in ranked if one.token == token), (0, None))
    own = TokenVerdict(token, "", likely.probability, rank, ()) if likely else None
    return _row("+1", step.text[step.accepted], "recovered", ROLE_STYLES[Role.RECOVERED], own, width)


def _row(number: str, text: str, verdict: str, style: str, place: TokenVerdict | None, width: int) -> Row:
    probability = percent(place.probability) if place else DASH
    rank = str(place.rank) if place else DASH
    spans: list[Span] = [
        (f"{number:>4}  ", "muted"),
        *fit(((clip(shown(text), _TOKEN_CELLS), style),), _TOKEN_CELLS),
        (f"  {verdict:<11}  ", "text"),
        (f"{probability:>7}  ", "strong"),
        (f"{rank:>5}  ", "text"),
    ]
    if place:
        spans += _alternatives(place.likeliest, width - row_width(tuple(spans)))
    return fit(tuple(spans), width)


def _alternatives(likeliest: Iterable[Likely], room: int) -> list[Span]:
    """As many alternatives as fit completely."""
    spans: list[Span] = []
    for one in likeliest:
        pair: list[Span] = [(shown(one.text), "text"), (f" {percent(one.probability).strip()}   ", "muted")]
        room -= row_width(tuple(pair))
        if room < -3:
            break
        spans += pair
    return spans


def _what_is_missing(step: Step, inspected: Inspected | None, width: int) -> list[Row]:
    if inspected is None:
        return [(("asking the target ...", "muted"),)]
    if inspected.why:
        return [((line, "warn"),) for line in wrap(f"{DASH} unknown: {safe(inspected.why)}", width)]
    said = "The target's probabilities are computed again, off the clock, before temperature and top-p."
    if step.drafted:
        said += f" The drafter's own: {DASH}, vLLM does not hand them out."
    return [((line, "faint"),) for line in wrap(said, width)]


def percent(probability: float) -> str:
    """A probability to a tenth of a percent."""
    return f"{probability * 100:.1f} %" if probability >= 0.0005 else "<0.1 %"


def quoted(text: str) -> str:
    """A single token in quotation marks, with visible spaces and line ends."""
    return f'"{shown(text)}"'


def shown(text: str) -> str:
    """A single token, with visible spaces and line ends."""
    return safe(text).replace("\n", NEWLINE_SIGN).replace(" ", SPACE_SIGN)

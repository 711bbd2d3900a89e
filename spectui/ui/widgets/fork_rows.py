"""The ways to go on from a step in a fork, as rows: unchanged, with one of the target's likeliest tokens, or typed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from spectui.core.history import PastStep
from spectui.core.tokens import Role, Token
from spectui.protocol.events import Inspected, TokenVerdict
from spectui.ui.paint.rows import EMPTY, Row, fit
from spectui.ui.widgets.inspect_rows import context_rows, percent, quoted

_TOKEN_CELLS = 18
_CHOSEN, _OTHER = "▸ ", "  "


@dataclass(frozen=True, slots=True)
class Choice:
    """A way to go on.

    Attributes:
        keep: Output tokens of the answer that are kept.
        text: What it is called: a token in quotation marks, or words.
        put: The token that is put in place of the target's; None if the user types it, or nothing is.
        note: What is known about it.
        typed: Whether the user is asked for a text.
    """

    keep: int
    text: str
    put: int | None = None
    note: str = ""
    typed: bool = False


def choices(past: PastStep, answer: Inspected | None) -> tuple[Choice, ...]:
    """The ways to go on from a step; ``answer`` is what the target says about it, None while it is being asked."""
    step = past.step
    unchanged = Choice(past.before, "change nothing", note="keep the answer up to this step and go on")
    if step.canvas or step.accepted >= len(step.emitted):
        return (unchanged,)
    keep, own = past.before + step.accepted, step.emitted[step.accepted]
    verdict = _verdict(past, answer)
    shares = {one.token: (one.text, one.probability) for one in verdict.likeliest} if verdict else {}
    refused = step.drafted[step.accepted] if step.accepted < len(step.drafted) else None
    if refused is not None:
        shares.setdefault(refused, (step.drafted_text[step.accepted], verdict.probability if verdict else -1.0))
    tokens = tuple(
        Choice(
            keep,
            quoted(text),
            token,
            "   ".join(
                note
                for note, holds in ((f"{percent(share):>7}", share >= 0), ("the rejected draft", token == refused))
                if holds
            ),
        )
        for token, (text, share) in shares.items()
        if token != own
    )
    return (unchanged, *tokens, Choice(keep, "a text of your own ...", typed=True))


def _verdict(past: PastStep, answer: Inspected | None) -> TokenVerdict | None:
    """What the target said where it put its own token."""
    places = answer.places if answer else ()
    return places[past.step.accepted] if past.step.accepted < len(places) else None


def fork_rows(
    past: PastStep, log: Sequence[Token], answer: Inspected | None, chosen: int, width: int
) -> tuple[list[Row], int]:
    """The text up to the fork and the ways to go on; also returns the row of the ``chosen`` one.

    ``log`` holds the request's tokens before the step, or the last of them.
    """
    step, found = past.step, choices(past, answer)
    accepted = [(text, Role.ACCEPTED) for text in step.text[: min(step.accepted, len(step.emitted))]]
    rows: list[Row] = [*context_rows([*log, *accepted], width), EMPTY]
    for place, choice in enumerate(found):
        if place == 1:
            rows += [EMPTY, fit(((f"in place of {_stood(past, answer)}", "text"),), width)]
        mark, style = (_CHOSEN, "title") if place == chosen else (_OTHER, "text")
        if place == chosen:
            row = len(rows)
        head = fit(((choice.text, style),), _TOKEN_CELLS) if choice.note else ((choice.text, style),)
        rows.append(fit(((mark, style), *head, (f"  {choice.note}", "muted")), width))
    if len(found) > 1 and answer is None:
        rows += [EMPTY, fit((("asking the target ...", "muted"),), width)]
    return rows, row


def _stood(past: PastStep, answer: Inspected | None) -> str:
    """The target's own token, and how likely it was where that is known."""
    step, verdict = past.step, _verdict(past, answer)
    own = step.emitted[step.accepted]
    share = next((one.probability for one in verdict.likeliest if one.token == own), None) if verdict else None
    known = "" if share is None else f", which the target gave {percent(share)}"
    return f"{quoted(step.text[step.accepted])}{known}"

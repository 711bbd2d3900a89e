"""The end of a request's text, followed by a step that is still being acted out, as a log of its own."""

from __future__ import annotations

from collections.abc import Iterable

from spectui.core.tokens import Role, Token, TokenLog


def acted_log(log: TokenLog, before: int, tokens: Iterable[Token], cells: int, hide_rejected: bool) -> TokenLog:
    """The last of the first ``before`` tokens of ``log``, enough to fill ``cells``, and then ``tokens``.

    It starts at the beginning of a line, so that lines break as they do in the whole text. Rejected drafts of the text
    can be hidden; ``tokens`` are shown in full.
    """
    first, room = before, cells
    while first and (room > 0 or not log[first - 1][0].endswith("\n")):
        first -= 1
        room -= len(log[first][0])
    acted = TokenLog()
    for place in range(first, before):
        text, role = log[place]
        if role is not Role.REJECTED or not hide_rejected:
            acted.append(text, role)
    for text, role in tokens:
        acted.append(text, role)
    return acted

"""The token stream of one request: every drafted and emitted token with the role it plays."""

from __future__ import annotations

from collections.abc import Iterator
from enum import IntEnum

from spectui.protocol.events import AnyStep, Branch, CountedStep


class Role(IntEnum):
    """What a token is on the screen. Each role has a colour, and a second sign that does not rely on colour."""

    PLAIN = 0
    """The target's own token in a step without a draft."""
    ACCEPTED = 1
    REJECTED = 2
    RECOVERED = 3
    BONUS = 4
    PENDING = 5
    """Drafted, not yet verified."""
    CUT = 6
    """Verified, but beyond the end of the request."""
    KEPT = 7
    """The answer up to the fork, with which the lanes of a forked round began."""
    PUT = 8
    """What a fork puts in place of a token."""


_ROLES = tuple(Role)
"""Roles by value. The enum's own lookup is too slow for something drawn a hundred times a second."""

Token = tuple[str, Role]


def step_tokens(step: AnyStep) -> Iterator[Token]:
    """Yields the tokens of a step in reading order: accepted drafts, rejected drafts, the target's own token, cut
    tokens. Of a counted step the rejected ones are not known, and often none."""
    if not step.text:
        return
    emitted = step.emitted_count
    for position in range(min(step.accepted, emitted)):
        yield step.text[position], Role.ACCEPTED
    if emitted > step.accepted:
        for text in () if isinstance(step, CountedStep) else step.drafted_text[step.accepted :]:
            yield text, Role.REJECTED
        # A diffusion model has as many tokens of its own as it commits at once.
        for position in range(step.accepted, emitted):
            yield step.text[position], _own_role(step)
    for position in range(emitted, emitted + step.cut_count):
        yield step.text[position], Role.CUT


def branch_tokens(branch: Branch | None) -> Iterator[Token]:
    """Yields what the answers of a forked round begin with."""
    if branch is not None and branch.text:
        yield branch.text, Role.KEPT
    if branch is not None and branch.put_text:
        yield branch.put_text, Role.PUT


def _own_role(step: AnyStep) -> Role:
    if not step.drafted:
        return Role.PLAIN
    return Role.RECOVERED if step.own == "recovered" else Role.BONUS


class TokenLog:
    """An append-only list of tokens, read by index while it grows. ``len(log)`` is the number of tokens."""

    def __init__(self) -> None:
        self._texts: list[str] = []
        self._roles = bytearray()

    def append(self, text: str, role: Role) -> None:
        self._texts.append(text)
        self._roles.append(role)

    def __len__(self) -> int:
        return len(self._texts)

    def __getitem__(self, index: int) -> Token:
        return self._texts[index], _ROLES[self._roles[index]]

    def role(self, index: int) -> Role:
        return _ROLES[self._roles[index]]

    def output(self) -> str:
        """The text that the user gets: all tokens that were neither rejected nor cut."""
        hidden = (Role.REJECTED, Role.CUT, Role.PENDING)
        return "".join(text for text, role in zip(self._texts, self._roles, strict=True) if role not in hidden)

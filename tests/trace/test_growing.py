"""Logs that go on behind others look like logs that were always their own."""

from __future__ import annotations

import pytest

from spectui.core.tokens import Role, TokenLog
from spectui.trace.growing import LaterLog


def log_of(log: TokenLog, first: int, last: int) -> TokenLog:
    for number in range(first, last):
        log.append(f" {number}", Role.REJECTED if number % 3 == 0 else Role.ACCEPTED)
    return log


@pytest.mark.parametrize("deep", [1, 2, 3])
def test_a_log_behind_another_has_all_tokens_and_its_own_end(deep: int) -> None:
    base = log_of(TokenLog(), 0, 10)
    later: TokenLog = base
    for level in range(deep):
        later = LaterLog(later, 7 + level)
        log_of(later, 7 + level, 9 + level)
        log_of(base, 100, 110)
    whole = log_of(TokenLog(), 0, 8 + deep)
    assert len(later) == len(whole) == 8 + deep
    assert [later[index] for index in range(len(later))] == [whole[index] for index in range(len(whole))]
    assert [later.role(index) for index in range(len(later))] == [whole.role(index) for index in range(len(whole))]
    assert later[-1] == whole[-1]
    assert later[-len(later)] == whole[0]
    assert later.output() == whole.output()
    with pytest.raises(IndexError):
        later[len(later)]


def test_a_log_behind_another_may_begin_earlier_than_that_one_s_own_tokens() -> None:
    middle = log_of(LaterLog(log_of(TokenLog(), 0, 10), 8), 8, 12)
    early = log_of(LaterLog(middle, 5), 5, 6)
    assert early.output() == log_of(TokenLog(), 0, 6).output()

"""A short part of what `tests.load.attach_chaos` and `tests.load.hostile_server` do at length."""

from __future__ import annotations

from pathlib import Path

import pytest

from spectui.places import SOCKET_VARIABLE
from spectui.sources.attached import tokens
from spectui.sources.attached.tokens import TokenizerError
from tests.load.attach_chaos import Chaos
from tests.load.hostile_server import attacked

pytestmark = [pytest.mark.unit, pytest.mark.slow]


def test_the_viewer_gets_over_kills_and_a_broken_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tmp_path.chmod(0o700)
    monkeypatch.setenv(SOCKET_VARIABLE, str(tmp_path))
    chaos = Chaos(seed=0, longest_s=0.3)
    try:
        for what in ("ipc server", "server", "stall", "viewer"):
            outcome = chaos.smash(what)
            assert outcome.seconds is not None
            assert outcome.right, outcome
            # How a server ended is never seen, and so there is a gap.
            assert outcome.missed or what in ("stall", "viewer")
    finally:
        chaos.close()


def test_a_hostile_server_does_nothing_but_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def none_here(*_: object) -> None:
        raise TokenizerError("none here")

    monkeypatch.setattr(tokens, "_loaded", none_here)
    sent, told, malformed, _, state = attacked(f"ipc://{tmp_path}/a.sock", 2_000, 0)
    assert sent == 2_000
    assert malformed > 1_000
    assert state.fault is None
    assert told["Step"] > 0
    assert told["Serving"] > 0

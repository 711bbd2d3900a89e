"""One start of the demo's engines for as many checks as possible: starting them takes most of the time."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.session import reading
from tests.session.program import PROMPT_S, START_S, on_a_terminal
from tests.support.terminal import PtySession


class DemoProgram:
    """``spectui`` on a terminal, started when it is first asked for and again after a test ended it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._session: PtySession | None = None

    def racing(self) -> PtySession:
        """The live screen at 120x36 with a fresh round, steps made in all three panes."""
        session = self._session
        if session is None or session.exit_code is not None:
            self.close()
            session = self._session = on_a_terminal(self.folder)
            session.wait_for(reading.generating, START_S)
            return session
        if (session.emulator.screen.columns, session.emulator.screen.lines) != (120, 36):
            session.resize(120, 36)
        session.wait_for(lambda rows: bool(reading.panes(rows)), PROMPT_S)
        reading.restart(session)
        session.wait_for(reading.generating, PROMPT_S)
        return session

    def adopt(self, session: PtySession) -> None:
        """Share what a test started."""
        self.close()
        self._session = session

    def close(self) -> None:
        if self._session is not None:
            self._session.__exit__()
            self._session = None


@pytest.fixture(scope="module")
def demo(demo_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[DemoProgram]:
    program = DemoProgram(tmp_path_factory.mktemp("demo"))
    yield program
    program.close()

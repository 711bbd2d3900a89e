"""Reads the live screen as a person does: figures, panes, ledgers."""

from __future__ import annotations

import re
import time

from spectui.cli.main import build_parser
from spectui.setup.config import begun, engine_args, lane_specs, tuned_k
from spectui.sources.vllm.lane_spec import lane_infos
from tests.support.terminal import PtySession

TITLES = ("AR", "MTP", "DFlash")
_OPTIONS = build_parser().parse_args(["run"])
_TUNED = tuned_k(_OPTIONS, engine_args(_OPTIONS, gpu=False), gpu=False)
DEMO_INFOS = {info.title: info for info in lane_infos(begun(lane_specs(_OPTIONS), _TUNED, _OPTIONS))}
"""The demo's lanes as the program begins them here, which is decided by the number format."""
RESTART_STEPS = 40
JUNK = "\N{SKULL AND CROSSBONES}"
"""A character that the program never draws."""

_LAG = re.compile(r"lag +[\d.]+ ms| REC ")
_SAMPLED = re.compile(r"\s*memory\s+\d")
_STEP = re.compile(r"\s*#(\d+) +(\d+ token|no draft|(\d+)/(\d+))")


def lane_time(rows: list[str]) -> float | None:
    """Seconds of lane time in the status line."""
    match = re.search(r"lane time ([\d.]+) s", rows[0])
    return float(match[1]) if match else None


def place_in_set(rows: list[str]) -> int | None:
    """The number of the prompt, as in ``coding 2/44``."""
    match = re.search(r" (\d+)/\d+ ", rows[0])
    return int(match[1]) if match else None


def figures(rows: list[str]) -> list[str]:
    """The screen without what moves in a pause too: the event loop's lag, and what is sampled of the machine."""
    return [" ".join(_LAG.sub("", row).split()) for row in rows if not _SAMPLED.match(row)]


def panes(rows: list[str]) -> dict[str, list[str]]:
    """The text of each lane's pane, where the lanes stand side by side."""
    for y, row in enumerate(rows):
        starts = [m.start() for n, title in enumerate(TITLES, 1) if (m := re.search(rf"(?<=\s){n} {title}\b", row))]
        if len(starts) == len(TITLES):
            ends = [*starts[1:], None]
            return {
                title: [line[start:end] for line in rows[y:]]
                for title, start, end in zip(TITLES, starts, ends, strict=True)
            }
    return {}


def newest_steps(rows: list[str]) -> dict[str, int]:
    """The number of the newest step in each lane's ledger; a lane without one is left out."""
    found = {title: [int(m[1]) for line in pane if (m := _STEP.match(line))] for title, pane in panes(rows).items()}
    return {title: max(numbers) for title, numbers in found.items() if numbers}


def steps_made(rows: list[str]) -> int:
    """Steps of the round so far, of all lanes together."""
    return sum(newest_steps(rows).values())


def drafted(rows: list[str], title: str) -> int | None:
    """How many tokens the newest step of a lane drafted; None without a step."""
    steps = [(int(m[1]), int(m[4] or 0)) for line in panes(rows).get(title, []) if (m := _STEP.match(line))]
    return max(steps)[1] if steps else None


def generating(rows: list[str]) -> bool:
    """Whether all three lanes have made steps."""
    return len(newest_steps(rows)) == len(TITLES)


def litter(session: PtySession) -> None:
    """Fill the emulated screen with junk, as a terminal that reflows does after a resize: whoever owns the screen must
    paint every cell anew."""
    screen = session.emulator.screen
    for y in range(screen.lines):
        for x in range(screen.columns):
            screen.buffer[y][x] = screen.default_char._replace(data=JUNK)


def restart(session: PtySession) -> None:
    """Press ``r`` and wait until the round begins anew.

    A running round is first let go on until its beginning looks different for longer than a busy machine needs to read
    a screen; a pause ends with it.
    """

    def tellable(rows: list[str]) -> bool:
        return "paused" in rows[0] or "finished:" in "\n".join(rows) or steps_made(rows) >= RESTART_STEPS

    rows = session.wait_for(tellable, 30)
    paused, before = "paused" in rows[0], steps_made(rows)
    session.send("r")
    session.wait_for(lambda rows: "paused" not in rows[0] if paused else steps_made(rows) < before, 30)


def pause(session: PtySession) -> list[str]:
    """Press Space and return the screen once everything on it stands still."""
    session.send(" ")
    session.wait_for(lambda rows: "paused" in rows[0], 30)
    return still(session)


def still(session: PtySession, seconds: float = 0.7) -> list[str]:
    """The screen after it has not changed for a while, but for what moves in a pause too."""
    seen = figures(session.rows())
    since = time.monotonic()

    def unchanged() -> bool:
        nonlocal seen, since
        now = figures(session.emulator.rows())
        if now != seen:
            seen, since = now, time.monotonic()
        return time.monotonic() - since > seconds

    session.settle(unchanged, 30)
    return session.rows()

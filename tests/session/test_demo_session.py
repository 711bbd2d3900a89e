"""The demo as a newcomer meets it: the real program, real engines, a real pseudo-terminal.

Tests share one start of the program where they can; each brings it to a fresh round first, so they run in any order.
"""

from __future__ import annotations

import re
import signal
from pathlib import Path

import pytest

from tests.session.conftest import DemoProgram
from tests.session.program import PROMPT_S, START_S, ends, left_behind, log_of, on_a_terminal
from tests.session.reading import (
    DEMO_INFOS,
    JUNK,
    TITLES,
    drafted,
    figures,
    generating,
    lane_time,
    litter,
    newest_steps,
    panes,
    pause,
    place_in_set,
    restart,
    still,
)
from tests.support.terminal import CTRL_C, ENTER, ESCAPE, PtySession

SIZES = [(80, 24), (200, 50), (100, 30), (60, 15), (120, 36)]


def test_loading_is_shown_until_three_lanes_generate(demo: DemoProgram) -> None:
    """Also: nothing that engines print ever touches the screen; it is in the log."""
    demo.close()
    session = on_a_terminal(demo.folder)
    demo.adopt(session)
    session.wait_for("SpecTUI", PROMPT_S)
    session.wait_for(lambda rows: set(panes(rows)) == set(TITLES), PROMPT_S)
    session.wait_for("importing", PROMPT_S)
    session.wait_for("loading", START_S)
    session.wait_for(lambda rows: re.search(r"[1-3] of 3 lanes ready", "\n".join(rows)) is not None, START_S)
    rows = session.wait_for(generating, START_S)
    assert rows[0].startswith(" SpecTUI   SmolLM2-135M-Instruct")
    log = log_of(demo.folder)
    assert "Starting to load model" in log
    for noise in (b"Starting to load model", b"NUMA", b"WARNING", b"INFO"):
        assert noise not in session.raw


def test_pause_step_and_resume(demo: DemoProgram) -> None:
    session = demo.racing()
    paused = pause(session)
    before, clock = newest_steps(paused), lane_time(paused)
    assert clock is not None
    for taken in (1, 2):
        session.send(".")
        session.wait_for(lambda rows, n=taken: sum(newest_steps(rows).values()) == sum(before.values()) + n, PROMPT_S)  # type: ignore[misc]
        after = newest_steps(still(session))
        assert sum(after.values()) == sum(before.values()) + taken
        assert "paused" in session.rows()[0]
    assert (lane_time(session.rows()) or 0) >= clock
    session.send(" ")
    session.wait_for(lambda rows: "paused" not in rows[0], PROMPT_S)
    session.wait_for(lambda rows: all(newest_steps(rows)[t] > after[t] for t in TITLES), PROMPT_S)


def test_five_resizes(demo: DemoProgram) -> None:
    """At each size every cell is painted anew, and head, panes and keys are in their places; first while tokens come,
    then in a pause, where a screen that went through all sizes must equal the one before."""
    session = demo.racing()
    for cols, rows in SIZES:
        session.resize(cols, rows)
        litter(session)
        session.wait_for(lambda shown, at=(cols, rows): fault(shown, *at) is None, PROMPT_S)  # type: ignore[misc]
    before = pause(session)
    for cols, rows in SIZES:
        session.resize(cols, rows)
        litter(session)
        session.wait_for(lambda shown: JUNK not in "".join(shown), PROMPT_S)
        shown = still(session, 0.3)
        assert fault(shown, cols, rows) is None, "\n".join(shown)
        assert lane_time(shown) == lane_time(before)
    assert figures(session.rows()) == figures(before)


def fault(shown: list[str], cols: int, rows: int) -> str | None:
    """What is wrong with the live screen at a size; None when nothing is."""
    text = "\n".join(shown)
    signs = {
        "cells that nobody painted": JUNK in text,
        "characters that are no text": not all(row.isprintable() for row in shown),
        "head": not shown[0].startswith(" SpecTUI") or lane_time(shown) is None,
        "keys": not shown[-1].strip().startswith("Space") or not shown[-1].endswith("quit"),
        "figures": "tok/s" not in text,
        "panes": set(panes(shown)) != set(TITLES) if cols >= 120 else not re.search(r"2 MTP +K=\d ", text),
        "rows": len(shown) != rows,
    }
    return next((sign for sign, wrong in signs.items() if wrong), None)


def test_k_changes_while_generating(demo: DemoProgram) -> None:
    session = demo.racing()
    session.send("3")
    full, first = DEMO_INFOS["DFlash"].k_max, DEMO_INFOS["DFlash"].k_first
    assert 1 < first < full
    session.wait_for(f"K={first} of {full}", PROMPT_S)
    session.send("-" * (first - 1))
    session.wait_for(f"K=1 of {full}", PROMPT_S)
    session.wait_for(lambda rows: drafted(rows, "DFlash") == 1, PROMPT_S)
    session.send("-")
    session.wait_for(f"K=0 of {full}", PROMPT_S)
    session.wait_for(lambda rows: any(re.match(r"#\d+ +K=0 ", line) for line in panes(rows)["DFlash"]), PROMPT_S)
    session.send("+" * full)
    session.wait_for(lambda rows: f"K={full}" in "\n".join(rows) and f"of {full}" not in "\n".join(rows), PROMPT_S)
    session.wait_for(lambda rows: drafted(rows, "DFlash") == full, PROMPT_S)
    session.send("2")


def test_help_and_log_and_back(demo: DemoProgram) -> None:
    session = demo.racing()
    pause(session)
    live = figures(still(session))
    session.send("?")
    session.wait_for("Acceptance length: 1 + accepted", PROMPT_S)
    session.send(ESCAPE)
    session.wait_for(lambda rows: bool(panes(rows)), PROMPT_S)
    assert figures(still(session)) == live
    session.send("l")
    session.wait_for("engine log", PROMPT_S)
    session.wait_for("init engine", PROMPT_S)
    session.send("l")
    session.wait_for(lambda rows: bool(panes(rows)), PROMPT_S)
    assert figures(still(session)) == live


def test_prompts_and_restart(demo: DemoProgram) -> None:
    session = demo.racing()
    place = place_in_set(session.rows())
    assert place is not None
    session.send("n")
    session.wait_for(lambda rows: place_in_set(rows) == place + 1, PROMPT_S)
    session.wait_for(generating, PROMPT_S)
    restart(session)
    assert place_in_set(session.rows()) == place + 1
    type_prompt(session, "Say one word: harbour.")
    session.wait_for(generating, PROMPT_S)


def test_a_prompt_typed_at_once(demo: DemoProgram) -> None:
    session = demo.racing()
    session.send("/Count to three." + ENTER + "?")
    session.wait_for("Acceptance length: 1 + accepted", PROMPT_S)
    session.send(ESCAPE)
    session.wait_for("yours", PROMPT_S)
    session.wait_for("r restart", PROMPT_S)


def test_keys_still_work_behind_a_prompt_and_help(demo: DemoProgram) -> None:
    session = demo.racing()
    type_prompt(session, "Count.")
    session.send("?")
    session.wait_for("Acceptance length: 1 + accepted", PROMPT_S)
    session.send(ESCAPE)
    session.wait_for(lambda rows: bool(panes(rows)), PROMPT_S)
    session.send("l")
    session.wait_for("engine log", PROMPT_S)
    session.send("l")
    session.wait_for(lambda rows: bool(panes(rows)), PROMPT_S)


def type_prompt(session: PtySession, text: str) -> None:
    """As a person does: each key when the screen shows what the one before did."""
    session.send("/")
    session.wait_for("your prompt", PROMPT_S)
    session.send(text)
    session.wait_for(lambda rows: any(text in row for row in rows[-3:]) and "race it" in rows[-1], PROMPT_S)
    session.send(ENTER)
    session.wait_for(lambda rows: not any(text in row for row in rows[-3:]) and "quit" in rows[-1], PROMPT_S)
    session.wait_for("yours", PROMPT_S)


def test_quit_while_generating(demo: DemoProgram) -> None:
    session = demo.racing()
    session.send("q")
    ends(session, 0)
    assert not session.text().strip()


@pytest.mark.parametrize("moment", ["importing", "weights"])
def test_sigterm_in_mid_load(demo_model: Path, tmp_path: Path, moment: str) -> None:
    with on_a_terminal(tmp_path) as session:
        session.wait_for(moment, START_S)
        session.signal(signal.SIGTERM)
        ends(session, 128 + signal.SIGTERM)
        assert not session.text().strip()


def test_ctrl_c_in_mid_load(demo_model: Path, tmp_path: Path) -> None:
    with on_a_terminal(tmp_path) as session:
        session.wait_for("importing", START_S)
        session.send(CTRL_C)
        ends(session, 0)


def generating_alone(folder: Path) -> PtySession:
    """The program with one lane, which starts sooner, in the midst of a long answer."""
    session = on_a_terminal(folder, "--lane", "ar", "--max-tokens", "1500", "--ignore-eos")
    session.wait_for(lambda rows: re.search(r"#\d+ +1 token", "\n".join(rows)) is not None, START_S)
    return session


def test_sigint_while_generating(demo_model: Path, tmp_path: Path) -> None:
    with generating_alone(tmp_path) as session:
        session.signal(signal.SIGINT)
        ends(session, 128 + signal.SIGINT)


def test_a_closed_window_while_generating(demo_model: Path, tmp_path: Path) -> None:
    """The window goes away: the program ends at once with SIGHUP's code, and lets nothing run on."""
    with generating_alone(tmp_path) as session:
        session.hang_up()
        assert session.wait_exit(PROMPT_S) == 128 + signal.SIGHUP
        assert left_behind(tmp_path, session.pid) == []


def test_a_killed_program_is_tidied_up_after(demo_model: Path, tmp_path: Path) -> None:
    with generating_alone(tmp_path) as session:
        assert left_behind(tmp_path, session.pid)
        session.signal(signal.SIGKILL)
        assert session.wait_exit(PROMPT_S) == -signal.SIGKILL
        session.settle(lambda: left_behind(tmp_path, session.pid) == [], PROMPT_S)

"""Pictures of the screen, to the byte.

After a wanted change run ``SPECTUI_SNAPSHOTS=update make test ARGS=tests/ui/test_snapshots.py``, and look at every new
picture before it is committed.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

import pytest

from spectui.cli.replay import opened
from spectui.cli.shot import indexed
from spectui.protocol.events import (
    BenchEnded,
    BenchTurn,
    Inspected,
    LaneEngine,
    LaneInfo,
    Likely,
    Paused,
    Sampling,
    TokenVerdict,
    TraceEvent,
)
from spectui.sources.manual_replay import ManualReplay
from spectui.sources.synthetic.race import SyntheticLane
from spectui.ui.analyst import Found
from spectui.ui.offscreen import offscreen
from spectui.ui.paint.picture import svg
from spectui.ui.screens.bench import BenchScreen
from spectui.ui.screens.inspect import InspectScreen
from tests.support.analyses import analysis
from tests.support.attached_run import E1, attached_run, started
from tests.support.attached_screen import attached
from tests.support.rig import running
from tests.ui.test_attached_screen import run_of
from tests.ui.test_bench_screen import BEGUN, ENDED, GOING, STOPPED

FOLDER = Path(__file__).parent / "snapshots"
TRACES = Path(__file__).parents[2] / "demos" / "traces"
UPDATE = os.environ.get("SPECTUI_SNAPSHOTS") == "update"


_GPU = LaneEngine(
    "", "cuda", "V2", False, "piecewise", tuple(range(6)), "synchronous", ("FLASH_ATTN",), "bfloat16", "none", "auto"
)


@pytest.mark.parametrize(
    ("name", "size", "theme", "keys"),
    [
        ("race-80x24", (80, 24), "midnight", ()),
        ("race-120x36", (120, 36), "midnight", ()),
        ("race-200x50-paper", (200, 50), "paper", ()),
        ("help-120x36", (120, 36), "midnight", ("question_mark",)),
        ("themes-120x36", (120, 36), "midnight", ("t", "up")),
        ("race-80x24-mono", (80, 24), "mono", ()),
        ("inspector-120x36", (120, 36), "midnight", ("i",)),
        ("step-costs-120x36-paper", (120, 36), "paper", ("s",)),
        ("presenter-120x36-stage", (120, 36), "stage", ("p",)),
        ("heat-120x36", (120, 36), "midnight", ("h",)),
    ],
)
async def test_the_screen_looks_as_before(name: str, size: tuple[int, int], theme: str, keys: tuple[str, ...]) -> None:
    async with running(size, theme=theme) as rig:
        await rig.steps(60)
        for key in keys:
            await rig.press(key)
        compare(name, svg(rig.app))


@pytest.mark.parametrize(
    ("name", "size", "theme", "step"),
    [
        ("coding-200x50", (200, 50), "midnight", 150),
        ("math-120x36-tritanopia", (120, 36), "tritanopia", 100),
        ("roleplay-80x24-deuteranopia", (80, 24), "deuteranopia", 60),
        ("h100-synthetic-200x50-stage", (200, 50), "stage", 120),
    ],
)
async def test_a_recorded_step_looks_as_before(name: str, size: tuple[int, int], theme: str, step: int) -> None:
    line = indexed(opened(str(TRACES / f"{name.rpartition(f'-{size[0]}x')[0]}.jsonl")))
    async with offscreen(ManualReplay(line, line.at_step(step)), size, theme) as screen:
        await screen.settle()
        compare(name, screen.svg())


TROUBLED = tuple(
    replace(lane, engine=replace(_GPU, lane=lane.info.name, **engine))
    for lane, engine in (
        (SyntheticLane(LaneInfo("ar", "ar", "AR", 0, "ar")), {}),
        (SyntheticLane(LaneInfo("mtp", "mtp", "MTP", 2, "mtp:k=2"), accept=(0.0,), draft_ms=9.8), {}),
        (
            SyntheticLane(LaneInfo("medusa", "medusa", "Medusa", 5, "medusa:k=5"), accept=(0.7,), draft_ms=5.0),
            {"runner": "V1", "whole_graphs": ()},
        ),
    )
)
"""A lane none of whose drafts is right, and one that cannot be compared with AR."""


async def test_what_is_wrong_looks_as_before() -> None:
    async with running((120, 36), lanes=TROUBLED, sampling=Sampling(max_tokens=400)) as rig:
        await rig.steps(330)
        compare("trouble-120x36", svg(rig.app))


@pytest.mark.parametrize(
    ("name", "size", "theme", "shown"),
    [
        ("bench-120x36", (120, 36), "midnight", GOING),
        ("bench-200x50-paper", (200, 50), "paper", ENDED),
        ("bench-80x24-mono", (80, 24), "mono", STOPPED),
    ],
)
async def test_a_benchmark_looks_as_before(
    name: str, size: tuple[int, int], theme: str, shown: BenchTurn | BenchEnded
) -> None:
    async with running(size, theme=theme) as rig:
        for event in (Paused(False), BEGUN, shown):
            rig.app._mailbox.emit(event)
        await rig.settle(lambda: rig.view.bench == shown and isinstance(rig.app.screen, BenchScreen))
        compare(name, svg(rig.app))


@pytest.mark.parametrize(
    ("name", "size", "theme"),
    [("analysis-120x36", (120, 36), "midnight"), ("analysis-200x50-paper", (200, 50), "paper")],
)
async def test_an_analysis_looks_as_before(name: str, size: tuple[int, int], theme: str) -> None:
    async with running(size, theme=theme) as rig:
        rig.app.analyst.found = Found(analysis(), rig.app.analyst.steps)
        await rig.press("d")
        compare(name, svg(rig.app))


@pytest.mark.parametrize(
    ("size", "theme"), [((80, 24), "mono"), ((120, 36), "midnight"), ((200, 50), "paper")], ids=lambda one: str(one)
)
async def test_a_fork_looks_as_before(size: tuple[int, int], theme: str) -> None:
    """The choice, with what a target would say, and the round that goes on from it."""
    name = f"{size[0]}x{size[1]}-{theme}"
    async with running(size, theme=theme) as rig:
        await rig.steps(60)
        await rig.press("i", "r", "r", "r")
        shown = rig.app.screen
        assert isinstance(shown, InspectScreen)
        past = shown._rows.past
        assert past is not None
        step = past.step
        drafted = zip(step.drafted, step.drafted_text, strict=True)
        likeliest = (
            Likely(step.emitted[step.accepted], step.text[step.accepted], 0.61),
            Likely(1, " quite", 0.17),
            Likely(2, "\n", 0.08),
            *(Likely(token, text, 0.05) for token, text in list(drafted)[step.accepted : step.accepted + 1]),
        )
        places = tuple(TokenVerdict(token, "", 0.05, 4, likeliest) for token in past.asked)
        rig.app._mailbox.emit(Inspected(step.lane, step.slot, step.index, places))
        await rig.settle(lambda: rig.view.inspected is not None and rig.view.inspected.places == places)
        await rig.press("f", "down", "down", "down")
        compare(f"fork-{name}", svg(rig.app))
        await rig.press("enter")
        await rig.settle(lambda: rig.view.round_over)
        compare(f"forked-{name}", svg(rig.app))


@pytest.mark.parametrize(
    ("name", "size", "theme", "events", "keys"),
    [
        ("attached-200x50", (200, 50), "midnight", lambda: run_of("e1", "e2"), ("1", *["down"] * 6)),
        ("attached-gone-120x36-paper", (120, 36), "paper", attached_run, ("escape",)),
        ("attached-connecting-80x24-mono", (80, 24), "mono", lambda: started((E1,)), ()),
    ],
)
async def test_attached_servers_look_as_before(
    name: str,
    size: tuple[int, int],
    theme: str,
    events: Callable[[], Iterable[TraceEvent]],
    keys: tuple[str, ...],
) -> None:
    async with attached(events(), size, theme=theme) as rig:
        await rig.wait(13)
        for key in keys:
            await rig.press(key)
        compare(name, svg(rig.app))


def compare(name: str, picture: str) -> None:
    path = FOLDER / f"{name}.svg"
    if UPDATE:
        path.parent.mkdir(exist_ok=True)
        path.write_text(picture, encoding="utf-8")
    assert picture == path.read_text(encoding="utf-8"), f"{path.name} differs: see this file's first lines"

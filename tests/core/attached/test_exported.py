"""What is told to Prometheus of every state of an endpoint."""

from __future__ import annotations

from dataclasses import replace

from spectui.core.attached import exported
from spectui.core.attached.exported import Figures, Named
from spectui.protocol import events as ev
from spectui.protocol.run import LaneInfo, Sampling
from spectui.protocol.steps import Reached, Totals

INFO = LaneInfo("e1", "mtp", "box:5571", 3, "tcp://box:5571", k_start=2)
SEEN = ev.ServerSeen("e1", INFO, "tap", "tcp://box:5571", session="a", model="demo", version="0.32.0")
LIVE = ev.ServerState("e1", "live")
SERVING = ev.Serving(
    "e1",
    9,
    running=(ev.InFlight(0, 5), ev.InFlight(1, 6)),
    waiting=4,
    dropped=1,
    malformed=2,
    since_start=Totals(steps=110, emitted=260, drafts=100, drafted=200, accepted=150),
    accepted_at=(90, 60),
    drafted_at=(100, 100),
    draft_ns=1_000_000_000,
    verify_ns=5_000_000_000,
    clock_ns=8_000_000_000,
    engine_steps=60,
)
STEP = ev.CountedStep(
    "e1", "r", 0, 0, k=1, drafted=1, accepted=1, emitted=2, cut=0, own="bonus", cut_reason=None, batch=1, wall_ns=1,
    clock_ns=1, totals=Totals(steps=5, emitted=9),
)  # fmt: skip


def figures(*events: ev.Event) -> Figures:
    seen = Figures()
    for event in events:
        seen.see(event)
    return seen


def value(found: Figures, metric: Named, *labels: str) -> float | None:
    """The figure of the only endpoint."""
    samples = found.told().get(metric, [])
    return next((figure for (_, *rest), figure in samples if tuple(rest) == labels), None)


def test_totals_of_a_tapped_server() -> None:
    found = figures(LIVE, SEEN, SERVING)
    assert [value(found, metric) for metric in (exported.DRAFTS, exported.DRAFTED, exported.ACCEPTED)] == [
        100,
        200,
        150,
    ]
    assert (value(found, exported.EMITTED), value(found, exported.STEPS), value(found, exported.ENGINE_STEPS)) == (
        260,
        110,
        60,
    )
    assert [value(found, exported.ACCEPTED_AT, place) for place in ("0", "1", "2")] == [90, 60, None]
    assert [value(found, exported.DRAFTED_AT, place) for place in ("0", "1", "2")] == [100, 100, None]
    assert [value(found, exported.SECONDS, part) for part in ("draft", "verify", "rest")] == [1, 5, 2]
    assert value(found, exported.CLOCK) == 8
    assert (value(found, exported.RUNNING), value(found, exported.WAITING)) == (2, 4)
    assert (value(found, exported.DROPPED), value(found, exported.MALFORMED), value(found, exported.LOST)) == (1, 2, 0)
    assert (value(found, exported.K), value(found, exported.K_MAX), value(found, exported.UP)) == (2, 3, 1)
    assert value(found, exported.INFO, "tap", "demo", "mtp", "0.32.0") == 1


def test_what_is_not_measured_is_left_out() -> None:
    found = figures(LIVE, SEEN, replace(SERVING, draft_ns=None, verify_ns=None, engine_steps=None, since_start=None))
    for metric in (exported.SECONDS, exported.ENGINE_STEPS, exported.DRAFTS, exported.EMITTED):
        assert metric not in found.told()
    plain = figures(LIVE, SEEN, replace(SERVING, draft_ns=None))
    assert [value(plain, exported.SECONDS, part) for part in ("draft", "verify", "rest")] == [None, 5, 3]


def test_counters_of_a_server_without_the_tap() -> None:
    sample = ev.CounterSample("e1", 0, drafts=0, emitted=7, prompt_tokens=3, running=0, cache_share=0.5, malformed=1)
    seen = replace(SEEN, kind="vllm", info=replace(INFO, k_max=0, k_start=None, method="unknown"))
    found = figures(LIVE, seen, sample)
    assert (value(found, exported.DRAFTS), value(found, exported.DRAFTED)) == (0, None)
    assert (value(found, exported.EMITTED), value(found, exported.CACHE), value(found, exported.RUNNING)) == (7, 0.5, 0)
    assert value(found, exported.MALFORMED) == 1
    assert (value(found, exported.K), value(found, exported.K_MAX), value(found, exported.LOST)) == (None, None, None)


def test_a_server_that_cannot_draft_has_k_zero() -> None:
    found = figures(LIVE, replace(SEEN, info=replace(INFO, k_max=0, k_start=None, method="ar")))
    assert (value(found, exported.K), value(found, exported.K_MAX)) == (0, 0)


def test_figures_that_servers_state() -> None:
    found = figures(LIVE, SEEN, ev.CounterSample("e1", 0, length=2.5, rate=0.5, tok_s=80.0))
    assert [value(found, metric) for metric in (exported.LENGTH, exported.RATE, exported.TOK_S)] == [2.5, 0.5, 80.0]


def test_a_server_that_is_gone_has_no_figures_but_that() -> None:
    found = figures(LIVE, SEEN, SERVING, ev.ServerState("e1", "gone", "why"))
    assert found.told() == {exported.UP: [(("tcp://box:5571",), 0.0)]}


def test_k_follows_steps_and_commands_until_the_server_begins_again() -> None:
    found = figures(LIVE, SEEN, SERVING, STEP)
    assert value(found, exported.K) == 1
    found.see(ev.KChanged("e1", 3))
    assert value(found, exported.K) == 3
    found.see(replace(SEEN, session="b"))
    assert (value(found, exported.K), value(found, exported.STEPS)) == (2, None)


def test_steps_of_which_only_totals_are_known_are_counted_as_lost() -> None:
    gap = ev.Gap(3, reached=(Reached("e1", 2, Totals(steps=12, emitted=30)),))
    found = figures(LIVE, SEEN, SERVING, STEP, gap)
    assert value(found, exported.LOST) == 7
    found.see(replace(STEP, totals=Totals(steps=13)))
    found.see(replace(gap, reached=(Reached("e1", 2, Totals(steps=15)),)))
    assert value(found, exported.LOST) == 9


def test_endpoints_are_told_apart_and_have_their_address_from_the_start() -> None:
    other = replace(INFO, name="e2", spec="http://other:8000")
    found = figures(ev.RunStarted("", (INFO, other), Sampling(), attached=True), LIVE)
    assert found.told()[exported.UP] == [(("tcp://box:5571",), 1.0), (("http://other:8000",), 0.0)]

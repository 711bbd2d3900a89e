"""What the widgets of attached servers draw, read as text."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from itertools import product

import pytest

from spectui.core.attached.views import AnswerView, AttachedView, EndpointRow, RequestRow
from spectui.core.reducer import reduce
from spectui.core.state import RunState
from spectui.core.views import RunView, Viewer
from spectui.protocol import events as ev
from spectui.protocol.playback import Playhead
from spectui.ui.looking import Look, entries, key_of
from spectui.ui.paint.rows import Row, fit, plain
from spectui.ui.paint.wrapping import wrapped
from spectui.ui.screens.attached_arrangement import arrange_attached
from spectui.ui.screens.attached_message import attached_message
from spectui.ui.screens.request_pane import request_lane
from spectui.ui.widgets.counter_rows import endpoint_panel_rows
from spectui.ui.widgets.endpoint_table import endpoint_rows
from spectui.ui.widgets.ledger import ledger_rows
from spectui.ui.widgets.request_head import request_head_rows
from spectui.ui.widgets.request_table import first_in_sight, request_rows
from spectui.ui.widgets.served_words import TAP, age_text, count_text, help_paragraphs, short_id
from spectui.ui.widgets.status import status_rows
from tests.support.attached_run import E1, E2, E3, E4, GONE, attached_run, counters_run, seen, started
from tests.support.every_screen import check

HOSTILE = "\x1b[31m[bold]猫\u202e e\u0301\u0301\u0301\ud83d\n[/] \uff21\uff22"


def view_of(events: Sequence[ev.TraceEvent]) -> RunView:
    state = RunState()
    for event in events:
        reduce(state, event)
    return Viewer(state).read()


def servers(view: RunView) -> AttachedView:
    assert view.attached is not None
    return view.attached


@pytest.fixture(scope="module")
def loaded() -> RunView:
    return view_of(attached_run())


def text(rows: Sequence[Row]) -> list[str]:
    return [plain(row).rstrip() for row in rows]


def endpoint(**given: object) -> EndpointRow:
    return replace(EndpointRow("e1", "gpu1:5571", "tap", "live"), **given)  # type: ignore[arg-type]


def request(slot: int, **given: object) -> RequestRow:
    row = RequestRow("e1", slot, f"cmpl-{slot}", 1.0, 10, 20, 3, 2.5, 0.5, 90.0)
    return replace(row, **given)  # type: ignore[arg-type]


def test_the_endpoints_are_rows_with_their_figures_and_a_sum(loaded: RunView) -> None:
    attached = servers(loaded)
    rows = text(endpoint_rows(loaded, 150, 6, focus=1, since={"e3": 12.0}))
    assert len(rows) == 6
    headings = "endpoint state method K length rate tok/s step draft verify in flight waiting cache"
    assert " ".join(rows[0].split()) == headings
    assert rows[1].split()[:5] == ["1", "gpu1:5571", "live", "mtp", "2/3"]
    assert rows[2].startswith("▸2 gpu1:5572")
    assert "drafts hidden" in rows[2]
    assert "gone 12 s" in rows[3]
    assert "counters" in rows[4]
    assert rows[4].endswith("25 %")
    assert rows[5].split()[:2] == ["all", "4"]
    total = attached.total
    assert total is not None
    assert f"{total.length:.2f}" in rows[5]
    assert sum(row.running or 0 for row in attached.endpoints) == total.running


def test_a_small_screen_keeps_what_matters_most_of_the_endpoints(loaded: RunView) -> None:
    heading = text(endpoint_rows(loaded, 78, 6))[0].split()
    assert heading == ["endpoint", "state", "K", "length", "rate", "tok/s", "in", "flight"]
    assert text(endpoint_rows(loaded, 40, 6))[0].split() == ["endpoint", "state", "tok/s"]


def test_of_many_endpoints_the_focused_one_is_in_sight(loaded: RunView) -> None:
    rows = text(endpoint_rows(loaded, 100, 4, focus=3))
    assert [row.split()[0] for row in rows] == ["endpoint", "3", "▸4", "all"]
    assert "all 4, 2 not shown" in rows[3]


def test_an_endpoint_without_figures_says_why() -> None:
    why = "its key is not among those that this server knows"
    events = [*started((E1, E3)), ev.ServerState("e3", "refused", why)]
    rows = text(endpoint_rows(view_of(events), 120, 4))
    assert "connecting" in rows[1]
    assert rows[2].endswith(f"refused        {why}")
    assert "—" not in rows[2]


def test_lost_steps_have_a_column_only_if_there_are_any(loaded: RunView) -> None:
    attached = servers(loaded)
    assert "lost" not in text(endpoint_rows(loaded, 120, 6))[0]
    lossy = replace(attached, endpoints=(replace(attached.endpoints[0], lost=1234), *attached.endpoints[1:]))
    rows = endpoint_rows(replace(loaded, attached=lossy), 120, 6)
    assert text(rows)[0].endswith("lost")
    assert (" " * 3 + "1,234", "warn") in rows[1]


def test_the_requests_in_flight_come_before_those_that_ended(loaded: RunView) -> None:
    attached = servers(loaded)
    flying = [row for row in attached.requests if row.finished is None]
    rows = request_rows(attached, 92, 40, Look(key=key_of(flying[1])))
    assert " ".join(text(rows)[0].split()) == "request at age prompt tokens K length rate tok/s"
    listed = entries(attached)
    assert len(rows) == 1 + len(listed)
    assert [one.finished is None for one in listed if isinstance(one, RequestRow)] == [True] * len(flying) + [False] * (
        len(attached.requests) - len(flying)
    )
    chosen = [row for row in rows if plain(row).startswith("▸")]
    assert [plain(row).split()[1] for row in chosen] == [flying[1].request]
    ended = rows[-1]
    assert {style for word, style in ended if word.strip() and "lane" not in style} == {"muted"}
    assert "limit" in plain(ended)


def test_a_prompt_of_ones_own_has_a_row_with_the_figures_of_its_answer() -> None:
    attached = servers(view_of(counters_run()))
    rows = text(request_rows(attached, 92, 10, Look()))
    assert rows[1].split()[:2] == ["you:", "And"]
    assert "asked" in rows[1]
    assert rows[2].split()[-3:] == ["2.40", ".70", "15.0"]


def test_what_does_not_fit_the_table_is_counted(loaded: RunView) -> None:
    attached = servers(loaded)
    rows = text(request_rows(attached, 60, 6, Look()))
    assert len(rows) == 6
    assert rows[-1].endswith(f"↓ {len(entries(attached)) - 5} more")


def test_the_table_scrolls_only_as_far_as_the_chosen_row_needs() -> None:
    listed = [request(slot) for slot in range(20)]
    assert first_in_sight(listed, ("e1", 3), 5, 0) == 0
    assert first_in_sight(listed, ("e1", 9), 5, 0) == 5
    assert first_in_sight(listed, ("e1", 6), 5, 5) == 5
    assert first_in_sight(listed, ("e1", 2), 5, 5) == 2
    assert first_in_sight(listed[:3], ("e1", 2), 5, 5) == 0


def test_the_table_can_be_sorted() -> None:
    rows = (
        request(3, emitted=5, length=None, tok_s=80.0),
        request(2, emitted=50, length=1.5, tok_s=None),
        request(1, emitted=20, length=3.0, tok_s=40.0),
        request(0, finished="eos"),
    )
    attached = AttachedView((endpoint(),), None, rows)
    orders = {order: [one.slot for one in entries(attached, order) if isinstance(one, RequestRow)] for order in (
        "newest", "oldest", "tokens", "length", "tok/s")}  # fmt: skip
    assert orders == {
        "newest": [3, 2, 1, 0],
        "oldest": [1, 2, 3, 0],
        "tokens": [2, 1, 3, 0],
        "length": [2, 1, 3, 0],
        "tok/s": [1, 3, 2, 0],
    }
    assert ("length", "accent") in [(word.strip(), style) for word, style in request_rows(
        attached, 92, 5, Look(order="length"))[0]]  # fmt: skip


def test_a_request_that_is_followed_stays_until_it_ends() -> None:
    look, first, second = Look(), request(1), request(2)
    attached = AttachedView((endpoint(),), None, (first,))
    assert look.turn(attached) is first
    attached = replace(attached, requests=(second, first))
    assert look.turn(attached) is first
    attached = replace(attached, requests=(second, replace(first, finished="eos")))
    assert look.turn(attached) is second
    ended = replace(second, finished="length")
    assert look.turn(replace(attached, requests=(ended,))) is ended


def test_what_is_followed_stays_on_an_endpoint_that_has_something_to_do() -> None:
    look = Look()
    mine, other, newer = request(1), request(2, lane="e2"), request(3)
    assert look.turn(AttachedView((), None, (mine,))) is mine
    ended = replace(mine, finished="eos")
    assert look.turn(AttachedView((), None, (other, newer, ended))) is newer
    look.follow("e2")
    assert look.turn(AttachedView((), None, (newer, other))) is other
    assert look.turn(AttachedView((), None, (newer,))) is None


def test_requests_of_a_server_that_is_gone_are_dimmed_and_not_followed() -> None:
    look, mine, other = Look(), request(1), request(2, lane="e2")
    here, there = endpoint(), endpoint(lane="e2")
    assert look.turn(AttachedView((here, there), None, (other, mine))) is other
    gone = AttachedView((here, replace(there, stage="gone")), None, (other, mine))
    assert look.turn(gone) is mine
    rows = request_rows(gone, 92, 5, look)
    assert "away" in plain(rows[1])
    assert ("text" in {style for _, style in rows[1]}, "strong" in {style for _, style in rows[2]}) == (False, True)
    alone = AttachedView((replace(here, stage="gone"),), None, (mine,))
    assert look.turn(alone) is mine, "it stays if there is no other"


def test_what_the_user_chose_stays_as_long_as_it_is_known() -> None:
    look, rows = Look(), tuple(request(slot) for slot in (3, 2, 1))
    attached = AttachedView((endpoint(),), None, rows)
    look.turn(attached)
    look.move(attached, 2)
    assert look.turn(attached) is rows[2]
    look.move(attached, 10)
    assert look.turn(attached) is rows[2]
    gone = replace(attached, requests=rows[:2])
    assert look.turn(gone) is rows[0]
    assert look.following


def test_a_new_answer_is_shown_once() -> None:
    look, answer = Look(), AnswerView("e1", 0, "why?", "because")
    attached = AttachedView((endpoint(),), None, (request(1),), (answer,))
    assert look.turn(attached) is answer
    look.follow()
    assert look.turn(attached) is attached.requests[0]


def test_the_status_line_says_what_is_live_and_what_is_missing(loaded: RunView) -> None:
    [row] = text(status_rows(loaded, 120, 1))
    assert row.startswith("SpecTUI   attached   Qwen/Qwen3-8B   3 of 4 live")
    assert "in flight" in row
    assert row.endswith("tok/s")
    attached = servers(loaded)
    worse = (replace(attached.endpoints[0], lost=7, dropped=3, malformed=2), *attached.endpoints[1:])
    [row] = text(status_rows(replace(loaded, attached=replace(attached, endpoints=worse)), 150, 1))
    assert "7 steps lost   3 dropped by the server   2 malformed" in row
    [row] = text(status_rows(view_of(started((E1,))), 120, 1))
    assert row == "SpecTUI   attached   Qwen3-8B   not live"


@pytest.mark.parametrize(
    ("given", "address", "said"),
    [
        ({"stage": "connecting"}, "tcp://gpu1:5571", ("Waiting for tcp://gpu1:5571.", TAP, "SPECTUI_ENDPOINT")),
        ({"stage": "gone", "why": GONE}, "", ("has not answered for 14 s", "reconnects by itself")),
        ({"stage": "refused", "why": "other keys"}, "", ("cannot be watched", "Other keys.")),
        ({"why": "the drafts stay on the GPU"}, "", ("Drafts are not visible", "The drafts stay on the GPU.")),
        ({"kind": "vllm", "why": "vLLM keeps them"}, "", ("Drafts are not visible this way", "vLLM keeps them.", TAP)),
        ({"kind": "llama.cpp", "why": "no tap"}, "", ("Drafts are not visible this way", "No tap.")),
    ],
)
def test_every_state_says_what_to_do(given: dict[str, object], address: str, said: tuple[str, ...]) -> None:
    words = " ".join(text for text, _ in help_paragraphs(endpoint(**given), address, 14.0))
    for one in said:
        assert one in words
    assert ("--scheduler-cls" in words) == (TAP in said)


def test_an_endpoint_that_is_well_needs_no_words() -> None:
    assert help_paragraphs(endpoint(), "tcp://gpu1:5571") == []


def test_an_http_address_that_is_waited_for_needs_no_tap() -> None:
    recorded = help_paragraphs(endpoint(stage="connecting"), "tcp://gpu1:5571", recorded=True)
    assert [text for text, _ in recorded] == ["tcp://gpu1:5571 had not answered yet."]
    words = help_paragraphs(endpoint(kind="unknown", stage="connecting"), "http://gpu3:8000")
    assert words[0][0] == "Waiting for http://gpu3:8000."
    assert not any(TAP in text for text, _ in words)


def test_counters_are_shown_as_what_they_are() -> None:
    row = servers(view_of(counters_run())).endpoints[0]
    said = help_paragraphs(row, "http://gpu3:8000")
    rows = text(endpoint_panel_rows(row, 0, said, 78))
    assert rows[0].startswith("Drafts are not visible this way")
    figures = " ".join(rows)
    assert f"acceptance length {row.length:.2f}" in figures
    assert "running 3" in figures
    assert "KV cache 25 %" in figures
    assert rows[-2].startswith("1 ━")
    assert rows[-2].endswith(".74")
    bare = replace(row, by_position=(), length=None)
    rows = text(endpoint_panel_rows(bare, 0, [], 78))
    assert "acceptance length —" in rows[0]
    assert rows[-1] == "acceptance by position is not counted by this server"


def test_the_head_of_a_request_names_it_and_its_figures(loaded: RunView) -> None:
    attached = servers(loaded)
    row = replace(attached.requests[0], request="chatcmpl-0123456789abcdef", age_s=4.25)
    rows = text(request_head_rows(attached, row, True, 0, 80))
    assert rows[0].startswith("chatcmpl-0123456789abcdef")
    assert rows[0].endswith("in flight 4.2 s")
    assert rows[1].startswith(f"tokens {row.emitted}   length")
    assert rows[1].endswith("following")
    assert rows[2].endswith("gpu1:5571 ━━")
    assert text(request_head_rows(attached, replace(row, finished="abort"), False, 0, 80))[0].endswith("aborted")


def test_the_ledger_of_a_request_has_its_own_steps_alone(loaded: RunView) -> None:
    state = RunState()
    for event in attached_run():
        reduce(state, event)
    viewer = Viewer(state)
    flying = next(row for row in reversed(servers(loaded).requests) if row.finished is None and row.lane == "e1")
    viewer.slot = flying.slot
    lane = next(lane for lane in viewer.read().lanes if lane.info.name == "e1")
    own = request_lane(lane, 8)
    assert 0 < len(own.ledger) <= 8
    assert {row.slot for row in own.ledger} == {flying.slot}
    numbers = [row.number for row in own.ledger]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    assert text(ledger_rows(own, 60, 8))[0].startswith(f"#{numbers[-1] + 1}")
    # Where the lane's ledger is full of others' steps, the request's history has its own.
    crowded = replace(lane, ledger=tuple(row for row in lane.ledger if row.slot != flying.slot))
    assert [row.number for row in request_lane(crowded, 8).ledger] == numbers


def test_the_message_tells_the_worst_first(loaded: RunView) -> None:
    attached, look = servers(loaded), Look()
    gone = plain(attached_message(loaded, attached, look, {"e3": 14.0}, None))
    assert gone == "gpu2:5571 gone for 14 s: the figures stay; the screen reconnects by itself"
    recorded = replace(loaded, playhead=Playhead(5, 10, 5, 10, 1.0, 1.0))
    assert plain(attached_message(recorded, attached, look, {}, None)) == "gpu2:5571 gone: the figures stay"
    held = replace(loaded, paused=True)
    assert plain(attached_message(held, attached, look, {}, None)).startswith("held: the servers go on")
    live = replace(attached, endpoints=attached.endpoints[:2])
    entry = look.turn(live)
    assert isinstance(entry, AnswerView)
    assert plain(attached_message(loaded, live, look, {}, None)).startswith("request 1 of ")
    look.follow()
    look.turn(live)
    assert plain(attached_message(loaded, live, look, {}, None)).startswith("following the newest request; ")
    lossy = replace(live, endpoints=(replace(live.endpoints[0], lost=3),))
    assert plain(attached_message(loaded, lossy, look, {}, None)).startswith("3 steps did not get here")
    idle = replace(live, requests=(), answers=())
    ended = plain(attached_message(loaded, idle, look, {}, 75.0))
    assert ended == "no requests in flight; the last one ended 75 s ago"
    waiting = view_of([*started((E1,)), *seen(E1)])
    assert "those that come" in plain(attached_message(waiting, servers(waiting), look, {}, None))


def test_numbers_fit_their_columns() -> None:
    assert [age_text(s) for s in (None, 0.0, 9.94, 9.96, 99.4, 100, 5969, 5971, 356399, 400_000)] == [
        "—", "0.0 s", "9.9 s", "10 s", "99 s", "2 min", "99 min", "1.7 h", "99.0 h", "5 d"]  # fmt: skip
    assert [count_text(n) for n in (None, 0, 99_999, 100_000, 12_345_678)] == ["—", "0", "99,999", "0.10M", "12.35M"]


def test_ids_are_shortened_to_what_tells_them_apart() -> None:
    one, other = "chatcmpl-8f3a2b1c9d7e4f60a1b2c3d4e5f60718-0", "chatcmpl-8f3a2b1c9d7e4f60a1b2c3d4e5f60718-1"
    assert short_id(one, 12) == "8f3a2b1…18-0"
    assert short_id(one, 12) != short_id(other, 12)
    assert short_id(one, 60) == one
    assert short_id("cmpl-7", 12) == "cmpl-7"
    assert len(short_id("猫" * 30, 12)) <= 12


SIZES = tuple(product((1, 5, 40, 58, 79, 120, 200), (1, 3, 12)))


@pytest.mark.parametrize("seed", range(4))
def test_hostile_names_ids_and_sentences_stay_in_their_cells(seed: int) -> None:
    dice = random.Random(seed)
    stages = ("connecting", "live", "gone", "refused")
    rows = tuple(
        endpoint(
            lane=name,
            title=HOSTILE * dice.randint(1, 3),
            stage=dice.choice(stages),
            kind=dice.choice(("tap", "vllm", "unknown")),
            why=dice.choice(("", HOSTILE)),
            model=HOSTILE,
            length=dice.choice((None, 1e30, 2.0)),
            tok_s=dice.choice((None, -1e30)),
            running=dice.choice((None, 10**15)),
            by_position=(0.5, None, -3.0),
            lost=dice.choice((None, 0, 10**12)),
        )
        for name in ("e1", "e2", "e3")
    )
    asked = tuple(
        request(
            slot,
            lane=dice.choice(("e1", "e9")),
            request=HOSTILE,
            finished=dice.choice((None, "unseen")),
            age_s=dice.choice((None, 1e20, -5.0)),
            emitted=dice.choice((0, 10**18)),
        )
        for slot in range(6)
    )
    answers = (AnswerView("e2", 0, HOSTILE, HOSTILE, dice.random() < 0.5, dice.choice(("", HOSTILE)), tokens=3),)
    attached = AttachedView(rows, dice.choice((None, replace(rows[0], lane=""))), asked, answers)
    view = replace(view_of([*started((E1, E2, E4)), *seen(E1)]), attached=attached)
    look = Look()
    look.turn(attached)
    for width, height in SIZES:
        drawn = [
            *status_rows(view, width, 1),
            *endpoint_rows(view, width, height, dice.randrange(3), {"e1": 1e12}),
            *request_rows(attached, width, height, look, dice.randrange(3)),
            *(row for entry in entries(attached) for row in request_head_rows(attached, entry, True, 1, width)),
            *(row for one in rows for row in endpoint_panel_rows(one, 1, help_paragraphs(one, HOSTILE), width)),
            *wrapped(attached_message(view, attached, look, {}, 1e9), width),
        ]
        for row in drawn:
            check(fit(row, width), width)


def test_what_fits_is_decided_from_the_size_alone() -> None:
    assert arrange_attached(39, 24, 1) is None
    assert arrange_attached(80, 9, 1) is None
    small = arrange_attached(80, 24, 2)
    assert small is not None
    assert (small.table, small.request, small.charts) == (True, False, "below")
    opened = arrange_attached(80, 24, 2, opened=True)
    assert opened is not None
    assert (opened.table, opened.request, opened.charts) == (False, True, "none")
    wide = arrange_attached(200, 50, 2)
    assert wide is not None
    assert (wide.table, wide.request, wide.chart_count, wide.table_cells) == (True, True, 3, 90)
    told = arrange_attached(80, 24, 2, spoken=True)
    assert told is not None
    assert (told.table, told.request) == (False, True)


@pytest.mark.parametrize("opened", [False, True])
def test_every_size_leaves_room_for_requests(opened: bool) -> None:
    for width, height, endpoints in product((40, 80, 110, 200), range(10, 70), (1, 2, 8)):
        found = arrange_attached(width, height, endpoints, opened=opened)
        assert found is not None
        below = found.chart_rows + (found.charts == "below")
        rest = height - 4 - 2 * found.airy - found.endpoints - below
        assert rest >= 2, (width, height, endpoints, found)
        assert found.ledger == 0 or rest - found.ledger >= 6, (width, height, endpoints, found)

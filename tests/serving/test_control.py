"""K for good and K lent, as the server follows it."""

from __future__ import annotations

import math

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spectui.serving.control import MOST_LEASE_S, Control
from spectui.serving.feed import Feed
from spectui.serving.settings import ServingSettings
from spectui.wire.messages import About, SetK, Standing, encode, read_ask

ABOUT = About(
    "M", "M", "", ["M"], "mtp", 4, "ids", 1.0, True, "", True, "", "h", 1, 0, 1, 1, 1, 64, False, "V1", "cpu",
    "float32", 100, {},
)  # fmt: skip
ONE, TWO = b"one", b"two"


def standing(k: int) -> Standing:
    return Standing(0, [], [], [], None, None, 0, k, 0, 0, [])


class Server:
    """The engine thread's side: follows what is asked at once, and says so."""

    def __init__(self, *, control: bool = True, k: int | None = 2) -> None:
        self.k = -1 if k is None else k
        self.feed = Feed(lambda dropped: standing(self.k))
        self.control = Control(ServingSettings(control=control), self.feed)
        if k is not None:
            self.follow()

    def follow(self) -> int:
        if self.feed.asked_k is not None:
            self.k, self.feed.asked_k = self.feed.asked_k, None
        self.control.stands(standing(self.k))
        return self.k

    def ask(self, viewer: bytes, k: int, lease_s: float | None = None, now: float = 0.0, about: About = ABOUT) -> str:
        why = self.control.set_k(viewer, SetK(1, k, lease_s), about, now)
        self.follow()
        return why


def test_a_lent_k_comes_back_when_its_time_is_up_unless_it_is_asked_for_again() -> None:
    server = Server()
    assert server.ask(ONE, 4, 10) == ""
    assert server.k == 4
    assert server.ask(ONE, 1, 10, now=9) == ""
    server.control.tick(18.9)
    assert server.follow() == 1
    server.control.tick(19)
    assert server.follow() == 2
    server.control.tick(99)
    assert server.follow() == 2


def test_it_comes_back_when_its_viewer_goes_and_not_when_another_one_does() -> None:
    server = Server()
    server.ask(ONE, 4, 10)
    server.control.gone(TWO)
    assert server.follow() == 4
    server.control.gone(ONE)
    assert server.follow() == 2


def test_a_k_for_good_ends_the_loan_whoever_sets_it() -> None:
    for viewer in (ONE, TWO):
        server = Server()
        server.ask(ONE, 4, 10)
        server.ask(viewer, 3)
        server.control.gone(ONE)
        server.control.tick(99)
        assert server.follow() == 3


def test_who_borrows_from_a_borrower_gives_back_what_was_there_before_both() -> None:
    server = Server()
    server.ask(ONE, 4, 10)
    server.ask(TWO, 0, 10)
    server.control.gone(ONE)
    assert server.follow() == 0
    server.control.gone(TWO)
    assert server.follow() == 2


@pytest.mark.parametrize("lease_s", [0.0, -1.0, MOST_LEASE_S + 1, math.nan, math.inf])
def test_leases_of_no_or_endless_time_are_refused(lease_s: float) -> None:
    server = Server()
    assert "at most 60 s" in server.ask(ONE, 4, lease_s)
    assert server.k == 2


def test_why_k_is_not_changed() -> None:
    assert "SPECTUI_CONTROL=1" in Server(control=False).ask(ONE, 1)
    assert Server().ask(ONE, 5) == "K can be 0 to 4 here"
    assert Server().ask(ONE, -1) == "K can be 0 to 4 here"
    assert "try again" in Server(k=None).ask(ONE, 1, 10)
    fixed = About(*[getattr(ABOUT, name) if name != "fixed_k" else "it is fixed" for name in ABOUT.__struct_fields__])
    assert Server().ask(ONE, 1, about=fixed) == "it is fixed"
    ended = msgspec.structs.replace(ABOUT, control=False, why="it has ended")
    assert Server().ask(ONE, 1, about=ended) == "it has ended"


def test_a_viewer_of_before_leases_is_understood() -> None:
    assert read_ask(encode(["set_k", 7, 3])) == SetK(7, 3, None)
    assert read_ask(encode(SetK(7, 3, 2.5))) == SetK(7, 3, 2.5)


_ACT = st.tuples(
    st.sampled_from(["good", "lend", "gone", "wait", "stands"]), st.sampled_from([ONE, TWO]), st.integers(0, 4)
)


@given(st.lists(_ACT, max_size=30), st.integers(0, 4))
def test_once_all_viewers_are_gone_k_is_what_was_last_set_for_good(
    acts: list[tuple[str, bytes, int]], first: int
) -> None:
    server, now, last = Server(k=first), 0.0, first
    for act, viewer, number in acts:
        match act:
            case "good":
                server.ask(viewer, number, now=now)
                last = number
            case "lend":
                server.ask(viewer, number, 5.0, now=now)
            case "gone":
                server.control.gone(viewer)
            case "wait":
                now += number
                server.control.tick(now)
            case "stands":
                server.follow()
    for viewer in (ONE, TWO):
        server.control.gone(viewer)
    assert server.follow() == last

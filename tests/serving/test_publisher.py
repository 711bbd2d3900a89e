"""What viewers get from a server, and what they do not."""

from __future__ import annotations

import logging
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from spectui.serving import viewers
from spectui.serving.binding import bound
from spectui.serving.desk import Desk
from spectui.serving.packing import packed
from spectui.serving.settings import ServingSettings, SettingsError
from spectui.wire.endpoints import found
from spectui.wire.messages import (
    PACKET_BYTES,
    VERSION,
    About,
    AskWords,
    EngineStep,
    Leave,
    Preempted,
    Reply,
    SetK,
    Standing,
    Watch,
    Words,
    encode,
    read_packet,
)
from tests.support.viewers import ABOUT, FAILSAFE_S, LOCAL, Server, of_kind, serving, step, viewing

CONTROLLED = ServingSettings(endpoint=LOCAL, control=True)


def test_a_new_viewer_is_told_all_and_then_every_step_in_order() -> None:
    with serving() as server, viewing(server.publisher.endpoint) as viewer:
        server.put(step(index=0))
        first = viewer.watch()
        assert first.items == [ABOUT, server._standing(0)]
        assert first.items[1] == Standing(0, [0] * 6, [], [], None, None, 1, 2, 0, 0, [])
        assert server.feed.watched
        steps = [step(rows=3, index=index) for index in range(200)]
        numbers = [first.number]
        got: list[object] = []
        for one in steps:
            server.put(one)
        while len(got) < len(steps):
            packet = viewer.next()
            numbers.append(packet.number)
            got += of_kind(packet.items, EngineStep)
        assert got == steps
        assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
        assert {packet.session for packet in (first, packet)} == {first.session}


def test_without_viewers_nothing_is_kept() -> None:
    with serving() as server, viewing(server.publisher.endpoint) as viewer:
        viewer.watch()
        server.put(step())
        viewer.until(EngineStep)
        viewer.say(Leave())
        server.wait_until_watched(False)
        assert server.publisher.viewers == 0
        server.put(step())
        assert server.feed.take_items() == []


def test_what_was_put_for_the_last_viewer_is_not_kept_when_it_goes() -> None:
    settings = ServingSettings(endpoint=LOCAL)
    place, server = bound(settings, 0), Server(settings)
    assert place is not None
    desk = Desk(place, settings, ABOUT, server.feed)
    desk.watch(True)
    server.put(step())
    desk.watch(False)
    assert server.feed.take_items() == []
    place.close()


def test_a_viewer_that_asks_again_is_told_all_again_between_two_packets() -> None:
    with serving() as server, viewing(server.publisher.endpoint) as viewer:
        number = viewer.watch().number
        viewer.say(Watch(VERSION, again=True))
        while not of_kind((packet := viewer.next()).items, About):
            number = packet.number
        assert packet.number == number + 1
        assert isinstance(packet.items[1], Standing)


def test_who_asks_in_every_turn_for_all_there_is_is_told_now_and_then() -> None:
    place = bound(ServingSettings(endpoint=LOCAL), 0)
    assert place is not None
    server = Server(ServingSettings())
    desk = Desk(place, ServingSettings(), ABOUT, server.feed)
    with viewing(place.endpoint.address) as viewer:
        viewer.say(Watch(VERSION))
        assert place.socket.poll(FAILSAFE_S * 1000)
        told = 0
        for turn in range(20):
            desk.turn(turn * 0.02)
            desk.viewers.hear(next(iter(desk.viewers._all)), turn * 0.02, again=True)
        while (packet := viewer.maybe(0.2)) is not None:
            told += len(of_kind(packet.items, About))
    place.close()
    assert told == 4


def test_what_the_server_runs_is_told_anew_when_it_changes() -> None:
    with serving() as server, viewing(server.publisher.endpoint) as viewer:
        viewer.watch()
        changed = About(**{name: getattr(ABOUT, name) for name in About.__struct_fields__} | {"fixed_k": "no"})
        server.publisher.tell(changed)
        assert of_kind(viewer.until(About), About) == [changed]


def test_a_silent_viewer_is_forgotten_and_comes_back_with_a_gap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(viewers, "SILENCE_S", 0.05)
    with serving() as server, viewing(server.publisher.endpoint) as viewer:
        number = viewer.watch().number
        server.wait_until_watched(False)
        while (late := viewer.maybe(0.1)) is not None:
            number = late.number
        again = viewer.watch()
        assert [type(item) for item in again.items] == [About, Standing]
        assert again.number > number + 1


def test_no_more_than_so_many_viewers_are_let_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(viewers, "MOST_VIEWERS", 1)
    with (
        serving() as server,
        viewing(server.publisher.endpoint) as first,
        viewing(server.publisher.endpoint) as second,
    ):
        first.watch()
        refused = second.watch()
        assert refused == refused.__class__(
            VERSION,
            refused.session,
            0,
            refused.at_ns,
            [Reply(0, False, "the server has 32 viewers already: end one of them")],
        )
        first.say(Leave())
        assert of_kind(second.until(About), About) == [ABOUT]


def test_a_viewer_of_another_version_is_told_so() -> None:
    with serving() as server, viewing(server.publisher.endpoint) as viewer:
        viewer.say(Watch(VERSION + 1))
        [reply] = viewer.next().items
        assert isinstance(reply, Reply)
        assert reply.text == (
            "the server speaks version 1 of SpecTUI's messages and this viewer version 2: "
            "use the same version of SpecTUI on both sides"
        )
        assert server.publisher.viewers == 0


@pytest.mark.parametrize(
    ("settings", "fixed", "k", "why"),
    [
        (CONTROLLED, "", 4, ""),
        (CONTROLLED, "", 0, ""),
        (CONTROLLED, "", 5, "K can be 0 to 4 here"),
        (CONTROLLED, "", -1, "K can be 0 to 4 here"),
        (CONTROLLED, "its graphs have one K", 3, "its graphs have one K"),
        (ServingSettings(endpoint=LOCAL), "", 3, "the server must be started with SPECTUI_CONTROL=1"),
    ],
)
def test_k_changes_where_the_operator_allowed_it(settings: ServingSettings, fixed: str, k: int, why: str) -> None:
    about = About(**{name: getattr(ABOUT, name) for name in About.__struct_fields__} | {"fixed_k": fixed})
    with serving(settings, about) as server, viewing(server.publisher.endpoint) as viewer:
        viewer.watch()
        viewer.say(SetK(17, k))
        [reply] = of_kind(viewer.until(Reply), Reply)
        assert (reply.number, reply.done) == (17, not why)
        assert why in reply.text
        assert server.feed.asked_k == (None if why else k)


def test_a_lent_k_is_taken_back_when_its_viewer_goes_and_nobody_else_borrows() -> None:
    with serving(CONTROLLED) as server, viewing(server.publisher.endpoint) as viewer:
        viewer.watch()
        viewer.say(SetK(2, 4, 30.0))
        assert of_kind(viewer.until(Reply), Reply) == [Reply(2, True, "")]
        assert server.feed.asked_k == 4
        viewer.say(Leave())
        server.wait_until_watched(False)
        assert server.feed.asked_k == 2


def test_the_vocabulary_comes_in_pieces_and_is_read_once() -> None:
    asked = []
    known = [bytes([65 + number % 26]) * (1 + number % 60) for number in range(5_000)]

    def words() -> tuple[list[bytes], list[int]]:
        asked.append(1)
        return known, [2, 4_999]

    settings = ServingSettings(endpoint=LOCAL, redaction="text")
    with serving(settings, words=words) as server, viewing(server.publisher.endpoint) as viewer:
        viewer.watch()
        got: list[bytes] = []
        special: list[int] = []
        while len(got) < len(known):
            viewer.say(AskWords(len(got), len(got)))
            [piece] = of_kind(viewer.until(Words), Words)
            assert (piece.number, piece.first, piece.size) == (len(got), len(got), len(known))
            assert len(encode(piece)) <= PACKET_BYTES + 100
            got += piece.words
            special += piece.special
        assert (got, special, asked) == (known, [2, 4_999], [1])
        for first in (5_000, -1):
            viewer.say(AskWords(1, first))
            [reply] = of_kind(viewer.until(Reply), Reply)
            assert reply.text == "the vocabulary has 5000 tokens"


def test_without_text_the_vocabulary_stays_where_it_is() -> None:
    def words() -> tuple[list[bytes], list[int]]:
        raise AssertionError("asked for the vocabulary")

    with serving(words=words) as server, viewing(server.publisher.endpoint) as viewer:
        viewer.say(AskWords(3, 0))
        [reply] = viewer.next().items
        assert reply == Reply(
            3, False, "the server keeps its vocabulary to itself: start it with SPECTUI_REDACTION=text"
        )


def test_a_tokenizer_that_fails_leaves_the_server_watched(caplog: pytest.LogCaptureFixture) -> None:
    def words() -> tuple[list[bytes], list[int]]:
        raise ValueError("no such tokenizer")

    settings = ServingSettings(endpoint=LOCAL, redaction="text")
    with serving(settings, words=words) as server, viewing(server.publisher.endpoint) as viewer:
        viewer.watch()
        viewer.say(AskWords(3, 0))
        [reply] = of_kind(viewer.until(Reply), Reply)
        assert reply == Reply(3, False, "the server could not read its tokenizer: its log says why")
    assert "no such tokenizer" in caplog.text


def test_items_are_packed_into_packets_of_bounded_length() -> None:
    items = [step(rows=8, index=index) for index in range(500)]
    bodies = list(packed(items))
    assert [item for body in bodies for item in _read(body)] == items
    assert max(len(body) for body in bodies if body) <= PACKET_BYTES + 8
    assert len(bodies) < sum(len(encode(item)) for item in items) / PACKET_BYTES + 2
    assert list(packed([])) == []


def test_an_item_that_nobody_would_read_leaves_a_gap() -> None:
    long = step(drafted=250_000)
    assert [body is None for body in packed([step(), long, step()])] == [False, True, False]
    with serving() as server, viewing(server.publisher.endpoint) as viewer:
        number = viewer.watch().number
        server.put(long, Preempted(7))
        while not of_kind((packet := viewer.next()).items, Preempted):
            number = packet.number
        assert packet.number == number + 2


def _read(body: bytes | None) -> list[object]:
    assert body is not None
    from spectui.serving.packing import packet

    return list(read_packet(packet("s", 1, 0, body)).items)


def test_a_viewer_that_does_not_read_loses_packets_and_can_tell(monkeypatch: pytest.MonkeyPatch) -> None:
    """The other one loses none."""
    with (
        serving() as server,
        viewing(server.publisher.endpoint) as reading,
        viewing(server.publisher.endpoint, packets=1) as stuck,
    ):
        reading.watch()
        first = stuck.watch()
        big = step(rows=200)
        numbers = []
        while server.publisher.dropped == 0:
            server.put(big)
            numbers += [packet.number for packet in iter(lambda: reading.maybe(0.0), None)]
            reading.say(Watch(VERSION))
            stuck.say(Watch(VERSION))
        # What waits for it on the way is little and comes first; then a number is missing.
        last = first.number
        for _ in range(5_000):
            server.put(step())
            packet = stuck.next()
            if packet.number != last + 1:
                break
            last = packet.number
        assert packet.number > last + 1
        assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))


def test_a_socket_of_the_users_own_is_open_to_nobody_else() -> None:
    with serving(ServingSettings()) as server:
        path = Path(server.publisher.endpoint.removeprefix("ipc://"))
        assert path.name == f"vllm-{os.getpid()}-0.sock"
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
        assert server.publisher.endpoint in [endpoint.address for endpoint in found()]
        with viewing(server.publisher.endpoint) as viewer:
            assert viewer.watch().items[0] == ABOUT
    assert not path.exists()


def test_a_taken_endpoint_leaves_the_server_without_viewers(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for endpoint in (LOCAL, f"ipc://{tmp_path}/s"):
        with serving(ServingSettings(endpoint=endpoint)) as first:
            second = Server(ServingSettings(endpoint=first.publisher.endpoint))
            second.publisher.start()
            assert second.publisher.endpoint == ""
            assert f"{first.publisher.endpoint} is in use, so this server has no viewers" in caplog.text
            second.publisher.stop()
            with viewing(first.publisher.endpoint) as viewer:
                assert viewer.watch().items[0] == ABOUT


def test_a_file_is_not_replaced_by_a_socket(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("precious")
    server = Server(ServingSettings(endpoint=f"ipc://{tmp_path}/file"))
    with pytest.raises(SettingsError, match=r"file is no socket: name another path"):
        server.publisher.start()
    assert (tmp_path / "file").read_text() == "precious"


@pytest.mark.parametrize(
    ("endpoint", "why"),
    [
        ("tcp://192.0.2.1:5557", r"192\.0\.2\.1:5557 cannot be bound \(Cannot assign requested address\)"),
        ("ipc:///nonexistent/folder/s", r"cannot be bound \(No such file or directory\)"),
        ("tcp://[2001:db8::77]:5557", r"cannot be bound"),
    ],
)
def test_where_nothing_can_be_bound_the_server_does_not_start(endpoint: str, why: str) -> None:
    server = Server(ServingSettings(endpoint=endpoint, insecure=True))
    with pytest.raises(SettingsError, match=why):
        server.publisher.start()


def test_a_server_on_all_interfaces_says_under_which_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("socket.gethostname", lambda: "node7")
    with serving(ServingSettings(endpoint="tcp://0.0.0.0:*", insecure=True)) as server:
        assert server.publisher.endpoint.startswith("tcp://node7:")
        port = server.publisher.endpoint.rpartition(":")[2]
        with viewing(f"tcp://127.0.0.1:{port}") as viewer:
            assert viewer.watch().items[0] == ABOUT


def test_ipv6_works() -> None:
    try:
        server = Server(ServingSettings(endpoint="tcp://[::1]:*"))
        server.publisher.start()
    except SettingsError:
        pytest.skip("this machine has no IPv6")
    with viewing(server.publisher.endpoint) as viewer:
        assert viewer.watch().items[0] == ABOUT
    server.publisher.stop()


def test_the_thread_goes_on_after_a_failure(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving() as server, viewing(server.publisher.endpoint) as viewer:
        viewer.watch()
        standing = server.feed._standing
        failed = []

        def broken(dropped: int) -> Standing:
            if not failed:
                failed.append(1)
                raise RuntimeError("the sums are wrong")
            return standing(dropped)

        monkeypatch.setattr(server.feed, "_standing", broken)
        assert of_kind(viewer.until(Standing, 2), Standing)
        assert failed
    assert [record.levelno for record in caplog.records] == [logging.ERROR]


EXITING = """
import os, sys
from tests.support.viewers import Server, Viewer
from spectui.serving.settings import ServingSettings
server = Server(ServingSettings())
server.publisher.start()
viewer = Viewer(server.publisher.endpoint)
viewer.watch()
if (child := os.fork()) == 0:
    sys.exit(0)
os.waitpid(child, 0)
path = server.publisher.endpoint.removeprefix("ipc://")
print(path, os.path.exists(path), flush=True)
"""


def test_a_process_that_exits_does_not_wait_and_removes_its_socket_and_a_forked_one_leaves_it(tmp_path: Path) -> None:
    environ = {**os.environ, "SPECTUI_SOCKET_DIR": str(tmp_path / "s")}
    done = subprocess.run(
        [sys.executable, "-c", EXITING], capture_output=True, text=True, env=environ, timeout=60, check=True
    )
    path, after_fork = done.stdout.split()
    assert (after_fork, done.stderr) == ("True", "")
    assert not Path(path).exists()

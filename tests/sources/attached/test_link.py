"""Servers that let nobody in, and hosts that cannot be found: what is said of them, and that they are tried again."""

from __future__ import annotations

import shutil
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from spectui.protocol import events as ev
from spectui.sources.attached.handshake import NO_KEYS_HERE, NO_KEYS_THERE, NOT_ADMITTED, OTHER_SERVER
from spectui.sources.attached.source import Attached
from spectui.wire import keys
from spectui.wire.endpoints import Endpoint, parse
from tests.sources.attached.test_source import Served, live
from tests.sources.test_synthetic import FAILSAFE_S, Collector

pytestmark = pytest.mark.unit


class Clock:
    """This machine's clock, which a test can put forward."""

    ahead_ns = step_ns = 0

    def __call__(self) -> int:
        self.ahead_ns += self.step_ns
        return time.monotonic_ns() + self.ahead_ns


@pytest.fixture
def clock() -> Clock:
    """The clock of all viewers of a test."""
    return Clock()


Watch = Callable[..., Collector]


@pytest.fixture
def watch(clock: Clock) -> Iterator[Watch]:
    """Watches endpoints until the end of the test."""
    sources: list[Attached] = []

    def begin(*endpoints: Endpoint, **options: object) -> Collector:
        sink = Collector()
        sources.append(Attached(endpoints, now_ns=clock, **options))  # type: ignore[arg-type]
        sources[-1].start(sink)
        return sink

    yield begin
    for source in sources:
        assert source.stop(FAILSAFE_S)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The keys of two servers, each with a viewer."""
    one, two = (tmp_path_factory.mktemp("keys") / name for name in "ab")
    for folder in (one, two):
        keys.make(folder, "viewer")
    return one, two


def of_viewer(folder: Path, server: Path, viewer: Path) -> Path:
    """A viewer's folder: this server's public key, that viewer's secret one."""
    folder.mkdir(mode=0o700)
    shutil.copy(server / "server.public", folder)
    shutil.copy(viewer / "viewer.secret", folder)
    return folder


def stages(events: list[ev.Event]) -> list[str]:
    """The states that were told."""
    return [event.stage for event in events if isinstance(event, ev.ServerState)]


def why(sink: Collector, address: str, sentence: str) -> None:
    """Wait until the first endpoint is refused with this sentence."""
    told = ev.ServerState("e1", "refused", sentence.format(address=address))
    sink.wait_for(lambda events: told in events)


def test_a_viewer_that_is_not_admitted_is_told_so_and_gets_in_later(
    tmp_path: Path, folders: tuple[Path, Path], watch: Watch, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keys, "_REREAD_S", 0.0)
    one, two = folders
    servers = shutil.copytree(one, tmp_path / "servers")
    served = Served("tcp://127.0.0.1:*", keys=servers)
    there = parse(served.publisher.endpoint)
    sink = watch(there, keys=of_viewer(tmp_path / "mine", one, two))
    why(sink, there.address, NOT_ADMITTED)
    shutil.copy(two / "viewer.public", servers / "second.public")
    clock.ahead_ns += 4_000_000_000
    sink.wait_for(live)
    assert stages(sink.events) == ["connecting", "refused", "live"]
    served.publisher.stop()


def test_wrong_and_missing_keys_are_said(tmp_path: Path, folders: tuple[Path, Path], watch: Watch) -> None:
    one, two = folders
    locked, open_ = Served("tcp://127.0.0.1:*", keys=one), Served("tcp://127.0.0.1:*")
    there = parse(locked.publisher.endpoint)
    why(watch(there, keys=of_viewer(tmp_path / "other", two, one)), there.address, OTHER_SERVER)
    why(watch(there), there.address, NO_KEYS_HERE)
    there = parse(open_.publisher.endpoint)
    why(watch(there, keys=of_viewer(tmp_path / "mine", one, one)), there.address, NO_KEYS_THERE)
    for served in (locked, open_):
        served.publisher.stop()


def test_a_server_that_let_nobody_in_and_is_gone_is_no_longer_refused(
    folders: tuple[Path, Path], watch: Watch, clock: Clock
) -> None:
    served = Served("tcp://127.0.0.1:*", keys=folders[0])
    there = parse(served.publisher.endpoint)
    sink = watch(there)
    why(sink, there.address, NO_KEYS_HERE)
    served.publisher.stop()

    clock.step_ns = 500_000_000
    sink.wait_for(lambda events: stages(events)[-1] == "connecting")
    assert sink.of(ev.ServerState)[-1].why.startswith("nothing is heard from")


def test_a_resolver_that_hangs_holds_up_nobody(
    tmp_path: Path, watch: Watch, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer, asked = threading.Event(), []

    def resolve(host: str, *_: object, **__: object) -> list[tuple[object, ...]]:
        asked.append(host)
        assert answer.wait(FAILSAFE_S)
        return [(socket.AF_INET6, 1, 6, "", ("::1", 0, 0, 0)), (socket.AF_INET, 1, 6, "", ("127.0.0.1", 0))]

    far, near = Served("tcp://127.0.0.1:*"), Served(f"ipc://{tmp_path}/near.sock")
    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    named = Endpoint("tcp", host="far.example", port=parse(far.publisher.endpoint).port)
    sink = watch(named, parse(near.publisher.endpoint), insecure=True)
    sink.wait_for(lambda events: ev.ServerState("e2", "live") in events)
    clock.ahead_ns += 4_000_000_000
    sink.wait_for(
        lambda events: any(isinstance(one, ev.ServerState) and "does not answer" in one.why for one in events)
    )
    assert asked == ["far.example"]
    answer.set()
    sink.wait_for(lambda events: ev.ServerState("e1", "live") in events)
    for served in (far, near):
        served.publisher.stop()


def test_a_host_that_does_not_exist_is_said(watch: Watch, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    def resolve(*_: object, **__: object) -> list[tuple[object, ...]]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    sink = watch(Endpoint("tcp", host="none.example", port=1), insecure=True)
    said = "none.example cannot be found (Name or service not known): check the name"
    sink.wait_for(lambda events: ev.ServerState("e1", "connecting", said) in events)

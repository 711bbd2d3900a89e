"""Endpoints: as users write them, as ZeroMQ takes them, and those of the servers that run here."""

from __future__ import annotations

import os
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from spectui import places
from spectui.wire import endpoints
from spectui.wire.endpoints import MOST_PATH_BYTES, Endpoint, EndpointError, found, own, parse


@contextmanager
def listener(path: Path) -> Iterator[None]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as server:
        server.bind(str(path))
        server.listen()
        yield


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the user's sockets, which does not exist yet."""
    monkeypatch.setenv("SPECTUI_SOCKET_DIR", str(tmp_path / "s"))
    return tmp_path / "s"


def gone() -> int:
    """Id of a process that has ended."""
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    return process.pid


@pytest.mark.parametrize(
    ("text", "address", "short", "loopback"),
    [
        ("ipc:///run/a/vllm-1-0.sock", "ipc:///run/a/vllm-1-0.sock", "vllm-1-0", True),
        ("/run/a/vllm-1-0.sock", "ipc:///run/a/vllm-1-0.sock", "vllm-1-0", True),
        (" tcp://node7:5557 ", "tcp://node7:5557", "node7:5557", False),
        ("node7:5557", "tcp://node7:5557", "node7:5557", False),
        ("localhost:5557", "tcp://localhost:5557", "localhost:5557", True),
        ("127.8.9.10:1", "tcp://127.8.9.10:1", "127.8.9.10:1", True),
        ("[::1]:5557", "tcp://[::1]:5557", "[::1]:5557", True),
        ("tcp://[::ffff:127.0.0.1]:1", "tcp://[::ffff:7f00:1]:1", "[::ffff:7f00:1]:1", True),
        ("tcp://[2001:db8::1]:65535", "tcp://[2001:db8::1]:65535", "[2001:db8::1]:65535", False),
        ("http://gpu:8000", "http://gpu:8000", "gpu:8000", False),
        ("HTTPS://gpu/vllm/", "https://gpu:443/vllm", "gpu:443", False),
        ("http://[::1]:8000/", "http://[::1]:8000", "[::1]:8000", True),
    ],
)
def test_an_endpoint_is_read(text: str, address: str, short: str, loopback: bool) -> None:
    endpoint = parse(text)
    assert (endpoint.address, endpoint.short, endpoint.loopback) == (address, short, loopback)
    assert parse(endpoint.address) == endpoint


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "missing"),
        ("udp://a:1", "is no endpoint: use tcp://HOST:PORT, ipc:///PATH or http://HOST:PORT"),
        ("localhost", "needs a host and a port, such as localhost:5557"),
        ("5557", "needs a host and a port"),
        ("tcp://[::1]", "needs a host and a port"),
        ("::1:5557", "write an IPv6 address in brackets"),
        ("[::x]:1", "no name of a host"),
        ("tcp://a;b:1", "no name of a host"),
        ("tcp://*:5557", "a host that can be reached"),
        ("0.0.0.0:5557", "a host that can be reached"),
        ("[::]:5557", "a host that can be reached"),
        ("tcp://a:0", "from 1 to 65535"),
        ("a:65536", "from 1 to 65535"),
        ("a:٣", "from 1 to 65535"),
        ("http://a:99999", "is no address"),
        ("http://a:0", "from 1 to 65535"),
        ("http://me:secret@a:1", "without user, password"),
        ("http://", "no name of a host"),
        ("ipc://", "needs the path of a socket"),
        ("ipc://@abstract", "everybody on the machine can open such a socket"),
        ("/a\0b.sock", "null character"),
        ("/" + "x" * MOST_PATH_BYTES, f"at most {MOST_PATH_BYTES} bytes, not {MOST_PATH_BYTES + 1}"),
        ("~nobody-of-that-name/x.sock", "no home folder"),
    ],
)
def test_what_is_none_is_refused_in_one_sentence(text: str, why: str) -> None:
    with pytest.raises(EndpointError, match=why.replace("(", r"\(")) as failed:
        parse(text)
    assert "\n" not in str(failed.value)
    assert "secret" not in str(failed.value)


def test_a_path_of_the_longest_length_is_taken() -> None:
    assert len(parse("/" + "x" * (MOST_PATH_BYTES - 1)).path) == MOST_PATH_BYTES
    with pytest.raises(EndpointError, match="not 108"):
        parse("/" + "é" * 53 + "x")


@pytest.mark.parametrize("host", ["*", "0.0.0.0", "[::]"])
def test_a_server_may_name_all_interfaces_and_no_port(host: str) -> None:
    endpoint = parse(f"tcp://{host}:*", bind=True)
    assert endpoint == parse(f"{host}:0", bind=True)
    assert (endpoint.everywhere, endpoint.loopback, endpoint.address) == (True, False, f"tcp://{host}:*")


def test_a_server_is_not_reached_by_http() -> None:
    with pytest.raises(EndpointError, match=r"use tcp://HOST:PORT or ipc:///PATH$"):
        parse("http://localhost:8000", bind=True)


def test_each_rank_has_an_endpoint_of_its_own() -> None:
    assert parse("node:5557").of_rank(0).address == "tcp://node:5557"
    assert parse("node:5557").of_rank(3).address == "tcp://node:5560"
    assert parse("/run/v.sock").of_rank(2).address == "ipc:///run/v-2.sock"
    assert parse("node:*", bind=True).of_rank(1).port == 0
    with pytest.raises(EndpointError, match="no port 65536 for data-parallel rank 1"):
        parse("node:65535").of_rank(1)
    with pytest.raises(EndpointError, match="at most 107 bytes"):
        parse("/" + "x" * 106).of_rank(1)


def test_which_hosts_need_ipv6(monkeypatch: pytest.MonkeyPatch) -> None:
    addresses = {"old": [socket.AF_INET], "both": [socket.AF_INET6, socket.AF_INET], "new": [socket.AF_INET6]}

    def resolved(host: str, *_: object, **__: object) -> list[tuple[int]]:
        if host not in addresses:
            raise socket.gaierror(-2, "Name or service not known")
        return [(family,) for family in addresses[host]]

    monkeypatch.setattr(endpoints.socket, "getaddrinfo", resolved)
    need = {host for host in (*addresses, "none", "127.0.0.1", "[::1]") if parse(f"{host}:1").needs_ipv6()}
    assert need == {"new", "[::1]"}
    assert not parse("/x.sock").needs_ipv6()


def test_a_servers_own_socket_is_in_a_folder_of_the_users(folder: Path) -> None:
    assert own(2, 77) == Endpoint("ipc", str(folder / "vllm-77-2.sock"))
    assert own(0).path == str(folder / f"vllm-{os.getpid()}-0.sock")
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_a_folder_that_others_can_open_is_not_used(folder: Path) -> None:
    folder.mkdir()
    folder.chmod(0o750)
    with pytest.raises(EndpointError, match="can be opened by others: make it yours alone with chmod 700"):
        own(0)
    with listener(folder / "vllm-1-0.sock"):
        assert found() == []


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("SPECTUI_SOCKET_DIR", str(tmp_path / "file" / "below"))
    with pytest.raises(EndpointError, match=r"below: no folder for sockets .*set SPECTUI_SOCKET_DIR to another"):
        own(0)


def test_a_home_that_does_not_exist_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPECTUI_SOCKET_DIR", "~nobody-of-that-name/sockets")
    for use in (lambda: own(0), found):
        with pytest.raises(EndpointError, match=r"SPECTUI_SOCKET_DIR=~nobody-of-that-name/sockets: no home folder for"):
            use()


def test_sockets_lie_in_the_runtime_folder_if_it_is_the_users(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SPECTUI_SOCKET_DIR", raising=False)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    tmp_path.chmod(0o700)
    spare = places.temporary_home() / "sockets"
    assert [places.socket_folders()[0], places.socket_folders()[-1]] == [tmp_path / "spectui", spare]
    tmp_path.chmod(0o755)
    assert tmp_path / "spectui" not in places.socket_folders()


def test_living_servers_are_found_and_sockets_of_killed_ones_removed(folder: Path) -> None:
    """A socket without a listener is left alone while its process lives: a server is about to listen there."""
    own(0)
    dead = gone()
    with listener(folder / f"vllm-{dead}-0.sock"):
        pass
    mine = folder / f"vllm-{os.getpid()}-1.sock"
    with listener(mine):
        pass
    (folder / "vllm-9-9.sock").write_text("a file")
    names = ("vllm-30-0.sock", "vllm-4-1.sock", "vllm-4-0.sock", "other.sock")
    with ExitStack() as listeners:
        for name in names:
            listeners.enter_context(listener(folder / name))
        living = [endpoint.short for endpoint in found()]
    assert living == ["vllm-4-0", "vllm-4-1", "vllm-30-0"]
    assert mine.exists()
    assert not (folder / f"vllm-{dead}-0.sock").exists()


def test_without_a_folder_nothing_is_found(folder: Path) -> None:
    assert found() == []
    assert not folder.exists()

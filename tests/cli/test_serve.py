"""The replay in a browser: what the page shows and obeys, who may see it, and that no engine is ever served."""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import aiohttp
import psutil
import pytest
from aiohttp import web

from spectui.cli.main import main
from spectui.cli.serve import NO_ENGINE, VisibleLines, allowed
from spectui.runtime.output import visible
from tests.support.browser import PATIENCE_S, browsing, chromium
from tests.trace.making import file_of, made_run


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    return file_of(tmp_path / "run.jsonl", made_run(7))


@contextmanager
def serving(trace: Path, *options: str, says: str = r"http://\S+") -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """``spectui serve`` with its address, once it answers."""
    command = [sys.executable, "-m", "spectui", "serve", str(trace), f"--port={free_port()}", *options]
    environment = {**os.environ, "PYTHONWARNINGS": "ignore"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment, cwd=trace.parent) as process:
        try:
            assert process.stdout is not None
            found = re.fullmatch(
                rf"{re.escape(visible(trace.name))} is on ({says}); press Ctrl-C to stop\n", process.stdout.readline()
            )
            assert found is not None
            yield found[1], process
        finally:
            process.kill()


def gone(process: psutil.Process) -> bool:
    return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE


async def until_gone(visitors: list[psutil.Process]) -> None:
    end = time.monotonic() + PATIENCE_S
    while not all(map(gone, visitors)):
        assert time.monotonic() < end, visitors
        await asyncio.sleep(0.05)


@pytest.mark.skipif(chromium() is None, reason="Chromium is not installed")
async def test_a_browser_shows_the_panes_and_space_pauses(trace: Path, tmp_path: Path) -> None:
    with serving(trace, "--speed=0.5") as (address, server):
        async with browsing(tmp_path / "profile") as page:
            await page.open(address)
            text = await page.wait_for(lambda text: "MTP" in text and "DFlash" in text and "tok/s" in text)
            assert "synthetic" in text
            assert "paused" not in text.splitlines()[0]
            await page.press(" ")
            await page.wait_for(lambda text: "paused" in text.splitlines()[0])
            await page.press(" ")
            await page.wait_for(lambda text: "paused" not in text.splitlines()[0])
            await page.press("S")
            await page.wait_for(lambda text: "your browser's downloads" in text)
            assert not list(tmp_path.glob("*.svg"))
            visitors = psutil.Process(server.pid).children()
            assert len(visitors) == 1
        # The browser is gone: so is what it was shown.
        await until_gone(visitors)


async def test_a_visitor_gets_a_replay_that_ends_with_the_server(trace: Path) -> None:
    with serving(trace) as (address, server):
        async with aiohttp.ClientSession() as session, session.ws_connect(f"{address}/ws?width=80&height=24") as ws:
            seen = b""
            async with asyncio.timeout(PATIENCE_S):
                while b"DFlash" not in seen:
                    message = await ws.receive()
                    assert message.type == aiohttp.WSMsgType.BINARY
                    seen += message.data
            visitors = psutil.Process(server.pid).children()
            assert visitors
            await ws.send_json(["stdin", "S"])
            async with asyncio.timeout(PATIENCE_S):
                while (message := await ws.receive()).type != aiohttp.WSMsgType.TEXT:
                    pass
            said, key = message.json()
            assert said == "deliver_file_start"
            async with session.get(f"{address}/download/{key}") as answer:
                assert (await answer.text()).startswith("<svg ")
            server.kill()
            await until_gone(visitors)


async def test_ctrl_c_ends_it(trace: Path) -> None:
    with serving(trace) as (_, server):
        server.send_signal(signal.SIGINT)
        assert server.wait(PATIENCE_S) == 0


async def test_only_its_own_page_is_answered_and_asks_nobody_else(trace: Path) -> None:
    with serving(trace) as (address, _):
        async with aiohttp.ClientSession() as session:
            async with session.get(address) as answer:
                page = await answer.text()
                assert answer.status == 200
                assert set(re.findall(r"(?:https?|wss?)://([^/\"]+)/", page)) <= {address[7:], "www.w3.org"}
            for font in re.findall(r'url\("(/static/\S+)"\)', page):
                async with session.get(address + font) as answer:
                    assert answer.status == 200
            for headers in ({"Host": "elsewhere.example"}, {"Origin": "http://elsewhere.example"}):
                async with session.get(f"{address}/ws", headers=headers) as answer:
                    assert answer.status == 403


NO_HOSTS = (
    *("[::1", "[", "]", "[x]", "[1.2.3.4]", "[::1]x", "localhost:x", "localhost:99999", "localhost:80:90", ":8000"),
    *("a b", "a/b", "u@localhost", "http://localhost", ".", "%00", "\xe4"),
)


async def status_of(address: str, *hosts: str, version: str = "1.1") -> int:
    """What the server answers to a request with those ``Host`` headers, as they are."""
    name, _, port = address.removeprefix("http://").rpartition(":")
    async with asyncio.timeout(PATIENCE_S):
        reader, writer = await asyncio.open_connection(name, int(port))
        lines = [f"GET / HTTP/{version}", *(f"Host: {host}" for host in hosts), "Connection: close"]
        writer.write("\r\n".join([*lines, "", ""]).encode())
        answer = await reader.readline()
        writer.close()
    return int(answer.split()[1])


async def test_a_host_that_is_none_is_a_bad_request(trace: Path) -> None:
    with serving(trace) as (address, _):
        for host in NO_HOSTS:
            assert await status_of(address, host) == 400, host
        assert await status_of(address) == 400
        assert await status_of(address, "") == 400
        assert await status_of(address, version="1.0") == 400
        assert await status_of(address, "localhost", "localhost") == 400
        assert await status_of(address, address.removeprefix("http://")) == 200


async def test_an_origin_that_is_none_is_refused(trace: Path) -> None:
    with serving(trace) as (address, _):
        async with aiohttp.ClientSession() as session:
            for origin in ("http://[", "null", "http://localhost:x"):
                async with session.get(f"{address}/ws", headers={"Origin": origin}) as answer:
                    assert answer.status == 403


async def test_beyond_this_machine_only_the_names_given_are_answered(trace: Path) -> None:
    """So that nobody else's page can watch, whose name leads here once it is loaded."""
    port = free_port()
    options = [f"--port={port}", "--host=0.0.0.0", "--allow-host=lab.example", "--allow-host=Stage.Example"]
    with serving(trace, *options, says=rf"http://0\.0\.0\.0:{port}"):
        address = f"http://127.0.0.1:{port}"
        for host in ("lab.example", "LAB.example.", "stage.example", "192.0.2.7", "[2001:db8::7]", "localhost"):
            assert await status_of(address, f"{host}:{port}") == 200, host
        for host in ("elsewhere.example", "lab.example.elsewhere.example", "xlab.example"):
            assert await status_of(address, f"{host}:{port}") == 403, host


@pytest.mark.parametrize(
    ("host", "origin", "loopback", "names", "answer"),
    [
        ("127.0.0.1:8000", None, True, (), True),
        ("localhost:8000", "http://localhost:8000", True, (), True),
        ("[::1]:8000", None, True, (), True),
        ("127.0.0.1:8000", "http://elsewhere.example", True, (), False),
        ("elsewhere.example", "http://elsewhere.example", True, (), False),
        ("192.0.2.7:8000", None, True, (), False),
        ("lab.example:8000", "http://lab.example:8000", True, ("lab.example",), True),
        ("lab.example:8000", "http://lab.example:8000", False, ("lab.example",), True),
        ("lab.example:8000", "http://lab.example:8000", False, ("stage.example",), False),
        ("lab.example:8000", "http://lab.example:8000", False, (), False),
        ("192.0.2.7:8000", "http://192.0.2.7:8000", False, (), True),
        ("192.0.2.7:8000", "http://elsewhere.example:8000", False, (), False),
        ("lab.example:8000", "null", False, ("lab.example",), False),
        ("lab.example:8000", "http://lab.example:x", False, ("lab.example",), False),
        ("[::1", "http://[::1", True, (), False),
    ],
)
def test_who_may_connect(host: str, origin: str | None, loopback: bool, names: tuple[str, ...], answer: bool) -> None:
    assert allowed(host, origin, loopback=loopback, names=frozenset(names)) is answer


@pytest.mark.parametrize("name", ["", "lab.example:8000", "http://lab.example", "[::1]", "*", "a..b", "a b"])
def test_a_name_that_is_none_is_wrong_usage(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["serve", "run.jsonl", f"--allow-host={name}"])
    assert ended.value.code == 2
    assert ": not a host name such as lab.example" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words",
    [["--model", "x"], ["run.jsonl", "--lane", "mtp:k=3"], ["--engine-arg=a=1"], ["run.jsonl", "--concurrency=4"]],
)
def test_an_engine_is_not_served(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["serve", *words]) == 2
    assert capsys.readouterr().err == f"spectui serve: {NO_ENGINE}\n"


def test_what_is_not_possible_is_one_line(trace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for words, code, said in [
        ([], 2, "a trace is required"),
        (["nowhere.jsonl"], 1, "no such file"),
        ([str(trace), "--at=soon"], 2, "give a step"),
        ([str(trace), "--theme=midnigt"], 2, "midnight"),
    ]:
        assert main(["serve", *words]) == code
        [line] = capsys.readouterr().err.splitlines()
        assert said in line


async def test_behind_a_proxy_the_page_points_to_its_public_address(trace: Path) -> None:
    """One that passes on the public name, and one that asks by ours; TLS ends there, and the folder is taken away."""
    port = free_port()
    options = [f"--port={port}", "--public-url=https://demo.example/talks/"]
    with serving(trace, *options, says="https://demo.example/talks"):
        address = f"http://127.0.0.1:{port}"
        async with aiohttp.ClientSession() as session:
            for host in ("demo.example", f"127.0.0.1:{port}"):
                async with session.get(address, headers={"Host": host}) as answer:
                    page = await answer.text()
                assert answer.status == 200
                assert 'data-session-websocket-url="wss://demo.example/talks/ws"' in page
                assert 'src="https://demo.example/talks/static/js/textual.js"' in page
                assert 'url("/talks/static/fonts/' in page
                assert "${location.origin}/talks/download/" in page
                headers = {"Host": host, "Origin": "https://demo.example"}
                async with session.ws_connect(f"{address}/ws", headers=headers) as ws:
                    assert (await ws.receive(PATIENCE_S)).type == aiohttp.WSMsgType.BINARY
            for headers in (
                {"Host": "elsewhere.example"},
                {"Host": "demo.example", "Origin": "https://elsewhere.example"},
                {"Host": "demo.example", "Origin": "http://demo.example:81"},
            ):
                async with session.get(f"{address}/ws", headers=headers) as answer:
                    assert answer.status == 403


async def test_a_proxy_may_say_that_it_speaks_tls(trace: Path) -> None:
    with serving(trace) as (address, _):
        async with aiohttp.ClientSession() as session:
            for said, scheme in (("https", "wss"), ("HTTPS, http", "wss"), ("http", "ws"), ("gopher", "ws")):
                async with session.get(address, headers={"X-Forwarded-Proto": said}) as answer:
                    assert f'data-session-websocket-url="{scheme}://{address[7:]}/ws"' in await answer.text()


async def test_a_trace_whose_name_is_no_text_has_a_page(trace: Path) -> None:
    odd = trace.rename(os.fsdecode(os.fsencode(trace.parent) + b"/\xff.jsonl"))
    with serving(odd) as (address, _):
        async with aiohttp.ClientSession() as session, session.get(address) as answer:
            assert "SpecTUI: \\xff.jsonl" in await answer.text()


def has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as one:
            one.bind(("::1", 0))
    except OSError:
        return False
    return True


@pytest.mark.skipif(not has_ipv6(), reason="there is no IPv6 here")
@pytest.mark.parametrize("host", ["::1", "[::1]"])
async def test_an_ipv6_address_is_said_in_brackets(trace: Path, host: str) -> None:
    with serving(trace, f"--host={host}") as (address, _):
        assert re.fullmatch(r"http://\[::1\]:\d+", address)
        async with aiohttp.ClientSession() as session, session.get(address) as answer:
            assert f"ws://{address[7:]}/ws" in await answer.text()


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError(errno.EADDRINUSE, "in use"), "(the port is in use): choose another --port"),
        (OSError(errno.EACCES, "no"), "(this user may not use the port): choose a --port of 1024 or above"),
        (
            OSError(errno.EADDRNOTAVAIL, "error while attempting to bind on address ('203.0.113.9', 8000)"),
            "(Cannot assign requested address): give an address of this machine as --host",
        ),
        (
            socket.gaierror(socket.EAI_NONAME, "Name or service not known"),
            "(Name or service not known): give an address of this machine as --host",
        ),
    ],
    ids=lambda value: type(value).__name__,
)
def test_an_address_that_cannot_be_had_is_one_line(
    trace: Path, error: OSError, said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(web, "run_app", refuse)
    monkeypatch.setattr(logging, "basicConfig", lambda **_: None)
    assert main(["serve", str(trace), "--host=::5"]) == 1
    assert capsys.readouterr() == ("", f"spectui serve: [::5]:8000 cannot be served {said}\n")


@pytest.mark.parametrize(
    "url",
    ["demo.example", "ftp://demo.example", "https://", "https://a/?b", "https://a/#b", "https://a@b/", "https://a:x"],
)
def test_what_is_no_public_address_is_wrong_usage(trace: Path, url: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["serve", str(trace), f"--public-url={url}"])
    assert caught.value.code == 2
    assert f"'{url}' is not a web address" in capsys.readouterr().err


def test_a_port_that_is_taken_is_one_line(trace: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        command = [sys.executable, "-m", "spectui", "serve", str(trace), f"--port={taken.getsockname()[1]}"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S)
    assert (done.returncode, done.stdout) == (1, ""), "nothing is on before the port is"
    assert "choose another --port" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_without_textual_serve_it_says_what_to_install(
    trace: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "textual_serve.server", None)
    assert main(["serve", str(trace)]) == 1
    assert "pip install textual-serve" in capsys.readouterr().err


def test_what_a_visitor_sent_is_logged_as_text() -> None:
    record = logging.LogRecord("x", logging.WARNING, "x", 1, "no such page: %s\nat all", ("/\x1b]0;title\x07",), None)
    assert VisibleLines().format(record) == "no such page: /\\x1b]0;title\\x07\nat all"

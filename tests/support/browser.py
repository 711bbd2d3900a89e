"""Chromium without a window for tests, driven through its DevTools protocol: what a page holds, what it asks for and
complains about, and what its terminal shows, as text."""

from __future__ import annotations

import asyncio
import base64
import os
import re
import shutil
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path
from typing import Any

import aiohttp

from spectui.cli.raster import BROWSERS

PATIENCE_S = 60.0
_LOOK_S = 0.05
# textual-serve's page keeps its terminal to itself, but sets this property of what holds it.
_HOLD = """
Object.defineProperty(Object.prototype, "fitAddon", { configurable: true, set(value) {
    window.held = this;
    Object.defineProperty(this, "fitAddon", { value, writable: true, configurable: true, enumerable: true });
} });
"""
_ROWS = """
(() => {
    const terminal = window.held && window.held.terminal;
    if (!terminal) return "";
    const line = (_, y) => terminal.buffer.active.getLine(y)?.translateToString(true) ?? "";
    return Array.from({ length: terminal.rows }, line).join("\\n");
})()
"""


def chromium() -> str | None:
    """The browser's program, None where there is none."""
    return next(filter(None, map(shutil.which, BROWSERS)), None)


class Page:
    """A page in the browser; made by `browsing` only."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._numbers = count(1)
        self._session: str | None = None
        self._events: list[dict[str, Any]] = []

    async def look(self, url: str, width: int, height: int = 800, *, dark: bool = False) -> list[str]:
        """Open a document of this machine; returns what it asked for beside itself, and what the browser complained
        about."""
        await self.open("about:blank", width, height)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        await self._ask("Emulation.setEmulatedMedia", features=[scheme])
        for domain in ("Log", "Network", "Runtime"):
            await self._ask(f"{domain}.enable")
        self._events.clear()
        await self._ask("Page.navigate", url=url)
        while not any(event["method"] == "Page.loadEventFired" for event in self._events):
            await self._receive()
        # Whatever it asks for once it is drawn comes before the answer to this.
        await self.value("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => done(1))))")
        return [found for event in self._events if (found := _worth_saying(event, url))]

    async def value(self, expression: str) -> Any:
        """What a line of JavaScript gives in the page."""
        found = await self._ask("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    async def open(self, url: str, width: int = 1280, height: int = 800) -> None:
        target = await self._ask("Target.createTarget", url="about:blank")
        attached = await self._ask("Target.attachToTarget", targetId=target["targetId"], flatten=True)
        self._session = attached["sessionId"]
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        await self._ask("Emulation.setDeviceMetricsOverride", **size)
        await self._ask("Page.enable")
        await self._ask("Page.addScriptToEvaluateOnNewDocument", source=_HOLD)
        await self._ask("Page.navigate", url=url)

    async def text(self) -> str:
        """What the page's terminal shows."""
        found = await self._ask("Runtime.evaluate", expression=_ROWS, returnByValue=True)
        return str(found["result"].get("value", ""))

    async def wait_for(self, holds: Callable[[str], bool]) -> str:
        """Wait until ``holds`` says so of the terminal's text; returns that text."""
        end = time.monotonic() + PATIENCE_S
        while not holds(text := await self.text()):
            assert time.monotonic() < end, f"never happened; the page shows\n{text}"
            await asyncio.sleep(_LOOK_S)
        return text

    async def press(self, key: str) -> None:
        """Type one character."""
        await self._ask("Runtime.evaluate", expression="window.held.terminal.focus()")
        for kind in ("keyDown", "keyUp"):
            text = {"text": key} if kind == "keyDown" else {}
            await self._ask("Input.dispatchKeyEvent", type=kind, key=key, **text)

    async def screenshot(self, path: Path) -> None:
        made = await self._ask("Page.captureScreenshot", format="png")
        path.write_bytes(base64.b64decode(made["data"]))

    async def _ask(self, method: str, **parameters: Any) -> dict[str, Any]:
        number = next(self._numbers)
        session = {} if self._session is None else {"sessionId": self._session}
        await self._socket.send_json({"id": number, "method": method, "params": parameters, **session})
        while (answer := await self._receive()).get("id") != number:
            pass
        assert "error" not in answer, answer
        result: dict[str, Any] = answer["result"]
        return result

    async def _receive(self) -> dict[str, Any]:
        async with asyncio.timeout(PATIENCE_S):
            message: dict[str, Any] = await self._socket.receive_json()
        if "method" in message:
            self._events.append(message)
        return message


def _worth_saying(event: dict[str, Any], url: str) -> str:
    """A request for anything but the page itself, a complaint or an error; empty for any other event."""
    method, given = event["method"], event["params"]
    if method == "Network.requestWillBeSent":
        asked = str(given["request"]["url"])
        return "" if asked == url else f"asked for {asked}"
    return str(given) if method in ("Log.entryAdded", "Runtime.exceptionThrown", "Runtime.consoleAPICalled") else ""


@asynccontextmanager
async def browsing(folder: Path) -> AsyncIterator[Page]:
    """A browser with a profile of its own in ``folder``; ended with the block."""
    program = chromium()
    assert program is not None
    options = ["--headless", "--disable-gpu", "--remote-debugging-port=0", f"--user-data-dir={folder}"]
    options += ["--no-first-run", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"]
    if os.geteuid() == 0:
        options.append("--no-sandbox")
    process = await asyncio.create_subprocess_exec(
        program, *options, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE
    )
    try:
        async with (
            aiohttp.ClientSession() as session,
            session.ws_connect(await _address(process), max_msg_size=0) as ws,
        ):
            yield Page(ws)
    finally:
        process.kill()
        await process.wait()


async def _address(process: asyncio.subprocess.Process) -> str:
    assert process.stderr is not None
    async with asyncio.timeout(PATIENCE_S):
        while line := await process.stderr.readline():
            if found := re.search(rb"DevTools listening on (\S+)", line):
                return found[1].decode()
    raise AssertionError("the browser ended before it was ready")

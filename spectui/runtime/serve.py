"""``spectui serve``: the replay of a trace in a browser, a process for each visitor.

Owns who may connect and what the server says; the page itself is textual-serve's. Only a trace is served, never an
engine.
"""

from __future__ import annotations

import argparse
import ipaddress
import logging
import re
import shlex
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from spectui.cli import DONE, RunError, UsageError
from spectui.runtime.replay import opened, starting_place
from spectui.runtime.run import check_theme

if TYPE_CHECKING:
    from aiohttp.web import Application, Request, StreamResponse

NO_ENGINE = (
    "only a trace is served, never a live engine: every visitor would start engines of their own, and whoever "
    "reaches the page could load the machine; record a run with --record FILE and serve that"
)

_FONT = """<link rel="preload" as="font" crossorigin href="/static/fonts/RobotoMono-VariableFont_wght.ttf" />
    <style>
      @font-face {
        font-family: "Roboto Mono";
        font-weight: 100 700;
        src: url("/static/fonts/RobotoMono-VariableFont_wght.ttf");
      }
    </style>"""


def serve(options: argparse.Namespace) -> int:
    """Serve until Ctrl-C.

    Raises:
        UsageError: An option is wrong, or asks for an engine.
        RunError: The file is no trace, textual-serve is not installed, or the port is taken.
    """
    if options.engine:
        raise UsageError(NO_ENGINE)
    if options.trace is None:
        raise UsageError("it takes a trace, a file that --record or R has written")
    starting_place(options.at)
    check_theme(options.theme)
    trace = opened(options.trace)
    try:
        from textual_serve.server import Server
    except ImportError as error:
        raise RunError(f"{error.name} is not installed: pip install textual-serve") from error
    server = _server(Server, _command(options), options.host, options.port, trace.path.name)
    try:
        server.serve()
    except OSError as error:
        where = f"{options.host}:{options.port}"
        raise RunError(f"{where} cannot be served ({error.strerror or error}): choose another --port") from error
    return DONE


def _command(options: argparse.Namespace) -> str:
    """What each visitor's process runs, as a line for the shell."""
    words = [sys.executable, "-m", "spectui", "replay", str(Path(options.trace).resolve())]
    words += [f"--speed={options.speed}"]
    words += [f"--{name}={value}" for name in ("at", "theme") if (value := getattr(options, name)) is not None]
    words += ["--loop"] if options.loop else []
    # Without the shell in between, ending the process ends the replay.
    return f"exec {shlex.join(words)}"


def _server(base: Any, command: str, host: str, port: int, name: str) -> Any:
    """textual-serve's server, made here because the package need not be installed."""
    from aiohttp import web

    @web.middleware
    async def own_page_only(
        request: Request, handler: Callable[[Request], Awaitable[StreamResponse]]
    ) -> StreamResponse:
        if not allowed(request.host, request.headers.get("Origin"), loopback=_is_loopback(host)):
            raise web.HTTPForbidden(text="this page is served to its own visitors only")
        return await handler(request)

    class Server(base):  # type: ignore[misc]
        def initialize_logging(self) -> None:
            logging.basicConfig(level=logging.WARNING, format="%(message)s")

        async def _make_app(self) -> Application:
            app: Application = await super()._make_app()
            app.middlewares.append(own_page_only)
            return app

        async def on_startup(self, app: Application) -> None:
            print(f"{name} is on {self.public_url}; Ctrl-C ends it", flush=True)

        async def handle_index(self, request: Request) -> Any:
            # The page names its own address, and the one that the visitor used is the one that reaches this machine.
            self.public_url = f"{request.scheme}://{request.host}"
            page = await super().handle_index(request)
            page.text = with_own_font(page.text)
            return page

    return Server(command, host=host, port=port, title=f"SpecTUI: {name}")


def with_own_font(page: str) -> str:
    """The page with its font from this server, where it would ask another: it must look right without the web."""
    return re.sub(r"<link[^>]*fonts\.googleapis\.com[^>]*>", _FONT, page)


def allowed(host: str, origin: str | None, *, loopback: bool) -> bool:
    """Whether a request comes from this server's own page.

    Browsers let any page open a web socket to any address, so a page that the user visits elsewhere could watch and
    steer the replay; and a name that leads to this machine by somebody else's doing is not its own.

    Args:
        host: The ``Host`` that was asked for.
        origin: Where the page came from, None when no page asks.
        loopback: Whether only this machine is served.
    """
    if origin is not None and urlsplit(origin).netloc != host:
        return False
    return not loopback or _is_loopback(urlsplit(f"//{host}").hostname or "")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"

"""``spectui serve``: the replay of a trace in a browser, with one process per visitor.

Owns who may connect and what the server says; the page itself is textual-serve's. Only a trace is served, never an
engine.
"""

from __future__ import annotations

import argparse
import errno
import ipaddress
import logging
import os
import re
import shlex
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from spectui.cli.replay import opened, starting_place
from spectui.cli.run import check_theme
from spectui.errors import DONE, RunError, UsageError
from spectui.runtime.output import visible
from spectui.setup import options as opts
from spectui.setup import values

if TYPE_CHECKING:
    from aiohttp.web import Application, Request, StreamResponse

NO_ENGINE = (
    "only a trace can be served, not a live engine: every visitor would start their own engines, and anyone who "
    "reaches the page could load the machine; record a run with --record FILE and serve that"
)

_FORBIDDEN = "request refused: allow this host name with --allow-host, or, behind a proxy, set --public-url"
_MALFORMED = "invalid Host header"

_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[\w.-]+)(?::([0-9]{1,5}))?", re.ASCII)

_FONT = """<link rel="preload" as="font" crossorigin href="BASE/static/fonts/RobotoMono-VariableFont_wght.ttf" />
    <style>
      @font-face {
        font-family: "Roboto Mono";
        font-weight: 100 700;
        src: url("BASE/static/fonts/RobotoMono-VariableFont_wght.ttf");
      }
    </style>
    <script>
      // textual.js looks for downloads at the top of the site, whatever folder the page is in.
      const openWindow = window.open.bind(window);
      window.open = (url, ...rest) =>
        openWindow(String(url).replace(`${location.origin}/download/`, `${location.origin}BASE/download/`), ...rest);
    </script>"""


class VisibleLines(logging.Formatter):
    """The server's complaints contain what visitors sent: make sure that each line is plain text."""

    def format(self, record: logging.LogRecord) -> str:
        return "\n".join(map(visible, super().format(record).split("\n")))


DESCRIPTION = "Show the replay of a trace on a web page; each visitor has their own replay."


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.add_argument(
        "trace",
        nargs="?",
        type=values.path,
        default=None,
        metavar="TRACE",
        help="a trace written by --record or R",
    )
    parser.add_argument("--port", type=values.port, default=8000, metavar="N", help="port of the page (8000)")
    parser.add_argument(
        "--host", default="127.0.0.1", metavar="ADDRESS", help="address to listen on (127.0.0.1, this machine only)"
    )
    parser.add_argument(
        "--allow-host",
        type=values.host_name,
        action="append",
        default=[],
        metavar="NAME",
        help="also answer to this host name, for use with --host; repeatable",
    )
    parser.add_argument(
        "--public-url",
        type=values.web_address,
        default=None,
        metavar="URL",
        help="the page's address when it is behind a proxy, such as https://example.org/demo",
    )
    parser.add_argument("--speed", type=values.speed, default=1.0, metavar="X", help=opts.SPEEDS)
    at = "start paused at this step (412) or lane time (12.5s)"
    parser.add_argument("--at", default=None, metavar="PLACE", help=at)
    parser.add_argument("--loop", action="store_true", help="start over at the end")
    parser.add_argument("--theme", default=None, metavar="NAME", help="colour theme")
    # These are known only in order to say why an engine is not served.
    engines = (
        "model",
        "lane",
        "prompt",
        "prompts",
        "category",
        "system",
        "concurrency",
        "max-tokens",
        "engine-arg",
        "record",
    )
    for option in engines:
        parser.add_argument(f"--{option}", action="append", dest="engine", help=argparse.SUPPRESS)


def command(options: argparse.Namespace) -> int:
    """Serve until Ctrl-C.

    Raises:
        UsageError: An option is wrong, or asks for an engine.
        RunError: The file is not a trace, textual-serve is not installed, or the port is in use.
    """
    if options.engine:
        raise UsageError(NO_ENGINE)
    if options.trace is None:
        raise UsageError("a trace is required (made by --record or R)")
    starting_place(options.at)
    check_theme(options.theme)
    trace = opened(options.trace)
    try:
        from textual_serve.server import Server
    except ImportError as error:
        raise RunError(f"{error.name} is not installed: pip install textual-serve") from error
    host = options.host.removeprefix("[").removesuffix("]")
    names = frozenset(options.allow_host)
    server = _server(Server, _command(options), host, options.port, names, options.public_url, trace.path.name)
    try:
        server.serve()
    except OSError as error:
        if error.filename is not None:
            raise
        raise RunError(_not_served(error, host, options.port)) from error
    return DONE


def _not_served(error: OSError, host: str, port: int) -> str:
    """Why the page cannot be served, and what to do."""
    where = f"{address(host, port)} cannot be served"
    if error.errno == errno.EADDRINUSE:
        return f"{where} (the port is in use): choose another --port"
    if error.errno == errno.EACCES:
        return f"{where} (this user may not use the port): choose a --port of 1024 or above"
    # asyncio's own message names the address again; the error for a name that is not found has no number.
    reason = os.strerror(error.errno) if error.errno and error.errno > 0 else error.strerror or error
    return f"{where} ({reason}): give an address of this machine as --host"


def address(host: str, port: int) -> str:
    """An address and a port as they appear in a URL."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _command(options: argparse.Namespace) -> str:
    """The shell command that each visitor's process runs."""
    words = [sys.executable, "-m", "spectui", "replay", str(Path(options.trace).resolve())]
    words += [f"--speed={options.speed}"]
    words += [f"--{name}={value}" for name in ("at", "theme") if (value := getattr(options, name)) is not None]
    words += ["--loop"] if options.loop else []
    # Without a shell in between, ending the process ends the replay.
    return f"exec {shlex.join(words)}"


def _server(base: Any, command: str, host: str, port: int, names: frozenset[str], public: str | None, name: str) -> Any:
    """textual-serve's server, defined here because the package may not be installed."""
    from aiohttp import web

    @web.middleware
    async def own_page_only(
        request: Request, handler: Callable[[Request], Awaitable[StreamResponse]]
    ) -> StreamResponse:
        asked, *others = request.headers.getall("Host", [""])
        if others or host_name(asked) is None:
            raise web.HTTPBadRequest(text=_MALFORMED)
        origin = request.headers.get("Origin")
        if not allowed(asked, origin, loopback=_is_loopback(host), names=names, public=public):
            raise web.HTTPForbidden(text=_FORBIDDEN)
        return await handler(request)

    class Server(base):  # type: ignore[misc]
        def initialize_logging(self) -> None:
            handler = logging.StreamHandler()
            handler.setFormatter(VisibleLines())
            logging.basicConfig(level=logging.WARNING, handlers=[handler])

        async def _make_app(self) -> Application:
            app: Application = await super()._make_app()
            app.middlewares.append(own_page_only)
            return app

        async def on_startup(self, app: Application) -> None:
            """Print nothing yet: the port is not taken before the application has started."""

        def serve(self, debug: bool = False) -> None:
            self.initialize_logging()
            web.run_app(self._make_app(), host=host, port=port, print=announce)

        async def handle_index(self, request: Request) -> Any:
            # The page contains its own address, and only the one that the visitor used is known to reach this machine.
            scheme = request.headers.get("X-Forwarded-Proto", "").partition(",")[0].strip().lower()
            scheme = scheme if scheme in ("http", "https") else request.scheme
            self.public_url = public or f"{scheme}://{request.host}"
            page = await super().handle_index(request)
            page.text = with_own_font(page.text, urlsplit(self.public_url).path)
            return page

    def announce(*_: object) -> None:
        print(visible(f"{name} is on {public or f'http://{address(host, port)}'}; press Ctrl-C to stop"), flush=True)

    return Server(command, host=host, port=port, title=f"SpecTUI: {visible(name)}")


def with_own_font(page: str, base: str = "") -> str:
    """Make the page load its font from this server instead of another: it must look right without internet access.

    Args:
        page: The page.
        base: The folder that the page is in, as seen from outside.
    """
    return re.sub(r"<link[^>]*fonts\.googleapis\.com[^>]*>", lambda _: _FONT.replace("BASE", base), page)


def host_name(header: str) -> str | None:
    """The name or address in a ``Host`` header, in lower case and without brackets; None if there is none."""
    parts = _HOST.fullmatch(header)
    if parts is None or int(parts[2] or 0) > 65_535:
        return None
    name = parts[1].lower().removesuffix(".")
    if not name.startswith("["):
        return name or None
    return name[1:-1] if ":" in name and _address(name[1:-1]) is not None else None


def allowed(
    host: str,
    origin: str | None,
    *,
    loopback: bool,
    names: frozenset[str] = frozenset(),
    public: str | None = None,
) -> bool:
    """Whether a request comes from this server's own page.

    Browsers let any page open a web socket to any address, so a page that the user visits elsewhere could watch and
    steer the replay; and a name that somebody else has pointed at this machine (DNS rebinding) is not its own. An
    address cannot be redirected, so it needs no permission when other machines are served too.

    Args:
        host: The ``Host`` that was asked for.
        origin: Where the page came from, None if no page is asking.
        loopback: Whether only this machine is served.
        names: Further names of this machine, in lower case.
        public: The page's address behind a proxy, which may pass on its own name or ask by ours.
    """
    name = host_name(host)
    if name is None:
        return False
    behind = None if public is None else _site(public)
    if origin is not None and not _is_from(origin, host) and (behind is None or _site(origin) != behind):
        return False
    if _is_loopback(name) or name in names or (not loopback and _address(name) is not None):
        return True
    return behind is not None and _site(f"{behind[0]}://{host}") == behind


def _is_from(origin: str, host: str) -> bool:
    try:
        return urlsplit(origin).netloc == host
    except ValueError:
        return False


def _site(url: str) -> tuple[str, str | None, int | None] | None:
    """Scheme, name and port of an address; the scheme's default port counts as none. None if it is not an address."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return None
    return parts.scheme, parts.hostname, None if port == {"http": 80, "https": 443}.get(parts.scheme) else port


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def _is_loopback(host: str) -> bool:
    found = _address(host)
    return host == "localhost" if found is None else found.is_loopback

"""``spectui attach``: the screen over servers that run elsewhere, or plain lines without a terminal."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from spectui.cli.run import check_theme
from spectui.errors import DONE, FAILED, PIPE_CLOSED, RunError, UsageError
from spectui.places import expanded
from spectui.protocol.limits import TUNE_BUDGET_S
from spectui.runtime import logs
from spectui.runtime.terminal import Terminal, finish, owned_terminal
from spectui.setup import values
from spectui.standstill import watch_stops

if TYPE_CHECKING:
    from spectui.protocol.source import Source
    from spectui.sources.attached.source import Attached
    from spectui.sources.recording import Recorded
    from spectui.wire.endpoints import Endpoint

DESCRIPTION = (
    "Watch the requests of running servers: every draft of a vLLM server with the tap, the counters of vLLM, SGLang "
    "and llama.cpp."
)

STOP_S = 2.0
API_KEY = "OPENAI_API_KEY"

START = (
    "vllm serve MODEL --scheduler-cls spectui.serving.TracingScheduler "
    "--worker-extension-cls spectui.serving.TracingWorker"
)
"""The command that starts a server with the tap."""

NONE_HERE = f"no server with the tap runs here: start one with '{START}', or name an endpoint"


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    from spectui.ui.theme.files import shipped_themes

    parser.add_argument(
        "endpoints",
        nargs="*",
        metavar="ENDPOINT",
        help="tcp://HOST:PORT or ipc:///PATH of a server with the tap, http://HOST:PORT of any other; "
        "left out: your servers with the tap on this machine",
    )
    parser.add_argument("--keys", type=values.path, metavar="FOLDER", help="your keys, see spectui keys")
    parser.add_argument("--insecure", action="store_true", help="allow plain TCP to other machines")
    parser.add_argument("--api", metavar="URL", help="the server's OpenAI API, for prompts that you type")
    parser.add_argument(
        "--api-key-env", metavar="NAME", help=f"environment variable with the key of that API ({API_KEY})"
    )
    parser.add_argument("--tokenizer", metavar="PATH_OR_ID", help="tokenizer for the text; the model's own if left out")
    parser.add_argument(
        "--record", type=values.path, metavar="FILE", help="record as a trace (R starts it at any time)"
    )
    themes = ", ".join(shipped_themes())
    parser.add_argument("--theme", default=None, metavar="NAME", help=f"colour theme: {themes}, or one of your own")
    parser.add_argument("--headless", action="store_true", help="print plain lines and a table, even in a terminal")
    parser.add_argument("--json", action="store_true", help="run headless and print the summary as JSON")
    parser.add_argument(
        "--for",
        dest="seconds",
        type=values.positive,
        metavar="SECONDS",
        help="end then, when headless; until Ctrl-C if left out",
    )
    parser.add_argument("--prometheus", type=port, metavar="PORT", help="serve the figures to Prometheus on this port")
    parser.add_argument(
        "--tune", action="store_true", help="run headless and search for the fastest K on the server's own traffic"
    )
    parser.add_argument(
        "--guard",
        type=values.milliseconds,
        metavar="MS",
        help="end a search for K as soon as one output token in twenty takes longer",
    )


def command(options: argparse.Namespace) -> int:
    """Watch until the user quits, or headless until the time is up. Ends the process.

    Raises:
        UsageError: An option is wrong; nothing was started.
        RunError: No endpoint is named, and no server runs here.
    """
    # Textual draws on descriptor 2, so that one must be a terminal too.
    plain = options.headless or options.json or options.tune or not all(os.isatty(fd) for fd in (0, 1, 2))
    if options.seconds is not None and not plain:
        raise UsageError("--for ends a run without a screen: add --headless")
    check_theme(options.theme)
    named, found = endpoints_of(options.endpoints)
    check_endpoints(named, options)
    logs.hold()
    # A tokenizer needs no torch, and while torch is loaded no other thread runs: the screen would stand still.
    sys.modules.setdefault("torch", None)  # type: ignore[arg-type]
    from spectui.sources.recording import Recorded, trace_name, writable_trace

    record = None if options.record is None else writable_trace(Path(options.record))
    servers = attached(named, options, found)
    source = Recorded(
        servers if options.prometheus is None else exported(servers, options.prometheus), record, trace_name
    )
    log_path = logs.log_file()
    with owned_terminal(log_path) as terminal:
        logs.configure(log_path)
        finish(_headless(source, options, terminal) if plain else _screen(source, options, terminal))


def endpoints_of(typed: Sequence[str]) -> tuple[list[Endpoint], Callable[[], Sequence[Endpoint]] | None]:
    """The endpoints that were named, or those of this user's servers here and what finds them again.

    Raises:
        UsageError: One of them is none, or is named twice.
        RunError: No server runs here.
    """
    from spectui.wire import endpoints

    if not typed:
        there = endpoints.found()
        if not there:
            raise RunError(NONE_HERE)
        return there, endpoints.found
    named = [endpoints.parse(text) for text in typed]
    places = [_place(one) for one in named]
    if twice := next((one for place, one in enumerate(named) if places[place] in places[:place]), None):
        raise UsageError(f"{twice.address} is named twice: every server is watched once")
    return named, None


def _place(endpoint: Endpoint) -> str:
    """Where it is: the same for all pages of a server."""
    from spectui.sources.counters.address import address_of

    return address_of(endpoint.address).root if endpoint.kind == "http" else endpoint.address


def check_endpoints(named: Sequence[Endpoint], options: argparse.Namespace) -> None:
    """Check what can be known of the endpoints before anything is started.

    Raises:
        UsageError: One must not be watched in this way, or K cannot be searched for there.
    """
    from spectui.wire.keys import KeysError, check_viewer

    for endpoint in named:
        if endpoint.kind == "tcp" and not (endpoint.loopback or options.keys or options.insecure):
            raise UsageError(
                f"{endpoint.address} is another machine, and plain TCP shows prompts to everybody on the way: "
                "give your keys with --keys, tunnel it to this machine, or force it with --insecure"
            )
    if options.keys:
        try:
            check_viewer(expanded(options.keys))
        except KeysError as error:
            raise UsageError(f"--keys: {error}") from error
    if options.tune and len(named) != 1:
        raise UsageError(f"--tune takes one server, not {len(named)}: name its endpoint")
    if options.tune and named[0].kind == "http":
        raise UsageError(
            f"--tune needs the tap, and {named[0].address} has only counters: start the server as '{START}', with "
            "SPECTUI_CONTROL=1"
        )


def attached(
    named: Sequence[Endpoint], options: argparse.Namespace, found: Callable[[], Sequence[Endpoint]] | None = None
) -> Attached:
    """The source that the options ask for.

    Raises:
        UsageError: The API's address is none, or its key is not in the environment.
    """
    from spectui.sources.attached.source import Attached
    from spectui.sources.attached.tuning import TuneRules

    if options.api is not None:
        from spectui.sources.counters.address import address_of

        address_of(options.api)
    return Attached(
        named,
        keys=None if options.keys is None else expanded(options.keys),
        insecure=options.insecure,
        api=options.api,
        api_key=api_key(options),
        tokenizer=options.tokenizer,
        found=found,
        rules=TuneRules(guard_ms=options.guard, within_s=options.seconds if options.tune else None),
    )


def exported(source: Source, on: int) -> Source:
    """The source, of which Prometheus is told.

    Raises:
        RunError: The port cannot be had.
    """
    from spectui.cli.exported import Exported
    from spectui.runtime.exporter import Exporter

    exporter = Exporter(on)
    exporter.start()
    return Exported(source, exporter)


def port(text: str) -> int:
    """A port, 1 to 65535."""
    number = values.positive(text)
    if number > 65_535:
        raise argparse.ArgumentTypeError(f"{text}: a port is a number from 1 to 65535")
    return number


def api_key(options: argparse.Namespace) -> str | None:
    """The key for the API. That of `API_KEY`, which may be meant for somebody else, goes only where ``--api`` says.

    Raises:
        UsageError: The variable that was named is not set.
    """
    if options.api_key_env is not None:
        if key := os.environ.get(options.api_key_env):
            return key
        raise UsageError(f"--api-key-env {options.api_key_env}: that variable is not set: export the key in it")
    return os.environ.get(API_KEY) or None if options.api is not None else None


def _headless(source: Recorded, options: argparse.Namespace, terminal: Terminal) -> int:
    from spectui.cli.attached_lines import Headless

    watch_stops()
    budget_s = options.seconds or TUNE_BUDGET_S
    run = Headless(
        source,
        terminal.plain_output(),
        as_json=options.json,
        seconds=options.seconds,
        tune_s=budget_s if options.tune else None,
    )
    try:
        fault = run.run()
        terminal.out.flush()
    except BrokenPipeError:
        source.stop(STOP_S)
        return PIPE_CLOSED
    except OSError as error:
        source.stop(STOP_S)
        terminal.tell(f"standard output: {error.strerror or error}")
        return FAILED
    return told([fault, source.fault], terminal)


def _screen(source: Recorded, options: argparse.Namespace, terminal: Terminal) -> int:
    from spectui.ui.app import SpecTUIApp

    app = SpecTUIApp(source, log_tail=logs.LogTail(terminal.log_path), theme=options.theme)
    terminal.stop_with(lambda code: app.exit(return_code=code))
    app.run()
    terminal.restore_screen()
    source.stop(STOP_S)
    return app.return_code or told([app.state.fault or "", source.fault], terminal)


def told(faults: Sequence[str], terminal: Terminal) -> int:
    """Say what failed on the real standard error; returns the exit code. A server that is away is no failure."""
    said = [logs.without_log(fault) for fault in faults if fault]
    for sentence in said:
        terminal.tell(sentence)
    return FAILED if said else DONE

"""The command line. Parses and checks as much as possible, and only then imports what the command needs."""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from spectui.errors import FAILED, INTERRUPTED, PIPE_CLOSED, WRONG_USAGE, SpecTUIError, did_you_mean
from spectui.runtime import output

COMMANDS = {
    "run": "the live race; plain lines and a summary without a terminal",
    "attach": "the same screen over running servers",
    "plan": "how much memory lanes will take, before anything is loaded",
    "replay": "the same screen from a recorded trace; no engine needed",
    "shot": "a picture of the screen at one place of a trace",
    "cast": "the replay of a trace as a recording for web pages",
    "serve": "the replay of a trace in a browser",
    "analyze": "why drafts fail in a trace, what it costs, and what would help",
    "compare": "what changed between two traces of the same prompts",
    "bench": "compare lanes over concurrency, category, context and K, with a report",
    "tune": "find the fastest K of each lane",
    "calibrate": "measure what the instrument itself costs",
    "presets": "models that can be raced by name",
    "keys": "keys for servers that are watched from other machines",
    "doctor": "what works on this machine, and how to fix what does not",
}
"""What each command does. A command is the module of that name in this package, with DESCRIPTION, add_options and
command."""


class _Parser(argparse.ArgumentParser):
    """Reports wrong usage in one line.

    Attributes:
        flags: The options that the parser accepts.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.flags: list[str] = []
        # An abbreviation would change its meaning as soon as there is another option that begins with it.
        super().__init__(*args, **{"allow_abbrev": False, **kwargs})

    def add_argument(self, *args: Any, **kwargs: Any) -> Any:
        self.flags += args
        return super().add_argument(*args, **kwargs)

    def error(self, message: str) -> Any:
        output.tell(f"{self.prog}: {message} ({self.prog} --help lists the choices)")
        self.exit(WRONG_USAGE)


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of the ``spectui`` command; returns the exit code.

    Errors of the operating system end here, in one line, whichever command they occur in.
    """
    code = _ended(list(sys.argv[1:] if argv is None else argv))
    if argv is None and (code == INTERRUPTED or "vllm" in sys.modules):
        # Python's own shutdown would wait for the engines' threads and let their libraries print once more; and after a
        # Ctrl-C that was caught during an import it may end the process by that signal.
        from spectui.runtime.terminal import finish

        finish(code)
    return code


def _ended(arguments: list[str]) -> int:
    with output.safe_streams():
        try:
            try:
                code = _command(arguments)
            except SystemExit:
                output.flush()
                raise
            output.flush()
            return code
        except KeyboardInterrupt:
            output.abandon()
            return INTERRUPTED
        except BrokenPipeError:
            # The reader has seen enough (`| head`), which is not a failure and needs no message.
            return PIPE_CLOSED
        except (OSError, UnicodeError) as error:
            name = next((f" {word}" for word in arguments[:1] if word in COMMANDS), "")
            output.tell(f"spectui{name}: {output.sentence(error)}")
            with suppress(OSError):
                output.flush()
            return FAILED


def _command(arguments: list[str]) -> int:
    if not arguments or (arguments[0].startswith("-") and arguments[0] not in ("-h", "--help", "--version")):
        arguments.insert(0, "run")
    chosen = arguments[0]
    parser = build_parser(chosen)
    if not chosen.startswith("-") and chosen not in COMMANDS:
        parser.error(f"unknown command '{chosen}'" + did_you_mean(chosen, COMMANDS))
    options, unknown = parser.parse_known_args(arguments)
    if unknown:
        word = unknown[0].partition("=")[0]
        guess = did_you_mean(word, options.parser.flags) if word.startswith("-") else ""
        options.parser.error(f"unknown {'option' if word.startswith('-') else 'argument'} '{word}'{guess}")
    try:
        return int(options.command(options))
    except SpecTUIError as error:
        output.tell(f"spectui {options.name}: {error}")
        return error.code


def build_parser(chosen: str | None = None) -> argparse.ArgumentParser:
    """Build the parser: for all commands, or with the options of the ``chosen`` one only, which imports less."""
    from spectui import __version__

    parser = _Parser(
        prog="spectui",
        description="Watch speculative decoding: AR, MTP, DFlash and other lanes race on a real vLLM engine, "
        "every drafted token in the colour of its fate.",
        epilog="spectui without a command starts the live race.",
    )
    parser.add_argument("--version", action="version", version=f"spectui {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for name, does in COMMANDS.items():
        one = commands.add_parser(name, help=does)
        if chosen in (None, name):
            module = importlib.import_module(f"spectui.cli.{name}")
            one.description = module.DESCRIPTION
            one.set_defaults(command=module.command, name=name, parser=one)
            module.add_options(one)
    return parser


if __name__ == "__main__":
    sys.exit(main())

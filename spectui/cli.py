"""The command line. Parses, checks what can be checked at once, and only then imports what the command needs."""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from spectui import option_values as values
from spectui.choices import did_you_mean
from spectui.commands import MAX_CONCURRENCY, MAX_SPEED, MIN_SPEED, TUNE_BUDGET_S
from spectui.runtime import output

DONE, FAILED, WRONG_USAGE = 0, 1, 2
INTERRUPTED, PIPE_CLOSED = 128 + signal.SIGINT, 128 + signal.SIGPIPE
COMMANDS = ("run", "replay", "shot", "cast", "serve", "tune", "calibrate", "doctor")
_SPEEDS = f"{MIN_SPEED:g} to {MAX_SPEED:g} times (1)"


class UsageError(Exception):
    """Wrong usage; the message is one line that says what, and the nearest valid choice."""


class RunError(Exception):
    """Failed at run time; the message is one line that says what, and what to do."""


class _Parser(argparse.ArgumentParser):
    """Answers wrong usage in one line.

    Attributes:
        flags: The options that it takes.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.flags: list[str] = []
        # An abbreviation would mean something else as soon as there is another option that begins so.
        super().__init__(*args, **{"allow_abbrev": False, **kwargs})

    def add_argument(self, *args: Any, **kwargs: Any) -> Any:
        self.flags += args
        return super().add_argument(*args, **kwargs)

    def error(self, message: str) -> Any:
        output.tell(f"{self.prog}: {message} ({self.prog} --help lists what is possible)")
        self.exit(WRONG_USAGE)


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of the ``spectui`` command; returns the exit code.

    What the system refuses ends here, in one line, whichever command it was refused to.
    """
    code = _ended(list(sys.argv[1:] if argv is None else argv))
    if argv is None and (code == INTERRUPTED or "vllm" in sys.modules):
        # Python's own shutdown would wait for the engines' threads and let their libraries speak once more; and after
        # a Ctrl-C that was caught in an import it may end the process by that signal.
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
            # Whoever read it has seen enough (`| head`), which is no failure and needs no words.
            return PIPE_CLOSED
        except (OSError, UnicodeError) as error:
            name = next((f" {word}" for word in arguments[:1] if word in COMMANDS), "")
            output.tell(f"spectui{name}: {output.sentence(error)}")
            with suppress(OSError):
                output.flush()
            return FAILED


def _command(arguments: list[str]) -> int:
    parser = build_parser()
    if not arguments or (arguments[0].startswith("-") and arguments[0] not in ("-h", "--help", "--version")):
        arguments.insert(0, "run")
    if not arguments[0].startswith("-") and arguments[0] not in COMMANDS:
        parser.error(f"there is no command '{arguments[0]}'" + did_you_mean(arguments[0], COMMANDS))
    options, unknown = parser.parse_known_args(arguments)
    if unknown:
        word = unknown[0].partition("=")[0]
        guess = did_you_mean(word, options.parser.flags) if word.startswith("-") else ""
        options.parser.error(f"there is no {'option' if word.startswith('-') else 'argument'} '{word}'{guess}")
    try:
        return int(options.command(options))
    except UsageError as error:
        output.tell(f"spectui {options.name}: {error}")
        return WRONG_USAGE
    except RunError as error:
        output.tell(f"spectui {options.name}: {error}")
        return FAILED


def build_parser() -> argparse.ArgumentParser:
    """The whole command line, without any heavy import."""
    from spectui import __version__

    parser = _Parser(
        prog="spectui",
        description="Watch speculative decoding: AR, MTP, DFlash and other lanes race on a real vLLM engine, "
        "every drafted token in the colour of its fate.",
        epilog="spectui alone starts the live race.",
    )
    parser.add_argument("--version", action="version", version=f"spectui {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    _add_run(commands)
    _add_replay(commands)
    _add_shot(commands)
    _add_cast(commands)
    _add_serve(commands)
    _add_tune(commands)
    _add_calibrate(commands)
    _add_doctor(commands)
    return parser


def _add_run(commands: Any) -> None:
    from spectui.ui.theme_files import shipped_themes

    run = commands.add_parser(
        "run",
        help="the live race; headless lines and a summary where there is no terminal",
        description="Race decoding methods on the same prompt and watch every verification step.",
    )
    run.set_defaults(command=_run, name="run", parser=run)
    add_engine_options(run)
    run.add_argument("--headless", action="store_true", help="plain lines and a summary, also in a terminal")
    run.add_argument("--rounds", type=values.positive, default=1, metavar="N", help="prompts to race when headless (1)")
    run.add_argument("--json", action="store_true", help="headless; print the summary as JSON")
    run.add_argument(
        "--script",
        type=values.path,
        default=None,
        metavar="FILE",
        help="give the talk in this file, like demos/talk.toml",
    )
    run.add_argument(
        "--record",
        type=values.path,
        default=None,
        metavar="FILE",
        help="record the run as a trace; R does it at any moment",
    )
    themes = ", ".join(shipped_themes())
    run.add_argument("--theme", default=None, metavar="NAME", help=f"colours: {themes}, or a theme of your own")


def _add_replay(commands: Any) -> None:
    replay = commands.add_parser(
        "replay",
        help="the same screen from a recorded trace; no engine needed",
        description="Play a trace at the engines' true speed, slower or faster, from any place, forward and back.",
    )
    replay.set_defaults(command=_replay, name="replay", parser=replay)
    replay.add_argument("trace", type=values.path, metavar="TRACE", help="a file that --record or R has written")
    replay.add_argument("--speed", type=values.speed, default=1.0, metavar="X", help=_SPEEDS)
    replay.add_argument("--at", default=None, metavar="PLACE", help="a step such as 412, or lane time such as 12.5s")
    replay.add_argument("--loop", action="store_true", help="begin again at the end")
    replay.add_argument("--script", type=values.path, default=None, metavar="FILE", help="give the talk in this file")
    replay.add_argument("--headless", action="store_true", help="print everything as plain lines, also in a terminal")
    replay.add_argument("--json", action="store_true", help="print the summary as JSON")
    replay.add_argument("--theme", default=None, metavar="NAME", help="colours")


def _add_shot(commands: Any) -> None:
    shot = commands.add_parser(
        "shot",
        help="a picture of the screen at a place of a trace",
        description="Save the screen at one place of a trace as SVG, PNG or text: the same bytes each time.",
    )
    shot.set_defaults(command=_shot, name="shot", parser=shot)
    _add_drawing(shot, "FILE.svg, .png or .txt; without it an SVG called like the trace")
    shot.add_argument(
        "--at", default=None, metavar="PLACE", help="a step such as 412, or lane time such as 12.5s (the end)"
    )


def _add_cast(commands: Any) -> None:
    cast = commands.add_parser(
        "cast",
        help="the replay of a trace as a recording for web pages",
        description="Save the replay as an asciinema recording, which a player on a web page shows.",
    )
    cast.set_defaults(command=_cast, name="cast", parser=cast)
    _add_drawing(cast, "FILE.cast; without it a file called like the trace")
    cast.add_argument("--speed", type=values.speed, default=1.0, metavar="X", help=_SPEEDS)


def _add_drawing(parser: argparse.ArgumentParser, output: str) -> None:
    """What every command that draws a trace into a file takes."""
    parser.add_argument("trace", type=values.path, metavar="TRACE", help="a file that --record or R has written")
    parser.add_argument("-o", "--output", type=values.path, default=None, metavar="FILE", help=output)
    parser.add_argument("--size", type=values.size, default=(120, 36), metavar="COLSxROWS", help="cells (120x36)")
    parser.add_argument("--theme", default=None, metavar="NAME", help="colours")


def _add_serve(commands: Any) -> None:
    serve = commands.add_parser(
        "serve",
        help="the replay of a trace in a browser",
        description="Show the replay of a trace on a web page; each visitor has a replay of their own.",
    )
    serve.set_defaults(command=_serve, name="serve", parser=serve)
    serve.add_argument(
        "trace",
        nargs="?",
        type=values.path,
        default=None,
        metavar="TRACE",
        help="a file that --record or R has written",
    )
    serve.add_argument("--port", type=values.port, default=8000, metavar="N", help="8000")
    serve.add_argument("--host", default="127.0.0.1", metavar="ADDRESS", help="127.0.0.1: this machine only")
    serve.add_argument(
        "--allow-host",
        type=values.host_name,
        action="append",
        default=[],
        metavar="NAME",
        help="also answer to this host name, for use with --host; may be given several times",
    )
    serve.add_argument(
        "--public-url",
        type=values.web_address,
        default=None,
        metavar="URL",
        help="the page's address when it is behind a proxy, such as https://example.org/demo",
    )
    serve.add_argument("--speed", type=values.speed, default=1.0, metavar="X", help=_SPEEDS)
    serve.add_argument("--at", default=None, metavar="PLACE", help="where it begins, in a pause")
    serve.add_argument("--loop", action="store_true", help="begin again at the end")
    serve.add_argument("--theme", default=None, metavar="NAME", help="colours")
    # Known only to say why an engine is not served.
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
        serve.add_argument(f"--{option}", action="append", dest="engine", help=argparse.SUPPRESS)


def _add_tune(commands: Any) -> None:
    tune = commands.add_parser(
        "tune",
        help="find the fastest K of each lane",
        description="Measure the K of each lane that drafts until the fastest is told from the others, and print the "
        "line that serves the model with it.",
    )
    tune.set_defaults(command=_tune, name="tune", parser=tune)
    add_engine_options(tune, several=True)
    tune.add_argument("--k", default=None, metavar="RANGE", help="K to try, such as 0..7 or 0,2,4")
    tune.add_argument(
        "--budget",
        type=values.positive,
        default=TUNE_BUDGET_S,
        metavar="S",
        help=f"seconds for a search ({TUNE_BUDGET_S})",
    )
    tune.add_argument("--by-category", action="store_true", help="search for each category of prompts too")
    tune.add_argument("--check", action="store_true", help="then hold the result against a sweep over every K")
    tune.add_argument("--json", action="store_true", help="print the result as JSON")


def _add_calibrate(commands: Any) -> None:
    calibrate = commands.add_parser(
        "calibrate",
        help="measure what the instrument itself costs",
        description="Measure the instrument's own cost on this machine: the tap, the screen, the fairness of the "
        "race, how quickly keys are answered, and the telemetry. Leave the machine alone meanwhile.",
    )
    calibrate.set_defaults(command=_calibrate, name="calibrate", parser=calibrate)
    add_engine_options(calibrate)
    calibrate.add_argument(
        "--repetitions", type=values.positive, default=5, metavar="N", help="interleaved repetitions (5)"
    )
    calibrate.add_argument("--only", default=None, metavar="PARTS", help="some of tap,screen,race,telemetry")
    calibrate.add_argument("--json", action="store_true", help="print the figures as JSON")


def _add_doctor(commands: Any) -> None:
    doctor = commands.add_parser(
        "doctor",
        help="what works on this machine, and how to mend what does not",
        description="Check the engine, the devices, the demo model, the settings and the terminal, each with its fix.",
    )
    doctor.set_defaults(command=_doctor, name="doctor", parser=doctor)
    doctor.add_argument("--full", action="store_true", help="import vLLM too, and wait for it")
    doctor.add_argument("--json", action="store_true", help="print the checks as JSON")


def add_engine_options(parser: argparse.ArgumentParser, *, several: bool = False) -> None:
    """What every command that starts engines takes; ``several`` allows a list of concurrencies."""
    parser.add_argument("--model", default=None, metavar="PATH_OR_ID", help="the target; without it the demo model")
    parser.add_argument(
        "--lane", action="append", default=[], metavar="SPEC", help="a lane, such as ar, mtp:k=4 or ngram:k=5; repeat"
    )
    parser.add_argument("--prompt", default=None, metavar="TEXT", help="race this prompt")
    parser.add_argument(
        "--prompts",
        type=values.path,
        default=None,
        metavar="FILE",
        help="prompts: lines, JSON lines, ShareGPT, a batch; - is standard input",
    )
    parser.add_argument("--category", default=None, metavar="NAME", help="only prompts of this category")
    parser.add_argument("--system", default=None, metavar="TEXT", help="a system message for prompts that have none")
    parser.add_argument(
        "--chat-template-arg",
        action="append",
        default=[],
        type=values.template_argument,
        metavar="KEY=VALUE",
        help="what the model's chat template is told, such as enable_thinking=false; repeat",
    )
    parser.add_argument(
        "--raw", action="store_true", help="give prompts to the model as they are, without its template"
    )
    if several:
        parser.add_argument(
            "--concurrency", type=values.concurrencies, default=(1,), metavar="LIST", help="such as 1,4 (1)"
        )
    else:
        parser.add_argument(
            "--concurrency",
            type=values.whole,
            default=1,
            metavar="N",
            help=f"requests in flight, 1 to {MAX_CONCURRENCY} (1)",
        )
    parser.add_argument("--max-tokens", type=values.tokens, default=256, metavar="N", help="tokens per answer (256)")
    parser.add_argument("--temperature", type=values.temperature, default=0.0, metavar="T", help="0 is greedy (0)")
    parser.add_argument("--top-p", type=values.top_p, default=1.0, metavar="P", help="sample from this share (1)")
    parser.add_argument("--top-k", type=values.top_k, default=0, metavar="N", help="sample from so many tokens (all)")
    parser.add_argument("--seed", type=values.seed, default=0, metavar="N", help="seed for sampling (0)")
    parser.add_argument("--ignore-eos", action="store_true", help="always generate --max-tokens tokens")
    parser.add_argument(
        "--engine-arg",
        action="append",
        default=[],
        type=values.key_value,
        metavar="KEY=VALUE",
        help="any vLLM engine argument for every lane, such as quantization=fp8; repeat",
    )


def _run(options: argparse.Namespace) -> int:
    from spectui.runtime.run import run

    return run(options)


def _replay(options: argparse.Namespace) -> int:
    from spectui.runtime.replay import replay

    return replay(options)


def _shot(options: argparse.Namespace) -> int:
    from spectui.runtime.shot import shot

    return shot(options)


def _cast(options: argparse.Namespace) -> int:
    from spectui.runtime.cast import cast

    return cast(options)


def _serve(options: argparse.Namespace) -> int:
    from spectui.runtime.serve import serve

    return serve(options)


def _tune(options: argparse.Namespace) -> int:
    from spectui.bench.tune import tune

    return tune(options)


def _calibrate(options: argparse.Namespace) -> int:
    from spectui.bench.calibrate import calibrate

    return calibrate(options)


def _doctor(options: argparse.Namespace) -> int:
    from spectui.runtime.doctor.command import doctor

    return doctor(options)


if __name__ == "__main__":
    sys.exit(main())

"""``spectui bench``: measure lanes over concurrency, category, context and K, and write a report."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from spectui.core.bench.matrix import FIXED_TOKENS, LEAST_REPETITIONS, NATURAL_TOKENS
from spectui.core.lossless.distribution import SAMPLES
from spectui.errors import DONE, UsageError
from spectui.setup import options as opts
from spectui.setup import values

DESCRIPTION = (
    "Measure every lane at every concurrency, category of prompts, context length and K, in turn, and write a report "
    "that others can repeat."
)

_WITH_RESUME = frozenset({"resume", "json", "naive", "compare"})
"""Options that may be added to --resume; all others are those that the benchmark was started with."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    opts.add_engine_options(parser, several=True)
    parser.set_defaults(max_tokens=None)
    for action in parser._actions:
        if action.dest == "max_tokens":
            action.help = f"completion tokens of a request ({FIXED_TOKENS}; with natural at most {NATURAL_TOKENS})"
        if action.dest == "category":
            action.metavar = "NAMES"
            action.help = "only prompts of these categories, such as coding,math"
    measured = parser.add_argument_group("what is measured")
    measured.add_argument(
        "--protocol",
        choices=("fixed", "natural"),
        default="fixed",
        help="fixed: every answer has --max-tokens tokens; natural: answers end by themselves (fixed)",
    )
    measured.add_argument(
        "--k", default=None, metavar="RANGE", help="K to measure, such as 1,3,5 or 1..7 (each lane's own)"
    )
    measured.add_argument(
        "--context",
        type=values.contexts,
        default=(None,),
        metavar="LIST",
        help="pad prompts to so many tokens, such as 2048,8192; 0 leaves them as they are (0)",
    )
    measured.add_argument(
        "--length", choices=("short", "long"), default=None, help="only short or long built-in prompts"
    )
    measured.add_argument(
        "--requests",
        type=values.positive,
        default=None,
        metavar="N",
        help="requests per repetition (as many as are in flight; with natural, enough to cover every prompt over all "
        "repetitions)",
    )
    measured.add_argument(
        "--repetitions",
        type=values.positive,
        default=LEAST_REPETITIONS,
        metavar="N",
        help=f"repetitions of every cell, {LEAST_REPETITIONS} or more ({LEAST_REPETITIONS})",
    )
    measured.add_argument(
        "--budget",
        type=values.duration,
        default=None,
        metavar="TIME",
        help="leave out categories and K to stay within about TIME, such as 30m or 2h",
    )
    measured.add_argument(
        "--async",
        dest="untapped",
        action="store_true",
        help="measure engines as vLLM schedules them by default (asynchronously on a GPU), without the tap",
    )
    measured.add_argument(
        "--no-smoke", dest="smoke", action="store_false", help="measure even if the first answers look broken"
    )
    results = parser.add_argument_group("results")
    results.add_argument(
        "--out", type=values.path, default=None, metavar="DIR", help="folder of the report (spectui-bench-DATE-TIME)"
    )
    results.add_argument(
        "--resume",
        type=values.path,
        default=None,
        metavar="DIR",
        help="continue the benchmark in this folder where it stopped",
    )
    results.add_argument(
        "--compare",
        default=None,
        metavar="FILE",
        help="show published figures next to the measured ones: 'published' for those that ship with SpecTUI, or a "
        "TOML file of your own",
    )
    results.add_argument(
        "--diff",
        nargs=2,
        type=values.path,
        default=None,
        metavar=("A", "B"),
        help="measure nothing; report what changed from A to B, two result folders",
    )
    checks = parser.add_argument_group("losslessness")
    checks.add_argument(
        "--lossless",
        action="store_true",
        help="compare every lane's answers with AR's; above temperature 0 also their distribution",
    )
    checks.add_argument(
        "--samples",
        type=values.positive,
        default=SAMPLES,
        metavar="N",
        help=f"answers sampled per lane, for --lossless above temperature 0 ({SAMPLES})",
    )
    results.add_argument("--record", action="store_true", help="keep a trace of each cell's first repetition")
    results.add_argument(
        "--naive", action="store_true", help="also show the throughput that counting stream chunks as tokens would give"
    )
    results.add_argument("--json", action="store_true", help="print the results as JSON")


def command(options: argparse.Namespace) -> int:
    """Run the command; returns its exit code."""
    from spectui.bench.matrix.command import bench
    from spectui.bench.matrix.journal import open_journal

    if options.diff is not None:
        return _differences(options)
    arguments = sys.argv[2:] if sys.argv[1:2] == ["bench"] else []
    if options.resume is not None:
        _check_alone(options)
        arguments = list(open_journal(Path(options.resume)).header.arguments)
        options = _as_started(options, arguments)
    check(options)
    return bench(options, arguments)


def check(options: argparse.Namespace) -> None:
    """Refuse options that do not fit together.

    Raises:
        UsageError: They do not.
    """
    if options.repetitions < LEAST_REPETITIONS:
        raise UsageError(
            f"--repetitions {options.repetitions}: take {LEAST_REPETITIONS} or more, or there is no interval"
        )
    if options.k is not None:
        from spectui.bench.tune import k_values

        k_values(options.k)
    if options.ignore_eos:
        raise UsageError(
            "--ignore-eos: --protocol fixed does that already: leave it out"
            if options.protocol == "fixed"
            else "--ignore-eos keeps answers from ending, and --protocol natural lets them end: use only one of them"
        )
    if options.untapped and options.record:
        raise UsageError("--async measures without the tap, so there is nothing to --record: use only one of them")
    if options.untapped and options.lossless:
        raise UsageError("--async measures without the tap, which --lossless needs: use only one of them")
    if options.length is not None and (options.prompts is not None or options.prompt is not None):
        raise UsageError("--length chooses among the built-in prompts: leave it out with --prompt and --prompts")


def _differences(options: argparse.Namespace) -> int:
    """Print what changed between two benchmarks."""
    from spectui.bench.differing import diff_folders
    from spectui.runtime.output import as_json, visible

    found = diff_folders(*map(Path, options.diff), as_json=options.json)
    print(as_json(found) if isinstance(found, dict) else "\n".join(map(visible, found)))
    return DONE


def _check_alone(options: argparse.Namespace) -> None:
    """A benchmark that is continued does what it was started with."""
    parser = options.parser
    for name, value in vars(options).items():
        if name not in _WITH_RESUME and name not in ("command", "name", "parser") and value != parser.get_default(name):
            flag = next(
                (flag for action in parser._actions if action.dest == name for flag in action.option_strings), name
            )
            raise UsageError(f"{flag} cannot be changed with --resume: leave it out, or start a new benchmark")


def _as_started(options: argparse.Namespace, arguments: list[str]) -> argparse.Namespace:
    """The options that the benchmark was started with, and those of this call that only concern the report."""
    started = options.parser.parse_args(arguments)
    for name in _WITH_RESUME:
        if (value := getattr(options, name, None)) != options.parser.get_default(name):
            setattr(started, name, value)
    started.resume = options.resume
    return argparse.Namespace(
        **{**vars(started), "command": options.command, "name": options.name, "parser": options.parser}
    )

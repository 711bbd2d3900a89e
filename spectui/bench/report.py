"""Formats measurements as lines of text for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from spectui.core.estimate_notes import estimate_notes
from spectui.core.tuner import verdict
from spectui.figures import DASH, ms_text, number_text
from spectui.sources.vllm.tuned_k import tuned_file

if TYPE_CHECKING:
    from spectui.bench.searches import Check, Found


def calibration_lines(result: dict[str, Any]) -> list[str]:
    """Format a calibration as a table that says what each figure means and how to read it."""
    environment = result["environment"]
    versions = "  ".join(f"{name} {version}" for name, version in environment["versions"].items())
    lines = [
        f"machine   {environment['machine']}, load average at start {environment['load_average']:.2f}",
        f"software  {versions}",
        f"settings  {_settings(environment['settings'])}",
        f"method    {result['repetitions']} interleaved repetitions of {result['tokens']} greedy tokens per lane in "
        f"(b), {result['repetitions'] * result['pieces']} of {result['piece_tokens']}",
        "          in the others, after a warm-up; median (lowest to highest) of the ratios within a repetition,",
        "          where 1 means no cost",
        "",
    ]
    if tap := result.get("tap"):
        lines += ["(a) tap on / tap off, same engine", *_rows(tap["ratios"]), ""]
    if screen := result.get("screen"):
        lines += ["(b) full screen at 120x36 / headless", *_rows(screen["ratios"]), ""]
    if race := result.get("race"):
        lines += ["(c) in the race / alone, by lane clock", *_rows(race["ratios"]), ""]
        lines += ["    tok/s alone", *_rows(race["tok_s"], "7.1f"), ""]
    if screen:
        latency = screen["latency"]
        lines += [
            f"(d) while generating ({latency['keys_handled']} of {latency['keys_sent']} keys)",
            *(
                f"    {name:<22} p50 {number_text(latency[key]['p50'], 'ms', '6.1f')}  "
                f"p99 {number_text(latency[key]['p99'], 'ms', '6.1f')}"
                for name, key in _DELAYS
            ),
            f"    {'first frame':<22} {number_text(screen['startup']['first_frame_s'], 's', '6.2f')}",
            f"    {'tokens in all lanes':<22} {number_text(screen['startup']['tokens_in_all_lanes_s'], 's', '6.2f')}",
            "",
        ]
    if own := result.get("own_share"):
        lines += ["(e) engine time in our own Python", *(f"    {name:<22} {share:.2%}" for name, share in own.items())]
        lines.append("")
    if telemetry := result.get("telemetry"):
        lines += [
            "(f) telemetry at 10 samples per second, on / off, all lanes by lane clock",
            *_rows({"all lanes": telemetry["ratio"]}),
            f"    {'CPU time of the sampler':<22} {telemetry['core_share']:.2%} of one core",
            "",
        ]
    if "ratios" in (default := result.get("async", {})):
        lines += _default_lines(default)
    lines += _busy_lines([part["busy"] for part in result.values() if isinstance(part, dict) and "busy" in part])
    return lines


def _default_lines(default: Mapping[str, Any]) -> list[str]:
    """Say what synchronous scheduling and the tap cost, and what they do to the speed-up over AR."""
    lines = ["(g) synchronous and tapped / vLLM's default, each lane alone", *_rows(default["ratios"])]
    if default["speed_up"]:
        lines.append("    speed-up over AR")
    for name, kinds in default["speed_up"].items():
        lines += [f"    {name} K={default['k'][name]}", *_rows({f"  {kind}": kinds[kind] for kind in kinds}, "6.2f")]
    modes = default["scheduling"]
    return [*lines, f"    vLLM's default: {_modes(modes)} scheduling", ""]


def _modes(modes: Mapping[str, str]) -> str:
    """How lanes are scheduled: one word if it is the same for all."""
    if len(set(modes.values())) == 1:
        return next(iter(modes.values()))
    return ", ".join(f"{mode} ({name})" for name, mode in modes.items())


def _busy_lines(parts: Sequence[Mapping[str, int]]) -> list[str]:
    """Say how much other programs disturbed the measurement."""
    repeated, left = (sum(part[name] for part in parts) for name in ("repeated", "disturbed"))
    if not repeated and not left:
        return ["no repetition was disturbed"]
    lines = [f"repetitions disturbed and repeated: {repeated}"] if repeated else []
    if left:
        lines.append(f"repetitions disturbed but counted: {left}; measure again on a quiet machine")
    return lines


_DELAYS = (
    ("event-loop lag", "loop_lag_ms"),
    ("key to handler", "key_to_handler_ms"),
    ("key to new K", "key_to_k_ms"),
    ("an engine step", "step_ms"),
    ("drawing a frame", "frame_ms"),
)


def _rows(spreads: dict[str, dict[str, float]], form: str = "6.3f") -> list[str]:
    return [
        f"    {name:<22} {spread['median']:{form}}  ({spread['low']:{form}} to {spread['high']:{form}})"
        for name, spread in spreads.items()
    ]


def _settings(settings: dict[str, str | None]) -> str:
    """List only the settings that are set, with libraries by their file names."""
    return "  ".join(f"{name}={value.rpartition('/')[2]}" for name, value in settings.items() if value)


def tuning_lines(found: Sequence[Found], serve: Mapping[str, str]) -> list[str]:
    """Format what `spectui tune` found: a table for each search, and the lines to paste."""
    lines: list[str] = []
    for one in found:
        about = f", {one.category} prompts" if one.category else ""
        requests = f"{one.requests} request{'s' if one.requests > 1 else ''}"
        said, how = verdict(one.why, one.last)
        lines += [
            f"{one.spec}{about}, {requests} in flight: {said}{how} ({one.turns} turns, {one.spent_s:.0f} s)",
            f"     K  {'tok/s (95 %)':<24} {'over AR':>8} {'over K=0':>8} {'length':>7} "
            f"{'draft':>8} {'verify':>8} {'step':>8} {'est.':>7}",
        ]
        if one.scheduling:
            lines.insert(
                len(lines) - 1, f"     on engines without the tap; vLLM's default: {_modes(one.scheduling)} scheduling"
            )
        if one.ar_tok_s is not None:
            lines.append(f"    AR  {one.ar_tok_s:<7.1f}")
        for figure in one.figures:
            mark = "*" if figure.k == one.best else " " if figure.running else "-"
            interval = f"({number_text(figure.low, form='.1f')} to {number_text(figure.high, form='.1f')})"
            lines.append(
                f"  {mark} {figure.k:>2}  {number_text(figure.tok_s, form='.1f'):<7} {interval:<16} "
                f"{number_text(figure.over_ar, form='.2f'):>8} {number_text(figure.speed_up, form='.2f'):>8} "
                f"{number_text(figure.length, form='.2f'):>7} "
                f"{ms_text(figure.draft_s):>8} {ms_text(figure.verify_s):>8} {ms_text(figure.step_s):>8} "
                f"{number_text(figure.estimate_tok_s, form='.1f'):>7}"
            )
        lines += [f"     {note}" for note in estimate_notes(one.figures)]
        lines += [f"     ≠  over AR: the lane {one.not_comparable}"] if one.not_comparable else []
        if any(not figure.running and figure.tok_s is not None for figure in one.figures):
            lines.append("     -  dropped early: tok/s estimated from its ratio to the best K on shared prompts")
        if one.check is not None:
            lines += _check_lines(one.best, one.check)
        lines.append("")
    if any(one.remembered for one in found):
        lines += [f"Saved in {tuned_file()}: lanes for which you name no K begin with the K found.", ""]
    lines += [line for text in serve.values() for line in (*text.splitlines(), "")]
    return lines[:-1]


def _check_lines(best: int, check: Check) -> list[str]:
    """Format the sweep, and how far the search and the cost model are from it."""
    lines = [
        f"  check: in a sweep over every K the fastest was K = {check.best}; K = {best} was "
        f"{check.shortfall:.1%} slower",
        "     K   swept   est. without this K's own steps",
    ]
    for k, tok_s in check.tok_s.items():
        estimate = check.held_out.get(k)
        apart = DASH if estimate is None else f"{estimate:.1f} ({estimate / tok_s - 1:+.1%})"
        lines.append(f"    {k:>2}  {tok_s:>6.1f}   {apart}")
    return lines

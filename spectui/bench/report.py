"""Figures as lines for people."""

from __future__ import annotations

from typing import Any

DASH = "—"


def calibration_lines(result: dict[str, Any]) -> list[str]:
    """The calibration as a table with what each figure means and how it should be read."""
    environment = result["environment"]
    versions = "  ".join(f"{name} {version}" for name, version in environment["versions"].items())
    lines = [
        f"machine   {environment['machine']}, load average at start {environment['load_average']:.2f}",
        f"software  {versions}",
        f"settings  {_settings(environment['settings'])}",
        f"method    {result['repetitions']} interleaved repetitions of {result['tokens']} greedy tokens a lane in (b), "
        f"{result['repetitions'] * result['pieces']} of {result['piece_tokens']}",
        "          in (a) and (c), after a warm-up; median (lowest to highest) of the ratios within a repetition;",
        "          1 is no cost",
        "",
    ]
    if tap := result.get("tap"):
        lines += ["(a) tap on / tap off, same engine", *_rows(tap), ""]
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
                f"    {name:<22} p50 {_ms(latency[key]['p50'])}  p99 {_ms(latency[key]['p99'])}"
                for name, key in _DELAYS
            ),
            f"    {'first frame':<22} {_seconds(screen['startup']['first_frame_s'])}",
            f"    {'tokens in all lanes':<22} {_seconds(screen['startup']['tokens_in_all_lanes_s'])}",
            "",
        ]
    if own := result.get("own_share"):
        lines += ["(e) engine time in our own Python", *(f"    {name:<22} {share:.2%}" for name, share in own.items())]
    return lines


_DELAYS = (("event-loop lag", "loop_lag_ms"), ("key to handler", "key_to_handler_ms"), ("drawing a frame", "frame_ms"))


def _rows(spreads: dict[str, dict[str, float]], form: str = "6.3f") -> list[str]:
    return [
        f"    {name:<22} {spread['median']:{form}}  ({spread['low']:{form}} to {spread['high']:{form}})"
        for name, spread in spreads.items()
    ]


def _settings(settings: dict[str, str | None]) -> str:
    """Only what is set, libraries by their file name."""
    return "  ".join(f"{name}={value.rpartition('/')[2]}" for name, value in settings.items() if value)


def _ms(value: float | None) -> str:
    return DASH if value is None else f"{value:6.1f} ms"


def _seconds(value: float | None) -> str:
    return DASH if value is None else f"{value:6.2f} s"

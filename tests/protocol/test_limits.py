"""A limit is the same wherever it is met: on the command line, under a key, in a talk, in a trace."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from spectui.bench.tune import k_values
from spectui.cli.main import build_parser
from spectui.errors import UsageError
from spectui.protocol.events import (
    Inspected,
    KChanged,
    KFigure,
    LaneInfo,
    Prompt,
    RoundStarted,
    RunStarted,
    Sampling,
    Step,
    TokenVerdict,
    TuneTurn,
)
from spectui.protocol.limits import (
    MAX_CONCURRENCY,
    MAX_K,
    MAX_LANES,
    MAX_SEED,
    MAX_SPEED,
    MAX_TEMPERATURE,
    MAX_TOKENS,
    MIN_SPEED,
)
from spectui.setup import values
from spectui.setup.config import host_config, lane_specs
from spectui.sources.cursor import SPEEDS
from spectui.sources.vllm.lane_spec import LaneSpecError, parse_lane_spec
from spectui.trace.codec import decode, encode
from spectui.trace.records import LineError
from spectui.ui.talk.script import ScriptError, parse_script


def read(**sampling: Any) -> None:
    decode(encode(0, RoundStarted(0, (Prompt("p"),), Sampling(**sampling))))


def lane(k: int) -> RunStarted:
    return RunStarted("m", (LaneInfo("a", "a", "A", k, "a"),), Sampling())


def step(drafted: int, emitted: int, cut: int) -> Step:
    texts = ("x",) * (emitted + cut)
    ids = ((1,) * drafted, min(drafted, emitted), (1,) * emitted, (1,) * cut)
    return Step("a", "0", 0, 1, MAX_K, *ids, None, "length", texts, ("x",) * drafted, 1, 1, 1)


def figure(k: int) -> KFigure:
    return KFigure(0, True, None, None, None, None, None, (0.5,) * k, None, None, None, None)


def turn(k: int) -> TuneTurn:
    return TuneTurn("a", 1, 1, tuple(range(k + 1)), 0, (figure(0),) * (k + 1), 1.0, 1.0)


def run_with(concurrency: int) -> None:
    host_config(build_parser().parse_args(["run", f"--concurrency={concurrency}"]), gpu=False)


def talk(line: str) -> None:
    parse_script(f"[[scene]]\n{line}", "talk.toml")


MOST: list[tuple[float, float, list[Callable[[Any], object]]]] = [
    (MAX_TEMPERATURE, 1, [lambda t: values.temperature(str(t)), lambda t: read(temperature=t)]),
    (MAX_SEED, 1, [lambda seed: values.seed(str(seed))]),
    (MAX_TOKENS, 1, [lambda tokens: values.tokens(str(tokens))]),
    (MAX_SPEED, 1, [lambda speed: values.speed(str(speed)), lambda speed: talk(f"speed = {speed}")]),
    (MIN_SPEED, -0.01, [lambda speed: values.speed(str(speed)), lambda speed: talk(f"speed = {speed}")]),
    (
        MAX_K,
        1,
        [
            lambda k: parse_lane_spec(f"ngram:k={k}"),
            lambda k: k_values(f"0..{k}"),
            lambda k: talk(f'k = {{lane = "mtp", k = {k}}}'),
            lambda k: decode(encode(0, lane(k))),
            lambda k: decode(encode(0, KChanged("a", k))),
            lambda k: decode(encode(0, step(k, 1, 0))),
            lambda k: decode(encode(0, step(0, k + 1, 0))),
            lambda k: decode(encode(0, step(0, 1, k))),
            lambda k: decode(encode(0, turn(k))),
            lambda k: decode(encode(0, replace(turn(0), figures=(figure(k),)))),
            lambda k: decode(encode(0, Inspected("a", 0, 1, (TokenVerdict(1, "x", 0.5, 1, ()),) * (k + 1)))),
        ],
    ),
    (
        MAX_CONCURRENCY,
        1,
        [
            lambda n: values.concurrencies(f"1,{n}"),
            run_with,
            lambda n: decode(encode(0, RunStarted("m", (), Sampling(), n))),
            lambda n: decode(encode(0, RoundStarted(0, (Prompt("p"),) * n, Sampling()))),
        ],
    ),
    (
        MAX_LANES,
        1,
        [
            lambda n: lane_specs(build_parser().parse_args(["run", *["--lane=ar"] * n])),
            lambda n: decode(encode(0, RunStarted("m", lane(0).lanes * n, Sampling()))),
        ],
    ),
]
REFUSED = (argparse.ArgumentTypeError, UsageError, ScriptError, LaneSpecError, LineError)


@pytest.mark.parametrize(
    ("limit", "beyond", "take"), [(limit, step, take) for limit, step, takes in MOST for take in takes]
)
def test_everybody_takes_as_much_and_no_more(limit: float, beyond: float, take: Callable[[Any], object]) -> None:
    take(limit)
    with pytest.raises(REFUSED):
        take(limit + beyond)


def test_what_can_be_asked_for_can_be_read_again() -> None:
    read(temperature=MAX_TEMPERATURE, seed=MAX_SEED, max_tokens=MAX_TOKENS)


def test_the_keys_for_speed_go_as_far_as_the_option() -> None:
    assert (SPEEDS[0], SPEEDS[-1]) == (MIN_SPEED, MAX_SPEED)

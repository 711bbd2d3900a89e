"""``spectui calibrate``: measures on the real engines what SpecTUI itself costs.

(a) the tap, on and off, on the same engine; (b) the whole program on a pseudo-terminal against headless, in two
processes that take turns; (c) each lane in the race against the lane alone; (d) how late the event loop and key
handlers run while tokens are generated; (e) the share of engine time spent in our own Python; (f) the race with the
telemetry's sampler running against the race without it; (g) each lane against an engine as vLLM runs it by default.
"""

from __future__ import annotations

import argparse
import json
import random
import threading
import time
from dataclasses import asdict, replace
from functools import partial
from itertools import cycle
from typing import TYPE_CHECKING, Any

from spectui import places
from spectui.bench.children import Child, ChildFailedError
from spectui.bench.harness import Case, Measurement, Sample, Spread, environment, interleave
from spectui.bench.report import calibration_lines
from spectui.bench.workload import Work, race_once, tapped_once, untapped_once
from spectui.core.disturbance import foreign
from spectui.core.prompts import PromptError
from spectui.core.rates import percentile
from spectui.errors import DONE, FAILED, RunError, UsageError
from spectui.protocol.mailbox import Mailbox
from spectui.protocol.samples import TelemetrySample
from spectui.runtime.output import as_json, tell, visible
from spectui.runtime.quiet import say
from spectui.runtime.threads import apply_or_reexec, has_nvidia_gpu
from spectui.setup.prompt_sets import first_turn, kept_for_children

if TYPE_CHECKING:
    from spectui.setup.session import EngineSession
    from spectui.sources.vllm.config import HostConfig
    from spectui.sources.vllm.lane import Lane

PARTS = ("tap", "screen", "race", "telemetry", "async")
TOKENS = 128
PIECE_TOKENS = 32
PIECES = 4
"""All but the screen are compared in `PIECES` times as many short pieces, since noise comes in bursts of seconds."""

SAMPLES_PER_SECOND = 10
"""The rate at which the measured telemetry samples: twice that of the program."""

KEYS = 60
KEY_PAUSE_S = (0.06, 0.18)


def calibrate(options: argparse.Namespace) -> int:
    """Measure the chosen parts and print them; returns the exit code."""
    chosen = tuple(part.strip() for part in (options.only or ",".join(PARTS)).split(","))
    if unknown := set(chosen) - set(PARTS):
        raise UsageError(f"--only {', '.join(sorted(unknown))}: no such part; choose from {','.join(PARTS)}")
    gpu = has_nvidia_gpu()
    apply_or_reexec(gpu=gpu)
    from spectui.setup.config import host_config
    from spectui.setup.session import engine_session

    try:
        with kept_for_children(options.prompts) as options.prompts:
            config = host_config(options, gpu=gpu)
            result: dict[str, Any] = {
                "environment": environment(),
                "repetitions": options.repetitions,
                "tokens": TOKENS,
                "piece_tokens": PIECE_TOKENS,
                "pieces": PIECES,
            }
            with engine_session(config) as session:
                if "screen" in chosen:
                    result |= _screen(options)
                if set(chosen) - {"screen"}:
                    result |= _engines(options, chosen, config, session)
    except PromptError as error:
        raise UsageError(str(error)) from error
    print(as_json(result) if options.json else "\n".join(map(visible, calibration_lines(result))))
    if (failed := result.get("async", {}).get("failed")) is not None:
        tell(f"spectui calibrate: {failed}")
        return FAILED
    return DONE


def _screen(options: argparse.Namespace) -> dict[str, Any]:
    """(b) and (d): two processes take turns, one of them with the screen."""
    from spectui.setup.config import lane_specs

    specs = lane_specs(options)
    if automatic := next((spec for spec in specs if spec.auto), None):
        raise UsageError(f"lane '{automatic.text}' chooses its K by itself: calibrate needs a K that stays, as in k=2")
    arguments = [f"--max-tokens={TOKENS}", "--ignore-eos", *_passed_on(options)]
    children: list[Child] = []
    try:
        for mode in ("headless", "screen"):
            say(f"starting the {mode} process")
            children.append(Child(mode, arguments, len(specs)))
        headless, screen = children
        first = screen.race()
        startup = {
            "first_frame_s": None
            if screen.first_frame_ns is None
            else (screen.first_frame_ns - screen.started_ns) / 1e9,
            "tokens_in_all_lanes_s": (max(first["first_ns"].values()) - screen.started_ns) / 1e9,
        }
        cases = [Case(child.mode, child.samples) for child in (headless, screen)]
        measured = interleave(cases, options.repetitions, progress=say)
        latency = _latency(screen)
    except ChildFailedError as error:
        raise RunError(f"{error} (details in {places.log_folder()})") from error
    finally:
        for child in children:
            child.close()
    clocks = ("lane clock", "wall clock", *(name for name in first["lanes"]))
    ratios = {clock: _spread(measured.ratio(f"screen, {clock}", f"headless, {clock}")) for clock in clocks}
    return {"screen": {"ratios": ratios, "startup": startup, "latency": latency, "busy": measured.busy}}


def _latency(screen: Child) -> dict[str, Any]:
    """(d): press keys at random intervals during one round: one that only the screen handles, and two that change K."""
    screen.figures()
    pressed: list[int] = []
    changed: list[int] = []
    over = threading.Event()

    def press() -> None:
        dice, keys = random.Random(0), cycle("w-w+")
        while not over.wait(dice.uniform(*KEY_PAUSE_S)) and len(pressed) < KEYS:
            key = next(keys)
            (pressed if key == "w" else changed).append(screen.press(key))

    presser = threading.Thread(target=press)
    presser.start()
    try:
        screen.race()
    finally:
        over.set()
        presser.join()
    time.sleep(0.3)
    figures = screen.figures()
    return {
        "loop_lag_ms": _percentiles([lag * 1e3 for lag in figures["lag_s"]]),
        "key_to_handler_ms": _percentiles([ns / 1e6 for ns in _delays(pressed, figures["handled_ns"])]),
        "frame_ms": _percentiles([s * 1e3 for s in figures["frame_s"]]),
        "key_to_k_ms": _percentiles([ns / 1e6 for ns in _delays(changed, figures["k_changed_ns"])]),
        "step_ms": _percentiles([ns / 1e6 for ns in figures["step_ns"]]),
        "keys_sent": len(pressed),
        "keys_handled": len(figures["handled_ns"]),
    }


def _delays(sent: list[int], answered: list[int]) -> list[int]:
    return [answer - moment for moment, answer in zip(sent, answered, strict=False)]


def _engines(
    options: argparse.Namespace, chosen: tuple[str, ...], config: HostConfig, session: EngineSession
) -> dict[str, Any]:
    """(a), (c), (e), (f) and (g): in this process, headless."""
    work = Work(tuple(first_turn(prompt) for prompt in config.prompts[: config.concurrency]), config.chat)
    mailbox = Mailbox()
    result: dict[str, Any] = {}
    lanes = session.lanes()
    if "tap" in chosen:
        with session.driving():
            result["tap"] = _tap(lanes, work, mailbox, options.repetitions * PIECES)
    if "race" in chosen:
        result["race"] = _race(session, lanes, work, options.repetitions)
        result["own_share"] = {lane.info.name: lane.own_ns / (lane.clock_ns + lane.own_ns) for lane in lanes}
    if "telemetry" in chosen:
        result["telemetry"] = _telemetry(session, lanes, work, mailbox, options.repetitions)
    if "async" in chosen:
        from spectui.bench.baseline import against_default

        try:
            result["async"] = against_default(session, lanes, work, options.repetitions * PIECES, PIECE_TOKENS)
        except RunError as error:
            # Twice as many engines may not fit, and what is already measured took minutes.
            result["async"] = {"failed": str(error)}
    return result


def _tap(lanes: list[Lane], work: Work, mailbox: Mailbox, repetitions: int) -> dict[str, Any]:
    """(a): the same engine with and without the tap."""

    def on(lane: Lane) -> dict[str, Any]:
        sample = tapped_once(lane, work, PIECE_TOKENS, mailbox.emit)
        mailbox.drain()
        return {f"{lane.info.name} on": sample}

    def off(lane: Lane) -> dict[str, Any]:
        return {f"{lane.info.name} off": untapped_once(lane, work, PIECE_TOKENS)}

    cases = []
    for lane in lanes:
        cases += [
            Case(f"{lane.info.name}, tap on", partial(on, lane)),
            Case(f"{lane.info.name}, tap off", partial(off, lane)),
        ]
    measured = interleave(cases, repetitions, progress=say)
    names = [lane.info.name for lane in lanes]
    ratios = {name: _spread(measured.ratio(f"{name} on", f"{name} off")) for name in names}
    return {"ratios": ratios, "busy": measured.busy}


def _race(session: EngineSession, lanes: list[Lane], work: Work, repetitions: int) -> dict[str, Any]:
    """(c): each lane in the race and alone."""

    def together() -> dict[str, Any]:
        return {f"{name} in the race": sample for name, sample in race_once(lanes, work, PIECE_TOKENS).items()}

    def alone(lane: Lane) -> dict[str, Any]:
        return {f"{name} alone": sample for name, sample in race_once([lane], work, PIECE_TOKENS).items()}

    cases = [Case("all lanes in the race", together)]
    cases += [Case(f"{lane.info.name} alone", partial(alone, lane)) for lane in lanes]
    with session.driving():
        measured: Measurement = interleave(cases, repetitions * PIECES, progress=say)
    names = [lane.info.name for lane in lanes]
    return {
        "ratios": {name: _spread(measured.ratio(f"{name} in the race", f"{name} alone")) for name in names},
        "tok_s": {name: _spread(measured.rate(f"{name} alone")) for name in names},
        "busy": measured.busy,
    }


def _telemetry(
    session: EngineSession, lanes: list[Lane], work: Work, mailbox: Mailbox, repetitions: int
) -> dict[str, Any]:
    """(f): the race with and without a sampler, and the CPU time of the sampler's thread."""
    from spectui.telemetry.sampler import Sampler, open_readers

    spent_ns = wall_ns = 0

    def raced() -> Sample:
        samples = race_once(lanes, work, PIECE_TOKENS)
        return Sample(
            sum(one.tokens for one in samples.values()),
            sum(one.seconds for one in samples.values()),
            any(one.disturbed for one in samples.values()),
        )

    def off() -> dict[str, Any]:
        return {"unsampled": raced()}

    def on() -> dict[str, Any]:
        nonlocal spent_ns, wall_ns
        sampler = Sampler(partial(open_readers, places.cache_folder()), period_s=1 / SAMPLES_PER_SECOND)
        sampler.start(mailbox)
        began = time.monotonic_ns()
        try:
            sample = raced()
        finally:
            wall_ns += time.monotonic_ns() - began
            sampler.stop()
            spent_ns += sampler.cpu_ns
        taken = [event for event in mailbox.drain() if isinstance(event, TelemetrySample)]
        return {"sampled": replace(sample, disturbed=foreign(taken))}

    cases = [Case("telemetry on", on), Case("telemetry off", off)]
    with session.unwatched(), session.driving():
        measured = interleave(cases, repetitions * PIECES, progress=say)
    ratio = _spread(measured.ratio("sampled", "unsampled"))
    return {"ratio": ratio, "core_share": spent_ns / wall_ns, "busy": measured.busy}


def _passed_on(options: argparse.Namespace) -> list[str]:
    """Return the engine options as a child's command line."""
    arguments: list[str] = []
    for name in ("model", "preset", "prompt", "prompts", "category", "system"):
        if (value := getattr(options, name)) is not None:
            # As one argument, since a text may begin with a dash.
            arguments.append(f"--{name}={value}")
    for spec in options.lane:
        arguments += ["--lane", spec]
    for key, value in options.engine_arg:
        arguments += ["--engine-arg", f"{key}={json.dumps(value)}"]
    for key, value in options.chat_template_arg:
        arguments += ["--chat-template-arg", f"{key}={json.dumps(value)}"]
    if options.raw:
        arguments.append("--raw")
    if not options.share:
        arguments.append("--no-share")
    plain = ("concurrency", "seed", "temperature", "top_p", "top_k")
    return arguments + [f"--{name.replace('_', '-')}={getattr(options, name)}" for name in plain]


def _spread(spread: Spread) -> dict[str, float]:
    return asdict(spread)


def _percentiles(figures: list[float]) -> dict[str, float | None]:
    return {"p50": percentile(figures, 0.5), "p99": percentile(figures, 0.99), "count": len(figures)}

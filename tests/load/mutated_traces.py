"""Traces with every nonsense that a reader may be given: what it takes must be folded, analysed, shown and printed.

``python -m tests.load.mutated_traces 40000`` makes as many, from recorded and made-up runs, and says what became of
them.
"""

from __future__ import annotations

import copy
import io
import json
import random
import sys
import tempfile
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from spectui.cli.replay import told
from spectui.core.analysis.window import Window
from spectui.core.reducer import reduce
from spectui.core.state import RunState
from spectui.core.views import Viewer
from spectui.protocol import events as ev
from spectui.protocol import samples
from spectui.protocol.benching import BenchCell, BenchLane, BenchPlace
from spectui.trace.codec import encode
from spectui.trace.reader import Trace, TraceError
from tests.support.attached_run import attached_run, counters_run
from tests.support.every_screen import analysis_shown, shown
from tests.trace.making import made_run
from tests.trace.test_mutations import MUTATE as DAMAGE
from tests.ui.test_hostile_text import hostile

RECORDED = Path(__file__).parents[2] / "demos" / "traces"
WINDOW = 40
"""Lines in a row that are taken from a recorded trace, behind those with which it begins."""

CONTROLS = frozenset(map(chr, (*range(0x20), *range(0x7F, 0xA0)))) - {"\n"}
"""What no output may hold."""

Line = dict[str, Any]
Lines = list[Line]
Mutate = Callable[[random.Random, Lines], None]

WHOLES = (0, 1, -1, 2, 63, 64, 65, 1000, 10**9, 2**31, 2**53, 2**63 - 1, -(2**63), 2**63, 10**30)
NUMBERS = (*WHOLES, 0.0, -0.0, 0.5, -0.5, 5e-324, 1e-9, 1e18, 1e308, -1e308, float("nan"), float("inf"), -float("inf"))
TEXTS = (
    "",
    " ",
    "\x1b]0;title\x07\x1b[2J",
    "\x9b31m\x9d0;t\x9c\x85\x7f",
    "\u202eturned\u2066\u200b\ufeff\xad",
    "half \ud83d and \udcff",
    "\r\n\t\x00\u2028\u2029",
    "漢" * 90,
    "a" * 700,
    "[red]{x}%s$x",
)
STRANGE: tuple[Any, ...] = (None, True, {}, [], [[]], "1", 1, 1.5, [None], {"t": 1})


def recorded(dice: random.Random) -> Lines:
    """The beginning of a recorded trace, and some lines in a row from behind it."""
    lines = dice.choice(_RECORDED)
    first = next(place for place, line in enumerate(lines) if line.get("e") == "Step")
    start = dice.randrange(first, len(lines) - WINDOW)
    return [*lines[:first], *lines[start : start + WINDOW]]


def made_up(dice: random.Random) -> Lines:
    """A short run, and one of every event that such runs do not have."""
    lines = copy.copy(dice.choice(_MADE))
    for line in dice.sample(_RARE, dice.randrange(len(_RARE))):
        lines.insert(dice.randrange(2, len(lines) + 1), line)
    return lines


def attached(dice: random.Random) -> Lines:
    """A short part of a run of servers, or of the counters of one."""
    lines = dice.choice(_ATTACHED)
    start = dice.randrange(_BEGUN, max(_BEGUN + 1, len(lines) - WINDOW))
    return [*lines[:_BEGUN], *lines[start : start + WINDOW]]


def _read(path: Path) -> Lines:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def _encoded(events: list[ev.Event]) -> Lines:
    return [json.loads(encode(number * 10**6, event)) for number, event in enumerate(events)]


def _rare() -> list[ev.Event]:
    """An event of each kind that a short made-up run is without."""
    likely = (ev.Likely(1, " a", 0.5), ev.Likely(2, " b", 0.25))
    place = ev.TokenVerdict(1, " a", 0.5, 1, likely)
    figures = tuple(
        ev.KFigure(k, k < 2, 30.0 + k, 29.0, 33.0, 1.1, 2.0, (0.5, None), 0.002, 0.02, 0.03, 31.5, 1.2, 1.1, 1.3)
        for k in range(3)
    )
    turn = ev.TuneTurn("mtp", 1, 5, (0, 1), 1, figures, 3.5, 60.0, 28.0)
    columns = (BenchLane("ar", "AR", 0, True), BenchLane("mtp", "MTP", 2))
    cells = tuple(
        BenchCell(lane, 1, category, 2, 41.5, 1.4, low, 1.6, 2.1, 1)
        for lane, category, low in (("ar", None, None), ("mtp", None, 1.2), ("mtp", "math", None))
    )
    at = BenchPlace("mtp", 1, "qa", 1, 1)
    bench = ev.BenchTurn(columns, ("math", "qa"), (1, 4), 3, 64, cells, 4, 24, at, 7.5, 60.0, "without it")
    gpu = samples.GpuSample(
        0, "NVIDIA H100", False, 10**10, 8 * 10**10, 9 * 10**9, 0.5, 0.9, 0.4, 0.7, 300.0, 700.0, 60.0, 70.0, 1800,
        2600, ("power",), 1e9, 1e8,
    )  # fmt: skip
    host = samples.HostSample(10**9, 10**10, 2 * 10**10, 1.5, 0.2, 1.0, 2, 50.0, 0.0, 100.0)
    memory = ("mtp", 10**8, False, 10**8, 10**7, 8, 2, 10**6, 10**6)
    telemetry: list[ev.Event] = [samples.TelemetrySample(number, host, (gpu,) * (number % 3)) for number in range(4)]
    return [
        *(ev.Inspected("mtp", 0, index, (place,) * count, "") for index, count in ((0, 1), (1, 2), (2, 0), (3, 3))),
        turn,
        *(ev.TuneEnded("mtp", why, turn, "vllm serve x") for why in ("separated", "same", "alone", "budget")),
        bench,
        *(ev.BenchEnded(why, bench, "spectui bench", fault) for why, fault in (("done", ""), ("failed", "it died"))),
        samples.TelemetryStarted((3e12, None), "bus", (samples.Missing("GPM", "no counters"),)),
        *telemetry,
        samples.LaneMemory(*memory, True, 10**4, 10**7, 16),
        samples.LaneMemory(*memory, False, None, None, 16),
        ev.LaneEngine("mtp", "cuda", "V2", False, "piecewise", (0, 1, 2), "synchronous", ("FLASH_ATTN",), "bfloat16"),
        ev.LaneEngine("dflash", "cpu", "V1", True, "none", vocabulary=49152, draft_vocabulary=32000),
        ev.Preempted("mtp", "0-0"),
        ev.Gap(3, (("mtp", 10**9), ("ar", 10**9))),
        ev.Paused(True),
        ev.Paused(False),
        ev.LaneStage("dflash", "loading", "weights", 3, 10),
        ev.LaneStage("ar", "failed", "its engine died"),
        ev.Notice("the drafter lost its thread", None, "error"),
        ev.Notice("too long", refused=True),
        ev.RoundStarted(1, (ev.Prompt("a", later=("b",)), ev.Prompt("c", asked=("d",))), ev.Sampling(), (1,)),
        ev.RoundStarted(
            2, (ev.Prompt("a"),), ev.Sampling(), parent=ev.Branch(1, "mtp", 0, 3, 4, (5,), "a b", " c", "d")
        ),
    ]


_RECORDED = [_read(path) for path in sorted(RECORDED.glob("*.jsonl"))]
_MADE = [
    [_RECORDED[0][0] | {"run": None}, *_encoded(made_run(seed, max_tokens=4, rounds=1, slots=1 + seed % 3))]
    for seed in range(8)
]
_RARE = _encoded(_rare())
_BEGUN = 22
"""Lines with which an attached run begins."""

_ATTACHED = [[_RECORDED[0][0] | {"run": None}, *_encoded(list(events))] for events in (attached_run(), counters_run())]


def places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every place in a line: what holds it, and its key or index there."""
    if isinstance(value, dict | list):
        for key in value if isinstance(value, dict) else range(len(value)):
            yield value, key
            yield from places(value[key])


def another(dice: random.Random, value: Any) -> Any:
    """What may stand in a value's place: mostly of its kind."""
    if dice.random() < 0.1:
        return copy.deepcopy(dice.choice(STRANGE))
    match value:
        case bool():
            return not value
        case int():
            return dice.choice(WHOLES) if dice.random() < 0.8 else value + dice.randint(-3, 3)
        case float():
            return dice.choice(NUMBERS)
        case str():
            return text(dice)
        case list():
            return dice.choice([[], value * 2, value[::-1], value[:-1], value * 70, [*value, None]])
    return dice.choice(NUMBERS)


def text(dice: random.Random) -> str:
    return dice.choice(TEXTS) if dice.random() < 0.5 else hostile(dice.randrange(10**6))


def some_values(dice: random.Random, lines: Lines) -> None:
    for _ in range(dice.choice((1, 1, 2, 4, 16))):
        holder, key = dice.choice(list(places(dice.choice(lines))))
        holder[key] = another(dice, holder[key])


def one_field(dice: random.Random, lines: Lines) -> None:
    """The same value wherever a field of that name stands, or mostly."""
    name = dice.choice([key for holder, key in places(dice.choice(lines)) if isinstance(holder, dict)])
    found = [(holder, key) for line in lines for holder, key in places(line) if key == name]
    value, share = another(dice, found[0][0][name]), dice.choice((1.0, 1.0, 0.5))
    for holder, key in found:
        if dice.random() < share:
            holder[key] = copy.deepcopy(value)


def other_steps(dice: random.Random, lines: Lines) -> None:
    """Steps that agree with themselves, and with nothing else."""
    times = dice.choice(((1,), (1, 10**7), (10**7,), WHOLES))
    clocks = dice.choice(((0,), (0, 1, 10**9), (10**9,), WHOLES))
    depths = dice.choice(((0,), (0, 1, 3), (1, 64), (5,)))
    for line in lines:
        if line.get("e") in ("Step", "CountedStep") and dice.random() < 0.7:
            drafted = dice.choice(depths)
            accepted = dice.randint(0, drafted)
            emitted, cut = dice.choice(((accepted + 1, 0), (0, accepted + 1), (accepted, 1), (0, 0), (drafted + 3, 0)))
            line |= {
                "k": dice.choice((drafted, 0, 64)),
                "drafted": [dice.choice(WHOLES[:13]) for _ in range(drafted)],
                "accepted": accepted,
                "emitted": [dice.choice((1, 2, 2**63 - 1)) for _ in range(emitted)],
                "cut": [1] * cut,
                "own": dice.choice(("recovered", "bonus", None)),
                "text": [text(dice) for _ in range(emitted + cut)],
                "drafted_text": [text(dice) for _ in range(drafted)],
                "wall_ns": dice.choice(times),
                "clock_ns": dice.choice(clocks),
                "draft_ns": dice.choice((None, 0, 1, 10**7, *times)),
                "verify_ns": dice.choice((None, 0, 1, 10**7, *times)),
            }
            if line["e"] == "CountedStep":
                line |= {name: len(line[name]) for name in ("drafted", "emitted", "cut")}
                line |= {"ids": [1] * (emitted + cut), "text": line["text"] * dice.randint(0, 1)}
            if dice.random() < 0.3:
                line |= {name: dice.choice(WHOLES[:13]) for name in dice.sample(("slot", "index", "batch"), 2)}


def no_fields(dice: random.Random, lines: Lines) -> None:
    for _ in range(dice.choice((1, 5))):
        line = dice.choice(lines)
        if line:
            line.pop(dice.choice(list(line)))


def drop_lines(dice: random.Random, lines: Lines) -> None:
    share = dice.choice((0.03, 0.3, 0.7))
    lines[1:] = [line for line in lines[1:] if dice.random() > share]


def double_lines(dice: random.Random, lines: Lines) -> None:
    lines[1:] = [copy.deepcopy(line) for line in lines[1:] for _ in range(dice.choice((1, 1, 2)))]


def reorder_lines(dice: random.Random, lines: Lines) -> None:
    if dice.random() < 0.5:
        lines[1:] = dice.sample(lines[1:], len(lines) - 1)
    else:
        lines.insert(1, lines.pop())


def other_kind(dice: random.Random, lines: Lines) -> None:
    """Events under each other's names, runs in the middle of runs."""
    one, other = dice.choice(lines), dice.choice(lines)
    one["e"] = other.get("e")
    lines.append(copy.deepcopy(dice.choice(lines[:3])))


MUTATE: tuple[Mutate, ...] = (
    some_values, some_values, some_values, one_field, one_field, other_steps, other_steps, no_fields, drop_lines,
    double_lines, reorder_lines, other_kind,
)  # fmt: skip


def mutated(dice: random.Random) -> bytes:
    """A trace that was changed in one to four ways, now and then with damage to its bytes too."""
    lines = copy.deepcopy(dice.choice((recorded, made_up, made_up, attached))(dice))
    for _ in range(dice.randint(1, 4)):
        if len(lines) > 1:
            dice.choice(MUTATE)(dice, lines)
    ascii_only = dice.random() < 0.5
    data = b"".join(json.dumps(line, ensure_ascii=ascii_only).encode("utf-8", "replace") + b"\n" for line in lines)
    return dice.choice(DAMAGE)(dice, data) if dice.random() < 0.1 else data


def survives(data: bytes, path: Path, dice: random.Random) -> bool:
    """Fold, analyse, show and print a trace; False where the reader refuses it with a sentence."""
    # A new file each time: some file systems write an old one that is cut and filled again to the disk at once.
    path.unlink(missing_ok=True)
    path.write_bytes(data)
    try:
        trace = Trace.open(path)
    except TraceError:
        return False
    state = RunState()
    viewer, window = Viewer(state), Window()
    for _, event in trace:
        reduce(state, event)
        window.add(event)
        if dice.random() < 0.01:
            shown(viewer, dice)
    shown(viewer, dice)
    analysis_shown(window.columns, dice)
    as_json = dice.random() < 0.5
    out = io.StringIO()
    told(trace, out, as_json=as_json)
    unseen = CONTROLS & set(out.getvalue())
    assert not unseen, f"{unseen!r} is printed"
    if as_json:
        json.loads(out.getvalue(), parse_constant=lambda name: 1 / 0)
    return True


def report(count: int, seed: int = 0) -> tuple[int, Counter[str]]:
    """How many were taken by the reader, and what went wrong with them, by where it did."""
    taken, wrong = 0, Counter[str]()
    with tempfile.TemporaryDirectory() as folder:
        for number in range(seed, seed + count):
            dice = random.Random(number)
            data = mutated(dice)
            try:
                taken += survives(data, Path(folder, "run.jsonl"), dice)
            except Exception as error:
                where = traceback.extract_tb(error.__traceback__)[-1]
                name = f"{type(error).__name__} {str(error)[:80]!r} in {where.name} of {where.filename}:{where.lineno}"
                if not wrong[name]:
                    print(f"first with seed {number}: {name}", flush=True)
                wrong[name] += 1
    return taken, wrong


if __name__ == "__main__":
    asked = int(sys.argv[1])
    read, faults = report(asked, int(sys.argv[2]) if len(sys.argv) > 2 else 0)
    print(f"{asked} traces, {read} of them taken by the reader, {sum(faults.values())} faults")
    sys.exit(bool(faults))

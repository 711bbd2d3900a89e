"""docs/trace-format.md against the codec: every event, field, type and default, and its examples."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import MISSING, Field, fields, is_dataclass
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import pytest

from spectui.protocol.events import SCHEMA_VERSION, Event, RoundFinished, Totals
from spectui.protocol.limits import MAX_CONCURRENCY, MAX_K, MAX_LANES, MAX_TEMPERATURE
from spectui.trace.codec import KINDS, decode, decode_header, encode, encode_header
from spectui.trace.reader import LONGEST_LINE, Trace
from tests.docs.pages import PAGES, ROOT, blocks, section
from tests.trace.making import folded

PAGE = "docs/trace-format.md"


def _spelled(hint: Any) -> str:
    """A type as the page spells it."""
    arguments, origin = get_args(hint), get_origin(hint)
    plain = {int: "integer", float: "number", str: "string", bool: "boolean"}
    if hint in plain:
        return plain[hint]
    if is_dataclass(hint) or hint is Totals:
        name = hint.__name__  # type: ignore[union-attr]
        return f"[{name}](#{name.lower()})"
    if origin is Literal:
        return ", ".join(f'`"{choice}"`' for choice in arguments)
    if origin in (Union, UnionType):
        return " or ".join([*(_spelled(one) for one in arguments if one is not NoneType), "null"])
    if arguments[-1] is Ellipsis:
        return f"list of {_spelled(arguments[0])}"
    return f"[{', '.join(map(_spelled, arguments))}]"


def _default(field: Field[Any]) -> str:
    if field.default is MISSING:
        return "required"
    value = field.default
    return f"`{json.dumps(list(value) if isinstance(value, tuple) else value)}`"


def _records() -> dict[str, type]:
    """Everything of which events are made, themselves included, by name."""
    found: dict[str, type] = {}
    waiting: list[Any] = list(KINDS.values())
    while waiting:
        hint = waiting.pop()
        if is_dataclass(hint) and isinstance(hint, type):
            if hint.__name__ not in found:
                found[hint.__name__] = hint
                waiting += get_type_hints(hint).values()
        else:
            waiting += [one for one in get_args(hint) if one is not Ellipsis]
    return found


RECORDS = _records()


@pytest.mark.parametrize("name", sorted(RECORDS))
def test_a_record_is_described_as_it_is_written(name: str) -> None:
    record = RECORDS[name]
    hints = get_type_hints(record)
    described = re.findall(r"^\| `(\w+)`(?: †)? \| (.*?) \| (.*?) \| .+ \|$", section(PAGE, name), re.M)
    expected = [(field.name, _spelled(hints[field.name]), _default(field)) for field in fields(record)]
    assert described[: len(expected)] == expected


def test_kinds_are_told_from_what_they_are_made_of() -> None:
    assert set(re.findall(r"^### (\w+)$", PAGES[PAGE], re.M)) == set(KINDS)
    assert set(re.findall(r"^#### (\w+)$", PAGES[PAGE], re.M)) == set(RECORDS) - set(KINDS) | {"Totals"}


def test_totals_are_in_this_order() -> None:
    rows = re.findall(r"^\| (\d+) `(\w+)` \|", section(PAGE, "Totals"), re.M)
    assert rows == [(str(place), name) for place, name in enumerate(Totals._fields)]


def test_the_limits_are_the_programs() -> None:
    page = PAGES[PAGE]
    for said in (
        f"This page is schema {SCHEMA_VERSION}.",
        f"more than {MAX_K + 1} tokens",
        f"longer than {LONGEST_LINE >> 20} MiB",
        f"at most {MAX_LANES};",
        f"at most {MAX_TEMPERATURE:g}",
        f"1 to {MAX_CONCURRENCY} |",
    ):
        assert said in page, said


EXAMPLES = [line for block in blocks(PAGE, "json") for line in block.splitlines()]


def test_the_example_lines_are_what_the_codec_reads_and_writes() -> None:
    kinds = set()
    for line in EXAMPLES:
        if '"trace"' in line:
            assert encode_header(decode_header(line)) == line
            continue
        time_ns, event = decode(line)
        assert event is not None, line
        kinds.add(type(event).__name__)
        assert encode(time_ns, event) == line
    assert len(kinds) > 5


def test_the_short_trace_is_a_whole_run() -> None:
    events: list[Event] = [event for line in blocks(PAGE, "json")[-1].splitlines()[1:] if (event := decode(line)[1])]
    assert isinstance(events[-1], RoundFinished)
    lanes = folded(events).lanes
    assert (lanes["ar"].run.totals.emitted, lanes["mtp"].run.totals.cut) == (2, 2)


def test_the_program_in_ten_lines_reads_a_trace() -> None:
    program = blocks(PAGE, "python")[0]
    trace = ROOT / "demos" / "traces" / "coding.jsonl"
    said = subprocess.run([sys.executable, "-c", program, str(trace)], capture_output=True, text=True, check=True)
    state = folded([event for _, event in Trace.open(trace)])
    for name, lane in state.lanes.items():
        assert f"{name}: {lane.run.totals.emitted / lane.clock_ns * 1e9:.1f} tok/s\n" in said.stdout

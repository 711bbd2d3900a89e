"""Every event survives being written, and nothing that is no event is taken for one."""

from __future__ import annotations

import json
import pickle
import random
import types
from collections.abc import Callable
from dataclasses import FrozenInstanceError, fields, is_dataclass, replace
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spectui.protocol import events as ev
from spectui.protocol import samples
from spectui.protocol.benching import BenchLane
from spectui.protocol.limits import MAX_CANVAS, MAX_CONCURRENCY, MAX_K, MAX_TEMPERATURE
from spectui.trace import step_lines
from spectui.trace.codec import (
    KINDS,
    Header,
    decode,
    decode_any,
    decode_header,
    encode,
    encode_any,
    encode_header,
)
from spectui.trace.records import LineError
from tests.trace.serving_values import PARTS, counted_steps
from tests.trace.test_mutations import (
    Mutate,
    binary,
    cut_end,
    cut_middle,
    flip_bits,
    other_names,
    other_numbers,
    other_values,
)

WHOLE = st.integers(-(2**63), 2**63 - 1)
FLOATS = st.floats(allow_nan=False, allow_infinity=False)


def joined(text: str) -> str:
    """With surrogates that make a pair as the one character that they spell."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")


TEXT = st.text(st.characters(exclude_categories=()), max_size=12).map(joined)
PLAIN: dict[Any, st.SearchStrategy[Any]] = {int: WHOLE, float: FLOATS | WHOLE, bool: st.booleans(), str: TEXT}


def values(hint: Any) -> st.SearchStrategy[Any]:
    """Values of a type that a field of an event can have."""
    arguments = get_args(hint)
    match get_origin(hint):
        case None if hint in PLAIN:
            return PLAIN[hint]
        case None if hint is ev.Step:
            return steps()
        case None if hint is ev.CountedStep:
            return counted_steps(values)
        case None if hint is ev.Totals:
            return totals()
        case None if is_dataclass(hint):
            return records(hint)
        case origin if origin is Literal:
            return st.sampled_from(arguments)
        case origin if origin in (Union, types.UnionType):
            return st.one_of(*(st.none() if kind is type(None) else values(kind) for kind in arguments))
        case origin if origin is tuple and arguments[-1] is Ellipsis:
            return st.lists(values(arguments[0]), max_size=3).map(tuple)
        case origin if origin is tuple:
            return st.tuples(*map(values, arguments))
    raise AssertionError(hint)


def records(record: type) -> st.SearchStrategy[Any]:
    hints = get_type_hints(record)
    parts = {field.name: values(hints[field.name]) for field in fields(record)}
    parts |= PARTS.get(record, {})
    if record is ev.LaneInfo:
        parts |= {"k_max": st.integers(8, MAX_K), "k_start": st.none() | st.integers(0, 8)}
    if record is ev.LaneEngine:
        parts |= {"tensor_parallel": st.integers(1, 8)}
        parts |= dict.fromkeys(("vocabulary", "draft_vocabulary"), st.none() | st.integers(1, 2**63 - 1))
    if record in (ev.KChanged, ev.KFigure, BenchLane):
        parts |= {"k": st.integers(0, MAX_K)}
    if record is ev.Sampling:
        parts |= {"temperature": st.floats(0, MAX_TEMPERATURE), "top_p": st.floats(0, 1, exclude_min=True)}
        parts |= {"max_tokens": st.integers(1, 2**63 - 1), "top_k": st.integers(0, 2**63 - 1)}
    if record is ev.RunStarted:
        parts |= {"concurrency": st.integers(1, MAX_CONCURRENCY)}
    if record is ev.Reached:
        parts |= {"clock_ns": st.integers(0, 2**63 - 1)}
    if record is samples.LaneMemory:
        parts |= {"experts": st.just(8), "experts_active": st.integers(0, 8), "block_tokens": st.integers(1, 64)}
        parts |= {"draft_experts": st.just(4), "draft_experts_active": st.integers(0, 4)}
        parts |= {"devices": st.integers(1, 2**63 - 1)}
    if record in (samples.CacheLayers, samples.CacheGroup):
        parts |= {"window": st.none() | st.integers(1, 2**63 - 1)}
    if record is samples.CacheGroup:
        parts |= {"block_tokens": st.integers(1, 64)}
    built = st.builds(record, **parts)
    # What is said of a lane is about that lane.
    return built.map(lambda one: replace(one, lane=one.info.name)) if record is ev.ServerSeen else built


@st.composite
def totals(draw: st.DrawFn) -> ev.Totals:
    """Totals that do not contradict each other."""
    some = st.integers(0, 2**63 - 1)
    steps, drafted = draw(some), draw(some)
    drafts, accepted = draw(st.integers(0, steps)), draw(st.integers(0, drafted))
    return ev.Totals(steps, draw(some), drafts, drafted, accepted, draw(some), draw(some | st.just(0)))


@st.composite
def steps(draw: st.DrawFn) -> ev.Step:
    """Steps whose parts belong together; everything else about them is arbitrary."""
    ids = st.lists(WHOLE, max_size=4).map(tuple)
    drafted, emitted, cut = draw(ids), draw(ids), draw(ids)
    hints = get_type_hints(ev.Step)
    free = {field.name: draw(values(hints[field.name])) for field in fields(ev.Step)}
    return ev.Step(
        **{
            **free,
            "k": draw(st.integers(0, MAX_K)),
            "drafted": drafted,
            "accepted": draw(st.integers(0, len(drafted))),
            "emitted": emitted,
            "cut": cut,
            "text": tuple(draw(TEXT) for _ in (*emitted, *cut)),
            "drafted_text": tuple(draw(TEXT) for _ in drafted),
            "canvas": draw(st.integers(0, MAX_CANVAS)),
            "wall_ns": draw(st.integers(1, 2**63 - 1)),
            "clock_ns": draw(st.integers(0, 2**63 - 1)),
            "before": draw(st.none() | st.integers(0, 2**63 - 1)),
        }
    )


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_every_event_comes_back_as_it_was(kind: type, data: st.DataObject) -> None:
    event, time_ns = data.draw(values(kind)), data.draw(WHOLE)
    line = encode(time_ns, event)
    assert line.isascii()
    assert line.isprintable()
    assert decode(line) == (time_ns, event)
    assert encode(*decode(line)) == line  # type: ignore[arg-type]


@settings(max_examples=60, deadline=None)
@given(schema=st.integers(0, 99), program=TEXT, run=st.none() | records(ev.RunStarted))
def test_a_header_comes_back_as_it_was(schema: int, program: str, run: ev.RunStarted | None) -> None:
    header = Header(schema, program, run)
    assert decode_header(encode_header(header)) == header


def test_every_event_of_the_vocabulary_has_a_kind() -> None:
    assert set(KINDS.values()) == set(get_args(ev.Event)) - set(get_args(ev.ScreenEvent))
    names = {field.name for kind in KINDS.values() for field in fields(kind)}
    assert not names & {"t", "e"}


STEP = ev.Step(
    "ar", "0-0", 0, 3, 2, (5, 6), 1, (5, 9), (), "recovered", None, ("a", "\x00\ud800"), ("a", "b"), 1, 7, 70
)


def test_a_line_can_be_read_by_people_and_leaves_out_what_is_usual() -> None:
    assert encode(12, STEP) == (
        '{"t":12,"e":"Step","lane":"ar","request":"0-0","slot":0,"index":3,"k":2,"drafted":[5,6],"accepted":1,'
        '"emitted":[5,9],"cut":[],"own":"recovered","cut_reason":null,"text":["a","\\u0000\\ud800"],'
        '"drafted_text":["a","b"],"batch":1,"wall_ns":7,"clock_ns":70}'
    )
    told = replace(STEP, totals=ev.Totals(4, 7), before=5)
    assert encode(12, told) == encode(12, STEP)[:-1] + ',"totals":[4,7],"before":5}'
    assert decode(encode(12, told)) == (12, told)
    newer = encode(12, told).replace("[4,7]", "[4,7,0,0,0,0,0,99]")
    assert decode(newer) == (12, told)
    assert encode(0, ev.Notice("hello")) == '{"t":0,"e":"Notice","text":"hello"}'


def changed(**fields_of_step: Any) -> str:
    return json.dumps({**json.loads(encode(12, STEP)), **fields_of_step})


def without(name: str) -> str:
    return json.dumps({key: value for key, value in json.loads(encode(12, STEP)).items() if key != name})


def memory(**fields_of_memory: Any) -> str:
    known = samples.LaneMemory("ar", 9, False, 9, 0, 0, 0, 0, 0, True, 2, 64, 16)
    return json.dumps({**json.loads(encode(1, known)), **fields_of_memory})


def sampled(prompts: int = 1, **fields_of_sampling: Any) -> str:
    begun = {"t": 1, "e": "RoundStarted", "round": 0, "prompts": [{"text": "p"}] * prompts}
    return json.dumps({**begun, "sampling": fields_of_sampling})


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("", "not JSON"),
        ("[1]", "not a JSON object"),
        ('{"t":1,"e":"Paused","paused":true} {}', "not a JSON object"),
        ("[" * 100_000, "not JSON"),
        ('{"e":"Paused","paused":true}', '"t"'),
        ('{"t":1}', '"e"'),
        ('{"t":1,"e":["Step"]}', '"e"'),
        ('{"t":1e3,"e":"Paused","paused":true}', '"t"'),
        ('{"t":1,"e":"Paused"}', 'needs "paused"'),
        ('{"t":1,"e":"Paused","paused":1}', '"paused" of Paused should be true or false'),
        ('{"t":1,"e":"Gap","lost":true}', "whole number"),
        ('{"t":1,"e":"Gap","lost":1.0}', "whole number"),
        ('{"t":1,"e":"Gap","lost":9223372036854775808}', "smaller number"),
        ('{"t":1,"e":"Gap","lost":' + "9" * 5000 + "}", "not JSON"),
        ('{"t":1,"e":"Margin","lane":"a","slot":0,"position":0,"margin":NaN}', "NaN is not a number"),
        ('{"t":1,"e":"Margin","lane":"a","slot":0,"position":0,"margin":-Infinity}', "-Infinity is not a number"),
        ('{"t":1,"e":"Margin","lane":"a","slot":0,"position":0,"margin":1e999}', "should be a number"),
        ('{"t":1,"e":"LaneStage","lane":"a","stage":"dreaming"}', "should be one of waiting, importing"),
        ('{"t":1,"e":"RoundStarted","round":0,"prompts":[{}],"sampling":{}}', 'a Prompt needs "text"'),
        ('{"t":1,"e":"RoundStarted","round":0,"prompts":[7],"sampling":{}}', "should be a Prompt"),
        ('{"t":1,"e":"RoundStarted","round":0,"prompts":{},"sampling":{}}', "should be a list"),
        (
            '{"t":1,"e":"RunStarted","target":"m","lanes":[],"sampling":{},"versions":[["vllm"]]}',
            '"versions" of RunStarted should be a list of 2',
        ),
        (
            '{"t":1,"e":"RunStarted","target":"m","sampling":{},"lanes":'
            '[{"name":"a","method":"a","title":"A","k_max":1000000000,"spec":"a"}]}',
            "a lane's K is 1000000000",
        ),
        (
            '{"t":0,"e":"RunStarted","target":"x","sampling":{},"lanes":'
            '[{"name":"a","method":"a","title":"A","k_max":2,"k_start":3,"spec":"a"}]}',
            "a lane with K up to 2 begins with 3",
        ),
        (memory(experts=2, experts_active=3), "3 of 2 experts"),
        (memory(block_tokens=0), "0 tokens"),
        (memory(devices=0), "split among 0 GPUs"),
        (memory(draft_experts=2, draft_experts_active=3), "3 of 2 experts"),
        (memory(layers=[{"drafter": False, "token_bytes": 2, "window": 0}]), "attention reaches 0 tokens"),
        (memory(groups=[{"block_tokens": 0}]), "a block of the cache has 0 tokens"),
        (memory(groups=[{"block_tokens": 16, "window": -1}]), "attention reaches -1 tokens"),
        (without("accepted"), 'a Step needs "accepted"'),
        (changed(drafted=[5, True]), '"drafted" of Step should be a list of whole numbers'),
        (changed(drafted=[5, 2**63]), '"drafted" of Step should be a list of whole numbers'),
        (changed(text=["a", 1]), '"text" of Step should be a list of texts'),
        (changed(text=["a", []]), '"text" of Step should be a list of texts'),
        (changed(lane=None), '"lane" of Step should be text'),
        (changed(own="mine"), '"own" of Step should be one of recovered, bonus'),
        (changed(draft_ns="5"), '"draft_ns" of Step should be a whole number'),
        (changed(accepted=3), "3 of 2 drafted tokens were accepted"),
        (changed(text=["a"]), "not every token has its text"),
        (changed(drafted_text=[]), "not every token has its text"),
        (changed(k=10**9), "K is 1000000000"),
        (changed(drafted=[5] * 65, drafted_text=["a"] * 65), "65 tokens were drafted"),
        (changed(emitted=[5] * 500_000, text=["a"] * 500_000), "500000 tokens came out of one step"),
        (changed(cut=[5] * 64, text=["a"] * 66), "66 tokens came out of one step"),
        (changed(canvas=8193), "a canvas has 8193 positions"),
        (changed(canvas=64, cut=[5] * 64, text=["a"] * 66), "66 tokens came out of one step"),
        (changed(wall_ns=0), "took no time"),
        (changed(totals=[3, -1]), "a lane's total is -1"),
        (changed(totals=[3, 9, 2, 4, 5]), "totals contradict each other"),
        (changed(totals=[3, 9, 4, 5, 5]), "totals contradict each other"),
        (changed(totals=[3, "9"]), '"totals" of Step should be a list of whole numbers'),
        (changed(before=-1), "-1 tokens came before it"),
        (
            '{"t":1,"e":"Gap","lost":1,"reached":[{"lane":"a","clock_ns":-2,"totals":[]}]}',
            "a lane clock is -2",
        ),
        ('{"t":1,"e":"KChanged","lane":"ar","k":1000000000}', "K is 1000000000"),
        ('{"t":1,"e":"KChanged","lane":"ar","k":-1}', "K is -1"),
        (sampled(temperature=-1), "the temperature is -1"),
        (sampled(temperature=1e300), "the temperature is 1e+300"),
        (sampled(top_p=0), "top-p is 0"),
        (sampled(top_k=-1), "top-k is -1"),
        (sampled(max_tokens=0), "an answer has at most 0 tokens"),
        (sampled(prompts=17), "17 prompts race at once"),
        ('{"t":1,"e":"RunStarted","target":"m","lanes":[],"sampling":{},"concurrency":0}', "0 requests are in flight"),
        (
            '{"t":1,"e":"RunStarted","target":"m","lanes":['
            + ",".join(['{"name":"a","method":"ar","title":"A","k_max":0,"spec":"ar"}'] * 33)
            + '],"sampling":{}}',
            "33 lanes race",
        ),
        ('{"t":1,"e":"Recording","path":"/etc/passwd"}', "a Recording is not an event of a run"),
        ('{"t":1,"e":"Playhead"}', "a Playhead is not an event of a run"),
        ('{"t":1,"e":"PlaybackMarks","rounds":[0.5]}', "a PlaybackMarks is not an event of a run"),
    ],
)
def test_a_broken_line_says_what_is_wrong_with_it(line: str, said: str) -> None:
    with pytest.raises(LineError) as found:
        decode(line)
    assert said in str(found.value)
    assert str(found.value).startswith(("is broken: ", "makes no sense: "))


def test_a_step_may_commit_a_whole_canvas() -> None:
    _, event = decode(changed(canvas=256, emitted=[5] * 256, text=["a"] * 256, drafted=[], drafted_text=[], accepted=0))
    assert isinstance(event, ev.Step)
    assert (event.canvas, len(event.emitted)) == (256, 256)


def test_an_older_trace_knows_no_conversations() -> None:
    line = '{"t":1,"e":"RoundStarted","round":0,"prompts":[{"text":"a"}],"sampling":{"top_p":0.9}}'
    assert decode(line) == (1, ev.RoundStarted(0, (ev.Prompt("a"),), ev.Sampling(top_p=0.9)))
    assert encode(1, ev.RoundStarted(0, (ev.Prompt("a"),), ev.Sampling(top_p=0.9))) == line
    line = '{"t":1,"e":"RequestStarted","lane":"mtp","request":"0.0","slot":0,"prompt_tokens":9}'
    assert decode(line) == (1, ev.RequestStarted("mtp", "0.0", 0, 9, as_ar=True))


def test_a_conversation_comes_back_whole() -> None:
    said = (ev.Message("system", "Be."), ev.Message("user", "a"), ev.Message("assistant", "b"))
    prompt = ev.Prompt("d", "stem", 3, 9, said, asked=("c",), later=("e", "f"))
    event = ev.RoundStarted(1, (prompt, ev.Prompt("x")), ev.Sampling(top_k=40), absent=(1,))
    assert decode(encode(1, event)) == (1, event)
    assert (prompt.turn, prompt.turns) == (1, 4)


def test_a_fork_comes_back_whole_and_an_older_trace_has_none() -> None:
    branch = ev.Branch(3, "mtp", 1, 12, 20, (7, 8), "There are", " seven", " eight")
    event = ev.RoundStarted(4, (ev.Prompt("a"),), ev.Sampling(max_tokens=30), parent=branch)
    assert decode(encode(1, event)) == (1, event)
    _, old = decode('{"t":1,"e":"RoundStarted","round":0,"prompts":[{"text":"a"}],"sampling":{}}')
    assert isinstance(old, ev.RoundStarted)
    assert old.parent is None


def test_unknown_kinds_and_fields_are_no_errors() -> None:
    assert decode('{"t":4,"e":"Teleported","lane":"ar"}') == (4, None)
    assert decode('{"t":4,"e":"Paused","paused":true,"why":{"deep":[1e5]}}') == (4, ev.Paused(True))


@pytest.mark.parametrize(
    "line",
    ["", "{}", "[]", '{"trace":"other"}', '{"trace":"spectui"}', '{"trace":"spectui","schema":"1","program":""}'],
)
def test_what_is_no_header_is_refused(line: str) -> None:
    with pytest.raises(LineError):
        decode_header(line)


def test_an_event_that_no_line_can_hold_is_refused() -> None:
    with pytest.raises(ValueError, match="JSON"):
        encode(0, ev.Margin("mtp", 0, 3, float("inf")))
    with pytest.raises(TypeError):
        encode(0, ev.Notice(object()))  # type: ignore[arg-type]


def test_equal_texts_are_one_object() -> None:
    first, second = (decode(encode(0, STEP))[1] for _ in range(2))
    assert isinstance(first, ev.Step)
    assert isinstance(second, ev.Step)
    assert first.text[0] is second.text[0]
    assert first.lane is second.lane


DAMAGE = (binary, cut_end, cut_middle, flip_bits, other_names, other_numbers, other_values)


def outcome(read: Callable[[str], object], line: str) -> object:
    try:
        return read(line)
    except LineError as error:
        return str(error)


@settings(max_examples=300, deadline=None)
@given(step=steps(), damage=st.sampled_from(DAMAGE), seed=st.integers(0, 10**9))
def test_steps_are_read_and_written_the_fast_way_as_with_care(step: ev.Step, damage: Mutate, seed: int) -> None:
    line = encode(7, step)
    assert line == encode_any(7, step)
    read = decode(line)
    assert repr(read) == repr(decode_any(line)) == repr((7, step))
    assert type(read[1]) is ev.Step
    damaged = damage(random.Random(seed), line.encode()).decode(errors="surrogateescape")
    assert repr(outcome(decode, damaged)) == repr(outcome(decode_any, damaged))


@pytest.mark.parametrize(
    "pieces",
    [("a", " b"), ('\x00\n"\\/', "\x7f"), ("\xe9", "\u2028\u4e00"), ("\U0001f600", "\x7f\U0010ffff"), ("\ud800", "b")],
)
def test_a_step_of_any_text_is_spelt_in_ascii(pieces: tuple[str, str]) -> None:
    step = replace(STEP, text=pieces, totals=ev.Totals(4, 7), disturbed=True)
    line = encode(12, step)
    assert line == encode_any(12, step)
    assert line.isprintable()
    assert line.isascii()
    assert decode(line) == (12, step)
    # A lone surrogate has no bytes, and goes the long way.
    assert (step_lines.write(12, step) is None) == (step_lines.read(line) is None) == ("\ud800" in pieces)


@pytest.mark.parametrize(
    "line",
    [
        encode(1, STEP)[:-1] + ',"wall_ns":0}',
        encode(1, STEP)[:-1] + ',"e":"Paused","paused":true}',
        encode(1, STEP)[:-1] + ',"drafted":[1,9223372036854775808]}',
        encode(1, STEP)[:-1] + ',"totals":[4,7,0,0,0,0,0,99]}',
        '{"slot":"x",' + encode(1, STEP)[1:],
    ],
)
def test_what_the_fast_way_cannot_take_is_read_with_care(line: str) -> None:
    assert step_lines.read(line) is None
    assert outcome(decode, line) == outcome(decode_any, line)


def test_a_step_that_was_read_is_frozen_like_any_other() -> None:
    _, step = decode(encode(1, replace(STEP, text=("a", "b"))))
    assert isinstance(step, ev.Step)
    with pytest.raises(FrozenInstanceError):
        step.k = 3  # type: ignore[misc]
    assert replace(step, k=1).k == 1
    assert pickle.loads(pickle.dumps(step)) == step
    assert hash(step) == hash(replace(STEP, text=("a", "b")))

"""Heat: looks per token add up to steps, and the mean is that of the answers that agree."""

from __future__ import annotations

from dataclasses import replace
from typing import TypeAlias

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spectui.core import heat
from spectui.core.heat import HeatMap, HeatView, Looks, PastAnswers, level
from spectui.core.reducer import reduce
from spectui.core.state import RequestState, RunState
from spectui.core.views import Viewer
from spectui.protocol import events as ev

Chunks: TypeAlias = list[list[int]]
"""An answer: the ids that each of its steps emitted."""

INFO = ev.LaneInfo("mtp", "mtp", "MTP", 9, "mtp:k=9")
RANDOM = ev.Sampling(temperature=1.0)


def step(index: int, ids: list[int], request: str = "0", slot: int = 0, canvas: int = 0, clock: int = 0) -> ev.Step:
    texts = tuple(chr(id_) for id_ in ids)
    return ev.Step(
        lane="mtp",
        request=request,
        slot=slot,
        index=index,
        k=9,
        drafted=() if canvas else tuple(ids[:-1]),
        accepted=0 if canvas else len(ids) - 1,
        emitted=tuple(ids),
        cut=(),
        own="bonus" if ids else None,
        cut_reason=None,
        text=texts,
        drafted_text=() if canvas else texts[:-1],
        batch=1,
        wall_ns=1,
        clock_ns=clock,
        canvas=canvas,
    )


def answers(
    chunks: Chunks, number: int, slot: int = 0, prompt_ids: tuple[int, ...] = (), ended: bool = True
) -> list[ev.Event]:
    """One answer from its request's beginning on."""
    name = f"{number}-{slot}"
    events: list[ev.Event] = [ev.RequestStarted("mtp", name, slot, 5, prompt_ids=prompt_ids)]
    events += [step(index, ids, name, slot) for index, ids in enumerate(chunks)]
    return [*events, ev.RequestFinished("mtp", name, slot, "eos", sum(map(len, chunks)))] if ended else events


def begun(number: int, *prompts: str, sampling: ev.Sampling = RANDOM) -> ev.RoundStarted:
    return ev.RoundStarted(number, tuple(map(ev.Prompt, prompts or ("p",))), sampling)


def folded(events: list[ev.Event]) -> RunState:
    state = RunState()
    for event in [ev.RunStarted("t", (INFO,), RANDOM), *events]:
        reduce(state, event)
    return state


def seen(state: RunState, slot: int = 0) -> HeatView:
    viewer = Viewer(state)
    viewer.slot = slot
    stream = viewer.read().lanes[0].stream
    assert stream is not None
    assert stream.heat is not None
    return stream.heat


def looks(view: HeatView) -> list[float | None]:
    heat_map = HeatMap()
    heat_map.follow(view)
    return [heat_map.looks(place) for place in range(view.length)]


@pytest.mark.parametrize(
    ("per_token", "shown"), [(1, 1), (1 / 2, 2), (1 / 3, 3), (1 / 4, 4), (1 / 5, 5), (1 / 16, 5), (3.0, 1), (0.75, 1)]
)
def test_the_scale_counts_tokens_per_look(per_token: float, shown: int) -> None:
    assert level(per_token) == shown


chunks = st.lists(st.lists(st.integers(97, 99), min_size=1, max_size=6), min_size=1, max_size=8)


@given(chunks)
def test_the_looks_of_an_answer_add_up_to_its_steps(answer: Chunks) -> None:
    view = seen(folded([begun(0), *answers(answer, 0)]))
    found = looks(view)
    assert None not in found
    assert sum(one or 0 for one in found) == pytest.approx(len(answer), rel=1e-5)


def test_a_diffusion_model_looks_several_times_before_it_commits() -> None:
    counted = Looks()
    for index, ids in enumerate(([], [], [97] * 6, [], [97] * 2)):
        counted.add(step(index, ids, canvas=8))
    assert list(counted.per_token) == [0.5] * 6 + [1.0] * 2


def test_what_was_lost_has_no_heat_and_joins_no_mean() -> None:
    counted = Looks()
    for index, ids in ((0, [97]), (2, [98, 99]), (3, [97])):
        counted.add(step(index, ids))
    assert list(counted.per_token) == [1.0, 0.5, 0.5, 1.0]
    assert counted.whole == 1
    canvas = Looks()
    for index, ids in ((0, []), (3, [97, 98]), (4, [99])):
        canvas.add(step(index, ids, canvas=8))
    assert list(canvas.per_token) == [0.0, 0.0, 1.0]
    other = answers([[97, 98, 99]], 0)
    torn = [event for event in answers([[97], [98], [99]], 1) if not (isinstance(event, ev.Step) and event.index == 1)]
    view = seen(folded([begun(0), *other, begun(1), *torn]))
    assert looks(view) == [pytest.approx((1 + 1 / 3) / 2), 1.0]


@settings(deadline=None)
@given(st.lists(chunks, min_size=1, max_size=6), st.data())
def test_the_mean_is_that_of_the_answers_that_agree_up_to_there(rounds: list[Chunks], data: st.DataObject) -> None:
    """However the newest answer is followed while it grows."""
    state = folded([])
    for number, answer in enumerate(rounds[:-1]):
        for event in [begun(number), *answers(answer, number, ended=data.draw(st.booleans()))]:
            reduce(state, event)
    followed = HeatMap()
    newest = [begun(len(rounds)), *answers(rounds[-1], len(rounds))]
    reduce(state, newest[0])
    for event in newest[1:]:
        reduce(state, event)
        if data.draw(st.booleans()):
            followed.follow(seen(state))
    view = seen(state)
    followed.follow(view)

    flat = [[(id_, 1 / len(ids)) for ids in answer for id_ in ids] for answer in rounds]
    said = [[id_ for id_, _ in tokens] for tokens in flat]
    for place in range(len(flat[-1])):
        agree = [
            tokens[place][1]
            for tokens, ids in zip(flat, said, strict=True)
            if len(ids) > place and ids[: place + 1] == said[-1][: place + 1]
        ]
        assert followed.looks(place) == pytest.approx(sum(agree) / len(agree), rel=1e-5)
    assert followed.looks(len(flat[-1])) is None
    assert view.answers == sum(ids[0] == said[-1][0] for ids in said)


def test_requests_that_run_at_once_are_answers_to_the_same_prompt_too() -> None:
    events = [begun(0, "p", "p", "q"), *answers([[97], [98]], 0, 0), *answers([[97, 98]], 0, 1)]
    events += answers([[97, 98, 99]], 0, 2)
    for slot in (0, 1):
        assert seen(folded(events), slot).answers == 2
        assert looks(seen(folded(events), slot)) == [0.75, 0.75]
    assert seen(folded(events), 2).answers == 1


GREEDY = ev.Sampling(temperature=0.0)


@pytest.mark.parametrize(
    ("first", "second", "ids"),
    [
        (begun(0, sampling=GREEDY), begun(1, sampling=GREEDY), (1, 2)),
        (begun(0), begun(1, sampling=replace(RANDOM, temperature=0.5)), (1, 2)),
        (begun(0), begun(1, "q"), (1, 2)),
        (begun(0), begun(1), (1, 3)),
    ],
    ids=["greedy", "another temperature", "another prompt", "another context"],
)
def test_other_answers_are_left_out(first: ev.RoundStarted, second: ev.RoundStarted, ids: tuple[int, ...]) -> None:
    again = answers([[97], [98]], 1, prompt_ids=ids)
    view = seen(folded([first, *answers([[97, 98]], 0, prompt_ids=(1, 2)), second, *again]))
    assert view.answers == 1
    assert looks(view) == [1.0, 1.0]


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heat, "MOST_ANSWERS", 3)
    monkeypatch.setattr(heat, "MOST_TOKENS", 10)

    def answer(name: str, alike: int | None, tokens: int) -> RequestState:
        request = RequestState(name, 0, 5, alike=alike)
        request.ids.extend([97] * tokens)
        request.looks.add(step(0, [97] * tokens))
        return request

    past = PastAnswers()
    for number in range(4):
        past.add(answer(f"a{number}", 1, 2))
    assert [one.request for one in past.to(1)] == ["a1", "a2", "a3"]
    past.add(answer("b", 2, 4))
    past.add(answer("c", 3, 3))
    assert [[one.request for one in past.to(alike)] for alike in (1, 2, 3)] == [["a3"], ["b"], ["c"]]
    past.add(answer("too long", 1, 11))
    past.add(answer("nothing", 1, 0))
    past.add(answer("greedy", None, 1))
    assert [one.request for one in past.to(1)] == ["a3"]
    assert past.to(None) == past.to(9) == ()
    monkeypatch.setattr(heat, "_MOST_REMEMBERED", 2)
    past.add(answer("d", 1, 1))
    assert [[one.request for one in past.to(alike)] for alike in (1, 2, 3)] == [["d"], [], ["c"]]

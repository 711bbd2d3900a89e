"""A step in slow motion, beat by beat, and the sentences that go with it."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spectui.core.beats import HELD, beats, kept
from spectui.core.captions import beat_sentence, finished_sentence, step_sentence
from spectui.core.tokens import Role, step_tokens
from spectui.protocol.events import Own, Step


def step(drafted: int, accepted: int, cut: int = 0, texts: tuple[str, ...] | None = None) -> Step:
    """A step that emitted ``accepted`` + 1 tokens, less those that were ``cut``."""
    verified = tuple(range(accepted + 1))
    own: Own = "bonus" if accepted == drafted else "recovered"
    return Step(
        lane="mtp",
        request="0",
        slot=0,
        index=3,
        k=drafted,
        drafted=tuple(range(drafted)),
        accepted=accepted,
        emitted=verified[: len(verified) - cut],
        cut=verified[len(verified) - cut :],
        own=None if cut else own,
        cut_reason="eos" if cut else None,
        text=texts[: accepted + 1] if texts else tuple(f"t{place} " for place in verified),
        drafted_text=tuple(f"d{place} " for place in range(drafted)),
        batch=1,
        wall_ns=1,
        clock_ns=1,
    )


@st.composite
def steps(draw: st.DrawFn) -> Step:
    drafted = draw(st.integers(0, 16))
    accepted = draw(st.integers(0, drafted))
    return step(drafted, accepted, draw(st.integers(0, accepted + 1)))


@given(steps())
def test_the_last_beat_is_what_the_text_keeps(one: Step) -> None:
    table = beats(one)
    shown = [token for token in step_tokens(one) if token[1] is not Role.REJECTED]
    assert list(table[-1].tokens) == shown == list(kept(one))
    assert table[-HELD:] == (table[-1],) * HELD
    assert table[0].tokens == ()


@given(steps())
def test_what_was_accepted_is_never_lost_and_the_verdict_only_goes_on(one: Step) -> None:
    table = beats(one)
    judged = [[role for _, role in beat.tokens] for beat in table if beat.phase == "verdict"]
    green = [roles.count(Role.ACCEPTED) for roles in judged]
    assert green == sorted(green)
    assert all(after - before <= 1 for before, after in itertools.pairwise(green))
    assert not green or green[-1] == one.accepted
    for roles in judged:
        # From the left: accepted, then refused or not judged yet, never mixed.
        assert roles == sorted(roles, key=[Role.ACCEPTED, Role.REJECTED, Role.PENDING].index)
        assert {Role.REJECTED, Role.PENDING} - set(roles)


@given(steps())
def test_a_draft_grows_token_by_token_and_falls_once(one: Step) -> None:
    table = beats(one)
    phases = [beat.phase for beat in table]
    assert phases == sorted(phases, key=["draft", "verdict", "result"].index)
    drafts = [len(beat.tokens) for beat in table if beat.phase == "draft"]
    assert drafts == list(range(len(one.drafted)))
    assert all(role is Role.PENDING for beat in table if beat.phase == "draft" for _, role in beat.tokens)
    sizes = [len(beat.tokens) for beat in table if beat.phase == "verdict"]
    assert sizes == sorted(sizes, reverse=True)
    refused = len(one.drafted) - one.accepted
    held = [beat for beat in table if any(role is Role.REJECTED for _, role in beat.tokens)]
    assert len(held) == (HELD if refused else 0)


@given(steps())
def test_only_the_roles_of_their_phase_are_seen(one: Step) -> None:
    for beat in beats(one):
        roles = {role for _, role in beat.tokens}
        match beat.phase:
            case "draft":
                assert roles <= {Role.PENDING}
            case "verdict":
                assert roles <= {Role.PENDING, Role.ACCEPTED, Role.REJECTED}
            case "result":
                assert Role.PENDING not in roles
                assert Role.REJECTED not in roles


def test_accepted_tokens_are_spelled_as_in_the_text() -> None:
    table = beats(step(3, 2))
    assert [text for text, _ in table[2].tokens] == ["d0 ", "d1 "]
    verdict = [beat for beat in table if beat.phase == "verdict"]
    assert [text for text, _ in verdict[2].tokens] == ["t0 ", "t1 ", "d2 "]


@pytest.mark.parametrize(
    ("one", "sentence"),
    [
        (step(7, 5), "5 of 7 guesses were right: 6 tokens for one look at the model"),
        (step(7, 7), "7 of 7 guesses were right: 8 tokens for one look at the model"),
        (step(7, 1), "1 of 7 guesses was right: 2 tokens for one look at the model"),
        (step(7, 0), "0 of 7 guesses were right: one token for one look at the model"),
        (step(1, 1), "1 of 1 guess was right: 2 tokens for one look at the model"),
        (step(1, 0), "0 of 1 guess was right: one token for one look at the model"),
        (step(0, 0), "one token for one look at the model"),
        (step(5, 5, 4), "5 of 5 guesses were right: 2 tokens for one look at the model, then the answer ended"),
        (step(0, 0, 1), "no token for one look at the model, then the answer ended"),
    ],
)
def test_a_step_in_one_sentence(one: Step, sentence: str) -> None:
    assert step_sentence(one) == sentence
    assert beat_sentence(one, "result") == sentence


def test_what_goes_on_in_one_sentence() -> None:
    assert beat_sentence(step(7, 5), "draft") == "the drafter guesses 7 tokens ahead"
    assert beat_sentence(step(1, 1), "draft") == "the drafter guesses one token ahead"
    assert beat_sentence(step(7, 5), "verdict") == "one look at the model checks all 7 guesses at once"
    assert beat_sentence(step(1, 1), "verdict") == "one look at the model checks the guess"


def test_a_round_in_one_sentence() -> None:
    assert finished_sentence(96, 2.314, 1.518) == "96 tokens in 2.31 s, 1.52 times as fast as AR"
    assert finished_sentence(1, 0.5, None) == "one token in 0.50 s"

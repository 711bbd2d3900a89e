"""Answers to prompts as they are streamed: their text, and the figures of each server."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spectui.sources.counters.streamed import MOST_LINE, Figures, Stream, figures_of
from spectui.sources.counters.values import MalformedError

SPECULATION = {
    "mean_acceptance_length": 9.0,
    "num_spec_steps": 10,
    "num_accepted_draft_tokens": 15,
    "num_draft_tokens": 30,
    "acceptance_histogram": [2, 3, 3, 2],
}


@pytest.mark.parametrize(
    ("message", "figures"),
    [
        ({"usage": {"completion_tokens": 25}, "metrics": {"speculative_decoding": SPECULATION}}, (25, 10, 30, 15, 2.5)),
        ({"usage": {"completion_tokens": 25}, "metrics": {"speculative_decoding": None}}, (25, None, None, None, None)),
        ({"usage": {"completion_tokens": 25}}, (25, None, None, None, None)),
        (
            {
                "sglext": {
                    "spec_tokens_details": {
                        "spec_verify_ct": 4,
                        "spec_num_proposed_drafts": 20,
                        "spec_num_correct_drafts": 6,
                        "spec_accept_length": 2.75,
                    }
                }
            },
            (None, 4, 20, 6, 2.5),
        ),
        (
            {
                "choices": [
                    {"meta_info": {"spec_verify_ct": 2, "spec_draft_token_num": 6, "spec_accept_token_num": 0}}
                ],
                "usage": {"completion_tokens": 3},
            },
            (3, 2, 6, 0, 1.0),
        ),
        (
            {"usage": {"completion_tokens": 9}, "timings": {"draft_n": 12, "draft_n_accepted": 5, "predicted_n": 9}},
            (9, None, 12, 5, None),
        ),
        ({"usage": {"completion_tokens": 9}, "timings": {"predicted_n": 9}}, (9, None, None, None, None)),
        ({"timings": {"draft_n": 5, "draft_n_accepted": 12}}, (None,) * 5),
        ({"timings": {"draft_n": -5, "draft_n_accepted": -12}}, (None,) * 5),
        ({"timings": {"draft_n": True, "draft_n_accepted": "1"}}, (None,) * 5),
        ({"usage": {"completion_tokens": float("nan")}}, (None,) * 5),
        ({"usage": {"completion_tokens": 1e300}}, (None,) * 5),
        ({"usage": {"completion_tokens": 10**400}}, (None,) * 5),
        ({"timings": {"draft_n": float("inf"), "draft_n_accepted": 10**400}}, (None,) * 5),
        ({"usage": [1]}, (None,) * 5),
        ("text", (None,) * 5),
        (None, (None,) * 5),
    ],
)
def test_figures_of_a_request(message: object, figures: tuple[object, ...]) -> None:
    found = figures_of(message)
    assert (found.tokens, found.drafts, found.drafted, found.accepted, found.length) == figures


def events(*messages: object) -> bytes:
    return b"".join(b"data: " + json.dumps(message).encode() + b"\n\n" for message in messages)


def piece(text: str, key: str = "content") -> dict[str, object]:
    return {"choices": [{"index": 0, "delta": {key: text}}]}


CHAT = (
    b": a comment\n\n"
    + events(piece("think ", "reasoning_content"), piece("a"), piece(""), piece("ü\ud800"))
    + events({"choices": [], "usage": {"completion_tokens": 3}})
    + b"event: end\ndata: [DONE]\n\n"
)


@pytest.mark.parametrize("size", [1, 2, 3, 7, 64, 4096])
def test_parts_of_any_size_make_the_same_text(size: int) -> None:
    stream = Stream(streamed=True)
    text = "".join(t for start in range(0, len(CHAT), size) for t in stream.add(CHAT[start : start + size]))
    assert text + "".join(stream.end()) == "think aü\ufffd"
    assert (stream.figures, stream.ended, stream.malformed, stream.fault) == (Figures(tokens=3), True, 0, "")


def test_an_answer_that_is_not_streamed_comes_at_its_end() -> None:
    whole = {"choices": [{"message": {"content": "all of it"}}], "usage": {"completion_tokens": 4}}
    stream = Stream(streamed=False)
    data = json.dumps(whole, indent=1).encode()
    assert [*stream.add(data[:9]), *stream.add(data[9:])] == []
    assert (list(stream.end()), stream.figures.tokens, stream.ended) == (["all of it"], 4, True)


def test_completions_have_their_text_elsewhere() -> None:
    assert list(Stream(streamed=True).add(events({"choices": [{"text": "plain"}]}))) == ["plain"]


def test_a_fault_in_the_middle_is_the_servers_own_words() -> None:
    stream = Stream(streamed=True)
    assert list(stream.add(events(piece("a"), {"error": {"message": "out of\x1b[2J memory", "code": 500}}))) == ["a"]
    assert stream.fault == "out of [2J memory"


def test_messages_that_make_no_sense_are_counted_and_dropped() -> None:
    stream = Stream(streamed=True)
    deep = b"[" * 100_000
    data = b"data: {nonsense\n\ndata: " + deep + b"\n\ndata: " + b"9" * 10_000 + b"\n\n" + events(piece("on"))
    assert list(stream.add(data)) == ["on"]
    assert stream.malformed == 3


def test_a_line_without_an_end_is_not_kept() -> None:
    stream = Stream(streamed=True)
    assert list(stream.add(b"x" * MOST_LINE)) == []
    with pytest.raises(MalformedError):
        list(stream.add(b"x"))


@given(st.lists(st.binary(max_size=200), max_size=8), st.booleans())
def test_no_bytes_break_a_stream(parts: list[bytes], streamed: bool) -> None:
    stream = Stream(streamed)
    for part in parts:
        list(stream.add(b"data: " + part))
    list(stream.end())


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
        lambda inner: (
            st.lists(inner)
            | st.dictionaries(
                st.sampled_from(
                    [
                        "choices",
                        "delta",
                        "content",
                        "usage",
                        "completion_tokens",
                        "metrics",
                        "speculative_decoding",
                        "timings",
                        "draft_n",
                        "draft_n_accepted",
                        "error",
                        "message",
                    ]
                ),
                inner,
            )
        ),
        max_leaves=20,
    )
)
def test_no_message_breaks_a_stream(message: object) -> None:
    stream = Stream(streamed=True)
    assert all(isinstance(text, str) for text in stream.add(events(message)))
    figures = stream.figures
    assert figures.tokens is None or figures.tokens >= 0

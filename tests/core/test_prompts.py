"""Every kind of prompt file, good and bad: what is raced, or the one sentence that says why nothing is."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spectui.core.prompts import PromptError, read_prompts, with_system
from spectui.protocol.events import Message, Prompt

PLACEHOLDER = "FULL BENCHMARK DATA SHOULD BE FETCHED FROM THE SOURCE USING SPECDEC_BENCH"
UNPREPARED = (
    " is a placeholder of SPEED-Bench, whose texts are fetched by NVIDIA's script: run https://github.com/NVIDIA-NeMo/"
    "Skills/blob/main/nemo_skills/dataset/speed-bench/prepare.py and give the file that it writes"
)


def said(role: Any, text: str) -> Message:
    return Message(role, text)


def user(content: Any) -> dict[str, Any]:
    return {"role": "user", "content": content}


def model(content: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": content}


def lines(*rows: Any) -> bytes:
    return "\n".join(json.dumps(row) for row in rows).encode()


SHAREGPT = [
    {
        "id": "one_0",
        "conversations": [
            {"from": "system", "value": "Be short."},
            {"from": "human", "value": "a"},
            {"from": "gpt", "value": "b"},
            {"from": "human", "value": "c"},
            {"from": "gpt", "value": "d"},
        ],
    },
    {"id": "two_0", "conversations": [{"from": "user", "value": "e"}, {"from": "chatgpt", "value": "f"}]},
]
SHAREGPT_READ = [
    Prompt("c", before=(said("system", "Be short."), said("user", "a"), said("assistant", "b"))),
    Prompt("e"),
]
BATCH = {"custom_id": "1", "method": "POST", "url": "/v1/chat/completions"}

GOOD: dict[str, tuple[str, bytes, list[Prompt]]] = {
    # Plain lines
    "plain lines": ("p.txt", b"one\ntwo\n", [Prompt("one"), Prompt("two")]),
    "without a last line end": ("p.txt", b"one\ntwo", [Prompt("one"), Prompt("two")]),
    "Windows line ends": ("p.txt", b"one\r\n\r\ntwo\r\n", [Prompt("one"), Prompt("two")]),
    "blank lines and blanks around": ("p.txt", b"\n  one \t\n \n\ttwo", [Prompt("one"), Prompt("two")]),
    "a byte-order mark before plain lines": ("p.txt", b"\xef\xbb\xbfone\ntwo", [Prompt("one"), Prompt("two")]),
    "files joined with their byte-order marks": (
        "p.txt",
        b"\xef\xbb\xbfone\n\xef\xbb\xbftwo",
        [Prompt("one"), Prompt("two")],
    ),
    "characters that end lines elsewhere": (
        "p.txt",
        "a\u0085b\u2028c\u2029d\x0be\x0cf\x1cg\nh".encode(),
        [Prompt("a\u0085b\u2028c\u2029d\x0be\x0cf\x1cg"), Prompt("h")],
    ),
    "a lone carriage return ends no line": ("p.txt", b"a\rb\nc", [Prompt("a\rb"), Prompt("c")]),
    "a plain prompt that begins with a brace": (
        "p.txt",
        b"{name} is who?\nHi",
        [Prompt("{name} is who?"), Prompt("Hi")],
    ),
    "a plain prompt that begins with a bracket": ("-", b"[INST] Hi [/INST]", [Prompt("[INST] Hi [/INST]")]),
    "a plain prompt that begins with JSON": (
        "p",
        b'{"a": 1} is what?\n[1] says',
        [Prompt('{"a": 1} is what?'), Prompt("[1] says")],
    ),
    "a plain prompt in quotes": ("p.txt", b'"To be"', [Prompt('"To be"')]),
    "a number on a plain line": ("p.txt", b"42\nnull", [Prompt("42"), Prompt("null")]),
    "code on a plain line": (
        "p.txt",
        b"Fix this:\n{ x = 1 }\n[x for x in y",
        [Prompt("Fix this:"), Prompt("{ x = 1 }"), Prompt("[x for x in y")],
    ),
    "emoji and other planes": ("p.txt", "\U0001f600 é 漢".encode(), [Prompt("\U0001f600 é 漢")]),
    # JSON lines
    "prompts": (
        "p.jsonl",
        lines({"prompt": "one"}, {"prompt": "two", "category": "math"}),
        [Prompt("one"), Prompt("two", "math")],
    ),
    "prompts in a file of any name": (
        "-",
        lines({"prompt": "one"}, {"id": 1, "prompt": "two"}),
        [Prompt("one"), Prompt("two")],
    ),
    "a byte-order mark before rows": ("p.jsonl", b"\xef\xbb\xbf" + lines({"prompt": "one"}), [Prompt("one")]),
    "a byte-order mark and any name": ("p", b"\xef\xbb\xbf" + lines({"prompt": "one"}), [Prompt("one")]),
    "rows with Windows line ends and blank lines": (
        "p.jsonl",
        b'{"prompt": "one"}\r\n\r\n  \r\n{"prompt": "two"}\r\n',
        [Prompt("one"), Prompt("two")],
    ),
    "a line separator inside a row": (
        "p.jsonl",
        '{"prompt": "a\u2028b\u0085c"}\n{"prompt": "d"}'.encode(),
        [Prompt("a\u2028b\u0085c"), Prompt("d")],
    ),
    "blanks within a prompt stay": ("p.jsonl", lines({"prompt": " a\n b\n"}), [Prompt(" a\n b\n")]),
    "no category": (
        "p.jsonl",
        lines({"prompt": "a", "category": None}, {"prompt": "b", "category": ""}),
        [Prompt("a"), Prompt("b")],
    ),
    "a null beside what counts": ("p.jsonl", lines({"prompt": None, "messages": [user("a")]}), [Prompt("a")]),
    "strings": ("p.jsonl", b'"one"\n"two"', [Prompt("one"), Prompt("two")]),
    "an escaped pair of surrogates": ("p.jsonl", b'{"prompt": "\\ud83d\\ude00"}', [Prompt("\U0001f600")]),
    "rows over many lines": (
        "p.json",
        json.dumps({"prompt": "a"}, indent=1).encode() + b"\n" + lines({"prompt": "b"}),
        [Prompt("a"), Prompt("b")],
    ),
    "fields that are not asked for": ("p.jsonl", lines({"prompt": "a", "answer": "b", "score": 1e400}), [Prompt("a")]),
    # Conversations
    "messages": ("p.jsonl", lines({"messages": [user("a")], "category": "qa"}), [Prompt("a", "qa")]),
    "a conversation": (
        "p.jsonl",
        lines({"messages": [{"role": "system", "content": "Be kind."}, user("a"), model("b"), user("c")]}),
        [Prompt("c", before=(said("system", "Be kind."), said("user", "a"), said("assistant", "b")))],
    ),
    "the file's own answer is not needed": ("p.jsonl", lines({"messages": [user("a"), model("b")]}), [Prompt("a")]),
    "content parts": (
        "p.jsonl",
        lines({"messages": [user([{"type": "text", "text": "a"}, {"type": "input_text", "text": "b"}])]}),
        [Prompt("a\nb")],
    ),
    "a developer's message": (
        "p.jsonl",
        lines({"messages": [{"role": "developer", "content": "Be."}, user("a")]}),
        [Prompt("a", before=(said("system", "Be."),))],
    ),
    "an empty system message": (
        "p.jsonl",
        lines({"messages": [{"role": "system", "content": " "}, user("a")]}),
        [Prompt("a")],
    ),
    "a system message beside": (
        "p.jsonl",
        lines({"system": "Be.", "prompt": "a"}),
        [Prompt("a", before=(said("system", "Be."),))],
    ),
    "an array of messages is one conversation": (
        "p.json",
        json.dumps([user("a"), model("b"), user("c")], indent=2).encode(),
        [Prompt("c", before=(said("user", "a"), said("assistant", "b")))],
    ),
    "a conversation a line": ("p.jsonl", lines([user("a")], [user("b")]), [Prompt("a"), Prompt("b")]),
    "messages under prompt": (
        "p.jsonl",
        lines({"prompt": [user("a"), model("b"), user("c")]}),
        [Prompt("c", before=(said("user", "a"), said("assistant", "b")))],
    ),
    "no tools": ("p.jsonl", lines({"messages": [{**user("a"), "tool_calls": None}], "tools": []}), [Prompt("a")]),
    # SPEED-Bench, MT-Bench, Spec-Bench
    "turns": (
        "p.jsonl",
        lines({"question_id": "1", "category": "stem", "turns": ["a", "b", "c"]}),
        [Prompt("a", "stem", later=("b", "c"))],
    ),
    "one turn": ("p.jsonl", lines({"category": "stem", "turns": ["a"]}), [Prompt("a", "stem")]),
    "a prepared SPEED-Bench": (
        "q.jsonl",
        lines({"category": "rag", "messages": [user("a")]}, {"category": "stem", "messages": [user("b"), user("c")]}),
        [Prompt("a", "rag"), Prompt("b", "stem", later=("c",))],
    ),
    "turns under a system message": (
        "q.jsonl",
        lines({"messages": [{"role": "system", "content": "s"}, user("b"), user("c")]}),
        [Prompt("b", before=(said("system", "s"),), later=("c",))],
    ),
    "a list of prompts is turns": (
        "mt.jsonl",
        lines({"prompt": ["a", "b"], "category": "writing"}),
        [Prompt("a", "writing", later=("b",))],
    ),
    # ShareGPT
    "ShareGPT over many lines": ("s.json", json.dumps(SHAREGPT, indent=2).encode(), SHAREGPT_READ),
    "ShareGPT on one line": ("s.json", json.dumps(SHAREGPT).encode(), SHAREGPT_READ),
    "ShareGPT of any name": ("-", b"\n" + json.dumps(SHAREGPT, indent=2).encode(), SHAREGPT_READ),
    "ShareGPT as lines": ("s.jsonl", lines(*SHAREGPT), SHAREGPT_READ),
    "a conversation with roles": ("w.jsonl", lines({"conversation": [user("a"), model("b")]}), [Prompt("a")]),
    # OpenAI batches
    "a batch": (
        "b.jsonl",
        lines({**BATCH, "body": {"model": "m", "messages": [user("a")], "max_tokens": 9}}),
        [Prompt("a")],
    ),
    "a batch of completions": ("b.jsonl", lines({**BATCH, "body": {"prompt": "a"}}), [Prompt("a")]),
    "a batch asks once": (
        "b.jsonl",
        lines({**BATCH, "body": {"messages": [user("a"), user("b")]}}),
        [Prompt("b", before=(said("user", "a"),))],
    ),
    # Arrays
    "an array of strings on one line": ("p.txt", b'["one", "two"]', [Prompt("one"), Prompt("two")]),
    "an array of strings over lines": ("-", b'[\n"one",\n"two"\n]\n', [Prompt("one"), Prompt("two")]),
    "an array of rows on one line": (
        "p.json",
        b'[{"prompt": "one"}, {"turns": ["two"]}]',
        [Prompt("one"), Prompt("two")],
    ),
    "nothing": ("p.txt", b"", []),
    "nothing but blanks": ("p.jsonl", b"\n \n", []),
    "an empty array": ("p.json", b"[ ]", []),
}

BAD: dict[str, tuple[str, bytes, str]] = {
    # What is no text
    "Parquet": (
        "t.parquet",
        b"PAR1\x15\x04",
        "t.parquet is a Parquet file: turn it into JSON lines first (pandas: read_parquet, to_json with lines=True)",
    ),
    "gzip": ("p.jsonl.gz", b"\x1f\x8b\x08\x00", "p.jsonl.gz is compressed: unpack it first"),
    "UTF-16": ("p.txt", "one".encode("utf-16"), "p.txt is UTF-16: save it as UTF-8"),
    "latin-1": ("p.txt", b"one\ncaf\xe9\n", "p.txt, line 2 is not UTF-8: save the file as UTF-8"),
    "latin-1 in a row": (
        "p.jsonl",
        b'{"prompt": "a"}\n\n{"prompt": "\xe9"}',
        "p.jsonl, line 3 is not UTF-8: save the file as UTF-8",
    ),
    "a NUL byte": ("p.bin", b"one\ntw\0o", "p.bin, line 2 is not text: it has a NUL byte"),
    # What is no JSON
    "a row cut short": (
        "p.jsonl",
        b'{"prompt": "one"}\n{"prompt": "two',
        "p.jsonl, line 2 is not JSON: unterminated string starting at",
    ),
    "the first row cut short": (
        "-",
        b'{"prompt": "one\n{"prompt": "two"}',
        "-, line 1 is not JSON: invalid control character at",
    ),
    "the only row cut short": (
        "p.txt",
        b'{"id": 7, "prompt": "one',
        "p.txt, line 1 is not JSON: unterminated string starting at",
    ),
    "one bracket too many": ("p", b'{"prompt": "one"}\n{"prompt": "two"}}\n', "p, line 2 is not JSON: expecting value"),
    "plain text in a JSON file": ("p.jsonl", b'{"prompt": "one"}\ntwo', "p.jsonl, line 2 is not JSON: expecting value"),
    "plain text called JSON": ("p.json", b"one", "p.json, line 1 is not JSON: expecting value"),
    "a row among plain lines": (
        "p.txt",
        b'one\n{"prompt": "two"}',
        "p.txt, line 2 is a row of JSON among plain lines: a file is one or the other",
    ),
    "an array that does not end": (
        "s.json",
        json.dumps(SHAREGPT, indent=2).encode()[:-2],
        "s.json, line 1 begins an array that does not end: a ']' is missing",
    ),
    "an array that does not go on": (
        "s.json",
        b'[{"prompt": "a"},\n',
        "s.json, line 1 begins an array that does not end: a ']' is missing",
    ),
    "an array without a comma": (
        "s.json",
        b'[{"prompt": "a"}\n{"prompt": "b"}]',
        "s.json, line 2 is not JSON: ',' or ']' is missing",
    ),
    "a broken row of an array": (
        "s.json",
        b'[{"prompt": "a"},\n\n{"prompt": b}]',
        "s.json, line 3, row 2 is not JSON: expecting value",
    ),
    "JSON nested too deeply": (
        "p.jsonl",
        b'{"prompt": "a"}\n{"prompt": ' + b"[" * 100_000,
        "p.jsonl, line 2 is nested too deeply",
    ),
    "an array nested too deeply": ("p", b"[" * 100_000, "p, line 1, row 1 is nested too deeply"),
    "a number too long": (
        "p.jsonl",
        b'{"prompt": ' + b"9" * 5000 + b"}",
        "p.jsonl, line 1 has a number that is too long",
    ),
    # What is no prompt
    "a null prompt": (
        "p.jsonl",
        b'{"prompt": "a"}\n{"prompt": null}',
        'p.jsonl, line 2 has "prompt": null: it needs a text',
    ),
    "a prompt that is a number": ("p.jsonl", b'{"prompt": 3}', 'p.jsonl, line 1: "prompt" is a number, not text'),
    "a prompt that is true": ("p.jsonl", b'{"prompt": true}', 'p.jsonl, line 1: "prompt" is true or false, not text'),
    "a prompt that is an object": ("p.jsonl", b'{"prompt": {}}', 'p.jsonl, line 1: "prompt" is an object, not text'),
    "an empty prompt": ("p.jsonl", b'{"prompt": " \\n"}', 'p.jsonl, line 1: "prompt" is empty'),
    "an empty string": ("p.json", b'["a",\n""]', "p.json, line 2, row 2: the prompt is empty"),
    "a row that is a number": ("p.jsonl", b"1", "p.jsonl, line 1 is a number, not a prompt"),
    "a row that is null": ("p.json", b'["a", null]', "p.json, line 1, row 2 is null, not a prompt"),
    "a row of something else": (
        "p.jsonl",
        b'{"question": "a"}',
        'p.jsonl, line 1 is not a prompt: a row needs "prompt", "messages", "turns" or "conversations"',
    ),
    "a category that is a number": (
        "p.jsonl",
        b'{"prompt": "a", "category": 3}',
        'p.jsonl, line 1: "category" is a number, not text',
    ),
    "half a character": (
        "p.jsonl",
        b'{"prompt": "a\\ud800"}',
        'p.jsonl, line 1: "prompt" has half a surrogate pair (\\ud800), which is not a character',
    ),
    "half a character in a category": (
        "p.jsonl",
        b'{"prompt": "a", "category": "\\udfff"}',
        'p.jsonl, line 1: "category" has half a surrogate pair (\\udfff), which is not a character',
    ),
    # Conversations
    "no messages": ("p.jsonl", lines({"messages": []}), "p.jsonl, line 1 has no messages"),
    "messages that are text": ("p.jsonl", lines({"messages": "a"}), "p.jsonl, line 1 has no messages"),
    "no user message": (
        "p.jsonl",
        lines({"messages": [model("a")]}),
        "p.jsonl, line 1 cannot be raced: it has no user message",
    ),
    "ShareGPT without a question": (
        "s.json",
        b'[\n{"conversations": [{"from": "gpt", "value": "a"}]}]',
        "s.json, line 2, row 1 cannot be raced: it has no user message",
    ),
    "an empty conversation": ("s.json", b'[{"conversations": []}]', "s.json, line 1, row 1 has no messages"),
    "content null": ("p.jsonl", lines({"messages": [user(None)]}), "p.jsonl, line 1: message 1 has no text"),
    "content that is a number": (
        "p.jsonl",
        lines({"messages": [user("a"), model(1), user("b")]}),
        "p.jsonl, line 1: message 2 is a number, not text",
    ),
    "an empty question": (
        "p.jsonl",
        lines({"messages": [user(""), model("a"), user("b")]}),
        "p.jsonl, line 1: message 1 is empty",
    ),
    "value null": (
        "s.jsonl",
        lines({"conversations": [{"from": "human", "value": None}]}),
        "s.jsonl, line 1: message 1 has no text",
    ),
    "no role": (
        "p.jsonl",
        lines({"messages": [{"content": "a"}]}),
        'p.jsonl, line 1, message 1 has no role: "role" (or "from") is user, assistant or system',
    ),
    "a message that is text": (
        "p.jsonl",
        lines({"messages": ["a"]}),
        "p.jsonl, line 1, message 1 is a text: a message has a role and a content",
    ),
    "a system message at the end": (
        "p.jsonl",
        lines({"messages": [user("a"), {"role": "system", "content": "b"}]}),
        "p.jsonl, line 1 cannot be raced: a system message comes after the last user message",
    ),
    "an image": (
        "p.jsonl",
        lines({"prompt": "a"}, {"messages": [user([{"type": "text", "text": "a"}, {"type": "image_url"}])]}),
        "p.jsonl, line 2, message 1 has a part 'image_url': only text can be raced",
    ),
    "a sound": (
        "p.jsonl",
        lines({"messages": [user([{"type": "input_audio", "input_audio": {}}])]}),
        "p.jsonl, line 1, message 1 has a part 'input_audio': only text can be raced",
    ),
    "a part without a type": (
        "p.jsonl",
        lines({"messages": [user([{"text": "a"}])]}),
        "p.jsonl, line 1, message 1 has a content part without a type",
    ),
    "a part without its text": (
        "p.jsonl",
        lines({"messages": [user([{"type": "text"}])]}),
        "p.jsonl, line 1: message 1 has no text",
    ),
    "a tool call": (
        "p.jsonl",
        lines({"messages": [user("a"), {**model(None), "tool_calls": [{"id": "1"}]}, user("b")]}),
        'p.jsonl, line 1, message 2 calls a tool ("tool_calls"), which cannot be raced',
    ),
    "a tool's answer": (
        "p.jsonl",
        lines({"messages": [user("a"), {"role": "tool", "content": "b"}]}),
        "p.jsonl, line 1, message 2 has the role 'tool', which cannot be raced",
    ),
    "a ShareGPT tool": (
        "s.jsonl",
        lines({"conversations": [{"from": "observation", "value": "a"}]}),
        "s.jsonl, line 1, message 1 has the role 'observation', which cannot be raced",
    ),
    "a hostile role": (
        "s.jsonl",
        lines({"messages": [{"role": "\x1b[2J" * 99, "content": "a"}]}),
        "s.jsonl, line 1, message 1 has the role '" + ("?[2J" * 10) + "', which cannot be raced",
    ),
    "tools on offer": (
        "p.jsonl",
        lines({"messages": [user("a")], "tools": [{"type": "function"}]}),
        'p.jsonl, line 1 offers tools ("tools"), which cannot be raced',
    ),
    "a batch with functions": (
        "b.jsonl",
        lines({**BATCH, "body": {"messages": [user("a")], "functions": [{}]}}),
        'b.jsonl, line 1 offers tools ("functions"), which cannot be raced',
    ),
    "a batch of embeddings": (
        "b.jsonl",
        lines({**BATCH, "body": {"input": "a"}}),
        'b.jsonl, line 1 cannot be raced: its "body" has no "messages"',
    ),
    "a batch without a body": (
        "b.jsonl",
        lines({**BATCH, "body": "a"}),
        'b.jsonl, line 1 has a text for "body": it needs "messages"',
    ),
    # SPEED-Bench
    "a placeholder": (
        "q.jsonl",
        lines({"category": "qa", "turns": ["a"]}, {"category": "qa", "turns": [PLACEHOLDER]}),
        f"q.jsonl, line 2{UNPREPARED}",
    ),
    "a placeholder in messages": (
        "q.jsonl",
        lines({"messages": [user(PLACEHOLDER + "\n\n{article}")]}),
        f"q.jsonl, line 1{UNPREPARED}",
    ),
    "no turns": (
        "q.jsonl",
        lines({"turns": []}),
        'q.jsonl, line 1 has no turns: "turns" is a list of what the user says',
    ),
    "a turn that is null": ("q.jsonl", lines({"turns": ["a", None]}), "q.jsonl, line 1: turn 2 has no text"),
    "a turn that is empty": ("q.jsonl", lines({"turns": ["a", ""]}), "q.jsonl, line 1: turn 2 is empty"),
}


@pytest.mark.parametrize("case", GOOD)
def test_what_can_be_raced(case: str) -> None:
    name, data, expected = GOOD[case]
    assert read_prompts(data, name) == (expected, [])


@pytest.mark.parametrize("case", BAD)
def test_what_cannot_be_raced_is_one_sentence(case: str) -> None:
    name, data, expected = BAD[case]
    with pytest.raises(PromptError) as caught:
        read_prompts(data, name)
    assert str(caught.value) == expected


def test_conversations_without_a_question_are_left_out_and_named() -> None:
    """ShareGPT as people have it: empty rows, and the second half of a long conversation."""
    rows = [SHAREGPT[0], {"conversations": []}, {"conversations": [{"from": "gpt", "value": "a"}]}, SHAREGPT[1]]
    assert read_prompts(json.dumps(rows).encode(), "s.json") == (
        SHAREGPT_READ,
        [
            "s.json, line 1, row 2 has no messages",
            "s.json, line 1, row 3 cannot be raced: it has no user message",
        ],
    )


def test_a_system_message_is_added_where_there_is_none() -> None:
    own = Prompt("a", before=(said("system", "Mine."), said("user", "b")))
    assert with_system(own, "Yours.") is own
    assert with_system(Prompt("a", "math", 3, 9, (said("user", "b"),), later=("c",)), "Yours.") == Prompt(
        "a", "math", 3, 9, (said("system", "Yours."), said("user", "b")), later=("c",)
    )


ROWS = st.sampled_from(["prompt", "messages", "turns", "conversations", "body", "system", "category", "tools"])
MESSAGES = st.sampled_from(["role", "from", "content", "value", "type", "text", "tool_calls", "user", "assistant"])
KEYS = ROWS | MESSAGES
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=4) | KEYS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=12,
)


def read(data: bytes, name: str) -> list[Prompt] | str:
    """The prompts, or why there are none."""
    try:
        return read_prompts(data, name).prompts
    except PromptError as error:
        return str(error)


def raced_or_refused(data: bytes, name: str) -> None:
    """Either prompts with something to answer, or one line that names the file."""
    found = read(data, name)
    if isinstance(found, str):
        assert found.startswith(name)
        assert found.isprintable()
        return
    for prompt in found:
        assert all(text.strip() for text in (prompt.text, *prompt.later))
        for text in (prompt.text, prompt.category, *prompt.later, *(message.text for message in prompt.before)):
            assert text.encode().decode() == text


@settings(max_examples=300, deadline=None)
@given(st.lists(ANYTHING, max_size=3), st.sampled_from(["p.jsonl", "p"]), st.booleans())
def test_no_row_ends_in_anything_else(rows: list[Any], name: str, together: bool) -> None:
    raced_or_refused(json.dumps(rows).encode() if together else lines(*rows), name)


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=40) | st.text(alphabet='[]{}",:\\ud8\n\r\ufeff\u2028a1 ', max_size=40).map(str.encode))
def test_no_bytes_end_in_anything_else(data: bytes) -> None:
    raced_or_refused(data, "p")
    raced_or_refused(data, "p.json")

"""Where prompts come from, and what the command line makes of them; no engine runs."""

from __future__ import annotations

import argparse
import io
import sys
from pathlib import Path
from typing import Any

import pytest

from spectui.bench.calibrate import _passed_on
from spectui.cli import main as cli
from spectui.core.prompts import PromptError
from spectui.errors import UsageError
from spectui.protocol.events import Message, Prompt
from spectui.setup.config import host_config
from spectui.setup.options import add_engine_options
from spectui.setup.prompt_sets import builtin, first_turn, from_file, from_standard_input, kept_for_children
from spectui.sources.vllm.config import Chat, HostConfig

TALK = '{"turns": ["a", "b"], "category": "stem"}\n{"prompt": "c", "category": "math"}\n'


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def piped(monkeypatch: pytest.MonkeyPatch, data: bytes) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data), encoding="ascii"))


def options(*words: str) -> argparse.Namespace:
    return cli.build_parser().parse_args(["run", *words])


def config(*words: str) -> HostConfig:
    return host_config(options(*words), gpu=False)


def refused(*words: str) -> str:
    with pytest.raises(UsageError) as caught:
        config(*words)
    return str(caught.value)


def test_the_prompts_of_a_file_know_their_place(tmp_path: Path) -> None:
    path = tmp_path / "prompts.jsonl"
    path.write_text(TALK)
    assert from_file(path) == (Prompt("a", "stem", 0, 2, later=("b",)), Prompt("c", "math", 1, 2))
    assert from_file(path, "math") == (Prompt("c", "math", 0, 1),)


def test_the_built_in_set_has_every_category() -> None:
    assert len({prompt.category for prompt in builtin()}) == 11
    assert all(prompt == first_turn(prompt) for prompt in builtin("math")[:1] if prompt.count == 1)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda path: None, "the prompt file {path} cannot be read: No such file or directory"),
        (lambda path: path.mkdir(), "the prompt file {path} cannot be read: Is a directory"),
        (lambda path: path.write_text(" \n"), "{path} has no prompts"),
        (lambda path: path.write_text(TALK), "unknown category 'rag': choose from stem, math"),
        (
            lambda path: path.write_text('{"prompt": "a", "category": "\\u001b[2J"}'),
            "unknown category 'rag': choose from ?[2J",
        ),
        (
            lambda path: path.write_text("{"),
            "{path}, line 1 is not JSON: expecting property name enclosed in double quotes",
        ),
    ],
)
def test_what_is_wrong_with_a_file_is_wrong_usage(make: Any, said: str, tmp_path: Path) -> None:
    path = tmp_path / "prompts.jsonl"
    make(path)
    assert refused("--prompts", str(path), "--category", "rag") == said.format(path=path)


def test_prompts_are_piped_in(monkeypatch: pytest.MonkeyPatch) -> None:
    piped(monkeypatch, TALK.encode())
    assert from_standard_input("math") == (Prompt("c", "math", 0, 1),)
    piped(monkeypatch, "é\n".encode())
    assert config("--prompts", "-").prompts == (Prompt("é"),)
    piped(monkeypatch, b"a\n\xff")
    assert refused("--prompts", "-") == "standard input, line 2 is not UTF-8: save the file as UTF-8"
    piped(monkeypatch, b"")
    assert refused("--prompts", "-") == "standard input has no prompts"


def test_what_is_left_out_of_a_file_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "s.json"
    path.write_text('[{"conversations": []}, {"conversations": [{"from": "human", "value": "a"}]}]')
    assert [prompt.text for prompt in from_file(path)] == ["a"]
    assert capsys.readouterr().err == f"spectui: skipped: {path}, line 1, row 1 has no messages\n"
    path.write_text('[{"conversations": []}, {"conversations": []}, "a"]')
    from_file(path)
    assert capsys.readouterr().err == f"spectui: skipped: {path}, line 1, row 1 has no messages, and 1 more of 3\n"


def test_the_name_of_a_file_of_which_something_is_left_out_is_said_as_text(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "\x1b[2J.json"
    path.write_text('[{"conversations": []}, {"conversations": [{"from": "human", "value": "a"}]}]')
    from_file(path)
    assert capsys.readouterr().err.startswith(f"spectui: skipped: {tmp_path}/\\x1b[2J.json, line 1")


def test_who_pipes_nothing_in_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", Terminal())
    assert refused("--prompts", "-") == "--prompts - reads standard input, which is the terminal: pipe the prompts in"
    monkeypatch.setattr(sys, "stdin", None)
    assert refused("--prompts", "-") == "--prompts - reads standard input, which is closed: pipe the prompts in"


def test_what_is_piped_in_is_kept_for_processes_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    piped(monkeypatch, TALK.encode())
    with kept_for_children("-") as kept:
        assert kept is not None
        for _ in range(2):
            assert [prompt.text for prompt in from_file(Path(kept))] == ["a", "c"]
    assert not Path(kept).exists()
    with kept_for_children("some.jsonl") as kept:
        assert kept == "some.jsonl"
    piped(monkeypatch, b'{"prompt": null}')
    with pytest.raises(PromptError, match='standard input, line 1 has "prompt": null'), kept_for_children("-"):
        pass


def test_a_system_message_stands_before_every_prompt_that_has_none(tmp_path: Path) -> None:
    path = tmp_path / "prompts.jsonl"
    path.write_text('{"prompt": "a"}\n{"system": "Mine.", "prompt": "b"}')
    made = config("--prompts", str(path), "--system", "Be kind.")
    assert [prompt.before for prompt in made.prompts] == [
        (Message("system", "Be kind."),),
        (Message("system", "Mine."),),
    ]
    assert made.chat == Chat("Be kind.")
    assert refused("--system", " ") == "--system is empty: give it some text"


def test_what_prompts_are_told_and_how_lanes_sample() -> None:
    made = config(
        *("--prompt", "a", "--chat-template-arg", "enable_thinking=false", "--chat-template-arg", "effort=low"),
        *("--temperature", "0.7", "--top-p", "0.9", "--top-k", "40"),
    )
    assert made.chat.arguments == {"enable_thinking": False, "effort": "low"}
    assert (made.sampling.top_p, made.sampling.top_k) == (0.9, 40)
    assert config("--prompt", "a", "--top-k", "-1").sampling.top_k == 0


def test_raw_prompts_are_plain(tmp_path: Path) -> None:
    path = tmp_path / "prompts.jsonl"
    path.write_text('{"prompt": "c"}\n' + TALK)
    assert config("--prompts", str(path), "--category", "math", "--raw").chat.raw
    said = "--raw sends plain text, but prompt 2 is a conversation: drop --raw"
    assert refused("--prompts", str(path), "--raw") == said
    assert refused("--raw", "--system", "a").startswith("--raw skips the chat template, which --system needs")
    assert refused("--raw", "--chat-template-arg", "a=1").startswith("--raw skips the chat template, so")


def test_a_prompt_on_the_command_line() -> None:
    assert config("--prompt", "a").prompts == (Prompt("a", "yours"),)
    assert refused("--prompt", " ") == "--prompt is empty: give it some text"
    assert refused("--prompt", "a\udcff").startswith("--prompt: the prompt has half a surrogate pair (\\udcff)")
    both = refused("--prompt", "a", "--prompts", "b")
    assert both == "--prompt and --prompts cannot be used together: use one of them"


def test_the_processes_of_a_measurement_get_every_option() -> None:
    """Whatever a command that starts engines takes, a child takes as it was given."""
    given = cli.build_parser().parse_args(
        [
            "calibrate",
            "--model=m",
            "--lane=ar",
            "--lane=ngram:k=3",
            "--prompts=-x.jsonl",
            "--category=math",
            "--system=--Be kind.",
            "--chat-template-arg=thinking=false",
            "--chat-template-arg=effort=low",
            "--raw",
            "--temperature=0.7",
            "--top-p=0.9",
            "--top-k=40",
            "--seed=3",
            "--concurrency=2",
            "--engine-arg=max_model_len=512",
            "--engine-arg=dtype=float32",
        ]
    )
    parser = argparse.ArgumentParser()
    add_engine_options(parser)
    child = vars(parser.parse_args(_passed_on(given)))
    # The measurement sets the length of answers itself.
    assert {name: value for name, value in vars(given).items() if name in child and name not in OWN} == {
        name: value for name, value in child.items() if name not in OWN
    }


OWN = ("max_tokens", "ignore_eos")

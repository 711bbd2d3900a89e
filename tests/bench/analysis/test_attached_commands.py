"""The commands that read traces, on traces of attached servers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from spectui.cli.headless import describe
from spectui.cli.main import main
from spectui.protocol import events as ev
from tests.support.attached_run import attached_run, counters_run
from tests.trace.making import file_of


@pytest.fixture
def servers(tmp_path: Path) -> Path:
    return file_of(tmp_path / "servers.jsonl", attached_run())


@pytest.fixture
def counters(tmp_path: Path) -> Path:
    return file_of(tmp_path / "counters.jsonl", counters_run())


def test_a_trace_of_servers_is_analysed(servers: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["analyze", str(servers)]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    said = " ".join(out.split())
    assert "gpu1:5571 (e1)" in said
    assert "Category: the requests of a server have no categories." in said
    assert "Kind of token: unknown, since the server does not send the ids that this takes." in said
    assert "No step of gpu3:8000 was seen" in said
    assert "AR lane" not in said
    assert "nan" not in said


def test_only_what_was_seen_has_lanes(servers: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["analyze", str(servers), "--json", "--lane", "e2"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert [lane["lane"] for lane in data["lanes"]] == ["e2"]
    assert data["lanes"][0]["judged"] > 1000


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["analyze", "{counters}"], "has no step with a draft: attach to servers that draft, with the tap"),
        (["analyze", "{servers}", "--export", "{out}"], "which the servers of this trace did not send"),
        (["compare", "{servers}", "{servers}"], "A is of servers, whose prompts are those of their clients"),
    ],
)
def test_what_a_trace_of_servers_cannot_tell_is_said_in_a_sentence(
    words: list[str], says: str, servers: Path, counters: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    places = {"servers": servers, "counters": counters, "out": tmp_path / "hard.jsonl"}
    assert main([word.format(**places) for word in words]) == 1
    out, err = capsys.readouterr()
    assert says in err
    assert (out, len(err.splitlines())) == ("", 1)
    assert not (tmp_path / "hard.jsonl").exists()


def test_servers_of_different_models_are_not_pooled(servers: Path, tmp_path: Path) -> None:
    other = [
        ev.ServerSeen(event.lane, event.info, event.kind, event.address, model="other")
        if isinstance(event, ev.ServerSeen)
        else event
        for event in attached_run()
    ]
    # Neither header names a target.
    bare = [
        ev.RunStarted("", event.lanes, event.sampling, attached=True) if isinstance(event, ev.RunStarted) else event
        for event in other
    ]
    path = file_of(tmp_path / "other.jsonl", bare)
    assert main(["analyze", str(path)]) == 0
    assert main(["analyze", str(servers), str(path)]) == 1


def test_each_event_of_a_server_is_a_line_or_none() -> None:
    lines = [line for event in attached_run() if (line := describe(event, 0.0)) is not None]
    assert "e1           connecting" in lines
    assert "e3           gone: nothing was heard of it for 3 s: is it still running?" in lines
    assert "e1           Qwen/Qwen3-8B at tcp://gpu1:5571, mtp K=3: drafts are visible" in lines
    assert "e4           asked: What is speculative decoding?" in lines
    assert "e4           answered: 12 tokens in 0.80 s, acceptance length 2.40" in lines
    assert any(line.startswith("e4           counters: drafts=") for line in lines)
    assert any(line.startswith("e2           #0    K=3 drafted=0 accepted=0") for line in lines)
    assert not any(line.startswith("round") for line in lines)
    away = describe(ev.ServerState("e1", "live", downtime_ns=2_500_000_000), 0.0)
    assert away == "e1           live after 2.5 s"
    assert describe(ev.Answered("e1", 1, fault="it refused"), 0.0) == "e1           it refused"
    assert describe(ev.Serving("e1", 1), 0.0) is None
